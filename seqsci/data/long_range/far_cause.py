"""Forecasting with a far cause: what comes next was told once, long before the end of the context.

The context is white noise, in which at one place a mark of height MARK stands, and right behind it the cause a. The
horizon of H steps is that of a wave of amplitude a:

    y_h = a sqrt(2) cos(2 pi h / H) + noise e_h,   a uniform on [-sqrt 3, sqrt 3], e_h standard normal

a has mean 0 and variance 1 and lies within the noise of the context, so that only its place behind the mark tells it,
and the last steps tell nothing. Hence two errors are known: who knows a has at best noise^2 (`floor`), and who has not
seen it can do no better than to forecast 0, with noise^2 + 1 (`blind`).

R rows, L steps of context, H of horizon.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqsci.errors import SeqsciError

MARK = 6.0
"""Height of the mark, in standard deviations of the context."""


@dataclass(frozen=True)
class FarCause:
    """`context (R, L)` and `horizon (R, H)` float32; `cause (R,)` a; `place (R,)` int64 of the step that tells it."""

    context: NDArray[np.float32]
    horizon: NDArray[np.float32]
    cause: NDArray[np.float64]
    place: NDArray[np.int64]
    floor: float
    """Mean squared error of the best forecast that knows the cause."""
    blind: float
    """Mean squared error of the best forecast that does not."""


def far_cause(
    seed: int, count: int, *, length: int = 256, distance: int = 192, horizon: int = 8, noise: float = 0.3
) -> FarCause:
    """Series whose horizon is decided by one step far back.

    Args:
        seed: of all draws.
        count: R.
        length: L.
        distance: steps at least from the one that tells the cause to the first of the horizon; its place is drawn
            from all that are as far.
        horizon: H, at least 3: then a whole wave has mean square 1.
        noise: standard deviation of what nobody can know of the horizon.

    Raises:
        SeqsciError: no room for the mark, or a horizon that holds no wave.
    """
    if not 1 <= distance < length or horizon < 3 or noise < 0:
        raise SeqsciError(
            f"far cause: distance {distance} in a context of {length} steps, horizon {horizon}, noise {noise:g}; take "
            f"a distance from 1 to {length - 1}, a horizon of at least 3 and noise of at least 0"
        )
    draw = np.random.default_rng(seed)
    context = draw.normal(size=(count, length))
    cause = draw.uniform(-np.sqrt(3), np.sqrt(3), count)
    place = draw.integers(1, length - distance + 1, count)
    rows = np.arange(count)
    context[rows, place - 1], context[rows, place] = MARK, cause
    wave = np.sqrt(2) * np.cos(2 * np.pi * np.arange(1, horizon + 1) / horizon)
    future = cause[:, None] * wave + noise * draw.normal(size=(count, horizon))
    floor = noise**2
    return FarCause(context.astype(np.float32), future.astype(np.float32), cause, place, floor, floor + 1)
