"""Norms of the recurrent blocks: by the root mean square, and of each head by itself.

B batch, L length, H heads, D width, d = D/H.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from seqsci_kernels import elementwise
from torch import Tensor, nn

ROWS = 512
"""Rows whose gradients of the weight are summed before they are added to those of others."""


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last axis (Zhang and Sennrich, NeurIPS 2019, arXiv 1910.07467)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        if elementwise.usable(x) and x.dtype == self.weight.dtype:
            out: Tensor = _RMS.apply(x, self.weight, self.eps)  # type: ignore[no-untyped-call]
            return out
        return elementwise.reference.rms_norm(x, self.weight, self.eps)


class _RMS(torch.autograd.Function):
    """One pass each way; torch's own makes some ten over memory on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        rows, weight = x.contiguous().view(-1, x.shape[-1]), weight.contiguous()
        out, scales = torch.empty_like(rows), rows.new_empty(len(rows))
        elementwise.cpu.rms_norm(rows, weight, eps, out, scales)
        ctx.save_for_backward(rows, scales, weight)
        return out.view(x.shape)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, scales, weight = ctx.saved_tensors
        dx, d_weight = torch.empty_like(rows), torch.zeros_like(weight)
        pieces = (torch.split(x, ROWS) for x in (rows, scales, grad.contiguous().view(rows.shape), dx))
        for part, scale, g, out in zip(*pieces, strict=True):
            elementwise.cpu.rms_norm_back(part, weight, scale, g, out, d_weight)
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
