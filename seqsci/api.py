"""What the command line and a notebook call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from seqsci import recipe as recipes
from seqsci.errors import SeqsciError
from seqsci.files import short_name
from seqsci.nn.precision import resolve
from seqsci.recipe import Recipe
from seqsci.runs import Run
from seqsci.training.fit import device, fit
from seqsci.training.prepared import job

if TYPE_CHECKING:
    from seqsci.tuning import Sweep


@dataclass(frozen=True)
class Result:
    """A complete run: scores, pictures and a model that predicts."""

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

    def predict(
        self,
        data: Any = None,
        objects: Any = None,
        *,
        invalid: str | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> pl.DataFrame:
        """What the model says of new data: a file, a frame, or by default what the run was trained on.

        Args:
            data: with the columns of the training data; of a classification, classes are not needed, and a long file of
                light curves that is larger than some hundred MB is streamed.
            objects: of a classification: file or frame with one row per object, where the redshifts stand.
            invalid: of DNA, proteins and molecules: "refuse" or "skip" records that cannot be read, in place of the
                recipe's.
            tell: called with each sentence on what reading has found out or changed, such as `print`.

        Returns:
            Of a forecast `unique_id, ds, yhat` past the end of the data and, for each level, `yhat-lo-80, yhat-hi-80`,
            in the units of the file. Of a classification `object_id, predicted, novelty` and the probability
            `p_<class>` of each class; novelty is 1 less the largest of them. Of a fine-tuned model `id, predicted` and,
            of classes, `p_<class>`; a number is in the units of its label.

        Raises:
            SeqsciError: columns, time step or number of rows do not fit the model; or a damaged run.
        """
        if objects is not None and self.recipe.task == "forecast":
            raise SeqsciError("objects: a forecast reads one table; leave it out")
        if invalid is not None and self.recipe.task in ("forecast", "classify"):
            raise SeqsciError("invalid: it is for records of DNA, proteins or molecules; leave it out")
        further = _given({"objects": objects, "invalid": invalid})
        return job(self.recipe).predict(self.run, data, tell, **further)

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
    short = {"data.horizon": horizon, "data.target": target}
    changes = {**_given(short), **as_settings(settings)}
    resolved, _ = plan("forecast", data, model, recipe=recipe, settings=changes, seed=seed)
    return finish(start(resolved, runs, _frame(data)), quiet=quiet)


def classify(
    data: Any = None,
    model: str | None = None,
    *,
    objects: Any = None,
    label: str | None = None,
    recipe: str | Recipe | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    runs: str | Path = "runs",
    quiet: bool = False,
) -> Result:
    """Train a classifier of light curves, score it once on the test split beside its baselines, and keep all of it.

    Args:
        data: a data set name, a path (or several with commas between), or a polars, pandas or Arrow frame of
            observations; simulated light curves by default.
        model: a name of `seqsci models`; t2 by default.
        objects: path or frame with one row per object, where the labels do not stand among the observations.
        label: column of the class.
        recipe, settings, seed, runs, quiet: as for `forecast`.

    Raises:
        SeqsciError: what is wrong with the names, the settings or the data.
        seqsci.training.callbacks.Interrupted: after Ctrl-C; `resume` goes on.
    """
    table = None if _frame(objects) is None else objects
    path = None if objects is None or table is not None else str(objects)
    short = {"data.objects": path, "data.label": label}
    changes = {**_given(short), **as_settings(settings)}
    resolved, _ = plan("classify", data, model, recipe=recipe, settings=changes, seed=seed)
    frame = _frame(data)
    if table is not None and frame is None:
        raise SeqsciError("objects: a frame goes with a frame of observations as data; give both as files, or neither")
    return finish(start(resolved, runs, frame if table is None else (frame, table)), quiet=quiet)


def plan(
    task: str,
    data: Any = None,
    model: str | None = None,
    *,
    recipe: str | Recipe | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> tuple[Recipe, str]:
    """The resolved recipe of a call and a sentence on where it came from; touches no data."""
    changes = {**_given({"train.seed": seed}), **as_settings(settings)}
    if not isinstance(recipe, str | Path | Recipe | None):
        raise SeqsciError(f"recipe: give a name, a YAML file or a Recipe, not {recipe!r}")
    name = str(data) if isinstance(data, str | Path) else (None if data is None else "frame")
    if isinstance(recipe, Recipe):
        named = _given({"data.name": name, "model.name": model})
        return recipe.with_({**named, **changes}), "a given recipe"
    return recipes.resolve(
        task, data=name, model=model, recipe=None if recipe is None else str(recipe), changes=changes
    )


def start(recipe: Recipe, runs: str | Path = "runs", source: Any = None) -> Run:
    """A new run folder that can be resumed from anywhere and without the caller: a frame is kept in it.

    `data.json` holds where the data came from, its digest, and what reading found out or changed.
    """
    road = job(recipe)
    prepared = road.prepare(recipe, source)  # refuse bad data before a folder is made
    # The choice of the precision is written down, so that running the recipe again repeats the run.
    label = short_name(recipe.data.name)
    recipe = recipe.with_({"train.precision": resolve(recipe.train.precision, device()), **recipe.located()})
    run = Run.create(Path(runs), recipe, label)
    if source is not None:
        recipe = recipe.with_(road.keep(source, run.folder))
        run.write("recipe.yaml", recipe.to_yaml())
        prepared = road.prepare(recipe)
    run.write_json("data.json", {**prepared.origin, "notes": prepared.notes})
    return run


def finish(run: Run, *, quiet: bool = False) -> Result:
    """Train, or go on from the resume point, score and report."""
    if not run.complete:
        recipe = run.recipe
        road = job(recipe)
        prepared = road.prepare(recipe)
        if prepared.origin["sha256"] != run.read_json("data.json")["sha256"]:
            raise SeqsciError(
                f"data: {recipe.data.name} has changed since {run.folder} began; restore it, or start a new run"
            )
        fitted = fit(recipe, prepared, run, quiet=quiet)
        road.evaluate(recipe, prepared, run, fitted, quiet=quiet)
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
    """Search the recipe's `search:` block by validation loss; see `seqsci.tuning.tune`.

    Of a recipe for fine-tuning `settings={"train.start": RUN}` tunes that of a pretrained run, whose model is taken
    over.
    """
    from seqsci.tuning import tune as sweep

    settings = as_settings(settings)
    if "train.start" in settings:
        from seqsci.training.finetune.pretrained import swept

        tree = recipes.as_tree(recipe) if isinstance(recipe, Recipe) else recipes.read(str(recipe))
        settings = swept(tree, {**settings, "train.start": str(settings["train.start"])}, data)
    resolved, _ = plan("", data, recipe=recipe, settings=settings)
    place = Path(storage) if storage is not None else None
    return sweep(resolved, trials=trials, root=Path(runs), storage=place, seed=seed, quiet=quiet, source=_frame(data))


def as_settings(settings: Any) -> dict[str, Any]:
    """Settings as a caller gives them, by dotted path.

    Raises:
        SeqsciError: not a mapping from paths.
    """
    if settings is None:
        return {}
    if not isinstance(settings, Mapping) or not all(isinstance(path, str) for path in settings):
        raise SeqsciError(f"settings: give values by dotted path, such as {{'train.epochs': 2}}, not {settings!r}")
    return dict(settings)


def _given(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {path: value for path, value in changes.items() if value is not None}


def _frame(data: Any) -> Any:
    """The caller's frame; None for a name or a path."""
    return None if data is None or isinstance(data, str | Path) else data
