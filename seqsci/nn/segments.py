"""Rows cut into segments, for what reads a sequence piece by piece.

B batch, T steps of a row, L steps of a segment, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class Segments:
    """Each row's real steps in their order, L to a segment; a record begins a segment of its own.

    The n-th segments of all rows are read together; a row that has fewer steps in one, or none, is masked there.

    Args:
        mask: (B, T) bool, True where a step is real.
        length: L.
        borders: (B, T) bool, True where a real step begins another record.
        constant: as many segments as T steps fill, however many of them are real.
    """

    def __init__(self, mask: Tensor, length: int, borders: Tensor | None = None, constant: bool = False) -> None:
        self.length, steps = length, mask.shape[1]
        self.count = max(1, -(-steps // length))
        inside = None if borders is None else borders[:, 1:] & mask[:, 1:]
        self.plain = bool(mask.all()) and (inside is None or not bool(inside.any()))
        if self.plain:
            return
        rank = mask.cumsum(1) - 1
        first = mask & (rank == 0)
        begins = first if borders is None else first | (borders & mask)
        # Of a masked step all of these are those of the real one before it, whose state it will show.
        since = rank - torch.where(begins, rank, 0).cummax(1).values
        number = (mask & (since % length == 0)).cumsum(1) - 1
        self._number, self._place = number, since % length
        needed = int(number.max()) + 1
        self.count = max(1, needed, self.count if constant else 0)
        rows, columns = mask.nonzero(as_tuple=True)
        at = rows, number[rows, columns], self._place[rows, columns]
        self._steps = torch.zeros(len(mask), self.count, length, dtype=torch.int64, device=mask.device)
        self._steps[at] = columns
        self._real = torch.zeros_like(self._steps, dtype=torch.bool)
        self._real[at] = True
        self._fresh = torch.zeros(len(mask), self.count, dtype=torch.bool, device=mask.device)
        rows, columns = begins.nonzero(as_tuple=True)
        self._fresh[rows, number[rows, columns]] = True
        self._widths = [max(1, int(n)) for n in self._real.any(0).sum(1)]

    def take(self, x: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """(B, T, D) -> (B, L', D) the n-th segment of each row, zeros behind it, and which of its steps are real."""
        if self.plain:
            part = x[:, n * self.length : (n + 1) * self.length]
            return part, torch.ones(part.shape[:2], dtype=torch.bool, device=x.device)
        width = self._widths[n]
        steps, real = self._steps[:, n, :width], self._real[:, n, :width]
        part = x.gather(1, steps.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
        return part.masked_fill(~real.unsqueeze(-1), 0), real

    def fresh(self, n: int) -> Tensor | None:
        """(B,) whether a record begins with the n-th segment; None where none does, or all do with the first."""
        if self.plain or n == 0 or not bool(self._fresh[:, n].any()):
            return None
        return self._fresh[:, n]

    def put(self, parts: Sequence[Tensor]) -> Tensor:
        """(B, L', D) of each segment -> (B, T, D): a masked step shows the real one before it, or 0."""
        y = torch.cat(list(parts), 1)
        if self.plain:
            return y
        starts = F.pad(torch.tensor([part.shape[1] for part in parts], device=y.device).cumsum(0), (1, 0))
        at = starts[self._number.clamp(min=0)] + self._place
        y = y.gather(1, at.unsqueeze(-1).expand(-1, -1, y.shape[-1]))
        return y.masked_fill((self._number < 0).unsqueeze(-1), 0)
