"""A few test objects for the report: their light curves, fits and class activation maps, kept in the run folder."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from seqsci.data.collection import Rows, everything
from seqsci.domains.photometry import LightCurves, first_and_last_detection
from seqsci.files import whole
from seqsci.recipe import ClassifyRecipe
from seqsci.runs import Run
from seqsci.training.classify.inputs import inputs
from seqsci.training.classify.prepare import Prepared

MISTAKES, RIGHT = 6, 6


def write_drawn(run: Run, recipe: ClassifyRecipe, prepared: Prepared, network: Any, p: NDArray[np.float64]) -> None:
    """Write what the report draws of some test objects.

    drawn.parquet: `object_id, label, predicted, probability, right`; curves.parquet: `object_id, days, band, flux,
    flux_error, detected`; states.parquet: `object_id, days, activation, truth` for each state of the encoder that is an
    observation or a grid point (null days: the static features'): what it adds to the logit of the predicted and of
    the true class, less the mean over classes, which softmax does not see; grid.parquet (gp only): `object_id, days,
    band, mean, std`. Days since the first detection.
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
    read = prepared.frame.rows(inputs(chosen, recipe.data, prepared.frame.bands), [None] * len(rows))
    _write(run, "states", _states(prepared.frame.classes, read, network, chosen, best))
    if recipe.data.input == "gp":
        _write(run, "grid", _grid(recipe, prepared, read, chosen))


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
    classes: tuple[str, ...], rows: Rows, network: Any, curves: LightCurves, best: NDArray[np.int64]
) -> pl.DataFrame:
    """Activations of the predicted and the true class, where the states are the steps of the input."""
    batch = everything(rows).__getitems__(range(len(rows)))
    with torch.inference_mode():
        maps = network.maps(batch.to(next(network.parameters()).device)).cpu().numpy()
    maps -= maps.mean(-1, keepdims=True)
    length = batch.mask.shape[1]
    before = 1 if maps.shape[1] == length + 1 else 0  # the static features' state comes first, or two come last
    columns = ("days", "activation", "truth")
    found: dict[str, list[Any]] = {"object_id": [], **{name: [] for name in columns}}
    steps = maps.shape[1] - length in (0, 1, 2)  # an encoder that halves its sequence has no state for a step
    for i, (name, label) in enumerate(curves.objects.select("object_id", "label").iter_rows() if steps else []):
        real = batch.mask[i].numpy()
        found["object_id"] += [name] * (int(real.sum()) + 1)
        found["days"] += [*batch.times[i, real, 0].tolist(), None]
        for column, code in (("activation", best[i]), ("truth", classes.index(label))):
            own = maps[i, :, code]
            inside = own[before : before + length]
            found[column] += [*inside[real].tolist(), float(own.sum() - inside.sum())]
    return pl.DataFrame(found, schema={"object_id": pl.String, **dict.fromkeys(columns, pl.Float64)})


def _grid(recipe: ClassifyRecipe, prepared: Prepared, rows: Rows, curves: LightCurves) -> pl.DataFrame:
    from seqsci.domains.photometry.gp import GPSettings, fit_grid

    data, bands = recipe.data, prepared.frame.bands
    grid = fit_grid(curves, GPSettings(survey=data.survey, bands=bands, steps=data.steps, margin=data.margin))
    count, steps, width = grid.mean.shape
    return pl.DataFrame(
        {
            "object_id": np.repeat(np.array(grid.object_ids), steps * width),
            "days": np.repeat(rows.times[:, 0].double().numpy(), width),
            "band": np.tile(np.array(bands), count * steps),
            "mean": grid.mean.reshape(-1),
            "std": grid.std.reshape(-1),
        }
    )


def _write(run: Run, name: str, table: pl.DataFrame) -> None:
    with whole(run.folder / f"{name}.parquet") as path:
        table.write_parquet(path, compression="zstd")
