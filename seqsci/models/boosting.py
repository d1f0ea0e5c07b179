"""Gradient boosting on a table of features, and the prior: what a network has to beat.

N objects, F features, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqsci.errors import SeqsciError
from seqsci.metrics import flat_log_loss, losses_by_object

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Trees:
    """How the trees grow: step of the gradient descent, leaves of a tree, share of the features seen by a split."""

    rate: float = 0.1
    leaves: int = 16
    share: float = 0.2


BINS = 64
"""Levels that a feature is told apart by; scikit-learn's 255 took about twice as long for much the same loss."""
GRID = (Trees(leaves=8), Trees(rate=0.06, leaves=16))
"""What is tried; the validation set chooses."""


def class_prior(labels: Ints, classes: int) -> Floats:
    """(K,) shares of the classes among the labels (N,): the forecast of one who has not looked at the object.

    Raises:
        SeqsciError: no labels, or codes beyond K.
    """
    labels = np.asarray(labels)
    if not labels.size or labels.min() < 0 or labels.max() >= classes:
        raise SeqsciError(f"labels: give at least one, all from 0 to {classes - 1}")
    return np.bincount(labels, minlength=classes) / len(labels)


class Boosting:
    """scikit-learn's histogram gradient boosting (Friedman 2001; Ke et al. 2017, LightGBM), stopped on validation.

    For each of `grid` trees are added until the log loss on the validation set has not fallen for `patience` rounds;
    the best round of the best setting is kept. The same data give the same model.

    Args:
        balanced: every class weighs the same in training, which is what the flat log loss asks for.
        grid: settings to choose from.
        rounds: at most so many trees per class.
        patience: rounds without a gain after which a setting is given up.
        flat: the loss on the validation set is the flat one; False: the plain mean over objects.

    Attributes:
        classes: labels in the order of the columns of `predict`.
        trees: the chosen one of `grid`.
        rounds_used: trees per class.
        val_loss: log loss on the validation set, which chose, so it is too low.
    """

    def __init__(
        self,
        *,
        balanced: bool = True,
        grid: Sequence[Trees] = GRID,
        rounds: int = 400,
        patience: int = 10,
        flat: bool = True,
    ) -> None:
        if not grid:
            raise SeqsciError("grid: no settings; give at least one `Trees`")
        self.balanced, self.grid, self.rounds, self.patience = balanced, tuple(grid), rounds, patience
        self.flat = flat
        self.classes: tuple[str, ...] = ()
        self.trees = self.grid[0]
        self.rounds_used, self.val_loss = 0, float("inf")
        self._model: Any = None
        self._told: NDArray[np.bool_] = np.zeros(0, dtype=bool)

    def fit(self, X_train: Floats, y_train: Ints, X_val: Floats, y_val: Ints, classes: Sequence[str]) -> Boosting:
        """Grow the trees on `X_train (N, F)`, NaN where a feature is not defined, and choose on `X_val`.

        Args:
            X_train: (N, F); a column of NaN alone, such as of a passband that the survey lacks, is left out.
            y_train: (N,) codes.
            X_val: (M, F).
            y_val: (M,) codes; objects of a class that training lacks have no say.
            classes: K labels.

        Raises:
            SeqsciError: shapes or codes that do not fit, infinite features, a single class in training, or nothing
                to validate on.
        """
        X_train, y_train = _checked("train", X_train, y_train, len(classes))
        X_val, y_val = _checked("val", X_val, y_val, len(classes))
        known = np.isin(y_val, y_train)
        X_val, y_val = X_val[known], y_val[known]
        if len(np.unique(y_train)) < 2 or not len(y_val):
            raise SeqsciError("train: one class alone, or none of its classes in val; give both sets several classes")
        # scikit-learn 1.9 stops at a column without a single number.
        self._told = np.asarray(~np.isnan(X_train).all(0))
        if not self._told.any():
            raise SeqsciError("train: no feature is defined for any object; give features")
        X_train, X_val = X_train[:, self._told], X_val[:, self._told]
        self.classes, self.val_loss = tuple(classes), float("inf")
        for trees in self.grid:
            model = self._grow(trees, X_train, y_train, X_val, y_val)
            losses = [self._loss(self._all(model, p), y_val) for p in model.staged_predict_proba(X_val)]
            if min(losses) < self.val_loss:
                self.val_loss, self.rounds_used = min(losses), int(np.argmin(losses)) + 1
                self.trees, self._model = trees, model
        return self

    def predict(self, X: Floats) -> Floats:
        """(N, F) -> (N, K) probabilities; 0 for a class that training lacked.

        Raises:
            SeqsciError: before `fit`, or another number of features.
        """
        if self._model is None:
            raise SeqsciError("Boosting: not fitted; call fit first")
        if np.ndim(X) != 2 or np.shape(X)[1] != len(self._told):
            raise SeqsciError(f"features: shape {np.shape(X)}; give (N, {len(self._told)}) as in training")
        stages = self._model.staged_predict_proba(np.asarray(X, dtype=np.float64)[:, self._told])
        return self._all(self._model, next(islice(stages, self.rounds_used - 1, None)))

    def _grow(self, trees: Trees, X: Floats, y: Ints, X_val: Floats, y_val: Ints) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier

        model = HistGradientBoostingClassifier(
            learning_rate=trees.rate,
            max_leaf_nodes=trees.leaves,
            max_features=trees.share,
            max_iter=self.rounds,
            max_bins=BINS,
            early_stopping=True,
            n_iter_no_change=self.patience,
            tol=0,
            random_state=0,
        )
        weights = _balanced(y) if self.balanced else None
        # With these weights the loss that stops the growth is the flat one.
        judged = _balanced(y_val) if self.flat else np.ones(len(y_val))
        return model.fit(X, y, weights, X_val=X_val, y_val=y_val, sample_weight_val=judged)

    def _loss(self, p: Floats, y: Ints) -> float:
        return flat_log_loss(p, y) if self.flat else float(losses_by_object(p, y).mean())

    def _all(self, model: Any, p: Floats) -> Floats:
        full = np.zeros((len(p), len(self.classes)))
        full[:, model.classes_] = p
        return full


def _balanced(y: Ints) -> Floats:
    """(N,) weights with mean 1 and the same sum for each class."""
    counts = np.bincount(y)
    weights: Floats = len(y) / (np.count_nonzero(counts) * counts[y])
    return weights


def _checked(name: str, X: Floats, y: Ints, classes: int) -> tuple[Floats, Ints]:
    X, y = np.asarray(X, dtype=np.float64), np.asarray(y)
    if X.ndim != 2 or y.shape != X.shape[:1] or not len(y):
        raise SeqsciError(f"{name}: features {X.shape} and labels {y.shape} do not fit; give (N, F) and (N,)")
    if np.isinf(X).any():
        raise SeqsciError(f"{name}: infinite features; give NaN where a feature is not defined")
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= classes:
        raise SeqsciError(f"{name}: labels must be whole numbers from 0 to {classes - 1}")
    return X, y.astype(np.int64, copy=False)
