"""The report of a fine-tuned model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from seqsci.report import words
from seqsci.report.finetune.material import Material
from seqsci.report.finetune.pictures import PICTURES
from seqsci.report.page import build_page
from seqsci.report.probabilities import LINES, NUMBERED
from seqsci.report.words import Metrics, Summary
from seqsci.runs import Run

TITLES = {
    "classes": {
        "log_loss": ("log loss", "lower"),
        "accuracy": ("accuracy", "higher"),
        "roc_auc": ("ROC-AUC", "higher"),
        "average_precision": ("AP", "higher"),
        "mcc": ("MCC", "higher"),
        "ece": ("ECE", "lower"),
    },
    "number": {
        "rmse": ("RMSE", "lower"),
        "mae": ("MAE", "lower"),
        "r2": ("R²", "higher"),
        "spearman": ("Spearman", "higher"),
    },
}
"""Scores of either kind, as the page calls them, and which way is better."""
LETTERS = 60
"""Of a sequence, that the table of mistakes shows."""


def verdicts(metrics: Metrics) -> list[str]:
    """Numbers are log losses in nats, or RMSE in the units of the label."""
    return words.verdicts(metrics, "too few test records", "too few test records for an interval")


def score_table(metrics: Metrics) -> pl.DataFrame:
    """`method`, its scores, and `difference, low, high` of the main one."""
    columns = list(TITLES[metrics["kind"]])
    rows = [(metrics["model"], *(metrics["test"][name] for name in columns), None, None, None)]
    for name, result in metrics["baselines"].items():
        scores = (result[column] for column in columns)
        rows.append((name, *scores, result["difference"], *result["difference_interval"]))
    numbers = (*columns, "difference", "low", "high")
    schema = {"method": pl.String, **dict.fromkeys(numbers, pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def summary(metrics: Metrics) -> Summary:
    """Scores and verdicts."""
    titles = TITLES[metrics["kind"]]
    simulated = ", simulated data" if metrics["data"]["simulated"] else ""
    what = f"{len(metrics['classes'])} classes" if metrics["kind"] == "classes" else metrics["unit"] or "a number"
    main = titles[metrics["main"]][0]
    shown = [name for name in titles if name != "ece"]
    rows = [
        (row["method"], *(words.fixed_text(row[name]) for name in shown), words.interval_text(row))
        for row in score_table(metrics).iter_rows(named=True)
    ]
    return Summary(
        title=f"{metrics['label']} ({what}) of the test split of {metrics['data']['name']}{simulated}: "
        f"{metrics['records']['test']:,} records",
        columns=("method", *(titles[name][0] for name in shown), f"{main} of model less this [95 %]"),
        rows=rows,
        sentences=[*verdicts(metrics), *remarks(metrics)],
    )


def remarks(metrics: Metrics) -> list[str]:
    """The second score's differences, what was chosen for the features, and what the network began with."""
    second = metrics["second"]
    title = TITLES[metrics["kind"]][second][0]
    said = []
    for name, result in metrics["baselines"].items():
        gap = result["differences"][second]
        if name == "mean" or gap["difference"] is None or None in gap["difference_interval"]:
            continue
        low, high = gap["difference_interval"]
        said.append(f"{title} of {metrics['model']} less {name}: {gap['difference']:+.3f} [{low:+.3f}, {high:+.3f}]")
    for name, result in metrics["baselines"].items():
        facts = result["facts"]
        if name == "features":
            chosen = ", ".join(f"{key} {_plain(value)}" for key, value in facts.items() if key in CHOSEN)
            said.append(f"features: {facts['model']} on {facts['features']:,} of them ({chosen}), chosen on validation")
        elif name == "scratch":
            said.append("scratch: the same network from random weights, trained with the same settings")
    if metrics["start"] is None:
        said.append(f"{metrics['model']} began with random weights")
    return said


CHOSEN = ("C", "penalty", "rounds", "rate", "leaves")


def build_report(run: Run, metrics: Metrics) -> Path:
    """Draw the pictures and write the page."""
    material = Material(run, metrics)
    titles = TITLES[metrics["kind"]]
    return build_page(
        run,
        "finetune",
        PICTURES,
        material,
        metrics=metrics,
        data=metrics["data"],
        verdicts=verdicts(metrics),
        remarks=remarks(metrics),
        columns=titles,
        main=titles[metrics["main"]][0],
        most=LINES,
        numbered=len(metrics["classes"]) <= NUMBERED,
        scores=score_table(metrics).to_dicts(),
        intervals=_interval_rows(metrics),
        validation=_validation(metrics),
        classes=[{"label": c, **f, **metrics["test"]["by_class"][c]} for c, f in metrics["classes"].items()],
        worst=_worst_rows(material),
    )


def _interval_rows(metrics: Metrics) -> list[dict[str, Any]]:
    """A row for each score that has an interval: the model's, and the differences to each baseline."""
    rows = []
    for name, (low, high) in metrics["test"]["intervals"].items():
        gaps = [result["differences"][name] for result in metrics["baselines"].values()]
        ends = [(gap["difference"], *gap["difference_interval"]) for gap in gaps]
        told = [dict(zip(("difference", "low", "high"), each, strict=True)) for each in ends]
        title = TITLES[metrics["kind"]][name][0]
        rows.append({"title": title, "value": metrics["test"][name], "low": low, "high": high, "gaps": told})
    return rows


def _validation(metrics: Metrics) -> dict[str, float]:
    """Method -> its main score on validation."""
    main = metrics["main"]
    rivals = {name: result["val"][main] for name, result in metrics["baselines"].items()}
    return {metrics["model"]: metrics["val"][main], **rivals}


def _worst_rows(material: Material) -> list[dict[str, Any]]:
    rows = material.worst.iter_rows(named=True)
    return [
        {
            **row,
            "label": _plain(row["label"]),
            "predicted": _plain(row["predicted"]),
            "sequence": row["sequence"][:LETTERS] + ("…" if len(row["sequence"]) > LETTERS else ""),
        }
        for row in rows
    ]


def _plain(value: Any) -> str:
    return words.figure_text(value) if isinstance(value, float) else str(value)
