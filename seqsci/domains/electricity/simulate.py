"""A small city that does not exist: hourly load of four zones, and the air temperature."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ZONES = ("zone_north", "zone_south", "zone_east", "zone_west")
START = datetime(2023, 11, 1)
HOLIDAYS = ("12-25", "12-26", "01-01", "05-01", "10-03")
"""Days (month-day) that are lived like a Sunday."""
BASE = np.array([420.0, 310.0, 180.0, 560.0])  # MW
BUSINESS = np.array([0.35, 0.6, 0.9, 0.5])  # share of offices and works; the rest are homes
HEATING = np.array([6.0, 4.5, 1.5, 7.0])  # MW per degree C below 16
COOLING = np.array([4.0, 6.0, 2.5, 8.0])  # MW per degree C above 21


def simulate(seed: int = 0, hours: int = 5000) -> pl.DataFrame:
    """SIMULATED hourly load of four zones (MW) and temperature (degree C), the same on every machine.

    Columns: time, zone_north, zone_south, zone_east, zone_west, temperature; `hours` rows from 2023-11-01.
    The load has a daily and a weekly cycle by the mix of homes and offices, holidays, heating and cooling
    that lag behind the air by some hours, a slow growth, and noise that remembers the hours before.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    t = np.arange(hours, dtype=np.float64)
    air = _temperature(t, rng)
    felt = _remember(air, 0.85) * (1 - 0.85)
    load = BASE * (0.55 + 0.45 * _activity(t)) * (1 + 0.02 * t[:, None] / 8760)
    load += HEATING * np.maximum(16 - felt, 0)[:, None] + COOLING * np.maximum(felt - 21, 0)[:, None]
    shared = _remember(rng.normal(size=hours), 0.9)
    own = np.stack([_remember(rng.normal(size=hours), 0.7) for _ in ZONES], axis=1)
    load *= 1 + 0.008 * shared[:, None] + 0.006 * own
    # Rounding hides what the last bits of sin and exp owe to the machine.
    frame = pl.DataFrame({name: np.round(load[:, i], 2) for i, name in enumerate(ZONES)})
    times = pl.datetime_range(START, START + timedelta(hours=hours - 1), "1h", time_unit="us", eager=True)
    return frame.with_columns(temperature=np.round(air, 1) + 0.0).insert_column(0, times.alias("time"))


def _temperature(t: Floats, rng: np.random.Generator) -> Floats:
    """Year, day and weather, degree C."""
    day_of_year = t / 24 + START.timetuple().tm_yday
    year = 11 - 10 * np.cos(2 * np.pi * (day_of_year - 20) / 365.25)
    day = -(2 + 1.5 * (year > 11)) * np.cos(2 * np.pi * (t - 3) / 24)
    weather = 0.35 * _remember(rng.normal(size=len(t)), 0.99) + 0.2 * _remember(rng.normal(size=len(t)), 0.5)
    air: Floats = year + day + weather
    return air


def _activity(t: Floats) -> Floats:
    """(hours, zones) how busy each zone is, about 0 to 1."""
    days = np.datetime64(START, "D") + (t // 24).astype(np.int64)
    rest = np.isin(_month_day(days), HOLIDAYS)
    free = rest | ((days.astype(np.int64) + 3) % 7 >= 5)
    hour = t % 24
    home = 0.2 + 0.45 * _bump(hour, 7.5, 1.8) * np.where(free, 0.5, 1.0) + 0.8 * _bump(hour, 19.5, 2.8)
    home = home + 0.25 * _bump(hour, 12.5, 2.5) * (1 + free)
    work = 0.12 + np.where(free, 0.18, 0.85) * _bump(hour, 12.5, 4.2)
    return BUSINESS * work[:, None] + (1 - BUSINESS) * home[:, None]


def _month_day(days: NDArray[np.datetime64]) -> NDArray[np.str_]:
    unique, index = np.unique(days, return_inverse=True)
    return np.array([str(day)[5:] for day in unique])[index]


def _bump(hour: Floats, middle: float, width: float) -> Floats:
    """1 at `middle` o'clock, falling off on both sides, across midnight too."""
    away = np.abs((hour - middle + 12) % 24 - 12)
    return np.exp(-0.5 * (away / width) ** 2)


def _remember(noise: Floats, keep: float) -> Floats:
    """y[t] = keep * y[t-1] + noise[t] from the mean of the first values on, to 12 digits."""
    length = int(np.ceil(np.log(1e-12) / np.log(keep)))
    start = np.full(length, noise[:24].mean())
    return np.convolve(np.concatenate([start, noise]), keep ** np.arange(length))[length : length + len(noise)]
