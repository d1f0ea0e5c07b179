"""A file or a frame -> `Table`: one time column, one column per series, sorted, each time once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.catalog import Duplicates, Layout
from seqsci.domains.electricity.dates import parse_times, take_zone, zone_of
from seqsci.domains.electricity.numbers import numbers
from seqsci.domains.electricity.raw import Raw, open_raw
from seqsci.errors import SeqsciError, nearest

TIME_NAMES = ("datetime", "timestamp", "ds", "date", "time", "date_time", "utc_timestamp", "datum", "year")
"""Names, in small letters, by which a time column is guessed, the likeliest first."""
LONG = ("unique_id", "ds", "y")
MOST_CELLS = 200_000_000
"""A long table that would spread over more cells than this has no series in its id column."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """What reading found. `frame`: "time" (Datetime us, no zone, rising, unique), then Float64 series.

    NaN where nothing was observed. The times are UTC where the file's have a `zone` ("": none). `lines (N,)` says
    where each row stood, counted in `unit` of `origin`; `notes` say in plain sentences what was guessed or changed.
    """

    frame: pl.DataFrame
    origin: str
    lines: NDArray[np.int64]
    unit: str = "line"
    notes: tuple[str, ...] = ()
    simulated: bool = False
    zone: str = ""

    @property
    def series(self) -> tuple[str, ...]:
        """Names of the series."""
        return tuple(self.frame.columns[1:])

    def at(self, row: int, column: str = "") -> str:
        """`my.csv, line 812, column load`."""
        where = f"{self.origin}, {self.unit} {self.lines[row]}"
        return f"{where}, column {column}" if column else where


def read(
    source: Any,
    *,
    time: str | None = None,
    layout: Layout = "auto",
    id: str | None = None,
    value: str | None = None,
    columns: Sequence[str] | None = None,
    encoding: str = "utf-8",
    missing: Sequence[float] = (),
    duplicates: Duplicates = "refuse",
    separator: str = "",
) -> Table:
    """Read a table of series.

    Args:
        source: path of a .csv, .tsv, .txt or .parquet file (or .gz), or a polars, pandas or Arrow table.
        time: name of the time column; guessed when None, and the guess is noted.
        layout: "wide" (a column per series) or "long" (a row per series and time: unique_id, ds, y).
        id: long layout, the column that names the series.
        value: long layout, the column of values.
        columns: read these series only, each as in `named`; others may hold anything then.
        encoding: of a text file.
        missing: numbers that stand for "not observed".
        duplicates: two different values for one time: "refuse", keep the "first", or take the "mean".
        separator: between fields of a text file; guessed when "".

    Raises:
        SeqsciError: one located sentence on whatever cannot be read.
    """
    raw = open_raw(source, encoding, separator)
    if _is_long(raw, layout, id, value):
        return _read_long(raw, time, id, value, columns, missing, duplicates)
    return _read_wide(raw, time, columns, missing, duplicates)


def named(wanted: Iterable[str], known: Collection[str]) -> list[str]:
    """Names of series: one that is not known and holds commas stands for several, such as "load, heat"."""
    return [
        part for name in wanted for part in ([name] if name in known else [part.strip() for part in name.split(",")])
    ]


def _is_long(raw: Raw, layout: Layout, id: str | None, value: str | None) -> bool:
    if layout == "auto":
        return id is not None or value is not None or set(LONG) <= set(raw.frame.columns)
    if layout == "wide" and (id or value):
        raise SeqsciError("id and value name columns of the long layout; leave them out, or set data.layout to long")
    return layout == "long"


def _read_wide(
    raw: Raw,
    time: str | None,
    columns: Sequence[str] | None,
    missing: Sequence[float],
    duplicates: Duplicates,
) -> Table:
    time, raw = _time_column(raw, time)
    names = [name for name in raw.frame.columns if name != time]
    columns = None if columns is None else named(columns, names)
    for name in columns or ():
        _require(raw, name, "series", names)
    names = [name for name in names if columns is None or name in columns]
    if not names:
        raise SeqsciError(f"{raw.origin}: there is no series beside the time column '{time}'; add a column of numbers")
    raw = _drop_blank_rows(raw, [time, *names])
    times, notes = parse_times(raw, time)
    frame = pl.DataFrame({"": times})
    for name in names:
        found, more = numbers(raw, name, missing)
        frame = frame.with_columns(found.alias(name))
        notes += more
    frame, row, more = _unique(raw, frame, [""], duplicates)
    return _table(frame, raw.lines[row], raw.note(*notes, *more))


def _read_long(
    raw: Raw,
    time: str | None,
    id: str | None,
    value: str | None,
    columns: Sequence[str] | None,
    missing: Sequence[float],
    duplicates: Duplicates,
) -> Table:
    id, value = id or LONG[0], value or LONG[2]
    for name, role in ((id, "id"), (value, "value")):
        _require(raw, name, role, raw.frame.columns)
    time, raw = _time_column(raw, time, avoid=(id, value))
    raw = _drop_blank_rows(raw, [id, time, value])
    others = [name for name in raw.frame.columns if name not in (id, time, value)]
    if others:
        raw = raw.note(
            f"long layout: the columns {', '.join(others)} are not read (give covariates in the wide layout)"
        )
    keys = _series_names(raw, id)
    if columns is not None:
        known = keys.unique().to_list()
        columns = named(columns, known)
        for name in columns:
            _require(raw, name, "series", known)
        mask = keys.is_in(list(columns)).to_numpy()
        raw, keys = raw.keep(mask), keys.filter(pl.Series(mask))
    times, notes = parse_times(raw, time)
    found, more = numbers(raw, value, missing)
    long = pl.DataFrame({"": times, "id": keys, "value": found})
    cells = long[""].n_unique() * long["id"].n_unique()
    if cells > MOST_CELLS:
        raise SeqsciError(f"{raw.origin}, column {id}: names {keys.n_unique()} series, too many to stand side by side")
    long, row, merged = _unique(raw, long, ["", "id"], duplicates)
    keep = pl.Series("\0row", row)
    wide = long.with_columns(keep).pivot(on="id", index="", values="value", aggregate_function="first")
    first = long.with_columns(keep).group_by("").agg(pl.col("\0row").min())
    wide = wide.join(first, on="", how="left", maintain_order="left")
    return _table(wide.drop("\0row"), raw.lines[wide["\0row"].to_numpy()], raw.note(*notes, *more, *merged))


def _table(frame: pl.DataFrame, lines: NDArray[np.int64], raw: Raw) -> Table:
    """Sort by time, name the time column, turn null into NaN."""
    if "time" in frame.columns:
        raise SeqsciError(f"{raw.origin}: a series is called 'time', which is the name of the time itself; rename it")
    notes = raw.notes
    if not frame[""].is_sorted():
        order = frame[""].arg_sort()
        frame, lines = frame[order], lines[order.to_numpy()]
        notes = (*notes, "rows were not in the order of time: sorted")
    zone = zone_of(frame[""])
    frame = frame.rename({"": "time"}).with_columns(pl.all().exclude("time").fill_null(np.nan))
    frame = frame.with_columns(take_zone(frame["time"]))
    return Table(frame=frame, origin=raw.origin, lines=lines, unit=raw.unit, notes=notes, zone=zone)


def _time_column(raw: Raw, given: str | None, avoid: Sequence[str] = ()) -> tuple[str, Raw]:
    """The time column's name, with a note when it was guessed."""
    names = [name for name in raw.frame.columns if name not in avoid]
    if given:
        _require(raw, given, "time", names)
        return given, raw
    small = {name.lower(): name for name in reversed(names)}
    typed = [name for name in names if raw.frame[name].dtype in (pl.Datetime, pl.Date)]
    named = [small[name] for name in TIME_NAMES if name in small]
    guess = next(iter([*typed, *named]), None) or next((n for n in names if _looks_like_time(raw, n)), None)
    if guess is None:
        index = " (of a pandas table whose times are in the index: by reset_index)" if raw.unit == "row" else ""
        raise SeqsciError(
            f"{raw.origin}: no column looks like a time; name it with data.time, or add one{index}; "
            f"columns: {', '.join(names)}"
        )
    return guess, raw.note(f"time column: '{guess}' (guessed)")


def _looks_like_time(raw: Raw, name: str) -> bool:
    """True for text that reads as dates in its first rows; numbers are never guessed to be times."""
    head = raw.keep(np.arange(len(raw.frame)) < 20)
    column = head.frame[name]
    if column.dtype != pl.String or column.cast(pl.Float64, strict=False).is_not_null().any():
        return False
    try:
        parse_times(head, name)
    except SeqsciError as error:
        return "and no row decides it" in str(error)
    return True


def _require(raw: Raw, name: str, role: str, known: Sequence[str]) -> None:
    if name not in known:
        raise SeqsciError(f"{raw.origin}: there is no {role} column '{name}'{nearest(name, known)}")


def _drop_blank_rows(raw: Raw, names: list[str]) -> Raw:
    """Without the rows in which no wanted column holds anything."""
    blank = raw.frame.select(
        pl.all_horizontal(pl.col(n).is_null() | (pl.col(n).cast(pl.String).str.strip_chars() == "") for n in names)
        if all(raw.frame[n].dtype == pl.String for n in names)
        else pl.all_horizontal(pl.col(n).is_null() for n in names)
    ).to_series()
    if blank.all():
        raise SeqsciError(f"{raw.origin}: no row holds anything in the columns that are read; fill in times and values")
    return raw.keep(~blank.to_numpy()) if blank.any() else raw


def _series_names(raw: Raw, id: str) -> pl.Series:
    try:
        keys = raw.frame[id].cast(pl.String)
    except pl.exceptions.PolarsError:
        raise SeqsciError(f"{raw.origin}, column {id}: holds no names of series; choose another id column") from None
    keys = keys.str.strip_chars().replace("", None)
    if keys.null_count():
        raise SeqsciError(
            f"{raw.at(int(keys.is_null().arg_max() or 0), id)}: the name of the series is blank; fill it in"
        )
    return keys


def _unique(
    raw: Raw, frame: pl.DataFrame, keys: list[str], duplicates: Duplicates
) -> tuple[pl.DataFrame, NDArray[np.int64], tuple[str, ...]]:
    """One row per key: the frame, the row of `raw` each came from, and notes.

    Rows of one key that do not contradict each other are merged, a blank giving way to a value.
    """
    frame = frame.with_row_index("\0row")
    double = frame.select(pl.struct(keys).is_duplicated()).to_series()
    if not double.any():
        return frame.drop("\0row"), frame["\0row"].to_numpy().astype(np.int64), ()
    twice = frame.filter(double)
    values = [name for name in frame.columns if name not in (*keys, "\0row")]
    clash = twice.group_by(keys).agg(pl.col(values).drop_nulls().n_unique() > 1)
    count = clash.filter(pl.any_horizontal(values)).height
    if count and duplicates == "refuse":
        raise _contradiction(raw, twice, keys, clash, values)
    pick = pl.col(values).mean() if duplicates == "mean" else pl.col(values).drop_nulls().first()
    merged = twice.group_by(keys).agg(pl.col("\0row").min(), pick)
    frame = pl.concat([frame.filter(~double), merged.select(frame.columns)]).sort("\0row")
    first = twice.sort("\0row")[""][0]
    notes = [f"rows that repeat a time: {len(twice) - len(merged)} (the first at {first}), merged"]
    if count:
        notes.append(f"times with different values: {count}, the {duplicates} taken")
    return frame.drop("\0row"), frame["\0row"].to_numpy().astype(np.int64), tuple(notes)


def _contradiction(
    raw: Raw, twice: pl.DataFrame, keys: list[str], clash: pl.DataFrame, values: list[str]
) -> SeqsciError:
    """The sentence about the first time with two different values."""
    bad = twice.join(clash.filter(pl.any_horizontal(values)).select(keys), on=keys, how="semi").sort("\0row")
    same = bad.join(bad.head(1).select(keys), on=keys, how="semi").sort("\0row")
    name = next(n for n in values if same[n].drop_nulls().n_unique() > 1)
    pair = same.filter(pl.col(name).is_not_null()).unique(name, maintain_order=True, keep="first")
    one, two = (raw.lines[int(pair["\0row"][i])] for i in (0, 1))
    series = same["id"][0] if "id" in keys else name
    return SeqsciError(
        f"{raw.origin}, {raw.unit}s {one} and {two}, series {series}: {same[''][0]} stands twice, "
        f"with {pair[name][0]:g} and {pair[name][1]:g}; correct it, set data.duplicates to first or mean, or, "
        f"at a change of the clock, give the times with their zone (+02:00); if each series has rows of "
        "its own, name their column with data.id"
    )
