"""Agreement of two orders with its interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from seqsci.data.shares import CASES

Floats = NDArray[np.floating]
LEAST = 3
"""Pairs of numbers that a correlation needs."""


def spearman(x: Floats, y: Floats, *, resamples: int = 1000, seed: int = 0) -> dict[str, float | int]:
    """Rank correlation (Spearman 1904, ties by mean ranks) with the 95 % percentile bootstrap interval over pairs.

    Args:
        x: (N,).
        y: (N,); pairs with a number that is not finite do not count.
        resamples: number of draws.
        seed: of the generator.

    Returns:
        `value`, `low`, `high` and the number of pairs `n`; NaN for fewer than `LEAST` pairs, or where one side is
        constant; the ends are also for fewer than `CASES` pairs.
    """
    some = np.isfinite(x) & np.isfinite(y)
    x, y = x[some], y[some]
    if len(x) < LEAST:
        return {"value": float("nan"), "low": float("nan"), "high": float("nan"), "n": len(x)}
    if len(x) < CASES:
        return {"value": _correlation(x, y), "low": float("nan"), "high": float("nan"), "n": len(x)}
    rng = np.random.default_rng(seed)
    draws = [_correlation(x[chosen], y[chosen]) for chosen in rng.integers(0, len(x), (resamples, len(x)))]
    finite = np.array(draws)[np.isfinite(draws)]
    low, high = np.quantile(finite, [0.025, 0.975]) if len(finite) else (np.nan, np.nan)
    return {"value": _correlation(x, y), "low": float(low), "high": float(high), "n": len(x)}


def _correlation(x: Floats, y: Floats) -> float:
    first, second = (rankdata(one) - (len(one) + 1) / 2 for one in (x, y))
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / size) if size > 0 else float("nan")
