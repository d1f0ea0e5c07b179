"""The command line: one verb per job; each verb only calls the Python API.

torch takes seconds to import, so it is imported inside a verb's body, never for `--help`.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

from cyclopts import App, CycloptsError, Parameter

from seqsci.errors import SeqsciError

HELP = """Time series and scientific sequences through one zoo of sequence models.

A first try without any data:  seqsci forecast --data demo-electricity
                               seqsci classify --data demo-photometry
Your own table:                seqsci forecast --data my.csv --horizon 24
                               seqsci classify --data curves.csv --objects objects.csv
"""
SETTINGS = """Every field of a recipe is a flag by its dotted path, e.g. `--train.lr 1e-4 --model.layers 3
--data.context 168 --data.split 2018-01-01,2018-04-01`; `seqsci settings TASK` lists them all."""

app = App(name="seqsci", help=HELP, version_flags=["--version"], help_format="plaintext")
data_app = App(name="data", help="Data sets: list, inspect, fetch and check.", help_format="plaintext")
app.command(data_app)

Set = Annotated[tuple[str, ...], Parameter(name="--set", negative=(), show=False)]
"""What the dotted flags become; the epilogue of the help tells of them."""
RunFolder = Annotated[Path, Parameter(help="A run folder.")]


@app.command(help_epilogue=SETTINGS)
def forecast(
    *,
    data: str | None = None,
    model: str | None = None,
    horizon: int | None = None,
    target: str | None = None,
    recipe: str | None = None,
    seed: int | None = None,
    runs: Path = Path("runs"),
    set: Set = (),
) -> None:
    """Train a forecasting model, score it beside its baselines, and write a report.

    Parameters
    ----------
    data
        A name of `seqsci data list`, or a CSV or Parquet file (one column per series, or unique_id, ds, y).
        Without it: simulated electricity load.
    model
        A name of `seqsci models`; informer by default.
    horizon
        Steps to forecast.
    target
        Series to forecast: all, one name, or names with commas between.
    recipe
        A name of `seqsci recipes` or a YAML file; by default the one made for this model and data set.
    seed
        Seed of everything random in the run.
    runs
        Folder that the run folder is made in.
    """
    from seqsci.recipe import resolve

    named = {"data.name": data, "model.name": model}
    changes = _changes(set, {**named, "data.horizon": horizon, "data.target": target, "train.seed": seed})
    resolved, note = resolve("forecast", data=data, model=model, recipe=recipe, changes=changes)
    print(f"{note}: {_outline(resolved)}", flush=True)
    _train(resolved, runs)


@app.command(help_epilogue=SETTINGS)
def classify(
    *,
    data: str | None = None,
    model: str | None = None,
    objects: str | None = None,
    label: str | None = None,
    recipe: str | None = None,
    seed: int | None = None,
    runs: Path = Path("runs"),
    set: Set = (),
) -> None:
    """Train a classifier of light curves, score it beside its baselines, and write a report.

    Parameters
    ----------
    data
        A name of `seqsci data list`, or a CSV, Parquet or SNANA file (several with commas between): one row per
        observation, or one per object with lists. Without it: simulated light curves.
    model
        A name of `seqsci models`; t2 by default.
    objects
        File with one row per object (its label and redshift), where they do not stand among the observations.
    label
        Column of the class.
    recipe
        A name of `seqsci recipes` or a YAML file; by default the one made for this model and data set.
    seed
        Seed of everything random in the run.
    runs
        Folder that the run folder is made in.
    """
    from seqsci.recipe import resolve

    named = {"data.name": data, "model.name": model}
    changes = _changes(set, {**named, "data.objects": objects, "data.label": label, "train.seed": seed})
    resolved, note = resolve("classify", data=data, model=model, recipe=recipe, changes=changes)
    print(f"{note}: {_outline(resolved)}", flush=True)
    _train(resolved, runs)


@app.command(name="run", help_epilogue=SETTINGS)
def run_recipe(recipe: Path, *, runs: Path = Path("runs"), set: Set = ()) -> None:
    """Run a recipe file; the recipe.yaml of a run folder repeats that run.

    Parameters
    ----------
    recipe
        A YAML file.
    runs
        Folder that the run folder is made in.
    """
    from seqsci.recipe import build, parse_changes, read

    resolved = build({k: v for k, v in read(str(recipe)).items() if k != "horizons"})
    changes = parse_changes(set)
    _train(resolved.with_(changes) if changes else resolved, runs, recipe.parent)


@app.command
def resume(run: RunFolder) -> None:
    """Go on with a run that was interrupted; what is done is not repeated."""
    from seqsci.runs import Run

    found = Run.open(run)
    if found.complete:
        print(f"{run} is complete; nothing to do")
    _finish(found)


@app.command
def predict(run: RunFolder, *, data: str | None = None, objects: str | None = None, output: Path | None = None) -> None:
    """What a trained run says of new data: forecasts past the end of a file, or class probabilities of objects.

    Parameters
    ----------
    data
        A file with the columns of the training data (classes are not needed); by default the training data itself.
    objects
        Of a classification: file with one row per object, where the redshifts stand.
    output
        .parquet or .csv file to write; without it the table is printed.
    """
    from seqsci.api import open_run
    from seqsci.files import whole

    if output is not None and output.suffix not in {".csv", ".parquet"}:
        raise SeqsciError(f"--output {output}: the name must end in .csv or .parquet")
    table = open_run(run).predict(data, objects, tell=_tell)
    if output is None:
        print(_csv(table), end="")
        return
    with whole(output) as path:
        if output.suffix == ".csv":
            path.write_text(_csv(table), encoding="utf-8")
        else:
            table.write_parquet(path)
    print(f"{output}: {_contents(table)}")


@app.command
def report(run: RunFolder) -> None:
    """Build the report of a run anew: report.html and its pictures."""
    from seqsci.api import open_run

    print(open_run(run).report())


@app.command(help_epilogue=SETTINGS)
def tune(
    recipe: str,
    *,
    data: str | None = None,
    horizon: int | None = None,
    target: str | None = None,
    trials: int = 20,
    storage: Path | None = None,
    seed: int = 0,
    runs: Path = Path("runs"),
    set: Set = (),
) -> None:
    """Search a recipe's `search:` block by validation loss; a second call on the same storage joins in.

    Parameters
    ----------
    recipe
        A name of `seqsci recipes` or a YAML file with a `search:` block.
    data
        Data set or file, in place of the recipe's.
    horizon
        Steps to forecast, in place of the recipe's.
    target
        Series to forecast, in place of the recipe's.
    trials
        Trials of the whole sweep, over all workers.
    storage
        Journal file; by default one in the sweep's folder.
    seed
        Seed of the search.
    runs
        Folder that the sweep's folder is made in.
    """
    from seqsci.recipe import read, resolve

    changes = _changes(set, {"data.name": data, "data.horizon": horizon, "data.target": target})
    resolved, note = resolve("", data=data, recipe=recipe, changes=changes)
    print(f"{note}: {_outline(resolved)}", flush=True)
    given = [path for path in read(recipe).get("search") or {} if path not in resolved.search]
    if given:
        print(f"not searched, as it is given: {', '.join(given)}", flush=True)
    _require_data(resolved)
    from seqsci.tune import tune as sweep

    found = sweep(resolved, trials=trials, root=runs, storage=storage, seed=seed)
    print(found.summary())


@app.command
def models() -> None:
    """The models that a recipe may name."""
    from seqsci import registry

    for name in registry.names():
        print(f"{name:20s} {registry.settings(name).__doc__}")


@app.command
def recipes() -> None:
    """The recipes that are shipped."""
    from seqsci import catalog

    print("\n".join(catalog.recipes()))


@app.command
def settings(task: str = "forecast", *, model: str | None = None) -> None:
    """Every field of a task's recipe with its default, and what it means.

    Parameters
    ----------
    task
        forecast or classify.
    model
        A name of `seqsci models`; by default the task's first.
    """
    from typing import get_type_hints

    from seqsci import registry
    from seqsci.errors import nearest
    from seqsci.recipe import FIRST, TASKS, describe

    if task not in TASKS:
        raise SeqsciError(f"settings: no task '{task}'{nearest(task, TASKS)}")
    blocks = get_type_hints(TASKS[task])
    blocks["model"] = registry.settings(model or FIRST[task][1])
    for part in ("data", "model", "train", "evaluate"):
        for name, kind, default, text in describe(blocks[part]):
            print(f"--{part}.{name}  [{kind}; {default}]\n      {text}")


@data_app.command(name="list")
def data_list() -> None:
    """Data sets that seqsci knows."""
    from seqsci import catalog

    for name in catalog.names("datasets"):
        card = catalog.card(name)
        print(f"{name:20s} {card.title}{' (simulated)' if card.simulated else ''}")


@data_app.command
def info(name: str) -> None:
    """Origin, licence, units and split of a data set."""
    from seqsci import catalog

    print(catalog.describe(catalog.card(name)))


@data_app.command
def fetch(name: str, *, part: Annotated[tuple[str, ...], Parameter(negative=())] = ()) -> None:
    """Find a data set on this machine or download it, and check its digests.

    Parameters
    ----------
    part
        A part that is not read unless asked for, such as test_01 of plasticc; may be repeated.
    """
    from seqsci import catalog
    from seqsci.data import download

    card = catalog.card(name)
    found = download.locate_all(card, part)
    print("\n".join(str(one.path) for one in found) or f"{name}: simulated, nothing to fetch")


@data_app.command
def check(file: Path) -> None:
    """Which known data set a file is, by its content."""
    from seqsci.data import download

    print(download.check_file(file).sentence)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 2 refused input or place, 130 interrupted, 141 nobody reads on."""
    tokens = _dotted(list(sys.argv[1:] if arguments is None else arguments))
    try:
        app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except BrokenPipeError:
        _leave_quietly()
    except OSError as problem:
        _refuse(_told(problem))
    except CycloptsError as problem:
        _refuse(" ".join(str(problem).split()))
    except SeqsciError as problem:
        _refuse(str(problem))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _leave_quietly() -> NoReturn:
    """What is still to be printed goes nowhere: Python would complain of the closed pipe when it ends."""
    for stream in (sys.stdout, sys.stderr):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(141)


def _told(problem: OSError) -> str:
    """What the disk refuses, in a sentence."""
    if problem.filename is None or problem.errno is None:
        return " ".join(str(problem).split())
    full = problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    advice = "make room and try again; `seqsci resume` goes on with a run" if full else "choose another place"
    return f"{problem.filename}: {(problem.strerror or 'refused').lower()}; {advice}"


def _refuse(sentence: str) -> NoReturn:
    print(f"seqsci: {sentence}", file=sys.stderr)
    sys.exit(2)


def _dotted(tokens: list[str]) -> list[str]:
    """`--train.lr 1e-4` and `--train.lr=1e-4` -> `--set train.lr=1e-4`."""
    rewritten: list[str] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        name, equals, value = token.partition("=")
        position += 1
        if not (name.startswith("--") and "." in name):
            rewritten.append(token)
            continue
        if not equals:
            if position == len(tokens) or tokens[position].startswith("--"):
                _refuse(f"{name} needs a value, such as {name} 1")
            value = tokens[position]
            position += 1
        rewritten += ["--set", f"{name[2:]}={value}"]
    return rewritten


def _outline(recipe: Any) -> str:
    from seqsci import catalog

    data, model = recipe.data, recipe.model
    if recipe.task == "forecast":
        what = f"context {data.context}, horizon {data.horizon}, target {data.target}"
    else:
        what = "its observations" if data.input == "direct" else "Gaussian processes of its observations"
    return f"{model.name} on {catalog.label(data.name)}, {what}"


def _csv(table: Any) -> str:
    """The table as text; times with a zone end in their distance from UTC."""
    aware = "ds" in table.columns and table["ds"].dtype.time_zone is not None
    return str(table.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6f%:z" if aware else None))


def _contents(table: Any) -> str:
    """A predicted table in some words."""
    if "unique_id" not in table.columns:
        return f"{table.height} objects, {table['predicted'].n_unique()} classes predicted"
    return f"{table.height} rows, {table['unique_id'].n_unique()} series, {table['ds'].min()} to {table['ds'].max()}"


def _changes(dotted: Sequence[str], short: dict[str, Any]) -> dict[str, Any]:
    """Dotted flags and those with short names, by path."""
    from seqsci.recipe import parse_changes

    changes = parse_changes(dotted)
    for path, value in short.items():
        if value is not None and path in changes:
            raise SeqsciError(f"--{path}: stands twice, with {changes[path]} and {value}; keep one of them")
        if value is not None:
            changes[path] = value
    return changes


def _tell(note: str) -> None:
    """What reading has found out, apart from the table that is printed."""
    print(f"data: {note}", file=sys.stderr, flush=True)


def _train(recipe: Any, runs: Path, before: Path | None = None) -> None:
    """Make a run and finish it; `before` is the folder of the run that it may repeat."""
    _require_data(recipe)
    from seqsci.api import start

    run = start(recipe, runs)
    for note in [*run.read_json("data.json")["notes"], *_other_data(run, before)]:
        print(f"data: {note}", flush=True)
    _finish(run)


def _require_data(recipe: Any) -> None:
    """Refuse a name that means no data before torch is imported."""
    from seqsci import catalog

    if recipe.task == "forecast":  # light curves may lie in several files
        catalog.find(recipe.data.name)


def _other_data(run: Any, before: Path | None) -> list[str]:
    """A note where a run that is repeated read other data."""
    from seqsci.runs import Run

    if before is None or not (before / "data.json").is_file():
        return []
    if Run(before).read_json("data.json").get("sha256") == run.read_json("data.json")["sha256"]:
        return []
    return [f"not the same as that of {before}: it has changed, or another was named; scores cannot be compared"]


def _finish(run: Any) -> None:
    from seqsci.api import finish
    from seqsci.training.callbacks import Interrupted

    try:
        result = finish(run)
    except (Interrupted, KeyboardInterrupt):
        print(f"interrupted; go on with: seqsci resume {run.folder}", file=sys.stderr)
        sys.exit(130)
    _show(result)


def _show(result: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    from seqsci.report import summary

    told = summary(result.metrics)
    table = Table(title=told.title, title_justify="left")
    for place, column in enumerate(told.columns):
        table.add_column(column, justify="left" if place == 0 else "right", no_wrap=True)
    for row in told.rows:
        table.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(table)
    for sentence in told.sentences:
        console.print(sentence, highlight=False)
    print(f"report: {result.folder / 'report.html'}")
