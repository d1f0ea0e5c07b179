"""Halving a sequence by maxima.

B batch, L length, D width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def halve(x: Tensor) -> Tensor:
    """(B, L, D) -> (B, ceil(L/2), D): the maximum of steps 2i-1, 2i and 2i+1, of those that exist."""
    out: Tensor = _Halve.apply(x)  # type: ignore[no-untyped-call]
    return out


def halve_mask(mask: Tensor) -> Tensor:
    """(B, L) -> (B, ceil(L/2)) bool: True where a real step went into the maximum."""
    even, before, after = _windows(mask.unsqueeze(-1))
    return (even | before | after).squeeze(-1)


class _Halve(torch.autograd.Function):
    """On (B, L, D) as it lies in memory; torch's pooling wants (B, D, L), its maximum has a slow way back.

    Of equal steps the middle one has the gradient, then the one before.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        even, before, after = _windows(x)
        from_before = before > even
        out = torch.maximum(even, before)
        from_after = after > out
        ctx.save_for_backward(from_before, from_after)
        ctx.length = x.shape[1]
        return torch.maximum(out, after)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        from_before, from_after = (chosen.to(grad.dtype) for chosen in ctx.saved_tensors)
        to_after = from_after.mul_(grad)
        rest = grad - to_after
        to_before = from_before.mul_(rest)
        dx = grad.new_empty(grad.shape[0], ctx.length, grad.shape[2])
        torch.sub(rest, to_before, out=dx[:, 0::2])
        odd = dx[:, 1::2]
        odd.copy_(to_after[:, : odd.shape[1]])
        odd[:, : grad.shape[1] - 1].add_(to_before[:, 1:])
        return dx


def _windows(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Steps 2i, 2i-1 and 2i+1; where one does not exist, 2i in its place."""
    even, odd = x[:, 0::2], x[:, 1::2]
    before = torch.cat([even[:, :1], odd[:, : even.shape[1] - 1]], 1)
    after = odd if x.shape[1] % 2 == 0 else torch.cat([odd, even[:, -1:]], 1)
    return even, before, after
