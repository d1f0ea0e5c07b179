"""Pathfinder-like images, read as sequences of pixels: are the two dots the ends of one dashed curve?

After Linsley et al. (2018, arXiv 1805.08315) and the Pathfinder task of the Long Range Arena (Tay et al. 2020, arXiv
2011.04006), but drawn anew: these are not the published images, and scores on them are not scores on the Arena.

Every image has two long curves and shorter ones between, all dashed. The ends of the long ones are the corners of a
kite: each curve spans a side, and another side is as long, without a curve. The dots stand at the ends of a side, of
one with a curve or of one without; nothing else depends on the label. So each corner has a dot in half of the images of
either label, and mirrored about its axis the kite has curves where it had none. By construction, then, the label cannot
be told from where the dots stand or how far apart, nor from the mean of any pixel or of the ink. It is told by the
curves as seen from the dots; in part by the last dashes alone, which point to the other dot more often on a joining
curve (S = 16: boosting on eight pixels around each dot, three away from it, is right in .61).

R images, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqsci.errors import SeqsciError

Points = NDArray[np.complex128]
"""Row + i * column, pixels."""
TURN = 0.3
"""Standard deviation of how much a curve turns in a step of STEP pixels, radians."""
STEP = 0.5
DASH, GAP = 1.7, 1.3
"""Pixels of a dash and between two."""
LONG, SHORT = 0.9, 0.3
"""Length of the curves over the side of the image."""
CLEAR = 3.0
"""Pixels that two curves, or two far parts of one, keep from each other at least."""
APART = 4.0
"""Pixels between the dots at least: they never cover a pixel together, which would tell of their distance."""
INK, DOT = 150, 255
"""Grey of a dash and of a dot, of 255."""
POOL = 400
"""Curves that are drawn at once, from which images are put together."""
PLACES = 16
"""Kites that are tried for two curves."""
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
        curves, corners = next(source)
        # Curves span the first and the third side.
        side = 2 * draw.integers(2) + (not joined[row])
        dots = corners[[side, (side + 1) % 4]]
        images[row] = _drawn(draw, curves, dots, size)
        apart[row] = abs(dots[0] - dots[1])
    return Pathfinder(images.reshape(count, -1), joined, apart, size)


def _pictures(draw: np.random.Generator, size: int) -> Iterator[tuple[list[Points], Points]]:
    """Without end: curves, and (4,) the corners of the kite that the ends of the first two make."""
    more: list[Points] = []
    while True:
        curves = _curves(draw, LONG * size, size)
        curves = curves[abs(curves[:, 0] - curves[:, -1]) > APART]
        half = len(curves) // 2
        for first, second, corners in zip(*_kites(draw, curves[:half], curves[half : 2 * half], size), strict=True):
            if len(more) < TRIES:
                short = _curves(draw, SHORT * size, size)
                more += list(short + _shift(draw, short, size))
            tried = [more.pop() for _ in range(min(TRIES, len(more)))]
            yield _crowded([first, second], tried, size), corners


def _kites(draw: np.random.Generator, first: Points, second: Points, size: int) -> tuple[Points, Points, Points]:
    """Two curves (N, P) each, moved and turned so that their ends are the corners (N, 4) of a kite within the image.

    The first runs from corner 0 to 1, the second from 3 to 2; sides 0 and 1 are equally long, and so are sides 2 and 3.
    The mirror image about the axis through corners 1 and 3 would find room in the same place: it is as probable, and
    has its curves where this one has none. N is less than what is given, for not all find room.
    """
    pair = np.arange(len(first)).repeat(PLACES)
    arm, reach = (first[:, 0] - first[:, -1])[pair], (second[:, -1] - second[:, 0])[pair]
    turn = draw.uniform(-np.pi, np.pi, len(pair))
    axis, half = arm / abs(arm) * np.exp(0.5j * turn), abs(arm * np.sin(turn / 2))
    beyond = np.sqrt(np.maximum(abs(reach) ** 2 - half**2, 0)) * draw.choice([-1, 1], len(pair))
    far = axis * (abs(arm) * np.cos(turn / 2) + beyond)
    corners = np.stack([arm, 0 * arm, arm * np.exp(1j * turn), far], 1)
    fit = (half < abs(reach)) & (_room(corners, size) >= 0).all(0)
    pair, corners, reach, axis = pair[fit], corners[fit], reach[fit, None], axis[fit, None]
    first = first[pair] - first[pair, -1:]
    second = corners[:, 3:] + (second[pair] - second[pair, :1]) * (corners[:, 2:3] - corners[:, 3:]) / reach
    both = np.concatenate([first, second], 1)
    both = np.concatenate([both, axis**2 * both.conj()], 1)
    kept = np.flatnonzero((_room(both, size) >= 0).all(0))
    kept = kept[_clear(first[kept], second[kept])]
    # One place for each pair of curves, so that no two images show the same ones.
    chosen = kept[np.unique(pair[kept], return_index=True)[1]]
    shift = _shift(draw, both[chosen], size)
    return first[chosen] + shift, second[chosen] + shift, corners[chosen] + shift


def _crowded(curves: list[Points], more: list[Points], size: int) -> list[Points]:
    """With those of the shorter curves that find room, and not too many of them."""
    for one in more:
        if len(curves) < 2 + size // 10 and all(_clear(one[None], curve[None])[0] for curve in curves):
            curves.append(one)
    return curves


def _curves(draw: np.random.Generator, length: float, size: int) -> Points:
    """(N, P) curves of that many pixels that fit into the image and do not come near themselves; N <= POOL varies."""
    steps = round(length / STEP)
    heading = draw.uniform(0, 2 * np.pi, (POOL, 1)) + np.cumsum(draw.normal(0, TURN, (POOL, steps)), 1)
    paths = np.cumsum(STEP * np.exp(1j * heading), 1)
    paths = paths[(_room(paths, size) >= 0).all(0)]
    thin = paths[:, ::2]
    along = 2 * STEP * np.abs(np.subtract.outer(np.arange(thin.shape[1]), np.arange(thin.shape[1])))
    back = (_squared(thin, thin) < CLEAR**2) & (along > 2 * CLEAR)
    kept: Points = paths[~back.any((1, 2))]
    return kept


def _room(paths: Points, size: int) -> NDArray[np.float64]:
    """(2, N) rows and columns by which (N, P) points can be moved within the image, a pixel from its border."""
    room: NDArray[np.float64] = (size - 3) - np.stack([np.ptp(paths.real, 1), np.ptp(paths.imag, 1)])
    return room


def _shift(draw: np.random.Generator, paths: Points, size: int) -> Points:
    """(N, 1) what puts (N, P) points anywhere within the image."""
    down, right = 1 + draw.random((2, len(paths))) * _room(paths, size)
    shift: Points = down - paths.real.min(1) + 1j * (right - paths.imag.min(1))
    return shift[:, None]


def _clear(a: Points, b: Points) -> NDArray[np.bool_]:
    """(N,) whether the curves (N, P) and (N, Q) keep from each other."""
    clear: NDArray[np.bool_] = _squared(a[:, ::2], b[:, ::2]).min((1, 2), initial=np.inf) > CLEAR**2
    return clear


def _squared(a: Points, b: Points) -> NDArray[np.float64]:
    """(N, P, Q) squared distances of all points of two curves."""
    down, right = a.real[:, :, None] - b.real[:, None, :], a.imag[:, :, None] - b.imag[:, None, :]
    squared: NDArray[np.float64] = down * down + right * right
    return squared


def _drawn(draw: np.random.Generator, curves: list[Points], dots: Points, size: int) -> NDArray[np.uint8]:
    """(S, S) grey: the ink of a pixel falls with its distance from the nearest point of a dash."""
    dashes = []
    for curve in curves:
        along = STEP * np.arange(len(curve))
        # Dashes vary by one on a long curve: else its two ends would be inked alike, and so would two dots on it.
        every = 1 / (1 / (DASH + GAP) + draw.uniform(-0.5, 0.5) / (STEP * (len(curves[0]) - 1)))
        dashes.append(curve[(along / every + draw.random()) % 1 < DASH / (DASH + GAP)])
    grid = np.add.outer(np.arange(size), 1j * np.arange(size)).reshape(1, -1)

    def shade(points: Points, radius: float) -> NDArray[np.float64]:
        far: NDArray[np.float64] = np.sqrt(_squared(grid, points[None])[0].min(1))
        return np.clip(radius + 0.5 - far, 0, 1)

    grey = np.maximum(INK * shade(np.concatenate(dashes), 0.5), DOT * shade(dots, 1.0))
    return np.rint(grey).astype(np.uint8).reshape(size, size)
