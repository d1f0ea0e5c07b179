"""Dropout whose random numbers are cheap on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LANES = 1 << 16
"""A random number of 16 bits decides for one element, so p is rounded to a multiple of 2^-16."""


def keep(x: Tensor, p: float) -> tuple[Tensor, float]:
    """Which elements of `x` stay, and by what these are multiplied.

    One draw of 64 bits serves four elements, from torch's global generator: whoever restores its state gets
    the same bits again. torch's own dropout draws for each element and takes five times as long.

    Returns:
        int8 of the shape of `x`, 1 with probability 1 - p and else 0; and 1/(1 - p), p as rounded.
    """
    lanes, cut, scale = _draw(x, p)
    return (lanes >= cut).view(torch.int8), scale


def fate(x: Tensor, p: float) -> tuple[Tensor, float]:
    """As `keep`, but int16, 0 where an element stays and else -1: cheaper to make, larger to store."""
    lanes, cut, scale = _draw(x, p)
    return lanes.clamp_(cut - 1, cut).sub_(cut), scale


def _draw(x: Tensor, p: float) -> tuple[Tensor, int, float]:
    """int16 lanes of the shape of `x`; an element goes when its lane is below the cut, the second result."""
    dropped = round(p * LANES)
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    lanes = bits.view(torch.int16)[: x.numel()].view(x.shape)
    return lanes, dropped - LANES // 2, LANES / (LANES - dropped)


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, p: float) -> Tensor:  # type: ignore[no-untyped-def]
        kept, ctx.scale = keep(x, p)
        ctx.save_for_backward(kept)
        return _thinned(x, kept, ctx.scale)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        (kept,) = ctx.saved_tensors
        return _thinned(grad, kept, ctx.scale), None


def _thinned(x: Tensor, kept: Tensor, scale: float) -> Tensor:
    # A product of two types is eight times as slow as a conversion and a product.
    return kept.to(x.dtype).mul_(scale).mul_(x)


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """Zero each element with probability p (to 2^-16) and divide the others by 1 - p; any shape."""
    if not training or p == 0:
        return x
    if x.device.type != "cpu" or round(p * LANES) in (0, LANES):
        return F.dropout(x, p)
    out: Tensor = _Drop.apply(x, p)  # type: ignore[no-untyped-call]
    return out


class _DropAndAdd(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, base: Tensor, p: float) -> Tensor:  # type: ignore[no-untyped-def]
        kept, ctx.scale = keep(x, p)
        ctx.save_for_backward(kept)
        return _thinned(x, kept, ctx.scale).add_(base)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[no-untyped-def]
        (kept,) = ctx.saved_tensors
        return _thinned(grad, kept, ctx.scale), grad, None


def residual(base: Tensor, x: Tensor, p: float, training: bool = True) -> Tensor:
    """base + dropout(x), of one shape and type, in one tensor fewer."""
    drops = training and round(p * LANES) not in (0, LANES)
    if not drops or x.device.type != "cpu" or x.dtype != base.dtype:
        return base + dropout(x, p, training)
    out: Tensor = _DropAndAdd.apply(x, base, p)  # type: ignore[no-untyped-call]
    return out


class Dropout(nn.Module):
    """`dropout` as a module: active in training mode."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return dropout(x, self.p, self.training)

    def add(self, base: Tensor, x: Tensor) -> Tensor:
        """base + dropout(x)."""
        return residual(base, x, self.p, self.training)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"
