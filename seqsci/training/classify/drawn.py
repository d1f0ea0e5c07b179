"""A few test objects for the report: their light curves, fits and class activation maps, kept in the run folder."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from seqsci.domains.photometry import LightCurves, first_and_last_detection
from seqsci.files import whole
from seqsci.recipe import ClassifyRecipe
from seqsci.runs import Run
from seqsci.training.classify.prepare import Prepared, everything, inputs

MISTAKES, RIGHT = 6, 6


def write_drawn(run: Run, recipe: ClassifyRecipe, prepared: Prepared, network: Any, p: NDArray[np.float64]) -> None:
    """Write what the report draws of some test objects.

    drawn.parquet: `object_id, label, predicted, probability, right`; curves.parquet: `object_id, days, band, flux,
    flux_error`; states.parquet: `object_id, days, activation` of the predicted class for each state of the encoder
    that is an observation or a grid point (null days: the static features'); grid.parquet (gp only): `object_id,
    days, band, mean, std`. Days since the first detection (gp: since the first observation kept).
    """
    test = prepared.members("test")
    chosen = test.take(test.objects["object_id"].gather(_chosen(p, prepared.truth("test"))))
    order = {name: place for place, name in enumerate(test.objects["object_id"])}
    rows = [order[name] for name in chosen.objects["object_id"]]
    best = p[rows].argmax(1)
    names = pl.Series(prepared.frame.classes, dtype=pl.String)
    drawn = chosen.objects.select("object_id", "label").with_columns(
        predicted=names.gather(best), probability=p[rows].max(1), right=best == prepared.truth("test")[rows]
    )
    _write(run, "drawn", drawn)
    _write(run, "curves", _relative(chosen))
    _write(run, "states", _states(recipe, prepared, network, chosen, best))
    if recipe.data.input == "gp":
        _write(run, "grid", _grid(recipe, prepared, chosen))


def _chosen(p: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """The most confident mistakes, and the surest right answers of different classes."""
    top, best = p.max(1), p.argmax(1)
    sure = np.argsort(-top, kind="stable")
    wrong = [i for i in sure if best[i] != truth[i]][:MISTAKES]
    right: dict[int, int] = {}
    for i in sure:
        if best[i] == truth[i]:
            right.setdefault(int(truth[i]), int(i))
    # Spread over the classes rather than the first in their order.
    kept = list(right.values())
    kept = [kept[i] for i in np.unique(np.linspace(0, len(kept) - 1, RIGHT).round().astype(int))] if kept else []
    return np.array([*wrong, *kept], dtype=np.int64)


def _relative(curves: LightCurves) -> pl.DataFrame:
    table = curves.observations.join(first_and_last_detection(curves), on="object_id", how="left")
    start = pl.col("first").fill_null(pl.col("time").min().over("object_id"))
    days = (pl.col("time") - start).alias("days")
    return table.select("object_id", days, "band", "flux", "flux_error", "detected")


def _states(
    recipe: ClassifyRecipe, prepared: Prepared, network: Any, curves: LightCurves, best: NDArray[np.int64]
) -> pl.DataFrame:
    """Activations of the predicted class, where the states are the steps of the input."""
    rows = prepared.frame.rows(inputs(curves, recipe.data, prepared.frame.bands), [None] * len(curves.objects))
    batch = everything(rows).__getitems__(range(len(rows)))
    with torch.inference_mode():
        maps = network.maps(batch.to(next(network.parameters()).device)).cpu().numpy()
    length = batch.mask.shape[1]
    before = 1 if maps.shape[1] == length + 1 else 0  # the static features' state comes first, or two come last
    found: dict[str, list[Any]] = {"object_id": [], "days": [], "activation": []}
    if maps.shape[1] - length not in (0, 1, 2):
        return pl.DataFrame(found, schema={"object_id": pl.String, "days": pl.Float64, "activation": pl.Float64})
    for i, name in enumerate(curves.objects["object_id"]):
        real = batch.mask[i].numpy()
        own = maps[i, :, best[i]]
        inside = own[before : before + length]
        found["object_id"] += [name] * (int(real.sum()) + 1)
        found["days"] += [*batch.times[i, real, 0].tolist(), None]
        found["activation"] += [*inside[real].tolist(), float(own.sum() - inside.sum())]
    return pl.DataFrame(found)


def _grid(recipe: ClassifyRecipe, prepared: Prepared, curves: LightCurves) -> pl.DataFrame:
    from seqsci.domains.photometry.gp import GPSettings, fit_grid

    data, bands = recipe.data, prepared.frame.bands
    grid = fit_grid(curves, GPSettings(survey=data.survey, bands=bands, steps=data.steps, margin=data.margin))
    count, steps, width = grid.mean.shape
    return pl.DataFrame(
        {
            "object_id": np.repeat(np.array(grid.object_ids), steps * width),
            "days": np.repeat(grid.times.reshape(-1), width),
            "band": np.tile(np.array(bands), count * steps),
            "mean": grid.mean.reshape(-1),
            "std": grid.std.reshape(-1),
        }
    )


def _write(run: Run, name: str, table: pl.DataFrame) -> None:
    with whole(run.folder / f"{name}.parquet") as path:
        table.write_parquet(path, compression="zstd")
