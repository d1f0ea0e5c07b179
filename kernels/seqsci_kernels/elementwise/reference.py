"""What stands between the products of a recurrent block, as it is written. All differentiable."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Activation = Literal["sigmoid", "silu"]


def swiglu(x: Tensor) -> Tensor:
    """SiLU(gate) * up of x = [gate, up] (..., 2 I) (Shazeer 2020, arXiv 2002.05202) -> (..., I)."""
    gate, up = x.chunk(2, -1)
    return F.silu(gate) * up


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last axis (Zhang and Sennrich, NeurIPS 2019, arXiv 1910.07467)."""
    return F.rms_norm(x, weight.shape, weight, eps)


def norm_gate(
    h: Tensor,
    z: Tensor,
    activation: Activation,
    eps: float,
    norm: Tensor | None = None,
    skip: Tensor | None = None,
    c: Tensor | None = None,
) -> Tensor:
    """(LN(h) * norm + skip * c) * gate(z), the layer norm of each head by itself.

    Args:
        h: (..., H, d).
        z: (..., H d).
        activation: gate, "sigmoid" or "silu".
        eps: of the norm.
        norm, skip: (H d,), by default 1 and 0.
        c: (..., H d), with skip.
    """
    y = F.layer_norm(h, h.shape[-1:], None, None, eps).flatten(-2)
    if norm is not None:
        y = y * norm
    if skip is not None and c is not None:
        y = y + skip * c
    return y * (torch.sigmoid(z) if activation == "sigmoid" else F.silu(z))


def convolved_maps(
    a: Tensor, before: Tensor, taps: Tensor, bias: Tensor, maps: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A causal convolution of each channel, and three maps by groups of channels.

    Args:
        a: (B, L, E).
        before: (B, K-1, E) the steps before.
        taps: (K, E) of c_t = SiLU(bias + sum over j of taps_j * a_{t-K+1+j}).
        bias: (E,).
        maps: (3, G, g, g), input before output channel, of c, c and a.

    Returns:
        c and the three results, each (B, L, E).
    """
    length = a.shape[1]
    padded = torch.cat([before.to(a.dtype), a], 1)
    c = bias
    for j, tap in enumerate(taps):
        c = torch.addcmul(c, padded[:, j : j + length], tap)
    c = F.silu(c)
    groups = maps.shape[1]
    q, k, v = (
        torch.einsum("blgi,gio->blgo", x.view(*x.shape[:2], groups, -1), weight).flatten(2)
        for x, weight in zip((c, c, a), maps, strict=True)
    )
    return c, q, k, v
