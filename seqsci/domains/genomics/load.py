"""DNA by the name of a data set, by path, from a frame or a list, and where it came from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from seqsci.catalog import Card, Written
from seqsci.data.download import digest, fingerprint, locate_all
from seqsci.data.opened import opened
from seqsci.data.records import Records
from seqsci.data.sources import joined, named_card, named_paths
from seqsci.domains.genomics.flat import read_fasta, read_fastq
from seqsci.domains.genomics.genbank import read_genbank
from seqsci.domains.genomics.indexed import is_large, open_indexed
from seqsci.domains.genomics.rows import Invalid, Rows, unique
from seqsci.domains.genomics.simulate import simulate, simulate_promoters
from seqsci.domains.genomics.tables import PARQUET, as_polars, from_frame, looks_like, read_table, typed
from seqsci.errors import SeqsciError

SIMULATED = {"demo-dna": simulate, "demo-promoters": simulate_promoters}
FLAT = {"fasta": read_fasta, "fastq": read_fastq, "genbank": read_genbank}
ENDINGS = {
    **dict.fromkeys((".fa", ".fasta", ".fna", ".ffn", ".frn", ".fas"), "fasta"),
    **dict.fromkeys((".fq", ".fastq"), "fastq"),
    **dict.fromkeys((".gb", ".gbk", ".gbff", ".genbank"), "genbank"),
}
FOREIGN = {
    "# STOCKHOLM": "an alignment (Stockholm)",
    "CLUSTAL": "an alignment (Clustal)",
    "#NEXUS": "an alignment (NEXUS)",
    "##gff": "annotation (GFF)",
    "##fileformat=VCF": "a list of variants (VCF)",
}
HEAD = 1 << 15
"""Characters of a file by which its kind is told."""


@dataclass(frozen=True, kw_only=True)
class _File:
    path: Path
    label: str = ""
    split: str = ""


def load(
    source: Any,
    *,
    columns: Mapping[str, str] | None = None,
    label: str | None = None,
    invalid: Invalid = "refuse",
    count: int | None = None,
    seed: int = 0,
) -> tuple[Records, dict[str, Any]]:
    """DNA of a data set by name, of files, of a frame, or of a list of sequences.

    Files are FASTA, FASTQ, GenBank, CSV and such, or Parquet, told by their first lines; any may be packed by gzip.
    A FASTA file larger than `indexed.LARGE` stays on the disk (`IndexedRecords`).

    Args:
        source: name of a data set, path of a file (several with commas between), a frame, or a list of text.
        columns: of a table, our name (id, sequence, group, split) to its own, for what is not recognised.
        label: column of what is to be predicted; "file": the class of a record is the name of its file. None: what
            the data set's card says, or a column that is called label.
        invalid: whether a record with a symbol that is no nucleotide, or without letters, stops the reading, or is
            left out and counted.
        count: records of a simulated set.
        seed: of a simulated set.

    Returns:
        The records, and where they came from: `name`, `path` (several with commas between; None for frames, lists and
        simulations), `sha256` of all content, `card` (its name or None).

    Raises:
        SeqsciError: no such data set or file; a set of another domain; a setting that would have no effect; or
            whatever is wrong in the files, located.
    """
    card = named_card(source, "genomics", "DNA")
    if count is not None and not (card and card.simulated):
        raise SeqsciError("data.count: only a simulated set can have any number of records; leave it out")
    if invalid not in ("refuse", "skip"):
        raise SeqsciError(f"data.invalid: '{invalid}' is neither refuse nor skip; choose one")
    if card and card.simulated:
        return _simulated(card, columns, label, count, seed)
    if not isinstance(source, (str, Path)):
        return _given(source, columns or {}, label, invalid)
    if card:
        found = locate_all(card)
        files = [_File(path=one.path, label=one.file.label, split=one.file.split) for one in found]
        name, sha256 = card.name, joined([one.sha256 for one in found])
    else:
        files = [_File(path=path) for path in named_paths(source)]
        name = files[0].path.name.split(".")[0]
        sha256 = joined([fingerprint(one.path).sha256 for one in files])
    settings = card.written if card and card.written else Written()
    wanted = label or (settings.label[0] if settings.label else None)
    records = _read(files, {**settings.columns, **(columns or {})}, wanted, invalid)
    path = ",".join(str(one.path) for one in files)
    return records, {"name": name, "path": path, "sha256": sha256, "card": card.name if card else None}


def suits(path: Path) -> bool:
    """Whether a file holds DNA, by its name and first lines; False for what cannot be read."""
    try:
        kind, head = _kind(path)
    except Exception:
        return False
    if kind == "parquet":
        return False
    lines = head.splitlines()
    if kind == "table":
        return looks_like(lines[:5])
    if kind == "genbank":
        return any(re.match(r"LOCUS\s.*\d+ bp\b", line) for line in lines[:50])
    if kind == "fastq":
        return len(lines) > 1 and _share(lines[1]) > 0.9
    letters = "".join(line.strip() for line in lines if not line.startswith((">", ";")))
    return _share(letters) > 0.9


def _share(letters: str) -> float:
    """Share of the letters that are bases or N."""
    return len(re.sub(r"[^ACGTUNacgtun]", "", letters)) / len(letters) if letters else 0.0


def _kind(path: Path) -> tuple[str, str]:
    """What a file is (fasta, fastq, genbank, parquet, table), and its first characters.

    Raises:
        SeqsciError: a file of another kind, such as an alignment.
    """
    with opened(path) as file:
        head = file.read(HEAD)
    if head.startswith(PARQUET.decode()):
        return "parquet", head
    first = next((line for line in head.splitlines() if line.strip()), "")
    for start, what in FOREIGN.items():
        if first.upper().startswith(start.upper()):
            raise SeqsciError(f"{path.name}: is {what} and holds no plain sequences; give FASTA")
    for start, kind in ((">", "fasta"), ("@", "fastq"), ("LOCUS ", "genbank")):
        if first.startswith(start):
            return kind, head
    stem = path.name.lower().removesuffix(".gz").removesuffix(".zip")
    return next((kind for ending, kind in ENDINGS.items() if stem.endswith(ending)), "table"), head


def _read(files: Sequence[_File], columns: Mapping[str, str], label: str | None, invalid: Invalid) -> Records:
    """The records of all files, in their order."""
    kinds = [_kind(file.path)[0] for file in files]
    large = [file.path for file, kind in zip(files, kinds, strict=True) if kind == "fasta" and is_large(file.path)]
    if large:
        if len(files) > 1:
            raise SeqsciError(f"data: {large[0].name} is too large to be read with other files; give it alone")
        _no_columns(files[0].path, columns, label)
        records, notes = open_indexed(large[0], invalid)
        return replace(records, frame=_marked(records.frame, files[0], label), notes=notes)
    frames: list[pl.DataFrame] = []
    said_of_files: list[str] = []
    for file, kind in zip(files, kinds, strict=True):
        if kind in FLAT:
            _no_columns(file.path, columns, label)
            frame, said = FLAT[kind](file.path, invalid)
            frame = _marked(frame, file, label)
        else:
            frame, said = read_table(file.path, columns, label, invalid)
            frame = _marked(frame, file, None)
        frames.append(frame)
        said_of_files += said
    return _records(pl.concat(frames, how="diagonal_relaxed"), said_of_files)


def _no_columns(path: Path, columns: Mapping[str, str], label: str | None) -> None:
    if columns:
        raise SeqsciError(f"{path.name}: is no table, so that data.columns cannot be chosen; leave it out")
    if label not in (None, "file"):
        raise SeqsciError(
            f"{path.name}: is no table with a column '{label}'; give one file for each class and data.label file, or a "
            "table with a column for the label"
        )


def _marked(frame: pl.DataFrame, file: _File, label: str | None) -> pl.DataFrame:
    """With the class and the split that the card, or `label` "file", gives to all records of a file."""
    name = file.path.name.split(".")[0] if label == "file" else file.label
    frame = frame.with_columns(pl.lit(name).alias("label")) if name else frame
    return frame.with_columns(pl.lit(file.split).alias("split")) if file.split else frame


def _records(frame: pl.DataFrame, notes: Sequence[str]) -> Records:
    """Unique names, labels of their type, and our columns first."""
    ids, said = unique(frame["id"])
    frame = frame.with_columns(ids.alias("id"))
    if "label" in frame.columns:
        frame = frame.with_columns(typed(frame["label"]).alias("label"))
    ours = [name for name in Records.COLUMNS if name in frame.columns]
    frame = pl.DataFrame([frame[name] for name in [*ours, *(name for name in frame.columns if name not in ours)]])
    return Records(frame=frame, notes=(*notes, *said))


def _given(
    source: Any, columns: Mapping[str, str], label: str | None, invalid: Invalid
) -> tuple[Records, dict[str, Any]]:
    """A frame, or a list of text."""
    if isinstance(source, (list, tuple)):
        if columns or label:
            raise SeqsciError("data: a list of sequences has no columns; leave columns and label out, or give a table")
        name, rows = "sequences", Rows(origin="the list", invalid=invalid)
        for number, text in enumerate(source, 1):
            if not isinstance(text, str):
                raise SeqsciError(f"the list, record {number}: is no text (type {type(text).__name__}); give sequences")
            rows.add(number, "", text.strip())
        records = _records(rows.frame(), rows.notes())
    else:
        name = "table"
        frame, notes = from_frame(as_polars(source), "the table", columns, label, invalid)
        records = _records(frame, notes)
    return records, {"name": name, "path": None, "sha256": _content(records), "card": None}


def _simulated(
    card: Card, columns: Mapping[str, str] | None, label: str | None, count: int | None, seed: int
) -> tuple[Records, dict[str, Any]]:
    if columns:
        raise SeqsciError(f"data.columns: cannot be chosen for data set {card.name}; leave it out")
    settings = card.written or Written()
    if label not in (None, *settings.label):
        known = ", ".join(settings.label) or "it has none, leave data.label out"
        raise SeqsciError(f"data.label: data set {card.name} has no label '{label}'; known: {known}")
    frame = SIMULATED[card.name](seed, (settings.count or 1) if count is None else count)
    records = Records(frame=frame, notes=(f"{card.name}: simulated data",), simulated=True)
    return records, {"name": card.name, "path": None, "sha256": _content(records), "card": card.name}


def _content(records: Records) -> str:
    """The digest of names, sequences and labels, the same whatever kind of frame they came in."""
    ours = [name for name in Records.COLUMNS if name in records.frame.columns]
    return digest(records.frame.select(ours).write_csv().encode())
