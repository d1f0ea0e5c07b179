"""Models in scikit-learn's manner: fit, predict, score, clone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

import narwhals as nw
import polars as pl
from sklearn.base import BaseEstimator

from seqsci import registry
from seqsci.api import Result, as_settings, classify, forecast
from seqsci.errors import SeqsciError


class _Estimator(BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """What both have in common: the `Result` of the last fit."""

    result_: Result

    def _fitted(self) -> Result:
        if not hasattr(self, "result_"):
            raise SeqsciError(f"{type(self).__name__}: call fit before predict or score")
        return self.result_


class Forecaster(_Estimator):
    """A forecasting model in scikit-learn's manner, on polars, pandas or Arrow frames.

    Args:
        model: a name of `seqsci models`.
        horizon, context: steps to forecast and to see.
        target: "all" or series names with commas between.
        inputs: "target" or "all", the series that the model reads.
        covariates: columns known for the horizon as well.
        settings: any further recipe field by its dotted path.
        seed: of the whole run.
        runs: folder that the run folder is made in.
        quiet: print no progress.

    Attributes:
        result_: the `Result` of the last fit.
    """

    def __init__(
        self,
        model: str = "informer",
        *,
        horizon: int = 24,
        context: int = 96,
        target: str = "all",
        inputs: str = "target",
        covariates: tuple[str, ...] = (),
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        runs: str | Path = "runs",
        quiet: bool = True,
    ) -> None:
        self.model = model
        self.horizon = horizon
        self.context = context
        self.target = target
        self.inputs = inputs
        self.covariates = covariates
        self.settings = settings
        self.seed = seed
        self.runs = runs
        self.quiet = quiet

    def fit(self, X: Any, y: None = None) -> Self:
        """Train on a frame with a time column and one column per series (or long: unique_id, ds, y)."""
        given = {
            "data.context": self.context,
            "data.inputs": self.inputs,
            "data.covariates": self.covariates or (),
            **self._start(),
            **as_settings(self.settings),
        }
        self.result_ = forecast(
            X, self.model, horizon=self.horizon, target=self.target, settings=given, seed=self.seed,
            runs=self.runs, quiet=self.quiet,
        )  # fmt: skip
        return self

    def _start(self) -> dict[str, Any]:
        """The general recipe starts a decoder with 48 steps; a shorter context cannot give as many."""
        known = {field.name for field in fields(registry.settings(self.model))}
        return {"model.label_length": min(self.context, 48)} if "label_length" in known else {}

    def predict(self, X: Any = None) -> Any:
        """Forecast past the end of a frame (by default the one of `fit`), in the same kind of frame."""
        table = self._fitted().predict(X)
        return _like(table, X)

    def score(self, X: Any, y: None = None) -> float:
        """Minus the mean squared error over every window of a frame, in scaled units: higher is better.

        Raises:
            SeqsciError: fewer rows than context + horizon.
        """
        from seqsci.training.forecast import mean_squared_error

        return -mean_squared_error(self._fitted().run, X)


class Classifier(_Estimator):
    """A classifier of light curves in scikit-learn's manner, on polars, pandas or Arrow frames.

    A frame has one row per observation (object_id, time, band, flux, flux error and, to fit or score, the label of
    its object), or one row per object with list columns.

    Args:
        model: a name of `seqsci models`.
        label: column of the class; found by its usual names when not given.
        settings: any further recipe field by its dotted path.
        seed: of the whole run.
        runs: folder that the run folder is made in.
        quiet: print no progress.

    Attributes:
        result_: the `Result` of the last fit.
        classes_: the classes, in the order of the probabilities.
    """

    def __init__(
        self,
        model: str = "t2",
        *,
        label: str | None = None,
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        runs: str | Path = "runs",
        quiet: bool = True,
    ) -> None:
        self.model = model
        self.label = label
        self.settings = settings
        self.seed = seed
        self.runs = runs
        self.quiet = quiet

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on a frame of observations X; y is a frame with one row per object where X has no labels."""
        self.result_ = classify(
            X, self.model, objects=y, label=self.label, settings=self.settings, seed=self.seed, runs=self.runs,
            quiet=self.quiet,
        )  # fmt: skip
        self.classes_ = list(self.result_.metrics["data"]["classes"])
        return self

    def predict(self, X: Any = None, y: Any = None) -> Any:
        """`object_id, predicted` of a frame (by default the one of `fit`), in the same kind of frame.

        y is a frame with one row per object, for its redshifts.
        """
        return _like(self._fitted().predict(X, y).select("object_id", "predicted"), X)

    def predict_proba(self, X: Any = None, y: Any = None) -> Any:
        """`object_id` and the probability of each class, in the same kind of frame."""
        table = self._fitted().predict(X, y)
        return _like(table.select("object_id", *(f"p_{name}" for name in self.classes_)), X)

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the flat log loss on a frame with labels (or with y, one row per object): higher is better.

        Raises:
            SeqsciError: no object has a label that the model knows.
        """
        from seqsci.training.classify import flat_log_loss_of

        return -flat_log_loss_of(self._fitted().run, X, y)


def _like(table: pl.DataFrame, given: Any) -> Any:
    """The table as the kind of frame that was given; polars where none was."""
    if given is None or isinstance(given, str | Path):
        return table
    backend = nw.get_native_namespace(nw.from_native(given))
    return nw.from_arrow(table, backend=backend).to_native()
