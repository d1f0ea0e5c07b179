"""Rotary position embeddings (Su et al. 2021, arXiv 2104.09864, section 3.2.2): where a step stands, told to queries
and keys by turning them.

Of each vector of width K the channels 2i and 2i + 1 are a point of the plane, which position p turns by the angle
p theta^(-2i/K). The product of a query and a key then reads their distance alone. Neighbours form a pair, as in the
paper and in the published DNA-xLSTM and Prot-xLSTM; code that pairs the halves of a vector (i and i + K/2) holds the
same map under another order of the channels.

B batch, L length, W width, K width that is turned as one, W a multiple of K.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rotation(positions: Tensor, width: int, theta: float, dtype: torch.dtype) -> Tensor:
    """(B, L) positions -> (B, L, K/2) complex numbers of length 1.

    The angles are computed in float64: in float32 an angle near 10^6 is off by 0.03.

    Args:
        positions: integers.
        width: K, even.
        theta: the base; channel pairs turn from 1 down to nearly 1/theta radians a step.
        dtype: of what is to be turned.
    """
    pairs = torch.arange(0, width, 2, dtype=torch.float64, device=positions.device)
    angles = positions.to(torch.float64).unsqueeze(-1) * theta ** (-pairs / width)
    turned = torch.polar(torch.ones_like(angles), angles)
    return turned if dtype == torch.float64 else turned.to(torch.complex64)


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """(B, L, W) turned, K channels after K channels alike, by `turns` (B or 1, L, K/2) -> (B, L, W), of the type of x.

    Half precision is turned in float32.
    """
    real = x if x.dtype == torch.float64 else x.float()
    points = torch.view_as_complex(real.reshape(*x.shape[:2], -1, turns.shape[-1], 2))
    return torch.view_as_real(points * turns.unsqueeze(2)).flatten(2).to(x.dtype)


def following(steps: Tensor, length: int) -> Tensor:
    """(B,) the number of the next step -> (B, L) the numbers of the next L steps."""
    return steps.unsqueeze(1) + torch.arange(length, device=steps.device)
