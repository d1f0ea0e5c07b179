"""From values and calendar marks to vectors.

B batch, L length, C channels, T marks, D width.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqsci.nn.dropout import Dropout
from seqsci.nn.precision import product_dtype

ROWS = 2048
"""Steps that are unfolded at a time."""


def sinusoid(length: int, width: int, device: torch.device | None = None) -> Tensor:
    """(L, D) fixed position code: sin and cos of t / 10000^(2i/D), interleaved (Vaswani et al. 2017)."""
    steps = torch.arange(length, device=device, dtype=torch.float32).unsqueeze(-1)
    rate = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10000.0) / width))
    angles = steps * rate
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :width]


def neighbours(x: Tensor) -> Tensor:
    """(B, L, C) -> (B, L, 3C): each step between the one before and the one after, the ends joined."""
    batch, length, channels = x.shape
    ringed = torch.cat([x[:, -1:], x, x[:, :1]], 1)
    # Three steps that follow each other in memory are one row of the result.
    return ringed.as_strided((batch, length, 3 * channels), (*ringed.stride()[:2], 1)).contiguous()


class CircularConv(nn.Module):
    """Convolution of kernel 3 over a sequence whose ends are joined, as one matrix product.

    `weight (D, 3C)` holds the taps of the step before, the step itself and the step after, in this order.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, 3 * channels))
        self.bias = nn.Parameter(torch.empty(width))
        bound = 1 / math.sqrt(3 * channels)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) -> (B, L, D)."""
        kind = product_dtype(x)
        out: Tensor = _Unfold.apply(  # type: ignore[no-untyped-call]
            x.to(kind), self.weight.to(kind), self.bias.to(kind)
        )
        return out


class _Unfold(torch.autograd.Function):
    """A few sequences at a time: the unfolded input, three times the input, never stands in memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        out = x.new_empty(*x.shape[:2], len(weight))
        with torch.autocast(x.device.type, enabled=False):
            for rows, y in zip(_some(x), _some(out), strict=True):
                torch.addmm(bias, neighbours(rows).flatten(0, 1), weight.t(), out=y.view(-1, len(weight)))
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        grad = grad.contiguous()
        dx, dw = torch.empty_like(x), torch.zeros_like(weight)
        for rows, g, d in zip(_some(x), _some(grad), _some(dx), strict=True):
            flat = g.flatten(0, 1)
            dw.addmm_(flat.t(), neighbours(rows).flatten(0, 1))
            before, here, after = (flat @ weight).view(*rows.shape[:2], -1).chunk(3, -1)
            torch.add(before.roll(-1, 1), here, out=d)
            d.add_(after.roll(1, 1))
        return dx, dw, grad.sum((0, 1))


def _some(x: Tensor) -> tuple[Tensor, ...]:
    return torch.split(x, max(1, ROWS // x.shape[1]))


class DataEmbedding(nn.Module):
    """Circular convolution of the values + position code + linear map of the marks, then dropout.

    Informer, appendix B, with the published code's linear map of calendar marks for its look-up tables.
    `token (D, 3C)` has no offset of its own: that of `marks` serves both.

    Args:
        channels: C of the values.
        marks: T of the times; may be 0.
        width: D.
        dropout: probability.
    """

    def __init__(self, channels: int, marks: int, width: int, dropout: float) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.empty(width, 3 * channels))
        nn.init.kaiming_normal_(self.token, nonlinearity="leaky_relu")
        self.marks = nn.Parameter(torch.empty(width, marks))
        self.bias = nn.Parameter(torch.empty(width))
        bound = 1 / math.sqrt(max(marks, 1))
        nn.init.uniform_(self.bias, -bound, bound)
        if marks:
            nn.init.uniform_(self.marks, -bound, bound)
        self.dropout = Dropout(dropout)

    def forward(self, values: Tensor, times: Tensor) -> Tensor:
        """Values (B, L, C) and marks (B, L, T) -> (B, L, D)."""
        x = torch.cat([neighbours(values), times], -1)
        x = F.linear(x, torch.cat([self.token, self.marks], 1), self.bias)
        positions = sinusoid(values.shape[1], x.shape[-1], x.device)
        return self.dropout(x + positions.to(x.dtype))
