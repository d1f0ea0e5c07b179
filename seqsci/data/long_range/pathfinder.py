"""Pathfinder-like images, read as sequences of pixels: are the two dots the ends of one dashed curve?

After Linsley et al. (2018, arXiv 1805.08315) and the Pathfinder task of the Long Range Arena (Tay et al. 2020, arXiv
2011.04006), but drawn anew: these are not the published images, and scores on them are not scores on the Arena.

Every image has two long curves and shorter ones between, all dashed. The dots stand at both ends of one long curve, or
at one end of each. The same number of curves and dots is drawn either way, and only such curves are taken whose ends
lie about as far apart as those of the two dots that stand on different ones. What little is left: where the dots stand
depends a little on the label, so that a logistic regression of the pixels (S = 16, 2000 images) is right in .55.

R images, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqsci.errors import SeqsciError

Points = NDArray[np.float64]
TURN = 0.22
"""Standard deviation of how much a curve turns in a step of STEP pixels, radians."""
STEP = 0.5
DASH, GAP = 1.7, 1.3
"""Pixels of a dash and between two."""
LONG, SHORT = 0.9, 0.3
"""Length of the curves over the side of the image."""
CLEAR = 2.6
"""Pixels that two curves, or two far parts of one, keep from each other at least."""
INK, DOT = 150, 255
"""Grey of a dash and of a dot, of 255."""
POOL = 400
"""Curves that are drawn at once, from which images are put together."""
TRIES = 8
"""Shorter curves that are tried for an image."""
SMALLEST = 12


@dataclass(frozen=True)
class Pathfinder:
    """`pixels (R, S * S)` uint8, row by row; `joined (R,)` True where one curve joins the dots; `apart (R,)`, the
    distance of the dots in pixels."""

    pixels: NDArray[np.uint8]
    joined: NDArray[np.bool_]
    apart: NDArray[np.float64]
    size: int

    @property
    def images(self) -> NDArray[np.uint8]:
        """(R, S, S)."""
        return self.pixels.reshape(-1, self.size, self.size)


def pathfinder(seed: int, count: int, *, size: int = 32) -> Pathfinder:
    """Images of dashed curves with two dots; half of them, to within one, have the dots on one curve.

    Args:
        seed: of all draws.
        count: R.
        size: S; a long curve has nine tenths as many pixels.

    Raises:
        SeqsciError: an image too small for two curves.
    """
    if size < SMALLEST:
        raise SeqsciError(f"pathfinder: {size} pixels a side; take at least {SMALLEST}")
    draw = np.random.default_rng(seed)
    joined = draw.permuted(np.arange(count) % 2 == 0)
    images = np.zeros((count, size, size), dtype=np.uint8)
    apart = np.zeros(count)
    source = _pictures(draw, size)
    for row in range(count):
        curves, same, other = next(source)
        dots = same if joined[row] else other
        images[row] = _drawn(draw, curves, dots, size)
        apart[row] = float(np.hypot(*(dots[0] - dots[1])))
    return Pathfinder(images.reshape(count, -1), joined, apart, size)


def _pictures(draw: np.random.Generator, size: int) -> Iterator[tuple[list[Points], Points, Points]]:
    """Without end: curves, and where the two dots would stand on one and on different ones, (2, 2) each."""
    near = max(1.5, size / 12)
    """Pixels by which the distances of the dots may differ between the two labels."""
    more: list[Points] = []
    while True:
        curves = _walks(draw, size, LONG * size)
        curves = curves[: len(curves) // 2 * 2]
        first, second = curves[::2], curves[1::2]
        rows = np.arange(len(first))
        same = first[:, [0, -1]]
        ends = -draw.integers(2, size=(2, len(first)))
        other = np.stack([first[rows, ends[0]], second[rows, ends[1]]], 1)
        matched = np.abs(_apart(same) - _apart(other)) < near
        for row in np.flatnonzero(matched)[_clear(first[matched], second[matched])]:
            if len(more) < TRIES:
                more += list(_walks(draw, size, SHORT * size))
            tried = [more.pop() for _ in range(min(TRIES, len(more)))]
            yield _crowded([first[row], second[row]], tried, size), same[row], other[row]


def _crowded(curves: list[Points], more: list[Points], size: int) -> list[Points]:
    """With those of the shorter curves that find room, and not too many of them."""
    for one in more:
        if len(curves) < 2 + size // 10 and all(_clear(one[None], curve[None])[0] for curve in curves):
            curves.append(one)
    return curves


def _walks(draw: np.random.Generator, size: int, length: float) -> Points:
    """(N, P, 2) curves of that many pixels within the image that do not come near themselves; N <= POOL varies."""
    steps = round(length / STEP)
    heading = draw.uniform(0, 2 * np.pi, (POOL, 1)) + np.cumsum(draw.normal(0, TURN, (POOL, steps)), 1)
    paths = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], -1) * STEP, 1)
    low, high = paths.min(1), paths.max(1)
    room = size - 3 - (high - low)
    paths = paths + (1 + draw.random((POOL, 2)) * room - low)[:, None]
    paths = paths[(room >= 0).all(1)]
    thin = paths[:, ::2]
    along = 2 * STEP * np.abs(np.subtract.outer(np.arange(thin.shape[1]), np.arange(thin.shape[1])))
    back = (_squared(thin, thin) < CLEAR**2) & (along > 2 * CLEAR)
    kept: Points = paths[~back.any((1, 2))]
    return kept


def _clear(a: Points, b: Points) -> NDArray[np.bool_]:
    """(N,) whether the curves (N, P, 2) and (N, Q, 2) keep from each other."""
    clear: NDArray[np.bool_] = _squared(a[:, ::2], b[:, ::2]).min((1, 2), initial=np.inf) > CLEAR**2
    return clear


def _squared(a: Points, b: Points) -> Points:
    """(N, P, Q) squared distances of all points of two curves."""
    down, right = (a[:, :, None, axis] - b[:, None, :, axis] for axis in (0, 1))
    squared: Points = down * down + right * right
    return squared


def _apart(dots: Points) -> Points:
    """(N,) distances of pairs of dots (N, 2, 2)."""
    apart: Points = np.hypot(*(dots[:, 0] - dots[:, 1]).T)
    return apart


def _drawn(draw: np.random.Generator, curves: list[Points], dots: Points, size: int) -> NDArray[np.uint8]:
    """(S, S) grey: the ink of a pixel falls with its distance from the nearest point of a dash."""
    dashes = []
    for curve in curves:
        along = STEP * np.arange(len(curve)) + draw.uniform(0, DASH + GAP)
        dashes.append(curve[along % (DASH + GAP) < DASH])
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), -1).reshape(-1, 1, 2)

    def shade(points: Points, radius: float) -> NDArray[np.float64]:
        far: NDArray[np.float64] = np.sqrt(((grid - points) ** 2).sum(-1).min(1))
        return np.clip(radius + 0.5 - far, 0, 1)

    grey = np.maximum(INK * shade(np.concatenate(dashes), 0.5), DOT * shade(dots, 1.0))
    return np.rint(grey).astype(np.uint8).reshape(size, size)
