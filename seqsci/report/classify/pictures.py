"""The pictures of a report on scores: numbers of metrics.json and predictions.parquet."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from seqsci.report.classify.curves import draw_mistakes, draw_right
from seqsci.report.classify.material import Material
from seqsci.report.drawing import (
    PERCENT,
    array,
    draw_learning,
    draw_scores,
    legend_above,
    method_style,
    new_figure,
    shorten,
)
from seqsci.report.probabilities import NAME, draw_confusion, draw_ranking, draw_reliability

MARKERS = ("o", "s", "^", "D", "v")


def _draw_scores(material: Material) -> Figure:
    test, rivals = material.metrics["test"], material.rivals
    scores = {material.model: test, **rivals}
    losses = {name: result["flat_log_loss"] for name, result in scores.items()}
    return draw_scores(losses, test["interval"], list(rivals.values()), "flat log loss")


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
    "confusion": draw_confusion,
    "class_losses": _draw_class_losses,
    "ranking": draw_ranking,
    "reliability": draw_reliability,
    "early": _draw_early,
    "early_classes": _draw_early_classes,
    "mistakes": draw_mistakes,
    "right": draw_right,
    "learning": _draw_learning,
}
"""File name -> what draws it, in the order of the page; None where there is nothing to draw."""
