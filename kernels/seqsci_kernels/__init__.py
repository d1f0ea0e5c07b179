"""Sequence-model kernels with exact gradients; they know torch and triton, and nothing of seqsci."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType


def info() -> dict[str, dict[str, str]]:
    """Operator -> backend -> "usable", or the reason why this machine cannot use it.

    Compiles what has not been compiled yet: the first call may take some seconds.
    """
    # Not at the top: `import seqsci_kernels` alone stays free of torch.
    from seqsci_kernels.gpu import interpreted

    gpu = "cpu" if interpreted() else "cuda"
    found: dict[str, dict[str, str]] = {}
    for file in sorted(Path(__file__).parent.glob("*/reference.py")):
        op = import_module(f"{__name__}.{file.parent.name}")
        reasons = {name: _why_not(op, name, gpu) for name in op.BACKENDS}
        found[file.parent.name] = {name: reason or "usable" for name, reason in reasons.items()}
    return found


def _why_not(op: ModuleType, name: str, gpu: str) -> str | None:
    from seqsci_kernels.gpu import why_not_triton

    if name == "triton":
        return why_not_triton(gpu)
    # An operator without `why_not` has no other backend that a machine may lack.
    reason: str | None = op.why_not(name, "cpu") if hasattr(op, "why_not") else None
    return reason
