"""The one look at the test split: scores beside baselines, intervals with their coverage, predictions."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from seqsci.domains import electricity
from seqsci.files import whole
from seqsci.metrics import block_bootstrap, conformal_radius
from seqsci.models.baselines import last_value, seasonal_naive
from seqsci.models.ridge import CONTEXTS, Ridge
from seqsci.recipe import ForecastRecipe
from seqsci.runs import Run
from seqsci.tasks.forecast import Score, predict, score
from seqsci.training.fit import Fitted, load_network, machine, peak_rss_mb, save_network
from seqsci.training.forecast.prepare import Prepared

Floats = NDArray[np.floating]
BATCH = 64


def evaluate(
    recipe: ForecastRecipe, prepared: Prepared, run: Run, fitted: Fitted, *, quiet: bool = False
) -> dict[str, Any]:
    """Score the best weights on the test split, once, and write metrics.json and predictions.parquet.

    Everything that is chosen here (context and penalty of ridge, the width of the intervals) is chosen on validation.

    Returns:
        The content of metrics.json.
    """
    began = time.process_time()
    network = load_network(recipe, prepared.shape, run)
    forecasts = {name: predict(network, prepared.windows[name].batches(BATCH)) for name in ("val", "test")}
    levels = {str(level): level / 100 for level in recipe.evaluate.levels}
    truth_val, seen_val = prepared.truth("val")
    residuals = truth_val - forecasts["val"]
    radii = {name: conformal_radius(residuals, level, seen_val) for name, level in levels.items()}

    truth, seen = prepared.truth("test")
    scale = prepared.frame.scale[list(prepared.frame.output_index)]
    model = score(forecasts["test"], truth, seen, scale)
    rivals, ridge = _baselines(prepared)
    scores = {name: score(forecast, truth, seen, scale) for name, forecast in rivals.items()}
    val = score(forecasts["val"], truth_val, seen_val, scale)

    extra = {f"conformal.{name}": torch.from_numpy(radius.astype(np.float32)) for name, radius in radii.items()}
    save_network(run, prepared, network, extra)
    _write_predictions(run, prepared, forecasts["test"])
    metrics = {
        "seqsci": version("seqsci"),
        "task": recipe.task,
        "model": recipe.model.name,
        "data": _data_facts(prepared),
        "windows": {name: len(windows) for name, windows in prepared.windows.items()},
        "val": {
            "mse": val.mse,
            "mae": val.mae,
            "best_epoch": fitted.best_epoch,
            "best_loss": fitted.best_val,
        },
        "test": {**_summary(model), "interval": _interval(model.by_window, recipe, prepared)},
        "baselines": {name: _compare(model, rival, recipe, prepared) for name, rival in scores.items()},
        "ridge_context": ridge.context,
        "ridge_penalty": ridge.penalty,
        **({"solved": network.solved} if hasattr(network, "solved") else {}),
        "coverage": {name: _coverage(forecasts["test"] - truth, radius, seen) for name, radius in radii.items()},
        "endless": [name for name, radius in radii.items() if not np.isfinite(radius).all()],
        "by_step": {
            recipe.model.name: model.by_step.tolist(),
            **{n: s.by_step.tolist() for n, s in scores.items()},
        },
        "units": _units(prepared, model, scores),
        "cost": {
            **fitted.cost,
            "evaluate_cpu_s": round(time.process_time() - began, 2),
            "peak_rss_mb": round(max(fitted.cost["peak_rss_mb"], peak_rss_mb()), 1),
        },
        "machine": machine(),
    }
    run.write_json("metrics.json", metrics)
    run.resume_point.unlink(missing_ok=True)
    return run.read_json("metrics.json")


def _baselines(prepared: Prepared) -> tuple[dict[str, Floats], Ridge]:
    test, horizon = prepared.span("test"), prepared.shape.horizon
    ridge = Ridge(prepared.shape.context, horizon, CONTEXTS).fit(prepared.span("train"), prepared.span("val"))
    return {
        "last": last_value(test, horizon),
        "seasonal_naive": seasonal_naive(test, horizon, prepared.frame.season),
        "ridge": ridge.predict(test),
    }, ridge


def _summary(result: Score) -> dict[str, float]:
    return {"mse": result.mse, "mae": result.mae}


def _compare(model: Score, rival: Score, recipe: ForecastRecipe, prepared: Prepared) -> dict[str, Any]:
    """`difference` is the model's MSE less the baseline's: above 0 the model is worse."""
    gap = model.by_window - rival.by_window
    seen = gap[np.isfinite(gap)]
    mean = float(seen.mean()) if len(seen) else float("nan")
    return {**_summary(rival), "difference": mean, "difference_interval": _interval(gap, recipe, prepared)}


def _interval(losses: Floats, recipe: ForecastRecipe, prepared: Prepared) -> list[float]:
    """Of the windows in which anything was observed; [NaN, NaN] of too few."""
    block = max(prepared.shape.horizon, prepared.frame.season)
    settings, seen = recipe.evaluate, losses[np.isfinite(losses)]
    return list(block_bootstrap(seen, block, resamples=settings.resamples, seed=recipe.train.seed))


def _coverage(error: Floats, radius: Floats, seen: NDArray[np.bool_]) -> float:
    return float((np.abs(error) <= radius)[seen].mean()) if seen.any() else float("nan")


def _units(prepared: Prepared, model: Score, rivals: dict[str, Score]) -> dict[str, Any]:
    """Errors of each series in the units of the file."""
    return {
        name: {
            "mae": float(model.raw_mae[i]),
            "rmse": float(model.raw_rmse[i]),
            "baselines_mae": {rival: float(result.raw_mae[i]) for rival, result in rivals.items()},
        }
        for i, name in enumerate(prepared.frame.targets)
    }


def _data_facts(prepared: Prepared) -> dict[str, Any]:
    times, splits = prepared.sequences.times, prepared.splits
    clock = " UTC" if prepared.frame.zone else ""
    rows = {name: list(getattr(splits, name)) for name in ("train", "val", "test")}
    return {
        **{key: prepared.origin.get(key) for key in ("name", "sha256")},
        "simulated": prepared.sequences.simulated,
        "step": prepared.frame.step,
        "season": prepared.frame.season,
        "rows": rows,
        "begins": {name: str(times[first]).replace("T", " ")[:19] + clock for name, (first, _) in rows.items()},
        "targets": list(prepared.frame.targets),
        "channels": list(prepared.frame.channels),
        "notes": list(prepared.sequences.notes),
    }


def _write_predictions(run: Run, prepared: Prepared, forecast: NDArray[np.float32]) -> None:
    """One row per window, step and series, in the units of the file; y is null where nothing was observed."""
    windows, horizon, outputs = forecast.shape
    truth, seen = prepared.truth("test")
    times = prepared.sequences.times
    origins = prepared.windows["test"].origins
    rows = origins[:, None] + np.arange(horizon)
    frame = pl.DataFrame(
        {
            "window": np.repeat(np.arange(windows, dtype=np.int32), horizon * outputs),
            "ds": electricity.give_zone(pl.Series(np.repeat(times[rows].reshape(-1), outputs)), prepared.frame.zone),
            "step": np.tile(np.repeat(np.arange(1, horizon + 1, dtype=np.int16), outputs), windows),
            "series": np.tile(np.arange(outputs, dtype=np.uint32), windows * horizon),
            "y": prepared.frame.raw(np.where(seen, truth, np.nan)).astype(np.float32).reshape(-1),
            "yhat": prepared.frame.raw(forecast).astype(np.float32).reshape(-1),
        }
    )
    names = pl.Series(prepared.frame.targets, dtype=pl.String)
    frame = frame.with_columns(unique_id=names.gather(frame["series"]), y=pl.col("y").fill_nan(None)).select(
        "unique_id", "window", "step", "ds", "y", "yhat"
    )
    with whole(run.folder / "predictions.parquet") as path:
        frame.write_parquet(path, compression="zstd")
