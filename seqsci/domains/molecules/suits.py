"""Whether a file that somebody names holds molecules."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from pathlib import Path

from seqsci.domains.molecules.columns import NAMES, plain
from seqsci.domains.molecules.molecule import parse, quiet
from seqsci.domains.molecules.sdf import SDF_ENDINGS

ENDINGS = (".smi", ".smiles", ".ism", ".can", *SDF_ENDINGS)
OTHERS = (".fa", ".fasta", ".fna", ".faa", ".fq", ".fastq", ".gb", ".gbk", ".sto", ".a3m")
HEAD, LINES = 1 << 14, 20
SURE = NAMES["sequence"][:8]
"""Columns that can hold nothing but SMILES."""


def suits(path: Path) -> bool:
    """Whether a file holds molecules, by its name and its first lines; never an error, whatever is in it.

    It does with an ending of SMILES or SDF, a column called smiles (or alike), or first lines that all begin with a
    valid SMILES, at least one of which no sequence of letters could be.
    """
    name = path.name.lower().removesuffix(".gz").removesuffix(".zip")
    if name.endswith(ENDINGS):
        return True
    if name.endswith(OTHERS):
        return False
    try:
        return _content(path)
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile):
        return False


def _content(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PAR1":
        import polars as pl

        try:
            return _column(list(pl.read_parquet_schema(path)))
        except pl.exceptions.PolarsError:
            return False
    if start[:2] == b"\x1f\x8b":
        with gzip.open(path) as packed:
            head = packed.read(HEAD)
    elif start == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive, archive.open(archive.infolist()[0]) as member:
            head = member.read(HEAD)
    else:
        with path.open("rb") as file:
            head = file.read(HEAD)
    return _text(head.decode("utf-8", "ignore"))


def _column(names: list[str]) -> bool:
    return any(plain(name) in SURE for name in names)


def _text(head: str) -> bool:
    lines = [line for line in head.splitlines() if line.strip()]
    if not lines:
        return False
    if any(_column(lines[0].split(separator)) for separator in "\t,; "):
        return True
    if "V2000" in "".join(lines[:4]) or "V3000" in "".join(lines[:4]):
        return True
    # The last line may be cut off.
    words = [line.split()[0] for line in lines[: min(LINES, max(len(lines) - 1, 1))]]
    with quiet():
        return any(not word.isalpha() for word in words) and all(parse(word) is not None for word in words)
