"""The sLSTM recurrence (Beck et al., NeurIPS 2024, arXiv 2405.04517, section 2.2) with exponential input gates."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from seqsci_kernels.gpu import why_not_triton
from seqsci_kernels.slstm import cpu, reference
from seqsci_kernels.slstm.project import project

__all__ = ["BACKENDS", "State", "empty_state", "pick", "project", "reset_mask", "slstm", "why_not"]

BACKENDS = ("cpu", "reference", "triton")
"""Names of the implementations; "reference" is made of torch operations and runs anywhere."""
TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WIDEST = 256
"""Largest head width of the Triton kernels."""


class State(NamedTuple):
    """What a step hands to the next, three tensors (B, H, D) in float32 or float64.

    With the paper's cell c, normaliser n and stabiliser m, of which only c e^m and n e^m mean anything:
    """

    hidden: Tensor
    """h, what the recurrent weights read."""
    cell: Tensor
    """c / n, a mean of the values tanh(z) so far, in [-1, 1]."""
    log_norm: Tensor
    """m + ln n; -inf where nothing has been seen."""


def empty_state(gates: Tensor) -> State:
    """The state before the first step of `gates` (B, T, H, 4, D)."""
    batch, _, heads, _, width = gates.shape
    zero = gates.new_zeros(batch, heads, width, dtype=_state_type(gates))
    return State(zero, zero, torch.full_like(zero, -torch.inf))


def reset_mask(cu_seqlens: Tensor, length: int) -> Tensor:
    """(1, T) bool for sequences packed into one row: True at their first steps, from the bounds 0, ..., T."""
    mask = torch.zeros(length + 1, dtype=torch.bool, device=cu_seqlens.device)
    mask[cu_seqlens.long()] = True
    return mask[None, :length]


def slstm(
    gates: Tensor,
    recurrent: Tensor,
    bias: Tensor | None = None,
    initial: State | None = None,
    *,
    reset: Tensor | None = None,
    backward_heads: int = 0,
    backend: str | None = None,
) -> tuple[Tensor, State]:
    """Walk through the steps: memory mixing within a head, none between heads.

    At each step, with i, f, z, o = the gates of the step + bias + R^T h of the step before:
    `m' = max(i, logsigmoid(f) + m)`, `c' = exp(logsigmoid(f) + m - m') c + exp(i - m') tanh(z)`,
    `n' = exp(logsigmoid(f) + m - m') n + exp(i - m')`, `h' = sigmoid(o) c' / n'`.

    Args:
        gates: `(B, T, H, 4, D)` what the input gives to the gates i, f, z, o; float16, bfloat16, float32 or
            float64. Fastest on a CPU as a view of `(H, B, T, 4, D)`, which `project` gives.
        recurrent: `(H, D, 4, D)` R: hidden unit, gate, unit.
        bias: `(H, 4, D)`.
        initial: state before the first step, by default empty. Gradients flow through it.
        reset: `(B, T)` bool, True where a sequence begins: the state before that step is empty.
            `reset_mask` makes it from the bounds of packed sequences.
        backward_heads: so many of the last heads walk from the last step to the first; `initial` enters them, and
            the final state leaves them, at their ends. So both directions are one call on stacked heads.
        backend: "cpu" (compiled C++), "triton" or "reference"; by default the fastest that fits.

    Returns:
        h `(B, T, H, D)` in the type of the gates, and the final state. Half precision is summed in float32. Second
        derivatives need the "reference".

    Raises:
        ValueError: shapes that do not fit, an unknown backend, or one that this machine or these tensors rule out.
        TypeError: types that do not fit.
    """
    _check(gates, recurrent, bias, reset, backward_heads)
    bias = recurrent.new_zeros(recurrent.shape[:1] + recurrent.shape[2:]) if bias is None else bias
    if initial is None:
        initial = empty_state(gates)
    _check_state(gates, initial)
    name = pick(backend, gates.device.type, gates.dtype, gates.shape[-1])
    out, *final = _module(name).slstm(gates, recurrent, bias, *initial, reset, backward_heads)
    return out, State(*final)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator, unused-ignore]
def pick(backend: str | None, device: str, dtype: torch.dtype, width: int) -> str:
    """The name of the backend to use; a ValueError that says what is wrong with the wanted one."""
    if backend is None:
        fast = {"cpu": "cpu", "cuda": "triton"}.get(device, "reference")
        return "reference" if why_not(fast, device, dtype, width) else fast
    reason = why_not(backend, device, dtype, width)
    if reason:
        raise ValueError(f"backend: '{backend}' cannot be used: {reason}; known: {', '.join(BACKENDS)}")
    return backend


def why_not(name: str, device: str, dtype: torch.dtype = torch.float32, width: int = 1) -> str | None:
    """The reason why a backend cannot serve tensors on this kind of device, or None."""
    if name == "reference":
        return None
    if name == "cpu":
        return cpu.why_not() if device == "cpu" else f"the tensors are on {device}"
    if name != "triton":
        return "no such backend"
    if dtype == torch.float64:
        return "it has no float64"
    if width > WIDEST:
        return f"heads of {width} are wider than {WIDEST}"
    return why_not_triton(device)


def _module(name: str) -> ModuleType:
    # Triton is imported when first used: it takes a second, and most machines have no GPU.
    return {"cpu": cpu, "reference": reference}.get(name) or import_module("seqsci_kernels.slstm.triton")


def _state_type(gates: Tensor) -> torch.dtype:
    return torch.float64 if gates.dtype == torch.float64 else torch.float32


def _check(gates: Tensor, recurrent: Tensor, bias: Tensor | None, reset: Tensor | None, backward_heads: int) -> None:
    if gates.dim() != 5 or gates.shape[3] != 4 or not gates.numel():
        raise ValueError(f"gates: shape {tuple(gates.shape)} is not (B, T, H, 4, D), none of them 0")
    batch, steps, heads, _, width = gates.shape
    if recurrent.shape != (heads, width, 4, width):
        raise ValueError(f"recurrent: shape {tuple(recurrent.shape)} is not (H, D, 4, D) = {(heads, width, 4, width)}")
    if bias is not None and bias.shape != (heads, 4, width):
        raise ValueError(f"bias: shape {tuple(bias.shape)} is not (H, 4, D) = {(heads, 4, width)}")
    if gates.dtype not in TYPES:
        raise TypeError(f"gates: {gates.dtype} is none of {', '.join(str(kind) for kind in TYPES)}")
    for name, x in (("recurrent", recurrent), ("bias", bias)):
        if x is not None and x.dtype != gates.dtype:
            raise TypeError(f"{name}: {x.dtype}, but gates are {gates.dtype}")
    if reset is not None and (reset.shape != (batch, steps) or reset.dtype != torch.bool):
        raise ValueError(f"reset: {reset.dtype} of shape {tuple(reset.shape)} is not bool (B, T) = {(batch, steps)}")
    if not 0 <= backward_heads <= heads:
        raise ValueError(f"backward_heads: {backward_heads} is not between 0 and the number of heads, {heads}")
    for name, x in (("recurrent", recurrent), ("bias", bias), ("reset", reset)):
        if x is not None and x.device != gates.device:
            raise ValueError(f"{name}: on {x.device}, but gates are on {gates.device}")


def _check_state(gates: Tensor, initial: State) -> None:
    batch, _, heads, _, width = gates.shape
    for name, x in zip(State._fields, initial, strict=True):
        if x.shape != (batch, heads, width):
            raise ValueError(f"initial.{name}: shape {tuple(x.shape)} is not (B, H, D) = {(batch, heads, width)}")
        if x.dtype != _state_type(gates):
            raise TypeError(f"initial.{name}: {x.dtype}, but the state of {gates.dtype} gates is {_state_type(gates)}")
        if x.device != gates.device:
            raise ValueError(f"initial.{name}: on {x.device}, but gates are on {gates.device}")
