"""The mLSTM cell (Beck et al., NeurIPS 2024, arXiv 2405.04517, section 2.3): a matrix memory with gates.

With f = sigmoid(forget gate), i = exp or sigmoid of the input gate, per head and step:

    C_t = f_t C_{t-1} + i_t k_t v_t^T,    n_t = f_t n_{t-1} + i_t k_t,    h_t = C_t^T q_t / max(|n_t . q_t|, 1)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from seqsci_kernels.gpu import why_not_triton
from seqsci_kernels.mlstm import chunkwise, cpu, reference
from seqsci_kernels.mlstm.reference import Options, State, empty_state

__all__ = ["BACKENDS", "State", "empty_state", "mlstm", "mlstm_step", "why_not"]

Activation = Literal["exp", "sigmoid"]
Direction = Literal["forward", "backward", "both"]
Form = Callable[..., tuple[Tensor, State]]
LIMIT = 1e4
"""Logarithms of gates are kept within this. exp(-LIMIT) is 0 in every type, and infinite gates are harmless."""


def _triton(q: Tensor, *args: Any) -> tuple[Tensor, State]:
    """Triton is imported by the first call that wants it."""
    reason = why_not_triton(q.device.type)
    if reason:
        raise ValueError(f"backend: 'triton' cannot be used: {reason}")
    if q.dtype == torch.float64:
        raise TypeError(f"q: {q.dtype}, but backend 'triton' computes float16, bfloat16 and float32")
    from seqsci_kernels.mlstm import triton

    return triton.mlstm(q, *args)


def _cpu(q: Tensor, *args: Any) -> tuple[Tensor, State]:
    reason = why_not("cpu", q.device.type)
    if reason:
        raise ValueError(f"backend: 'cpu' cannot be used: {reason}")
    return cpu.mlstm(q, *args)


BACKENDS: dict[str, Form] = {
    "chunkwise": chunkwise.mlstm,
    "cpu": _cpu,
    "parallel": reference.mlstm_parallel,
    "reference": reference.mlstm,
    "triton": _triton,
}
"""Name of a form -> its function. All but "cpu" and "triton" are made of torch operations and run on any device."""


def mlstm(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    input_gate: Tensor,
    forget_gate: Tensor,
    *,
    initial: State | None = None,
    cu_seqlens: Tensor | None = None,
    input_activation: Activation = "exp",
    normalize: bool = True,
    scale: float | None = None,
    eps: float = 0.0,
    direction: Direction = "forward",
    backend: str | None = None,
) -> tuple[Tensor, State]:
    """The cell along a sequence, with the exact gradient of everything, the normaliser included.

    Args:
        q: `(B, H, S, K)` queries, float16, bfloat16, float32 or float64; any strides, any S > 0.
        k: `(B, H, S, K)` keys.
        v: `(B, H, S, V)` values.
        input_gate: `(B, H, S)`, before its activation. -inf writes nothing.
        forget_gate: `(B, H, S)`, before its sigmoid. -inf forgets everything before this step.
        initial: the state before the first step, in the accumulation type; by default zeros. Differentiable.
        cu_seqlens: `(N + 1,)` integers rising from 0 to S: with B = 1, N sequences stand one after the other on
            the axis S and know nothing of each other. States then have N rows.
        input_activation: "exp", or "sigmoid" (Beck et al. 2025, arXiv 2503.14376).
        normalize: divide by max(|n . q|, 1). Without it h = C^T q, which only the sigmoid keeps in bounds.
        scale: factor of the queries; by default 1 / sqrt(K).
        eps: added to the denominator in units of exp(m), as published weights expect.
        direction: "backward" begins at the last step. "both" does the two in one call: then h is
            `(2, B, H, S, V)`, forward first, and so are the states, `(2, B, H, ...)` or `(2, N, H, ...)`.
        backend: "cpu" (chunkwise, compiled C++), "triton" (chunkwise, NVIDIA), "chunkwise" (of torch operations,
            any device), "parallel" (S x S memory), or "reference" (step by step). By default the first of these
            that fits. Second derivatives need "parallel" or "reference".

    Returns:
        h, `(B, H, S, V)` in the type of q, and the state after the last step, in float32 or float64. The
        memory is `C * exp(m)`, `n * exp(m)`, with m_t = max(log f_t + m_{t-1}, log i_t).

    Raises:
        ValueError: unknown or absent backend, shapes, devices or sequence ends that do not fit, a NaN in a gate
            (looked for on the CPU only).
        TypeError: types that differ.
    """
    name = backend or _default(q)
    if name not in BACKENDS:
        raise ValueError(f"backend: no '{name}'; known: {', '.join(sorted(BACKENDS))}")
    if direction not in ("forward", "backward", "both"):
        raise ValueError(f"direction: no '{direction}'; known: backward, both, forward")
    _check(q, k, v, input_gate, forget_gate, 4)
    rows = _sequences(q, cu_seqlens)
    sides = 2 if direction == "both" else 1
    _check_state(initial, q, v, (2, rows) if sides == 2 else (rows,))
    options = _options(q, scale, normalize, eps)
    gates = _log_gates(input_gate, forget_gate, input_activation, q.dtype)
    if direction == "forward":
        state = initial or empty_state(q, v, rows)
        return BACKENDS[name](q, k, v, *gates, state, cu_seqlens, options)
    return _directed(BACKENDS[name], (q, k, v, *gates), initial, cu_seqlens, options, sides)


def mlstm_step(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    input_gate: Tensor,
    forget_gate: Tensor,
    state: State | None = None,
    *,
    input_activation: Activation = "exp",
    normalize: bool = True,
    scale: float | None = None,
    eps: float = 0.0,
) -> tuple[Tensor, State]:
    """One step of `mlstm`, for streams: `(B, H, K)`, `(B, H, K)`, `(B, H, V)` and two gates `(B, H)`.

    Returns:
        h `(B, H, V)` in the type of q, and the next state. Differentiable, as often as you like.

    Raises:
        ValueError, TypeError: as `mlstm`.
    """
    _check(q, k, v, input_gate, forget_gate, 3)
    _check_state(state, q, v, (q.shape[0],))
    options = _options(q, scale, normalize, eps)
    gates = _log_gates(input_gate, forget_gate, input_activation, q.dtype)
    kind = gates[0].dtype
    h, state = reference.step(q.to(kind), k.to(kind), v.to(kind), *gates, state or empty_state(q, v), options)
    return h.to(q.dtype), state


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator, unused-ignore]
def why_not(name: str, device: str) -> str | None:
    """The reason why backend "cpu" or "triton" cannot serve tensors on this kind of device, or None."""
    if name == "cpu":
        return cpu.why_not() if device == "cpu" else f"the tensors are on {device}"
    return why_not_triton(device) if name == "triton" else None


def _default(q: Tensor) -> str:
    """Triton on an NVIDIA GPU, but not for float64; C++ on a CPU."""
    if q.is_cuda and torch.version.cuda is not None and q.dtype != torch.float64 and not why_not("triton", "cuda"):
        return "triton"
    return "chunkwise" if why_not("cpu", q.device.type) else "cpu"


def _options(q: Tensor, scale: float | None, normalize: bool, eps: float) -> Options:
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if not scale > 0:
        raise ValueError(f"scale: {scale} is not positive")
    if eps < 0:
        raise ValueError(f"eps: {eps} is negative")
    return Options(float(scale), normalize, float(eps) if normalize else 0.0)


def _log_gates(
    input_gate: Tensor, forget_gate: Tensor, activation: Activation, kind: torch.dtype
) -> tuple[Tensor, Tensor]:
    if activation not in ("exp", "sigmoid"):
        raise ValueError(f"input_activation: no '{activation}'; known: exp, sigmoid")
    wide = reference.accumulator(kind)
    log_input, log_forget = input_gate.to(wide), F.logsigmoid(forget_gate.to(wide))
    if activation == "sigmoid":
        log_input = F.logsigmoid(log_input)
    return log_input.clamp(-LIMIT, LIMIT), log_forget.clamp(min=-LIMIT)


def _directed(
    form: Form,
    inputs: tuple[Tensor, ...],
    initial: State | None,
    cu_seqlens: Tensor | None,
    options: Options,
    sides: int,
) -> tuple[Tensor, State]:
    """Backward alone or both directions as one forward call: on more rows, or, packed, on more sequences."""
    axis = 0 if cu_seqlens is None else 2
    turned = [x.flip(2) for x in inputs]
    if sides == 2:
        turned = [torch.cat(pair, axis) for pair in zip(inputs, turned, strict=True)]
    rows = len(inputs[0])
    ends = cu_seqlens
    if ends is not None:
        rows = len(ends) - 1
        back = ends[-1] - ends.flip(0)
        ends = torch.cat([ends, ends[-1] + back[1:]]) if sides == 2 else back
    if initial is None:
        state = empty_state(inputs[0], inputs[2], sides * rows)
    else:
        state = State(*(_turn_last(x, sides, cu_seqlens).reshape(sides * rows, *x.shape[sides:]) for x in initial))
    h, final = form(*turned, state, ends, options)
    parts = h.chunk(sides, axis)
    h = torch.stack([*parts[:-1], parts[-1].flip(2)])
    states = State(*(_turn_last(x.view(sides, rows, *x.shape[1:]), 2, cu_seqlens) for x in final))
    return (h, states) if sides == 2 else (h[0], State(*(x[0] for x in states)))


def _turn_last(x: Tensor, sides: int, cu_seqlens: Tensor | None) -> Tensor:
    """States `(sides, N, ...)` or, one-sided, `(N, ...)`: packed sequences turned round come last first."""
    if cu_seqlens is None:
        return x
    if sides == 1:
        return x.flip(0)
    return torch.cat([x[:-1], x[-1:].flip(1)])


def _sequences(q: Tensor, cu_seqlens: Tensor | None) -> int:
    if cu_seqlens is None:
        return q.shape[0]
    if cu_seqlens.dim() != 1 or len(cu_seqlens) < 2 or cu_seqlens.is_floating_point():
        raise ValueError(f"cu_seqlens: shape {tuple(cu_seqlens.shape)} of {cu_seqlens.dtype} is not (N + 1,) integers")
    if q.shape[0] != 1:
        raise ValueError(f"cu_seqlens: packed sequences need B = 1, not q {tuple(q.shape)}")
    if not torch.compiler.is_compiling():
        ends = cu_seqlens.tolist()
        if ends[0] != 0 or ends[-1] != q.shape[2] or any(a >= b for a, b in itertools.pairwise(ends)):
            raise ValueError(f"cu_seqlens: must rise from 0 to S = {q.shape[2]}, each sequence with a step or more")
    return len(cu_seqlens) - 1


def _check(q: Tensor, k: Tensor, v: Tensor, input_gate: Tensor, forget_gate: Tensor, axes: int) -> None:
    if q.dim() != axes or 0 in q.shape:
        raise ValueError(
            f"q: shape {tuple(q.shape)} is not {'(B, H, S, K)' if axes == 4 else '(B, H, K)'}, all positive"
        )
    front = tuple(q.shape[:-1])
    if k.shape != q.shape:
        raise ValueError(f"k: shape {tuple(k.shape)} is not that of q, {tuple(q.shape)}")
    if tuple(v.shape[:-1]) != front or not v.shape[-1]:
        raise ValueError(f"v: shape {tuple(v.shape)} does not fit q {tuple(q.shape)}")
    named = {"k": k, "v": v, "input_gate": input_gate, "forget_gate": forget_gate}
    for name, x in named.items():
        if x.device != q.device:
            raise ValueError(f"{name}: on {x.device}, but q on {q.device}")
        if name in ("k", "v"):
            if x.dtype != q.dtype:
                raise TypeError(f"{name}: {x.dtype}, but q is {q.dtype}")
            continue
        if tuple(x.shape) != front:
            raise ValueError(f"{name}: shape {tuple(x.shape)} is not {front}")
        if not x.is_floating_point():
            raise TypeError(f"{name}: {x.dtype} is not a floating type")
        if x.device.type == "cpu" and not torch.compiler.is_compiling() and bool(x.isnan().any()):
            raise ValueError(f"{name}: shape {tuple(x.shape)} holds NaN")
    if not q.is_floating_point():
        raise TypeError(f"q: {q.dtype} is not a floating type")


def _check_state(state: State | None, q: Tensor, v: Tensor, rows: tuple[int, ...]) -> None:
    if state is None:
        return
    heads, width, kind = q.shape[1], q.shape[-1], reference.accumulator(q.dtype)
    shapes = {"C": (*rows, heads, width, v.shape[-1]), "n": (*rows, heads, width), "m": (*rows, heads)}
    for (name, shape), x in zip(shapes.items(), state, strict=True):
        if tuple(x.shape) != shape:
            raise ValueError(f"initial.{name}: shape {tuple(x.shape)} is not {shape}")
        if x.dtype != kind:
            raise TypeError(f"initial.{name}: {x.dtype}, but states with q of {q.dtype} are {kind}")
        if x.device != q.device:
            raise ValueError(f"initial.{name}: on {x.device}, but q on {q.device}")
