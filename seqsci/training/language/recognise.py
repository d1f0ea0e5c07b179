"""Which science a user's file is of, by its name and first lines; and what it is where that cannot be told."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

import polars as pl

from seqsci.catalog import SCIENCES
from seqsci.data.opened import opened, opened_bytes
from seqsci.errors import SeqsciError, nearest
from seqsci.training.language.nearly import against_dna

PARQUET = b"PAR1"
LINES, SHOWN = 21, 12
"""Lines that are looked at, and columns that a sentence names."""
COLUMNS = ("sequence", "id", "group", "split", "mutant")
"""What `data.columns` may name in one science or another."""
TABLES = (".csv", ".tsv", ".txt", ".tab", ".parquet", "")

Suits = Callable[[str, Path], bool]


def recognised(path: Path, columns: Mapping[str, str], suits: Suits) -> str:
    """The one science that a file is of.

    Args:
        path: the file.
        columns: our names of columns to the file's, as `data.columns` says.
        suits: whether a file is of the science of that name.

    Raises:
        SeqsciError: it is empty, may be of several sciences or is of none; or would be read as proteins although it is
            nearly all bases, with what stands against DNA.
    """
    for ours in columns:
        if ours not in COLUMNS:
            raise SeqsciError(f"data.columns: there is no '{ours}'{nearest(ours, COLUMNS)}; take {', '.join(COLUMNS)}")
    table = _table(path)
    for theirs in columns.values():
        if table is not None and theirs and theirs not in table.columns:
            raise SeqsciError(f"{path.name}: there is no column '{theirs}'{nearest(theirs, table.columns)}")
    named = table.select(theirs for theirs in columns.values() if theirs) if table is not None else None
    if named is not None and columns.get("sequence"):
        suited = [name for name in SCIENCES if _column_suits(name, named, columns, suits)]
    else:
        suited = [name for name in SCIENCES if suits(name, path)]
    if stray := stray_told(path, suited, columns.get("sequence", "")):
        raise SeqsciError(
            f"data: {path.name}: nearly all of its letters are bases, but {stray}, which no DNA has; if it is DNA, "
            f"correct that and say data.domain genomics (with data.invalid skip such records are left out); if these "
            f"are proteins, say data.domain proteins"
        )
    if len(suited) == 1:
        return suited[0]
    if suited:
        raise SeqsciError(f"data.domain: {path.name}: it may be of {' or '.join(suited)}; say which by data.domain")
    raise SeqsciError(_puzzle(path, table))


def stray_told(path: Path, suited: list[str], column: str = "") -> str:
    """What stands against DNA in a file that would be read as proteins and is nearly all bases; else empty."""
    if suited not in (["proteins"], ["genomics", "proteins"]):
        return ""
    return against_dna(path, _table(path), column)


def columns_told(path: Path) -> str:
    """The columns of a table in words; empty where it is none."""
    table = _table(path)
    if table is None or not table.width:
        return ""
    return ", ".join(table.columns[:SHOWN]) + ", ..." * (table.width > SHOWN)


def _column_suits(name: str, table: pl.DataFrame, columns: Mapping[str, str], suits: Suits) -> bool:
    """Whether the columns that a user names hold that science's records."""
    ours = {theirs: our for our, theirs in columns.items() if theirs}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "head.csv"
        if name == "molecules":  # a list of SMILES is recognised by its letters, a column by its name alone
            copy.write_text("\n".join(table[columns["sequence"]].drop_nulls()) + "\n", encoding="utf-8")
        else:
            table.rename(ours).write_csv(copy)
        return suits(name, copy)


def _table(path: Path) -> pl.DataFrame | None:
    """The first rows of a table as text; None of a file that is none."""
    try:
        with opened_bytes(path) as raw:
            start = raw.read(4)
        if start == PARQUET:
            return pl.read_parquet(path, n_rows=LINES).cast(pl.String, strict=False)
        lines = _lines(path)
        if not lines or lines[0][0] in ">@;#" or _ending(path) not in TABLES:
            return None
        separator = max("\t,;", key=lines[0].count)
        if separator not in lines[0] and _ending(path) != ".csv":
            return None
        text = io.BytesIO("\n".join(lines).encode())
        return pl.read_csv(text, separator=separator, infer_schema=False, truncate_ragged_lines=True)
    except (SeqsciError, OSError, ValueError, EOFError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None


def _lines(path: Path) -> list[str]:
    """The first lines that are not blank."""
    with opened(path) as file:
        return list(islice((line.rstrip("\n") for line in file if line.strip()), LINES))


def _ending(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz").removesuffix(".zip")).suffix


def _puzzle(path: Path, table: pl.DataFrame | None) -> str:
    """Why nothing is recognised, and what helps."""
    which = f"data.domain {', '.join(SCIENCES)}"
    if table is not None and table.height == 0:
        return f"data: {path.name} has a header and no rows; give a file with records"
    if table is not None:
        told = f"data: {path.name}: no known science is recognised in its columns ({columns_told(path)})"
        if "sequence" in table.columns:
            return f"{told}; say {which}"
        named = f"data.columns '{{sequence: {table.columns[0]}}}'"
        return f"{told}; name the one with sequences or SMILES, such as {named}, or say {which}"
    try:
        lines = _lines(path)
    except SeqsciError as problem:
        return str(problem)
    if not lines:
        return f"data: {path.name} is empty; give a file with records"
    if lines[0][0] in ">;" and all(line[0] in ">;" for line in lines):
        return f"data: {path.name} has headers and no letters below them; give a file with records"
    return (
        f"data: {path.name}: its first lines are neither DNA, proteins nor molecules alone; one run reads one science: "
        f"say which by {which}"
    )
