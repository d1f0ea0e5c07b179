"""How sequences are cut into chunks for the CPU: a few sequences at a time, a few chunks at a time.

A group is some sequences, longest first. Its wave w is chunk w of each of them that is so long; the waves of a
group stand one after the other, so that any stretch of waves is one batch of (chunk, head) pairs.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

SPAN = 8
"""Waves of one stretch of chunks up to 64 steps: the state is kept once in so many chunks."""


def span(size: int) -> int:
    """Waves of one stretch. Of large chunks fewer: what a stretch works on should stay in the second-level cache."""
    return SPAN if size <= 64 else max(1, SPAN // 4)


class Group:
    """Rows `first` to `last` of a `(B, H, S, ...)` batch."""

    def __init__(self, first: int, last: int, heads: int, steps: int, size: int) -> None:
        self.sequences: slice | Tensor = slice(first, last)
        self.heads, self.size = heads, size
        self._rows, self._steps = last - first, steps
        self.counts = [self._rows] * -(-steps // size)
        """Sequences of each wave."""

    def stretches(self) -> list[range]:
        """The waves, `span` at a time."""
        many = span(self.size)
        return [range(a, min(a + many, len(self.counts))) for a in range(0, len(self.counts), many)]

    def batches(self, waves: range) -> slice:
        """Where the (chunk, head) pairs of these waves stand among those of the whole group."""
        first = sum(self.counts[: waves.start]) * self.heads
        return slice(first, first + sum(self.counts[waves.start : waves.stop]) * self.heads)

    def take(self, x: Tensor, waves: range, kind: torch.dtype, fill: float = 0.0) -> Tensor:
        """`(pairs, size, d)` of x `(B, H, S, d)`, with `fill` beyond the end of a sequence."""
        first, last = waves.start * self.size, min(waves.stop * self.size, self._steps)
        out = x.new_empty((len(waves), self._rows, self.heads, self.size, x.shape[-1]), dtype=kind)
        whole = (last - first) // self.size
        for target, source in self._pieces(out, x[self.sequences, :, first:last], whole):
            target.copy_(source)
        if whole < len(waves):
            out[-1, :, :, last - first - whole * self.size :] = fill
        return out.view(-1, self.size, x.shape[-1])

    def put(self, x: Tensor, waves: range, value: Tensor) -> None:
        """The reverse of `take`: writes into x `(B, H, S, d)`."""
        first, last = waves.start * self.size, min(waves.stop * self.size, self._steps)
        value = value.view(len(waves), self._rows, self.heads, self.size, -1)
        whole = (last - first) // self.size
        for source, target in self._pieces(value, x[self.sequences, :, first:last], whole):
            target.copy_(source)

    def _pieces(self, chunks: Tensor, part: Tensor, whole: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of views of the chunks and of the sequence that hold the same: the whole chunks, and the rest."""
        if whole:
            cut = part[:, :, : whole * self.size].view(*part.shape[:2], whole, self.size, part.shape[-1])
            yield chunks[:whole], cut.permute(2, 0, 1, 3, 4)
        rest = part.shape[2] - whole * self.size
        if rest:
            yield chunks[whole, :, :, :rest], part[:, :, whole * self.size :]


class PackedGroup(Group):
    """Some of the sequences that stand one after the other on the axis S of a `(1, H, S, ...)` batch."""

    def __init__(self, sequences: list[int], ends: list[int], heads: int, size: int, device: torch.device) -> None:
        self.sequences = torch.tensor(sequences, device=device)
        self.heads, self.size = heads, size
        lengths = [ends[s + 1] - ends[s] for s in sequences]
        waves = -(-lengths[0] // size)
        self.counts = [sum(length > w * size for length in lengths) for w in range(waves)]
        pairs = [(s, w) for w, count in enumerate(self.counts) for s in sequences[:count]]
        starts = torch.tensor([ends[s] + w * size for s, w in pairs], device=device)
        stops = torch.tensor([ends[s + 1] for s, _ in pairs], device=device)
        steps = starts[:, None] + torch.arange(size, device=device)
        self._real = steps < stops[:, None]
        self._steps_of = torch.minimum(steps, stops[:, None] - 1)

    def _chunks(self, waves: range) -> slice:
        pairs = self.batches(waves)
        return slice(pairs.start // self.heads, pairs.stop // self.heads)

    def take(self, x: Tensor, waves: range, kind: torch.dtype, fill: float = 0.0) -> Tensor:
        """As `Group.take`."""
        chunks = self._chunks(waves)
        found = x[0].transpose(0, 1)[self._steps_of[chunks]].transpose(1, 2).to(kind)
        found = found.masked_fill(~self._real[chunks, None, :, None], fill)
        return found.reshape(-1, self.size, x.shape[-1])

    def put(self, x: Tensor, waves: range, value: Tensor) -> None:
        """As `Group.put`."""
        chunks = self._chunks(waves)
        real = self._real[chunks]
        value = value.view(-1, self.heads, self.size, x.shape[-1]).transpose(1, 2)
        x[0].transpose(0, 1)[self._steps_of[chunks][real]] = value[real].to(x.dtype)


def groups(q: Tensor, cu_seqlens: Tensor | None, size: int, pairs: int) -> list[Group]:
    """Groups with about `pairs` (chunk, head) pairs in a stretch, of large chunks a quarter as many."""
    batch, heads, steps, _ = q.shape
    pairs = pairs * span(size) // SPAN
    if cu_seqlens is None:
        at_once = _sequences_at_once(steps, heads, size, pairs)
        return [Group(a, min(a + at_once, batch), heads, steps, size) for a in range(0, batch, at_once)]
    ends = cu_seqlens.tolist()
    order = sorted(range(len(ends) - 1), key=lambda s: ends[s] - ends[s + 1])
    found: list[Group] = []
    while order:
        longest = ends[order[0] + 1] - ends[order[0]]
        at_once = _sequences_at_once(longest, heads, size, pairs)
        found.append(PackedGroup(order[:at_once], ends, heads, size, q.device))
        order = order[at_once:]
    return found


def _sequences_at_once(steps: int, heads: int, size: int, pairs: int) -> int:
    return max(1, pairs // (heads * min(span(size), -(-steps // size))))
