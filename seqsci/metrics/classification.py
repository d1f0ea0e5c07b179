"""Scores of class probabilities, with intervals and calibration.

N objects, K classes: `p (N, K)` float64 probabilities and `y (N,)` codes 0..K-1 of the true classes. Means over
classes are over those that occur in `y`: a rare class then weighs as much as a common one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqsci.data.shares import CASES
from seqsci.errors import SeqsciError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
CLIP = 1e-15
"""Probabilities are kept this far from 0 and 1 before the logarithm, as Kaggle does."""
PLASTICC_CLASSES = ("6", "15", "16", "42", "52", "53", "62", "64", "65", "67", "88", "90", "92", "95", "99")
PLASTICC_WEIGHTS: Mapping[str, float] = {code: 2.0 if code in ("15", "64", "99") else 1.0 for code in PLASTICC_CLASSES}
"""Class code -> its weight in the PLAsTiCC challenge; 99 stands for everything that is not in the training set."""
DRAWS = 1 << 22
"""Random numbers of a bootstrap drawn together, so that memory does not grow with the resamples."""


@dataclass(frozen=True)
class Reliability:
    """(bins,) of the top probability: mean `confidence`, `accuracy` and `count`; the means NaN where the bin is empty.

    The bins have equal widths from 0 to 1; a probability on an edge belongs to the bin below it.
    """

    confidence: Floats
    accuracy: Floats
    count: Ints


def losses_by_object(p: Floats, y: Ints) -> Floats:
    """(N,) -ln p of the true class, p clipped to [1e-15, 1 - 1e-15] and each row then divided by its sum.

    Raises:
        SeqsciError: shapes that do not fit, no objects, probabilities that are not finite, or codes beyond K.
    """
    p, y = _checked(p, y)
    clipped = np.clip(p, CLIP, 1 - CLIP)
    losses: Floats = np.log(clipped.sum(axis=1)) - np.log(clipped[np.arange(len(y)), y])
    return losses


def weighted_log_loss(p: Floats, y: Ints, weights: Floats) -> float:
    """sum_c w_c L_c / sum_c w_c, L_c the mean loss of the objects of class c, over the classes that occur.

    The metric of the PLAsTiCC challenge (Malz et al. 2019, arXiv 1809.11145; the clipping is Kaggle's and avocado's).

    Args:
        p: (N, K).
        y: (N,).
        weights: (K,), for the challenge `plasticc_weights`.

    Raises:
        SeqsciError: as `losses_by_object`; weights of another length, negative, or all 0 where classes occur.
    """
    losses, classes = losses_by_object(p, y), np.shape(p)[1]
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (classes,):
        raise SeqsciError(f"weights: shape {weights.shape} for {classes} classes; give one weight for each class")
    counts = np.bincount(y, minlength=classes)
    occur = counts > 0
    if (weights < 0).any() or not weights[occur].sum() > 0:
        raise SeqsciError("weights: negative, or 0 for every class that occurs; give positive weights")
    means = np.bincount(y, losses, classes)[occur] / counts[occur]
    return float(weights[occur] @ means / weights[occur].sum())


def flat_log_loss(p: Floats, y: Ints) -> float:
    """Mean over the classes that occur of the mean loss of their objects (Boone 2019, arXiv 1907.04690)."""
    return weighted_log_loss(p, y, np.ones(np.shape(p)[-1:]))


def plasticc_weights(classes: Sequence[str]) -> Floats:
    """(K,) weights of the challenge for those class codes; 1 for a label that it does not have."""
    return np.array([PLASTICC_WEIGHTS.get(label, 1.0) for label in classes])


def scores(p: Floats, y: Ints, classes: Sequence[str]) -> dict[str, Any]:
    """Every score of a classifier, as plain numbers that JSON can hold.

    `flat_log_loss`, `weighted_log_loss` (`plasticc_weights`), `accuracy`, `macro_recall`, `macro_precision` (a class
    that is never predicted has 0), `roc_auc_micro`, `roc_auc_macro`, `pr_auc_micro`, `pr_auc_macro` (one class
    against the rest; average precision), `ece` (15 bins of equal width) and `by_class`: label -> `n`, `recall`,
    `precision`, `roc_auc`, `ap`, `log_loss`. None: the score is not defined, as the recall of a class that does not
    occur.

    Raises:
        SeqsciError: as `losses_by_object`, or not K classes.
    """
    p, y = _checked(p, y)
    if len(classes) != p.shape[1]:
        raise SeqsciError(
            f"classes: {len(classes)} labels for {p.shape[1]} columns of probabilities; give one for each"
        )
    losses, top = losses_by_object(p, y), p.argmax(axis=1)
    by_class = {label: _of_class(p[:, c], y == c, top == c, losses) for c, label in enumerate(classes)}
    occur = [found for found in by_class.values() if found["n"]]
    truth = y[:, None] == np.arange(len(classes))
    roc, pr = _ranking(p.ravel(), truth.ravel())
    return {
        "flat_log_loss": flat_log_loss(p, y),
        "weighted_log_loss": weighted_log_loss(p, y, plasticc_weights(classes)),
        "accuracy": float((top == y).mean()),
        "macro_recall": _mean([found["recall"] for found in occur]),
        "macro_precision": _mean([found["precision"] or 0.0 for found in occur]),
        "roc_auc_micro": roc,
        "roc_auc_macro": _mean([found["roc_auc"] for found in occur]),
        "pr_auc_micro": pr,
        "pr_auc_macro": _mean([found["ap"] for found in occur]),
        "ece": calibration_error(p, y),
        "by_class": by_class,
    }


def bootstrap(
    p: Floats,
    y: Ints,
    statistic: Callable[[Floats, Ints], float],
    *,
    resamples: int,
    seed: int,
    groups: Sequence[Any] | NDArray[Any] | None = None,
) -> tuple[float, float]:
    """95 % interval of any statistic of (p, y): percentile bootstrap, each class resampled on its own.

    Args:
        p: (N, K).
        y: (N,).
        statistic: of a resampled p and y.
        resamples: at least 1.
        seed: of the generator.
        groups: (N,) of objects that belong together, such as copies of one object; a group is drawn as a whole.

    Returns:
        The two ends; NaN for fewer than `CASES` objects (groups where there are such).

    Raises:
        SeqsciError: as `losses_by_object`, or a group with objects of two classes.
    """
    p, y = _checked(p, y)
    groups = np.arange(len(y)) if groups is None else np.asarray(groups)
    if len(groups) != len(y):
        raise SeqsciError(f"groups: {len(groups)} for {len(y)} objects; give one for each object")
    first, members = _members(y, groups)
    if len(first) < CASES:
        return float("nan"), float("nan")
    strata = [np.flatnonzero(y[first] == c) for c in np.unique(y)]
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        drawn = np.concatenate([rng.choice(units, len(units)) for units in strata])
        rows = np.concatenate([members[unit] for unit in drawn])
        found.append(statistic(p[rows], y[rows]))
    return _interval(np.array(found))


def bootstrap_difference(p_a: Floats, p_b: Floats, y: Ints, *, resamples: int, seed: int) -> tuple[float, float]:
    """95 % interval of flat_log_loss(p_a, y) - flat_log_loss(p_b, y); the pairs of a class are resampled together.

    Returns:
        The two ends; NaN for fewer than `CASES` objects.

    Raises:
        SeqsciError: as `losses_by_object`.
    """
    difference = losses_by_object(p_a, y) - losses_by_object(p_b, y)
    if len(difference) < CASES:
        return float("nan"), float("nan")
    rng, parts = np.random.default_rng(seed), [difference[y == c] for c in np.unique(y)]
    return _interval(np.mean([_resampled_means(part, resamples, rng) for part in parts], axis=0))


def reliability(p: Floats, y: Ints, bins: int = 15) -> Reliability:
    """Top probability against the share of right answers (Guo et al. 2017, arXiv 1706.04599, section 2)."""
    p, y = _checked(p, y)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    some = np.where(count > 0, count, np.nan)
    mean = [np.bincount(place, values, bins) / some for values in (confidence, right)]
    return Reliability(confidence=mean[0], accuracy=mean[1], count=count)


def calibration_error(p: Floats, y: Ints, bins: int = 15) -> float:
    """Expected calibration error: mean over objects of |accuracy - confidence| of their bin, bins of equal width."""
    table = reliability(p, y, bins)
    return float(np.nansum(table.count * np.abs(table.accuracy - table.confidence)) / table.count.sum())


def soften(z: Floats, temperature: float = 1.0) -> Floats:
    """(N, K) softmax(z / T) of logits or log probabilities; -inf is a probability of 0.

    Raises:
        SeqsciError: a row whose largest entry is not finite.
    """
    top = z.max(axis=1, keepdims=True)
    if not np.isfinite(top).all():
        raise SeqsciError(f"logits: row {int((~np.isfinite(top)).argmax())} has no finite maximum; mend or drop it")
    powers = np.exp((z - top) / temperature)
    out: Floats = powers / powers.sum(axis=1, keepdims=True)
    return out


def temperature(z: Floats, y: Ints, balanced: bool = True) -> float:
    """The T from 0.02 to 50 for which softmax(z / T) has the least log loss (Guo et al. 2017, section 4.2).

    Args:
        z: (N, K) logits or log probabilities of the validation set.
        y: (N,).
        balanced: the flat log loss is made small; False: the plain mean over objects.

    Raises:
        SeqsciError: as `losses_by_object`.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_t: float) -> float:
        p = soften(z, float(np.exp(log_t)))
        return flat_log_loss(p, y) if balanced else float(losses_by_object(p, y).mean())

    # Of a convex function of 1/T: one minimum.
    bounds = (np.log(0.02), np.log(50))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x))


def open_set_auroc(
    score_known: Floats, score_unknown: Floats, *, resamples: int = 1000, seed: int = 0
) -> tuple[float, tuple[float, float]]:
    """Probability that an unknown object has the higher novelty score than a known one, ties for half.

    Args:
        score_known: (N,) novelty of objects of the known classes, higher for stranger ones.
        score_unknown: (M,) of objects of classes that the classifier never saw.
        resamples: of each of the two sets, for the interval.
        seed: of the generator.

    Returns:
        the area under the ROC curve, and its 95 % bootstrap interval (NaN for fewer than `CASES`
        objects of either kind).

    Raises:
        SeqsciError: an empty set, or scores that are not finite.
    """
    known, unknown = (np.asarray(s, dtype=np.float64) for s in (score_known, score_unknown))
    if not len(known) or not len(unknown) or not (np.isfinite(known).all() and np.isfinite(unknown).all()):
        raise SeqsciError("scores: empty or not finite; give a finite score for at least one object of either kind")
    levels = np.unique(np.concatenate([known, unknown]), return_inverse=True)[1]
    of_known, of_unknown = levels[: len(known)], levels[len(known) :]
    rng, size = np.random.default_rng(seed), levels.max() + 1
    if min(len(known), len(unknown)) < CASES:
        return _area(of_known, of_unknown, size), (float("nan"), float("nan"))
    drawn = ((rng.choice(of_known, len(known)), rng.choice(of_unknown, len(unknown))) for _ in range(resamples))
    return _area(of_known, of_unknown, size), _interval(np.array([_area(k, u, size) for k, u in drawn]))


def _area(known: Ints, unknown: Ints, size: int) -> float:
    """Mann and Whitney's statistic of levels 0..size-1, as a share of the pairs."""
    count = np.bincount(known, minlength=size)
    below = np.cumsum(count) - count / 2
    return float(below[unknown].mean() / len(known))


def _checked(p: Floats, y: Ints) -> tuple[Floats, Ints]:
    p, y = np.asarray(p, dtype=np.float64), np.asarray(y)
    if p.ndim != 2 or y.shape != p.shape[:1] or not p.size:
        raise SeqsciError(
            f"probabilities {p.shape} and labels {y.shape} do not fit; give (N, K) and (N,), N at least 1"
        )
    if not np.isfinite(p).all():
        raise SeqsciError(f"probabilities: row {int((~np.isfinite(p)).any(axis=1).argmax())} is not finite")
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= p.shape[1]:
        raise SeqsciError(f"labels: give whole numbers from 0 to {p.shape[1] - 1}, the columns of the probabilities")
    return p, y.astype(np.int64, copy=False)


def _of_class(p: Floats, true: NDArray[np.bool_], chosen: NDArray[np.bool_], losses: Floats) -> dict[str, Any]:
    hits, n = int((true & chosen).sum()), int(true.sum())
    roc, ap = _ranking(p, true)
    return {
        "n": n,
        "recall": hits / n if n else None,
        "precision": hits / int(chosen.sum()) if chosen.any() else None,
        "roc_auc": roc,
        "ap": ap,
        "log_loss": float(losses[true].mean()) if n else None,
    }


def _ranking(p: Floats, true: NDArray[np.bool_]) -> tuple[float | None, float | None]:
    """Areas under the ROC and the precision-recall curve; None where there are not both kinds of objects."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    if not true.any():
        return None, None
    roc = None if true.all() else float(roc_auc_score(true, p))
    return roc, float(average_precision_score(true, p))


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _members(y: Ints, groups: NDArray[Any]) -> tuple[Ints, list[Ints]]:
    """A row of each group, and all of its rows."""
    _, first, code, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    mixed = y != y[first][code]
    if mixed.any():
        raise SeqsciError(f"groups: '{groups[mixed.argmax()]}' holds objects of two classes; split it")
    return first, np.split(np.argsort(code, kind="stable"), np.cumsum(counts)[:-1])


def _resampled_means(values: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """(resamples,) means of as many values drawn with replacement."""
    n = len(values)
    return np.concatenate([values[rng.integers(0, n, (rows, n))].mean(axis=1) for rows in _portions(resamples, n)])


def _portions(resamples: int, n: int) -> Iterator[int]:
    most = max(1, DRAWS // n)
    for start in range(0, resamples, most):
        yield min(most, resamples - start)


def _interval(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
