"""The pictures of the long-range benchmark."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from seqsci.data.long_range import pathfinder
from seqsci.report.drawing import BLUE, INK, RIVALS, SKY, array, new_figure, whole_ticks
from seqsci.report.long_range.material import Material

COLOURS = (BLUE, *RIVALS, SKY, "#888888", INK)
DASHES = ("-", "--", ":")
PANELS = 3
"""In a row."""
SHOWN = 6
"""Images of each kind."""


def _style(place: int) -> dict[str, Any]:
    return {"color": COLOURS[place % len(COLOURS)], "ls": DASHES[place // len(COLOURS) % len(DASHES)]}


def _panels(material: Material, height: float) -> tuple[Figure, Iterator[tuple[str, dict[str, Any], Axes]]]:
    """Axes for each task; those left over are taken away."""
    tasks = list(material.tasks.items())
    across = min(PANELS, len(tasks))
    down = math.ceil(len(tasks) / across)
    figure, axes = new_figure(4.2 * across + 0.6, height * down, down, across)
    for spare in axes[len(tasks) :]:
        spare.remove()
    return figure, ((name, task, own) for (name, task), own in zip(tasks, axes, strict=False))


def _draw_scores(material: Material) -> Figure:
    """A panel for each task: bars with intervals, chance, the best cheap method."""
    models = material.models
    figure, panels = _panels(material, 1.3 + 0.28 * len(models))
    for name, task, axes in panels:
        less = task["measure"] == "mse"
        for row, model in enumerate(models):
            cell = material.cells.get((name, model), {})
            if cell.get("score") is not None:
                ends = array([cell["low"], cell["high"]])
                axes.barh(row, cell["score"], color=_style(row)["color"], height=0.62)
                axes.plot(ends, [row, row], color=INK, lw=1.4)
            else:
                axes.annotate(" –" if cell else " not run", (0, row), va="center", fontsize=8)
        axes.axvline(task["chance"], color=INK, ls="--", lw=1.2, label="chance")
        method, score = sorted(task["beside"].items(), key=lambda pair: pair[1], reverse=not less)[0]
        axes.axvline(score, color="#888888", ls=":", lw=1.6, label=method)
        if task["floor"] is not None:
            axes.axvline(task["floor"], color=RIVALS[1], lw=1.2, label="best that can be had")
        axes.set(yticks=range(len(models)), xlim=(0, None if less else 1.02))
        axes.set_yticklabels(models, parse_math=False)
        axes.set_xlabel("mean squared error, less is better" if less else "accuracy")
        axes.set_title(name, fontsize=10, loc="left")
        axes.set_ylim(len(models) - 0.5, -0.5)
        axes.grid(False, axis="y")
        # Below the axis' own label, whatever the height of the panel: in points, not in shares of it.
        under = ScaledTranslation(0, -34 / 72, figure.dpi_scale_trans)
        axes.legend(
            fontsize=7, frameon=False, loc="upper left", ncols=2, borderaxespad=0,
            bbox_to_anchor=(0, 0), bbox_transform=axes.transAxes + under,
        )  # fmt: skip
    return figure


def _draw_learning(material: Material) -> Figure:
    """Validation score by step."""
    figure, panels = _panels(material, 2.9)
    handles: dict[str, Any] = {}
    for name, task, axes in panels:
        for place, model in enumerate(material.models):
            curve = material.cells.get((name, model), {}).get("curve") or []
            if curve:
                steps, scores = [c["step"] for c in curve], array([c["val_score"] for c in curve])
                (handles[model],) = axes.plot(steps, scores, marker="o", ms=2.5, lw=1.6, **_style(place), label=model)
        axes.axhline(task["chance"], color=INK, ls="--", lw=1)
        axes.set(xlabel="step", ylabel="mean squared error" if task["measure"] == "mse" else "accuracy")
        axes.set_ylim(0, None if task["measure"] == "mse" else 1.02)
        axes.set_title(name, fontsize=10, loc="left")
        whole_ticks(axes.xaxis)
    handles = {model: handles[model] for model in material.models if model in handles}
    if handles:
        figure.legend(
            list(handles.values()), list(handles), loc="outside lower left", ncols=6, frameon=False, fontsize=9
        )
    return figure


def _draw_pathfinder(material: Material) -> Figure | None:
    """Some of the images."""
    if "pathfinder" not in material.tasks:
        return None
    size = math.isqrt(material.tasks["pathfinder"]["length"])
    made = pathfinder(material.head["seed"], 4 * SHOWN, size=size)
    figure, axes = new_figure(1.5 * SHOWN, 3.6, 2, SHOWN)
    for row, joined in enumerate((True, False)):
        chosen = made.images[made.joined == joined][:SHOWN]
        for image, own in zip(chosen, axes[row * SHOWN :], strict=False):
            own.imshow(image, cmap="gray", vmin=0, vmax=255)
            own.set(xticks=[], yticks=[])
            own.grid(False)
        axes[row * SHOWN].set_ylabel("joined" if joined else "not joined")
    return figure


PICTURES = {"scores": _draw_scores, "learning": _draw_learning, "pathfinder": _draw_pathfinder}
"""File name -> what draws it."""
