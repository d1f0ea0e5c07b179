"""What a sweep tells: a line per trial, its leaderboard, and report.html with pictures of its course."""

from __future__ import annotations

import base64
import io
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from seqsci import catalog
from seqsci.files import whole
from seqsci.recipe import Recipe

# Okabe and Ito's colours, told apart by every kind of colour vision.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#888888"
ENOUGH = 8
"""Completed trials from which an importance says anything."""

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
"""What counts towards the total of a sweep."""


class Narrate:
    """One line on standard error for each trial that ends."""

    def __init__(self, study: Study, trials: int, quiet: bool) -> None:
        self.trials, self.quiet = trials, quiet
        self.began, self.before = time.monotonic(), count_ended(study)

    def __call__(self, study: Study, trial: FrozenTrial) -> None:
        """Value, settings, best so far, time left."""
        if self.quiet:
            return
        ended = count_ended(study)
        best = best_trial(study)
        so_far = f"best {best.value:.4f} (trial {best.number})" if best else "none completed yet"
        seconds = (time.monotonic() - self.began) / max(ended - self.before, 1) * max(self.trials - ended, 0)
        left = f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
        line = f"{_outcome(trial)}, {listed(trial.params)}; {so_far}; {ended} of {self.trials} done, {left} left"
        print(f"trial {trial.number}: {line}", file=sys.stderr, flush=True)


def best_trial(study: Study) -> FrozenTrial | None:
    """The completed trial with the lowest validation loss."""
    completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return min(completed, key=_loss) if completed else None


def count_ended(study: Study) -> int:
    """Trials that count towards the total."""
    return len(study.get_trials(deepcopy=False, states=ENDED))


def listed(params: dict[str, Any]) -> str:
    """`train.lr 0.00123, model.heads 4`."""
    return ", ".join(f"{path} {value:.3g}" if isinstance(value, float) else f"{path} {value}"
                     for path, value in params.items())  # fmt: skip


def leaderboard(study: Study, paths: Sequence[str]) -> pl.DataFrame:
    """One row per trial, the best first, then the pruned ones by their last loss."""
    trials = sorted(
        study.get_trials(deepcopy=False), key=lambda t: (t.state != TrialState.COMPLETE, _loss(t), t.number)
    )
    columns: dict[str, list[Any]] = {
        "number": [t.number for t in trials],
        "value": [None if math.isinf(_loss(t)) else _loss(t) for t in trials],
        "state": [t.state.name.lower() for t in trials],
        **{path: [t.params.get(path) for t in trials] for path in paths},
        "seconds": [round(t.duration.total_seconds(), 2) if t.duration else None for t in trials],
        "note": [t.user_attrs.get("note", "") for t in trials],
    }
    schema = {
        "number": pl.Int64,
        "value": pl.Float64,
        "state": pl.String,
        "seconds": pl.Float64,
        "note": pl.String,
    }
    # A choice may mix kinds of values, which a column cannot: those are written as text.
    return pl.DataFrame([pl.Series(n, v, schema[n]) if n in schema else _column(n, v) for n, v in columns.items()])


def _column(name: str, values: list[Any]) -> pl.Series:
    kinds = {type(value) for value in values} - {type(None)}
    return pl.Series(name, values if len(kinds) <= 1 else [None if v is None else str(v) for v in values])


def importances(study: Study) -> dict[str, float]:
    """Share of the variation of the validation loss that each setting explains; empty of too few trials."""
    losses = {t.value for t in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))}
    if len(losses) < ENOUGH:
        return {}
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))


def write_report(study: Study, table: pl.DataFrame, recipe: Recipe, folder: Path) -> None:
    """Write report.html: one file with everything in it."""
    shares = importances(study)
    best = best_trial(study)
    page = _page().render(
        recipe=recipe,
        data=catalog.label(recipe.data.name),
        best=None if best is None else {"number": best.number, "value": best.value, "said": listed(best.params)},
        counts={state: table["state"].to_list().count(state) for state in ("complete", "pruned", "fail", "running")},
        columns=table.columns,
        rows=table.rows(),
        enough=ENOUGH,
        history=_png(_draw_history(study)) if best else None,
        importance=_png(_draw_importances(shares)) if shares else None,
        space={path: _law(law) for path, law in recipe.search.items()},
    )
    with whole(folder / "report.html") as path:
        path.write_text(page, encoding="utf-8")


def _draw_history(study: Study) -> Figure:
    """Validation loss of each trial, and the best so far."""
    figure, axes = _axes(8.0, 3.6)
    trials = [t for t in study.get_trials(deepcopy=False) if math.isfinite(_loss(t))]
    completed = [t for t in trials if t.state == TrialState.COMPLETE]
    pruned = [t for t in trials if t.state == TrialState.PRUNED]
    so_far = [min(_loss(t) for t in completed[: k + 1]) for k in range(len(completed))]
    axes.step([t.number for t in completed], so_far, where="post", color=ORANGE, lw=1.6, label="best so far")
    axes.plot([t.number for t in completed], [_loss(t) for t in completed], "o", color=BLUE, ms=5, label="completed")
    if pruned:
        axes.plot([t.number for t in pruned], [_loss(t) for t in pruned], "x", color=GREY, ms=6, label="pruned")
    if max(map(_loss, trials)) > 5 * min(map(_loss, trials)) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="trial", ylabel="validation loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _draw_importances(shares: dict[str, float]) -> Figure:
    figure, axes = _axes(8.0, 0.9 + 0.38 * len(shares))
    names = list(reversed(shares))
    bars = axes.barh(names, [shares[name] for name in names], color=BLUE, height=0.6)
    axes.bar_label(bars, labels=[f"{100 * shares[name]:.0f} %" for name in names], padding=4)
    axes.set(xlim=(0, 1.08), xlabel="share of the variation of the validation loss")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(False, axis="y")
    return figure


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _png(figure: Figure) -> str:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return base64.b64encode(content.getvalue()).decode()


def _page() -> Any:
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(cell=_cell)
    return pages.get_template("report.html.j2")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _law(law: dict[str, Any]) -> str:
    ((kind, values),) = law.items()
    if kind == "choice":
        return "one of " + ", ".join(map(str, values))
    words = {
        "int": "whole number from {} to {}",
        "float": "from {} to {}",
        "log": "from {} to {}, logarithmic",
    }
    return words[kind].format(*values)


def _loss(trial: FrozenTrial) -> float:
    """What a trial ended with (a pruned one its last loss); infinite when it has none."""
    return math.inf if trial.value is None else trial.value


def _outcome(trial: FrozenTrial) -> str:
    if trial.state == TrialState.COMPLETE:
        return f"validation loss {trial.value:.4f}"
    return f"pruned ({trial.user_attrs.get('note', '')})"
