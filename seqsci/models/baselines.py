"""Three forecasts that cost next to nothing; no result of seqsci is shown without them.

Each takes a split of windows and returns (W, H, C_out) in scaled units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PENALTIES = (1e-1, 1e2, 1e3, 1e4, 3e4)
CHUNK = 4096


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


class Ridge:
    """Linear map from the context to the horizon in closed form, one for all channels.

    The last value is subtracted before and added after (NLinear, Zeng et al. 2023). The penalty on the
    weights, not on the offset, is chosen on the validation windows.
    """

    def __init__(self, context: int, horizon: int) -> None:
        self.context, self.horizon = context, horizon
        self.penalty = float("nan")
        self.weights: Floats = np.zeros((context + 1, horizon))

    def fit(self, train: Span, val: Span) -> Ridge:
        """Solve for each penalty on `train`, keep the one with the least squared error on `val`."""
        gram, cross = self._moments(train)
        best = np.inf
        for penalty in PENALTIES:
            damping = np.eye(self.context + 1) * penalty
            damping[-1, -1] = 0
            weights: Floats = np.linalg.lstsq(gram + damping, cross, rcond=None)[0].astype(np.float64)
            loss = self._loss(val, weights)
            if loss < best:
                best, self.penalty, self.weights = loss, penalty, weights
        return self

    def predict(self, span: Span) -> Floats:
        """(W, H, C)."""
        return np.concatenate([self._apply(chunk, self.weights) for chunk in _chunks(span)])

    def _apply(self, span: Span, weights: Floats) -> Floats:
        past, last = self._past(span)
        return (past @ weights + last).swapaxes(1, 2)

    def _past(self, span: Span) -> tuple[Floats, Floats]:
        """(W, C, L + 1) contexts less their last value, with a 1 behind; and (W, C, 1) last values."""
        past = sliding_window_view(span.values, self.context, axis=0)[span.origins - self.context]
        last = past[..., -1:]
        return np.concatenate([past - last, np.ones_like(last)], axis=-1), last

    def _future(self, span: Span) -> tuple[Floats, NDArray[np.bool_]]:
        future = sliding_window_view(span.values, self.horizon, axis=0)[span.origins]
        seen = sliding_window_view(span.observed, self.horizon, axis=0)[span.origins]
        return future, seen

    def _moments(self, span: Span) -> tuple[Floats, Floats]:
        gram = np.zeros((self.context + 1, self.context + 1))
        cross = np.zeros((self.context + 1, self.horizon))
        for chunk in _chunks(span):
            past, last = self._past(chunk)
            future, seen = self._future(chunk)
            whole = seen.all(-1)
            x, y = past[whole], (future - last)[whole]
            gram += x.T @ x
            cross += x.T @ y
        return gram, cross

    def _loss(self, span: Span, weights: Floats) -> float:
        total, count = 0.0, 0
        for chunk in _chunks(span):
            future, seen = self._future(chunk)
            error = (self._apply(chunk, weights) - future.swapaxes(1, 2))[seen.swapaxes(1, 2)]
            total, count = total + float(error @ error), count + error.size
        return total / max(count, 1)


def _chunks(span: Span) -> list[Span]:
    return [
        Span(span.values, span.observed, span.origins[start : start + CHUNK])
        for start in range(0, len(span.origins), CHUNK)
    ]
