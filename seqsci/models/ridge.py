"""Ridge regression from the context to the horizon in closed form, one for all channels: the baseline to beat.

It is relative to the last value (NLinear, Zeng et al., AAAI 2023, arXiv 2205.13504; in closed form as in Toner and
Darlow, ICML 2024, arXiv 2403.14587). Its context and its penalty are chosen on validation, which is cheap: see
`moments.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqsci.models.baselines import Floats, Span
from seqsci.models.moments import Normal, beginnings, forecasts, moments, squared_error

PENALTIES = (1e-1, 1e2, 1e3, 1e4, 3e4)
CONTEXTS = (96, 336, 512, 720)
"""Contexts that are tried beside the network's own, where the data allow it."""
LEAST_SHARE = 0.5
"""Of the training windows that another context must leave."""


class Ridge:
    """Linear map from the context to the horizon.

    The penalty is on the slopes, not on the offset. Whatever the context, it forecasts the same windows.

    Args:
        context: L of the network that it stands beside.
        horizon: H.
        others: contexts that it may choose instead; of those the data are too short for, none is tried.
    """

    def __init__(self, context: int, horizon: int, others: Sequence[int] = ()) -> None:
        self.context, self.horizon, self.others = context, horizon, others
        self.penalty = float("nan")
        self.weights: Floats = np.zeros((context + 1, horizon))

    def fit(self, train: Span, val: Span) -> Ridge:
        """Solve for each context and penalty on `train`, keep those with the least squared error on `val`."""
        best, own = np.inf, self.context
        for context in sorted({own, *self.others}):
            fitting = Span(train.values, train.observed, beginnings(train, own, context))
            enough = len(fitting.origins) >= LEAST_SHARE * len(train.origins) and val.origins.min() >= context
            if context != own and not enough:
                continue
            normal, seen = (
                Normal(moments(fitting, context, self.horizon, filled=True)),
                moments(val, context, self.horizon),
            )
            for penalty in PENALTIES:
                weights = normal.weights(penalty)
                loss = squared_error(seen, val, weights)
                if loss < best:
                    best, self.context, self.weights, self.penalty = loss, context, weights, penalty
        return self

    def predict(self, span: Span) -> Floats:
        """(W, H, C)."""
        return forecasts(span, self.weights)
