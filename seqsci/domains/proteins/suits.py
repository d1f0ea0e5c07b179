"""Whether a file is one of proteins, by its name and its first lines."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl

from seqsci.data.opened import opened_bytes
from seqsci.domains.proteins.letters import OTHERS, RESIDUES
from seqsci.domains.proteins.mutants import MUTANT
from seqsci.domains.proteins.read import A3M, FASTA, STOCKHOLM, suffix
from seqsci.domains.proteins.table import NAMES, PARQUET

PEEK = 1 << 16
"""Bytes of the start that are looked at."""
ONLY_PROTEIN = frozenset("EFILPQZJO*")
"""Letters that no alphabet of DNA has, ambiguous bases included."""
ALPHABET = frozenset(RESIDUES + OTHERS + "*-.")
SURE_NAMES = frozenset(NAMES["sequence"]) - {"sequence", "seq", "primary"}
"""Columns that can only be of proteins; the others are looked into."""


def suits(path: Path) -> bool:
    """Whether a file is of proteins: FASTA, A3M, Stockholm or a table; never raises.

    A .faa, .a3m or .pep with a FASTA header always is; a FASTA of any other name and a Stockholm file are where a
    letter occurs that DNA has not (E F I L P Q Z J O *); a table where a column is named for it, or `sequence` holds
    such letters, or `mutant` variants such as A24G.
    """
    try:
        head = _head(path)
        if head.startswith(PARQUET):
            return _table_suits(pl.scan_parquet(path, glob=False).head(20).collect())
        text = head.decode("utf-8-sig", "ignore").replace("\r\n", "\n").replace("\r", "\n")
        return _text_suits(text, suffix(path))
    except (Exception, pl.exceptions.PanicException):  # whatever a library finds wrong with a foreign file
        return False


def _head(path: Path) -> bytes:
    with opened_bytes(path) as file:
        return file.read(PEEK)


def _text_suits(text: str, ending: str) -> bool:
    start = text.lstrip()
    if start.startswith(">") or (start.startswith("#") and ending in A3M):
        if ending in (*A3M, ".faa", ".pep"):
            return True
        return _are_proteins("".join(line for line in text.split("\n") if not line.startswith(">")))
    if start.startswith("# STOCKHOLM") or ending in STOCKHOLM:
        rows = [line.split() for line in text.split("\n") if line.strip() and line[0] not in "#/"]
        return _are_proteins("".join(row[1] for row in rows if len(row) == 2))
    if ending in FASTA or "\x00" in text:
        return False
    # The last line of the start may be cut off.
    lines = start.split("\n")[:21]
    separator = max(",\t;", key=lines[0].count)
    table = pl.read_csv(
        io.BytesIO("\n".join(lines).encode()), separator=separator, infer_schema=False, truncate_ragged_lines=True
    )
    return _table_suits(table)


def _table_suits(frame: pl.DataFrame) -> bool:
    columns = {column.strip().lower(): column for column in frame.columns}
    texts = {
        name: [str(value).strip() for value in frame[column].drop_nulls().to_list()] for name, column in columns.items()
    }
    for name in NAMES["sequence"]:
        if name in texts:
            letters = "".join(texts[name]).upper()
            return bool(letters) and ALPHABET.issuperset(letters) and (name in SURE_NAMES or _are_proteins(letters))
    for name in NAMES["mutant"]:
        if texts.get(name):
            return all(MUTANT.fullmatch(part) for text in texts[name] for part in text.split(":"))
    return False


def _are_proteins(text: str) -> bool:
    letters = set("".join(text.split()).upper())
    return bool(letters & ONLY_PROTEIN) and letters <= ALPHABET
