"""The files of a run folder, as the page and its pictures read them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.report.tables import read_table, table_path
from seqsci.report.words import Metrics
from seqsci.runs import Run

Floats = NDArray[np.float64]


class Material:
    """The files of one run, read when they are needed.

    Raises:
        SeqsciError: one of them is absent.
    """

    def __init__(self, run: Run, metrics: Metrics) -> None:
        self.run, self.metrics = run, metrics
        self.model: str = metrics["model"]
        self.labels: list[str] = list(metrics["classes"])
        self.names: dict[str, str] = {label: label for label in self.labels}
        for name in ("predictions", "worst"):
            table_path(run, name)  # what is absent is said before anything is drawn

    @property
    def quantity(self) -> str:
        """What the label is called, with its unit."""
        unit = self.metrics["unit"]
        return f"{self.metrics['label']}, {unit}" if unit else str(self.metrics["label"])

    @cached_property
    def predictions(self) -> tuple[Floats, NDArray[np.int64]]:
        """(N, K) probabilities of the test records and (N,) codes of their classes."""
        table = read_table(self.run, "predictions", ["label", *(f"p_{label}" for label in self.labels)])
        codes = {label: code for code, label in enumerate(self.labels)}
        truth = table["label"].replace_strict(codes, return_dtype=pl.Int64).to_numpy()
        return table.drop("label").to_numpy().astype(np.float64), truth

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """(K, K) records: row the true class, column the predicted one."""
        p, truth = self.predictions
        size = len(self.labels)
        return np.bincount(truth * size + p.argmax(1), minlength=size * size).reshape(size, size)

    @cached_property
    def numbers(self) -> tuple[Floats, Floats]:
        """(N,) predicted and (N,) true numbers of the test records."""
        table = read_table(self.run, "predictions", ["predicted", "label"])
        return table["predicted"].to_numpy(), table["label"].to_numpy()

    @cached_property
    def worst(self) -> pl.DataFrame:
        """`id, label, predicted, sequence, loss` of the test records of the largest loss."""
        return read_table(self.run, "worst", ["id", "label", "predicted", "sequence", "loss"])
