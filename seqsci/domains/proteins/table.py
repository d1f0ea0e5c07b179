"""Tables of proteins: CSV, TSV, Parquet or a frame, with whole sequences or with variants such as A24G."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from seqsci.domains.proteins.letters import Raw, shown, unique
from seqsci.domains.proteins.mutants import MUTANT, spelled_out
from seqsci.errors import SeqsciError, nearest

PARQUET = b"PAR1"
NAMES = {
    "sequence": (
        *("sequence", "seq", "protein_sequence", "protein", "mutated_sequence", "aa_seq", "aa_sequence"),
        *("amino_acid_sequence", "primary"),
    ),
    "id": ("id", "name", "accession", "entry", "protein_id", "uniprot_id", "identifier"),
    "group": ("group",),
    "split": ("split",),
    "mutant": ("mutant", "mutation", "mutations", "variant"),
}
"""Our name of a column and what tables call it, in any case; the first that is there counts."""
UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError)
"""What polars raises for a file that is none of its tables; it panics at some damaged Parquet files."""
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}


def read_table(data: bytes, origin: str, name: str, columns: Mapping[str, str] | None) -> Raw:
    """A CSV, TSV or Parquet file that is in memory.

    Raises:
        SeqsciError: not a table, or one without sequences.
    """
    try:
        if data.startswith(PARQUET):
            frame = pl.read_parquet(io.BytesIO(data))
        else:
            header = data.lstrip().split(b"\n", 1)[0]
            separator = max((b",", b"\t", b";"), key=header.count).decode()
            frame = pl.read_csv(io.BytesIO(data), separator=separator, infer_schema=False)
    except UNREADABLE as error:
        detail = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SeqsciError(
            f"{origin}: neither FASTA, A3M, Stockholm nor a CSV or Parquet table ({detail}); check the file"
        ) from None
    return from_frame(frame, origin, name, columns)


def as_polars(source: Any) -> pl.DataFrame:
    """A polars, pandas or Arrow table as a polars one.

    Raises:
        SeqsciError: nothing of the kind.
    """
    import narwhals as nw

    try:
        frame: pl.DataFrame = nw.from_native(source, eager_only=True).to_polars()
    except TypeError:
        kind = type(source).__name__
        advice = "call .collect() on it first" if kind == "LazyFrame" else "give a polars, pandas or Arrow table"
        raise SeqsciError(f"data: neither a path nor a table nor sequences (type {kind}); {advice}") from None
    return frame


def from_frame(frame: pl.DataFrame, origin: str, name: str, columns: Mapping[str, str] | None) -> Raw:
    """The rows of a table under our names; other columns stay as they are.

    Without a column of sequences, one of variants of one protein does, whose wild type its own references spell.

    Raises:
        SeqsciError: a column that is not there, no sequences, or an unknown split.
    """
    frame = frame.rename(dict(zip(frame.columns, _names(frame.columns), strict=True)))
    if frame.is_empty():
        raise SeqsciError(f"{origin}: there are no rows; a table needs a header and rows below it")
    found = _found(frame, origin, dict(columns or {}))
    notes = tuple(
        f"{origin}: column {theirs} is read as {ours}"
        for ours, theirs in found.items()
        if ours != theirs and ours not in (columns or {})
    )
    for ours, theirs in found.items():
        if ours != "mutant":
            frame = frame.with_columns(pl.col(theirs).cast(pl.String, strict=False).alias(ours))
    if "sequence" not in found:
        frame, more = _of_mutants(frame, origin, name, found)
        notes += more
    if "_problem" not in frame.columns or "sequence" in found:
        frame = frame.with_columns(_problem=pl.lit(None, dtype=pl.String))
    if "id" not in frame.columns:
        frame = frame.with_columns(id=pl.lit(None, dtype=pl.String))
    if "split" in found:
        frame = frame.with_columns(split=_split(frame["split"], origin))
    return Raw(origin=origin, unit="row", frame=frame, notes=notes)


def _names(columns: Sequence[str]) -> list[str]:
    """Names in one line, none empty and no two alike; nor `*` and `^...$`, which polars takes for patterns."""
    lines = [" ".join(name.split("\n")).strip() for name in columns]
    lines = [f"column {i}" if re.fullmatch(r"|\*|\^.*\$", line) else line for i, line in enumerate(lines, 1)]
    return unique(lines)[0]


def _found(frame: pl.DataFrame, origin: str, columns: dict[str, str]) -> dict[str, str]:
    """Our name to the table's, for what is there."""
    for ours, theirs in columns.items():
        if ours not in NAMES:
            raise SeqsciError(f"data.columns.{ours}: no column is called so here{nearest(ours, NAMES)}")
        if theirs and theirs not in frame.columns:
            raise SeqsciError(f"{origin}: there is no column '{theirs}' for {ours}{nearest(theirs, frame.columns)}")
    lower: dict[str, str] = {}
    for column in frame.columns:
        lower.setdefault(column.lower(), column)
    found = {ours: next((lower[n] for n in names if n in lower), "") for ours, names in NAMES.items()}
    found = {ours: theirs for ours, theirs in {**found, **columns}.items() if theirs}
    if "sequence" not in found and not ("mutant" in found and _are_mutants(frame[found["mutant"]])):
        there = ", ".join(shown(column) for column in frame.columns[:8])
        raise SeqsciError(f"{origin}: no column of protein sequences among {there}; name it with data.columns.sequence")
    return found


def _are_mutants(values: pl.Series) -> bool:
    first = values.cast(pl.String, strict=False).drop_nulls().head(20).to_list()
    return bool(first) and any(MUTANT.fullmatch(value.split(":")[0].strip()) for value in first)


def _of_mutants(
    frame: pl.DataFrame, origin: str, name: str, found: Mapping[str, str]
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Rows of variants with the whole sequence of each."""
    variants = frame[found["mutant"]].cast(pl.String, strict=False).fill_null("").to_list()
    texts, problems, note = spelled_out(variants, origin)
    frame = frame.with_columns(
        sequence=pl.Series(texts, dtype=pl.String), _problem=pl.Series(problems, dtype=pl.String)
    )
    if "id" not in found:
        frame = frame.with_columns(id=pl.Series(variants, dtype=pl.String))
    if "group" not in found:
        frame = frame.with_columns(group=pl.lit(name))
    return frame, (note,)


def _split(values: pl.Series, origin: str) -> pl.Series:
    out = []
    for row, value in enumerate(values, 1):
        if value is None or value.strip().lower() not in SPLITS:
            raise SeqsciError(
                f"{origin}, row {row}, column split: '{shown(value or '')}' is none of train, val and test; correct "
                "it, or leave the column unread with data.columns.split="
            )
        out.append(SPLITS[value.strip().lower()])
    return pl.Series("split", out, dtype=pl.String)
