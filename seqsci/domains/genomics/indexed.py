"""Genomes larger than memory: letters are read from the file when they are asked for, by its index (pyfaidx)."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyfaidx
from numpy.typing import NDArray

from seqsci.data.download import cache_folder
from seqsci.data.opened import GZIP, opened_bytes
from seqsci.data.records import SKIPPED, Records
from seqsci.data.words import counted
from seqsci.domains.genomics.alphabet import Counts, cleaned
from seqsci.domains.genomics.rows import Invalid
from seqsci.errors import SeqsciError
from seqsci.files import whole

LARGE = 1 << 29
"""Bytes of a FASTA file, as it lies on the disk, above which it is read by its index."""
BLOCK = 1 << 24
"""Letters that are in memory at once while a file is checked."""


@dataclass(frozen=True, kw_only=True)
class IndexedRecords(Records):
    """Records of a FASTA file that stay in the file; `frame` has no column `sequence`.

    Every process opens the file for itself, so that loaders with several workers can share the object.
    `sizes (R,)`: letters of each record; `names`: what the records are called in the file.
    """

    path: Path
    index: Path
    sizes: NDArray[np.int64]
    names: tuple[str, ...]
    _open: dict[int, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(R,) letters of each record."""
        return self.sizes

    def text(self, row: int, start: int = 0, stop: int | None = None) -> str:
        """Letters of a record from `start` to `stop`, checked and made upper case as all records are."""
        raw = self.raw(row, start, stop)
        where = f"{self.path.name}, record {row + 1} ({self.names[row]}), letters from {start + 1} on"
        return cleaned(raw, where, Counts()) if raw else ""

    def raw(self, row: int, start: int, stop: int | None) -> str:
        """Letters as they stand in the file; bounds mean what they mean in a slice."""
        first, last, _ = slice(start, stop).indices(int(self.sizes[row]))
        if last <= first:
            return ""
        process = os.getpid()
        if process not in self._open:
            self._open.clear()
            self._open[process] = _fasta(self.path, self.index)
        return str(self._open[process].faidx.fetch(self.names[row], first + 1, last))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}


def is_large(path: Path) -> bool:
    """Whether a file is too large to be read whole."""
    return path.stat().st_size > LARGE


def open_indexed(path: Path, invalid: Invalid) -> tuple[IndexedRecords, tuple[str, ...]]:
    """Records of a FASTA file by its index, each letter checked once, and notes.

    The index is written beside the file or, where that cannot be, into the cache folder. Plain gzip has no random
    access: it is unpacked once into the cache folder; bgzip is read as it is.

    Raises:
        SeqsciError: no FASTA file, lines of uneven length, two records of one name, or a foreign letter.
    """
    origin = path
    notes: list[str] = []
    if _is_gzip(path) and not _is_bgzip(path):
        path = _unpacked(path)
        notes.append(f"{origin.name}: was unpacked to {path}, as plain gzip cannot be read at random")
    with opened_bytes(path) as raw:
        if not raw.read(4).startswith(b">"):
            raise SeqsciError(f"{origin.name}: a FASTA file begins with '>' and a name; this one does not")
    index = _index(path)
    fasta = _fasta(path, index)
    names = tuple(fasta.keys())
    sizes = np.array([len(fasta[name]) for name in names], dtype=np.int64)
    fasta.close()
    frame = pl.DataFrame({"id": names}, schema={"id": pl.String})
    records = IndexedRecords(frame=frame, path=path, index=index, sizes=sizes, names=names)
    notes.append(f"{origin.name}: is read by its index {index.name} where it is needed, not as a whole")
    counts = Counts()
    bad: dict[int, str] = {}
    for row in range(len(records)):
        try:
            _check(records, row, origin.name, counts)
        except SeqsciError as error:
            if invalid == "refuse":
                raise
            bad[row] = str(error)
    if bad:
        first = next(iter(bad.values()))
        notes.append(f"{origin.name}: {counted(len(bad), 'record was', 'records were')} {SKIPPED}, the first: {first}")
        if len(bad) == len(records):
            raise SeqsciError(first)
    good = [row for row in range(len(records)) if row not in bad]
    kept = IndexedRecords(
        frame=frame[good], path=path, index=index, sizes=sizes[good], names=tuple(names[row] for row in good)
    )
    return kept, (*notes, *(f"{origin.name}: {sentence}" for sentence in counts.notes()))


def _check(records: IndexedRecords, row: int, origin: str, counts: Counts) -> None:
    """Adds what is in the letters of a record to the counts."""
    own = Counts()
    size = int(records.sizes[row])
    where = f"{origin}, record {row + 1} ({records.names[row]})"
    if not size:
        cleaned("", where, own)
    for start in range(0, size, BLOCK):
        place = where if not start else f"{where}, letters from {start + 1} on"
        raw = records.raw(row, start, start + BLOCK)
        if len(raw) != min(BLOCK, size - start):
            raise SeqsciError(f"{place}: the file is shorter than its index {records.index} says; delete the index")
        cleaned(raw, place, own)
    counts.add(own)


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == GZIP


def _is_bgzip(path: Path) -> bool:
    """Whether a gzip file has the extra field of blocked gzip (SAM specification, section 4.1) and a name for it."""
    with path.open("rb") as file:
        start = file.read(16)
    return start[:4] == b"\x1f\x8b\x08\x04" and start[12:14] == b"BC" and path.suffix.lower() in (".gz", ".bgz")


def _private(path: Path, suffix: str) -> Path:
    """A place in the cache folder for what belongs to this file as it is now."""
    state = path.stat()
    mark = hashlib.sha256(f"{path.resolve()} {state.st_size} {state.st_mtime_ns}".encode()).hexdigest()[:12]
    folder = cache_folder() / "genomes"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SeqsciError(
            f"{folder}: cannot be made ({error.strerror}); set SEQSCI_CACHE to a folder that you may write"
        ) from None
    return folder / f"{path.name.removesuffix('.gz')}-{mark}{suffix}"


def _unpacked(path: Path) -> Path:
    target = _private(path, ".fa")
    if not target.exists():
        with whole(target) as temporary, opened_bytes(path) as raw, temporary.open("wb") as out:
            shutil.copyfileobj(raw, out, 1 << 20)
    return target


def writable(folder: Path) -> bool:
    """Whether a file can be made in a folder."""
    return os.access(folder, os.W_OK)


def _index(path: Path) -> Path:
    beside = path.with_name(path.name + ".fai")
    needed = [beside, beside.with_suffix(".gzi")] if _is_gzip(path) else [beside]
    fresh = all(one.exists() and one.stat().st_mtime >= path.stat().st_mtime for one in needed)
    return beside if fresh or writable(path.parent) else _private(path, ".fai")


def _fasta(path: Path, index: Path) -> Any:
    try:
        return pyfaidx.Fasta(str(path), indexname=str(index), gzi_indexname=str(index.with_suffix(".gzi")), as_raw=True)
    except Exception as error:
        # pyfaidx raises ValueError for two of one name, errors of its own for lines of uneven length, and whatever
        # a foreign file in the place of the index leads it to.
        why = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise SeqsciError(
            f"{path.name}: cannot be read by an index ({why}); write it with lines of one length and names that occur "
            f"once, and delete {index}"
        ) from None
