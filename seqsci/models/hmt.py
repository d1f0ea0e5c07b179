"""HMT, the Hierarchical Memory Transformer (He et al., "HMT: Hierarchical Memory Transformer for Efficient Long Context
Language Processing", NAACL 2025, arXiv 2405.06067), around any encoder.

A sequence is read in segments of L steps H. Of each a memory M of one vector is kept, N of them at most, and each
segment is shown what it needs of them:

    S_n = enc([T | H_n[0, j) | T])[last]                       (eq. 1) what the segment is about; T is learnt
    P_n = softmax(S_n Wq (C Wk)^T / sqrt(d)) C                 (eq. 2) C: the memories; P_0 is learnt
    Y   = enc([P_n | H_{n-1}[L-k, L) | H_n | P_n])             (eq. 3, 4) `inject` "front"
    M_n = Y[last]                                              (eq. 5)

As published, P_n stands before a segment and is made of that segment's first j steps: a causal model so sees its
future. With `inject` "mid" the memory before, which holds the past alone, stands in front, and P_n follows the steps
that it is made of, as it is seen by those behind it alone:

    Y   = enc([M_{n-1} | H_{n-1}[L-k, L) | H_n[0, j) | P_n | H_n[j, L) | P_n])

With N = 1 the softmax of one score is 1 and P_n = M_{n-1}: the recurrent memory transformer (Bulatov et al., NeurIPS
2022, arXiv 2207.06881) with sensory steps, which is stage 1 of HMT's training. N = 0: independent segments.

From the published code (github.com/OswaldHe/HMT-pytorch): P_0, N memories instead of N - 1, and the last state of the
summary, for which the paper's index is one short. Ours: an encoder that changes the length writes the mean of its
states by their likeness to P_n; truncation that cuts; masked steps are left out; a record begins without memory.

B batch, T steps of a row, L of a segment, k sensory, j of the summary, N memories, D width, d width of the retrieval.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint as recomputed

from seqsci import registry
from seqsci.errors import SeqsciError
from seqsci.models.settings import HMTSettings
from seqsci.nn.embeddings import sinusoid
from seqsci.nn.packing import RealSteps
from seqsci.nn.segments import Segments
from seqsci.nn.state import detached, each


class Memory(NamedTuple):
    """What a segment leaves to the next."""

    cache: Tensor
    """(B, N', D) the last memories, the newest at the end; none with N < 2."""
    kept: Tensor
    """(B, N') which of them are of the same record."""
    last: Tensor
    """(B, 1, D) M_{n-1}, at first P_0."""
    sensory: Tensor
    """(B, k', D) the last steps, at first none."""
    felt: Tensor
    """(B, k') which of them are of the same record."""
    carried: Any
    """The encoder's own state where it is carried on, else ()."""


class State(NamedTuple):
    """What a stream hands to its next steps; it does not grow beyond N memories and one segment."""

    memory: Memory
    """Of the segments before."""
    waiting: Tensor
    """(B, t, D) the t < L steps of the segment that is not yet complete."""
    prompt: Tensor
    """(B, 1, D) what the segment reads of the memories."""
    inside: Any
    """The encoder's state in the middle of the segment, () where the encoder does not stream."""


class Retrieval(nn.Module):
    """Single-head attention to the memories, whose values are the memories themselves (eq. 2)."""

    def __init__(self, width: int, keys: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, keys, bias=False), nn.Linear(width, keys, bias=False)

    def forward(self, summary: Tensor, memory: Memory) -> Tensor:
        """(B, 1, D) -> (B, 1, D); a row that has no memory yet gets what stands in the last one's place."""
        if memory.cache.shape[1] == 0:
            return memory.last
        scores = self.query(summary) @ self.key(memory.cache).transpose(1, 2) / math.sqrt(self.key.out_features)
        some = memory.kept.any(1)[:, None, None]
        scores = scores.float().masked_fill(~memory.kept.unsqueeze(1) & some, -math.inf)
        found = scores.softmax(-1).to(memory.cache.dtype) @ memory.cache
        return torch.where(some, found, memory.last)


class HMT(nn.Module):
    """Memory around an encoder; an encoder again.

    Where positions are given, a record begins at each 0 and is read without memory of what stands before it, unless
    `across`; an encoder that takes no positions then gets a position code, counted from the segment's start. Around
    an encoder that sees its own future only whole segments can be said: `advance` holds back what is not complete,
    and `finish` gives the rest. `checkpoint` computes each segment again in the backward pass, for less memory.

    Args:
        encoder: of the zoo.
        segment: L.
        memory: N; 0 for independent segments, 1 for recurrence alone.
        sensory: k steps of the segment before that are read again.
        summary: j steps that S_n is made of; half a segment when not given.
        keys: d; D when not given.
        inject: "mid", "front", or by the encoder: "mid" around a causal one.
        carry_state: a recurrent encoder goes on from its state, instead of beginning each segment anew.
        across: memory goes on where another record begins.
        truncate: gradients end at each so many-th border of segments; 0 for nowhere.
        checkpoint: see above.

    Raises:
        SeqsciError: sizes that do not fit each other, or the encoder.
    """

    positional = True
    later = "topic", "retrieval."
    """What the second stage of training adds."""

    def __init__(
        self,
        encoder: Any,
        *,
        segment: int,
        memory: int,
        sensory: int = 0,
        summary: int | None = None,
        keys: int | None = None,
        inject: str = "auto",
        carry_state: bool = False,
        across: bool = False,
        truncate: int = 0,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        self.encoder, self.width = encoder, encoder.width
        self.segment, self.slots, self.sensory = segment, memory, sensory
        self.summary = max(1, round(segment / 2)) if summary is None else summary
        self.middle = memory > 0 and (inject == "mid" or (inject == "auto" and encoder.causal))
        self.carry_state, self.across, self.truncate, self.checkpoint = carry_state, across, truncate, checkpoint
        self.leaks = encoder.causal and memory > 1 and not self.middle
        self.causal = encoder.causal and not self.leaks
        self.streams = self.recurrent = self.causal and encoder.streams
        self.length_preserving, self.fixed_length = encoder.length_preserving, encoder.fixed_length
        _require(self)
        if memory:
            # As the tables of tokens, among which they stand.
            self.first = nn.Parameter(torch.randn(1, self.width) * math.sqrt(2 / (5 * self.width)))
        if memory > 1:
            self.topic = nn.Parameter(torch.randn(1, self.width) * math.sqrt(2 / (5 * self.width)))
            self.retrieval = Retrieval(self.width, keys or self.width)

    @property
    def reads(self) -> int:
        """Steps that the encoder reads at once: sensory ones, a segment and what stands around them."""
        return self.sensory + self.segment + (0 if not self.slots else 3 if self.middle else 2)

    def forward(self, x: Tensor, mask: Tensor, positions: Tensor | None = None) -> Tensor:
        """x (B, T, D), mask (B, T) True where a step is real, positions (B, T) in their records -> (B, T', D)."""
        return self.encode(x, mask, positions)[0]

    def encode(self, x: Tensor, mask: Tensor, positions: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """As forward, with the mask of the result, None where every step is real."""
        borders = None if positions is None or self.across else (positions == 0).expand(len(x), -1)
        pieces = Segments(mask, self.segment, borders, constant=self.fixed_length)
        memory, outs = self._empty(len(x)), []
        for n in range(pieces.count):
            if self.truncate and n and n % self.truncate == 0:
                memory = detached(memory)
            fresh = pieces.fresh(n)
            memory = memory if fresh is None else self._renewed(memory, fresh)
            arguments = (*pieces.take(x, n), memory, positions is not None)
            if self.checkpoint and torch.is_grad_enabled():
                y, real, memory = recomputed(self._read, *arguments, use_reentrant=False)
            else:
                y, real, memory = self._read(*arguments)
            outs.append((y, real))
        if self.length_preserving:
            return pieces.put([y for y, _ in outs]), None if pieces.plain else mask
        real = torch.cat([one for _, one in outs], 1)
        return torch.cat([y for y, _ in outs], 1), None if bool(real.all()) else real

    def initial_state(self, batch: int) -> State:
        """The state before the first step of B rows."""
        memory = self._empty(batch)
        inside = self.encoder.initial_state(batch) if self.streams else ()
        like = next(self.parameters())
        return State(memory, like.new_zeros(batch, 0, self.width), memory.last, inside)

    def advance(self, x: Tensor, state: State, positions: Tensor | None = None) -> tuple[Tensor, State]:
        """The next T steps of a stream, all real: (B, T, D) -> (B, T, D) and the state after them. Differentiable.

        Any T: in pieces it equals the whole. What stands behind a row's end, at positions 0, is of no account. Where
        the encoder is not causal, those states are given that are certain: (B, T', D) of the segments that are complete
        now. Gradients are cut by the caller, with `detached`.

        Raises:
            SeqsciError: a record begins in some rows and not in others.
        """
        coded, outs, start = positions is not None, [], 0
        for stop in [*self._borders(positions), x.shape[1]]:
            if start or stop == 0:
                outs.append(self.finish(state, coded)[0])
                state = self.initial_state(len(x))
            part, start = x[:, start:stop], stop
            while part.shape[1]:
                taken, y, state = self._some(part, state, coded)
                outs.append(y)
                part = part[:, taken:]
        return torch.cat(outs, 1) if outs else x, state

    def step(self, x: Tensor, state: State, positions: Tensor | None = None) -> tuple[Tensor, State]:
        """The next step of a causal stream: (B, D), at positions (B,) -> (B, D) and the state after it."""
        y, state = self.advance(x.unsqueeze(1), state, None if positions is None else positions.unsqueeze(1))
        return y.squeeze(1), state

    def finish(self, state: State, coded: bool = False) -> tuple[Tensor, State]:
        """What `advance` has held back: (B, T', D), and the state after it, which begins another segment.

        Args:
            state: of the stream.
            coded: whether the stream was given positions.
        """
        waiting = state.waiting
        if self.streams or not waiting.shape[1]:
            return waiting[:, :0], state
        y, _, memory = self._read(waiting, waiting.new_ones(waiting.shape[:2], dtype=torch.bool), state.memory, coded)
        return y, state._replace(memory=memory, waiting=waiting[:, :0])

    def _some(self, x: Tensor, state: State, coded: bool) -> tuple[int, Tensor, State]:
        """As many of the next steps as can be read at once, what is said, and the state after them."""
        before = state.waiting.shape[1]
        room = self.segment - before
        if x.shape[1] >= room and (before == 0 or not self.streams):
            whole = torch.cat([state.waiting.to(x.dtype), x[:, :room]], 1)
            y, _, memory = self._read(whole, whole.new_ones(whole.shape[:2], dtype=torch.bool), state.memory, coded)
            return room, y, state._replace(memory=memory, waiting=whole[:, :0])
        if not self.streams:
            return x.shape[1], x[:, :0], state._replace(waiting=torch.cat([state.waiting.to(x.dtype), x], 1))
        taken = min(x.shape[1], self.summary - before if self.middle and before < self.summary else room)
        y, state = self._within(x[:, :taken], state, coded)
        return taken, y, state

    def _within(self, x: Tensor, state: State, coded: bool) -> tuple[Tensor, State]:
        """The next steps of a segment, none of them beyond its j-th or its last if they do not end there."""
        memory, waiting, prompt, inside = state
        before, after = waiting.shape[1], waiting.shape[1] + x.shape[1]
        if before == 0:
            inside = memory.carried if self.carry_state else self.encoder.initial_state(len(x))
            sensory = memory.sensory if not coded else self._coded(memory.sensory, 0)
            head = torch.cat([memory.last, sensory], 1) if self.slots else sensory
            prompt = memory.last
            if head.shape[1]:
                _, inside = self.encoder.advance(head.to(x.dtype), inside)
        y, inside = self.encoder.advance(self._coded(x, self.sensory + before) if coded else x, inside)
        waiting = torch.cat([waiting.to(x.dtype), x], 1)
        if self.middle and after == self.summary:
            prompt = self._prompt(waiting, torch.ones_like(waiting[..., 0], dtype=torch.bool), memory, coded)
            _, inside = self.encoder.advance(prompt.to(x.dtype), inside)
        if after == self.segment:
            written = prompt
            if self.slots:
                written, inside = self.encoder.advance(prompt.to(x.dtype), inside)
            real = torch.ones_like(waiting[..., 0], dtype=torch.bool)
            memory = self._remembered(memory, written, waiting, real, inside if self.carry_state else ())
            waiting = waiting[:, :0]
        return y, State(memory, waiting, prompt, inside)

    def _read(self, h: Tensor, real: Tensor, memory: Memory, coded: bool) -> tuple[Tensor, Tensor, Memory]:
        """A segment (B, L', D) and which of its steps are real -> (B, L'', D) and its mask, and the memory after it."""
        here, sensory = (self._coded(h, self.sensory), self._coded(memory.sensory, 0)) if coded else (h, memory.sensory)
        parts = [(sensory, memory.felt)]
        prompt, held = memory.last, real.new_ones(len(h), 1)
        cut = min(self.summary, h.shape[1]) if self.middle else h.shape[1]
        if self.slots:
            prompt = self._prompt(h, real, memory, coded)
            parts.insert(0, (memory.last if self.middle else prompt, held))
        parts.append((here[:, :cut], real[:, :cut]))
        if self.middle:
            parts += [(prompt, held), (here[:, cut:], real[:, cut:])]
        if self.slots:
            parts.append((prompt, held))
        x, mask = torch.cat([part for part, _ in parts], 1), torch.cat([which for _, which in parts], 1)
        carried = memory.carried
        if self.carry_state:
            # Masked steps end a record, so that nobody reads the state behind them.
            y, carried = self.encoder.advance(x, carried)
        else:
            y, mask = self._encoded(x, mask, self.reads)
        written = self._written(y, mask, prompt) if self.slots else prompt
        if self.length_preserving:
            start = memory.sensory.shape[1] + bool(self.slots)
            y = torch.cat([y[:, start : start + cut], y[:, start + cut + 1 :][:, : h.shape[1] - cut]], 1)
            mask = real
        else:
            mask = mask & real.any(1, keepdim=True)
        return y, mask, self._remembered(memory, written, h, real, carried)

    def _prompt(self, h: Tensor, real: Tensor, memory: Memory, coded: bool) -> Tensor:
        """(B, 1, D) what the memories hold of what the first j steps of a segment are about; its one memory if N = 1.

        The encoder alone reads them: no head is put on what it makes of them.
        """
        if self.slots == 1 or not memory.cache.shape[1]:
            return memory.last
        h, real = h[:, : self.summary], real[:, : self.summary]
        topic, held = self.topic.expand(len(h), 1, -1), real.new_ones(len(h), 1)
        h = self._coded(h, self.sensory) if coded else h
        x, mask = torch.cat([topic, h, topic], 1), torch.cat([held, real, held], 1)
        y, mask = self._encoded(x, mask, self.summary + 2)
        return self.retrieval(self._written(y, mask, topic), memory)

    def _encoded(self, x: Tensor, mask: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """States and their mask, by the encoder from its beginning; real steps stand together before it."""
        steps = None if bool(mask.all()) else RealSteps(mask)
        given, real = x, mask
        if steps is not None:
            given = steps.take(x)
            real = torch.arange(given.shape[1], device=x.device) < mask.sum(1, keepdim=True)
        if self.fixed_length:
            missing = length - given.shape[1]
            given, real = F.pad(given, (0, 0, 0, missing)), F.pad(real, (0, missing))
        if not self.length_preserving:
            y, kept = self.encoder.encode(given, real)
            return y, y.new_ones(y.shape[:2], dtype=torch.bool) if kept is None else kept
        y = self.encoder(given, real)
        return (y[:, : x.shape[1]] if steps is None else steps.put(y)), mask

    def _written(self, y: Tensor, mask: Tensor, query: Tensor) -> Tensor:
        """(B, 1, D) the last state; of an encoder that changes the length, the mean by likeness to what was asked."""
        if self.length_preserving:
            return y[:, -1:]
        scores = (query.to(y.dtype) @ y.transpose(1, 2)).float() / math.sqrt(self.width)
        return scores.masked_fill(~mask.unsqueeze(1), -math.inf).softmax(-1).to(y.dtype) @ y

    def _remembered(self, memory: Memory, written: Tensor, h: Tensor, real: Tensor, carried: Any) -> Memory:
        cache, kept = memory.cache, memory.kept
        if self.slots > 1:
            cache = torch.cat([cache.to(written.dtype), written], 1)[:, -self.slots :]
            kept = F.pad(kept, (0, 1), value=True)[:, -self.slots :]
        start = max(0, h.shape[1] - self.sensory)
        return Memory(cache, kept, written, h[:, start:], real[:, start:], carried)

    def _empty(self, rows: int) -> Memory:
        like = next(self.parameters())
        none, unkept = like.new_zeros(rows, 0, self.width), like.new_zeros(rows, 0, dtype=torch.bool)
        last = self.first.expand(rows, 1, -1) if self.slots else like.new_zeros(rows, 1, self.width)
        carried = self.encoder.initial_state(rows) if self.carry_state else ()
        return Memory(none, unkept, last, none, unkept, carried)

    def _renewed(self, memory: Memory, fresh: Tensor) -> Memory:
        """Without memory in the rows (B,) in which a record begins."""
        start, same = self._empty(len(fresh)), ~fresh.unsqueeze(1)

        def chosen(new: Tensor, old: Tensor) -> Tensor:
            return torch.where(fresh.view(-1, *[1] * (old.ndim - 1)), new, old)

        last = chosen(start.last, memory.last)
        carried = each(chosen, start.carried, memory.carried)
        return Memory(memory.cache, memory.kept & same, last, memory.sensory, memory.felt & same, carried)

    def _coded(self, x: Tensor, place: int) -> Tensor:
        """With the code of places counted from the first sensory step, for an encoder that takes no positions."""
        if self.encoder.positional or not x.shape[1]:
            return x
        return x + sinusoid(place + x.shape[1], self.width, x.device)[place:].to(x.dtype)

    def _borders(self, positions: Tensor | None) -> list[int]:
        """Where in a chunk records begin."""
        if positions is None or self.across:
            return []
        zero = positions == 0
        # Zeros to the chunk's end, where other rows go on, are those of a row that has ended and is filled up.
        ended = zero.flip(1).to(torch.uint8).cummin(1).values.flip(1).bool()
        begins = (zero & ~ended).any(0) | zero.all(0)
        if not bool(zero[:, begins].all()):
            raise SeqsciError("the rows of a stream must begin their records together; read them one by one")
        places: list[int] = begins.nonzero().flatten().tolist()
        return places


@registry.register_encoder("hmt")
class HMTEncoder(HMT):
    """HMT around the encoder that its settings name."""

    def __init__(self, settings: HMTSettings) -> None:
        encoder: Any = registry.encoder(settings.encoder.name)(settings.encoder)
        super().__init__(
            encoder,
            segment=settings.segment,
            memory=settings.memory,
            sensory=settings.sensory,
            summary=settings.summary,
            keys=settings.keys,
            inject=settings.inject.removesuffix("-leaks"),
            carry_state=settings.carry_state,
            across=settings.across,
            truncate=settings.truncate,
            checkpoint=settings.checkpoint,
        )

    @staticmethod
    def check(settings: HMTSettings, context: int) -> None:
        """Refuse an encoder that cannot read as little as a segment.

        Raises:
            SeqsciError: naming its settings.
        """
        longer = "a longer model.segment"
        registry.check_within(settings.encoder, settings.sensory + settings.segment + 2 * bool(settings.memory), longer)
        if settings.memory > 1:
            registry.check_within(settings.encoder, settings.summed + 2, longer)


def _require(model: HMT) -> None:
    """Refuse sizes that do not fit."""
    segment, encoder = model.segment, model.encoder
    if model.slots > 1 and model.summary > segment:
        raise SeqsciError(
            f"model.segment: {segment} steps are fewer than the {model.summary} of model.summary, which are the first "
            f"of them; take at most {segment} of {segment}"
        )
    if model.sensory > segment:
        raise SeqsciError(
            f"model.sensory: {model.sensory} steps are more than the {segment} of the segment before, of which they "
            f"are the last; take at most {segment}, or a longer model.segment"
        )
    most = getattr(encoder, "longest", None)
    if most is not None and model.reads > most:
        extra = model.reads - segment - model.sensory
        raise SeqsciError(
            f"model.segment: the encoder reads at most {most} steps, fewer than {segment} of a segment + "
            f"{model.sensory} sensory ones + {extra} of memory = {model.reads}; take at most "
            f"{most - model.sensory - extra}"
        )
    if model.carry_state and not encoder.recurrent:
        raise SeqsciError("model.carry_state: this encoder has no state to carry on; leave it out")
    if model.carry_state and (model.sensory or not model.causal):
        raise SeqsciError(
            "model.carry_state: a state that is carried on has read the steps before already; put model.sensory to 0 "
            "and model.inject to mid"
        )
    if model.checkpoint and any(isinstance(part, _BatchNorm) for part in encoder.modules()):
        raise SeqsciError("model.checkpoint: a batch norm of this encoder would count each segment twice; leave it out")
