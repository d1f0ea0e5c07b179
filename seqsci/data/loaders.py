"""Batches in a seeded order that an interrupted run can take up again in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from torchdata.stateful_dataloader import StatefulDataLoader

MIXED = 16
"""Batches that are filled together when sequences of similar length share a batch."""


class Walk(Iterator[int]):
    """The order of one epoch, with a place in it that can be saved: a function of seed and epoch alone."""

    def __init__(self, order: EpochOrder, epoch: int) -> None:
        self.make = order.permutation
        self.load_state_dict({"epoch": epoch, "position": 0})

    def __next__(self) -> int:
        if self.position == len(self.order):
            raise StopIteration
        self.position += 1
        return self.order[self.position - 1]

    def state_dict(self) -> dict[str, int]:
        """For the resume point."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """From the resume point: Lightning sets the epoch only after it has asked for the first batch."""
        self.epoch, self.position = state["epoch"], state["position"]
        self.order: list[int] = self.make(self.epoch).tolist()


class EpochOrder(Sampler[int]):
    """A random order for each epoch.

    A generator that lives on from epoch to epoch would have to be restored to the bit; this one needs only the
    number of the epoch.

    Args:
        count: items.
        seed: of all epochs.
        size: items of a batch.
        lengths: (count,) steps of each item; with them, items of similar length share a batch, so that little is
            padded, and the batches come in random order.
        fresh: number the items on from epoch to epoch (item i of epoch e is e count + i), for data that draw anew
            what stands in an item: such a draw can then be a function of the number alone.
        most: items of an epoch, drawn anew for each; None for all.
    """

    def __init__(
        self,
        count: int,
        seed: int,
        size: int = 1,
        lengths: Tensor | None = None,
        fresh: bool = False,
        most: int | None = None,
    ) -> None:
        self.count, self.seed, self.epoch = count, seed, 0
        self.size, self.lengths, self.fresh = size, lengths, fresh
        self.taken = count if most is None else min(most, count)

    def __len__(self) -> int:
        return self.taken

    def __iter__(self) -> Walk:
        return Walk(self, self.epoch)

    def set_epoch(self, epoch: int) -> None:
        """Called before each epoch."""
        self.epoch = epoch

    def permutation(self, epoch: int) -> Tensor:
        """(count,) the order of an epoch, or (most,)."""
        return self._shuffled(epoch) + (epoch * self.count if self.fresh else 0)

    def _shuffled(self, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed((self.seed << 20) + epoch)
        order = torch.randperm(self.count, generator=generator)[: self.taken]
        if self.lengths is None:
            return order
        parts = torch.split(order, self.size * MIXED)
        order = torch.cat([part[self.lengths[part].argsort(stable=True)] for part in parts])
        full = len(order) // self.size
        batches = order[: full * self.size].view(full, self.size)
        # The batch that is not full stays the last one.
        shuffled = batches[torch.randperm(full, generator=generator)]
        return torch.cat([shuffled.flatten(), order[full * self.size :]])


def loader(
    data: Dataset[Any],
    size: int,
    *,
    seed: int | None = None,
    lengths: Tensor | None = None,
    fresh: bool = False,
    most: int | None = None,
) -> StatefulDataLoader[Any]:
    """Batches of `size`, in the order of `EpochOrder` when a seed is given, else as they are; none is dropped."""
    count = len(data)  # type: ignore[arg-type] # torch's Dataset does not declare it
    sampler = None if seed is None else EpochOrder(count, seed, size, lengths, fresh, most)
    return StatefulDataLoader(data, batch_size=size, sampler=sampler, collate_fn=_as_is)


def _as_is(batch: Any) -> Any:
    return batch
