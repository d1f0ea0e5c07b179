"""What every reader and the simulator of light curves return: observations, objects and units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from seqsci.errors import SeqsciError

BANDS = ("u", "g", "r", "i", "z", "y")
"""The passbands of LSST, in the order of wavelength."""
WAVELENGTHS: Mapping[str, Mapping[str, float]] = {
    "lsst": {"u": 3685.0, "g": 4802.0, "r": 6231.0, "i": 7542.0, "z": 8690.0, "y": 9736.0},
    "ztf": {"g": 4804.79, "r": 6436.92, "i": 7968.22},
}
"""Survey to the effective wavelengths of its passbands, Angstrom (astronet)."""
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
    "group": pl.String,
}
"""Columns of a table of objects: class, photometric redshift of the host with its error, and what the object was made
from, where it shares that with others and must stay in one split with them; null where unknown.
Whatever could leak the class (position, field, true redshift, distance modulus) is not in it."""
SIGNIFICANT = 5.0
"""Flux over its error above which an observation counts as a detection where the survey did not say."""


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
    the same objects. `bands` are those that occur, in the order of wavelength; a subset keeps those of the whole, so
    that all splits of a set have the same. `counts` says where every object
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

    def take(self, ids: Iterable[str], why: str = "not taken") -> LightCurves:
        """Only these objects, in the order they stand in here; `counts` says how many were left out, and `why`.

        Raises:
            SeqsciError: an id that is not here.
        """
        wanted = pl.Series("object_id", list(ids), dtype=pl.String).unique()
        strange = wanted.filter(~wanted.is_in(self.objects["object_id"].implode()))
        if len(strange):
            raise SeqsciError(
                f"object {strange.sort()[0]}: there is no light curve of it; take ids of the objects here"
            )
        kept = pl.col("object_id").is_in(wanted.implode())
        observations, objects = self.observations.filter(kept), self.objects.filter(kept)
        return self._less(observations, objects, why)

    def until(self, days: float) -> LightCurves:
        """What a survey had seen `days` days after the first detection of each object, that moment included.

        Every object stays, if only with what was seen until its detection; one that is never detected keeps what was
        seen until `days` after its first observation. Where the first detection is (see `first_and_last_detection`)
        depends on no later row, and no later row is left.

        Raises:
            SeqsciError: a negative or unknown number of days.
        """
        if not days >= 0:
            raise SeqsciError(f"days: {days} after the first detection; give 0 or more")
        found = first_and_last_detection(self)
        rows = self.observations.join(found, on="object_id", how="left", maintain_order="left")
        start = pl.col("first").fill_null(pl.col("time").min().over("object_id"))
        # MJD holds days to about 1e-11: two nights exactly `days` apart may differ by more.
        seen = rows.filter(pl.col("time") - start <= days + 1e-9).select(self.observations.columns)
        cut = self._less(seen, self.objects, f"later than {days:g} days after the first detection")
        note = f"of each object only what was seen until {days:g} days after its first detection is kept"
        return replace(cut, notes=(*self.notes, note))

    def _less(self, observations: pl.DataFrame, objects: pl.DataFrame, why: str) -> LightCurves:
        """A subset whose counts still balance."""
        counts = dict(self.counts)
        for kind, old, new in (("objects", self.objects, objects), ("rows", self.observations, observations)):
            if len(new) < len(old):
                counts[f"{kind}: {why}"] = counts.get(f"{kind}: {why}", 0) + len(old) - len(new)
            counts[f"{kind} out"] = len(new)
        return replace(self, observations=observations, objects=objects, counts=counts)


def first_and_last_detection(curves: LightCurves) -> pl.DataFrame:
    """object_id, and the times of its `first` and `last` detection, null where there is none; rows as in `objects`.

    A detection is a row that the survey calls detected or, where it did not say, of flux / flux_error > 5.
    """
    significant = pl.col("flux") > SIGNIFICANT * pl.col("flux_error")
    seen = curves.observations.filter(pl.col("detected").fill_null(significant))
    times = seen.group_by("object_id").agg(pl.col("time").min().alias("first"), pl.col("time").max().alias("last"))
    return curves.objects.select("object_id").join(times, on="object_id", how="left", maintain_order="left")
