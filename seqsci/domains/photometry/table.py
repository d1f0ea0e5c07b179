"""What every reader and the simulator of light curves return: observations, objects and units."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

BANDS = ("u", "g", "r", "i", "z", "y")
"""The passbands of LSST, in the order of wavelength."""
OBSERVATIONS = {
    "object_id": pl.String,
    "time": pl.Float64,
    "band": pl.String,
    "flux": pl.Float64,
    "flux_error": pl.Float64,
    "detected": pl.Boolean,
}
"""Columns of a table of observations: time in days (MJD where it is absolute); flux and its one-sigma error in
the unit that the zero point gives; detected is null where the survey did not say."""
OBJECTS = {
    "object_id": pl.String,
    "label": pl.String,
    "redshift": pl.Float64,
    "redshift_error": pl.Float64,
}
"""Columns of a table of objects: class, and photometric redshift of the host with its error; null where unknown.
Whatever could leak the class (position, field, true redshift, distance modulus) is not in it."""


@dataclass(frozen=True, kw_only=True)
class Units:
    """How a flux is to be read: magnitude = zeropoint - 2.5 log10(flux).

    `zeropoint`: 27.5 for FLUXCAL (SNANA, PLAsTiCC), 31.4 for nJy (LSST); `mw_corrected`: whether the dust of the
    Milky Way was taken out; `difference`: whether a template was subtracted, so that fluxes can be negative.
    None: the source does not say.
    """

    zeropoint: float = 27.5
    mw_corrected: bool | None = None
    difference: bool | None = None


@dataclass(frozen=True, kw_only=True)
class LightCurves:
    """Checked light curves, sorted by object (in the order of `objects`) and then by time.

    `observations` has the columns of `OBSERVATIONS` and `objects`, one row each, those of `OBJECTS`; both hold
    the same objects. `bands` are those that occur, in the order of wavelength. `counts` says where every object
    and row of the source went ({"objects in": 8, "objects: one observation": 1, "objects out": 7, ...}) and
    `notes` the same in sentences.
    """

    observations: pl.DataFrame
    objects: pl.DataFrame
    units: Units
    bands: tuple[str, ...]
    counts: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    simulated: bool = False
