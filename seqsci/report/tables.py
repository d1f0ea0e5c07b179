"""Tables of a run folder, or a sentence about what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from seqsci.errors import SeqsciError
from seqsci.runs import Run


def table_path(run: Run, name: str) -> Path:
    """Where `<name>.parquet` of a run lies.

    Raises:
        SeqsciError: it is absent.
    """
    path = run.folder / f"{name}.parquet"
    if not path.is_file():
        raise SeqsciError(f"{path}: absent; restore it from a copy, or repeat the run with {_again(run)}")
    return path


def read_table(run: Run, name: str, columns: Iterable[str]) -> pl.DataFrame:
    """The named columns of `<name>.parquet`, in that order.

    Raises:
        SeqsciError: it is absent, damaged, or lacks a column.
    """
    path = table_path(run, name)
    with damage_told(run, name):
        return pl.read_parquet(path).select(list(columns))


@contextmanager
def damage_told(run: Run, name: str) -> Iterator[None]:
    """Turns what polars finds wrong with `<name>.parquet` into a sentence; a lazy table is only read when collected.

    Raises:
        SeqsciError: it is damaged, or lacks a column.
    """
    try:
        yield
    except (pl.exceptions.PolarsError, OSError):
        raise SeqsciError(
            f"{run.folder / f'{name}.parquet'}: damaged, or without a column that the report reads; repeat the run "
            f"with {_again(run)}"
        ) from None


def _again(run: Run) -> str:
    return f"`seqsci run {run.folder / 'recipe.yaml'}`"
