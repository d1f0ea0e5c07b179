"""The report of a classification."""

from __future__ import annotations

from typing import Any

import polars as pl

from seqsci.report import words
from seqsci.report.words import Metrics, Summary

COLUMNS = ("flat_log_loss", "weighted_log_loss", "accuracy", "macro_recall", "roc_auc_macro", "pr_auc_macro", "ece")


def verdicts(metrics: Metrics) -> list[str]:
    """Numbers are flat log losses: the mean over classes of each class's mean log loss."""
    return words.verdicts(metrics, "the test split holds no object")


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
