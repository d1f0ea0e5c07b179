"""The report of a forecast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from seqsci.metrics.intervals import BLOCKS, enough
from seqsci.report import words
from seqsci.report.drawing import array
from seqsci.report.forecast.material import Material, time_text
from seqsci.report.forecast.pictures import PICTURES
from seqsci.report.page import build_page
from seqsci.report.words import Metrics, Summary
from seqsci.runs import Run

SERIES_LISTED = 20


def verdicts(metrics: Metrics) -> list[str]:
    """Numbers are mean squared errors in scaled units."""
    return words.verdicts(metrics, "no test value was observed", _few(metrics))


def _few(metrics: Metrics) -> str:
    block = max(len(metrics["by_step"][metrics["model"]]), metrics["data"]["season"])
    count = metrics["windows"]["test"]
    needed = f"{BLOCKS} blocks of {block}" if BLOCKS * block == enough(block) else str(enough(block))
    return f"too few test windows for an interval ({count}; it takes {needed})"


def score_table(metrics: Metrics) -> pl.DataFrame:
    """`method, mse, mae, difference, low, high`."""
    rows = [(metrics["model"], metrics["test"]["mse"], metrics["test"]["mae"], None, None, None)]
    for name, result in metrics["baselines"].items():
        low, high = result["difference_interval"]
        rows.append((name, result["mse"], result["mae"], result["difference"], low, high))
    numbers = ("mse", "mae", "difference", "low", "high")
    schema = {"method": pl.String, **dict.fromkeys(numbers, pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def summary(metrics: Metrics) -> Summary:
    """Scores, verdicts and the coverage of the intervals."""
    simulated = ", simulated data" if metrics["data"]["simulated"] else ""
    coverage = ", ".join(
        f"{level} % aimed, {'nothing observed' if value is None else f'{100 * value:.1f} % reached'}"
        for level, value in metrics["coverage"].items()
    )
    scores = score_table(metrics).iter_rows(named=True)
    return Summary(
        title=f"test split of {metrics['data']['name']}{simulated}: {metrics['windows']['test']} windows, scaled units",
        columns=("method", "MSE", "MAE", "MSE of model less this [95 %]"),
        rows=[(r["method"], *(words.fixed_text(r[n]) for n in ("mse", "mae")), words.interval_text(r)) for r in scores],
        sentences=[
            *verdicts(metrics),
            *_chosen(metrics),
            *([f"intervals on test: {coverage}"] if coverage else []),
            *_endless(metrics),
        ],
    )


def _chosen(metrics: Metrics) -> list[str]:
    """What ridge, and a linear path, chose, where the run tells it."""
    if "ridge_context" not in metrics:
        return []
    context, penalty = metrics["ridge_context"], metrics["ridge_penalty"]
    sentences = [f"ridge reads {context} steps and has the penalty {penalty:g}, both chosen on validation"]
    if solved := metrics.get("solved"):
        own = solved["own_penalty"]
        slopes = "no series has slopes of its own" if own is None else f"those of a series' own have {own:g}"
        width = solved["width"]
        days = f"day d of the horizon, from 0, is a mean over about {width:g} (d + 1) days"
        days = days if width else "there is no mean over days"
        sentences.append(
            f"of the linear path, slopes that all series share have the penalty {solved['penalty']:g}, {slopes}, and "
            f"{days}, all chosen on validation"
        )
    return sentences


def _endless(metrics: Metrics) -> list[str]:
    """Levels that validation has too few values for, so that some intervals are infinite."""
    return [
        f"some {level} % intervals are without end: validation has too few values for them"
        for level in metrics.get("endless", [])
    ]


def build_report(run: Run, metrics: Metrics) -> Path:
    """Draw the pictures and write the page."""
    material = Material(run, metrics)
    return build_page(
        run,
        "forecast",
        PICTURES,
        material,
        metrics=metrics,
        data=metrics["data"],
        verdicts=verdicts(metrics),
        scores=score_table(metrics).to_dicts(),
        series=_series_rows(material),
        span=[time_text(moment) + material.clock for moment in material.span[:2]],
        few=_few(metrics),
        chosen=_chosen(metrics),
        endless=_endless(metrics),
    )


def _series_rows(material: Material) -> list[dict[str, Any]]:
    """Errors by series in the file's order; of many, those whose error is largest beside their scale."""
    units = material.metrics["units"]
    relative = array([units[name]["mae"] for name in material.targets]) / material.scale
    order = np.arange(len(relative))
    if len(order) > SERIES_LISTED:
        order = np.argsort(-np.nan_to_num(relative, nan=-1.0), kind="stable")[:SERIES_LISTED]
    return [{"name": material.targets[i], **units[material.targets[i]]} for i in order]
