"""The longest stretch of a sequence that occurs in others, exactly, by hashes of all words of a length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
TABLE = 1 << 24
"""Places of the table by which most words are told to be absent before they are looked up."""
BLOCK = 1 << 20
"""Words that are hashed at once."""
PIECE = 1 << 21
"""Letters of the training texts that are in memory as hashes at once."""
_BASE = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(int(_BASE), -1, 1 << 64))
_CODES = np.random.default_rng(20).integers(1, 1 << 63, 256, dtype=np.uint64)


@dataclass(frozen=True)
class _Text:
    """Joined texts: `prefix (N + 1,)` hashes, `run (N,)`: letters from a place to the end of its text."""

    prefix: Hashes
    run: NDArray[np.int64]

    @staticmethod
    def of(texts: Sequence[str]) -> _Text:
        raw = np.frombuffer("".join(texts).encode("ascii", "replace"), dtype=np.uint8)
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        ends = np.repeat(np.cumsum(lengths), lengths)
        # hash of letters a..b-1 is (P_b - P_a) / B^a; instead of dividing, letters are weighted by B^-i = C^i.
        weights = _powers(len(raw), _BASE)
        prefix = np.zeros(len(raw) + 1, dtype=np.uint64)
        np.cumsum(_CODES[raw] * weights, out=prefix[1:])
        return _Text(prefix, ends - np.arange(len(raw)))

    def hashes(self, length: int, start: int, stop: int, unweigh: Hashes) -> Hashes:
        """Of the words of a length that begin at start..stop-1 and lie in one text."""
        stop = min(stop, len(self.prefix) - length)
        if stop <= start:
            return np.zeros(0, dtype=np.uint64)
        found = (self.prefix[start + length : stop + length] - self.prefix[start:stop]) * unweigh[start:stop]
        return found[self.run[start:stop] >= length]


def _powers(count: int, base: np.uint64) -> Hashes:
    """base^0 .. base^(count - 1) modulo 2^64."""
    steps = np.full(max(count, 1), base, dtype=np.uint64)
    steps[0] = 1
    return np.multiply.accumulate(steps)[:count]


def longest_copies(generated: Sequence[str], training: Iterable[str]) -> NDArray[np.int64]:
    """(G,) letters of the longest stretch of each generated text that stands in a training text.

    Bisection over lengths: a text that shares a word of k letters shares all shorter ones. Words are compared by
    64-bit hashes, so that a stretch is said to be copied when it is not with a chance below one in a million.
    Training texts are taken piece by piece, so that memory does not grow with them.
    """
    ours = _Text.of(generated)
    lengths = np.array([len(text) for text in generated], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    unweigh = _powers(max(len(ours.prefix), PIECE + int(lengths.max(initial=0))) + 1, _INVERSE)
    low = np.zeros_like(lengths)
    for texts in _pieces(training, int(lengths.max(initial=0))):
        theirs = _Text.of(texts)
        high = np.minimum(lengths, theirs.run.max(initial=0))
        step = np.where(low > 0, 1, 16)  # most pieces have nothing longer than an earlier one had
        while (open_ := np.flatnonzero(low < high)).size:
            tried = low[open_] + np.minimum((high[open_] - low[open_] + 1) // 2, step[open_])
            for length in np.unique(tried):
                rows = open_[tried == length]
                words = [ours.hashes(int(length), int(starts[r]), int(starts[r + 1]), unweigh) for r in rows]
                joined = np.concatenate(words)
                hit = np.isin(joined, _shared(joined, theirs, int(length), unweigh))
                owner = np.repeat(np.arange(len(rows)), [len(word) for word in words])
                found = np.bincount(owner, weights=hit, minlength=len(rows)) > 0
                low[rows[found]] = length
                step[rows[found]] *= 2
                high[rows[~found]] = length - 1
    return low


def _pieces(texts: Iterable[str], overlap: int) -> Iterator[list[str]]:
    """The texts, some at a time with at most `PIECE` new letters; a long one is cut, with an overlap."""
    some: list[str] = []
    room = PIECE
    for text in texts:
        for start in range(0, len(text), PIECE):
            new = min(PIECE, len(text) - start)
            if new > room:
                yield some
                some, room = [], PIECE
            some.append(text[max(0, start - overlap) : start + new])
            room -= new
    yield some


def _shared(words: Hashes, theirs: _Text, length: int, unweigh: Hashes) -> Hashes:
    """Words of the other texts: all that occur in ours, and a few by chance."""
    place = np.uint64(TABLE - 1)
    shift = np.uint64(40)
    table = np.zeros(TABLE, dtype=bool)
    table[(words >> shift) & place] = True
    some = [np.zeros(0, dtype=np.uint64)]
    for start in range(0, len(theirs.prefix), BLOCK):
        block = theirs.hashes(length, start, start + BLOCK, unweigh)
        some.append(block[table[(block >> shift) & place]])
    return np.concatenate(some)
