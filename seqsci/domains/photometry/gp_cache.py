"""The grids of a set of light curves, kept on disk under a digest of the curves and settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl

from seqsci.domains.photometry.gp import GPSettings, Grid, check, fit_grid
from seqsci.domains.photometry.table import LightCurves
from seqsci.files import whole


def cached(
    curves: LightCurves,
    settings: GPSettings,
    folder: str | Path,
    progress: Callable[[int, int], None] | None = None,
) -> Grid:
    """`fit_grid`, read from `folder` where the same observations were fitted with the same settings before.

    The file is gp-<digest>.parquet: a row per object, mean and std nested lists (steps of bands).
    """
    _, bands = check(curves, settings)
    path = Path(folder) / f"gp-{_digest(curves, settings)}.parquet"
    if path.is_file():
        try:
            return _read(path, bands)
        except (pl.exceptions.PolarsError, OSError, KeyError, ValueError):
            pass  # damaged: fitted again
    grid = fit_grid(curves, settings, progress=progress)
    frame = pl.DataFrame({"object_id": pl.Series(grid.object_ids, dtype=pl.String)}).with_columns(
        *(pl.Series(name, getattr(grid, name)) for name in ("log_likelihood", "amplitude", "length_scale")),
        *(pl.Series(name, getattr(grid, name)).arr.to_list() for name in ("mean", "std", "times")),
    )
    frame = frame.with_columns(pl.col("mean", "std").cast(pl.List(pl.List(pl.Float32))))
    with whole(path) as temporary:
        frame.write_parquet(temporary, metadata={"notes": json.dumps(grid.notes)})
    return grid


def _read(path: Path, bands: tuple[str, ...]) -> Grid:
    frame = pl.read_parquet(path)
    notes = tuple(json.loads(pl.read_parquet_metadata(path)["notes"]))
    times = np.array(frame["times"].to_list(), np.float32)
    cube = (*times.shape, len(bands))
    mean, std = (frame[c].explode().explode().to_numpy().reshape(cube) for c in ("mean", "std"))
    facts = {name: frame[name].to_numpy() for name in ("log_likelihood", "amplitude", "length_scale")}
    return Grid(
        object_ids=tuple(frame["object_id"]), mean=mean, std=std, times=times, bands=bands, notes=notes, **facts
    )


def _digest(curves: LightCurves, settings: GPSettings) -> str:
    """Of the settings and of every value of the observations; the leading number is the version of the fit."""
    table = curves.observations
    names = [table["object_id"], table["band"], curves.objects["object_id"]]
    text = json.dumps([2, asdict(settings), curves.bands, *(s.to_list() for s in names)])
    digest = hashlib.sha256(text.encode())
    for column in ("time", "flux", "flux_error"):
        digest.update(table[column].to_numpy().tobytes())
    digest.update(table["detected"].cast(pl.Int8).fill_null(2).to_numpy().tobytes())
    return digest.hexdigest()[:16]
