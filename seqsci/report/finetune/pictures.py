"""The pictures of a report on fine-tuning: numbers of metrics.json and predictions.parquet."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from seqsci.report.drawing import BLUE, INK, draw_learning, draw_scores, new_figure, shorten
from seqsci.report.finetune.material import Material
from seqsci.report.probabilities import draw_confusion, draw_ranking, draw_reliability

QUANTITY = 64
"""Letters of what is predicted, in a picture."""
MAIN = {"log_loss": "log loss", "rmse": "RMSE"}


def _draw_scores(material: Material) -> Figure:
    metrics, rivals = material.metrics, material.metrics["baselines"]
    main = metrics["main"]
    scores = {material.model: metrics["test"][main], **{name: result[main] for name, result in rivals.items()}}
    return draw_scores(scores, metrics["test"]["interval"], list(rivals.values()), MAIN[main])


def _draw_learning(material: Material) -> Figure | None:
    what = "log loss" if material.metrics["kind"] == "classes" else "squared error, standardised"
    return draw_learning(material.run.history(), material.metrics["val"]["best_epoch"], what)


def _draw_scatter(material: Material) -> Figure | None:
    """Predicted against true numbers, and the residuals against what was predicted."""
    if material.metrics["kind"] != "number":
        return None
    predicted, truth = material.numbers
    figure, (left, right) = new_figure(11, 4.6, columns=2)
    style = {"color": BLUE, "alpha": max(0.15, min(0.7, 60 / np.sqrt(len(truth) + 1) / 4)), "ms": 4, "mew": 0}
    low, high = min(truth.min(), predicted.min()), max(truth.max(), predicted.max())
    left.plot(truth, predicted, "o", **style)
    left.plot([low, high], [low, high], color=INK, lw=1, ls=":")
    left.set_title(shorten(material.quantity, QUANTITY), fontsize=10, loc="left", parse_math=False)
    left.set(xlabel="true", ylabel="predicted")
    right.plot(predicted, predicted - truth, "o", **style)
    right.axhline(0, color=INK, lw=1, ls=":")
    right.set(xlabel="predicted", ylabel="predicted less true")
    return figure


def _draw_confusion(material: Material) -> Figure | None:
    return draw_confusion(material) if material.labels else None


def _draw_ranking(material: Material) -> Figure | None:
    return draw_ranking(material) if material.labels else None


def _draw_reliability(material: Material) -> Figure | None:
    return draw_reliability(material) if material.labels else None


def _formulas(material: Material) -> bytes | None:
    """What was drawn when the run was scored."""
    path = material.run.folder / "formulas.png"
    return path.read_bytes() if path.is_file() else None


PICTURES = {
    "scores": _draw_scores,
    "confusion": _draw_confusion,
    "ranking": _draw_ranking,
    "reliability": _draw_reliability,
    "scatter": _draw_scatter,
    "formulas": _formulas,
    "learning": _draw_learning,
}
"""File name -> what draws it, in the order of the page; None where there is nothing to draw."""
