"""Numbers for the simple rivals of a fine-tuned network: how often short words occur, and what stands where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqsci.domains.genomics.alphabet import BASES

LONGEST = 4
"""Longest word that is counted."""
POSITIONAL = 2000
"""Most letters of records whose positions become features."""

_CODES = np.full(256, len(BASES), dtype=np.uint8)
_CODES[np.frombuffer(BASES.encode(), dtype=np.uint8)] = np.arange(len(BASES))


def codes(text: str) -> NDArray[np.uint8]:
    """(L,) 0 to 3 for A, C, G, T, and 4 for other letters."""
    return _CODES[np.frombuffer(text.encode("ascii", "replace"), dtype=np.uint8)]


def words(numbers: NDArray[np.uint8], k: int) -> NDArray[np.int64]:
    """Numbers (0 to 4^k - 1, in alphabetical order) of the words of k bases in `codes`; others are left out."""
    if len(numbers) < k:
        return np.zeros(0, dtype=np.int64)
    span = len(numbers) - k + 1
    value, known = np.zeros(span, dtype=np.int64), np.ones(span, dtype=bool)
    for place in range(k):
        part = numbers[place : place + span]
        value = value * 4 + part
        known &= part < 4
    return value[known]


def features(texts: Sequence[str]) -> NDArray[np.float32]:
    """Features (R, F) of records.

    The first 340 are counts of the words of 1, 2, 3 and 4 bases, alphabetically, overlapping and on the strand that is
    written; words with another letter count nowhere. Where all texts have one length L of at most `POSITIONAL`, 4 L
    more say of each position whether it is A, C, G, T (all 0 for another letter): the strong rival where a site stands
    at a known place. What was fitted on these refuses records of other lengths, as F differs.
    """
    counts = np.zeros((len(texts), sum(4**k for k in range(1, LONGEST + 1))), dtype=np.float32)
    numbers = [codes(text) for text in texts]
    for row, one in enumerate(numbers):
        counts[row] = np.concatenate([np.bincount(words(one, k), minlength=4**k) for k in range(1, LONGEST + 1)])
    lengths = {len(text) for text in texts}
    if len(lengths) != 1 or not 0 < max(lengths) <= POSITIONAL:
        return counts
    stacked = np.stack(numbers)
    places = (stacked[:, :, None] == np.arange(4)).reshape(len(texts), -1).astype(np.float32)
    return np.concatenate([counts, places], axis=1)
