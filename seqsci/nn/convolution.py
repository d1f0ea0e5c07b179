"""Convolution of kernel 3 over a sequence whose ends are joined.

B batch, L length, C channels, D width.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqsci.nn.precision import product_dtype

ROWS = 2048
"""Steps that are convolved at a time: what is transformed then stays in the cache."""


class CircularConv(nn.Module):
    """(B, L, C) -> (B, L, D), y_t = W_0 x_{t-1} + W_1 x_t + W_2 x_{t+1} + b with L + t = t.

    `weight (D, 3C)` is (W_0, W_1, W_2). Two steps at a time cost four products instead of six (Winograd's
    F(2, 3); Lavin and Gray, CVPR 2016, section 4.1):

        m = (x_{t-1} - x_{t+1}) G_0,  (x_t + x_{t+1}) G_1,  (x_{t+1} - x_t) G_2,  (x_t - x_{t+2}) G_3
        y_t = m_0 + m_1 + m_2,  y_{t+1} = m_1 - m_2 - m_3
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
        first, middle, last = self.weight.chunk(3, 1)
        ends = (first + last) / 2
        weights = torch.stack([first, ends + middle / 2, ends - middle / 2, last])
        kind = product_dtype(x)
        out: Tensor = _Winograd.apply(x.to(kind), weights.to(kind), self.bias.to(kind))  # type: ignore[no-untyped-call]
        return out


class _Winograd(torch.autograd.Function):
    """`weights (4, D, C)` are the G above; a few sequences at a time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weights)
        length, width = x.shape[1], len(bias)
        out = x.new_empty(len(x), length + length % 2, width)
        with torch.autocast(x.device.type, enabled=False):
            for rows, y in zip(_some(x), _some(out), strict=True):
                parts = _transformed(rows)
                m = parts.new_empty(4, parts.shape[1], width)
                torch.bmm(parts, weights.transpose(1, 2), out=m)
                m[1] += bias
                m = m.view(4, len(rows), -1, width)
                torch.add(m[1], m[2], out=y[:, 0::2]).add_(m[0])
                torch.sub(m[1], m[2], out=y[:, 1::2]).sub_(m[3])
        return out[:, :length]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weights = ctx.saved_tensors
        grad = F.pad(grad, (0, 0, 0, 1)) if x.shape[1] % 2 else grad
        dx, dw = torch.empty_like(x), torch.zeros_like(weights)
        for rows, g, d in zip(_some(x), _some(grad), _some(dx), strict=True):
            even, odd = g[:, 0::2], g[:, 1::2]
            dm = torch.stack([even, even + odd, even - odd, odd.neg()]).flatten(1, 2)
            dw.baddbmm_(dm.transpose(1, 2), _transformed(rows))
            _untransform(torch.bmm(dm, weights).view(4, len(rows), -1, x.shape[2]), d)
        return dx, dw, grad.sum((0, 1))


def _some(x: Tensor) -> tuple[Tensor, ...]:
    # Rounded up to an even length, so that x and its padded gradient are cut alike.
    steps = x.shape[1] + x.shape[1] % 2
    return torch.split(x, max(1, ROWS // steps))


def _transformed(x: Tensor) -> Tensor:
    """(B, L, C) -> (4, B*ceil(L/2), C): what G_0 to G_3 multiply."""
    batch, length, channels = x.shape
    ring = torch.cat([x[:, -1:], x, x[:, :1], x[:, : length % 2]], 1)
    even, odd = ring[:, 0::2], ring[:, 1::2]
    out = x.new_empty(4, batch, even.shape[1] - 1, channels)
    torch.sub(even[:, :-1], even[:, 1:], out=out[0])
    torch.add(odd[:, :-1], even[:, 1:], out=out[1])
    torch.sub(even[:, 1:], odd[:, :-1], out=out[2])
    torch.sub(odd[:, :-1], odd[:, 1:], out=out[3])
    return out.flatten(1, 2)


def _untransform(parts: Tensor, dx: Tensor) -> None:
    """The gradient of `_transformed`: (4, B, ceil(L/2), C) is added up into dx (B, L, C).

    For odd L the ring's last step belongs to a result that nobody reads; its gradient is zero.
    """
    batch, length, channels = dx.shape
    ring = parts.new_empty(batch, 2 * parts.shape[2] + 2, channels)
    even, odd = ring[:, 0::2], ring[:, 1::2]
    torch.add(parts[1], parts[2], out=even[:, 1:]).sub_(parts[0])
    even[:, 0] = 0
    even[:, :-1] += parts[0]
    torch.sub(parts[1], parts[2], out=odd[:, :-1]).add_(parts[3])
    odd[:, -1] = 0
    odd[:, 1:] -= parts[3]
    dx.copy_(ring[:, 1 : length + 1])
    dx[:, -1] += ring[:, 0]
    dx[:, 0] += ring[:, length + 1]


class CausalConv(nn.Module):
    """y_t = SiLU(b + sum over j < K of w_j * x_{t-K+1+j}), each channel by itself.

    Args:
        channels: C.
        kernel: K.
    """

    def __init__(self, channels: int, kernel: int = 4) -> None:
        super().__init__()
        bound = 1 / math.sqrt(kernel)  # as torch's convolutions
        self.weight = nn.Parameter(torch.empty(kernel, channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels).uniform_(-bound, bound))

    def start(self, rows: int) -> Tensor:
        """(B, K-1, C): what stands before the first step."""
        return self.weight.new_zeros(rows, len(self.weight) - 1, self.weight.shape[1])

    def last(self, x: Tensor, before: Tensor) -> Tensor:
        """(B, K-1, C): the last steps of x (B, L, C) and, where these are too few, of those before."""
        halo = before.shape[1]
        x = x if x.shape[1] >= halo else torch.cat([before.to(x.dtype), x], 1)
        # A copy: a state that is kept must not keep the whole piece.
        return x[:, x.shape[1] - halo :].clone()

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L, C) and the K-1 steps before it -> (B, L, C) and the last K-1 steps of both."""
        x = torch.cat([before.to(x.dtype), x], 1)
        length = x.shape[1] - len(self.weight) + 1
        y: Tensor = self.bias
        for j, weight in enumerate(self.weight):
            y = torch.addcmul(y, x[:, j : j + length], weight)
        return F.silu(y), x[:, length:].clone()
