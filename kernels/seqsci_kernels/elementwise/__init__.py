"""What stands between the products of a recurrent block: gates, norms, a short convolution, small maps.

Written of torch operations, most of their time goes into moving tensors through memory. The forms of `cpu` are one
pass each, and passes back that compute again what they need; they write into memory of the caller's, who puts them
between matrix products inside an autograd function of his own. `reference` holds the definitions, differentiable.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqsci_kernels.elementwise import cpu, reference

__all__ = ["BACKENDS", "cpu", "reference", "usable", "why_not"]

BACKENDS = ("cpu", "reference")
"""Names of the implementations; "reference" is made of torch operations and runs anywhere."""


def why_not(name: str, device: str) -> str | None:
    """The reason why a backend cannot serve tensors on this kind of device, or None."""
    if name != "cpu":
        return None
    return cpu.why_not() if device == "cpu" else f"the tensors are on {device}"


def usable(x: Tensor) -> bool:
    """Whether the passes of `cpu` can be used with x, which torch.compile cannot look into."""
    if torch.compiler.is_compiling() or x.device.type != "cpu":
        return False
    return x.dtype in (torch.float32, torch.float64) and cpu.why_not() is None
