"""Pieces of a long table, so that a file may be larger than memory."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from seqsci.domains.photometry.source import BLANKS, first_line, open_table
from seqsci.errors import SeqsciError


def chunks(path: Path, size: int) -> Iterator[pl.DataFrame]:
    """Frames of about `size` bytes (CSV, gzipped or not) or `size / 64` rows (Parquet) with `_row` from 1 on.

    Blocks are cut here since polars' own stream of batches was measured to grow with the file. A quoted field
    must not hold the end of a line.
    """
    open_table(path)  # refuses what is missing, empty or not a table
    row = 1
    with path.open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    for frame in _parquet(path, size) if parquet else _text(path, size):
        yield frame.with_row_index("_row", row)
        row += len(frame)


def _parquet(path: Path, size: int) -> Iterator[pl.DataFrame]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        for batch in file.iter_batches(max(1, size // 64)):
            yield pl.DataFrame(pl.from_arrow(batch))


def _text(path: Path, size: int) -> Iterator[pl.DataFrame]:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as file:
        header = file.readline()
        while block := file.read(size):
            block += file.readline()
            try:
                text = io.BytesIO(header.rstrip(b"\r\n") + b"\n" + block)
                yield pl.read_csv(text, infer_schema=False, null_values=BLANKS)
            except pl.exceptions.PolarsError as error:
                raise SeqsciError(f"{path.name}: not a CSV table ({first_line(error)}); write it again") from None
