"""The mLSTM in chunks: matrix products within a chunk, and one state between two chunks.

The forward pass keeps nothing but its output and one number per step; the backward pass computes the states and
the scores again, a few chunks at a time. Written of torch operations with their own gradient, exact in every
argument. P counts (chunk, head) pairs, L the steps of a chunk.

Notation of the gates, within a chunk: b_t is the sum of log f up to and with t, s_t = log i_t - b_t, and
u_t = max(m before the chunk, s_0 .. s_t). Then m_t = b_t + u_t, step t reads the pair written at j <= t with
weight exp(s_j - u_t), and the state before the chunk with weight exp(m before - u_t).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from seqsci_kernels.mlstm.chunks import Group, groups
from seqsci_kernels.mlstm.operator import differentiable
from seqsci_kernels.mlstm.reference import RANGE, Options, State

PAIRS = 32
"""(chunk, head) pairs that are worked on at a time: their matrices should fit the second-level cache."""
NOTHING = -1e6
"""log i beyond the end of a sequence: below every real one, and a whole number in float32."""


def chunk_size(steps: int, width: int) -> int:
    """L: about the head width, where products within and between chunks cost the same; never much over S."""
    size = 128 if width > 96 else 64
    return min(size, max(16, -(-steps // 16) * 16))


class Gates(NamedTuple):
    """The gates of a group in float64: their sums cancel, and they are few."""

    s: Tensor
    """`(P, L)` log i - b."""
    u: Tensor
    """`(P, L)` m - b."""
    b: Tensor
    """`(P, L)` sum of log f within the chunk."""
    winner: Tensor
    """`(P, L)` the step of the chunk whose s is u, or -1 for the state before the chunk."""
    before: Tensor
    """`(P,)` m before the chunk."""

    def at(self, pairs: slice) -> Gates:
        """The gates of some chunks."""
        return Gates(*(x[pairs] for x in self))


def gates_of(group: Group, log_input: Tensor, log_forget: Tensor, m: Tensor) -> tuple[Gates, Tensor]:
    """The gates of a group, and m `(sequences * H,)` after it from m before it."""
    waves = range(len(group.counts))
    log_i = group.take(log_input.unsqueeze(-1), waves, torch.float64, NOTHING).squeeze(-1)
    b = group.take(log_forget.unsqueeze(-1), waves, torch.float64).squeeze(-1).cumsum(-1)
    s = log_i - b
    highest, winner = s.cummax(-1)
    before = s.new_empty(len(s))
    m = m.double().clone()
    ends = highest[:, -1]
    rises = b[:, -1]
    first = 0
    for count in group.counts:
        some = slice(first, first + count * group.heads)
        now = m[: count * group.heads]
        before[some] = now
        torch.maximum(now, ends[some], out=now)
        now += rises[some]
        first = some.stop
    carried = before[:, None] >= highest
    u = torch.maximum(highest, before[:, None])
    return Gates(s, u, b, winner.masked_fill(carried, -1), before), m


class Weights(NamedTuple):
    """Factors of some chunks, between 0 and 1."""

    reads: Tensor
    """`(P, L, L)` of the pair written at j for the reader t."""
    carries: Tensor
    """`(P, L, 1)` of the state before the chunk for the reader t; the last is its factor in the state after."""
    writes: Tensor
    """`(P, L, 1)` of the pair written at j in the state after the chunk."""


def weights_of(gates: Gates, kind: torch.dtype) -> Weights:
    """Exponentials of differences, each rounded once."""
    carries, writes = between(gates, kind)
    if kind == torch.float64:
        reads = gates.s[:, None, :] - gates.u[:, :, None]
    else:
        # Whole and broken parts apart: differences of whole numbers are exact, however large both are.
        whole_s, whole_u = gates.s.round(), gates.u.round()
        reads = whole_s.to(kind)[:, None, :] - whole_u.to(kind)[:, :, None]
        reads += (gates.s - whole_s).to(kind)[:, None, :]
        reads -= (gates.u - whole_u).to(kind)[:, :, None]
    return Weights(reads.exp_().tril_(), carries, writes)


def between(gates: Gates, kind: torch.dtype) -> tuple[Tensor, Tensor]:
    """`carries` and `writes` of the weights."""
    carries = (gates.before[:, None] - gates.u).exp()
    writes = (gates.s - gates.u[:, -1:]).exp()
    return carries.to(kind).unsqueeze(-1), writes.to(kind).unsqueeze(-1)


class Memory:
    """C and n of several chunks in one block of memory, so that one operation moves both."""

    def __init__(self, like: Tensor, pairs: int, width: int, value: int) -> None:
        self.block = like.new_empty((pairs, width * value + width))
        self.C = self.block[:, : width * value].view(pairs, width, value)
        """`(pairs, K, V)`."""
        self.n = self.block[:, width * value :]
        """`(pairs, K)`."""

    def copy(self) -> Memory:
        """The same in memory of its own."""
        other = Memory(self.block, *self.C.shape)
        other.block.copy_(self.block)
        return other


def states_of(group: Group, waves: range, k: Tensor, v: Tensor, carries: Tensor, writes: Tensor, now: Memory) -> Memory:
    """The states before each chunk of some waves; `now`, before the first of them, becomes that after the last."""
    written = k * writes
    added = Memory(k, len(k), k.shape[-1], v.shape[-1])
    torch.bmm(written.transpose(1, 2), v, out=added.C)
    torch.sum(written, 1, out=added.n)
    keeps = carries[:, -1]
    states = Memory(k, len(k), k.shape[-1], v.shape[-1])
    first = 0
    for wave in waves:
        pairs = group.counts[wave] * group.heads
        some = slice(first, first + pairs)
        states.block[some] = now.block[:pairs]
        now.block[:pairs].mul_(keeps[some]).add_(added.block[some])
        first += pairs
    return states


def _start(group: Group, C: Tensor, n: Tensor, kind: torch.dtype) -> Memory:
    C, n = C[group.sequences].to(kind).flatten(0, 1), n[group.sequences].to(kind).flatten(0, 1)
    now = Memory(C, *C.shape)
    now.C.copy_(C)
    now.n.copy_(n)
    return now


def _put_rows(targets: Iterable[Tensor], group: Group, values: Iterable[Tensor]) -> None:
    """Writes `(sequences * H, ...)` into the group's rows of `(N, H, ...)`."""
    for target, value in zip(targets, values, strict=True):
        target[group.sequences] = value.to(target.dtype).view(-1, *target.shape[1:])


def denominators(r: Tensor, gates: Gates, scale: float, normalize: bool, eps: float) -> tuple[Tensor, Tensor]:
    """`(P, L, 1)` what the outputs are divided by, and d / d r of it.

    Queries come without their scale; it is here instead: scale x / max(scale |r|, 1) = x / max(|r|, 1 / scale).
    """
    one = ((-gates.b - gates.u).clamp(-RANGE, RANGE) - math.log(scale)).exp().to(r.dtype).unsqueeze(-1)
    if not normalize:
        return one, torch.zeros_like(one)
    size = r.abs()
    return torch.maximum(size, one) + eps / scale, r.sign() * (size >= one)


def _forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_input: Tensor,
    log_forget: Tensor,
    initial: State,
    cu_seqlens: Tensor | None,
    options: Options,
) -> tuple[Tensor, State, Tensor]:
    C, n, m = initial
    kind = C.dtype
    h, r = torch.empty_like(v), q.new_empty((*q.shape[:3], 1), dtype=kind)
    C_end, n_end, m_end = torch.empty_like(C), torch.empty_like(n), torch.empty_like(m)
    for group in groups(q, cu_seqlens, chunk_size(q.shape[2], q.shape[-1]), PAIRS):
        gates, after = gates_of(group, log_input, log_forget, m[group.sequences].flatten())
        now = _start(group, C, n, kind)
        for waves in group.stretches():
            part = gates.at(group.batches(waves))
            weights = weights_of(part, kind)
            q_, k_, v_ = (group.take(x, waves, kind) for x in (q, k, v))
            states = states_of(group, waves, k_, v_, weights.carries, weights.writes, now)
            out, sums = _outputs(q_, k_, v_, weights, states)
            out /= denominators(sums, part, *options)[0]
            group.put(h, waves, out)
            group.put(r, waves, sums)
        _put_rows((C_end, n_end, m_end), group, (now.C, now.n, after))
    return h, State(C_end, n_end, m_end), r.squeeze(-1)


def _outputs(q: Tensor, k: Tensor, v: Tensor, weights: Weights, states: Memory) -> tuple[Tensor, Tensor]:
    """`(P, L, V)` numerators and `(P, L, 1)` sums r."""
    scores = torch.bmm(q, k.transpose(1, 2)).mul_(weights.reads)
    carried = q * weights.carries
    sums = torch.bmm(carried, states.n.unsqueeze(-1)).add_(scores.sum(-1, keepdim=True))
    return torch.bmm(carried, states.C).baddbmm_(scores, v), sums


def _backward(
    dh: Tensor,
    d_final: tuple[Tensor | None, ...],
    h: Tensor,
    r: Tensor,
    final: State,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_input: Tensor,
    log_forget: Tensor,
    initial: State,
    cu_seqlens: Tensor | None,
    options: Options,
) -> list[Tensor]:
    (C, n, m), (scale, normalize, eps) = initial, options
    kind = C.dtype
    found = [torch.empty_like(x) for x in (q, k, v, log_input, log_forget, C, n, m)]
    ends = [torch.zeros_like(x) if y is None else y for x, y in zip(final, d_final, strict=True)]
    # m is only a unit: of C exp(m) all is known, and what is left of its gradient is this.
    unit = ends[2] - (ends[0] * final.C).sum((-1, -2)) - (ends[1] * final.n).sum(-1)
    units = eps != 0 or any(y is not None for y in d_final)
    for group in groups(q, cu_seqlens, chunk_size(q.shape[2], q.shape[-1]), PAIRS):
        gates, _ = gates_of(group, log_input, log_forget, m[group.sequences].flatten())
        starts = _starts(group, gates, k, v, _start(group, C, n, kind))
        later = _start(group, ends[0], ends[1], kind)
        slopes = Slopes(*(torch.zeros_like(gates.s) for _ in Slopes._fields))
        for waves, start in zip(reversed(group.stretches()), reversed(starts), strict=True):
            pairs = group.batches(waves)
            part = gates.at(pairs)
            weights = weights_of(part, kind)
            q_, k_, v_, h_, dh_ = (group.take(x, waves, kind) for x in (q, k, v, h, dh))
            divisor, slope = denominators(group.take(r.unsqueeze(-1), waves, kind, 1.0), part, scale, normalize, eps)
            dh_ /= divisor
            dr = -(dh_ * h_).sum(-1, keepdim=True)
            slopes.unit[pairs] = eps / scale * dr.squeeze(-1)
            states = states_of(group, waves, k_, v_, weights.carries, weights.writes, start)
            some = Slopes(*(x[pairs] for x in slopes))
            grads = _stretch(group, waves, q_, k_, v_, weights, states, later, dh_, dr * slope, some)
            for target, value in zip(found, grads, strict=False):
                group.put(target, waves, value)
        dm_start = (later.block * _start(group, C, n, kind).block).sum(-1).double()
        if units:
            dm_start += _through_maxima(group, gates, unit[group.sequences].flatten(), slopes)
        _finish(group, slopes, later, dm_start, found)
    return found


class Slopes(NamedTuple):
    """Gradients of a group's gates, `(P, L)` in float64."""

    log_input: Tensor
    log_forget: Tensor
    unit: Tensor
    """Of m, where the result is not free of it."""


def _finish(group: Group, slopes: Slopes, state: Memory, dm: Tensor, found: list[Tensor]) -> None:
    waves = range(len(group.counts))
    group.put(found[3].unsqueeze(-1), waves, slopes.log_input)
    group.put(found[4].unsqueeze(-1), waves, slopes.log_forget)
    _put_rows(found[5:], group, (state.C, state.n, dm))


def _starts(group: Group, gates: Gates, k: Tensor, v: Tensor, now: Memory) -> list[Memory]:
    """The states before each stretch."""
    starts = []
    for waves in group.stretches():
        starts.append(now.copy())
        if waves.stop < len(group.counts):
            part = gates.at(group.batches(waves))
            k_, v_ = (group.take(x, waves, now.block.dtype) for x in (k, v))
            states_of(group, waves, k_, v_, *between(part, now.block.dtype), now)
    return starts


def _stretch(
    group: Group,
    waves: range,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    weights: Weights,
    states: Memory,
    later: Memory,
    dh: Tensor,
    dr: Tensor,
    slopes: Slopes,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k, v of some waves from those of the numerators (P, L, V) and sums (P, L, 1).

    `later`, the gradient of the state after the last wave, becomes that of the state before the first.
    """
    carried, written = q * weights.carries, k * weights.writes
    afters = _gradients_of_states(group, waves, carried, dh, dr, weights.carries[:, -1], later)
    scores = torch.bmm(q, k.transpose(1, 2))
    dscores = torch.bmm(dh, v.transpose(1, 2)).add_(dr).mul_(weights.reads)
    _gates_within(scores * dscores, slopes)
    dv = torch.bmm(written, afters.C).baddbmm_(scores.mul_(weights.reads).transpose(1, 2), dh)
    dq = torch.bmm(dh, states.C.transpose(1, 2)).addcmul_(dr, states.n.unsqueeze(1)).mul_(weights.carries)
    dk = torch.bmm(v, afters.C.transpose(1, 2)).add_(afters.n.unsqueeze(1)).mul_(weights.writes)
    crossing = (afters.block * states.block).sum(-1, keepdim=True) * weights.carries[:, -1]
    _gates_between((q * dq).sum(-1), (k * dk).sum(-1), crossing, slopes)
    dq.baddbmm_(dscores, k)
    dk.baddbmm_(dscores.transpose(1, 2), q)
    return dq, dk, dv


def _gradients_of_states(
    group: Group, waves: range, carried: Tensor, dh: Tensor, dr: Tensor, keeps: Tensor, later: Memory
) -> Memory:
    """Gradients of the states after each chunk; `later` is moved from the last wave to before the first."""
    added = Memory(carried, len(carried), carried.shape[-1], dh.shape[-1])
    torch.bmm(carried.transpose(1, 2), dh, out=added.C)
    torch.sum(carried * dr, 1, out=added.n)
    afters = Memory(carried, len(carried), carried.shape[-1], dh.shape[-1])
    end = len(carried)
    for wave in reversed(waves):
        pairs = group.counts[wave] * group.heads
        some = slice(end - pairs, end)
        afters.block[some] = later.block[:pairs]
        later.block[:pairs].mul_(keeps[some]).add_(added.block[some])
        end -= pairs
    return afters


def _gates_within(dreads: Tensor, slopes: Slopes) -> None:
    """Gates from the gradients (P, t, j) of the exponents s_j - u_t: log f_x is in those with j < x <= t."""
    later = torch.ones(dreads.shape[1:], dtype=dreads.dtype, device=dreads.device).triu()
    readers = torch.bmm(later.expand(len(dreads), -1, -1), dreads)
    slopes.log_input.copy_(readers[:, 0])
    slopes.log_forget.copy_(readers.tril_(-1).sum(-1))


def _gates_between(read: Tensor, written: Tensor, crossing: Tensor, slopes: Slopes) -> None:
    """Gates from what a step reads of the state before (P, L), writes into that after, and what passes by (P, 1)."""
    read, written = read.double(), written.double()
    slopes.log_input.add_(written)
    earlier = F.pad(written[:, :-1], (1, 0)).cumsum(-1)
    slopes.log_forget.add_(read.flip(-1).cumsum(-1).flip(-1)).add_(earlier).add_(crossing)


def _through_maxima(group: Group, gates: Gates, dm: Tensor, slopes: Slopes) -> Tensor:
    """Passes gradients of every m and of the last, `dm`, to the gates, and returns that of the first.

    m_t = max over j <= t of log i_j + log f_{j+1} + .. + log f_t, or of m before the chunk + log f_0 + .. .
    """
    dm = dm.double().clone()
    first = len(gates.s)
    for count in reversed(group.counts):
        now = dm[: count * group.heads]
        some = slice(first - len(now), first)
        first = some.start
        d = slopes.unit[some].clone()
        d[:, -1] += now
        winner = gates.winner[some]
        inside = winner >= 0
        written = torch.zeros_like(d).scatter_add_(-1, winner.clamp(min=0), d * inside)
        slopes.log_input[some] += written
        slopes.log_forget[some] += (d - written).flip(-1).cumsum(-1).flip(-1)
        now.copy_((d * ~inside).sum(-1))
    return dm


mlstm = differentiable("chunkwise", _forward, _backward)
