"""Forecasts that cost next to nothing; no result of seqsci is shown without them, nor without `ridge.py`'s.

Each takes a split of windows and returns (W, H, C_out) in scaled units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Span:
    """The scaled series that are forecast, with what is needed to cut windows.

    `values (N, C)` with gaps filled, `observed (N, C)`, `origins (W,)` rows where each forecast begins.
    """

    values: Floats
    observed: NDArray[np.bool_]
    origins: NDArray[np.int64]


def last_value(span: Span, horizon: int) -> Floats:
    """Repeat the last value."""
    return np.repeat(span.values[span.origins - 1][:, None], horizon, axis=1)


def seasonal_naive(span: Span, horizon: int, season: int) -> Floats:
    """Repeat the last season that was seen; it may lie before the context."""
    steps = np.arange(horizon)
    back = season * (steps // season + 1)
    rows = span.origins[:, None] + steps - back
    return span.values[np.maximum(rows, 0)]
