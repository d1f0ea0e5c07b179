"""Scores of whole records, with intervals and paired differences from one bootstrap over the records.

R records, K classes, D draws. A draw is a row of weights (D, R): how often each record was drawn, R in sum. Two methods
are compared on the same draws (a paired bootstrap; Efron and Tibshirani 1993, chapter 13).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqsci.data.shares import CASES
from seqsci.metrics.classification import losses_by_object, scores

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Statistic = Callable[[Floats], Floats]
"""Weights (D, R) -> (D,) the score of each draw; NaN where it is not defined."""
CELLS = 1 << 21
"""Weights at a time, so that many records fit into memory."""


def interval(statistic: Statistic, records: int, *, resamples: int, seed: int) -> tuple[float, float]:
    """95 % percentile interval over the draws; NaN for fewer than `CASES` records, or where no draw has the score."""
    if records < CASES:
        return float("nan"), float("nan")
    found = np.concatenate([statistic(weights) for weights in _draws(records, resamples, seed)])
    found = found[np.isfinite(found)]
    if not len(found):
        return float("nan"), float("nan")
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def class_statistics(p: Floats, y: Ints) -> dict[str, Statistic]:
    """`log_loss`, `accuracy` and `roc_auc` of probabilities (R, K) and codes (R,)."""
    losses, right = losses_by_object(p, y), (p.argmax(1) == y).astype(np.float64)
    areas = [_area(p[:, code], y == code) for code in _judged(p, y)]

    def roc_auc(weights: Floats) -> Floats:
        if not areas:
            return np.full(len(weights), np.nan)
        found: Floats = np.mean([area(weights) for area in areas], axis=0)
        return found

    return {"log_loss": _mean(losses), "accuracy": _mean(right), "roc_auc": roc_auc}


def number_statistics(predicted: Floats, truth: Floats) -> dict[str, Statistic]:
    """`rmse`, `mae` and `r2` of numbers (R,)."""
    squares, mean_squares = np.square(predicted - truth), _mean(np.square(predicted - truth))
    first, second = _mean(truth - truth.mean()), _mean(np.square(truth - truth.mean()))

    def rmse(weights: Floats) -> Floats:
        return np.sqrt(mean_squares(weights))

    def r2(weights: Floats) -> Floats:
        spread = second(weights) - np.square(first(weights))
        bad = mean_squares(weights)
        return np.where(spread > 0, 1 - bad / np.where(spread > 0, spread, 1), np.nan)

    return {"rmse": rmse, "mae": _mean(np.sqrt(squares)), "r2": r2}


def less(one: Statistic, other: Statistic) -> Statistic:
    """One score less another, draw by draw."""
    return lambda weights: one(weights) - other(weights)


def class_scores(p: Floats, y: Ints, classes: tuple[str, ...]) -> dict[str, Any]:
    """Scores of probabilities (R, K) and codes (R,), as plain numbers.

    `log_loss` (mean -ln of the true class's probability), `accuracy`, `mcc` (Matthews' correlation; Gorodkin 2004 for
    more than two classes), and those of `metrics.scores`; `roc_auc` and `average_precision` are those of the second of
    two classes, and means over one class against the rest of more. None: not defined.
    """
    from sklearn.metrics import average_precision_score, matthews_corrcoef

    every = scores(p, y, classes)
    del every["weighted_log_loss"]  # of a challenge of another field
    precision = every["pr_auc_macro"]
    if len(classes) == 2:
        precision = float(average_precision_score(y, p[:, 1])) if (y == 1).any() else None
    return {
        **every,
        "log_loss": float(losses_by_object(p, y).mean()),
        "roc_auc": every["roc_auc_macro"],
        "average_precision": precision,
        "mcc": float(matthews_corrcoef(y, p.argmax(1))),
    }


def number_scores(predicted: Floats, truth: Floats) -> dict[str, float | None]:
    """`rmse`, `mae` (in the units of the number), `r2` and `spearman`; None where they are not defined."""
    from scipy.stats import spearmanr

    once = np.ones((1, len(truth)))
    found = {name: float(statistic(once)[0]) for name, statistic in number_statistics(predicted, truth).items()}
    varied = len(truth) > 1 and np.ptp(predicted) > 0 and np.ptp(truth) > 0
    rank = float(spearmanr(predicted, truth).statistic) if varied else None
    return {**{name: value if np.isfinite(value) else None for name, value in found.items()}, "spearman": rank}


def intervals(
    statistics: Mapping[str, Statistic], records: int, *, resamples: int, seed: int
) -> dict[str, list[float]]:
    """Score -> its interval."""
    return {
        name: list(interval(statistic, records, resamples=resamples, seed=seed))
        for name, statistic in statistics.items()
    }


def _mean(values: Floats) -> Statistic:
    return lambda weights: weights @ values / len(values)


def _judged(p: Floats, y: Ints) -> list[int]:
    """Classes with an area of their own: one of two, whose areas are equal, else all that occur."""
    occur = [code for code in range(p.shape[1]) if 0 < (y == code).sum() < len(y)]
    return occur[-1:] if p.shape[1] == 2 else occur


def _area(score: Floats, true: NDArray[np.bool_]) -> Statistic:
    """Area under the ROC curve by Mann and Whitney's count of pairs, ties for half; NaN without both kinds."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    positive = true[order]

    def area(weights: Floats) -> Floats:
        ordered = weights[:, order]
        above = np.add.reduceat(ordered * positive, starts, axis=1)
        below = np.add.reduceat(ordered * ~positive, starts, axis=1)
        pairs = (above * (np.cumsum(below, axis=1) - below / 2)).sum(1)
        every = above.sum(1) * below.sum(1)
        return np.where(every > 0, pairs / np.where(every > 0, every, 1), np.nan)

    return area


def _draws(records: int, resamples: int, seed: int) -> Iterator[Floats]:
    rng, most = np.random.default_rng(seed), max(1, CELLS // records)
    for begin in range(0, resamples, most):
        count = min(most, resamples - begin)
        drawn = rng.integers(0, records, (count, records)) + records * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * records).reshape(count, records).astype(np.float64)
