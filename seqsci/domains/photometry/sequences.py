"""Two ways from light curves to sequences: the observations themselves, or the Gaussian process on its grid.

Both give days since the first detection (since the first row, where there is none) and the redshift of the host;
nothing that could leak the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.data.batch import Sequences
from seqsci.domains.photometry.cosmology import distance_modulus
from seqsci.domains.photometry.table import BANDS, WAVELENGTHS, LightCurves, first_and_last_detection

if TYPE_CHECKING:
    from seqsci.domains.photometry.gp import Grid

Floats = NDArray[np.float64]
CHANNELS = ("signal", "flux", "error", "detected")
HOST_CHANNELS = ("luminosity", "wavelength")
FAR = 40.0
"""Distance modulus (a redshift of about 0.22) at which a luminosity has the number of its flux."""
STATIC = ("redshift", "redshift_error", "galactic", "unknown")
"""What is known of the host: its redshift and the error, whether the redshift is 0 (no host: in the Galaxy), and
whether there is none."""


def observed(
    curves: LightCurves, *, margin: float = 50.0, most: int = 128, redshift: bool = True, survey: str = "lsst"
) -> Sequences:
    """The observations themselves: irregular in time, one row each, of all passbands.

    Channels: `signal` arsinh of flux over error, `flux` arsinh of the flux and `error` natural logarithm of its
    error, both in FLUXCAL (zero point 27.5) whatever the survey's unit is, and `detected` (0.5 where the survey does
    not say). The arsinh keeps faint and negative fluxes linear and tames bright ones. With `redshift` also
    `luminosity`, the arsinh of the flux that it would have at the distance modulus `FAR`, and `wavelength`, the
    natural logarithm of the passband's wavelength in the rest frame over 5500 Angstrom; both 0 where the host is not
    known or in the Galaxy. `kinds` number the passbands in
    the order of `BANDS`. No row depends on a later one.

    Args:
        curves: S light curves.
        margin: days kept before the first and after the last detection.
        most: rows of a sequence; of a longer one an even choice is kept, first and last included.
        redshift: whether the channels that need it are given.
        survey: whose wavelengths the passbands have.
    """
    table = _near(curves, margin)
    count = table.group_by("object_id", maintain_order=True).len()["len"].to_numpy().astype(np.int64)
    keep, offsets = _thin(count, most)
    table = table[keep]
    scale = _fluxcal(curves)
    flux, error = (table[name].to_numpy() * scale for name in ("flux", "flux_error"))
    values = [np.arcsinh(flux / error), np.arcsinh(flux), np.log(error)]
    detected = table["detected"].cast(pl.Float64).fill_null(0.5).to_numpy()
    order = {band: i for i, band in enumerate(BANDS)}
    values.append(detected)
    values += _from_host(curves, table, offsets, flux, survey) if redshift else []
    return Sequences(
        values=np.stack(values, 1),
        times=(table["time"] - table["first"].fill_null(table["start"])).to_numpy(),
        kinds=table["band"].replace_strict(order, return_dtype=pl.Int64).to_numpy(),
        offsets=offsets,
        channels=CHANNELS + (HOST_CHANNELS if redshift else ()),
        ids=tuple(curves.objects["object_id"]),
        known=np.zeros((0, 0)),
        static=_static(curves),
        static_names=STATIC,
        notes=curves.notes,
        simulated=curves.simulated,
    )


def interpolated(
    curves: LightCurves, grid: Grid, *, margin: float = 50.0, deviation: bool = False, compressed: bool = False
) -> Sequences:
    """The fitted Gaussian processes: one row for each point in time, one channel for each passband of the grid,
    in FLUXCAL.

    Args:
        curves: S light curves.
        grid: of the same objects.
        margin: days that the grid keeps before the first and after the last detection.
        deviation: adds the standard deviation of each passband as a channel.
        compressed: the arsinh of the means and the logarithm of the deviations.
    """
    count, steps, _ = grid.mean.shape
    scale = _fluxcal(curves)
    parts = [np.arcsinh(grid.mean * scale) if compressed else grid.mean * scale]
    if deviation:
        parts.append(np.log(grid.std * scale + 1e-3) if compressed else grid.std * scale)
    names = [*grid.bands, *(f"{band} deviation" for band in grid.bands if deviation)]
    return Sequences(
        values=np.concatenate(parts, -1).astype(np.float64).reshape(count * steps, len(names)),
        times=(grid.times + _start(curves, margin)[:, None]).reshape(-1),
        offsets=np.arange(count + 1, dtype=np.int64) * steps,
        channels=tuple(names),
        ids=tuple(curves.objects["object_id"]),
        known=np.zeros((0, 0)),
        static=_static(curves),
        static_names=STATIC,
        notes=curves.notes,
        simulated=curves.simulated,
    )


def _near(curves: LightCurves, margin: float) -> pl.DataFrame:
    """Rows less than `margin` days before the first or after the last detection, all where there is none, with the
    times of these and of the `start` of the object."""
    spans = first_and_last_detection(curves)
    table = curves.observations.join(spans, on="object_id", how="left", maintain_order="left")
    table = table.with_columns(start=pl.col("time").min().over("object_id"))
    near = (pl.col("time") > pl.col("first") - margin) & (pl.col("time") < pl.col("last") + margin)
    between = pl.col("time").is_between(pl.col("first"), pl.col("last"))  # a margin of 0 keeps the detections
    return table.filter(near | between | pl.col("last").is_null())


def _start(curves: LightCurves, margin: float) -> Floats:
    """(S,) days from the first detection to the first row kept."""
    days = (pl.col("time") - pl.col("first").fill_null(pl.col("start"))).min()
    kept = _near(curves, margin).group_by("object_id", maintain_order=True).agg(days.alias("start"))
    return kept["start"].to_numpy().astype(np.float64)


def _thin(count: NDArray[np.int64], most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that are kept, and offsets of the sequences in them."""
    kept = np.minimum(count, most)
    offsets = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], kept)
    spread = np.repeat((count - 1) / np.maximum(kept - 1, 1), kept)
    start = np.repeat(np.cumsum(count) - count, kept)
    return start + np.round(place * spread).astype(np.int64), offsets


def _from_host(
    curves: LightCurves, table: pl.DataFrame, offsets: NDArray[np.int64], flux: Floats, survey: str
) -> list[Floats]:
    """(N,) luminosity and wavelength in the rest frame."""
    z = np.repeat(np.nan_to_num(curves.objects["redshift"].to_numpy()), np.diff(offsets))
    nearer = 10 ** (0.4 * (distance_modulus(np.maximum(z, 1e-3)) - FAR))
    wavelength = table["band"].replace_strict(dict(WAVELENGTHS[survey]), default=None, return_dtype=pl.Float64)
    rest = np.log(wavelength.to_numpy() / 5500 / (1 + z))
    return [np.where(z > 0, np.arcsinh(flux * nearer), 0.0), np.where(z > 0, np.nan_to_num(rest), 0.0)]


def _fluxcal(curves: LightCurves) -> float:
    """What a flux is multiplied by to have the zero point 27.5, so that surveys of other units can be mixed."""
    return float(10 ** (0.4 * (27.5 - curves.units.zeropoint)))


def _static(curves: LightCurves) -> Floats:
    """(S, 4) see `STATIC`; NaN where the redshift is not known, for then that is said by the last column."""
    redshift, error = (curves.objects[name].to_numpy() for name in ("redshift", "redshift_error"))
    unknown = np.isnan(redshift)
    return np.stack([redshift, error, np.where(unknown, np.nan, redshift == 0), unknown], 1).astype(np.float64)
