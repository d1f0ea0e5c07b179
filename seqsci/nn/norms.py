"""Norms of the recurrent blocks: by the root mean square, and of each head by itself.

B batch, L length, H heads, D width, d = D/H.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last axis (Zhang and Sennrich, NeurIPS 2019, arXiv 1910.07467)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class HeadNorm(nn.Module):
    """Layer norm of each head by itself, and a factor for each number: group norm at every step."""

    def __init__(self, width: int, heads: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.heads, self.eps = heads, eps

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, H, d) -> (B, L, D)."""
        return F.layer_norm(x, x.shape[-1:], None, None, self.eps).flatten(2) * self.weight
