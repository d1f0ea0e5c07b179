"""When a survey like LSST looks, through which passband, and what noise and dust make of the flux: all simulated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAYS, YEAR, SEASON = 1095.0, 365.25, 190.0
"""Length of the survey and of a year, and how long a field is up each year, days."""
DEEP_SHARE = 0.1
"""Share of the objects that lie in a deep-drilling field (DDF); the rest is wide, fast and deep (WFD)."""
VISITS = 160
"""Visits drawn per object; more than any object needs."""
WIDE_COUNTS = np.array([[0.05, 95, 20], [0.40, 115, 8], [0.55, 138, 8]])  # weight, mean, standard deviation
WIDE_BANDS = np.array([0.07, 0.10, 0.22, 0.22, 0.20, 0.19])  # u g r i z y
LOG_NOISE = np.array(
    [
        [[2.34, 0.43], [0.94, 0.41], [1.30, 0.41], [1.82, 0.42], [2.56, 0.36], [3.33, 0.37]],  # WFD
        [[0.68, 0.26], [0.25, 0.50], [0.16, 0.36], [0.53, 0.27], [0.88, 0.22], [1.76, 0.23]],  # DDF
    ]
)
"""(field, band, 2) mean and standard deviation of the natural logarithm of the error in FLUXCAL (avocado)."""
CALIBRATION = 0.005  # error relative to the flux that no exposure goes below
THRESHOLD = 5.5  # S/N at which half of the observations are detected
REDDENING = np.array([4.145, 3.237, 2.273, 1.684, 1.323, 1.088])
"""A_b / E(B-V) of LSST's u to y (Schlafly & Finkbeiner 2011)."""


@dataclass(frozen=True, kw_only=True)
class Visits:
    """Observations of n objects, object by object and then by time.

    `time` (rows,) days since the start of the survey; `band` (rows,) 0 to 5 for u to y; `owner` (rows,) the object;
    `counts` (n,) rows of each; `deep` (n,) whether it lies in a deep-drilling field.
    """

    time: Floats
    band: Ints
    owner: Ints
    counts: Ints
    deep: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def starts(self) -> Ints:
        """(n,) the first row of each object."""
        return np.cumsum(self.counts) - self.counts


def draw_visits(rng: np.random.Generator, n: int) -> Visits:
    """The cadence of n objects.

    WFD: nights every 2 days in season, one passband a visit, half of the visits with another 29 minutes later.
    DDF: every 6 days, g r i z y one after the other, or u alone.
    """
    deep = rng.random(n) < DEEP_SHARE
    two, wanted = rng.random((n, VISITS)), _wanted(rng, deep)
    rows = np.where(deep[:, None], np.where(two < 0.9, 5, 1), np.where(two < 0.5, 2, 1))
    rows *= np.cumsum(rows, axis=1) - rows < wanted[:, None]
    night = _nights(rng, deep)
    flat = rows.ravel()
    owner = np.repeat(np.arange(n), rows.sum(axis=1))
    step = np.arange(len(owner)) - np.repeat(np.cumsum(flat) - flat, flat)
    wide = np.searchsorted(np.cumsum(WIDE_BANDS)[:-1], rng.random(len(owner)), side="right")
    band = np.where(deep[owner], np.where(np.repeat(flat, flat) == 5, step + 1, 0), wide)
    time = np.repeat(night.ravel(), flat) + step * np.where(deep[owner], 0.003, 0.02)
    order = np.lexsort((time, owner))
    return Visits(time=time[order], band=band[order], owner=owner, counts=rows.sum(axis=1), deep=deep)


def _wanted(rng: np.random.Generator, deep: NDArray[np.bool_]) -> Ints:
    """(n,) how many observations each object gets, give or take those of the last visit."""
    weight, mean, std = WIDE_COUNTS.T
    kind = np.searchsorted(np.cumsum(weight)[:-1], rng.random(len(deep)), side="right")
    normal = rng.normal(size=len(deep))
    wide = np.clip(mean[kind] + std[kind] * normal, 50, VISITS)
    return np.where(deep, np.clip(330 + 30 * normal, 200, 400), wide).astype(np.int64)


def _nights(rng: np.random.Generator, deep: NDArray[np.bool_]) -> Floats:
    """(n, VISITS) times of the visits: nights on the grid of the field, when it is up."""
    n = len(deep)
    # Three years are three seasons end to end; a field whose season is cut by the start goes on at the end.
    up = rng.uniform(0, 3 * SEASON, (n, VISITS))
    day = (rng.uniform(0, YEAR, (n, 1)) + up // SEASON * YEAR + up % SEASON) % DAYS
    every = np.where(deep, 6.0, 2.0)[:, None]
    hour = rng.uniform(0.15, 0.45, (n, 1)) + np.clip(rng.normal(0, 0.03, (n, VISITS)), -0.15, 0.15)
    nights: Floats = day // every * every + hour
    return nights


@dataclass(frozen=True, kw_only=True)
class Observed:
    """`flux`, `error` (rows,) FLUXCAL, corrected for the dust of the Milky Way; `detected` (rows,)."""

    flux: Floats
    error: Floats
    detected: NDArray[np.bool_]


def observe(rng: np.random.Generator, visits: Visits, flux: Floats) -> Observed:
    """What the survey reports of a difference flux (rows,) above the Galaxy, in FLUXCAL.

    The dust dims the flux, the sky adds its noise, and both are divided by the transmission again, as the catalogue
    of PLAsTiCC does: behind much dust the errors are larger. P(detected) = (1 + erf((|S/N| - 5.5) / 2)) / 2.
    That finds noise too: 0.15 % of the observations of nothing, so that 1.5 % of the empty places in WFD and 8 % in DDF
    have two detections.
    """
    mean = np.where(visits.deep, 0.02, 0.06)
    dust = np.minimum(rng.exponential(mean) + 0.005, 0.8)  # E(B-V), magnitudes
    transmission = 10 ** (-0.4 * REDDENING[visits.band] * dust[visits.owner])
    seen = flux * transmission
    log_mean, log_std = LOG_NOISE[visits.deep[visits.owner].astype(int), visits.band].T
    error = np.hypot(np.exp(rng.normal(log_mean, log_std)), CALIBRATION * seen)
    seen = seen + error * rng.normal(size=len(seen))
    # (1 + erf(x / 2)) / 2 is the chance that a normal deviate of standard deviation sqrt(2) is below x.
    detected = np.abs(seen) / error + np.sqrt(2) * rng.normal(size=len(seen)) > THRESHOLD
    return Observed(flux=seen / transmission, error=error / transmission, detected=detected)
