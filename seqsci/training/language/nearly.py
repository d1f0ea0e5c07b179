"""What stands against DNA in a file that is nearly all bases: a stop, or a letter of proteins, that strayed into it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from seqsci.data.opened import opened_bytes

PEEK = 1 << 16
"""Bytes of the start that are looked at."""
BASES, CODES = frozenset("ACGTUN"), frozenset("ACGTUNRYSWKMBDHV")
"""Bases and N; the same with the ambiguity codes of IUPAC, by far most of which are amino acids too."""
MOST_BASES, MOST_CODES = 0.5, 0.9
"""Shares above which letters are nearly all of DNA: of proteins about a quarter and two thirds are of these."""
OPEN_NAMES = ("sequence", "seq", "primary")
"""Columns that may hold DNA as well as proteins."""

Record = tuple[str, str]
"""What it is called in a sentence, and its letters."""


def against_dna(path: Path, table: pl.DataFrame | None, column: str = "") -> str:
    """The first symbol that no DNA has, in words: "record 5 (r4) has '*' at position 31".

    Args:
        path: FASTA, of which the first `PEEK` bytes are read.
        table: the first rows, of a file that is a table.
        column: of the table, with the sequences; those of `OPEN_NAMES` when not given.

    Returns:
        "" where there is none, or where the letters are not nearly all of DNA.
    """
    records = list(_fasta(path) if table is None else _rows(table, column))
    letters = "".join(text for _, text in records).upper()
    shares = [sum(letters.count(letter) for letter in some) / max(1, len(letters)) for some in (BASES, CODES)]
    if shares[0] <= MOST_BASES or shares[1] <= MOST_CODES:
        return ""
    for name, text in records:
        for place, symbol in enumerate(text, 1):
            if symbol.upper() not in CODES:
                return f"{name} has {symbol!r} at position {place}"
    return ""


def _fasta(path: Path) -> Iterable[Record]:
    with opened_bytes(path) as file:
        head = file.read(PEEK).decode("utf-8-sig", "ignore")
    if not head.lstrip().startswith(">"):
        return
    for number, record in enumerate(head.lstrip()[1:].replace("\r", "\n").split("\n>"), 1):
        title, _, text = record.partition("\n")
        name = title.split()[0] if title.split() else ""
        yield f"record {number}{f' ({name})' if name else ''}", "".join(text.split())


def _rows(table: pl.DataFrame, column: str) -> Iterable[Record]:
    for name in [column] if column else [one for one in table.columns if one.strip().lower() in OPEN_NAMES]:
        for number, text in enumerate(table[name], 1):
            if text is not None:
                yield f"row {number}, column {name},", str(text).strip()
