"""Light curves on a regular grid: a Gaussian process in time and wavelength for each object, many at once.

The recipe (trim, scale, bounds, 100 points) is that of astronet (Allam & McEwen 2021, arXiv:2105.06178) and avocado
(Boone 2019, arXiv:1907.04690); the mathematics stands in `gp_process.py`, the cache in `gp_cache.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from seqsci.domains.photometry.gp_process import Trimmed, optimise, pad, predict
from seqsci.domains.photometry.table import WAVELENGTHS, LightCurves, first_and_last_detection
from seqsci.errors import SeqsciError, nearest

CELLS, MOST = 1 << 17, 128  # matrix cells and objects of a batch: what the processor's cache likes
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class GPSettings:
    """What the grid depends on.

    `survey`: whose wavelengths, lsst or ztf; `bands`: bands of the grid, None for those of the curves; `steps`:
    points in time; `margin`: days kept before the first and after the last detection (see
    `table.first_and_last_detection`); `wavelength_scale`: Angstrom.
    """

    survey: str = "lsst"
    bands: tuple[str, ...] | None = None
    steps: int = 100
    margin: float = 50.0
    wavelength_scale: float = 6000.0


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The fitted processes, N objects in the order of `LightCurves.objects`.

    `mean` and `std` (N, steps, bands) in the unit of the flux, without the noise of observation; `times` (N, steps)
    in days since the first point kept; `log_likelihood` (N,) of the fluxes kept, natural logarithm; `amplitude` (N,)
    square root of A in the unit of the flux; `length_scale` (N,) l in days; `notes` what was unusual.
    """

    object_ids: tuple[str, ...]
    mean: Floats
    std: Floats
    times: Floats
    log_likelihood: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    length_scale: NDArray[np.float64]
    bands: tuple[str, ...]
    notes: tuple[str, ...] = ()


@torch.inference_mode()
def fit_grid(
    curves: LightCurves, settings: GPSettings = GPSettings(), *, progress: Callable[[int, int], None] | None = None
) -> Grid:
    """Fit every object and evaluate it on `settings.steps` points between its first and last observation kept.

    Args:
        curves: N light curves.
        settings: see `GPSettings`.
        progress: called with the number of objects done and N after each batch.

    Returns:
        the grid; deterministic, and finite whatever the fluxes.

    Raises:
        SeqsciError: a survey or band without a wavelength, fewer than 2 steps, a flux that is not finite.
    """
    wavelengths, bands = check(curves, settings)
    objects, notes = trim(curves, settings, wavelengths)
    count, steps = len(objects), settings.steps
    mean, std = (np.zeros((count, steps, len(bands)), np.float32) for _ in range(2))
    times = np.zeros((count, steps), np.float32)
    facts = np.zeros((3, count))
    done = 0
    targets = torch.tensor([wavelengths[b] for b in bands], dtype=torch.float64)
    for rows in _buckets([len(o.time) for o in objects]):
        batch = [objects[i] for i in rows]
        t, lam, problem = pad(batch, settings.wavelength_scale)
        p = optimise(problem)
        scale = torch.tensor([o.scale for o in batch], dtype=torch.float64)
        last = torch.tensor([o.time[-1] for o in batch], dtype=torch.float64)
        grid = torch.linspace(0, 1, steps, dtype=torch.float64) * last[:, None]
        m, s, value = predict(p, problem, (t, lam), grid, targets, settings.wavelength_scale)
        mean[rows] = (m * scale[:, None, None]).numpy()
        std[rows] = (s * scale[:, None, None]).numpy()
        times[rows] = grid.numpy()
        facts[0, rows] = (-value - problem.mask.sum(1) * scale.log()).numpy()
        facts[1, rows] = (scale * (p[:, 0] / 2).exp()).numpy()
        facts[2, rows] = (p[:, 1] / 2).exp().numpy()
        done += len(rows)
        if progress is not None:
            progress(done, count)
    return Grid(
        object_ids=tuple(curves.objects["object_id"]),
        mean=mean,
        std=std,
        times=times,
        log_likelihood=facts[0],
        amplitude=facts[1],
        length_scale=facts[2],
        bands=bands,
        notes=tuple(notes),
    )


def check(curves: LightCurves, settings: GPSettings) -> tuple[Mapping[str, float], tuple[str, ...]]:
    """Wavelength of every band, and the bands of the grid; refuses what cannot be fitted."""
    if settings.survey not in WAVELENGTHS:
        raise SeqsciError(f"gp.survey: no survey '{settings.survey}'{nearest(settings.survey, WAVELENGTHS)}")
    wavelengths = WAVELENGTHS[settings.survey]
    bands = curves.bands if settings.bands is None else settings.bands
    for band in (*bands, *curves.bands):
        if band not in wavelengths:
            raise SeqsciError(f"gp: no wavelength of band '{band}' in {settings.survey}{nearest(band, wavelengths)}")
    if settings.steps < 2:
        raise SeqsciError(f"gp.steps: {settings.steps}; give 2 or more points in time")
    bad = curves.observations.filter(
        ~pl.all_horizontal(pl.col("time", "flux", "flux_error").is_finite().fill_null(False))
        | (pl.col("flux_error") < 0)
    )
    if bad.height:
        who = bad["object_id"][0]
        raise SeqsciError(f"object {who}: time, flux or flux_error is not finite or the error negative; drop such rows")
    return wavelengths, bands


def trim(
    curves: LightCurves, settings: GPSettings, wavelengths: Mapping[str, float]
) -> tuple[list[Trimmed], list[str]]:
    """Trimmed and scaled objects, and how many were not trimmed."""
    table = curves.observations
    columns = [table[c].to_numpy() for c in ("time", "flux", "flux_error")]
    lam = table["band"].replace_strict(dict(wavelengths), return_dtype=pl.Float64).to_numpy()
    found = first_and_last_detection(curves).select(pl.col("first", "last").fill_null(np.nan))
    seen = found.to_numpy()
    margin = settings.margin
    counts = {str(k): int(n) for k, n in table.group_by("object_id").len().iter_rows()}
    objects, whole, start = [], 0, 0
    for name, (first, last) in zip(curves.objects["object_id"], seen, strict=True):
        stop = start + counts.get(name, 0)
        if stop == start:
            raise SeqsciError(f"object {name}: no observation; drop it from the objects")
        t, flux, error = (c[start:stop] for c in columns)
        # Without a detection the borders are NaN, which no time lies beyond; a margin of 0 keeps the detections.
        keep = ~((t <= first - margin) | (t >= last + margin)) | ((t >= first) & (t <= last))
        whole += int(np.isnan(first))
        flux, error, t = flux[keep], error[keep], t[keep]
        objects.append(Trimmed(t - t[0], lam[start:stop][keep], flux, error, _scale(flux, error)))
        start = stop
    return objects, [f"{whole} objects without a detection: all of their observations kept"] if whole else []


def _scale(flux: NDArray[np.float64], error: NDArray[np.float64]) -> float:
    """|flux| where it is most significant; an error floor of 1% of the largest flux keeps single bright points out."""
    floor = np.hypot(error, 0.01 * np.max(flux)) + np.finfo(float).tiny
    found = abs(float(flux[np.argmax(np.abs(flux) / floor)]))
    # A flux of nothing but noise near zero must not blow the noise up beyond all precision.
    return max(found, 1e-3 * float(np.median(error))) or 1.0


def _buckets(lengths: list[int]) -> Iterator[list[int]]:
    """Objects of similar length together, so that little is padded."""
    rows: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        n = lengths[i]
        if rows and (len(rows) == MOST or (len(rows) + 1) * n * n > CELLS or n > 1.15 * lengths[rows[0]] + 2):
            yield rows
            rows = []
        rows.append(i)
    if rows:
        yield rows
