# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"
"""The mLSTM in chunks on NVIDIA GPUs; the notation of gates is that of `cpu.py`.

The kernels stand in `triton_kernels.py`. Lengths, batch and layout are arguments at run time: a kernel is
compiled once for each type and head width. Sums are float32, gates float64.

Tensors are `(B, H, S, d)`, in memory so or as `(B, S, H, d)`; d is a multiple of 16. A table names the sequences,
(batch row, first step, length, first chunk), another the chunks, (sequence, first step within it).
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
import triton.language as tl
from torch import Tensor

from seqsci_kernels.gpu import on_device_of
from seqsci_kernels.mlstm.reference import RANGE, Options, State
from seqsci_kernels.mlstm.triton_kernels import (
    PLANES,
    gates_kernel,
    keys_backward_kernel,
    maxima_kernel,
    outputs_kernel,
    rows_kernel,
    scores_backward_kernel,
    states_backward_kernel,
    states_kernel,
    values_backward_kernel,
)

CHUNK = {torch.bfloat16: 64, torch.float16: 32, torch.float32: 32}
"""Steps of a chunk. Exact products of float32 need the registers of three."""


def mlstm(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_input: Tensor,
    log_forget: Tensor,
    initial: State,
    cu_seqlens: Tensor | None,
    options: Options,
) -> tuple[Tensor, State]:
    """See `seqsci_kernels.mlstm.mlstm`. Widths are filled up to multiples of 16 with zeros."""
    K, V = q.shape[-1], v.shape[-1]
    more_k, more_v = -K % 16, -V % 16
    C, n, m = initial
    if more_k or more_v:
        q, k, v = F.pad(q, (0, more_k)), F.pad(k, (0, more_k)), F.pad(v, (0, more_v))
        C, n = F.pad(C, (0, more_v, 0, more_k)), F.pad(n, (0, more_k))
    h, C, n, m, _, _ = _forward(q, k, v, log_input, log_forget, C, n, m, cu_seqlens, *options)
    return h[..., :V], State(C[..., :K, :V], n[..., :K], m)


class Layout(NamedTuple):
    """Where the steps of a `(B, H, S, d)` tensor are, in units of d."""

    head: int
    step: int

    def of(self, x: Tensor) -> Tensor:
        """X in this layout, copied only if it is not."""
        if self.step == 1:
            return x.contiguous()
        return x.transpose(1, 2).contiguous().transpose(1, 2)

    def empty(self, x: Tensor) -> Tensor:
        """Fresh memory for a tensor like x, in this layout."""
        if self.step == 1:
            return x.new_empty(x.shape)
        return x.new_empty(x.transpose(1, 2).shape).transpose(1, 2)


def _layout(q: Tensor) -> Layout:
    if q.transpose(1, 2).is_contiguous() and not q.is_contiguous():
        return Layout(1, q.shape[1])
    return Layout(q.shape[2], 1)


class Tables(NamedTuple):
    """Which steps belong together."""

    sequences: Tensor
    """`(N, 4)` int32: batch row, first step, length, first chunk."""
    chunks: Tensor
    """`(R, 2)` int32: sequence, first step within it."""


@functools.lru_cache(maxsize=64)
def _tables_of_rows(batch: int, steps: int, size: int, device: torch.device) -> Tables:
    ends = torch.arange(batch, dtype=torch.int32)
    count = -(-steps // size)
    sequences = torch.stack([ends, ends * 0, ends * 0 + steps, ends * count], -1)
    firsts = torch.arange(count, dtype=torch.int32) * size
    chunks = torch.stack([ends.repeat_interleave(count), firsts.repeat(batch)], -1)
    return Tables(sequences.to(device), chunks.to(device))


def _tables(q: Tensor, cu_seqlens: Tensor | None) -> Tables:
    if cu_seqlens is None:
        return _tables_of_rows(q.shape[0], q.shape[2], CHUNK[q.dtype], q.device)
    size = CHUNK[q.dtype]
    sequences: list[tuple[int, int, int, int]] = []
    chunks: list[tuple[int, int]] = []
    for number, (a, b) in enumerate(itertools.pairwise(cu_seqlens.tolist())):
        sequences.append((0, a, b - a, len(chunks)))
        chunks += [(number, first) for first in range(0, b - a, size)]
    as_table = functools.partial(torch.tensor, dtype=torch.int32, device=q.device)
    return Tables(as_table(sequences), as_table(chunks))


def _constants(q: Tensor, v: Tensor) -> dict[str, Any]:
    """What the kernels are compiled for. float16 is computed in tf32: states may grow beyond its range."""
    K, V = q.shape[-1], v.shape[-1]
    half = q.dtype == torch.bfloat16
    return {
        "K": K,
        "V": V,
        "L": CHUNK[q.dtype],
        "BK": math.gcd(K, 64 if half else 32),
        "BV": math.gcd(V, 64 if half else 32),
        "OPERAND": tl.bfloat16 if half else tl.float32,
        "PRECISION": "tf32x3" if q.dtype == torch.float32 else "tf32",
    }


class Call(NamedTuple):
    """What the kernels of one call share."""

    layout: Layout
    tables: Tables
    constants: dict[str, Any]
    sizes: tuple[int, int, int, int, int]
    """H, S, elements of a plane of gates, and the layout's two strides."""
    heads: int

    def tiles(self) -> tuple[int]:
        """The grid of a kernel that runs along sequences."""
        c = self.constants
        return (len(self.tables.sequences) * self.heads * (c["K"] // c["BK"]) * (c["V"] // c["BV"]),)

    def columns(self) -> tuple[int, int]:
        """The grid of a kernel for some columns of the values of a chunk."""
        return len(self.tables.chunks) * (self.constants["V"] // self.constants["BV"]), self.heads


def _call(q: Tensor, v: Tensor, cu_seqlens: Tensor | None) -> Call:
    batch, heads, steps, _ = q.shape
    layout = _layout(q)
    sizes = (heads, steps, batch * heads * steps, *layout)
    return Call(layout, _tables(q, cu_seqlens), _constants(q, v), sizes, heads)


def _states(call: Call, k: Tensor, v: Tensor, gates: Tensor, C: Tensor, n: Tensor) -> tuple[Tensor, ...]:
    """States before each chunk, `(R, H, K, V)` in the type of products and `(R, H, K)`, and after the last."""
    rows = len(call.tables.chunks) * call.heads
    K, V = C.shape[-2:]
    kind = torch.bfloat16 if k.dtype == torch.bfloat16 else torch.float32
    C_states, n_states = k.new_empty((rows, K, V), dtype=kind), k.new_empty((rows, K), dtype=torch.float32)
    C_end, n_end = torch.empty_like(C), torch.empty_like(n)
    states_kernel[call.tiles()](
        k, v, gates, C, n, C_states, n_states, C_end, n_end, call.tables.sequences, *call.sizes, **call.constants
    )
    return C_states, n_states, C_end, n_end


@torch.library.custom_op("seqsci::mlstm_triton", mutates_args=())
def _forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_input: Tensor,
    log_forget: Tensor,
    C: Tensor,
    n: Tensor,
    m: Tensor,
    cu_seqlens: Tensor | None,
    scale: float,
    normalize: bool,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """h, the state after the last step, r `(B, H, S)` as in `cpu.py`, and the gates."""
    with on_device_of(q):
        return _launch_forward(q, k, v, log_input, log_forget, State(C, n, m), cu_seqlens, scale, normalize, eps)


def _launch_forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_input: Tensor,
    log_forget: Tensor,
    state: State,
    cu_seqlens: Tensor | None,
    scale: float,
    normalize: bool,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    call = _call(q, v, cu_seqlens)
    q, k, v = (call.layout.of(x) for x in (q, k, v))
    C, n, m = (x.contiguous() for x in state)
    gates = q.new_empty((PLANES, *q.shape[:3]), dtype=torch.float32)
    m_end, r, h = torch.empty_like(m), torch.empty_like(gates[0]), call.layout.empty(v)
    sequences, chunks = call.tables
    inputs = log_input.contiguous(), log_forget.contiguous(), m
    gates_kernel[(len(sequences) * call.heads,)](
        *inputs, gates, m_end, sequences, *call.sizes[:3], L=call.constants["L"]
    )
    C_states, n_states, C_end, n_end = _states(call, k, v, gates, C, n)
    outputs_kernel[call.columns()](
        *(q, k, v, gates, C_states, n_states, h, r, sequences, chunks, math.log(scale), eps / scale),
        *call.sizes,
        RANGE=RANGE,
        NORMALIZE=normalize,
        **call.constants,
    )
    return h, C_end, n_end, m_end, r, gates


@_forward.register_fake
def _(q, k, v, log_input, log_forget, C, n, m, cu_seqlens, scale, normalize, eps):
    gates = q.new_empty((PLANES, *q.shape[:3]), dtype=torch.float32)
    ends = (x.new_empty(x.shape) for x in (C, n, m))
    return (_layout(q).empty(v), *ends, torch.empty_like(gates[0]), gates)


@torch.library.custom_op("seqsci::mlstm_triton_backward", mutates_args=())
def _backward(
    dh: Tensor,
    dC: Tensor | None,
    dn: Tensor | None,
    dm: Tensor | None,
    h: Tensor,
    r: Tensor,
    gates: Tensor,
    C_end: Tensor,
    n_end: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    C: Tensor,
    n: Tensor,
    m: Tensor,
    cu_seqlens: Tensor | None,
    scale: float,
    normalize: bool,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k, v, log_input, log_forget, C, n and m."""
    inputs = (q, k, v), State(C, n, m), cu_seqlens, scale, normalize, eps
    with on_device_of(q):
        return _launch_backward(dh, (dC, dn, dm), h, r, gates, C_end, n_end, *inputs)


def _launch_backward(
    dh: Tensor,
    d_ends: tuple[Tensor | None, Tensor | None, Tensor | None],
    h: Tensor,
    r: Tensor,
    gates: Tensor,
    C_end: Tensor,
    n_end: Tensor,
    inputs: tuple[Tensor, Tensor, Tensor],
    state: State,
    cu_seqlens: Tensor | None,
    scale: float,
    normalize: bool,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    call = _call(inputs[0], inputs[2], cu_seqlens)
    q, k, v, h, dh = (call.layout.of(x) for x in (*inputs, h, dh))
    C, n = state.C.contiguous(), state.n.contiguous()
    sequences, chunks = call.tables
    ends = [torch.zeros_like(x) if y is None else y.contiguous() for x, y in zip(state, d_ends, strict=True)]
    inverse, dr, unit = (torch.empty_like(r) for _ in range(3))
    constants = call.constants
    rows_kernel[(len(chunks), call.heads)](
        *(h, dh, r, gates, inverse, dr, unit, sequences, chunks, math.log(scale), eps / scale),
        *call.sizes,
        RANGE=RANGE,
        NORMALIZE=normalize,
        **{name: constants[name] for name in ("V", "L", "BV")},
    )
    C_states, n_states, _, _ = _states(call, k, v, gates, C, n)
    dC_states, dn_states = torch.empty_like(C_states), torch.empty_like(n_states)
    dC_start, dn_start = torch.empty_like(C), torch.empty_like(n)
    states_backward_kernel[call.tiles()](
        *(q, dh, inverse, dr, gates, *ends[:2], dC_states, dn_states, dC_start, dn_start, sequences),
        *call.sizes,
        **constants,
        num_warps=8,
    )
    dq, dk, dv = (call.layout.empty(x) for x in (q, k, v))
    d_log_i, d_log_f = torch.empty_like(r), torch.empty_like(r)
    scores = q.new_empty((2, len(C_states), constants["L"], constants["L"]), dtype=C_states.dtype)
    grid = len(chunks), call.heads
    scores_backward_kernel[grid](
        *(q, k, v, dh, inverse, dr, gates, *scores, d_log_i, d_log_f, sequences, chunks), *call.sizes, **constants
    )
    keys_backward_kernel[grid](
        *(q, k, v, dh, inverse, dr, gates, C_states, n_states, dC_states, dn_states, scores[1]),
        *(dq, dk, d_log_i, d_log_f, sequences, chunks),
        *call.sizes,
        **constants,
        num_warps=4 if q.dtype == torch.float32 else 8,
    )
    values_backward_kernel[call.columns()](
        *(k, dh, inverse, gates, dC_states, scores[0], dv, sequences, chunks), *call.sizes, **constants
    )
    dm_start = (dC_start * C).sum((-1, -2)) + (dn_start * n).sum(-1)
    if eps != 0 or any(x is not None for x in d_ends):
        # m is only a unit: of C exp(m) all is known, and what is left of its gradient is this.
        rest = ends[2] - (ends[0] * C_end).sum((-1, -2)) - (ends[1] * n_end).sum(-1)
        maxima_kernel[(len(sequences) * call.heads,)](
            unit, gates, rest, d_log_i, d_log_f, dm_start, sequences, *call.sizes[:3], L=call.constants["L"]
        )
    return dq, dk, dv, d_log_i, d_log_f, dC_start, dn_start, dm_start


@_backward.register_fake
def _(dh, dC, dn, dm, h, r, gates, C_end, n_end, q, k, v, C, n, m, cu_seqlens, scale, normalize, eps):
    layout = _layout(q)
    wide = (x.new_empty(x.shape) for x in (r, r, C, n, m))
    return (*(layout.empty(x) for x in (q, k, v)), *wide)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    h, C_end, n_end, _, r, gates = output
    q, k, v, _, _, *rest = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(h, r, gates, C_end, n_end, q, k, v, *rest[:4])
    ctx.options = rest[4:]


def _gradient(ctx: Any, dh: Tensor | None, dC: Tensor | None, dn: Tensor | None, dm: Tensor | None, *_: Any) -> Any:
    saved = ctx.saved_tensors
    dh = torch.zeros_like(saved[0]) if dh is None else dh
    return (*_backward(dh, dC, dn, dm, *saved, *ctx.options), None, None, None, None)


_forward.register_autograd(_gradient, setup_context=_setup)
