"""What the command line and a notebook call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from seqsci import recipe as recipes
from seqsci.errors import SeqsciError
from seqsci.files import whole
from seqsci.nn.precision import resolve
from seqsci.recipe import ForecastRecipe, Recipe, as_forecast
from seqsci.runs import Run
from seqsci.training.evaluate import evaluate, load_network
from seqsci.training.fit import device, fit
from seqsci.training.prepare import Frame, future_window, load, make_shape, prepare

if TYPE_CHECKING:
    from seqsci.tune import Sweep


@dataclass(frozen=True)
class Result:
    """A complete run: scores, pictures and a model that forecasts."""

    run: Run

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.run.folder

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return self.run.recipe

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json."""
        return self.run.read_json("metrics.json")

    @property
    def table(self) -> pl.DataFrame:
        """Scores of the model and of each baseline on the test split."""
        from seqsci.report import score_table

        return score_table(self.metrics)

    @property
    def verdicts(self) -> list[str]:
        """One sentence per baseline: better, worse or no clear difference, with the interval."""
        from seqsci.report import verdicts

        return verdicts(self.metrics)

    def predict(self, data: Any = None) -> pl.DataFrame:
        """Forecast past the end of `data`: a file, a frame, or by default what the run was trained on.

        Returns:
            `unique_id, ds, yhat` and, for each level, `yhat-lo-80, yhat-hi-80`, in the units of the file.

        Raises:
            SeqsciError: columns, time step or number of rows do not fit the model; or a damaged run.
        """
        return predict(self.run, data)

    def report(self) -> Path:
        """Build report.html anew and give its path."""
        from seqsci.report import build_report

        return build_report(self.run)


def forecast(
    data: Any = None,
    model: str | None = None,
    *,
    horizon: int | None = None,
    target: str | None = None,
    recipe: str | Recipe | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    runs: str | Path = "runs",
    quiet: bool = False,
) -> Result:
    """Train a model, score it once on the test split beside its baselines, and keep all in a run folder.

    Args:
        data: a data set name, a file path, or a polars, pandas or Arrow frame; simulated load by default.
        model: a name of `seqsci models`; informer by default.
        horizon: steps to forecast.
        target: "all" or series names with commas between.
        recipe: a shipped recipe, a YAML file or a Recipe; chosen by model and data when not given.
        settings: any further field by its dotted path, such as {"train.epochs": 2, "model.width": 64}.
        seed: of the whole run.
        runs: folder that run folders are made in.
        quiet: print no progress.

    Raises:
        SeqsciError: what is wrong with the names, the settings or the data.
        seqsci.training.callbacks.Interrupted: after Ctrl-C; `resume` goes on.
    """
    resolved, _ = plan(data, model, horizon=horizon, target=target, recipe=recipe, settings=settings, seed=seed)
    source = None if data is None or isinstance(data, str | Path) else data
    run = start(resolved, runs, source)
    return finish(run, quiet=quiet)


def plan(
    data: Any = None,
    model: str | None = None,
    *,
    horizon: int | None = None,
    target: str | None = None,
    recipe: str | Recipe | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> tuple[ForecastRecipe, str]:
    """The resolved recipe of a call and a sentence on where it came from; touches no data."""
    short = {"data.horizon": horizon, "data.target": target, "train.seed": seed}
    changes = {**{key: value for key, value in short.items() if value is not None}, **(settings or {})}
    name = str(data) if isinstance(data, str | Path) else (None if data is None else "frame")
    if isinstance(recipe, Recipe):
        named = {"data.name": name, "model.name": model}
        given = recipe.with_({**{k: v for k, v in named.items() if v is not None}, **changes})
        return as_forecast(given), "a given recipe"
    resolved, note = recipes.resolve("forecast", data=name, model=model, recipe=recipe, changes=changes)
    return as_forecast(resolved), note


def start(recipe: ForecastRecipe, runs: str | Path = "runs", source: Any = None) -> Run:
    """A new run folder that can be resumed from anywhere and without the caller: a frame is kept in it.

    `data.json` holds where the data came from, its digest, and what reading found out or changed.
    """
    prepared = prepare(recipe.data, recipe.evaluate.season, source)  # refuse bad data before a folder is made
    label = Path(recipe.data.name).name.split(".")[0]
    # The choice of the precision is written down, so that running the recipe again repeats the run.
    recipe = recipe.with_({"train.precision": resolve(recipe.train.precision, device())})
    if prepared.origin["path"] is not None and prepared.origin["card"] is None:
        recipe = recipe.with_({"data.name": str(Path(recipe.data.name).resolve())})
    run = Run.create(Path(runs), recipe, label)
    if source is not None:
        kept = run.folder / "data.parquet"
        with whole(kept) as path:
            nw.from_native(source).to_polars().write_parquet(path)
        recipe = recipe.with_({"data.name": str(kept.resolve())})
        run.write("recipe.yaml", recipe.to_yaml())
        prepared = prepare(recipe.data, recipe.evaluate.season)
    run.write_json("data.json", {**prepared.origin, "notes": prepared.sequences.notes})
    return run


def finish(run: Run, *, quiet: bool = False) -> Result:
    """Train (or go on from the resume point), score and report; what is already done is not repeated."""
    if not run.complete:
        recipe = as_forecast(run.recipe)
        prepared = prepare(recipe.data, recipe.evaluate.season)
        if prepared.origin["sha256"] != run.read_json("data.json")["sha256"]:
            raise SeqsciError(
                f"data: {recipe.data.name} has changed since {run.folder} began; restore it, or start a new run"
            )
        fitted = fit(recipe, prepared, run, quiet=quiet)
        evaluate(recipe, prepared, run, fitted)
    result = Result(run)
    if not (run.folder / "report.html").is_file():
        result.report()
    return result


def open_run(folder: str | Path) -> Result:
    """A run folder from disk.

    Raises:
        SeqsciError: not a run folder.
    """
    return Result(Run.open(folder))


def predict(run: Run, data: Any = None) -> pl.DataFrame:
    """See `Result.predict`."""
    import torch

    from seqsci.tasks import forecast as task

    run.read_json("metrics.json")  # an unfinished run has no intervals yet, and says so
    recipe = as_forecast(run.recipe)
    tensors, facts = run.load_weights()
    frame = Frame.from_facts(facts["frame"])
    source = recipe.data.name if data is None else data
    sequences, _ = load(recipe.data, source, frame.channels)
    batch, times = future_window(frame, sequences, recipe.data)
    network = load_network(recipe, make_shape(recipe.data, frame, facts["marks"]), run)
    scaled = task.predict(network, [batch])[0].astype(np.float64)
    names = {name.removeprefix("conformal."): t for name, t in tensors.items() if name.startswith("conformal.")}
    columns = {"yhat": frame.raw(scaled)}
    for level in sorted(names, key=int):
        radius = names[level].to(torch.float64).numpy()
        columns[f"yhat-lo-{level}"] = frame.raw(scaled - radius)
        columns[f"yhat-hi-{level}"] = frame.raw(scaled + radius)
    return _long(times, frame.targets, columns)


def tune(
    recipe: str | Recipe,
    data: Any = None,
    *,
    trials: int,
    storage: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    runs: str | Path = "runs",
    quiet: bool = False,
) -> Sweep:
    """Search the recipe's `search:` block by validation loss; see `seqsci.tune.tune`."""
    from seqsci.tune import tune as sweep

    resolved, _ = plan(data, recipe=recipe, settings=settings)
    source = None if data is None or isinstance(data, str | Path) else data
    place = Path(storage) if storage is not None else None
    return sweep(resolved, trials=trials, root=Path(runs), storage=place, seed=seed, quiet=quiet, source=source)


class Forecaster(BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """A forecasting model in scikit-learn's manner, on polars, pandas or Arrow frames.

    Args:
        model: a name of `seqsci models`.
        horizon, context: steps to forecast and to see.
        target: "all" or series names with commas between.
        inputs: "target" or "all", the series that the model reads.
        covariates: columns known for the horizon as well.
        settings: any further recipe field by its dotted path.
        seed: of the whole run.
        runs: folder that the run folder is made in.
        quiet: print no progress.

    Attributes:
        result_: the `Result` of the last fit.
    """

    def __init__(
        self,
        model: str = "informer",
        *,
        horizon: int = 24,
        context: int = 96,
        target: str = "all",
        inputs: str = "target",
        covariates: tuple[str, ...] = (),
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        runs: str | Path = "runs",
        quiet: bool = True,
    ) -> None:
        self.model = model
        self.horizon = horizon
        self.context = context
        self.target = target
        self.inputs = inputs
        self.covariates = covariates
        self.settings = settings
        self.seed = seed
        self.runs = runs
        self.quiet = quiet

    def fit(self, X: Any, y: None = None) -> Forecaster:
        """Train on a frame with a time column and one column per series (or long: unique_id, ds, y)."""
        given = {
            "data.context": self.context,
            "data.inputs": self.inputs,
            "data.covariates": list(self.covariates),
            # The general recipe starts its decoder with 48 steps; a shorter context cannot give as many.
            "model.label_length": min(self.context, 48),
            **(self.settings or {}),
        }
        self.result_ = forecast(
            X, self.model, horizon=self.horizon, target=self.target, settings=given, seed=self.seed,
            runs=self.runs, quiet=self.quiet,
        )  # fmt: skip
        return self

    def predict(self, X: Any = None) -> Any:
        """Forecast past the end of a frame (by default the one of `fit`), in the same kind of frame."""
        table = self._fitted().predict(X)
        return _like(table, X)

    def score(self, X: Any, y: None = None) -> float:
        """Minus the mean squared error over every window of a frame, in scaled units: higher is better.

        Raises:
            SeqsciError: fewer rows than context + horizon.
        """
        result = self._fitted()
        return -mean_squared_error(result.run, X)

    def _fitted(self) -> Result:
        if not hasattr(self, "result_"):
            raise SeqsciError("Forecaster: call fit before predict or score")
        return self.result_


def mean_squared_error(run: Run, data: Any) -> float:
    """MSE of a run's model over every window of new data, scaled by the run's training rows."""
    from seqsci.data.windows import Windows, require_windows
    from seqsci.tasks import forecast as task

    recipe = as_forecast(run.recipe)
    _, facts = run.load_weights()
    frame = Frame.from_facts(facts["frame"])
    sequences, _ = load(recipe.data, data, frame.channels)
    table, rows = frame.table(sequences), len(sequences.values) - sequences.tail
    windows = Windows(table, (0, rows), recipe.data.context, recipe.data.horizon)
    require_windows({"scoring": windows.count}, rows, recipe.data.context, recipe.data.horizon)
    network = load_network(recipe, make_shape(recipe.data, frame, facts["marks"]), run)
    guess = task.predict(network, windows.batches(64))
    batches = list(windows.batches(64))
    truth: NDArray[Any] = np.concatenate([b.target.numpy() for b in batches if b.target is not None])
    seen: NDArray[Any] = np.concatenate([b.target_mask.numpy() for b in batches if b.target_mask is not None])
    return task.score(guess, truth, seen, np.ones(truth.shape[-1])).mse


def _long(times: NDArray[np.generic], names: tuple[str, ...], columns: Mapping[str, NDArray[Any]]) -> pl.DataFrame:
    steps = len(times)
    return pl.DataFrame(
        {
            "unique_id": [name for name in names for _ in range(steps)],
            "ds": np.tile(times, len(names)),
            **{name: values.T.reshape(-1) for name, values in columns.items()},
        }
    )


def _like(table: pl.DataFrame, given: Any) -> Any:
    """The table as the kind of frame that was given; polars where none was."""
    if given is None or isinstance(given, str | Path):
        return table
    backend = nw.get_native_namespace(nw.from_native(given))
    return nw.from_dict(table.to_dict(as_series=False), backend=backend).to_native()
