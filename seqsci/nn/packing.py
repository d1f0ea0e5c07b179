"""The real steps of a batch moved together, so that a recurrence never meets a masked one.

B batch, L length, L' the most real steps of a row, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor


class RealSteps:
    """Where the real steps of a mask stand.

    Args:
        mask: (B, L) bool, True where a step is real.
    """

    def __init__(self, mask: Tensor) -> None:
        self._lengths = mask.sum(1)
        longest = max(1, int(self._lengths.max()))
        self._order = (~mask).to(torch.uint8).argsort(dim=1, stable=True)[:, :longest]
        self._last = mask.cumsum(1) - 1
        steps = torch.arange(longest, device=mask.device)
        self._real = steps < self._lengths[:, None]
        self._reverse = torch.where(self._real, self._lengths[:, None] - 1 - steps, steps)

    def take(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L', D): the real steps in their order, zeros behind them."""
        return _pick(x, self._order).masked_fill(~self._real.unsqueeze(-1), 0)

    def put(self, y: Tensor) -> Tensor:
        """(B, L', D) -> (B, L, D): each step back at its place; a masked one shows the real one before it, or 0."""
        return _pick(y, self._last.clamp(min=0)).masked_fill(self._last.unsqueeze(-1) < 0, 0)

    def turn(self, y: Tensor) -> Tensor:
        """(B, L', D) with the real steps of each row in reverse order; those behind them stay."""
        return _pick(y, self._reverse)


def _pick(x: Tensor, steps: Tensor) -> Tensor:
    return x.gather(1, steps.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
