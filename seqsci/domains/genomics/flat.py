"""Reads FASTA and FASTQ with Biopython's parsers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TextIO

import polars as pl
from Bio.SeqIO.FastaIO import SimpleFastaParser
from Bio.SeqIO.QualityIO import FastqGeneralIterator

from seqsci.data.opened import opened
from seqsci.domains.genomics.rows import Invalid, Rows
from seqsci.errors import SeqsciError


def read_fasta(path: Path, invalid: Invalid) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """`id` (first word of the header), `sequence`, `description` (the rest), and notes.

    Raises:
        SeqsciError: text before the first header, an empty record, a foreign letter.
    """
    rows, described = Rows(origin=path.name, invalid=invalid), []
    with opened(path) as file:
        lines = _from_first_header(file, path.name)
        for number, (title, text) in enumerate(_parsed(lines), 1):
            name, _, rest = title.strip().partition(" ")
            if rows.add(number, name, text):
                described.append(rest.strip())
    return with_descriptions(rows, described), rows.notes()


def _parsed(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    parsed: Iterator[tuple[str, str]] = SimpleFastaParser(lines)  # type: ignore[no-untyped-call]
    return parsed


def _from_first_header(file: TextIO, origin: str) -> Iterator[str]:
    """The lines of a FASTA file; Biopython would pass silently over what stands before the first header."""
    for number, line in enumerate(file, 1):
        if line.startswith(">"):
            return chain([line], file)
        if line.strip():
            raise SeqsciError(f"{origin}, line {number}: a FASTA file begins with '>' and a name; this line does not")
    raise SeqsciError(f"{origin}: the file is empty; give a FASTA file with records")


def with_descriptions(rows: Rows, described: list[str]) -> pl.DataFrame:
    """`id`, `sequence` and `description` of what was kept."""
    return rows.frame().with_columns(pl.Series("description", described, dtype=pl.String))


def read_fastq(path: Path, invalid: Invalid) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """As `read_fasta`; the qualities are left out, with a note.

    Raises:
        SeqsciError: not FASTQ, with the number of the record where it breaks; or as `read_fasta`.
    """
    rows, described, number = Rows(origin=path.name, invalid=invalid), [], 0
    with opened(path) as file:
        records = FastqGeneralIterator(file)
        while True:
            try:
                title, text, _ = next(records)
            except StopIteration:
                break
            except ValueError as error:
                told = f"{path.name}, record {number + 1}: is not FASTQ ({error}); copy the file again"
                raise SeqsciError(told) from None
            number += 1
            name, _, rest = title.strip().partition(" ")
            if rows.add(number, name, text):
                described.append(rest.strip())
    frame = with_descriptions(rows, described)
    return frame, (*rows.notes(), f"{path.name}: the qualities of the reads are not used")
