"""Normal equations of linear maps from the context to the horizon, of which no window is ever cut.

All is relative to the last value of a context, which is added back behind (NLinear, Zeng et al., AAAI 2023, arXiv
2205.13504). The sums of products of two steps that all windows of a run of n share, R[i, j] = sum_t v[t + i] v[t + j],
follow from their first row,

    R[i + 1, j + 1] = R[i, j] + v[n + i] v[n + j] - v[i] v[j]

and hold all that the normal equations, and the squared error of any linear map, have to know.

W windows, L context, H horizon, C channels, M = L + H. The weights of a map are (L + 1, H): slopes of the L steps of
the context less its last value, and an offset.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from seqsci.models.baselines import Floats, Span

CHUNK = 1 << 23
"""Numbers in the windows that are cut at once."""
FILLED = 0.25
"""Of a horizon that may be filled in, where whole ones are scarce."""
RUNS = 512
"""Runs of windows whose ends are multiplied at once."""


@dataclass(frozen=True)
class Moments:
    """Sums of products over windows, relative to the last value of each context.

    x: the L steps of the context less the last value, and 1; y: the horizon less that value. `count` windows,
    `xx (L + 1, L + 1)`, `xy (L + 1, H)`, and `yy` of all steps together.
    """

    count: int
    xx: Floats
    xy: Floats
    yy: float

    def error(self, weights: Floats) -> float:
        """Sum of the squared errors of weights (L + 1, H)."""
        return self.yy + float(np.sum(weights * (self.xx @ weights - 2 * self.xy)))

    def left_by(self, weights: Floats, steps: int) -> Moments:
        """Of what weights (L + 1, H) leave of y, and of the last steps of x alone."""
        kept = [*range(len(self.xx) - 1 - steps, len(self.xx))]
        left = self.xy - self.xx @ weights
        return Moments(self.count, self.xx[np.ix_(kept, kept)], left[kept], self.error(weights))


class Normal:
    """Normal equations, decomposed once for all penalties; the offset is free of them.

    Args:
        moments: of the windows to fit.
        precision: (L,) how much dearer each slope is than the penalty says; 1 for all when not given.
    """

    def __init__(self, moments: Moments, precision: Floats | None = None) -> None:
        count = max(moments.count, 1)
        self.mean, self.level = moments.xx[:-1, -1] / count, moments.xy[-1] / count
        self.root = 1 / np.sqrt(np.ones(len(self.mean)) if precision is None else precision)
        xx = moments.xx[:-1, :-1] - count * np.outer(self.mean, self.mean)
        xy = moments.xy[:-1] - count * np.outer(self.mean, self.level)
        values, self.vectors = np.linalg.eigh(self.root[:, None] * xx * self.root)
        self.values, self.turned = values.clip(0)[:, None], self.vectors.T @ (self.root[:, None] * xy)

    def slopes(self, penalty: float | Floats) -> Floats:
        """(L, H), with one penalty or one for each step of the horizon."""
        return self.root[:, None] * np.asarray(self.vectors @ (self.turned / (self.values + penalty)))

    def weights(self, penalty: float | Floats) -> Floats:
        """(L + 1, H): the slopes, and the offset that goes with them."""
        slopes = self.slopes(penalty)
        return np.vstack([slopes, self.level - self.mean @ slopes])


def moments(span: Span, context: int, horizon: int, filled: bool = False) -> Moments:
    """Of all windows and channels whose horizon was observed in whole.

    Args:
        span: the windows.
        context: L.
        horizon: H.
        filled: whether, where these are fewer than half of a channel, others are taken as they have been filled: those
            that miss no more steps than half of the windows do, and at most `FILLED` of all.
    """
    steps = context + horizon
    row, total, count = np.zeros(steps), np.zeros(steps), 0
    first, last = [np.zeros(steps)], [np.zeros(steps)]
    growth = np.zeros((steps, steps))
    missing = _missing(span, horizon)
    most = np.minimum(np.median(missing, 0), FILLED * horizon) if filled and len(missing) else 0
    for series, begin, runs in _runs(span, context, missing <= most):
        piece = series[begin : begin + runs + steps - 1]
        # All is relative to the last value in the end: so near 0, where squares are exact.
        piece = piece - piece.mean()
        row += np.correlate(piece, piece[:runs])
        sums = np.concatenate([[0.0], piece.cumsum()])
        total += sums[runs:] - sums[:steps]
        first.append(piece[:steps])
        last.append(np.append(piece[runs:], 0.0))
        count += runs
        if len(first) == RUNS:
            growth += _ends(first, last)
            first, last = [], []
    growth += _ends(first, last) if first else 0
    products = np.empty((steps, steps))
    products[0], products[:, 0] = row, row
    for i in range(steps - 1):
        products[i + 1, 1:] = products[i, :-1] + growth[i, :-1]
    return _relative(products, total, count, context)


def squared_error(known: Moments, span: Span, weights: Floats) -> float:
    """Sum at all observed steps: `known` of the span has the windows whose horizon was observed in whole."""
    horizon = weights.shape[1]
    seen, partly = sliding_window_view(span.observed, horizon, axis=0), _missing(span, horizon).any(-1)
    total = known.error(weights)
    for chunk in _chunks(Span(span.values, span.observed, span.origins[partly]), len(weights) + horizon):
        future = sliding_window_view(span.values, horizon, axis=0)[chunk]
        counts = seen[chunk] & ~seen[chunk].all(-1, keepdims=True)
        total += float((((_apply(span, chunk, weights) - future) * counts) ** 2).sum())
    return total


def forecasts(span: Span, weights: Floats) -> Floats:
    """(W, H, C), of the same weights for every channel."""
    parts = [_apply(span, chunk, weights) for chunk in _chunks(span, sum(weights.shape))]
    return np.concatenate(parts).swapaxes(1, 2)


def beginnings(train: Span, own: int, context: int) -> NDArray[np.int64]:
    """Where training windows of a context begin, those of the network's own being given.

    Where they begin with the first full context, so do the others.
    """
    first = int(train.origins.min())
    earlier = np.arange(context, first) if first == own else train.origins[:0]
    return np.concatenate([earlier, train.origins[train.origins >= context]])


def _ends(first: list[Floats], last: list[Floats]) -> Floats:
    """(M, M): what is new at the end of all runs less what is left behind at their beginning."""
    old, new = np.array(first), np.array(last)
    return new.T @ new - old.T @ old


def _relative(products: Floats, total: Floats, count: int, context: int) -> Moments:
    """From plain sums over windows: of products (M, M), and of the steps themselves (M,)."""
    last = products[context - 1]
    steps = products - last - last[:, None] + last[context - 1]
    ones = total - total[context - 1]
    x, y = slice(0, context), slice(context, None)
    return Moments(
        count=count,
        xx=np.block([[steps[x, x], ones[x, None]], [ones[None, x], np.array([[float(count)]])]]),
        xy=np.vstack([steps[x, y], ones[y]]),
        yy=float(np.trace(steps[y, y])),
    )


def _runs(span: Span, context: int, taken: NDArray[np.bool_]) -> Iterator[tuple[Floats, int, int]]:
    """A channel, the row where the first context of a run begins, and how many of the windows taken follow each other.

    taken: (W, C).
    """
    for channel in range(span.values.shape[1]):
        origins = span.origins[taken[:, channel]]
        for run in np.split(origins, np.flatnonzero(np.diff(origins) != 1) + 1):
            if len(run):
                yield span.values[:, channel], int(run[0]) - context, len(run)


def _missing(span: Span, horizon: int) -> NDArray[np.int64]:
    """(W, C): how many steps of the horizon were not observed."""
    counts = np.concatenate([np.zeros((1, span.observed.shape[1]), np.int64), span.observed.cumsum(0)])
    return np.asarray(horizon - (counts[span.origins + horizon] - counts[span.origins]))


def _apply(span: Span, origins: NDArray[np.int64], weights: Floats) -> Floats:
    """(W, C, H) forecasts."""
    context = len(weights) - 1
    past = sliding_window_view(span.values, context, axis=0)[origins - context]
    last = past[..., -1:]
    forecast: Floats = (past - last) @ weights[:-1] + last + weights[-1]
    return forecast


def _chunks(span: Span, steps: int) -> list[NDArray[np.int64]]:
    """The origins in parts whose windows take little memory; at least one, though it may be empty."""
    size = max(1, CHUNK // (steps * span.values.shape[1]))
    return [span.origins[start : start + size] for start in range(0, max(len(span.origins), 1), size)]
