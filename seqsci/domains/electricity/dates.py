"""Columns of time stamps -> Datetime in microseconds, with a zone where one was given."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.domains.electricity.raw import Raw
from seqsci.errors import SeqsciError

CLOCK = (
    r"(?:[T ,]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<half>[AaPp])?(?:\.?[Mm]\.?)?\s*(?P<zone>Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?$"
)
FORMS = {
    "year first": r"^(?P<year>\d{4})[-/.](?P<month>\d{1,2})(?:[-/.](?P<day>\d{1,2}))?" + CLOCK,
    "compact": r"^(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})" + CLOCK,
    "year last": r"^(?P<a>\d{1,2})(?P<mark>[-/.])(?P<b>\d{1,2})[-/.](?P<year>\d{4})" + CLOCK,
    "day, month's name": r"^(?P<day>\d{1,2})[- .]+(?P<name>[A-Za-z]{3,9})[- .,]+(?P<year>\d{4})" + CLOCK,
    "month's name, day": r"^(?P<name>[A-Za-z]{3,9})[- .]+(?P<day>\d{1,2})[- ,]+(?P<year>\d{4})" + CLOCK,
    "month's name, year": r"^(?P<name>[A-Za-z]{3,9})[- .,]+(?P<year>\d{4})$",
    "quarter": r"^(?P<year>\d{4})[- ]?[Qq](?P<quarter>[1-4])$",
}
MONTHS = {
    m: i for i, m in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1)
}
WRITE = "write it like 2020-12-31 23:00"
EPOCHS = (("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9))
FIRST_EPOCH, LAST_EPOCH = 631_152_000, 2_051_222_400  # 1990 and 2035
COUNT_FROM = "2000-01-01"
"""The date that the first row gets where rows are only counted."""

Times = tuple[pl.Series, tuple[str, ...]]


def parse_times(raw: Raw, name: str) -> Times:
    """The column as Datetime("us") without nulls, in the order of the rows, and notes.

    Its zone is the one that forecasts are given back in: that of the column, else UTC.

    Dates year first, with the name of the month, or day/month/year where the column decides the order; with a
    time of day or without. Whole numbers: years, dates as 20201231, seconds (or smaller units) since 1970, or
    rows counted from 0 or 1, which are taken for days from 2000-01-01 on (the note says so). A quarter or a
    month is its first day.

    Raises:
        SeqsciError: a blank, an unknown form or an ambiguous order, with the line.
    """
    column = raw.frame[name]
    if column.dtype.is_float():
        column = column.fill_nan(None)
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        column = column.cast(pl.String).str.strip_chars().replace("", None)
    if column.null_count():
        row = int(column.is_null().arg_max() or 0)
        raise SeqsciError(f"{raw.at(row, name)}: the time is blank; every row needs its time")
    if isinstance(column.dtype, pl.Datetime):
        return _from_datetime(column)
    if column.dtype == pl.Date:
        return column.cast(pl.Datetime("us")), ()
    if column.dtype.is_numeric():
        return _from_numbers(raw, column)
    if column.dtype == pl.String:
        return _from_text(raw, column)
    raise SeqsciError(
        f"{raw.origin}, column {name}: holds {column.dtype}, not times; name the time column with data.time"
    )


def _from_datetime(column: pl.Series) -> Times:
    zone = zone_of(column)
    return column.cast(pl.Datetime("us", zone or None)), _zone_notes(zone)


def zone_of(times: pl.Series) -> str:
    """The zone of a column of times; "" where it has none."""
    return getattr(times.dtype, "time_zone", None) or ""


def give_zone(times: pl.Series, zone: str) -> pl.Series:
    """Times in UTC, without a zone, as times of a zone; "" leaves them alone."""
    return times.dt.replace_time_zone("UTC").dt.convert_time_zone(zone) if zone else times


def take_zone(times: pl.Series) -> pl.Series:
    """The inverse of `give_zone`."""
    return times.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zone_of(times) else times


def on_the_clock(times: NDArray[np.generic], zone: str) -> NDArray[np.generic]:
    """Times in UTC as the clocks of a zone show them; "" leaves them alone."""
    return give_zone(pl.Series(times), zone).dt.replace_time_zone(None).to_numpy() if zone else times


def spoken(zone: str) -> str:
    """A zone as people say it: Etc/GMT-2 lies two hours before UTC."""
    match = re.fullmatch(r"Etc/GMT([+-])(\d+)", zone)
    return f"UTC{'-' if match[1] == '+' else '+'}{int(match[2]):02d}:00" if match else zone


def _zone_notes(zone: str) -> tuple[str, ...]:
    if zone in ("", "UTC"):
        return ()
    return (f"time column: in {spoken(zone)}; times are told in UTC, forecasts given in {spoken(zone)}",)


def _from_text(raw: Raw, column: pl.Series) -> Times:
    usual = column.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us")
    if not usual.null_count():
        return usual, ()
    figures = column.cast(pl.Float64, strict=False)
    if not figures.null_count():
        whole = column.cast(pl.Int64, strict=False)
        return _from_numbers(raw, figures if whole.null_count() else whole)
    matches = {form: column.str.contains(pattern) for form, pattern in FORMS.items()}
    form = max(matches, key=lambda key: int(matches[key].sum()))
    bad = ~matches[form]
    if bad.any():
        row = int(bad.arg_max() or 0)
        others = (
            "" if not matches[form].any() else f" of the same form as '{column[int(matches[form].arg_max() or 0)]}'"
        )
        raise SeqsciError(f"{raw.at(row, column.name)}: '{column[row][:40]}' is not a date{others}; {WRITE}")
    parts = column.str.extract_groups(FORMS[form]).struct.unnest()
    parts, notes = _name_parts(raw, column, parts)
    return _assemble(raw, column, parts, notes)


def _name_parts(raw: Raw, column: pl.Series, parts: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Add the columns `month` and `day`, whichever way the form gives them."""
    notes: tuple[str, ...] = ()
    if "a" in parts.columns:
        first, notes = _day_is_first(raw, column, parts)
        day, month = ("a", "b") if first else ("b", "a")
        parts = parts.with_columns(day=pl.col(day), month=pl.col(month))
    if "name" in parts.columns:
        short = pl.col("name").str.to_lowercase().str.slice(0, 3)
        parts = parts.with_columns(month=short.replace_strict(MONTHS, default=0, return_dtype=pl.Int64))
    if "quarter" in parts.columns:
        parts = parts.with_columns(month=pl.col("quarter").cast(pl.Int64) * 3 - 2)
    blank = [pl.lit(None, pl.String).alias(p) for p in ("day", *CLOCK_PARTS) if p not in parts.columns]
    return parts.with_columns(blank), notes


CLOCK_PARTS = ("hour", "minute", "second", "fraction", "half", "zone")


def _day_is_first(raw: Raw, column: pl.Series, parts: pl.DataFrame) -> tuple[bool, tuple[str, ...]]:
    """Whether 3/4/2020 is 3 April: one number above 12 decides for the whole column."""
    day_rows, month_rows = parts["a"].cast(pl.Int64) > 12, parts["b"].cast(pl.Int64) > 12
    if day_rows.any() and month_rows.any():
        rows = [int(which.arg_max() or 0) for which in (day_rows, month_rows)]
        raise SeqsciError(
            f"{raw.at(max(rows), column.name)}: '{column[max(rows)]}' has day and month in another order "
            f"than '{column[min(rows)]}' in {raw.unit} {raw.lines[min(rows)]}; {WRITE}"
        )
    if day_rows.any() or month_rows.any():
        order = "day/month/year" if day_rows.any() else "month/day/year"
        return bool(day_rows.any()), (f"time column: read as {order}",)
    if (parts["mark"] == ".").all():
        return True, ("time column: read as day.month.year",)
    row = int((parts["a"] != parts["b"]).arg_max() or 0)
    raise SeqsciError(
        f"{raw.at(row, column.name)}: '{column[row]}' can be day/month or month/day, and no row decides it; {WRITE}"
    )


def _assemble(raw: Raw, column: pl.Series, parts: pl.DataFrame, notes: tuple[str, ...]) -> Times:
    whole = [pl.col(p).cast(pl.Int64).fill_null(0) for p in ("year", "month", "hour", "minute", "second")]
    table = parts.select(
        *whole,
        pl.col("day").cast(pl.Int64).fill_null(1),
        micro=(pl.col("fraction").str.pad_end(9, "0").cast(pl.Int64) // 1000).fill_null(0),
        half=pl.col("half").str.to_lowercase(),
    ).with_columns(limit=_days_in_month())
    half_day = pl.col("half").is_not_null()
    good = (
        pl.col("year").is_between(1, 9998)
        & pl.col("month").is_between(1, 12)
        & (pl.col("day") >= 1)
        & (pl.col("day") <= pl.col("limit"))
        & pl.when(half_day).then(pl.col("hour").is_between(1, 12)).otherwise(pl.col("hour") <= 23)
        & (pl.col("minute") <= 59)
        & (pl.col("second") <= 59)
    )
    bad = ~table.select(good).to_series()
    if bad.any():
        row = int(bad.arg_max() or 0)
        midnight = " (24:00 is 00:00 of the next day)" if table["hour"][row] == 24 else ""
        raise SeqsciError(f"{raw.at(row, column.name)}: '{column[row]}' is not in the calendar{midnight}; {WRITE}")
    hour = pl.when(half_day).then(pl.col("hour") % 12 + 12 * (pl.col("half") == "p")).otherwise(pl.col("hour"))
    times = table.select(
        pl.datetime("year", "month", "day", hour, "minute", "second", "micro", time_unit="us").alias(column.name)
    ).to_series()
    return _to_utc(raw, column, times, parts["zone"], notes)


def _days_in_month() -> pl.Expr:
    year, month = pl.col("year"), pl.col("month")
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    short = pl.when(month == 2).then(28 + leap.cast(pl.Int64)).otherwise(30)
    return pl.when(month.is_in([2, 4, 6, 9, 11])).then(short).otherwise(31)


def _to_utc(raw: Raw, column: pl.Series, times: pl.Series, zone: pl.Series, notes: tuple[str, ...]) -> Times:
    if zone.null_count() == len(zone):
        return times, notes
    if zone.null_count():
        row = int(zone.is_null().arg_max() or 0)
        raise SeqsciError(
            f"{raw.at(row, column.name)}: '{column[row]}' has no time zone, other rows have; give all or none"
        )
    parts = zone.str.extract_groups(r"^(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2})?$").struct.unnest()
    minutes = parts.select(
        (pl.col("hours").cast(pl.Int64) * 60 + pl.col("minutes").cast(pl.Int64).fill_null(0))
        * pl.when(pl.col("sign") == "-").then(-1).otherwise(1)
    ).to_series()
    minutes = minutes.fill_null(0)
    shifted = times - (minutes * 60_000_000).cast(pl.Duration("us"))
    name = _zone_name(minutes.unique().to_list())
    told = _zone_notes(name) or ("time column: has time zones, converted to UTC; forecasts are given in it",)
    return give_zone(shifted.alias(column.name), name), (*notes, *told)


def _zone_name(minutes: list[int]) -> str:
    """The zone of these distances from UTC; UTC where they change, or where no zone stands for one."""
    first = minutes[0]
    if len(minutes) > 1 or first % 60 or not -720 <= first <= 840 or not first:
        return "UTC"
    return f"Etc/GMT{-first // 60:+d}"  # named the other way round


def _from_numbers(raw: Raw, column: pl.Series) -> Times:
    values = column.cast(pl.Float64)
    where = f"{raw.origin}, column {column.name}"
    if not values.is_finite().all() or (values.abs() > 9e18).any():
        raise SeqsciError(f"{where}: holds numbers that are no times; {WRITE}")
    low, high = float(values.min() or 0), float(values.max() or 0)  # type: ignore[arg-type]
    whole = bool((values == values.round(0)).all())
    for unit, scale in EPOCHS:
        if low >= FIRST_EPOCH * scale and high <= LAST_EPOCH * scale:
            return _from_epoch(column, unit, scale)
    if whole and low >= 1583 and high <= 2200:
        dates = [f"{int(year)}-01-01" for year in values]
        return pl.Series(column.name, dates).str.to_datetime(time_unit="us"), ("time column: holds years",)
    if whole and low >= 16_000_101 and high <= 22_001_231:
        return _from_text(raw, (column.cast(pl.Int64).cast(pl.String) + "T00:00"))
    if whole and low in (0, 1) and high < 1e7:
        start = pl.Series([COUNT_FROM]).str.to_datetime(time_unit="us")
        times = start[0] + ((values - low).cast(pl.Int64) * 86_400_000_000).cast(pl.Duration("us"))
        note = (
            f"time column: counts rows and holds no dates; taken for days from {COUNT_FROM} on, "
            "so its calendar means nothing"
        )
        return times.alias(column.name), (note,)
    hint = " (serial dates of a spreadsheet? format the column as a date there)" if 20_000 < low < high < 80_000 else ""
    raise SeqsciError(f"{raw.at(0, column.name)}: '{column[0]:g}' is a number, not a date{hint}; {WRITE}")


def _from_epoch(column: pl.Series, unit: str, scale: int) -> Times:
    exact = column if column.dtype.is_integer() else column.cast(pl.Float64)
    micro = exact * (10**6 // scale) if scale <= 10**6 else exact // 1000
    if not column.dtype.is_integer():
        micro = micro.round(0)
    times = micro.cast(pl.Int64).cast(pl.Datetime("us"))
    return give_zone(times.alias(column.name), "UTC"), (f"time column: {unit} since 1970, in UTC",)
