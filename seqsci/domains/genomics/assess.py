"""What generated DNA is worth: is it DNA, does it look like the training data, and is it more than a copy of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqsci.data.shares import CASES, FEW, Measure, alone, share
from seqsci.domains.genomics.alphabet import LETTERS, reverse_complement
from seqsci.domains.genomics.copies import longest_copies
from seqsci.domains.genomics.features import codes, words
from seqsci.errors import SeqsciError

COPY = 50
"""Letters of an exact match that count as copied; by chance E. coli (4.6 Mb) shares about 12 with a random text."""
WORDS = (3, 6)
RESAMPLES = 500

Floats = NDArray[np.float64]
Counts = NDArray[np.float32]
_WITHOUT_LETTERS = str.maketrans("", "", LETTERS)


def assess(generated: Sequence[str], training: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """Measures of generated sequences against those trained on.

    Each is {"value", "low", "high"} with a 95 % interval: of shares Wilson's, of means and of `gc` the percentile
    bootstrap over generated sequences (none for fewer than `shares.CASES`), of divergences that put about the value
    (none for fewer than `shares.FEW`), and of `unique` none:
    `valid` (only nucleotides, at least one), and of the valid ones `gc` (share of G and C among A, C, G, T), `unique`
    (distinct sequences), `novel` (neither strand lies whole in a training sequence), `copied_50` (shares a stretch
    of 50 letters with one, on either strand), `longest_copy` (mean letters of the longest shared stretch) and
    `divergence_3`, `divergence_6` (Jensen-Shannon divergence of the words of 3 and 6 bases, in bits: 0 equal, 1
    disjoint). Beside them `gc_training`; `longest_copy_most`; `divergence_3_training`, `divergence_6_training`: that
    of as many letters of the training data to all of it, below which no generator can be expected to come; and the
    counts `generated`, `valid_count`, `distinct`, `training`. What only valid sequences have is None without any.

    Raises:
        SeqsciError: nothing generated, or no training sequences.
    """
    if not generated or not any(training):
        what = "generated sequences" if not generated else "training sequences to compare with"
        raise SeqsciError(f"assess: there are no {what}; give some")
    rng = np.random.default_rng(seed)
    valid = [text for text in generated if _is_dna(text)]
    result: dict[str, Any] = {
        "generated": len(generated),
        "valid_count": len(valid),
        "distinct": len(set(valid)),
        "training": len(training),
        "valid": share(len(valid), len(generated)),
        "gc_training": _gc(_sums(training, 1)),
    }
    for k in WORDS:
        result[f"divergence_{k}"], result[f"divergence_{k}_training"] = _divergences(valid, _sums(training, k), k, rng)
    if not valid:
        return {
            **result,
            **dict.fromkeys(("gc", "unique", "novel", f"copied_{COPY}", "longest_copy", "longest_copy_most")),
        }
    longest = longest_copies(valid, chain(training, map(reverse_complement, training)))
    return {
        **result,
        "gc": _interval(_counts(valid, 1), _gc, rng),
        "unique": alone(len(set(valid)) / len(valid)),
        "novel": share(int((longest < [len(text) for text in valid]).sum()), len(valid)),
        f"copied_{COPY}": share(int((longest >= COPY).sum()), len(valid)),
        "longest_copy": _mean(longest, rng),
        "longest_copy_most": int(longest.max()),
    }


def _is_dna(text: str) -> bool:
    return bool(text) and not text.translate(_WITHOUT_LETTERS)


def _counts(texts: Sequence[str], k: int) -> Counts:
    """(G, 4^k) how often each word occurs in each text."""
    return np.array([np.bincount(words(codes(text), k), minlength=4**k) for text in texts], dtype=np.float32)


def _gc(counts: Floats) -> float:
    return float((counts[1] + counts[2]) / max(counts.sum(), 1))


def _mean(values: ArrayLike, rng: np.random.Generator) -> Measure:
    numbers = np.asarray(values, dtype=np.float32)
    return _interval(np.stack([numbers, np.ones_like(numbers)], 1), lambda sums: float(sums[0] / sums[1]), rng)


def _interval(
    counts: Counts, measure: Callable[[Floats], float], rng: np.random.Generator, centred: bool = False
) -> Measure:
    """A measure of the sums over generated sequences of counts (G, F): as they are, and resampled.

    `centred`: the interval is the spread of the resampled ones about their mean, put about the value; for what
    resampling itself makes larger, such as a divergence. Of too few sequences there is no interval.
    """
    count, value = len(counts), measure(counts.sum(axis=0, dtype=np.float64))
    if count < (FEW if centred else CASES):
        return alone(value)
    weights = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.float32)
    draws = np.array([measure(sums) for sums in (weights @ counts).astype(np.float64)])
    if centred:
        draws = np.clip(draws - draws.mean() + value, 0, 1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return {"value": value, "low": float(low), "high": float(high)}


def _divergences(
    valid: Sequence[str], whole: Floats, k: int, rng: np.random.Generator
) -> tuple[Measure | None, float | None]:
    """Of the generated sequences, and of as many words drawn from the training data."""
    counts = _counts(valid, k) if valid else np.zeros((0, 4**k), dtype=np.float32)
    total = int(counts.sum(dtype=np.float64))
    if not total or not whole.sum():
        return None, None
    drawn = rng.multinomial(total, whole / whole.sum()).astype(np.float64)
    return _interval(counts, lambda sums: divergence(sums, whole), rng, centred=True), divergence(drawn, whole)


def _sums(texts: Sequence[str], k: int) -> Floats:
    """(4^k,) how often each word occurs in all texts."""
    found = np.zeros(4**k)
    for text in texts:
        found += np.bincount(words(codes(text), k), minlength=4**k)
    return found


def divergence(left: Floats, right: Floats) -> float:
    """Jensen-Shannon divergence of two counts, in bits (Lin, IEEE Trans. Inf. Theory 37, 1991)."""
    p, q = left / max(left.sum(), 1), right / max(right.sum(), 1)
    middle = (p + q) / 2
    halves = [one[one > 0] @ np.log2(one[one > 0] / middle[one > 0]) for one in (p, q)]
    return float(max(0.0, sum(halves) / 2))
