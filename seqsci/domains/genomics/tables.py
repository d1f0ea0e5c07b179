"""Reads tables with a column of sequences: CSV, TSV and such, Parquet, or a frame."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from seqsci.data.opened import opened, opened_bytes, unpacked
from seqsci.domains.genomics.rows import Invalid, Rows
from seqsci.errors import SeqsciError, nearest

PARQUET = b"PAR1"
SEPARATORS = (",", "\t", ";", "|")
NAMES: Mapping[str, tuple[str, ...]] = {
    "sequence": ("sequence", "seq", "dna", "dna_sequence", "rna"),
    "id": ("id", "name", "accession", "record", "instance_name"),
    "group": ("group",),
    "split": ("split",),
}
"""Our column to the names it may have in a table, the first that is there."""
SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val"}
SPLITS |= {"test": "test", "testing": "test"}
CLASSES = 20
"""Most distinct whole numbers that count as classes; more of them, or others, are values to be regressed."""
LOOKED_AT = 20
"""Rows by which a column without a known name is recognised as DNA."""
_DNA = re.compile(r"[ACGTUNRYSWKMBDHVacgtunryswkmbdhv]{8,}")
_BROKEN = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


def read_table(
    path: Path, columns: Mapping[str, str], label: str | None, invalid: Invalid
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """As `from_frame`, of a file: Parquet, or text with a header or without (then column_1, column_2, ...).

    Fields may be padded with spaces. A file with one field a line and no header is a list of sequences.

    Raises:
        SeqsciError: no table, or as `from_frame`.
    """
    with opened_bytes(path) as raw:
        parquet = raw.read(4) == PARQUET
    frame = _parquet(path) if parquet else _text(path)
    return from_frame(frame, path.name, columns, label, invalid)


def _parquet(path: Path) -> pl.DataFrame:
    """By Arrow: polars meets some damaged files with a panic, which prints to the user's terminal."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = unpacked(path)
    try:
        table = pq.ParquetFile(io.BytesIO(data)).read()
        table.validate(full=True)
        frame = pl.DataFrame(table)
    except (*_BROKEN, pa.ArrowException, ValueError, OverflowError, MemoryError) as error:
        raise SeqsciError(f"{path.name}: is no whole Parquet file ({_first(error)}); write it again") from None
    return frame


def _text(path: Path) -> pl.DataFrame:
    with opened(path) as file:
        text = file.read().lstrip("\n ")
    first = next((line for line in text.split("\n") if line.strip()), "")
    if not first:
        raise SeqsciError(f"{path.name}: the file is empty; it needs rows with sequences")
    if "\0" in text:
        raise SeqsciError(f"{path.name}: is neither text nor Parquet; give FASTA, FASTQ, GenBank or a table")
    separator = max(SEPARATORS, key=first.count)
    try:
        frame = pl.read_csv(text.encode(), has_header=False, infer_schema=False, separator=separator)
    except _BROKEN as error:
        raise SeqsciError(f"{path.name}: is not a table ({_first(error)}); write it again") from None
    frame.columns = [f"column_{place}" for place in range(1, frame.width + 1)]
    frame = frame.with_columns(pl.all().str.strip_chars())
    frame = frame.filter(~pl.all_horizontal(pl.all().fill_null("") == ""))
    if frame.is_empty():
        raise SeqsciError(f"{path.name}: all fields are blank; it needs rows with sequences")
    head = [value or "" for value in frame.row(0)]
    if any(_DNA.fullmatch(value) for value in head):
        return frame
    names = [name or f"column_{place}" for place, name in enumerate(head, 1)]
    if any("\n" in name for name in names):
        raise SeqsciError(f"{path.name}: a quotation mark in the header is not closed; correct the header")
    again = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if again is not None:
        raise SeqsciError(f"{path.name}: two columns are called '{again}'; rename one")
    frame.columns = names
    return frame[1:]


def _first(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def from_frame(
    frame: pl.DataFrame, origin: str, columns: Mapping[str, str], label: str | None, invalid: Invalid
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """`id`, `sequence`, and where the table has them `group`, `label`, `split`; its other columns as they are.

    Args:
        frame: the table.
        origin: what it is called in messages.
        columns: our name to the table's.
        label: column of what is to be predicted; its values stay text here.
        invalid: whether a row whose sequence is none stops the reading.

    Raises:
        SeqsciError: no such column, or a sequence that is none, with its row from 1 on below the header.
    """
    own = label is None and "label" in frame.columns and "label" not in columns.values()
    label = "label" if own else label
    found = _columns(frame, origin, columns, label)
    texts = _as_text(frame, found["sequence"], origin).fill_null("")
    names = (
        _as_text(frame, found["id"], origin).fill_null("") if "id" in found else pl.repeat("", len(frame), eager=True)
    )
    rows = Rows(origin=origin, invalid=invalid, unit="row")
    for number, (name, text) in enumerate(zip(names, texts, strict=True), 1):
        rows.add(number, name, text, found["sequence"])
    result = rows.frame()
    kept = frame[[number - 1 for number in rows.kept]]
    extra = []
    if "group" in found:
        extra.append(_as_text(kept, found["group"], origin).replace("", None).alias("group"))
    if "split" in found:
        extra.append(_splits(_as_text(kept, found["split"], origin), origin, found["split"]))
    if label is not None:
        extra.append(_as_text(kept, label, origin).replace("", None).alias("label"))
    used = {*found.values(), *([label] if label else []), *result.columns, *(one.name for one in extra)}
    used |= {"group", "label", "split"}
    others = pl.DataFrame([one for one in kept if one.name not in used])  # select would take a column "*" for all
    notes = [f"{origin}: {ours} is column '{theirs}'" for ours, theirs in found.items() if ours != theirs]
    notes += [f"{origin}: column label is what can be predicted"] * own
    if "split" in frame.columns and "split" not in found.values():
        notes.append(f"{origin}: column split holds other words than train, val and test and is left out")
    return pl.concat([result, pl.DataFrame(extra), others], how="horizontal"), (*notes, *rows.notes())


def _columns(frame: pl.DataFrame, origin: str, given: Mapping[str, str], label: str | None) -> dict[str, str]:
    """Our name to the table's."""
    for ours, theirs in given.items():
        if ours not in NAMES:
            raise SeqsciError(f"data.columns: there is no '{ours}'{nearest(ours, NAMES)}")
        if theirs and theirs not in frame.columns:
            raise SeqsciError(f"{origin}: there is no column '{theirs}' for {ours}{nearest(theirs, frame.columns)}")
    if label is not None and label not in frame.columns:
        raise SeqsciError(f"{origin}: there is no column '{label}' for the label{nearest(label, frame.columns)}")
    found = {ours: theirs for ours, theirs in given.items() if theirs}
    plain = {name.strip().lower(): name for name in reversed(frame.columns)}
    for ours, names in NAMES.items():
        there = [plain[name] for name in names if name in plain and plain[name] != label]
        if ours not in given and there:
            found[ours] = there[0]
    if "split" in found and "split" not in given and not _are_splits(frame, found["split"]):
        del found["split"]
    if "sequence" not in found:
        found["sequence"] = _dna_column(frame, origin)
    return found


def _are_splits(frame: pl.DataFrame, column: str) -> bool:
    """Whether a column that nobody named is one of train, val and test."""
    values = frame[column].cast(pl.String, strict=False).drop_nulls().str.strip_chars().str.to_lowercase().unique()
    return len(values) > 0 and set(values) <= set(SPLITS)


def _dna_column(frame: pl.DataFrame, origin: str) -> str:
    """The only column that looks like DNA."""
    looked = frame.head(LOOKED_AT)
    found = [
        name
        for name in frame.columns
        if looked[name].dtype == pl.String
        and len(looked)
        and all(value is not None and _DNA.fullmatch(value.strip()) for value in looked[name])
    ]
    if len(found) != 1:
        what = "no column looks like DNA" if not found else f"columns {', '.join(found)} all look like DNA"
        example = (found or frame.columns or ["seq"])[0]
        raise SeqsciError(f"{origin}: {what}; name it with data.columns, such as sequence={example}")
    return found[0]


def _as_text(frame: pl.DataFrame, column: str, origin: str) -> pl.Series:
    if frame[column].dtype.is_nested() or frame[column].dtype in (pl.Binary, pl.Object):
        raise SeqsciError(f"{origin}, column {column}: holds {frame[column].dtype} and not text; give text")
    return frame[column].cast(pl.String, strict=False).str.strip_chars()


def _splits(values: pl.Series, origin: str, column: str) -> pl.Series:
    plain = values.fill_null("").str.to_lowercase()
    for row, value in enumerate(plain, 1):
        if value not in SPLITS:
            raise SeqsciError(
                f"{origin}, row {row}, column {column}: {value!r} is none of train, val, test; correct it"
            )
    return plain.replace_strict(SPLITS, return_dtype=pl.String).alias("split")


def typed(labels: pl.Series) -> pl.Series:
    """Labels as Float64 where they are numbers to be regressed, else as the names of classes (String).

    They are classes when a value is no number, or when all are whole numbers, of at most `CLASSES` kinds.
    """
    if labels.dtype != pl.String:
        labels = labels.cast(pl.String)
    there = labels.drop_nulls()
    numbers = there.cast(pl.Float64, strict=False)
    whole = there.str.contains(r"^[+-]?\d+$").all()
    if not len(there) or numbers.null_count() or not numbers.is_finite().all():
        return labels
    return labels if whole and there.n_unique() <= CLASSES else labels.cast(pl.Float64)


def looks_like(lines: Sequence[str]) -> bool:
    """Whether the first lines of a text are those of a table with DNA in it."""
    fields = [field.strip() for line in lines for field in re.split(r"[,;|\t]", line)]
    return any(len(field) >= LOOKED_AT and re.fullmatch(r"[ACGTUNacgtun]+", field) for field in fields)


def as_polars(source: Any) -> pl.DataFrame:
    """A polars, pandas or Arrow table as polars.

    Raises:
        SeqsciError: something else.
    """
    import narwhals as nw

    try:
        frame: pl.DataFrame = nw.from_native(source, eager_only=True).to_polars()
        return frame
    except TypeError:
        kind = type(source).__name__
        raise SeqsciError(
            f"data: neither a path, a list of sequences nor a table (type {kind}); give polars, pandas or Arrow"
        ) from None
