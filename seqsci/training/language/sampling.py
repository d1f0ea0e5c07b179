"""New sequences from a causal model, token by token.

Row r draws with a generator of its own, from the seed and r: what it becomes depends neither on the other rows nor on
how many are drawn at once (up to what a float32 product of another batch changes in its last digit).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqsci.data.batch import TokenBatch
from seqsci.data.records import END, SEPARATOR, SPECIALS, Tokens
from seqsci.data.rows import Row
from seqsci.errors import SeqsciError
from seqsci.training.language.likelihood import Before, behind, cut, last_logits, token_logs
from seqsci.training.language.speaker import Speaker
from seqsci.training.language.stream import listen, most_rows, repeat, take

ROWS = 256
"""Rows that are drawn at once."""
DRAWN = 64
"""Uniform numbers that a row draws at a time."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are drawn: logits over `temperature`, then the `top_k` likeliest alone, then of these the fewest
    whose share is `top_p` or more (Holtzman et al., ICLR 2020, arXiv 1904.09751).

    `temperature` 0 takes the likeliest token each time; `top_k` 0 and `top_p` 1 leave all.

    Raises:
        SeqsciError: a number outside its range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise SeqsciError(f"temperature: {self.temperature}; give 0 (the likeliest token each time) or more")
        if self.top_k < 0:
            raise SeqsciError(f"top-k: {self.top_k}; give 0 (all tokens) or how many of the likeliest")
        if not 0 < self.top_p <= 1:
            raise SeqsciError(f"top-p: {self.top_p}; give a share above 0 and at most 1 (all tokens)")

    def shares(self, logits: Tensor) -> Tensor:
        """(B, V) logits, -inf where a token is not allowed -> (B, V) float64 probabilities."""
        logits = logits.double()
        if self.temperature == 0:
            return torch.zeros_like(logits).scatter_(-1, logits.argmax(-1, keepdim=True), 1.0)
        # The largest is moved to 0 first, so that a small temperature does not overflow.
        logits = (logits - logits.amax(-1, keepdim=True)) / self.temperature
        order = logits.argsort(dim=-1, descending=True, stable=True)
        ranked = logits.gather(-1, order).softmax(-1)
        if 0 < self.top_k < ranked.shape[-1]:
            ranked[..., self.top_k :] = 0
            ranked /= ranked.sum(-1, keepdim=True)
        if self.top_p < 1:
            # A token stays while those before it have less than the share.
            ranked[ranked.cumsum(-1) - ranked >= self.top_p] = 0
            ranked /= ranked.sum(-1, keepdim=True)
        return torch.zeros_like(ranked).scatter_(-1, order, ranked)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """`tokens (L,)` with the prompt, without special ones; `nats`: ln p of them, and of the end where `ended`.

    The probability is the model's own, whatever the temperature.
    """

    tokens: Tokens
    nats: float
    ended: bool


def sample(
    speaker: Speaker,
    before: Before,
    count: int,
    sampling: Sampling,
    *,
    longest: int,
    prompt: Tokens | None = None,
    seed: int = 0,
    rows: int = ROWS,
    done: Callable[[int], None] = lambda rows: None,
) -> list[Drawn]:
    """Draw sequences.

    Args:
        speaker: causal.
        before: what is read before each.
        count: of them.
        sampling: how tokens are drawn.
        longest: tokens of a sequence with its prompt, at most; one that is longer is cut there.
        prompt: how each begins.
        seed: of the draws.
        rows: drawn at once, at most.
        done: hears of rows that have ended.
    """
    prompt = np.zeros(0, np.uint8) if prompt is None else prompt
    start = behind(before, prompt, ended=False)
    said = float(token_logs(speaker, before, [start])[0].sum()) if len(prompt) else 0.0
    read = Row(
        np.concatenate([before.row.tokens[:-1], start.tokens]),
        np.concatenate([before.row.positions[:-1], start.positions]),
    )
    state = None
    if speaker.streams:
        state = listen(speaker, before.state, cut(start, 0, len(start) - 1))
    rows = most_rows(speaker, len(read) + longest, rows)
    found: list[Drawn] = []
    for first in range(0, count, rows):
        numbers = range(first, min(first + rows, count))
        batch = _Batch(speaker, state, read, [np.random.default_rng([seed, number]) for number in numbers])
        for tokens, nats, ended in batch.run(sampling, longest - len(prompt), done):
            found.append(Drawn(tokens=np.concatenate([prompt, tokens]), nats=said + nats, ended=ended))
    return found


def draw(sampling: Sampling, logits: Tensor, uniform: Floats) -> NDArray[np.int64]:
    """(B, V) logits, -inf where a token is not allowed, and (B,) uniform numbers -> (B,) tokens, by the place of the
    number among the summed shares."""
    sums = sampling.shares(logits).cpu().numpy().cumsum(-1)
    chosen: NDArray[np.int64] = (sums <= (uniform * sums[:, -1])[:, None]).sum(-1)
    return chosen


class _Batch:
    """Rows that are drawn together; those that have ended leave, so that a long one costs the others nothing."""

    def __init__(self, speaker: Speaker, state: Any, read: Row, draws: list[np.random.Generator]) -> None:
        self.speaker, self.read, self.draws = speaker, read, draws
        self.live = np.arange(len(draws))
        self.state = None if state is None else repeat(state, len(draws))
        symbols = len(speaker.tokenizer.symbols)
        self.barred = torch.zeros(symbols, dtype=torch.bool, device=speaker.device)
        self.barred[: len(SPECIALS)] = True
        self.stops = [END, SEPARATOR] if speaker.recipe.data.sets else [END]
        self.barred[self.stops] = False

    @torch.inference_mode()
    def run(self, sampling: Sampling, room: int, done: Callable[[int], None]) -> list[tuple[Tokens, float, bool]]:
        """Tokens, nats and whether it ended, of each row."""
        rows = len(self.draws)
        tokens, nats, ended = np.zeros((rows, 64), np.uint8), np.zeros(rows), np.zeros(rows, dtype=bool)
        counts, uniform = np.zeros(rows, np.int64), np.zeros((rows, DRAWN))
        last = np.full(rows, self.read.tokens[-1])
        for step in range(room + 1):
            if step % DRAWN == 0:
                for row in self.live:
                    uniform[row] = self.draws[row].random(DRAWN)
            logits = self._logits(last[self.live], tokens, step)
            chosen = self._draw(sampling, logits, uniform[self.live, step % DRAWN])
            stop = np.isin(chosen, self.stops)
            kept = stop | (step < room)  # where there is no more room only an end counts
            logs = logits.log_softmax(-1).gather(-1, torch.from_numpy(chosen)[:, None].to(logits.device))[:, 0]
            nats[self.live] += np.where(kept, logs.double().cpu().numpy(), 0.0)
            ended[self.live] = stop
            going = self.live[~stop]
            if step == tokens.shape[1]:
                tokens = np.concatenate([tokens, np.zeros_like(tokens)], 1)
            if step < room:
                tokens[going, step] = chosen[~stop]
                counts[going] = step + 1
            last[going] = chosen[~stop]
            if stop.any():
                done(int(stop.sum()))
                self._leave(~stop)
            if not len(self.live):
                break
        done(len(self.live))
        return [(tokens[row, : counts[row]].copy(), float(nats[row]), bool(ended[row])) for row in range(rows)]

    def _logits(self, last: NDArray[np.uint8], tokens: Tokens, step: int) -> Tensor:
        """(B, V) of what follows."""
        place = int(self.read.positions[-1]) + step
        device = self.speaker.device
        if self.state is not None:
            token = torch.from_numpy(last.astype(np.int64))[:, None].to(device)
            logits, self.state = self.speaker.network.advance(token, torch.full_like(token, place), self.state)
            return logits[:, 0]
        own = tokens[self.live, :step].astype(np.int64)
        head = np.broadcast_to(self.read.tokens.astype(np.int64), (len(own), len(self.read)))
        places = np.concatenate([self.read.positions, self.read.positions[-1] + 1 + np.arange(step)])
        whole = torch.from_numpy(np.concatenate([head, own], 1))
        batch = TokenBatch(
            tokens=whole,
            mask=torch.ones_like(whole, dtype=torch.bool),
            positions=torch.from_numpy(places).expand_as(whole),
            index=torch.arange(len(whole)),
        )
        return last_logits(self.speaker, batch.to(device))

    def _draw(self, sampling: Sampling, logits: Tensor, uniform: Floats) -> NDArray[np.int64]:
        """(B,) tokens that are not barred."""
        return draw(sampling, logits.masked_fill(self.barred, -torch.inf), uniform)

    def _leave(self, stay: NDArray[np.bool_]) -> None:
        self.live = self.live[stay]
        if self.state is not None and len(self.live):
            self.state = take(self.state, torch.from_numpy(np.flatnonzero(stay)).to(self.speaker.device))
