"""Intervals of forecasts and of their losses: block bootstrap and split conformal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqsci.data.shares import CASES

Floats = NDArray[np.floating]

BLOCKS = 3
"""Whole blocks that an interval needs: the means of fewer say next to nothing of how much a mean may vary."""


def enough(block: int) -> int:
    """Windows that an interval needs, if so many are a block."""
    return max(BLOCKS * block, CASES)


def block_bootstrap(losses: Floats, block: int, *, resamples: int, seed: int) -> tuple[float, float]:
    """95 % interval of the mean of a dependent series, by the circular block bootstrap.

    Overlapping windows share most of their steps, so neighbouring losses are nearly equal; resampling them
    one by one would give intervals far too narrow. Blocks keep the dependence (Politis and Romano 1992).

    Args:
        losses: (W,) per-window losses or loss differences, in the order of time.
        block: windows in a block, at least the horizon.
        resamples: number of resampled means.
        seed: of the generator.

    Returns:
        The two ends; NaN for fewer windows than `enough` says.
    """
    windows, block = len(losses), max(1, block)
    if windows < enough(block):
        return float("nan"), float("nan")
    circular = np.concatenate([losses, losses[: block - 1]]).astype(np.float64)
    sums = np.cumsum(np.concatenate([[0.0], circular]))
    means = (sums[block:] - sums[:-block]) / block
    starts = np.random.default_rng(seed).integers(0, windows, (resamples, -(-windows // block)))
    low, high = np.quantile(means[starts].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def conformal_radius(residuals: Floats, level: float, observed: NDArray[np.bool_]) -> Floats:
    """Half-width of the split-conformal interval, one for each horizon step and channel.

    The ceil((n + 1) level)-th smallest of n absolute validation residuals (Vovk et al. 2005; Lei et al. 2018);
    infinite where there are too few residuals for the level.

    Args:
        residuals: (W, H, C) validation residuals.
        level: coverage in (0, 1).
        observed: (W, H, C), False where there was nothing to compare with.

    Returns:
        (H, C) in the units of the residuals.
    """
    ordered = np.sort(np.where(observed, np.abs(residuals), np.inf), axis=0)
    count = observed.sum(axis=0)
    rank = np.ceil((count + 1) * level).astype(int)
    found = np.take_along_axis(ordered, np.clip(rank - 1, 0, len(ordered) - 1)[None], axis=0)[0]
    radius: Floats = np.where(rank <= count, found, np.inf)
    return radius
