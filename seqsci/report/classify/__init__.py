"""The report of a classification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from seqsci.report import words
from seqsci.report.classify.material import Material
from seqsci.report.classify.pictures import PICTURES
from seqsci.report.page import build_page
from seqsci.report.probabilities import LINES, NUMBERED
from seqsci.report.words import Metrics, Summary
from seqsci.runs import Run

COLUMNS = ("flat_log_loss", "weighted_log_loss", "accuracy", "macro_recall", "roc_auc_macro", "pr_auc_macro", "ece")
TITLES = {
    "flat_log_loss": ("flat log loss", "lower"),
    "weighted_log_loss": ("weighted log loss", "lower"),
    "accuracy": ("accuracy", "higher"),
    "macro_recall": ("recall, macro", "higher"),
    "macro_precision": ("precision, macro", "higher"),
    "roc_auc_micro": ("ROC-AUC, micro", "higher"),
    "roc_auc_macro": ("ROC-AUC, macro", "higher"),
    "pr_auc_micro": ("average precision, micro", "higher"),
    "pr_auc_macro": ("average precision, macro", "higher"),
    "ece": ("calibration error (ECE)", "lower"),
}
"""Every score of metrics.json, as the page calls it, and which way is better."""


def verdicts(metrics: Metrics) -> list[str]:
    """Numbers are flat log losses: the mean over classes of each class's mean log loss."""
    return words.verdicts(metrics, "the test split holds no object", "too few test objects for an interval")


def score_table(metrics: Metrics) -> pl.DataFrame:
    """`method`, its scores (`COLUMNS`), and `difference, low, high` of the flat log loss."""
    rows = [(metrics["model"], *(metrics["test"][name] for name in COLUMNS), None, None, None)]
    for name, result in metrics["baselines"].items():
        low, high = result["difference_interval"]
        rows.append((name, *(result[column] for column in COLUMNS), result["difference"], low, high))
    numbers = (*COLUMNS, "difference", "low", "high")
    schema = {"method": pl.String, **dict.fromkeys(numbers, pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def summary(metrics: Metrics) -> Summary:
    """Scores, verdicts, and what became of every object."""
    simulated = ", simulated data" if metrics["data"]["simulated"] else ""
    counts = metrics["objects"]
    title = f"test split of {metrics['data']['name']}{simulated}: {counts['test']} objects, "
    title += f"{len(metrics['classes'])} classes"
    return Summary(
        title=title,
        columns=("method", "flat log loss", "accuracy", "macro recall", "ROC-AUC", "loss of model less this [95 %]"),
        rows=[_row(row) for row in score_table(metrics).iter_rows(named=True)],
        sentences=[*verdicts(metrics), *_further(metrics)],
    )


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    numbers = (row[name] for name in ("flat_log_loss", "accuracy", "macro_recall", "roc_auc_macro"))
    return (row["method"], *(words.figure_text(number) for number in numbers), words.interval_text(row))


def _further(metrics: Metrics) -> list[str]:
    """The open set in a sentence."""
    found = metrics["open_set"]
    if found is None:
        return []
    areas = ", ".join(f"{name} {result['auroc']:.3f}" for name, result in found["by_method"].items())
    return [f"telling {found['objects']} objects of unknown classes from known ones, ROC-AUC: {areas}"]


def build_report(run: Run, metrics: Metrics) -> Path:
    """Draw the pictures and write the page."""
    material = Material(run, metrics)
    return build_page(
        run,
        "classify",
        PICTURES,
        material,
        metrics=metrics,
        data=metrics["data"],
        verdicts=_verdicts_twice(metrics),
        columns=TITLES,
        most=LINES,
        numbered=len(metrics["classes"]) <= NUMBERED,
        scores=_rows(metrics, metrics["test"], metrics["baselines"]),
        validation=_rows(metrics, metrics["val"], {name: r["val"] for name, r in metrics["baselines"].items()}),
        classes=[{"label": c, **f, **metrics["test"]["by_class"][c]} for c, f in metrics["classes"].items()],
        early=_early_rows(metrics),
        counts=_count_rows(metrics["data"]["counts"]),
        facts=_facts(metrics),
        **_conditions(metrics["data"]["units"]),
    )


def _verdicts_twice(metrics: Metrics) -> list[str]:
    """Each verdict, and what validation says of the same."""
    found = []
    for sentence, result in zip(verdicts(metrics), metrics["baselines"].values(), strict=True):
        known = words.outcome(result["val"])
        if known is not None:
            word, number = known
            sentence += f"; on validation {word}{' by' if word in ('better', 'worse') else ':'} {number}"
        found.append(sentence)
    return found


def _rows(metrics: Metrics, own: Metrics, rivals: dict[str, Metrics]) -> list[Metrics]:
    """A row for each method, the model first: its scores and `difference, low, high`."""
    rows = [{**own, "method": metrics["model"], "difference": None, "low": None, "high": None}]
    for name, result in rivals.items():
        low, high = result["difference_interval"]
        rows.append({**result, "method": name, "low": low, "high": high})
    return rows


def _early_rows(metrics: Metrics) -> list[dict[str, Any]]:
    """A row for each number of days, and one for the whole curve."""
    early = metrics["early"]
    methods = early["by_method"]
    if not early["days"] or not methods:
        return []
    names = ("flat_log_loss", "accuracy")
    rows = [
        {"days": f"{days:g}", "by_method": {m: {n: found[n][i] for n in names} for m, found in methods.items()}}
        for i, days in enumerate(early["days"])
    ]
    results = {metrics["model"]: metrics["test"], **metrics["baselines"]}
    return [*rows, {"days": "whole curve", "by_method": {m: results[m] for m in methods}}]


def _count_rows(counts: dict[str, int]) -> list[tuple[str, int]]:
    """What came in, what was left out and why, what is left: first of objects, then of rows."""
    ordered = []
    for kind in ("objects", "rows"):
        ordered += [f"{kind} in", *(name for name in counts if name.startswith(f"{kind}: ")), f"{kind} out"]
    return [(name, counts[name]) for name in ordered if name in counts]


def _facts(metrics: Metrics) -> dict[str, str]:
    """Baseline -> what was chosen for it."""
    found = {name: result["facts"] for name, result in metrics["baselines"].items()}
    return {name: ", ".join(f"{key} {_plain(v)}" for key, v in facts.items()) for name, facts in found.items() if facts}


def _plain(value: Any) -> str:
    return words.figure_text(value) if isinstance(value, float) else str(value)


def _conditions(units: Metrics) -> dict[str, str]:
    """What the fluxes are, in words; a source may not say."""
    dust = {True: "corrected for the dust of the Milky Way", False: "not corrected for the dust of the Milky Way"}
    template = {True: "differences to a template, so that they can be negative", False: "not differences to a template"}
    return {
        "dust": dust.get(units["mw_corrected"], "whether corrected for the dust of the Milky Way is not said"),
        "template": template.get(units["difference"], "whether differences to a template is not said"),
    }
