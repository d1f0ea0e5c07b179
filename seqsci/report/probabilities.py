"""Pictures of class probabilities: who was taken for whom, how well classes are ranked, how sure the model may be."""

from __future__ import annotations

from itertools import cycle, product
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from seqsci.report.drawing import (
    BLUE,
    DASHES,
    INK,
    PERCENT,
    RIVALS,
    SKY,
    array,
    legend_above,
    new_figure,
    shorten,
)

Floats = NDArray[np.float64]
NAME = 24
"""Letters of a class name in a picture."""
LINES = 20  # classes whose ranking curves still can be told apart
POINTS = 1000  # of a ranking curve
NUMBERED = 20  # classes up to which the cells of the confusion matrix hold numbers
SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", SKY, BLUE, "#003a5c"])
STYLES = [(colour, dashes) for dashes, colour in product(("-", *DASHES), (BLUE, *RIVALS, SKY, "#777777"))]


class Judged(Protocol):
    """What the pictures need: K `labels` and what they are called, (K, K) test objects by true and predicted class,
    (N, K) probabilities with (N,) codes, and `metrics` whose "test" has what `metrics.scores` gives."""

    model: str
    metrics: dict[str, Any]
    labels: list[str]
    names: dict[str, str]

    @property
    def confusion(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def predictions(self) -> tuple[Floats, NDArray[np.int64]]: ...  # noqa: D102


def draw_confusion(material: Judged) -> Figure:
    """Of the test objects of each class, the share that was given each class."""
    counts = material.confusion
    size = len(counts)
    total = counts.sum(1, keepdims=True)
    share = np.divide(counts, total, where=total > 0, out=np.zeros(counts.shape))
    side = min(18.0, 0.56 * size + 3.0)
    figure, (axes,) = new_figure(side + 1.7, side)
    image = axes.imshow(share, cmap=SHADES, vmin=0, vmax=1)
    axes.grid(False)
    names = [shorten(material.names[label], NAME) for label in material.labels]
    axes.set(xticks=range(size), yticks=range(size), xlabel="predicted", ylabel="true class")
    axes.set_xticklabels(names, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    of = [f"{name}, {n}" for name, n in zip(names, total[:, 0], strict=True)]
    axes.set_yticklabels(of, parse_math=False)
    for place in range(size):
        axes.add_patch(Rectangle((place - 0.5, place - 0.5), 1, 1, fill=False, ec="#999999", lw=0.8))
    if size <= NUMBERED:
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if share[row, column] > 0.45 else INK
            text = f"{100 * share[row, column]:.0f} %\n{counts[row, column]}"
            axes.text(column, row, text, ha="center", va="center", fontsize=7.5, color=colour)
    figure.colorbar(image, ax=axes, shrink=0.6, format=PERCENT, label="share of the true class")
    return figure


def draw_ranking(material: Judged) -> Figure | None:
    """One class against the rest, and every decision together; of many classes those with the lowest precision."""
    p, truth = material.predictions
    by_class = material.metrics["test"]["by_class"]
    found = [label for label in material.labels if by_class[label]["roc_auc"] is not None]
    if not found:
        return None
    found = sorted(found, key=lambda label: float(by_class[label]["ap"]))[:LINES]
    figure, (left, right) = new_figure(12, 4.7, columns=2)
    lines = []
    for label, (colour, dashes) in zip(found, cycle(STYLES), strict=False):
        code, scores = material.labels.index(label), by_class[label]
        style: dict[str, Any] = {"color": colour, "ls": dashes, "lw": 1.4}
        _draw_pair(left, right, p[:, code], truth == code, style)
        text = f"{scores['roc_auc']:.3f}   {scores['ap']:.3f}   {shorten(material.names[label], NAME)}, {scores['n']}"
        lines.append(Line2D([], [], label=text, **style))
    every = truth[:, None] == np.arange(len(material.labels))
    style = {"color": INK, "ls": "-", "lw": 2.2}
    _draw_pair(left, right, p.ravel(), every.ravel(), style)
    test = material.metrics["test"]
    text = f"{test['roc_auc_micro']:.3f}   {test['pr_auc_micro']:.3f}   micro average, {len(truth)}"
    lines.append(Line2D([], [], label=text, **style))
    left.plot([0, 1], [0, 1], color="#999999", lw=1, ls=":")
    left.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    right.set(xlabel="recall", ylabel="precision", title="precision and recall")
    for axes in (left, right):
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    _add_ranking_legend(figure, lines)
    return figure


def _add_ranking_legend(figure: Figure, lines: list[Line2D]) -> None:
    heading = "AUC     AP       class, n"
    legend = figure.legend(handles=lines, loc="outside right center", frameon=False, fontsize=9, title=heading)
    legend.set_alignment("left")
    for text in legend.get_texts():
        text.set_parse_math(False)


def _draw_pair(left: Axes, right: Axes, p: Floats, true: NDArray[np.bool_], style: dict[str, Any]) -> None:
    from sklearn.metrics import precision_recall_curve, roc_curve

    wrong, hit, _ = roc_curve(true, p)
    precision, recall, _ = precision_recall_curve(true, p, drop_intermediate=True)
    for axes, x, y in ((left, wrong, hit), (right, recall[::-1], precision[::-1])):
        some = np.unique(np.linspace(0, len(x) - 1, min(len(x), POINTS)).round().astype(int))
        # A step, as average precision counts it: no line is drawn through points that no threshold reaches.
        axes.plot(x[some], y[some], drawstyle="steps-post" if axes is left else "steps-pre", **style)


def draw_reliability(material: Judged) -> Figure:
    """Test objects by the largest probability they were given: the share that was right."""
    table = material.metrics["test"]["reliability"]
    count = array(table["count"])
    some = count > 0
    confidence, accuracy, count = array(table["confidence"])[some], array(table["accuracy"])[some], count[some]
    figure, (top, bottom) = new_figure(5.6, 6.4, rows=2, heights=(3.4, 1))
    low, high = _wilson(accuracy, count)
    top.plot([0, 1], [0, 1], color="#999999", lw=1, ls=":", label="calibrated")
    errors = np.clip([accuracy - low, high - accuracy], 0, None)
    top.errorbar(confidence, accuracy, yerr=errors, fmt="o", color=BLUE, ms=5, lw=1.5, capsize=3, label=material.model)
    top.set(xlim=(-0.01, 1.01), ylim=(-0.02, 1.02), ylabel="share of right answers")
    top.tick_params(labelbottom=False)
    legend_above(top, 2)
    top.text(0.98, 0.04, f"ECE {material.metrics['test']['ece']:.3f}", ha="right", transform=top.transAxes)
    edges = np.linspace(0, 1, len(some) + 1)
    bottom.bar((edges[:-1] + edges[1:])[some] / 2, count, width=0.92 / len(some), color=SKY)
    for place, number in zip((edges[:-1] + edges[1:])[some] / 2, count, strict=True):
        bottom.annotate(
            f"{number:.0f}", (place, number), (0, 1), textcoords="offset points", ha="center", va="bottom", fontsize=7
        )
    bottom.set(xlim=(-0.01, 1.01), xlabel="largest probability", ylabel="objects")
    bottom.margins(y=0.2)
    return figure


def _wilson(share: Floats, n: Floats) -> tuple[Floats, Floats]:
    """95 % interval of a share of n (Wilson 1927): right for few objects and near 0 and 1."""
    z = 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return middle - half, middle + half
