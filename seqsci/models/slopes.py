"""A linear path from the context to the horizon: slopes that all series share, and what each has of its own.

Of series c, relative to the last value l (see `moments.py`),

    y_ch = l + sum_i (w_hi + u_chi) (x_ci - l) + b_ch

is solved twice in closed form: w on all series together, then u on what w leaves of each. Both are normal with mean 0
before the data are seen (Hoerl and Kennard, Technometrics 1970), and what is known of load and of weather is in their
precisions: a step that is older by S steps of a season tells less, by e^(1/4) of w and e^(1/1.25) of u; a series'
own way shows in the first days, so that u is held to 0 the more, the later in the horizon. Last, the weights of the
same hour on neighbouring days of the horizon are averaged, the wider the later the day: what is said of day 20 hardly
differs from what is said of day 21, but its noise does.

The form and the constants below were found on ETTh1's training and validation rows, by blocks of four months held out
in turn and by windows behind all that was trained on, but for one choice that benchmarks/RESULTS.md tells: that nothing
goes back to the level of the training rows. Penalties and widths are chosen on validation anew.

L context, H horizon, C channels, S steps of a season, n = min(L, 7 S).
"""

from __future__ import annotations

import numpy as np

from seqsci.models.baselines import Floats, Span
from seqsci.models.moments import Moments, Normal, moments, squared_error

PENALTIES = (1e1, 1e2, 3e2, 1e3, 3e3, 1e4)
"""On shared slopes, of the last step."""
OWN_PENALTIES = (1e2, 3e2, 1e3, 3e3, np.inf)
"""On own slopes in the first step of the horizon; the last leaves none."""
WIDTHS = (0.0, 0.25, 0.5, 1.0)
"""Of the mean over days of the horizon: its deviation on day d, from 0, is as many times d + 1 days."""
MEMORY, OWN_MEMORY = 4.0, 1.25
"""Seasons by which the precision of a shared, of an own slope grows by e."""
FARTHEST = 300
"""Of such powers of e: what is beyond tells nothing."""
CHOICES = ("penalty", "own_penalty", "width")
OWN_SEASONS = 7
"""Own slopes are of the last steps alone, of so many seasons."""


class Slopes:
    """The linear path; its own slopes take 4 C n H bytes (7 hourly series and H = 720: 3 MB; 800: 390 MB).

    Args:
        context: L.
        horizon: H.
        season: S steps, such as 24 of an hourly series.

    Attributes:
        shared: (L, H); own: (C, n, H) of the last n steps; offset: (C, H); after `fit`.
        chosen: what validation chose, of `CHOICES`.
    """

    def __init__(self, context: int, horizon: int, season: int) -> None:
        self.context, self.horizon, self.season = context, horizon, season
        self.chosen: dict[str, float] = {}
        self.shared: Floats = np.zeros((context, horizon))
        self.own: Floats = np.zeros((0, own_steps(context, season), horizon))
        self.offset: Floats = np.zeros((0, horizon))

    def fit(self, train: Span, val: Span) -> Slopes:
        """Solve on windows of `train`, choose by the squared error on `val`."""
        penalty, weights = self._for_all(train, val)
        means = [(width, self._mean_over_days(width)) for width in WIDTHS if width == 0 or self.horizon > self.season]
        losses = np.zeros((len(OWN_PENALTIES), len(means)))
        channels = range(train.values.shape[1])
        for channel in channels:
            alone = _one(val, channel)
            known, departures = moments(alone, self.context, self.horizon), self._own(_one(train, channel), weights)
            for i, own in enumerate(OWN_PENALTIES):
                whole = weights + departures(own)
                losses[i] += [squared_error(known, alone, whole @ mean) for _, mean in means]
        first, second = divmod(int(losses.argmin()), len(means))
        own, (width, mean) = OWN_PENALTIES[first], means[second]
        self.shared = weights[:-1] @ mean
        # In single precision at once: a panel may have many channels.
        self.own = np.zeros((len(channels), *self.own.shape[1:]), np.float32)
        self.offset = np.zeros((len(channels), self.horizon))
        for channel in channels:
            departure = self._own(_one(train, channel), weights)(own) @ mean
            self.own[channel] = departure[-1 - self.own.shape[1] : -1]
            self.offset[channel] = weights[-1] @ mean + departure[-1]
        self.chosen = dict(zip(CHOICES, (penalty, own, width), strict=True))
        return self

    def _for_all(self, train: Span, val: Span) -> tuple[float, Floats]:
        """Penalty and weights (L + 1, H) of one map for all series."""
        normal = Normal(moments(train, self.context, self.horizon, filled=True), self._precision(self.context, MEMORY))
        seen = moments(val, self.context, self.horizon)
        found = [(penalty, normal.weights(penalty)) for penalty in PENALTIES]
        return min(found, key=lambda one: squared_error(seen, val, one[1]))

    def _own(self, train: Span, weights: Floats) -> _Departures:
        steps = self.own.shape[1]
        known = moments(train, self.context, self.horizon, filled=True).left_by(weights, steps)
        later = 1 + np.arange(self.horizon) / self.season
        return _Departures(known, self._precision(steps, OWN_MEMORY), later, len(weights))

    def _precision(self, steps: int, memory: float) -> Floats:
        """(steps,), 1 of the last."""
        return np.exp(np.minimum(np.arange(steps)[::-1] / (memory * self.season), FARTHEST))

    def _mean_over_days(self, width: float) -> Floats:
        """(H, H): what is multiplied from the right takes the mean over the same hour of neighbouring days."""
        if width == 0:
            return np.eye(self.horizon)
        day, hour = np.divmod(np.arange(self.horizon), self.season)
        nearness = np.exp(-0.5 * ((day[:, None] - day) / (width * (1 + day))) ** 2)
        mean: Floats = np.where(hour[:, None] == hour, nearness, 0)
        return mean / mean.sum(0)


class _Departures:
    """Of one series, for any penalty: weights (L + 1, H) to add to the shared ones.

    They have no offset but what leaves the mean of its windows where the shared weights put it: a year of one series
    says too little of its drift.
    """

    def __init__(self, known: Moments, precision: Floats, later: Floats, rows: int) -> None:
        self.normal, self.later, self.rows = Normal(known, precision), later, rows

    def __call__(self, penalty: float) -> Floats:
        weights = np.zeros((self.rows, len(self.later)))
        if np.isfinite(penalty):
            slopes = self.normal.slopes(penalty * self.later)
            weights[-1 - len(slopes) : -1], weights[-1] = slopes, -self.normal.mean @ slopes
        return weights


def own_steps(context: int, season: int) -> int:
    """n: how many of the last steps have slopes of one series."""
    return min(context, OWN_SEASONS * season)


def _one(span: Span, channel: int) -> Span:
    return Span(span.values[:, [channel]], span.observed[:, [channel]], span.origins)
