"""Forecasts of a trained run past the end of new data, and its error on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import nn

from seqsci.data.windows import Windows, require_windows
from seqsci.domains import electricity
from seqsci.errors import SeqsciError
from seqsci.files import whole
from seqsci.recipe import ForecastRecipe, as_kind
from seqsci.runs import Run
from seqsci.tasks import forecast as task
from seqsci.training.fit import load_network, other_recipe
from seqsci.training.forecast.prepare import Frame, future_window, load_new, make_shape, shape_facts


def keep(source: Any, folder: Path) -> dict[str, str]:
    """Write a caller's frame into a folder: what the recipe must say to find it."""
    kept = folder / "data.parquet"
    with whole(kept) as path:
        electricity.as_polars(source).write_parquet(path)
    return {"data.name": str(kept.resolve())}


def predict(run: Run, data: Any = None, tell: Callable[[str], None] | None = None) -> pl.DataFrame:
    """See `seqsci.api.Result.predict`."""
    run.read_json("metrics.json")  # an unfinished run has no intervals yet, and says so
    recipe = as_kind(run.recipe, ForecastRecipe)
    tensors, facts = run.load_weights()
    frame = Frame.from_facts(facts["frame"])
    source = recipe.data.name if data is None else data
    sequences = load_new(recipe.data, source, frame)
    if tell is not None:
        for note in sequences.notes:
            tell(note)
    batch, times = future_window(frame, sequences, recipe.data)
    network = _network(run, recipe, frame, facts["shape"])
    scaled = task.predict(network, [batch])[0].astype(np.float64)
    names = {name.removeprefix("conformal."): t for name, t in tensors.items() if name.startswith("conformal.")}
    columns = {"yhat": frame.raw(scaled)}
    for level in sorted(names, key=int):
        radius = names[level].to(torch.float64).numpy()
        columns[f"yhat-lo-{level}"] = frame.raw(scaled - radius)
        columns[f"yhat-hi-{level}"] = frame.raw(scaled + radius)
    return _long(electricity.give_zone(pl.Series(times), sequences.zone), frame.targets, columns)


def mean_squared_error(run: Run, data: Any) -> float:
    """MSE of a run's model over every window of new data, scaled by the run's training rows."""
    recipe = as_kind(run.recipe, ForecastRecipe)
    _, facts = run.load_weights()
    frame = Frame.from_facts(facts["frame"])
    sequences = load_new(recipe.data, data, frame)
    table, rows = frame.table(sequences), len(sequences.values) - sequences.tail
    windows = Windows(table, (0, rows), recipe.data.context, recipe.data.horizon)
    require_windows({"scoring": windows.count}, rows, recipe.data.context, recipe.data.horizon)
    network = _network(run, recipe, frame, facts["shape"])
    guess = task.predict(network, windows.batches(64))
    batches = list(windows.batches(64))
    truth: NDArray[Any] = np.concatenate([b.target.numpy() for b in batches if b.target is not None])
    seen: NDArray[Any] = np.concatenate([b.target_mask.numpy() for b in batches if b.target_mask is not None])
    if not seen.any():
        raise SeqsciError("data: it holds no value of the series to forecast that could be scored; fill some in")
    return task.score(guess, truth, seen, np.ones(truth.shape[-1])).mse


def _network(run: Run, recipe: ForecastRecipe, frame: Frame, trained: dict[str, Any]) -> nn.Module:
    """The run's network; a recipe that was changed since would quietly give other forecasts.

    Raises:
        SeqsciError: the recipe's context, horizon or level is not that of the weights.
    """
    shape = make_shape(recipe.data, frame, trained["marks"])
    # Runs that were saved before shapes had a season lack it.
    if shape_facts(shape) != {"season": shape.season, **trained}:
        raise other_recipe(run)
    return load_network(recipe, shape, run)


def _long(times: pl.Series, names: tuple[str, ...], columns: Mapping[str, NDArray[Any]]) -> pl.DataFrame:
    steps = len(times)
    return pl.DataFrame(
        {
            "unique_id": [name for name in names for _ in range(steps)],
            "ds": pl.concat([times] * len(names)),
            **{name: values.T.reshape(-1) for name, values in columns.items()},
        }
    )
