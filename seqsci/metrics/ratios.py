"""Means over tokens with intervals that resample the records they stand in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqsci.data.shares import CASES

Floats = NDArray[np.floating]
PIECE = 64
"""Resamples at a time, so that many records fit into memory."""


def bootstrap_ratio(sums: Floats, counts: Floats, *, resamples: int, seed: int) -> tuple[float, float]:
    """95 % interval of sum(sums) / sum(counts) when the records are drawn anew (Efron 1979, percentile interval).

    Args:
        sums: (R,) such as nats of each record, or a difference of two methods' on the same records.
        counts: (R,) such as its tokens.
        resamples: number of draws.
        seed: of the generator.

    Returns:
        The two ends; NaN for fewer than `CASES` records.
    """
    records = len(sums)
    if records < CASES:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    ratios = []
    for begin in range(0, resamples, PIECE):
        chosen = rng.integers(0, records, (min(PIECE, resamples - begin), records))
        ratios.append(sums[chosen].sum(1) / counts[chosen].sum(1))
    low, high = np.quantile(np.concatenate(ratios), [0.025, 0.975])
    return float(low), float(high)
