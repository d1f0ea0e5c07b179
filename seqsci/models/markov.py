"""A Markov model of order k, the baseline of language models: what follows the last k tokens, as counted.

Counts of each order are interpolated with those of the order below (Witten and Bell 1991, IEEE Trans. Inf. Theory 37):

    p_k(x | c) = (n(c x) + a T(c) p_{k-1}(x | c')) / (n(c) + a T(c))

with n the counts, T(c) the number of different tokens that have followed the context c, c' the context without its
first token, and p_{-1} even over the vocabulary. The order k and the strength a are chosen on validation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Tokens = NDArray[np.integer]
STRENGTHS = (0.3, 1.0, 3.0)
MOST = 12
"""Tokens of a context, at most."""


@dataclass(frozen=True)
class _Order:
    """Counts of one order: `grams (M,)` sorted codes of a context and the token behind it, `counts (M,)`;
    `contexts (C,)` sorted codes, `totals (C,)`, `kinds (C,)`."""

    grams: NDArray[np.uint64]
    counts: Floats
    contexts: NDArray[np.uint64]
    totals: Floats
    kinds: Floats

    @staticmethod
    def of(grams: NDArray[np.uint64], base: int) -> _Order:
        found, counts = np.unique(grams, return_counts=True)
        contexts, first = np.unique(found // np.uint64(base), return_index=True)
        totals = np.add.reduceat(counts.astype(np.float64), first) if len(first) else np.zeros(0)
        kinds = np.diff(np.append(first, len(found))).astype(np.float64)
        return _Order(found, counts.astype(np.float64), contexts, totals, kinds)

    def interpolate(self, grams: NDArray[np.uint64], base: int, strength: float, below: Floats) -> Floats:
        """Probabilities of tokens behind contexts, from those of the order below."""
        n = _look(self.grams, self.counts, grams)
        context = grams // np.uint64(base)
        total = _look(self.contexts, self.totals, context)
        prior = strength * _look(self.contexts, self.kinds, context)
        with np.errstate(invalid="ignore"):
            mixed = (n + prior * below) / (total + prior)
        return np.where(total > 0, mixed, below)


class Markov:
    """A Markov model over tokens 0..V-1, trained on rows that begin with a token of their own.

    Args:
        symbols: V.
        most: largest order to try; fewer where a context would not fit into 64 bits.
    """

    def __init__(self, symbols: int, most: int = MOST) -> None:
        self.symbols, self.most = symbols, most
        self.order, self.strength = 0, 1.0

    def fit(self, train: Iterable[Tokens], val: Callable[[Floats], float], val_rows: Sequence[Tokens]) -> Markov:
        """Count the training rows, then choose order and strength.

        Args:
            train: rows (L,) of tokens, the first of which is not told but given.
            val: the mean loss of -log p of all but the first token of each validation row, one after the other.
            val_rows: these rows.
        """
        rows = [np.asarray(row, dtype=np.int64) for row in train]
        seen = np.unique(np.concatenate(rows)) if rows else np.zeros(0, np.int64)
        # Codes of the tokens that occur, from 1; 0 is before the start, and for what has never occurred.
        self._codes = np.zeros(self.symbols, dtype=np.uint64)
        self._codes[seen] = np.arange(1, len(seen) + 1)
        self._base = len(seen) + 1
        most = min(self.most, int(63 / np.log2(max(self._base, 2))) - 1)
        grams = self._grams(rows, most)
        self._orders = [_Order.of(grams[order], self._base) for order in range(most + 1)]
        best = np.inf
        val_grams = self._grams([np.asarray(row, dtype=np.int64) for row in val_rows], most)
        for strength in STRENGTHS:
            p = np.full(len(val_grams[0]), 1 / self.symbols)
            for order, counts in enumerate(self._orders):
                p = counts.interpolate(val_grams[order], self._base, strength, p)
                loss = val(-np.log(p))
                if loss < best:
                    best, self.order, self.strength = loss, order, strength
        self._orders = self._orders[: self.order + 1]
        return self

    def losses(self, rows: Sequence[Tokens]) -> list[Floats]:
        """-log p in nats of all but the first token of each row, (L-1,) each."""
        whole = [np.asarray(row, dtype=np.int64) for row in rows]
        grams = self._grams(whole, self.order)
        p = np.full(len(grams[0]), 1 / self.symbols)
        for order, counts in enumerate(self._orders):
            p = counts.interpolate(grams[order], self._base, self.strength, p)
        return np.split(-np.log(p), np.cumsum([len(row) - 1 for row in whole])[:-1])

    def _grams(self, rows: Sequence[Tokens], most: int) -> list[NDArray[np.uint64]]:
        """For each order the codes of (context, token) at all but the first token of each row."""
        base = np.uint64(self._base)
        found: list[list[NDArray[np.uint64]]] = [[] for _ in range(most + 1)]
        for row in rows:
            codes = self._codes[row]
            gram = codes[1:].copy()
            found[0].append(gram)
            scale = base
            for order in range(1, most + 1):
                # The token `order` places before; before the start of the row stands 0.
                before = np.zeros_like(gram)
                before[order - 1 :] = codes[: max(len(codes) - order, 0)]
                gram = gram + before * scale
                scale = scale * base
                found[order].append(gram)
        return [np.concatenate(grams) if grams else np.zeros(0, np.uint64) for grams in found]


def _look(keys: NDArray[np.uint64], values: Floats, wanted: NDArray[np.uint64]) -> Floats:
    """Values of sorted keys, 0 where there is none."""
    if not len(keys):
        return np.zeros(len(wanted))
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0.0)
