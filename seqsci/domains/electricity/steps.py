"""Regular steps in time: inferred, laid out as a grid, and turned into calendar marks.

A step is written as polars writes it: "15m", "1h", "1d", "1bd" (Monday to Friday), "1w", "1mo", "1q", "1y".
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from seqsci.errors import SeqsciError

Times = NDArray[np.datetime64]
Whole = NDArray[np.int64]
MICRO = {
    "us": 1,
    "ms": 10**3,
    "s": 10**6,
    "m": 60 * 10**6,
    "h": 3600 * 10**6,
    "d": 86_400 * 10**6,
    "w": 7 * 86_400 * 10**6,
}
"""Microseconds of the units that always last the same."""
MONTHS = {"mo": 1, "q": 3, "y": 12}
DAY = MICRO["d"]
SHARE = 0.5
"""A distance in time counts as the step when at least this share of the rows keeps it."""


def parse_step(step: str) -> tuple[int, str]:
    """ "15m" -> (15, "m").

    Raises:
        SeqsciError: not a step.
    """
    match = re.fullmatch(r"([1-9]\d{0,8})(us|ms|s|m|h|d|bd|w|mo|q|y)", step)
    if not match or (match[2] == "bd" and match[1] != "1"):
        raise SeqsciError(f"step: '{step}' is not a step in time; write it like 15m, 1h, 1d, 1bd, 1w, 1mo, 1q or 1y")
    return int(match[1]), match[2]


def infer_step(times: Times) -> str:
    """The step that most rows keep.

    Args:
        times: (N,) datetime64[us], rising.

    Raises:
        SeqsciError: fewer than two rows, or no distance that half of the rows keep; without the file's name.
    """
    if len(times) < 2:
        raise SeqsciError("one row gives no step in time; give more rows, or data.step")
    gaps = np.diff(times).astype(np.int64)
    if np.median(gaps) >= 27 * DAY and (months := _month_step(times)):
        return months
    values, counts = np.unique(gaps, return_counts=True)
    best = int(np.argmax(counts))
    if counts[best] < SHARE * len(gaps):
        raise SeqsciError(
            f"its times keep no regular distance (the most common, {_written(int(values[best]))}, is kept by "
            f"{counts[best]} of {len(gaps)} rows); bring the rows to a regular grid, or give data.step"
        )
    return "1bd" if _is_business(times, gaps) else _written(int(values[best]))


def _month_step(times: Times) -> str | None:
    """A step of months when nine rows of ten stand on the same day of the month, or on its last one."""
    day = _calendar_day(times)
    wanted = _on_month_day(_month_number(times), day)
    if np.mean(_day(times) == wanted) < 0.9:
        return None
    gaps = np.diff(_month_number(times))
    values, counts = np.unique(gaps[gaps > 0], return_counts=True)
    months = int(values[np.argmax(counts)])
    for unit, length in (("y", 12), ("q", 3), ("mo", 1)):
        if months % length == 0 and (unit != "q" or months == 3):
            return f"{months // length}{unit}"
    return None


def _is_business(times: Times, gaps: Whole) -> bool:
    """Daily rows over a week-end and more, none of them on one."""
    one_clock = len(np.unique(_clock(times))) == 1
    return one_clock and len(times) >= 6 and bool((gaps == 3 * DAY).any()) and bool((_weekday(times) < 5).all())


def _written(micro: int) -> str:
    for unit in ("w", "d", "h", "m", "s", "ms"):
        if micro % MICRO[unit] == 0:
            return f"{micro // MICRO[unit]}{unit}"
    return f"{micro}us"


def grid(times: Times, step: str) -> Times:
    """Every time of the step's grid from the first of `times` to the last, both rounded outward.

    The grid's phase (minute of the hour, day of the month) is the one that most of `times` have.

    Args:
        times: (N,) datetime64[us], rising, N >= 1.
        step: such as "1h".
    """
    count, unit = parse_step(step)
    if unit in MONTHS:
        months = _month_number(times)
        size = count * MONTHS[unit]
        first = months[0] - (months[0] - _commonest(months % size)) % size
        days = _on_month_day(np.arange(first, months[-1] + 1, size), _calendar_day(times))
        return _stamps(days * DAY + _commonest(_clock(times)))
    if unit == "bd":
        days = np.arange(_day(times[:1])[0], _day(times[-1:])[0] + 1)
        return _stamps(days[(days + 3) % 7 < 5] * DAY + _commonest(_clock(times)))
    size = count * MICRO[unit]
    micro = _micro(times)
    first = micro[0] - (micro[0] - _commonest(micro % size)) % size
    return _stamps(np.arange(first, micro[-1] + 1, size))


def grid_length(times: Times, step: str) -> int:
    """About how many times `grid` would give, without making them."""
    count, unit = parse_step(step)
    size = count * (30 * DAY * MONTHS[unit] if unit in MONTHS else MICRO.get(unit, DAY))
    first, last = _micro(times[[0, -1]])
    return int(last - first) // size + 1


def future_times(last: Times | np.datetime64, step: str, horizon: int) -> Times:
    """The `horizon` times that follow, (H,) datetime64[us].

    Args:
        last: the last time stamp, or all of them (N,): then the day of the month is taken from all. From one
            alone, the last day of a month means the last day of every month.
        step: such as "1mo"; a month too short for the day gives its last day.
        horizon: H >= 1.
    """
    times = np.atleast_1d(np.asarray(last, dtype="datetime64[us]"))
    count, unit = parse_step(step)
    ahead = np.arange(1, horizon + 1)
    if unit in MONTHS:
        months = _month_number(times[-1:]) + ahead * count * MONTHS[unit]
        return _stamps(_on_month_day(months, _calendar_day(times)) * DAY + _clock(times[-1:]))
    if unit == "bd":
        days = np.busday_offset(times[-1].astype("datetime64[D]"), ahead, roll="backward")
        return _stamps(days.astype(np.int64) * DAY + _clock(times[-1:]))
    return _stamps(_micro(times[-1:]) + ahead * count * MICRO[unit])


def season(step: str) -> int:
    """Steps of the season that a seasonal-naive forecast repeats.

    A day for steps below a day (24 for "1h", 96 for "15m"), a week for days (7; 5 for "1bd"), a year for
    weeks, months and quarters (52, 12, 4), 1 for years.
    """
    count, unit = parse_step(step)
    if unit == "bd":
        return 5
    if unit in MONTHS:
        return max(1, round(12 / (count * MONTHS[unit])))
    if unit == "w":
        return max(1, round(52 / count))
    if count * MICRO[unit] >= DAY:
        return max(1, round(7 * DAY / (count * MICRO[unit])))
    return round(DAY / (count * MICRO[unit]))


def calendar_marks(times: NDArray[np.generic], step: str) -> NDArray[np.float32]:
    """Where each time lies in the hour, day, week, month and year, (N, T) float32 in [-0.5, 0.5].

    As the published protocol has them: steps below a minute: second, then as minutes; minutes:
    minute / 59 - .5, then as hours: hour / 23 - .5, then as days: day of week / 6 - .5 (Monday 0), (day of
    month - 1) / 30 - .5, (day of year - 1) / 365 - .5. Weeks: day of month, (ISO week - 1) / 52 - .5. Months
    and quarters: (month - 1) / 11 - .5. Years, where the protocol has no mark: (year - 2000) / 100, clipped.

    Args:
        times: (N,) datetime64.
        step: such as "1h"; it decides which marks there are.
    """
    count, unit = parse_step(step)
    stamps = np.asarray(times, dtype="datetime64[us]")
    if unit == "y":
        marks = [np.clip((_year(stamps) - 2000) / 100, -0.5, 0.5)]
    elif unit in MONTHS:
        marks = [_month_number(stamps) % 12 / 11 - 0.5]
    elif unit == "w":
        marks = [_day_of_month(stamps) / 30 - 0.5, _iso_week(stamps) / 52 - 0.5]
    else:
        marks = [
            _weekday(stamps) / 6 - 0.5,
            _day_of_month(stamps) / 30 - 0.5,
            _day_of_year(stamps) / 365 - 0.5,
        ]
        clock = _clock(stamps)
        size = DAY if unit == "bd" else count * MICRO[unit]
        # From the coarse to the fine: a mark for each part of the clock that the step moves.
        for part, top, length in (("h", 23, 24), ("m", 59, 60), ("s", 59, 60)):
            finer = {"h": DAY, "m": MICRO["h"], "s": MICRO["m"]}[part]
            if size % finer:
                marks.insert(0, clock // MICRO[part] % length / top - 0.5)
    return np.stack(marks, axis=1).astype(np.float32)


def _commonest(values: Whole) -> int:
    found, counts = np.unique(values, return_counts=True)
    return int(found[np.argmax(counts)])


def _micro(times: Times) -> Whole:
    """Microseconds since 1970."""
    return times.astype("datetime64[us]").astype(np.int64)


def _stamps(micro: Whole) -> Times:
    return micro.astype("datetime64[us]")


def _day(times: Times) -> Whole:
    """Days since 1970."""
    return times.astype("datetime64[D]").astype(np.int64)


def _clock(times: Times) -> Whole:
    """Time of day in microseconds."""
    return np.mod(_micro(times), DAY)


def _weekday(times: Times) -> Whole:
    """0 Monday to 6 Sunday; 1 January 1970 was a Thursday."""
    return np.mod(_day(times) + 3, 7)


def _year(times: Times) -> Whole:
    return times.astype("datetime64[Y]").astype(np.int64) + 1970


def _month_number(times: Times) -> Whole:
    """Months since January 1970."""
    return times.astype("datetime64[M]").astype(np.int64)


def _month_start(months: Whole) -> Whole:
    """Months since January 1970 -> the day (since 1970) on which they begin."""
    return _day(months.astype("datetime64[M]"))


def _day_of_month(times: Times) -> Whole:
    """From 0."""
    return np.subtract(_day(times), _month_start(_month_number(times)))


def _day_of_year(times: Times) -> Whole:
    """From 0."""
    return np.subtract(_day(times), _day(times.astype("datetime64[Y]")))


def _iso_week(times: Times) -> Whole:
    """From 0: the week of a day is numbered by its Thursday."""
    thursday = _day(times) + 3 - _weekday(times)
    return np.floor_divide(_day_of_year(thursday.astype("datetime64[D]")), 7)


def _calendar_day(times: Times) -> int:
    """The day of the month, from 0, on which monthly rows stand; 30 for "the last day"."""
    days = _day_of_month(times)
    last = _month_start(_month_number(times) + 1) - _month_start(_month_number(times)) - 1
    ends = np.mean(days == last) >= 0.9
    return 30 if ends else _commonest(days)


def _on_month_day(months: Whole, day: int) -> Whole:
    """That day of each month, or the month's last one where it is shorter, in days since 1970."""
    start = _month_start(months)
    days: Whole = start + np.minimum(_month_start(months + 1) - start - 1, day)
    return days
