"""What the verbs have in common: what a recipe is about, a run from its start to its table, a prediction as text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqsci.errors import SeqsciError


def outline(recipe: Any) -> str:
    """What a recipe is about, in some words."""
    from seqsci import catalog

    data, model = recipe.data, recipe.model
    if recipe.task == "forecast":
        what = f"context {data.context}, horizon {data.horizon}, target {data.target}"
    elif recipe.task in ("pretrain", "finetune"):
        what = f"rows of at most {data.context} tokens"
        what = f"{recipe.train.objective}, {what}" if recipe.task == "pretrain" else f"whole records{_start(recipe)}"
    else:
        what = "its observations" if data.input == "direct" else "Gaussian processes of its observations"
    return f"{model.name} on {catalog.label(data.name)}, {what}"


def _start(recipe: Any) -> str:
    return f", from {Path(recipe.train.start).name}" if recipe.train.start else ", from random weights"


def csv(table: Any) -> str:
    """The table as text; times with a zone end in their distance from UTC."""
    aware = "ds" in table.columns and table["ds"].dtype.time_zone is not None
    return str(table.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6f%:z" if aware else None))


def contents(table: Any) -> str:
    """A predicted table in some words."""
    if "id" in table.columns and "predicted" in table.columns:
        said = table["predicted"]
        if said.dtype.is_numeric():
            return f"{table.height} records, {said.min():.4g} to {said.max():.4g} predicted"
        return f"{table.height} records, {said.n_unique()} classes predicted"
    if "nats_per_token" in table.columns:
        return f"{table.height} records scored"
    if "unique_id" not in table.columns:
        return f"{table.height} objects, {table['predicted'].n_unique()} classes predicted"
    return f"{table.height} rows, {table['unique_id'].n_unique()} series, {table['ds'].min()} to {table['ds'].max()}"


def changes(dotted: Sequence[str], short: dict[str, Any]) -> dict[str, Any]:
    """Dotted flags and those with short names, by path."""
    from seqsci.recipe import parse_changes

    changes = parse_changes(dotted)
    for path, value in short.items():
        if value is not None and path in changes:
            raise SeqsciError(f"--{path}: stands twice, with {changes[path]} and {value}; keep one of them")
        if value is not None:
            changes[path] = value
    return changes


def tell(note: str) -> None:
    """What reading has found out, apart from the table that is printed."""
    print(f"data: {note}", file=sys.stderr, flush=True)


def train(recipe: Any, runs: Path, before: Path | None = None) -> None:
    """Make a run and finish it; `before` is the folder of the run that it may repeat."""
    require_data(recipe)
    from seqsci.api import start

    run = start(recipe, runs)
    for note in [*run.read_json("data.json")["notes"], *other_data(run, before)]:
        print(f"data: {note}", flush=True)
    finish(run)


def require_data(recipe: Any) -> None:
    """Refuse a name that means no data before torch is imported."""
    from seqsci import catalog

    if recipe.task == "forecast":  # light curves may lie in several files
        catalog.find(recipe.data.name)


def other_data(run: Any, before: Path | None) -> list[str]:
    """A note where a run that is repeated read other data."""
    from seqsci.runs import Run

    if before is None or not (before / "data.json").is_file():
        return []
    if Run(before).read_json("data.json").get("sha256") == run.read_json("data.json")["sha256"]:
        return []
    return [f"not the same as that of {before}: it has changed, or another was named; scores cannot be compared"]


def finish(run: Any) -> None:
    """Train, score and show a run, or say how to go on with it."""
    from seqsci.api import finish
    from seqsci.training.callbacks import Interrupted

    try:
        result = finish(run)
    except (Interrupted, KeyboardInterrupt):
        print(f"interrupted; go on with: seqsci resume {run.folder}", file=sys.stderr)
        sys.exit(130)
    show(result)


def show(result: Any) -> None:
    """The table of scores, the verdicts and where the report lies."""
    from seqsci.report import summary

    told = summary(result.metrics)
    _print(told.title, told.columns, told.rows, told.sentences)
    print(f"report: {result.folder / 'report.html'}")


def answer(said: Any) -> None:
    """The short table of what a pretrained run has said, and where the whole lies."""
    told = said.summary
    _print(told["title"], told["columns"], told["rows"], told["sentences"])
    print(f"table: {said.file}" if said.report is None else f"report: {said.report}")


def _print(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], sentences: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(table)
    for sentence in sentences:
        console.print(sentence, highlight=False, markup=False)
