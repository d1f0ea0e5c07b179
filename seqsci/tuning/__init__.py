"""Search of a recipe's `search:` block by validation loss, shared by any number of workers.

Everything that is known of a sweep lies in one journal file; leaderboard, report and best recipe are made
from it anew each time a worker ends. The test split is kept from the trials.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import polars as pl
from optuna.distributions import BaseDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.study import MaxTrialsCallback, Study
from optuna.trial import FrozenTrial, Trial

from seqsci import recipe as recipes
from seqsci.errors import SeqsciError
from seqsci.files import whole
from seqsci.recipe import Recipe
from seqsci.runs import Run
from seqsci.tuning.report import ENDED, Narrate, best_trial, count_ended, leaderboard, listed, write_report

NAME = "seqsci"
"""Of the study in its journal: fixed, so that a second worker on the same file joins in."""
Listen = Callable[[int, float], None]
TrainTrial = Callable[[Recipe, Run, Listen], float]
"""Trains a recipe in a run folder, tells of each validation (epoch from 1, loss), and gives the best loss."""


@dataclass(frozen=True)
class Sweep:
    """What a sweep has found so far."""

    folder: Path
    """leaderboard.csv, best.yaml, report.html and one run folder per trial."""
    storage: Path
    """The journal: `seqsci tune` on it, from any process, joins the sweep."""
    leaderboard: pl.DataFrame
    """One row per trial, the best first: number, value, state, a column per parameter, seconds, note."""
    best_value: float | None
    """Lowest validation loss; None when no trial was completed."""
    best_params: dict[str, Any]
    """Dotted path -> value of the best trial."""

    @property
    def best(self) -> Path:
        """The best trial's recipe; running it again repeats its validation loss."""
        return self.folder / "best.yaml"

    @property
    def recipe(self) -> Recipe:
        """The best trial's recipe.

        Raises:
            SeqsciError: no trial was completed.
        """
        return recipes.build(recipes.read(str(self.best)))

    @property
    def report(self) -> Path:
        """Pictures and the leaderboard."""
        return self.folder / "report.html"

    def summary(self) -> str:
        """A few lines for the command line."""
        states = self.leaderboard["state"].to_list()
        counts = f"{states.count('complete')} trials completed, {states.count('pruned')} pruned"
        if self.best_value is None:
            return f"{counts}; see the notes in {self.folder / 'leaderboard.csv'}\nreport: {self.report}"
        best = f"best validation loss {self.best_value:.4f} with {listed(self.best_params)}"
        again = f"train and score it: seqsci run {self.best}"
        return f"{counts}\n{best}\n{again}\nreport: {self.report}"


def tune(
    recipe: Recipe,
    *,
    trials: int,
    root: Path,
    storage: Path | None = None,
    seed: int = 0,
    quiet: bool = False,
    source: Any = None,
    train: TrainTrial | None = None,
) -> Sweep:
    """Search until the study has `trials` ended trials, alone or beside other workers on the same storage.

    Args:
        recipe: with a `search` block.
        trials: of the whole sweep, over all workers and calls; each worker ends the trial it is in.
        root: folder in which `tune-<task>-<data>-<model>` is made; with a storage of its own, a sweep has
            that file's name behind.
        storage: journal file; by default journal.log in the sweep's folder.
        seed: of the search; that of training stands in the recipe.
        quiet: print no progress.
        source: a frame in place of `data.name`; kept in the folder.
        train: what a trial does; by default `seqsci.training.fit` without the test split.

    Raises:
        SeqsciError: nothing to search, bad data, a storage that is not a journal, or one with another sweep.
        KeyboardInterrupt: after Ctrl-C, with all results so far written; the same call goes on.
    """
    _require_search(recipe, trials)
    folder = _folder(recipe, root, storage)
    journal = storage or folder / "journal.log"
    fit = train or _Fit(recipe, source)
    if source is not None:
        recipe = recipe.with_(_keep(recipe, source, folder))
        fit = train or _Fit(recipe, None)  # as any other worker finds it
    with _silent():
        study = _join(journal, recipe, seed, fit.sha256 if isinstance(fit, _Fit) else "")
        ended = count_ended(study)
        if not quiet:
            print(
                f"{ended} of {trials} trials done; more workers may join: {journal}",
                file=sys.stderr,
                flush=True,
            )
        try:
            if ended < trials:
                callbacks: list[Callable[[Study, FrozenTrial], None]] = [
                    Narrate(study, trials, quiet),
                    MaxTrialsCallback(trials, ENDED),
                ]
                study.optimize(_objective(recipe, folder, fit), callbacks=callbacks)
        except KeyboardInterrupt:
            if not quiet:
                print(
                    f"\n{count_ended(study)} of {trials} trials kept; the same command goes on",
                    file=sys.stderr,
                )
            raise
        finally:
            sweep = _write(study, recipe, folder, journal)
    return sweep


class Seeded(BaseSampler):
    """TPE whose draws depend on the seed, the trial's number and what has ended before it alone.

    A sampler with one stream would propose the same settings in each worker that was given the same seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.sampler = self._tpe(0)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """A stream of its own for each trial."""
        self.sampler = self._tpe(trial.number)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """TPE's."""
        return self.sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """TPE's."""
        return self.sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """TPE's."""
        return self.sampler.sample_independent(study, trial, param_name, param_distribution)

    def _tpe(self, number: int) -> TPESampler:
        mixed = (self.seed * 1_000_003 + number) % 2**32
        return TPESampler(multivariate=True, constant_liar=True, seed=mixed)


def suggest(trial: Trial, search: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Draw one value for each entry of a search block."""
    changes: dict[str, Any] = {}
    for path, law in search.items():
        values = recipes.candidates(path, law)
        if "choice" in law:
            # Optuna's categories are scalars: a list, such as one of model.stack, goes by its text.
            known = {json.dumps(v) if isinstance(v, list | tuple) else v: v for v in values}
            changes[path] = known[trial.suggest_categorical(path, list(known))]
        elif "int" in law:
            changes[path] = trial.suggest_int(path, *values)
        else:
            changes[path] = trial.suggest_float(path, *values, log="log" in law)
    return changes


class _Fit:
    """Training as `seqsci run` does it, without the test split; equal data blocks share their data."""

    def __init__(self, recipe: Recipe, source: Any) -> None:
        from seqsci.training.prepared import Prepared, job

        self._known: dict[str, Prepared] = {}
        self._prepare: Callable[[Recipe], Prepared] = lambda own: job(own).prepare(own, source).without_test()
        self.sha256 = str(self._prepared(recipe).origin["sha256"])  # refuse bad data before anything runs

    def _prepared(self, recipe: Recipe) -> Any:
        """Data of the last two different data blocks."""
        key = repr((recipe.data, recipe.evaluate))
        if key not in self._known:
            while len(self._known) > 1:
                del self._known[next(iter(self._known))]
            self._known[key] = self._prepare(recipe)
        return self._known[key]

    def __call__(self, recipe: Recipe, run: Run, listen: Listen) -> float:
        from seqsci.training.callbacks import Interrupted
        from seqsci.training.fit import fit

        try:
            return fit(recipe, self._prepared(recipe), run, listen=listen, quiet=True).best_val
        except Interrupted:
            raise KeyboardInterrupt from None


def _objective(base: Recipe, folder: Path, train: TrainTrial) -> Callable[[Trial], float]:
    def objective(trial: Trial) -> float:
        changes = suggest(trial, base.search)
        try:
            recipe = _trial_recipe(base, changes)
            trial.set_user_attr("recipe", recipe.to_yaml())
            value = train(recipe, _trial_run(folder, trial.number, recipe), _listener(trial, recipe.train.epochs))
            if not math.isfinite(value):
                raise SeqsciError("the validation loss is not finite")
        except SeqsciError as problem:
            trial.set_user_attr("note", str(problem))
            raise optuna.TrialPruned from None
        return value

    return objective


def _trial_recipe(base: Recipe, changes: dict[str, Any]) -> Recipe:
    """The base with the drawn values, no search block, and the number format of this machine written down."""
    recipe = dataclasses.replace(base, search={}).with_(changes)
    if recipe.train.precision != "auto":
        return recipe
    from seqsci.nn.precision import resolve
    from seqsci.training.fit import device

    return recipe.with_({"train.precision": resolve("auto", device())})


def _trial_run(folder: Path, number: int, recipe: Recipe) -> Run:
    """A folder that did not exist: what a removed journal left must not pass for this trial's."""
    base = folder / f"trial-{number:04d}"
    copies = (base if copy == 1 else base.with_name(f"{base.name}-{copy}") for copy in range(1, 1000))
    for path in copies:
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        run = Run(path)
        run.write("recipe.yaml", recipe.to_yaml())
        return run
    raise SeqsciError(f"{base}: no free folder name; remove old trials")


def _listener(trial: Trial, epochs: int) -> Listen:
    """Pruning on the validation curve; the first epoch is spared, and the last has nothing left to save."""

    def listen(epoch: int, loss: float) -> None:
        trial.report(loss, epoch - 1)
        if epoch < epochs and trial.should_prune():
            trial.set_user_attr("note", f"stopped after epoch {epoch} of {epochs}: worse than the median")
            raise optuna.TrialPruned

    return listen


def _join(journal: Path, recipe: Recipe, seed: int, sha256: str) -> Study:
    """Open or begin the study; refuse one of another recipe, space or content of the data."""
    facts = {"recipe": _base(recipe), "search": _space(recipe), **({"data": {"sha256": sha256}} if sha256 else {})}
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        lock = JournalFileSymlinkLock(str(journal))
        backend = JournalFileBackend(str(journal), lock)
        _mend(journal, lock)
        study = optuna.create_study(
            storage=JournalStorage(backend),
            sampler=Seeded(seed),
            pruner=MedianPruner(n_startup_trials=5, n_warmup_steps=1),
            study_name=NAME,
            direction="minimize",
            load_if_exists=True,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise SeqsciError(f"{journal}: cannot be used as the journal of a sweep ({problem}); name another") from None
    for key, fact in facts.items():
        if key not in study.user_attrs:
            study.set_user_attr(key, fact)
        _require_same(journal, key, study.user_attrs[key], fact)
    return study


def _mend(journal: Path, lock: JournalFileSymlinkLock) -> None:
    """Cut off a last line that a killed worker has left torn: nobody could read past the next one."""
    with open(journal, "rb") as file:
        first = file.readline()
    begun = json.loads(first) if first else {"op_code": 0}
    if not isinstance(begun, dict) or "op_code" not in begun:
        raise ValueError("its first line is not one of a journal")
    lock.acquire()
    try:
        with open(journal, "rb+") as file:
            content = file.read()
            if not content.endswith(b"\n"):
                file.truncate(content.rfind(b"\n") + 1)
    finally:
        lock.release()


def _require_search(recipe: Recipe, trials: int) -> None:
    if not recipe.search:
        raise SeqsciError(
            "search: the recipe has no such block; add one, such as search: {train.lr: {log: [1e-4, 1e-2]}}"
        )
    recipes.check_search(recipe)
    if trials < 1:
        raise SeqsciError(f"trials: need at least 1, not {trials}")


def _require_same(journal: Path, what: str, before: dict[str, Any], now: dict[str, Any]) -> None:
    for path in sorted({*before, *now}):
        old, new = before.get(path), now.get(path)
        if old != new and what == "data":
            raise SeqsciError(
                f"data: it has changed since the sweep in {journal} was begun, so that losses cannot be compared; "
                f"restore it, or begin another sweep with --storage FILE or --runs FOLDER"
            )
        if old != new:
            name = f"{what}.{path}" if what == "search" else path
            raise SeqsciError(
                f"{name}: the sweep in {journal} was begun with {_said(old)}, this call has {_said(new)}; "
                f"join with the same recipe, or begin another sweep with --storage FILE or --runs FOLDER"
            )


def _said(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)


def _base(recipe: Recipe) -> dict[str, Any]:
    return {path: value for path, value in recipe.flat().items() if path != "search"}


def _space(recipe: Recipe) -> dict[str, Any]:
    """Search block with its numbers read: '1e-5', as YAML gives it, and 0.00001 are the same space."""
    return {path: {next(iter(law)): recipes.candidates(path, law)} for path, law in recipe.search.items()}


def _folder(recipe: Recipe, root: Path, storage: Path | None) -> Path:
    label = Path(recipe.data.name).name.split(".")[0]
    folder = root / f"tune-{recipe.task}-{label}-{recipe.model.name}"
    if storage is None or storage.resolve().parent == folder.resolve():
        return folder
    return folder.with_name(f"{folder.name}-{storage.stem}")


def _keep(recipe: Recipe, source: Any, folder: Path) -> Mapping[str, str]:
    """Write a caller's frames beside the sweep, so that other workers and best.yaml find them."""
    from seqsci.training.prepared import job

    with tempfile.TemporaryDirectory() as other:
        for path in job(recipe).keep(source, Path(other)).values():
            old = folder / Path(path).name
            if old.is_file() and not pl.read_parquet(old).equals(pl.read_parquet(path)):
                raise SeqsciError(
                    f"{old}: the sweep there was begun with another frame; choose another folder for runs"
                )
    return job(recipe).keep(source, folder)


def _write(study: Study, recipe: Recipe, folder: Path, journal: Path) -> Sweep:
    """Leaderboard, best recipe and report, each whole."""
    table = leaderboard(study, list(recipe.search))
    best = best_trial(study)
    with whole(folder / "leaderboard.csv") as path:
        table.write_csv(path)
    if best is not None:
        with whole(folder / "best.yaml") as path:
            path.write_text(best.user_attrs["recipe"], encoding="utf-8")
    write_report(study, table, recipe, folder)
    if best is None:
        return Sweep(folder, journal, table, None, {})
    sweep = Sweep(folder, journal, table, best.value, {})
    settings = sweep.recipe.flat()
    return dataclasses.replace(sweep, best_params={path: settings[path] for path in best.params})


@contextmanager
def _silent() -> Iterator[None]:
    """Optuna without its own log lines."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
