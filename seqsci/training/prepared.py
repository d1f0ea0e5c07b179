"""What training needs of a task's data, and where each task's road lies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

import polars as pl

from seqsci.recipe import Recipe
from seqsci.runs import Run

if TYPE_CHECKING:
    from torch import nn
    from torchdata.stateful_dataloader import StatefulDataLoader

    from seqsci.data.batch import AnyShape
    from seqsci.tasks.base import SequenceTask
    from seqsci.training.fit import Fitted


class Prepared(Protocol):
    """Data that is read, split and scaled by its training part."""

    @property
    def origin(self) -> dict[str, Any]:
        """Name, path, sha256 and card of the data."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What reading has found out or changed."""
        ...

    @property
    def shape(self) -> AnyShape:
        """What the network must know."""
        ...

    def facts(self) -> dict[str, Any]:
        """What must be remembered to read new data: plain values, stored beside the weights."""
        ...

    def loader(self, split: str, size: int, seed: int | None = None) -> StatefulDataLoader[Any]:
        """Batches of "train" or "val"; in random order with a seed."""
        ...

    def module(self, network: nn.Module, recipe: Any) -> SequenceTask:
        """The network with its loss."""
        ...

    def without_test(self) -> Self:
        """The same with the test split closed."""
        ...


class Job(Protocol):
    """The functions of a task's folder in `training`."""

    def prepare(self, recipe: Any, source: Any = None) -> Prepared:
        """Read a recipe's data, or a frame (for some tasks several) in its place."""
        ...

    def keep(self, source: Any, folder: Path) -> Mapping[str, str]:
        """Write a caller's frames into a folder; dotted paths of the recipe -> the files."""
        ...

    def evaluate(self, recipe: Any, prepared: Any, run: Run, fitted: Fitted, *, quiet: bool) -> dict[str, Any]:
        """The one look at the test split."""
        ...

    def predict(
        self, run: Run, data: Any = None, tell: Callable[[str], None] | None = None, **further: Any
    ) -> pl.DataFrame:
        """What a complete run says of new data; `tell` hears what reading has found out or changed."""
        ...


def job(recipe: Recipe) -> Job:
    """The functions for a recipe's task."""
    return cast(Job, import_module(f"seqsci.training.{recipe.task}"))
