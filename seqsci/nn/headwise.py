"""Linear maps that leave groups of channels apart: block-diagonal matrices.

B batch, L length, C channels, G groups, g = C/G channels of a group.
"""

from __future__ import annotations

import torch
from torch import Tensor


def headwise(x: Tensor, weight: Tensor) -> Tensor:
    """(B, L, C) by (G, g, g), input channel before output channel -> (B, L, C)."""
    groups = len(weight)
    return torch.einsum("blgi,gio->blgo", x.unflatten(-1, (groups, -1)), weight).flatten(2)
