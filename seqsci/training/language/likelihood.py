"""What a causal model says of rows: the log-probability of each token, with flat memory where the encoder streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqsci.data.batch import TokenBatch
from seqsci.data.records import Tokens
from seqsci.data.rows import Row, ask_next
from seqsci.training.language.speaker import Speaker
from seqsci.training.language.stream import listen, repeat

BUDGET = 16384
"""Tokens of a batch."""
MOST_ROWS = 256

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Before:
    """What is read before each of many rows, once for all of them.

    `row`: <begin>, or <begin>, records and the <separator> behind each; `state`: of one row, after all of it but the
    last token; None of an encoder that does not stream and has to read it with each row.
    """

    row: Row
    state: Any


def begin(speaker: Speaker, records: Sequence[Tokens] = ()) -> Before:
    """Read what stands before."""
    row = Row.set([*records, np.zeros(0, np.uint8)], ended=False)
    if not speaker.streams:
        return Before(row, None)
    with torch.inference_mode():
        start = speaker.network.initial_state(1)
    return Before(row, listen(speaker, start, cut(row, 0, len(row) - 1)))


def cut(row: Row, start: int, stop: int) -> Row:
    """A part of a row."""
    return Row(row.tokens[start:stop], row.positions[start:stop])


def behind(before: Before, tokens: Tokens, ended: bool = True) -> Row:
    """A record behind what was read: the last token of that, the record and, where it ends, <end>."""
    row = Row.of(tokens, ended)
    return Row(np.concatenate([before.row.tokens[-1:], row.tokens[1:]]), row.positions)


def batches(lengths: NDArray[np.int64], chunk: int, budget: int = BUDGET) -> Iterator[NDArray[np.int64]]:
    """Numbers of rows of similar length that are read at once, the short ones first."""
    part: list[int] = []
    for number in np.argsort(lengths, kind="stable"):
        wide = min(int(lengths[number]), chunk)  # of all in the batch it is the longest
        if part and (len(part) >= MOST_ROWS or (len(part) + 1) * wide > budget):
            yield np.array(part)
            part = []
        part.append(int(number))
    if part:
        yield np.array(part)


def token_logs(speaker: Speaker, before: Before, rows: Sequence[Row]) -> list[Floats]:
    """Of each row, whose first token is the last of what was read, (L - 1,) ln p of each token but the first."""
    if speaker.streams:
        return followed(speaker, repeat(before.state, len(rows)), rows)
    return _whole(speaker, before.row, rows)


@torch.inference_mode()
def followed(speaker: Speaker, state: Any, rows: Sequence[Row]) -> list[Floats]:
    """The same for rows that each have a state of their own, that before their first token."""
    found: list[list[Floats]] = [[] for _ in rows]
    longest = max(len(row) for row in rows) - 1
    for start in range(0, longest, speaker.chunk):
        parts = [cut(row, start, start + speaker.chunk + 1) for row in rows]
        batch = ask_next(parts, range(len(rows))).to(speaker.device)
        logits, state = speaker.network.advance(batch.tokens, batch.positions, state)
        for own, part, logs in zip(found, parts, _gathered(logits, batch.target).cpu().numpy(), strict=True):
            own.append(logs[: max(len(part) - 1, 0)])
    return [np.concatenate(own).astype(np.float64) for own in found]


@torch.inference_mode()
def _whole(speaker: Speaker, before: Row, rows: Sequence[Row]) -> list[Floats]:
    """Everything anew with each row."""
    joined = [
        Row(
            np.concatenate([before.tokens[:-1], row.tokens]),
            np.concatenate([before.positions[:-1], row.positions]),
        )
        for row in rows
    ]
    batch = ask_next(joined, range(len(rows))).to(speaker.device)
    logs = _gathered(speaker.network(batch), batch.target).double().cpu().numpy()
    skip = len(before) - 1
    return [line[skip : skip + len(row) - 1] for line, row in zip(logs, rows, strict=True)]


def _gathered(logits: Tensor, target: Tensor | None) -> Tensor:
    """(B, L, V), (B, L) -> (B, L) ln p of the targets."""
    assert target is not None
    return logits.log_softmax(-1).gather(-1, target.unsqueeze(-1)).squeeze(-1)


def both(one: Floats | float, other: Floats | float) -> Any:
    """ln of the mean of two strands' probabilities, as `strands.strand_losses` takes them together."""
    return np.logaddexp(one, other) - np.log(2)


@torch.inference_mode()
def last_logits(speaker: Speaker, batch: TokenBatch) -> Tensor:
    """(B, V) of what follows rows of equal length, read as a whole."""
    return speaker.network(batch)[:, -1]
