"""What can be said of a record from a table of features alone: a linear model or boosting, whichever is better on
validation.

R records, F features, K classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqsci.metrics import losses_by_object
from seqsci.models.boosting import BINS, Boosting, Trees

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse penalties C of the logistic regression that are tried."""
PENALTIES = (1e4, 1e3, 1e2, 1e1, 1.0)
"""Penalties of ridge regression that are tried."""
FURTHEST = 10.0
"""Standard deviations to which a standardised feature is cut: a bit that one training record has says little else."""
GRID = (Trees(rate=0.1, leaves=8), Trees(rate=0.05, leaves=16))
ROUNDS, PATIENCE = 500, 20


class Tabular:
    """Logistic regression or boosting for classes, ridge regression or boosting for a number.

    Everything is chosen by the log loss or the squared error on validation; the same data give the same model.

    Args:
        classes: K labels; none for a number.

    Attributes:
        facts: kind and strength of what was chosen, and `val_loss`, which chose and so is too low.
    """

    def __init__(self, classes: Sequence[str] = ()) -> None:
        self.classes = tuple(classes)
        self.facts: dict[str, Any] = {}

    def fit(self, X: Floats, y: NDArray[Any], X_val: Floats, y_val: NDArray[Any]) -> Tabular:
        """`X (R, F)`, and `y (R,)` codes or numbers."""
        X, X_val = (np.asarray(x, dtype=np.float64) for x in (X, X_val))
        self._told = np.nanstd(X, axis=0) > 0
        if not self._told.any():
            self._told[0] = True
        self._middle, self._spread = np.nanmean(X[:, self._told], 0), np.nanstd(X[:, self._told], 0)
        self._spread[self._spread == 0] = 1
        best = float("inf")
        linear, trees = (self._logistic, self._boosted) if self.classes else (self._ridge, self._boosted_number)
        for candidates in (linear, trees):
            for model, facts, said in candidates(X, y, X_val, y_val):
                loss = self._loss(said, y_val)
                if loss < best:
                    best, self._model, self.facts = loss, model, {**facts, "val_loss": loss}
        return self

    def predict(self, X: Floats) -> Floats:
        """(R, F) -> (R, K) probabilities, or (R,) numbers."""
        said: Floats = self._model(np.asarray(X, dtype=np.float64))
        return said

    def _loss(self, said: Floats, y: NDArray[Any]) -> float:
        if self.classes:
            return float(losses_by_object(said, y).mean())
        return float(np.square(said - y).mean())

    def _scaled(self, X: Floats) -> Floats:
        scaled = (X[:, self._told] - self._middle) / self._spread
        return np.nan_to_num(np.clip(scaled, -FURTHEST, FURTHEST))

    def _logistic(self, X: Floats, y: Ints, X_val: Floats, y_val: Ints) -> Any:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        train, val = self._scaled(X), self._scaled(X_val)
        for strength in STRENGTHS:
            model = LogisticRegression(C=strength, max_iter=300)
            with warnings.catch_warnings():
                # What has not converged is judged on validation like everything else.
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(train, y)
            yield (
                lambda x, model=model: model.predict_proba(self._scaled(x)),
                {"model": "logistic regression", "C": strength},
                model.predict_proba(val),
            )

    def _ridge(self, X: Floats, y: Floats, X_val: Floats, y_val: Floats) -> Any:
        from sklearn.linear_model import Ridge

        train, val = self._scaled(X), self._scaled(X_val)
        for penalty in PENALTIES:
            model = Ridge(alpha=penalty).fit(train, y)
            yield (
                lambda x, model=model: model.predict(self._scaled(x)),
                {"model": "ridge regression", "penalty": penalty},
                model.predict(val),
            )

    def _boosted(self, X: Floats, y: Ints, X_val: Floats, y_val: Ints) -> Any:
        model = Boosting(balanced=False, flat=False, grid=GRID, rounds=ROUNDS, patience=PATIENCE)
        model.fit(X, y, X_val, y_val, self.classes)
        facts = {"model": "boosting", "rounds": model.rounds_used, **vars(model.trees)}
        yield model.predict, facts, model.predict(X_val)

    def _boosted_number(self, X: Floats, y: Floats, X_val: Floats, y_val: Floats) -> Any:
        from sklearn.ensemble import HistGradientBoostingRegressor

        told = self._told
        for trees in GRID:
            model = HistGradientBoostingRegressor(
                learning_rate=trees.rate,
                max_leaf_nodes=trees.leaves,
                max_features=trees.share,
                max_iter=ROUNDS,
                max_bins=BINS,
                early_stopping=True,
                n_iter_no_change=PATIENCE,
                tol=0,
                random_state=0,
            ).fit(X[:, told], y, X_val=X_val[:, told], y_val=y_val)
            stages = list(model.staged_predict(X_val[:, told]))
            rounds = int(np.argmin([np.square(said - y_val).mean() for said in stages])) + 1
            yield (
                lambda x, model=model, rounds=rounds: next(islice(model.staged_predict(x[:, told]), rounds - 1, None)),
                {"model": "boosting", "rounds": rounds, **vars(trees)},
                stages[rounds - 1],
            )
