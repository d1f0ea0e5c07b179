"""Reads GenBank flat files with Biopython's parser: their sequences, and their features."""

# No __future__ annotations here: one of the functions has that name.

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import polars as pl
from Bio import SeqIO
from Bio.Seq import UndefinedSequenceError

from seqsci.data.opened import opened
from seqsci.domains.genomics.flat import with_descriptions
from seqsci.domains.genomics.rows import Invalid, Rows, unique
from seqsci.errors import SeqsciError

ANNOTATIONS = {
    "record": pl.String,
    "start": pl.Int64,
    "stop": pl.Int64,
    "strand": pl.Int64,
    "type": pl.String,
    "name": pl.String,
    "feature": pl.Int64,
}
"""Columns of the features of a GenBank file."""
NAMES = ("gene", "locus_tag", "product", "standard_name", "label", "note")
"""Qualifiers that can name a feature, the first that is there."""


def read_genbank(path: Path, invalid: Invalid) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """As `read_fasta`; `id` is the accession with its version.

    Raises:
        SeqsciError: not GenBank, a record without its sequence, or as `read_fasta`.
    """
    rows, described = Rows(origin=path.name, invalid=invalid), []
    with opened(path) as file:
        for number, record in enumerate(_genbank(file, path.name), 1):
            try:
                text = str(record.seq)
            except UndefinedSequenceError:
                raise SeqsciError(
                    f"{path.name}, record {number} ({record.id}): has features but no sequence; fetch the full record "
                    "(GenBank's 'gbwithparts')"
                ) from None
            if rows.add(number, _name(record), text):
                described.append(str(record.description))
    return with_descriptions(rows, described), rows.notes()


def annotations(path: str | Path) -> pl.DataFrame:
    """Features of a GenBank file: a row for each contiguous part of each feature, in the order of the file.

    Columns: `record` (the id that reading gives it), `start` and `stop` (letters from 0, exclusive, on the strand
    that is written, also for a feature of the other one), `strand` (1, -1, or 0 where it has none), `type` (gene,
    CDS, tRNA, ...), `name` (its gene, else locus tag, product or note, "" without any), `feature` (number within the
    file from 0: the exons of a joined one share it).

    Raises:
        SeqsciError: not a GenBank file.
    """
    path, rows, ids, number = Path(path), [], [], 0
    with opened(path) as file:
        for place, record in enumerate(_genbank(file, path.name)):
            ids.append(_name(record) or f"record {place + 1}")
            for feature in record.features:
                if feature.location is None:
                    continue
                name = next((feature.qualifiers[key][0] for key in NAMES if feature.qualifiers.get(key)), "")
                for part in feature.location.parts:
                    span = int(part.start), int(part.end), int(part.strand or 0)
                    rows.append((place, *span, str(feature.type), str(name), number))
                number += 1
    named, _ = unique(pl.Series("record", ids, dtype=pl.String))
    frame = pl.DataFrame(rows, schema={**ANNOTATIONS, "record": pl.Int64}, orient="row")
    return frame.with_columns(pl.lit(named).gather(frame["record"]).alias("record")).cast(ANNOTATIONS)  # type: ignore[arg-type]


def _name(record: Any) -> str:
    return "" if record.id in (None, "<unknown id>") else str(record.id).strip()


def _genbank(file: TextIO, origin: str) -> Iterator[Any]:
    """The records of a GenBank file; Biopython's warning of a wrong length is an error here."""
    records: Iterator[Any] = SeqIO.parse(file, "genbank")  # type: ignore[no-untyped-call]
    number = 0
    while True:
        with _told(f"{origin}, record {number + 1}"):
            record = next(records, None)
        if record is None:
            break
        number += 1
        yield record
    if not number:
        raise SeqsciError(f"{origin}: there are no GenBank records (LOCUS ... //); give a GenBank flat file")


@contextmanager
def _told(where: str) -> Iterator[None]:
    """What Biopython finds wrong, in a sentence: a broken flat file can raise nearly anything in it."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    except SeqsciError:
        raise
    except Exception as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SeqsciError(f"{where}: is not GenBank ({why}); fetch the record again") from None
    cut = next((str(one.message) for one in caught if "sequence length" in str(one.message)), "")
    if cut:
        raise SeqsciError(f"{where}: the sequence is not as long as LOCUS says ({cut}); fetch the record again")
