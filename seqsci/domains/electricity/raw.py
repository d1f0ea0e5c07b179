"""Opens a file or a frame as columns of text or numbers, and remembers on which line each row stood."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.data.download import content
from seqsci.errors import SeqsciError

PARQUET = b"PAR1"
FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Excel file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"%PDF": "a PDF",
}
UTF16 = (b"\xff\xfe", b"\xfe\xff")
SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True, kw_only=True)
class Raw:
    """A table as found. `frame` has R rows; `lines (R,)` says where they stood, counted in `unit`."""

    frame: pl.DataFrame
    origin: str
    lines: NDArray[np.int64]
    unit: str = "line"
    separator: str = ""
    notes: tuple[str, ...] = ()

    def at(self, row: int, column: str = "") -> str:
        """`my.csv, line 812, column load`."""
        where = f"{self.origin}, {self.unit} {self.lines[row]}"
        return f"{where}, column {column}" if column else where

    def keep(self, mask: NDArray[np.bool_]) -> Raw:
        """The rows where `mask (R,)` is true."""
        return replace(self, frame=self.frame.filter(pl.Series(mask)), lines=self.lines[mask])

    def note(self, *sentences: str) -> Raw:
        """The same table with more notes."""
        return replace(self, notes=self.notes + sentences)


def open_raw(source: Any, encoding: str = "utf-8", separator: str = "") -> Raw:
    """Columns of a CSV or Parquet file (either may be gzipped), or of a frame that narwhals understands.

    Columns of a CSV file are text, others keep their type. Blank lines are dropped.

    Raises:
        SeqsciError: not a table, with the line where it breaks.
    """
    if not isinstance(source, (str, Path)):
        return _numbered(as_polars(source), "the table")
    path = Path(source)
    data = content(path)
    if not data.strip():
        raise SeqsciError(f"{path.name}: the file is empty; it needs a header line and rows below it")
    if data.startswith(PARQUET):
        return _from_parquet(data, path.name)
    if path.suffix == ".parquet":
        raise SeqsciError(f"{path.name}: is not a Parquet file, though its name says so; give it its right name")
    text, notes = _decode(data, path.name, encoding)
    return _from_text(text, path, separator).note(*notes)


def _from_parquet(data: bytes, origin: str) -> Raw:
    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, OSError, ValueError):
        raise SeqsciError(f"{origin}: the Parquet file is cut off or damaged; write it again") from None
    return _numbered(frame, origin)


def as_polars(source: Any) -> pl.DataFrame:
    """A frame that narwhals understands; the times of a pandas index become its first column.

    Raises:
        SeqsciError: no table, or one that cannot be read.
    """
    import narwhals as nw

    try:
        index = type(getattr(source, "index", None)).__name__
        if index in ("DatetimeIndex", "PeriodIndex"):
            source = (source.to_timestamp() if index == "PeriodIndex" else source).reset_index()
        frame: pl.DataFrame = nw.from_native(source, eager_only=True).to_polars()
    except TypeError:
        kind = type(source).__name__
        advice = "call .collect() on it first" if kind == "LazyFrame" else "give a polars, pandas or Arrow table"
        raise SeqsciError(f"data: neither a file name nor a table in memory (type {kind}); {advice}") from None
    except Exception as error:  # whatever a foreign library finds wrong with its own table
        detail = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise SeqsciError(f"data: the table cannot be read ({detail[0]}); check its column names and types") from None
    return frame


def _numbered(frame: pl.DataFrame, origin: str) -> Raw:
    """Rows without lines are counted from 1."""
    _check_names(frame.columns, origin)
    if frame.is_empty():
        raise SeqsciError(f"{origin}: there are no rows; give at least two")
    # An empty name is kept for the time.
    frame = frame.rename({name: name or f"column {i}" for i, name in enumerate(frame.columns, 1)})
    return Raw(frame=frame, origin=origin, lines=np.arange(1, len(frame) + 1), unit="row")


def _decode(data: bytes, origin: str, encoding: str) -> tuple[str, tuple[str, ...]]:
    """Text with "\\n" line ends, and notes."""
    for magic, what in FOREIGN.items():
        if data.startswith(magic):
            raise SeqsciError(f"{origin}: is {what}; save the table as CSV or Parquet")
    notes: tuple[str, ...] = ()
    if data.startswith(UTF16) and encoding.lower().replace("-", "") == "utf8":
        encoding, notes = "utf-16", ("encoding: utf-16 (from its first bytes)",)
    try:
        text = data.decode(encoding)
    except LookupError:
        raise SeqsciError(f"encoding: there is no encoding '{encoding}'; try utf-8 or latin-1") from None
    except UnicodeError as error:
        line = data[: getattr(error, "start", 0)].count(b"\n") + 1
        other = "latin-1" if encoding != "latin-1" else "utf-8"
        raise SeqsciError(
            f"{origin}, line {line}: is not {encoding} text; if this is a table, give its encoding, for "
            f"example data.encoding {other}, or save it as UTF-8"
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise SeqsciError(f"{origin}, line {line}: holds binary data; give a CSV or Parquet file")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"), notes


def _from_text(text: str, path: Path, separator: str) -> Raw:
    separator = _separator(text, path, separator)
    split = _quoted if '"' in text else _plain
    lines, header, frame = split(text, path.name, separator)
    _check_header(header, f"{path.name}, line {lines[0]}", separator)
    if frame.is_empty():
        raise SeqsciError(f"{path.name}: there are no rows below the header; give at least two")
    raw = Raw(frame=frame, origin=path.name, lines=np.array(lines[1:]), separator=separator)
    return _name_columns(raw, header)


def _separator(text: str, path: Path, given: str) -> str:
    """The given separator, else the one that stands most often in the first line."""
    if given:
        if len(given) != 1 or given in '"\n':
            raise SeqsciError(f"separator: '{given}' must be one character, such as , or ;")
        return given
    first = re.sub(r'"[^"]*"', "", text.lstrip("\n").split("\n", 1)[0])
    if ".tsv" in path.suffixes and "\t" in first:
        return "\t"
    return max(SEPARATORS, key=first.count)


def _plain(text: str, name: str, separator: str) -> tuple[list[int], list[str], pl.DataFrame]:
    """Line numbers (header first), header, and columns of text. Lines without content are left out."""
    blank = separator + " \t"
    kept = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip(blank)]
    if not kept:
        raise SeqsciError(f"{name}: no line holds anything; it needs a header line and rows below it")
    header = kept[0][1].split(separator)
    lines = [number for number, _ in kept]
    _check_widths((line.count(separator) + 1 for _, line in kept), lines, len(header), name)
    schema = pl.Schema({str(i): pl.String() for i in range(len(header))})
    body = "\n".join(line for _, line in kept[1:])
    if not body:
        return lines, header, pl.DataFrame(schema=schema)
    frame = pl.read_csv(body.encode(), has_header=False, schema=schema, separator=separator, quote_char=None)
    return lines, header, frame


def _quoted(text: str, name: str, separator: str) -> tuple[list[int], list[str], pl.DataFrame]:
    """The same for text with quotation marks, inside which separators and line ends are text."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    lines: list[int] = []
    rows: list[list[str]] = []
    begin = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                lines.append(begin)
                rows.append(row)
            begin = reader.line_num + 1
    except csv.Error as error:
        raise SeqsciError(
            f"{name}, line {begin}: the quotation marks are broken ({error}); each needs its closing one"
        ) from None
    if not rows:
        raise SeqsciError(f"{name}: no line holds anything; it needs a header line and rows below it")
    _check_widths(map(len, rows), lines, len(rows[0]), name)
    columns = zip(*rows[1:], strict=True) if rows[1:] else [()] * len(rows[0])
    frame = pl.DataFrame([pl.Series(str(i), list(cells), dtype=pl.String) for i, cells in enumerate(columns)])
    return lines, rows[0], frame


def _check_widths(widths: Iterable[int], lines: list[int], width: int, name: str) -> None:
    for line, found in zip(lines, widths, strict=True):
        if found != width:
            cut = " (is the file cut off?)" if line == lines[-1] and found < width else ""
            raise SeqsciError(
                f"{name}, line {line}: {found} fields where the header has {width}{cut}; correct the line, "
                f"and put quotation marks around a field that holds the separator"
            )


def _check_header(header: list[str], where: str, separator: str) -> None:
    names = [cell.strip() for cell in header]
    if len(names) == 1:
        tried = (
            ""
            if separator != ","
            else "; if another character than , ; | or a tab parts them, give it as data.separator"
        )
        raise SeqsciError(
            f"{where}: only one column ('{names[0][:40]}'), but a time column and a series are needed{tried}"
        )
    if all(re.fullmatch(r"[-+\d.,:/ T]+|", name) for name in names):
        raise SeqsciError(f"{where}: holds values where the column names should be; add a header line")
    _check_names([name for name in names if name], where)


def _check_names(names: list[str], where: str) -> None:
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise SeqsciError(f"{where}: two columns are called '{twice}'; rename one of them")


def _name_columns(raw: Raw, header: list[str]) -> Raw:
    """Names from the header; columns without a name are dropped if they say nothing, else numbered."""
    names = [cell.strip() or f"column {i}" for i, cell in enumerate(header, 1)]
    _check_names(names, raw.origin)
    frame = raw.frame.rename(dict(zip(raw.frame.columns, names, strict=True)))
    notes = []
    for i, (name, cell) in enumerate(zip(names, header, strict=True)):
        if cell.strip():
            continue
        if frame[name].str.strip_chars().replace("", None).null_count() == len(frame):
            frame = frame.drop(name)
        elif i == 0 and _counts_rows(frame[name]):
            frame = frame.drop(name)
            notes.append("the first column has no name and counts the rows: left out")
    return replace(raw, frame=frame, notes=(*raw.notes, *notes))


def _counts_rows(column: pl.Series) -> bool:
    """True for 0, 1, 2 ... or 1, 2, 3 ..., as pandas writes an index."""
    numbers = column.cast(pl.Int64, strict=False)
    return numbers.null_count() == 0 and numbers[0] in (0, 1) and bool((numbers.diff().drop_nulls() == 1).all())
