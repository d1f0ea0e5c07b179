"""Whole sequences of uneven length, cut out of one table and padded to the longest of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from seqsci.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class Rows:
    """S scaled sequences, stored end to end.

    `values (N, C)`, `times (N, T)` days, `kinds (N,)` or None, `offsets (S+1,)`: sequence s is rows
    `offsets[s]:offsets[s+1]`; `static (S, K)`; `target (S,)` classes, -1 where unknown.
    """

    values: Tensor
    times: Tensor
    offsets: Tensor
    static: Tensor
    target: Tensor
    kinds: Tensor | None = None

    def __len__(self) -> int:
        return len(self.target)

    @property
    def lengths(self) -> Tensor:
        """(S,) steps of each sequence."""
        return self.offsets.diff()


class Collection(Dataset[Batch]):
    """Some of the sequences, one item each; `members` are their numbers."""

    def __init__(self, rows: Rows, members: NDArray[np.int64]) -> None:
        self.rows = rows
        self.members = torch.from_numpy(np.asarray(members, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """All sequences of a batch by one gather; what stands behind the end of one is 0 and masked."""
        index = torch.as_tensor(indices)
        chosen, rows = self.members[index], self.rows
        lengths = rows.offsets[chosen + 1] - rows.offsets[chosen]
        step = torch.arange(int(lengths.max()))
        mask = step < lengths[:, None]
        place = (rows.offsets[chosen][:, None] + step).where(mask, torch.zeros((), dtype=torch.int64))
        real = mask[..., None]
        return Batch(
            values=rows.values[place] * real,
            mask=mask,
            times=rows.times[place] * real,
            kinds=None if rows.kinds is None else rows.kinds[place] * mask,
            static=rows.static[chosen],
            target=rows.target[chosen],
            index=index,
        )

    @property
    def lengths(self) -> Tensor:
        """(len,) steps of each sequence."""
        return self.rows.lengths[self.members]

    def batches(self, size: int) -> Iterator[Batch]:
        """All sequences, the short ones first; `index` says which."""
        for part in torch.split(self.lengths.argsort(stable=True), size):
            yield self.__getitems__(part.tolist())


def everything(rows: Rows) -> Collection:
    """All sequences."""
    return Collection(rows, np.arange(len(rows)))
