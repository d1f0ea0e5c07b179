"""The definition of the mLSTM cell, written to be read: step by step, and as one S x S matrix. Both differentiable.

B batch, H heads, S steps, K width of queries and keys, V width of values. Gates come here as logarithms.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

HALF = (torch.float16, torch.bfloat16)
RANGE = 80.0
"""The 1 of max(|q n|, 1) is kept within exp(-RANGE) and exp(RANGE) in units of exp(m): float32 ends soon after."""


class State(NamedTuple):
    """What the cell remembers. The memory itself is `C * exp(m)` and `n * exp(m)`; m only keeps it in range."""

    C: Tensor
    """`(B, H, K, V)` sum of outer products of keys and values."""
    n: Tensor
    """`(B, H, K)` sum of keys."""
    m: Tensor
    """`(B, H)` logarithm of the scale."""


class Options(NamedTuple):
    """What every form of the cell must be told besides its inputs."""

    scale: float
    """Factor of the queries, positive."""
    normalize: bool
    """Divide by max(|q n|, 1)."""
    eps: float
    """Added to the denominator in units of exp(m); only if `normalize`."""


Form = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, State, Options], tuple[Tensor, State]]


def empty_state(q: Tensor, v: Tensor, sequences: int | None = None) -> State:
    """Zeros of the accumulation type for `(B, H, ..., K)` queries and `(B, H, ..., V)` values."""
    kind = accumulator(q.dtype)
    shape = (sequences or q.shape[0], q.shape[1])
    cell = q.new_zeros((*shape, q.shape[-1], v.shape[-1]), dtype=kind)
    return State(cell, q.new_zeros((*shape, q.shape[-1]), dtype=kind), q.new_zeros(shape, dtype=kind))


def accumulator(kind: torch.dtype) -> torch.dtype:
    """The type in which sums are kept: float32 for half precision."""
    return torch.float32 if kind in HALF else kind


def step(
    q: Tensor, k: Tensor, v: Tensor, log_input: Tensor, log_forget: Tensor, state: State, options: Options
) -> tuple[Tensor, State]:
    """One step: `(B, H, K)`, `(B, H, K)`, `(B, H, V)`, two `(B, H)` -> `(B, H, V)` and the next state."""
    carried = log_forget + state.m
    m = torch.maximum(carried, log_input)
    keep, write = (carried - m).exp(), (log_input - m).exp()
    C = keep[..., None, None] * state.C + (write[..., None] * k)[..., None] * v[..., None, :]
    n = keep[..., None] * state.n + write[..., None] * k
    q = options.scale * q
    numerator = (q[..., None] * C).sum(-2)
    return numerator / denominator((q * n).sum(-1), m, options)[..., None], State(C, n, m)


def denominator(r: Tensor, m: Tensor, options: Options) -> Tensor:
    """max(|r|, exp(-m)) + eps: the 1 of max(|q n|, 1) in units of exp(m)."""
    one = (-m).clamp(-RANGE, RANGE).exp()
    return torch.maximum(r.abs(), one) + options.eps if options.normalize else one


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
    """The recurrence itself. See `seqsci_kernels.mlstm.mlstm`; half precision is computed in float32."""
    return _each_sequence(recurrent, q, k, v, log_input, log_forget, initial, cu_seqlens, options)


def mlstm_parallel(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_input: Tensor,
    log_forget: Tensor,
    initial: State,
    cu_seqlens: Tensor | None,
    options: Options,
) -> tuple[Tensor, State]:
    """All steps at once through an S x S matrix. See `seqsci_kernels.mlstm.mlstm`."""
    return _each_sequence(parallel, q, k, v, log_input, log_forget, initial, cu_seqlens, options)


def recurrent(
    q: Tensor, k: Tensor, v: Tensor, log_input: Tensor, log_forget: Tensor, state: State, options: Options
) -> tuple[Tensor, State]:
    """`step` along axis 2."""
    out = []
    steps = zip(*(x.unbind(2) for x in (q, k, v, log_input, log_forget)), strict=True)
    for now_q, now_k, now_v, now_i, now_f in steps:
        h, state = step(now_q, now_k, now_v, now_i, now_f, state, options)
        out.append(h)
    return torch.stack(out, 2), state


def parallel(
    q: Tensor, k: Tensor, v: Tensor, log_input: Tensor, log_forget: Tensor, state: State, options: Options
) -> tuple[Tensor, State]:
    """The recurrence written out: step i reads the pair of step j <= i with weight exp(L_ij - m_i)."""
    length = q.shape[2]
    later = torch.ones(length, length, dtype=torch.bool, device=q.device).tril()
    # Sums of log_forget over j < t <= i, each from its own terms: a difference of two running sums would cancel.
    spans = log_forget[..., None].expand(*log_forget.shape, length).masked_fill(~later.tril(-1), 0).cumsum(-2)
    weight = (spans + log_input[..., None, :]).masked_fill(~later, -torch.inf)
    start = log_forget.cumsum(-1) + state.m[..., None]
    m = torch.maximum(weight.amax(-1), start)
    weight, start = (weight - m[..., None]).exp(), (start - m).exp()[..., None]
    q = options.scale * q
    scores = q @ k.transpose(-1, -2) * weight
    numerator = scores @ v + start * (q @ state.C)
    r = scores.sum(-1) + (start * q * state.n[..., None, :]).sum(-1)
    written = weight[..., -1, :, None] * k
    C = start[..., -1, :, None] * state.C + written.transpose(-1, -2) @ v
    n = start[..., -1, :] * state.n + written.sum(-2)
    return numerator / denominator(r, m, options)[..., None], State(C, n, m[..., -1])


def _each_sequence(
    form: Form,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_input: Tensor,
    log_forget: Tensor,
    initial: State,
    cu_seqlens: Tensor | None,
    options: Options,
) -> tuple[Tensor, State]:
    kind = q.dtype
    wide = accumulator(kind)
    q, k, v = q.to(wide), k.to(wide), v.to(wide)
    if cu_seqlens is None:
        h, final = form(q, k, v, log_input, log_forget, initial, options)
        return h.to(kind), final
    ends = cu_seqlens.tolist()
    found = []
    for row, (a, b) in enumerate(itertools.pairwise(ends)):
        state = State(*(x[row : row + 1] for x in initial))
        some = slice(a, b)
        gates = log_input[:, :, some], log_forget[:, :, some]
        found.append(form(q[:, :, some], k[:, :, some], v[:, :, some], *gates, state, options))
    final = State(*(torch.cat(parts) for parts in zip(*(state for _, state in found), strict=True)))
    return torch.cat([h for h, _ in found], 2).to(kind), final
