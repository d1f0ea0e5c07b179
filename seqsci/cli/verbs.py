"""The command line: one verb per job; each verb only calls the Python API.

torch takes seconds to import, so it is imported inside a verb's body, never for `--help`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from seqsci.cli import jobs
from seqsci.errors import SeqsciError

HELP = """Time series and scientific sequences through one zoo of sequence models.

A first try without any data:  seqsci forecast --data demo-electricity
                               seqsci classify --data demo-photometry
                               seqsci pretrain --data demo-molecules
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
Invalid = Literal["refuse", "skip"] | None
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
    changes = jobs.changes(set, {**named, "data.horizon": horizon, "data.target": target, "train.seed": seed})
    resolved, note = resolve("forecast", data=data, model=model, recipe=recipe, changes=changes)
    print(f"{note}: {jobs.outline(resolved)}", flush=True)
    jobs.train(resolved, runs)


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
    changes = jobs.changes(set, {**named, "data.objects": objects, "data.label": label, "train.seed": seed})
    resolved, note = resolve("classify", data=data, model=model, recipe=recipe, changes=changes)
    print(f"{note}: {jobs.outline(resolved)}", flush=True)
    jobs.train(resolved, runs)


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
    jobs.train(resolved.with_(changes) if changes else resolved, runs, recipe.parent)


@app.command
def resume(run: RunFolder) -> None:
    """Go on with a run that was interrupted, from its last resume point (Ctrl-C, and every train.save_minutes)."""
    from seqsci.runs import Run

    found = Run.open(run)
    if found.complete:
        print(f"{run} is complete; nothing to do")
    jobs.finish(found)


@app.command
def predict(
    run: RunFolder,
    *,
    data: str | None = None,
    objects: str | None = None,
    invalid: Invalid = None,
    output: Path | None = None,
) -> None:
    """What a trained run says of new data: forecasts past the end of a file, or classes and numbers of objects.

    Parameters
    ----------
    data
        A file with the columns of the training data (classes are not needed); by default the training data itself.
    objects
        Of a classification: file with one row per object, where the redshifts stand.
    invalid
        Of DNA, proteins and molecules: refuse, or skip, records that cannot be read; by default as the run was made.
    output
        .parquet or .csv file to write; without it the table is printed.
    """
    from seqsci.api import open_run
    from seqsci.files import whole

    if output is not None and output.suffix not in {".csv", ".parquet"}:
        raise SeqsciError(f"--output {output}: the name must end in .csv or .parquet")
    table = open_run(run).predict(data, objects, invalid=invalid, tell=jobs.tell)
    if output is None:
        print(jobs.csv(table), end="")
        return
    with whole(output) as path:
        if output.suffix == ".csv":
            path.write_text(jobs.csv(table), encoding="utf-8")
        else:
            table.write_parquet(path)
    print(f"{output}: {jobs.contents(table)}")


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
    label: str | None = None,
    trials: int = 20,
    storage: Path | None = None,
    seed: int = 0,
    runs: Path = Path("runs"),
    set: Set = (),
) -> None:
    """Search a recipe's `search:` block by validation loss; a second call on the same storage joins in.

    `seqsci tune finetune/bioxlstm --data ... --train.start RUN` tunes the fine-tuning of a pretrained run, whose model
    is taken over.

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
    label
        Column of what is to be predicted, in place of the recipe's.
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

    changes = jobs.changes(
        set, {"data.name": data, "data.horizon": horizon, "data.target": target, "data.label": label}
    )
    tree = read(recipe)
    if "train.start" in changes:
        from seqsci.training.finetune.pretrained import swept

        changes = swept(tree, changes, data)
    resolved, note = resolve("", data=data, recipe=recipe, changes=changes)
    print(f"{note}: {jobs.outline(resolved)}", flush=True)
    given = [path for path in tree.get("search") or {} if path not in resolved.search]
    if given:
        print(f"not searched, as it is given: {', '.join(given)}", flush=True)
    jobs.require_data(resolved)
    from seqsci.tuning import tune as sweep

    found = sweep(resolved, trials=trials, root=runs, storage=storage, seed=seed)
    print(found.summary())


@app.command
def models(name: str | None = None, /) -> None:
    """The models that a recipe may name, and the tasks that each is tested at.

    Parameters
    ----------
    name
        One of them: its settings and recipes, and what it can and cannot do, with the reasons.
    """
    from seqsci import matrix

    print(matrix.table() if name is None else matrix.description(name))


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
        forecast, classify, pretrain or finetune.
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
