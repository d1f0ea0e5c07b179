"""Ridge regression from the context to the horizon in closed form, one for all channels: the baseline to beat.

The last value is subtracted before and added after (NLinear, Zeng et al., AAAI 2023, arXiv 2205.13504). Its context
and its penalty are chosen on validation. That is cheap, as no window is ever cut for it: the sums of products of two
steps that all windows of a run of n share, R[i, j] = sum_t v[t + i] v[t + j], follow from their first row,

    R[i + 1, j + 1] = R[i, j] + v[n + i] v[n + j] - v[i] v[j]

and hold all that the normal equations, and the squared error of any linear map, have to know.

W windows, L context, H horizon, C channels, M = L + H.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from seqsci.models.baselines import Floats, Span

PENALTIES = (1e-1, 1e2, 1e3, 1e4, 3e4)
CONTEXTS = (96, 336, 512, 720)
"""Contexts that are tried beside the network's own, where the data allow it."""
LEAST_SHARE = 0.5
"""Of the training windows that another context must leave."""
CHUNK = 1 << 23
"""Numbers in the windows that are cut at once."""
RUNS = 512
"""Runs of windows whose ends are multiplied at once."""


@dataclass(frozen=True)
class Moments:
    """Sums of products over windows of every channel, relative to the last value of each context.

    x: the L steps of the context less the last value, that value itself, and 1; y: the horizon less that value.
    `count` windows, `xx (L + 2, L + 2)`, `xy (L + 2, H)`, and `yy` of all steps together.
    """

    count: int
    xx: Floats
    xy: Floats
    yy: float

    def error(self, weights: Floats) -> float:
        """Sum of the squared errors of weights (L + 2, H)."""
        return self.yy + float(np.sum(weights * (self.xx @ weights - 2 * self.xy)))

    def solutions(self, penalties: Sequence[float], levels: Sequence[float]) -> Iterator[tuple[float, float, Floats]]:
        """Weights (L + 2, H) of each pair of penalties, that on the last value as a share of `count`.

        One decomposition serves all: the offset is eliminated first, the last value after the others.
        """
        count = max(self.count, 1)
        mean, level = self.xx[:-1, -1] / count, self.xy[-1] / count
        xx, xy = self.xx[:-1, :-1] - count * np.outer(mean, mean), self.xy[:-1] - count * np.outer(mean, level)
        values, vectors = np.linalg.eigh(xx[:-1, :-1])
        along, turned = vectors.T @ xx[:-1, -1], vectors.T @ xy[:-1]
        for penalty in penalties:
            inverse = 1 / (values.clip(0) + penalty)
            rest, alone = xx[-1, -1] - along @ (inverse * along), xy[-1] - (inverse * along) @ turned
            for share in levels:
                own = alone / (max(rest, 0) + share * count) if share < np.inf else np.zeros_like(alone)
                slope = vectors @ (inverse[:, None] * (turned - np.outer(along, own)))
                yield penalty, share, np.vstack([slope, own, level - mean[:-1] @ slope - mean[-1] * own])


class Ridge:
    """Linear map from the context to the horizon.

    The penalty is on the weights, not on the offset. Whatever the context, it forecasts the same windows.

    Args:
        context: L of the network that it stands beside.
        horizon: H.
        others: contexts that it may choose instead; of those the data are too short for, none is tried.
        levels: penalties on a weight of the last value, as shares of the number of windows, of which one is chosen
            on validation too; by default that value has no weight but the 1 with which it is added back.
    """

    def __init__(
        self, context: int, horizon: int, others: Sequence[int] = (), levels: Sequence[float] = (np.inf,)
    ) -> None:
        self.context, self.horizon, self.others, self.levels = context, horizon, others, levels
        self.penalty = self.level = float("nan")
        self.weights: Floats = np.zeros((context + 2, horizon))

    def fit(self, train: Span, val: Span) -> Ridge:
        """Solve for each context and penalty on `train`, keep those with the least squared error on `val`."""
        best, own = np.inf, self.context
        for context in sorted({own, *self.others}):
            fitting = Span(train.values, train.observed, _beginnings(train, own, context))
            enough = len(fitting.origins) >= LEAST_SHARE * len(train.origins) and val.origins.min() >= context
            if context != own and not enough:
                continue
            known, seen = moments(fitting, context, self.horizon), moments(val, context, self.horizon)
            for penalty, level, weights in known.solutions(PENALTIES, self.levels):
                loss = seen.error(weights) + _error_of_the_rest(val, weights, self.horizon)
                if loss < best:
                    best, self.context, self.weights = loss, context, weights
                    self.penalty, self.level = penalty, level
        return self

    def predict(self, span: Span) -> Floats:
        """(W, H, C)."""
        parts = [_apply(span, chunk, self.weights) for chunk in _chunks(span, self.context + self.horizon)]
        return np.concatenate(parts).swapaxes(1, 2)


def moments(span: Span, context: int, horizon: int) -> Moments:
    """Of all windows and channels whose horizon was observed in whole."""
    steps = context + horizon
    row, total, count = np.zeros(steps), np.zeros(steps), 0
    first, last = [np.zeros(steps)], [np.zeros(steps)]
    growth = np.zeros((steps, steps))
    for series, begin, runs in _runs(span, context, horizon):
        piece = series[begin : begin + runs + steps - 1]
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


def _ends(first: list[Floats], last: list[Floats]) -> Floats:
    """(M, M): what is new at the end of all runs less what is left behind at their beginning."""
    old, new = np.array(first), np.array(last)
    return new.T @ new - old.T @ old


def _relative(products: Floats, total: Floats, count: int, context: int) -> Moments:
    """From plain sums over windows: of products (M, M), and of the steps themselves (M,)."""
    last, mean = products[context - 1], total[context - 1]
    steps = products - last - last[:, None] + last[context - 1]
    levels, ones = last - last[context - 1], total - mean
    x, y = slice(0, context), slice(context, None)
    tail = np.array([[last[context - 1], mean], [mean, float(count)]])
    beside = np.stack([levels[x], ones[x]], 1)
    return Moments(
        count=count,
        xx=np.block([[steps[x, x], beside], [beside.T, tail]]),
        xy=np.vstack([steps[x, y], levels[y], ones[y]]),
        yy=float(np.trace(steps[y, y])),
    )


def _beginnings(train: Span, own: int, context: int) -> NDArray[np.int64]:
    """Where training windows of a context begin, those of the network's own being given.

    Where they begin with the first full context, so do the others.
    """
    first = int(train.origins.min())
    earlier = np.arange(context, first) if first == own else train.origins[:0]
    return np.concatenate([earlier, train.origins[train.origins >= context]])


def _runs(span: Span, context: int, horizon: int) -> Iterator[tuple[Floats, int, int]]:
    """A channel, the row where the first context of a run begins, and how many windows follow each other."""
    whole = _whole(span, horizon)
    for channel in range(span.values.shape[1]):
        origins = span.origins[whole[:, channel]]
        for run in np.split(origins, np.flatnonzero(np.diff(origins) != 1) + 1):
            if len(run):
                yield span.values[:, channel], int(run[0]) - context, len(run)


def _whole(span: Span, horizon: int) -> NDArray[np.bool_]:
    """(W, C): whether every step of the horizon was observed."""
    counts = np.concatenate([np.zeros((1, span.observed.shape[1]), np.int64), span.observed.cumsum(0)])
    return np.asarray(counts[span.origins + horizon] - counts[span.origins] == horizon)


def _error_of_the_rest(span: Span, weights: Floats, horizon: int) -> float:
    """Sum of the squared errors at the observed steps of windows whose horizon was observed in part."""
    seen, partly = sliding_window_view(span.observed, horizon, axis=0), ~_whole(span, horizon).all(-1)
    total = 0.0
    for chunk in _chunks(Span(span.values, span.observed, span.origins[partly]), len(weights) + horizon):
        future = sliding_window_view(span.values, horizon, axis=0)[chunk]
        counts = seen[chunk] & ~seen[chunk].all(-1, keepdims=True)
        total += float((((_apply(span, chunk, weights) - future) * counts) ** 2).sum())
    return total


def _apply(span: Span, origins: NDArray[np.int64], weights: Floats) -> Floats:
    """(W, C, H) forecasts."""
    context = len(weights) - 2
    past = sliding_window_view(span.values, context, axis=0)[origins - context]
    last = past[..., -1:]
    forecast: Floats = (past - last) @ weights[:-2] + last * (1 + weights[-2]) + weights[-1]
    return forecast


def _chunks(span: Span, steps: int) -> list[NDArray[np.int64]]:
    """The origins in parts whose windows take little memory; at least one, though it may be empty."""
    size = max(1, CHUNK // (steps * span.values.shape[1]))
    return [span.origins[start : start + size] for start in range(0, max(len(span.origins), 1), size)]
