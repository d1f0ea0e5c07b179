"""The pictures of a language model's report."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from seqsci.report.drawing import BLUE, RIVALS, draw_learning, draw_scores, legend_above, new_figure, whole_ticks
from seqsci.report.tables import read_table
from seqsci.runs import Run

SYMBOLS_DRAWN = 24


class Material:
    """The files of one run, read when they are needed."""

    def __init__(self, run: Run, metrics: dict[str, Any]) -> None:
        self.run, self.metrics = run, metrics
        self.model: str = metrics["model"]
        self.unit: str = metrics["unit"]

    @cached_property
    def losses(self) -> Any:
        """(R,) nats per token of each test row."""
        table = read_table(self.run, "predictions", ("nats", "tokens"))
        return (table["nats"] / table["tokens"]).to_numpy()


def _draw_scores(material: Material) -> Figure:
    metrics, rivals = material.metrics, material.metrics["baselines"]
    scores = {material.model: metrics["test"]["nats"], **{name: result["nats"] for name, result in rivals.items()}}
    what = f"nats per {material.unit}"
    return draw_scores(scores, metrics["test"]["interval"], list(rivals.values()), what)


def _draw_learning(material: Material) -> Figure | None:
    best = material.metrics["test"]["facts"]["best_epoch"]
    return draw_learning(material.run.history(), best, f"nats per {material.unit}")


def _draw_losses(material: Material) -> Figure:
    """How hard the test rows are, one by one."""
    figure, (axes,) = new_figure(7, 3)
    axes.hist(material.losses, bins=min(60, max(10, len(material.losses) // 10)), color=BLUE)
    axes.set(xlabel=f"nats per {material.unit} of a test row", ylabel="rows")
    whole_ticks(axes.yaxis)
    return figure


def _draw_lengths(material: Material) -> Figure:
    """Quantiles of the lengths, as a curve: which share is at most so long."""
    figure, (axes,) = new_figure(7, 3)
    lengths = np.maximum(np.array(material.metrics["data"]["lengths"], dtype=float), 1)
    axes.step(lengths, np.linspace(0, 1, len(lengths)), where="post", color=BLUE, lw=2)
    if lengths[-1] > 20 * max(lengths[0], 1):
        axes.set_xscale("log")
    else:
        whole_ticks(axes.xaxis)
    axes.set(xlabel="letters of a piece", ylabel="share of pieces at most so long", ylim=(0, 1))
    return figure


def _draw_composition(material: Material) -> Figure:
    """Shares of the commonest tokens in training and test."""
    shares = material.metrics["data"]["composition"]
    symbols = list(shares["train"])[:SYMBOLS_DRAWN]
    figure, (axes,) = new_figure(max(5.0, 0.38 * len(symbols) + 1.5), 3)
    places = np.arange(len(symbols))
    for shift, (split, colour) in enumerate((("train", BLUE), ("test", RIVALS[3]))):
        heights = [shares[split].get(symbol, 0.0) for symbol in symbols]
        axes.bar(places + 0.4 * shift - 0.2, heights, 0.4, color=colour, label={"train": "training"}.get(split, split))
    axes.set(xticks=places, ylabel="share")
    axes.set_xticklabels(symbols, parse_math=False, fontfamily="monospace")
    axes.grid(False, axis="x")
    legend_above(axes, 2)
    return figure


PICTURES = {
    "scores": _draw_scores,
    "learning": _draw_learning,
    "losses": _draw_losses,
    "lengths": _draw_lengths,
    "composition": _draw_composition,
}
"""File name -> what draws it."""
