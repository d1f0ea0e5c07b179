"""Sequence-model kernels with exact gradients; they know torch and triton, and nothing of seqsci."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path


def info() -> dict[str, dict[str, str]]:
    """Operator -> backend -> "usable", or the reason why this machine cannot use it.

    Compiles what has not been compiled yet: the first call may take some seconds.
    """
    import torch

    devices = {"cpu": "cpu", "triton": "cuda" if torch.cuda.is_available() else "cpu", "reference": "cpu"}
    found: dict[str, dict[str, str]] = {}
    for file in sorted(Path(__file__).parent.glob("*/reference.py")):
        op = import_module(f"{__name__}.{file.parent.name}")
        if not hasattr(op, "why_not"):
            continue
        found[op.__name__.rpartition(".")[2]] = {
            name: op.why_not(name, devices.get(name, "cpu")) or "usable" for name in op.BACKENDS
        }
    return found
