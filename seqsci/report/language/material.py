"""What the pictures of all answers read: a summary and its table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from seqsci.report.drawing import BLUE, RIVALS, legend_above, new_figure, whole_ticks
from seqsci.report.tables import damage_told, table_path
from seqsci.report.words import ends_text
from seqsci.runs import Run

NAMES = {"score": "scores", "embed": "embeddings", "generate": "generated", "fill": "filled"}
SIDES = {"generated": (BLUE, "generated"), "training": (RIVALS[0], "training")}

Floats = NDArray[np.float64]


class Material:
    """A folder with `summary` and the table that it is of."""

    def __init__(self, run: Run, summary: dict[str, Any]) -> None:
        self.run, self.summary = run, summary
        self.unit: str = summary["model"]["unit"]

    @cached_property
    def lazy(self) -> pl.LazyFrame:
        """The table, read when it is collected (inside `damage_told`)."""
        return pl.scan_parquet(table_path(self.run, NAMES[self.summary["verb"]]))

    @cached_property
    def table(self) -> pl.DataFrame:
        """The whole table."""
        with damage_told(self.run, NAMES[self.summary["verb"]]):
            return self.lazy.collect()


def draw_nats(material: Material, unit: str, of: str) -> Figure:
    """How probable the model finds what it has made: nats per `unit` of so many `of`."""
    values = material.table["nats_per_token"].to_numpy()
    figure, (axes,) = new_figure(7, 3)
    borders = edges([values])
    axes.hist(np.clip(values, borders[0], borders[-1]), borders, color=BLUE)
    axes.set(xlabel=f"nats per {unit} (lower: more probable)", ylabel=of)
    whole_ticks(axes.yaxis)
    return figure


def edges(values: Iterable[Sequence[float] | Floats], most: int = 50, at_zero: bool = False) -> list[float]:
    """Borders of bins over all of some samples, of which the outermost thousandths share the outer bins.

    `at_zero`: no bin holds numbers below 0 and above it.
    """
    every = np.concatenate([np.asarray(some, dtype=np.float64) for some in values])
    low, high = np.quantile(every, [0.001, 0.999]) if len(every) else (0.0, 1.0)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    if len(every) and not at_zero and np.all(every == np.round(every)):
        step = max(1, round((high - low) / most))
        return [float(x) for x in np.arange(np.floor(low) - 0.5, high + step + 0.5, step)]
    bins = int(np.clip(np.sqrt(len(every)), 10, most))
    if at_zero and low < 0 < high:
        width = (high - low) / bins
        below, above = math.ceil(-low / width), math.ceil(high / width)
        return [number * width for number in range(-below, above + 1)]
    return [float(x) for x in np.linspace(low, high, bins + 1)]


def draw_sides(axes: Axes, sides: Mapping[str, Sequence[float]], what: str, unit: str = "sequences") -> None:
    """Histograms over each other, as shares."""
    borders = edges(sides.values())
    for name, values in sides.items():
        colour, label = SIDES[name]
        inside = np.clip(values, borders[0], borders[-1])
        weights = np.full(len(values), 1 / max(len(values), 1))
        axes.hist(inside, borders, weights=weights, histtype="stepfilled", color=colour, alpha=0.25)
        axes.hist(inside, borders, weights=weights, histtype="step", color=colour, lw=1.6, label=label)
    axes.set(xlabel=what, ylabel=f"share of {unit}")
    if all(float(value).is_integer() for values in sides.values() for value in values):
        whole_ticks(axes.xaxis)
    legend_above(axes, 2)


def draw_scatter(x: Floats, y: Floats, found: Mapping[str, Any] | None, across: str, up: str) -> Figure | None:
    """Points of two numbers, and their rank correlation."""
    some = np.isfinite(x) & np.isfinite(y)
    if found is None or not some.any():
        return None
    figure, (axes,) = new_figure(6, 4.6)
    count = int(some.sum())
    axes.plot(x[some], y[some], "o", ms=4 if count < 2000 else 2, color=BLUE, alpha=0.6 if count < 500 else 0.3, mew=0)
    if found["value"] is not None:
        ends = ends_text((found["low"], found["high"]), 3)
        axes.set_title(f"Spearman {found['value']:.3f} {ends}, {found['n']:,} pairs", fontsize=10, loc="left")
    axes.set_xlabel(across, parse_math=False)
    axes.set_ylabel(up, parse_math=False)
    return figure
