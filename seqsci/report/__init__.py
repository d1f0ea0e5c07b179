"""What people look at: report.html and its pictures, rebuilt from a run folder alone, and the command line's table."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from seqsci.report.words import Metrics, Summary
from seqsci.runs import Run


def build_report(run: Run) -> Path:
    """Draw the pictures and write report.html of a complete run; the page holds the pictures as well.

    Raises:
        SeqsciError: the run has not ended, or a file of it is damaged.
    """
    metrics = run.read_json("metrics.json")
    path: Path = _room(metrics).build_report(run, metrics)
    return path


def score_table(metrics: Metrics) -> pl.DataFrame:
    """One row per method, the model first: `method`, its scores, and `difference, low, high`.

    `difference` is the model's main score less the method's, with its 95 % interval; null in the model's own row.
    """
    table: pl.DataFrame = _room(metrics).score_table(metrics)
    return table


def summary(metrics: Metrics) -> Summary:
    """The table and the sentences that the command line shows."""
    told: Summary = _room(metrics).summary(metrics)
    return told


def verdicts(metrics: Metrics) -> list[str]:
    """One sentence for each baseline: better, worse, or no clear difference, with the 95 % interval."""
    sentences: list[str] = _room(metrics).verdicts(metrics)
    return sentences


def _room(metrics: Metrics) -> Any:
    return import_module(f"seqsci.report.{metrics['task']}")
