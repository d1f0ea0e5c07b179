"""Intervals: how many cases one needs, and those of what is counted."""

from __future__ import annotations

import math

Measure = dict[str, float | None]
"""`value`, `low` and `high`: an estimate and the ends of its 95 % interval, None where nothing can be said."""
CASES = 10
"""Cases (records, objects, windows) that an interval by resampling needs: of fewer it says next to nothing of how much
a score may vary, and mostly too little, since the same few are drawn again and again."""
FEW = 20
"""Records below which a resampled divergence has no interval: it would tell of the resampling more than of them."""
_Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""


def share(hits: int, of: int) -> Measure:
    """A share of independent records with its 95 % interval by Wilson's score (J. Am. Stat. Assoc. 22, 209, 1927).

    Unlike a bootstrap's it has a width where all or none are hits: of 0 in 20, 0 to 0.16.
    """
    if not of:
        return alone(None)
    p, z = hits / of, _Z**2 / of
    centre, half = p + z / 2, _Z * math.sqrt(p * (1 - p) / of + z / (4 * of))
    low = 0.0 if hits == 0 else (centre - half) / (1 + z)
    high = 1.0 if hits == of else (centre + half) / (1 + z)
    return {"value": p, "low": low, "high": high}


def alone(value: float | None) -> Measure:
    """A value without an interval.

    Such as the share of distinct records: to draw records anew repeats some, so that each resample has fewer distinct
    ones than the sample.
    """
    return {"value": value, "low": None, "high": None}
