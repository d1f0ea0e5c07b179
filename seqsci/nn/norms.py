"""Norms of the recurrent blocks: by the root mean square, and of each head by itself.

B batch, L length, H heads, D width, d = D/H.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROWS = 512
"""Rows that are normed at a time on a CPU: they then stay in the cache."""


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last axis (Zhang and Sennrich, NeurIPS 2019, arXiv 1910.07467)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        if x.device.type == "cpu" and x.dtype == self.weight.dtype:
            out: Tensor = _RMS.apply(x, self.weight, self.eps)  # type: ignore[no-untyped-call]
            return out
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class _RMS(torch.autograd.Function):
    """torch's own makes some ten passes over memory on a CPU and takes three times as long."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        out, scales = torch.empty_like(rows), rows.new_empty(len(rows), 1)
        for part, scale, y in zip(*(torch.split(z, ROWS) for z in (rows, scales, out)), strict=True):
            torch.linalg.vector_norm(part, dim=-1, keepdim=True, out=scale)
            scale.square_().div_(len(weight)).add_(eps).rsqrt_()
            torch.mul(part, scale, out=y).mul_(weight)
        ctx.save_for_backward(rows, scales, weight)
        return out.view(x.shape)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, scales, weight = ctx.saved_tensors
        dx, d_weight = torch.empty_like(rows), torch.zeros_like(weight)
        grads = grad.reshape(rows.shape)
        pieces = zip(*(torch.split(x, ROWS) for x in (rows, scales, grads, dx)), strict=True)
        for part, scale, g, out in pieces:
            product = g * part
            d_weight.addmv_(product.t(), scale.squeeze(1))
            along = torch.mv(product, weight).unsqueeze(1).mul_(scale.pow(3)).div_(-len(weight))
            torch.mul(g, weight, out=out).mul_(scale).addcmul_(part, along)
        return dx.view(grad.shape), d_weight, None


class HeadNorm(nn.Module):
    """Layer norm of each head by itself, and a factor for each number: group norm at every step."""

    def __init__(self, width: int, heads: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.heads, self.eps = heads, eps

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, H, d) -> (B, L, D)."""
        return F.layer_norm(x, x.shape[-1:], None, None, self.eps).flatten(2) * self.weight
