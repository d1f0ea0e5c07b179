"""Batches in a seeded order that an interrupted run can take up again in the middle of an epoch."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import Dataset
from torchdata.stateful_dataloader import StatefulDataLoader

from seqsci.data.batch import Batch


def loader(data: Dataset[Batch], size: int, *, seed: int | None = None) -> StatefulDataLoader[Batch]:
    """Batches of `size`; shuffled by its own generator when a seed is given, else in order; none is dropped."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return StatefulDataLoader(data, batch_size=size, shuffle=seed is not None, generator=generator, collate_fn=_as_is)


def _as_is(batch: Any) -> Any:
    return batch
