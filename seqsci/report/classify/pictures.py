"""The pictures of a report on scores: numbers of metrics.json and predictions.parquet."""

from __future__ import annotations

from itertools import cycle, product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter
from numpy.typing import NDArray

from seqsci.report.classify.curves import draw_mistakes, draw_right
from seqsci.report.classify.material import NAME, Floats, Material
from seqsci.report.drawing import (
    BLUE,
    DASHES,
    INK,
    PERCENT,
    RIVALS,
    SKY,
    array,
    draw_learning,
    draw_scores,
    legend_above,
    method_style,
    new_figure,
    shorten,
)

LINES = 20  # classes whose ranking curves still can be told apart
POINTS = 1000  # of a ranking curve
NUMBERED = 20  # classes up to which the cells of the confusion matrix hold numbers
MARKERS = ("o", "s", "^", "D", "v")
SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", SKY, BLUE, "#003a5c"])
STYLES = [(colour, dashes) for dashes, colour in product(("-", *DASHES), (BLUE, *RIVALS, SKY, "#777777"))]


def _draw_scores(material: Material) -> Figure:
    test, rivals = material.metrics["test"], material.rivals
    scores = {material.model: test, **rivals}
    losses = {name: result["flat_log_loss"] for name, result in scores.items()}
    return draw_scores(losses, test["interval"], list(rivals.values()), "flat log loss")


def _draw_confusion(material: Material) -> Figure:
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


def _draw_ranking(material: Material) -> Figure | None:
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


def _draw_reliability(material: Material) -> Figure:
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


def _draw_class_losses(material: Material) -> Figure:
    methods = {material.model: material.metrics["test"], **material.rivals}
    losses = {
        name: array(result["by_class"][c]["log_loss"] for c in material.labels) for name, result in methods.items()
    }
    order = np.argsort(-np.nan_to_num(losses[material.model], nan=-1.0), kind="stable")
    rows = np.arange(len(order))
    figure, (axes,) = new_figure(9, 1.2 + 0.3 * len(order))
    for place, (name, values) in reversed(list(enumerate(losses.items()))):
        style = method_style(place)
        marker, size = MARKERS[place % len(MARKERS)], 8 if place == 0 else 6
        axes.plot(values[order], rows, marker, color=style["color"], ms=size, label=name, zorder=3 - 0.1 * place)
    axes.set(yticks=rows, xlabel="mean log loss of the class (lower is better)")
    names = [f"{shorten(material.names[c], NAME)}, {material.sizes[c]}" for c in material.labels]
    axes.set_yticklabels([names[i] for i in order], parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(left=-0.02 * axes.get_xlim()[1])
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1],
        labels[::-1],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(labels),
        frameon=False,
        fontsize=9,
    )
    return figure


def _draw_early(material: Material) -> Figure | None:
    """Loss and accuracy by the days that were seen; at the right edge those of the whole curve."""
    early = material.metrics["early"]
    if not early["days"] or not early["by_method"]:
        return None
    figure, panels = new_figure(10, 3.8, columns=2)
    results = {material.model: material.metrics["test"], **material.rivals}
    for axes, score, what in zip(panels, ("flat_log_loss", "accuracy"), ("flat log loss", "accuracy"), strict=True):
        for place, (name, result) in enumerate(results.items()):
            style, whole = method_style(place), result[score]
            found = early["by_method"].get(name)
            if found is None:  # nothing of the light curve is read, so nothing changes
                axes.axhline(whole, **{**style, "lw": 1.0}, label=name)
                continue
            axes.plot(
                early["days"], array(found[score]), marker=MARKERS[place % len(MARKERS)], ms=5, **style, label=name
            )
            axes.plot(
                [1.04], [whole], "<", ms=8, color=style["color"], transform=axes.get_yaxis_transform(), clip_on=False
            )
        axes.text(1.04, -0.03, "whole\ncurve", transform=axes.transAxes, ha="center", va="top", fontsize=8)
        _label_days(axes, early["days"])
        axes.set(xlabel="days since the first detection", ylabel=what)
    panels[1].yaxis.set_major_formatter(PERCENT)
    legend_above(panels[0], len(results))
    return figure


def _draw_early_classes(material: Material) -> Figure | None:
    """A panel for each class that the test split has."""
    early = material.metrics["early"]
    found = [label for label in material.labels if material.sizes[label]]
    if not early["days"] or not early["by_method"] or not found:
        return None
    columns = min(5, len(found))
    depth = -(-len(found) // columns)
    figure, panels = new_figure(max(6.0, 2.4 * columns), max(3.2, 0.9 + 1.75 * depth), depth, columns)
    names = [material.model, *material.rivals]
    for axes, label in zip(panels, found, strict=False):
        for name, result in early["by_method"].items():
            place = names.index(name)
            values, style = array(result["by_class"][label]), method_style(place)
            axes.plot(early["days"], values, marker=MARKERS[place % len(MARKERS)], ms=3, **style, label=name)
        axes.set_ylim(-0.03, 1.03)
        _label_days(axes, early["days"][:: 1 + len(early["days"]) // 5])
        title = f"{shorten(material.names[label], NAME)}, {material.sizes[label]}"
        axes.set_title(title, fontsize=9, loc="left", parse_math=False)
        axes.tick_params(labelsize=8)
    for axes in panels[len(found) :]:
        axes.set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), frameon=False, fontsize=9)
    figure.supxlabel("days since the first detection", fontsize=10)
    figure.supylabel("mean probability of the true class", fontsize=10)
    return figure


def _label_days(axes: Axes, days: list[float]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(days))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())


def _draw_learning(material: Material) -> Figure | None:
    what = "flat log loss" if material.recipe.train.loss == "balanced" else "log loss"
    return draw_learning(material.run.history(), material.metrics["val"]["best_epoch"], what)


PICTURES = {
    "scores": _draw_scores,
    "confusion": _draw_confusion,
    "class_losses": _draw_class_losses,
    "ranking": _draw_ranking,
    "reliability": _draw_reliability,
    "early": _draw_early,
    "early_classes": _draw_early_classes,
    "mistakes": draw_mistakes,
    "right": draw_right,
    "learning": _draw_learning,
}
"""File name -> what draws it, in the order of the page; None where there is nothing to draw."""
