"""Rows of tokens that a language model reads, and what it is asked of them.

B batch, L length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqsci.data.batch import TokenBatch
from seqsci.data.records import BEGIN, END, MASK, SEPARATOR, SPECIALS, Tokens

Objective = Literal["causal", "masked", "fim"]
HIDDEN, REPLACED, KEPT = 0.15, 0.1, 0.1
"""Share of the tokens that are to be told, and shares of these that another token stands for, or that are left
(Devlin et al. 2019, arXiv 1810.04805); <mask> stands for the rest."""


@dataclass(frozen=True)
class Row:
    """`tokens (L,)` uint8 with their special ones, `positions (L,)` int64 of each in its record."""

    tokens: Tokens
    positions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.tokens)

    @staticmethod
    def of(tokens: Tokens, ended: bool = True) -> Row:
        """One record, or a window of it that stops before its end."""
        return Row.set([tokens], ended)

    @staticmethod
    def set(records: Sequence[Tokens], ended: bool = True) -> Row:
        """Records one after the other, each with positions of its own."""
        return Row.join([(tokens, np.arange(1, len(tokens) + 1)) for tokens in records], ended)

    @staticmethod
    def join(records: Sequence[tuple[Tokens, NDArray[np.int64]]], ended: bool = True) -> Row:
        """Records with the positions of their tokens, from 1: 0 is that of <begin> and <separator>."""
        tokens, positions = [np.array([BEGIN], np.uint8)], [np.zeros(1, np.int64)]
        for number, (own, places) in enumerate(records):
            if number:
                tokens.append(np.array([SEPARATOR], np.uint8))
                positions.append(np.zeros(1, np.int64))
            tokens.append(own)
            positions.append(places)
        if ended:
            tokens.append(np.array([END], np.uint8))
            last = positions[-1]
            positions.append(np.array([last.max(initial=0) + 1]))
        return Row(np.concatenate(tokens), np.concatenate(positions))


def ask_next(rows: Sequence[Row], index: Sequence[int]) -> TokenBatch:
    """Each token of a row is to be told from those before it."""
    mask, tokens, positions = _padded(rows)
    target_mask = mask[:, 1:]
    return TokenBatch(
        tokens=tokens[:, :-1] * target_mask,
        mask=target_mask,
        positions=positions[:, :-1] * target_mask,
        target=tokens[:, 1:],
        target_mask=target_mask,
        index=torch.as_tensor(index),
    )


def ask_hidden(
    rows: Sequence[Row], index: Sequence[int], symbols: int, draws: Sequence[np.random.Generator]
) -> TokenBatch:
    """Some tokens are hidden, one at least of each row; a special token is never.

    Args:
        rows: B.
        index: their numbers.
        symbols: V.
        draws: a generator for each row.
    """
    hidden = [_hide(row.tokens, symbols, rng) for row, rng in zip(rows, draws, strict=True)]
    shown = [Row(tokens, row.positions) for (tokens, _), row in zip(hidden, rows, strict=True)]
    mask, tokens, positions = _padded(shown)
    asked = torch.zeros_like(mask)
    for line, (_, places) in zip(asked, hidden, strict=True):
        line[torch.from_numpy(places)] = True
    return TokenBatch(
        tokens=tokens,
        mask=mask,
        positions=positions,
        target=_padded(rows)[1],
        target_mask=asked,
        index=torch.as_tensor(index),
    )


def ask_nothing(rows: Sequence[Row], index: Sequence[int]) -> TokenBatch:
    """Rows as they are."""
    mask, tokens, positions = _padded(rows)
    return TokenBatch(tokens=tokens, mask=mask, positions=positions, index=torch.as_tensor(index))


def _hide(tokens: Tokens, symbols: int, rng: np.random.Generator) -> tuple[Tokens, NDArray[np.int64]]:
    """Tokens as they are shown, and the places that are asked for."""
    letters = np.flatnonzero(tokens >= len(SPECIALS))
    if not len(letters):
        return tokens, letters
    chosen = letters[rng.random(len(letters)) < HIDDEN]
    if not len(chosen):
        chosen = rng.choice(letters, 1)
    shown, fate = tokens.copy(), rng.random(len(chosen))
    other = rng.integers(len(SPECIALS), symbols, len(chosen))
    shown[chosen] = np.where(fate < REPLACED, other, np.where(fate < REPLACED + KEPT, tokens[chosen], MASK))
    return shown, chosen


def _padded(rows: Sequence[Row]) -> tuple[Tensor, Tensor, Tensor]:
    """(B, L) True where there is a token, the tokens, their positions; 0 where there is none."""
    lengths = [len(row) for row in rows]
    shape = (len(rows), max(lengths))
    tokens, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for number, row in enumerate(rows):
        tokens[number, : len(row)] = row.tokens
        positions[number, : len(row)] = row.positions
    mask = torch.arange(shape[1]) < torch.tensor(lengths)[:, None]
    return mask, torch.from_numpy(tokens), torch.from_numpy(positions)
