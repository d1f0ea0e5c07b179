"""What is to be predicted of a record: one of some classes, or a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqsci.errors import SeqsciError

MANY = 10
"""A column with more different numbers than this is one of numbers, not of classes."""
FEWEST = 2
"""Different values that something can be learnt of."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """How labels become what a network says, and back.

    `name` of the column; `unit` of a number, "" where nobody knows; `classes`: K labels in their order, () for a
    number; `mean` and `scale` of a number in training.
    """

    name: str
    unit: str = ""
    classes: tuple[str, ...] = ()
    mean: float = 0.0
    scale: float = 1.0

    @property
    def kind(self) -> Literal["classes", "number"]:
        """What is said."""
        return "classes" if self.classes else "number"

    @property
    def outputs(self) -> int:
        """K, or 1."""
        return len(self.classes) or 1

    def facts(self) -> dict[str, Any]:
        """Plain values, stored beside the weights."""
        return {**vars(self), "classes": list(self.classes)}

    @staticmethod
    def from_facts(facts: dict[str, Any]) -> Target:
        """What was stored."""
        return Target(**{**facts, "classes": tuple(facts["classes"])})

    def truth(self, labels: pl.Series) -> NDArray[Any]:
        """(R,) codes of classes (int64), or numbers in their units (float64)."""
        if self.kind == "number":
            return labels.cast(pl.Float64).to_numpy().astype(np.float64)
        codes = {name: code for code, name in enumerate(self.classes)}
        return as_text(labels).replace_strict(codes, default=-1, return_dtype=pl.Int64).to_numpy()

    def tensor(self, labels: pl.Series) -> Tensor:
        """(R,) classes, or standardised numbers."""
        truth = self.truth(labels)
        if self.kind == "classes":
            return torch.from_numpy(truth.astype(np.int64))
        return torch.from_numpy((truth - self.mean) / self.scale).float()


def usable(labels: pl.Series) -> pl.Series:
    """(R,) whether something is known: not null, no empty text, no number that is not finite."""
    known = labels.is_not_null()
    if labels.dtype == pl.String:
        return known & (labels.str.strip_chars() != "").fill_null(False)
    return known & labels.cast(pl.Float64).is_finite().fill_null(False)


def decide(labels: pl.Series, training: pl.Series, kind: str, name: str, unit: str) -> Target:
    """Classes or a number, from all known labels and those of training.

    Raises:
        SeqsciError: texts that are to be numbers, or fewer than two different values.
    """
    different = labels.n_unique()
    texts = labels.dtype == pl.String
    if kind == "number" and texts:
        # A domain writes few different whole numbers as names of classes; they are numbers all the same.
        odd = labels.filter(~labels.cast(pl.Float64, strict=False).is_finite().fill_null(False))
        if len(odd):
            raise SeqsciError(f"data.kind: column {name} holds texts such as '{odd[0]}', no numbers; take classes")
        texts = False
    if different < FEWEST:
        said = f"every record has the same {name}, {as_text(labels)[0]}" if len(labels) else "no record is labelled"
        raise SeqsciError(f"data.label: {said}; name another column by data.label")
    if kind == "classes" or (kind == "auto" and (texts or different <= MANY)):
        return Target(name=name, classes=tuple(sorted(as_text(labels).unique(), key=_by_number)))
    values = training.cast(pl.Float64).to_numpy()
    scale = float(values.std())
    if not scale > 0:
        raise SeqsciError(f"data.label: every training record has the same {name}, {values[0]:g}; change data.split")
    return Target(name=name, unit=unit, mean=float(values.mean()), scale=scale)


def as_text(labels: pl.Series) -> pl.Series:
    """Labels as the names of classes: 1, not 1.0."""
    if labels.dtype == pl.String:
        return labels.str.strip_chars()
    return pl.Series(labels.name, [None if x is None else f"{x:.12g}" for x in labels.cast(pl.Float64)], pl.String)


def _by_number(label: str) -> tuple[float, str]:
    """Numbers in their order, then names."""
    try:
        return float(label), label
    except ValueError:
        return float("inf"), label
