"""Reads one source of molecules, whatever its format, into rows of text that nobody has checked yet."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from seqsci.data.opened import unpacked, whole_text
from seqsci.data.words import counted
from seqsci.domains.molecules.columns import NAMES, plain, resolve, splits
from seqsci.domains.molecules.sdf import SDF_ENDINGS, structures
from seqsci.errors import SeqsciError

TABLES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
SEPARATORS = ("\t", ",", ";")
PACKED = (".gz", ".zip")
LABEL = "_label"


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Molecules of one source as they stand in it.

    `frame`: `_row` (from 1 on), `sequence`, where there is one `id`, `group`, `split`, `LABEL`, and the other columns
    of the source. `origin`, `unit` and `column` say where a row is: "molecules.csv", "row", "smiles".
    """

    frame: pl.DataFrame
    origin: str
    unit: str
    column: str = ""
    notes: tuple[str, ...] = ()

    def where(self, row: int, column: str = "") -> str:
        """The place of a row in a sentence, in the column of the SMILES or another."""
        column = column if self.column and column else self.column
        return f"{self.origin}, {self.unit} {row}" + f", column {column}" * bool(column)


def read(source: Any, columns: Mapping[str, str] | None = None, label: str | None = None, separator: str = "") -> Rows:
    """The molecules of a path, a table or a list of SMILES.

    Args:
        source: a path (SMILES a line, CSV, TSV, Parquet, SDF; gzip or zip), a polars, pandas or Arrow table, or SMILES.
        columns: our name (sequence, id, group, split) to the table's, "" where it is not to be read.
        label: column that is to be predicted.
        separator: between the molecules of a set where a line holds a whole one.

    Raises:
        SeqsciError: no such file, a format that cannot be read, or a column that is not there.
    """
    if isinstance(source, Path):
        return _file(source, columns, label, separator)
    if isinstance(source, Sequence):
        odd = next((one for one in source if not isinstance(one, str)), None)
        if odd is not None:
            raise SeqsciError(f"data: a list of SMILES holds {odd!r}, which is no text; give SMILES alone")
        frame = pl.DataFrame({"sequence": list(source)}, schema={"sequence": pl.String})
        _only_lines(columns, label, "the list")
        return Rows(frame=frame.with_row_index("_row", 1), origin="the list", unit="molecule")
    return table(_native(source), "the table", columns, label)


def _file(path: Path, columns: Mapping[str, str] | None, label: str | None, separator: str) -> Rows:
    raw = unpacked(path)
    if raw.startswith(b"PAR1"):
        return table(_parquet(raw, path.name), path.name, columns, label)
    text, ending = whole_text(path), _ending(path)
    if not text.strip():
        raise SeqsciError(f"{path.name}: the file is empty; it needs a SMILES a line, or a table with a header")
    if ending in SDF_ENDINGS or "\n$$$$" in text:
        frame = structures(text, path.name)
        found = table(frame, path.name, {"sequence": "_smiles", **(columns or {})}, label)
        note = "the SMILES were written by RDKit from the structures in the file"
        return Rows(frame=found.frame, origin=path.name, unit="structure", notes=(note, *found.notes))
    between = None if separator else _between(text, ending, columns)
    if between is not None:
        return table(_csv(text, between, path.name), path.name, columns, label)
    _only_lines(columns, label, path.name)
    return _lines(text, path.name, separator)


def _ending(path: Path) -> str:
    """The ending of the name without that of its packing."""
    name = path.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return Path(name).suffix


def _between(text: str, ending: str, columns: Mapping[str, str] | None) -> str | None:
    """What separates the columns of a table; None where the text is no table but a SMILES a line."""
    header = text.lstrip("\n").partition("\n")[0]
    wanted = {plain(name) for name in (columns or {}).values() if name} | set(NAMES["sequence"])
    for separator in SEPARATORS:
        fields = header.split(separator)
        if len(fields) > 1 and any(plain(field) in wanted for field in fields):
            return separator
    if ending in TABLES:
        return max(SEPARATORS, key=lambda one: (header.count(one), one == TABLES[ending]))
    return None


def _only_lines(columns: Mapping[str, str] | None, label: str | None, origin: str) -> None:
    if label is not None or columns:
        what = "label" if label is not None else "columns"
        raise SeqsciError(f"{what}: {origin} has no columns, only SMILES; give a table with a header, or leave it out")


def _lines(text: str, origin: str, separator: str) -> Rows:
    """A SMILES a line and perhaps a name after white space, or a whole set a line."""
    rows: list[tuple[int, str, str | None, str | None]] = []
    comments, notes, named = 0, [], 0
    for number, line in enumerate(text.split("\n"), 1):
        smiles, name = _words(line)
        if not line.strip():
            continue
        if line.startswith("#"):
            comments += 1
        elif not rows and plain(smiles) in NAMES["sequence"]:
            notes.append(f"line {number} is a header")
        elif separator:
            members = [_words(one)[0] for one in line.split(separator)]
            rows += [(number, one, f"{number}-{place}", str(number)) for place, one in enumerate(members, 1)]
        else:
            named += name is not None
            rows.append((number, smiles, name, None))
    if comments:
        notes.append(f"{counted(comments, 'line that begins', 'lines that begin')} with #: comments")
    if separator:
        sets = len({row[0] for row in rows})
        notes.append(
            f"{sets} lines hold {len(rows)} molecules joined by '{separator}': a salt or mixture cannot be told from "
            "neighbours, so that each of its parts counts as a molecule; words after a SMILES are left out"
        )
    schema = {"_row": pl.Int64, "sequence": pl.String, "id": pl.String, "group": pl.String}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    drop = [*(["id"] if not (named or separator) else []), *(["group"] if not separator else [])]
    return Rows(frame=frame.drop(drop), origin=origin, unit="line", notes=tuple(notes))


def _words(line: str) -> tuple[str, str | None]:
    """The SMILES of a line and what follows it; a line that begins with a tab has a name alone."""
    words = line.split(None, 1)
    if line.startswith("\t") or not words:
        return "", line.strip() or None
    return words[0], words[1].strip() if len(words) > 1 else None


def _csv(text: str, separator: str, origin: str) -> pl.DataFrame:
    try:
        return pl.read_csv(io.BytesIO(text.encode()), separator=separator, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SeqsciError(f"{origin}: cannot be read as a table ({_first_line(error)}); write it again") from None


def _parquet(raw: bytes, origin: str) -> pl.DataFrame:
    """By Arrow, which answers a damaged file with an error where polars 2.1 panics, but for damage to the names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.ParquetFile(io.BytesIO(raw)).read()
        found.validate(full=True)
        frame = pl.from_arrow(found)
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError, ValueError, OverflowError, MemoryError) as error:
        raise SeqsciError(f"{origin}: cannot be read as Parquet ({_first_line(error)}); write it again") from None
    except pl.exceptions.PanicException:
        raise SeqsciError(f"{origin}: cannot be read as Parquet (damaged names); write it again") from None
    assert isinstance(frame, pl.DataFrame)  # a table gives a table
    return frame


def _first_line(error: Exception) -> str:
    """What a library says, without its advice."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _native(source: Any) -> pl.DataFrame:
    import narwhals as nw

    try:
        frame: pl.DataFrame = nw.from_native(source, eager_only=True).to_polars()
        return frame
    except TypeError:
        kind = type(source).__name__
    except ValueError as error:
        raise SeqsciError(f"data: the table cannot be read ({_first_line(error)}); give text and numbers") from None
    raise SeqsciError(f"data: neither a path nor a table (type {kind}); give polars, pandas, Arrow or a list of SMILES")


def table(frame: pl.DataFrame, origin: str, columns: Mapping[str, str] | None, label: str | None) -> Rows:
    """The molecules of a table, a row each.

    Raises:
        SeqsciError: no column of SMILES, a name that is not there, or SMILES that are no text.
    """
    found, notes = resolve(frame.columns, columns, label, origin)
    theirs = frame[found["sequence"]]
    if not isinstance(theirs.dtype, (pl.String, pl.Categorical, pl.Enum, pl.Null)):
        raise SeqsciError(f"{origin}: column {theirs.name} holds {theirs.dtype}, not SMILES; say which with columns")
    ours = {"sequence": theirs.cast(pl.String).str.strip_chars()}
    for name in ("id", "group"):
        if name in found:
            ours[name] = _text(frame[found[name]], origin)
    if "split" in found:
        split, note = splits(_text(frame[found["split"]], origin), stated=bool((columns or {}).get("split")))
        ours |= {} if split is None else {"split": split}
        notes += [note] if note else []
    if label is not None:
        ours[LABEL] = _text(frame[label], origin)
    elif "label" in frame.columns:
        notes.append("there is a column 'label', which was not asked for")
    reserved = {"_row", "label", LABEL, *NAMES, *(found[name] for name in found)}
    kept = [name for name in frame.columns if name not in reserved]
    made = pl.DataFrame({name: series.alias(name) for name, series in ours.items()})
    made = made.hstack(frame.select(kept)).with_row_index("_row", 1)
    return Rows(frame=made, origin=origin, unit="row", column=found["sequence"], notes=tuple(notes))


def _text(values: pl.Series, origin: str) -> pl.Series:
    try:
        return values.cast(pl.String)
    except pl.exceptions.PolarsError:
        raise SeqsciError(f"{origin}: column {values.name} holds {values.dtype}, not text or numbers") from None
