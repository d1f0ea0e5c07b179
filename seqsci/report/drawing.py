"""What the pictures of all reports share: colours, axes, legends, files."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from seqsci.files import whole

# Okabe and Ito's colours, told apart by every kind of colour vision.
BLUE, SKY, INK = "#0072B2", "#56B4E9", "#222222"
RIVALS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00")
DASHES = ("--", "-.", ":", (0, (5, 1, 1, 1)))
GAP = 6
"""Pixels between the numbers on an axis, at least."""
PERCENT = FuncFormatter(lambda share, _: f"{100 * share:.4g} %")


def new_figure(
    width: float,
    height: float,
    rows: int = 1,
    columns: int = 1,
    sharey: Any = False,
    heights: Sequence[float] | None = None,
) -> tuple[Figure, list[Axes]]:
    """A figure (width and height in inches) and its axes, row by row, with a light grid.

    `heights`: of the rows beside each other.
    """
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, sharey=sharey, squeeze=False, height_ratios=heights).flat)
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.grid(True, color="#dddddd", lw=0.6)
        each.set_axisbelow(True)
    return figure, axes


def whole_ticks(axis: Axis) -> None:
    """Ticks of what is counted."""
    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def part_ticks(figure: Figure) -> None:
    """Fewer ticks on each horizontal axis whose numbers would run into each other, such as 210000220000."""
    figure.draw_without_rendering()
    for axes in figure.axes:
        locator, last = axes.xaxis.get_major_locator(), math.inf
        while isinstance(locator, MaxNLocator) and 2 < (shown := _touching(axes)) < last:
            last = shown
            locator.set_params(nbins=shown - 2)
            figure.draw_without_rendering()


def _touching(axes: Axes) -> int:
    """Numbers on the horizontal axis, where some have less than `GAP` between them; else 0."""
    low, high = sorted(axes.get_xlim())
    shown = [tick.label1 for tick in axes.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    boxes = [label.get_window_extent() for label in shown if label.get_text()]
    spans = sorted((box.x0, box.x1) for box in boxes)
    near = any(right[0] - left[1] < GAP for left, right in pairwise(spans))
    return len(spans) if near else 0


def save(figure: Figure, path: Path, simulated: bool = False) -> None:
    """Write a picture, whole; one of simulated data says so itself, since pictures travel alone."""
    if simulated:
        figure.suptitle("simulated data", x=0.995, ha="right", fontsize=8, color="#555555")
    with whole(path) as temporary, warnings.catch_warnings():
        # Names in a script that the font lacks are drawn as boxes; the page itself spells them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        part_ticks(figure)
        figure.savefig(temporary, format="png")


def legend_above(axes: Axes, columns: int) -> None:
    """A legend above the axes, at the left."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False, fontsize=9, borderaxespad=0.2)


def method_style(place: int) -> dict[str, Any]:
    """How the line of a method is drawn: the model at place 0, then its baselines."""
    if place == 0:
        return {"color": BLUE, "ls": "-", "lw": 2.2}
    rival = place - 1
    return {"color": RIVALS[rival % len(RIVALS)], "ls": DASHES[rival % len(DASHES)], "lw": 1.5}


def draw_scores(
    scores: Mapping[str, float | None],
    interval: Sequence[float | None],
    gaps: Sequence[Mapping[str, Any]],
    what: str,
) -> Figure:
    """Bars of the main score beside the differences.

    Args:
        scores: method -> its score, the model first.
        interval: of the model's score.
        gaps: `difference` and `difference_interval` of each further method.
        what: the score, for the axis.
    """
    names = list(scores)
    colours = [method_style(place)["color"] for place in range(len(names))]
    rows = np.arange(len(names))
    figure, (left, right) = new_figure(10, 1.3 + 0.45 * len(names), columns=2, sharey=True)
    values, own = array(scores.values()), array(interval)
    left.barh(rows, values, color=colours, height=0.62)
    left.errorbar(values[:1], rows[:1], xerr=np.abs(own - values[0])[:, None], color=INK, capsize=4, lw=1.5)
    for row, value in enumerate(values):
        edge = np.fmax(value, own[1]) if row == 0 else value
        if np.isfinite(edge):
            left.annotate(f"{value:.3f}", (edge, row), (4, 0), textcoords="offset points", va="center", fontsize=9)
    left.set(yticks=rows, xlabel=what)
    left.set_yticklabels(names, parse_math=False)
    left.margins(x=0.16)
    left.invert_yaxis()
    right.axvline(0, color=INK, lw=1)
    for row, gap in enumerate(gaps, start=1):
        low, high = array(gap["difference_interval"])
        right.plot([low, high], [row, row], color=colours[row], lw=3, solid_capstyle="butt")
        right.plot(array([gap["difference"]]), [row], "o", color=colours[row], ms=7)
    right.set_xlabel(f"← {names[0]} better      {names[0]} worse →")
    right.tick_params(axis="y", length=0)
    right.margins(x=0.12)
    left.grid(False, axis="y")
    return figure


def draw_learning(history: Sequence[Mapping[str, Any]], best: int, what: str) -> Figure | None:
    """Loss (`what`, for the axis) by epoch, the best epoch marked; None without a history."""
    if not history:
        return None
    figure, (axes,) = new_figure(7, 3.2)
    epochs = [record["epoch"] for record in history]
    for key, name, colour in (("train_loss", "training", RIVALS[0]), ("val_loss", "validation", BLUE)):
        axes.plot(epochs, array([r.get(key) for r in history]), "o-", ms=4, color=colour, label=name)
    axes.axvline(best, color=INK, lw=1, ls=":", label=f"best: epoch {best}")
    axes.set(xlabel="epoch", ylabel=what)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend_above(axes, 3)
    return figure


def array(values: Iterable[float | None]) -> NDArray[np.float64]:
    """Numbers of a JSON file, in which null stands for what is not finite."""
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def shorten(name: str, length: int) -> str:
    """A name that fits; what is cut off is marked."""
    return name if len(name) <= length else f"{name[: length - 1]}…"
