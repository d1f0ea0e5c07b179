"""The report of a language model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl

from seqsci.errors import SeqsciError
from seqsci.report import words
from seqsci.report.page import build_page
from seqsci.report.pretrain.pictures import PICTURES, Material
from seqsci.report.words import Metrics, Summary
from seqsci.runs import Run

EVEN = {"genomics": 4, "proteins": 20}
"""Letters that a model which knows nothing would choose from."""


def verdicts(metrics: Metrics) -> list[str]:
    """Numbers are nats per token."""
    return words.verdicts(metrics, "no token was asked for", "too few test rows for an interval")


def score_table(metrics: Metrics) -> pl.DataFrame:
    """`method, nats, bits, perplexity, difference, low, high`; the first three per token.

    Raises:
        SeqsciError: the weights were imported, and nothing was scored.
    """
    if "published" in metrics:
        raise SeqsciError(
            "this run holds published weights; they were not trained or scored here, so there is nothing to report"
        )
    rows = [(metrics["model"], *_units(metrics["test"]["nats"]), None, None, None)]
    for name, result in metrics["baselines"].items():
        rows.append((name, *_units(result["nats"]), result["difference"], *result["difference_interval"]))
    numbers = ("nats", "bits", "perplexity", "difference", "low", "high")
    schema = {"method": pl.String, **dict.fromkeys(numbers, pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def summary(metrics: Metrics) -> Summary:
    """Scores and verdicts."""
    simulated = ", simulated data" if metrics["data"]["simulated"] else ""
    unit, test = metrics["unit"], metrics["test"]
    rows = [
        (row["method"], *(words.fixed_text(row[n]) for n in ("nats", "bits", "perplexity")), words.interval_text(row))
        for row in score_table(metrics).iter_rows(named=True)
    ]
    return Summary(
        title=f"test split of {metrics['data']['name']}{simulated}: {test['rows']:,} rows, {test['tokens']:,} tokens",
        columns=("method", f"nats per {unit}", "bits", "perplexity", "nats of model less this [95 %]"),
        rows=rows,
        sentences=[*verdicts(metrics), *remarks(metrics)],
    )


def remarks(metrics: Metrics) -> list[str]:
    """What the baselines are, and what a reader may wonder about."""
    said = []
    letters = EVEN.get(metrics["data"].get("domain", ""))
    if letters is not None and metrics["objective"] != "fim":
        even = f"even: ln {letters} = {math.log(letters):.4f}, all {letters} {metrics['unit']}s equally likely"
        worse = metrics["test"]["nats"] > math.log(letters)
        said.append(f"{even}; {metrics['model']} is worse than that: it needs more data or training" if worse else even)
    for name, result in metrics["baselines"].items():
        facts = result["facts"]
        if name == "markov":
            said.append(f"markov: order {facts['order']}, chosen on validation")
        else:
            said.append(
                f"{name}: {facts['parameters']:,} parameters beside {metrics['cost']['parameters']:,}, the same rows "
                f"for as many steps"
            )
    return said


def build_report(run: Run, metrics: Metrics) -> Path:
    """Draw the pictures and write the page."""
    scores = score_table(metrics).to_dicts()
    return build_page(
        run,
        "pretrain",
        PICTURES,
        Material(run, metrics),
        metrics=metrics,
        data=metrics["data"],
        verdicts=verdicts(metrics),
        remarks=remarks(metrics),
        scores=scores,
        rows=_split_rows(metrics),
    )


def _units(nats: float) -> tuple[float, float, float]:
    return nats, nats / math.log(2), math.exp(nats)


def _split_rows(metrics: Metrics) -> list[dict[str, Any]]:
    pieces = metrics["data"]["pieces"]
    return [{"split": split, "pieces": n} for split, n in pieces.items()]
