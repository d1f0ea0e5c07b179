"""Whether Triton's kernels can run here, and the device they run on."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec

import torch
from torch import Tensor

OLDEST = (8, 0)
"""Compute capability with bfloat16 and TF32 products."""


def interpreted() -> bool:
    """Whether Triton's interpreter runs the kernels, on CPU tensors."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def why_not_triton(device: str) -> str | None:
    """None where Triton can compute with tensors on this kind of device, otherwise the reason why not."""
    if find_spec("triton") is None:
        return "triton is not installed"
    if device == "cpu" and interpreted():
        return None
    if device != "cuda":
        return f"the tensors are on {device}, not on a GPU"
    if not torch.cuda.is_available():
        return "torch sees no GPU"
    if torch.version.hip or torch.cuda.get_device_capability() < OLDEST:
        return "the kernels are written for NVIDIA's GPUs of compute capability 8.0 and newer"
    return None


def on_device_of(x: Tensor) -> AbstractContextManager[object]:
    """Triton launches on the current GPU: within, that is the one where `x` lies."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()
