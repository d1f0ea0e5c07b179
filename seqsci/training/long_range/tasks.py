"""What each task gives to read and asks for.

B rows, L steps, A answers, K classes, H horizon.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from seqsci.data import long_range
from seqsci.training.long_range.scales import Scale

SPLITS = ("train", "val", "test")
VALUES = 8
"""Different values of passkey, recall and copying."""


@dataclass(frozen=True)
class Rows:
    """`inputs` (B, L) int64 tokens, uint8 pixels or float32 values; `mask` (B, L) True where a step is real;
    `target` (B,) or (B, A) int64 classes, or (B, H) float32. `beside`: the second text of a pair and its mask."""

    inputs: Tensor
    mask: Tensor
    target: Tensor
    beside: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def split(self, size: int) -> list[Rows]:
        """In order, so many rows at once."""
        return [self.take(slice(start, start + size)) for start in range(0, len(self), size)]

    def take(self, rows: slice | Tensor) -> Rows:
        """Some of the rows."""
        beside = None if self.beside is None else (self.beside[0][rows], self.beside[1][rows])
        return Rows(self.inputs[rows], self.mask[rows], self.target[rows], beside)


@dataclass(frozen=True, kw_only=True)
class LongTask:
    """A task and where its rows come from."""

    name: str
    kind: Literal["row", "pair", "places", "series"]
    """A class of the whole row, of two rows, of the last `asked` places, or the H numbers that come next."""
    symbols: int
    """Different tokens; 0 where numbers are read."""
    outputs: int
    """K or H."""
    asked: int = 1
    length: int
    """Steps of the longest row."""
    chance: float
    """Share of right answers, or mean squared error, of who has seen nothing."""
    floor: float | None = None
    """Least mean squared error that can be had."""
    what: str
    """In a sentence."""
    sha256: str | None = None
    """Of the file; None where the rows are simulated."""
    draw: Callable[[str, int, int], Rows]
    """(split, number of the batch, rows) -> rows; those of one number are the same for every encoder."""

    @property
    def measure(self) -> str:
        """Which number is its score."""
        return "mse" if self.kind == "series" else "accuracy"


def simulated(name: str, scale: Scale, seed: int) -> LongTask:
    """A task of `scales.TASKS`."""
    return _MADE[name](scale, seed)


def stream(seed: int, split: str, number: int) -> int:
    """A seed for each batch, split and benchmark."""
    return int(np.random.SeedSequence([seed, SPLITS.index(split), number]).generate_state(1, np.uint64)[0] >> 1)


def _passkey(scale: Scale, seed: int) -> LongTask:
    sizes = scale.drawn["passkey"]

    def draw(split: str, number: int, count: int) -> Rows:
        tokens, _ = long_range.passkey(
            stream(seed, split, number), count, segments=sizes["segments"], length=sizes["length"], values=VALUES
        )
        return _asked(tokens[:, :-1], tokens[:, -1:])

    return LongTask(
        name="passkey",
        kind="places",
        symbols=2 + 2 * VALUES,
        outputs=VALUES,
        length=sizes["segments"] * sizes["length"],
        chance=1 / VALUES,
        what=f"one value of {VALUES} is announced among fillers, and asked for at the last token",
        draw=draw,
    )


def _recall(scale: Scale, seed: int) -> LongTask:
    sizes = scale.drawn["recall"]

    def draw(split: str, number: int, count: int) -> Rows:
        tokens, _ = long_range.associative_recall(
            stream(seed, split, number), count, pairs=sizes["pairs"], length=sizes["length"], values=VALUES
        )
        return _asked(tokens[:, :-1], tokens[:, -1:] - VALUES)

    return LongTask(
        name="recall",
        kind="places",
        symbols=2 + 3 * VALUES,
        outputs=VALUES,
        length=sizes["pairs"] * sizes["length"] + 2,
        chance=1 / VALUES,
        what=f"{sizes['pairs']} pairs of a key and a value stand among fillers; the last token is a key, and its value "
        f"is asked for",
        draw=draw,
    )


def _copying(scale: Scale, seed: int) -> LongTask:
    sizes = scale.drawn["copying"]
    symbols, gap = sizes["symbols"], sizes["gap"]

    def draw(split: str, number: int, count: int) -> Rows:
        tokens, _ = long_range.copying(stream(seed, split, number), count, symbols=symbols, gap=gap, values=VALUES)
        # As in Arjovsky et al. nobody is told the symbols again: what follows the question is blank.
        read = tokens[:, :-1].copy()
        read[:, symbols + gap + 1 :] = long_range.ANNOUNCE
        return _asked(read, tokens[:, -symbols:])

    return LongTask(
        name="copying",
        kind="places",
        symbols=2 + VALUES,
        outputs=VALUES,
        asked=symbols,
        length=2 * symbols + gap,
        chance=1 / VALUES,
        what=f"{symbols} symbols of {VALUES} are to be told again in their order, {gap} blanks later",
        draw=draw,
    )


def _asked(tokens: np.ndarray, answers: np.ndarray) -> Rows:
    """Answers are tokens from FIRST on."""
    inputs = torch.from_numpy(tokens.copy())
    return Rows(inputs, torch.ones(inputs.shape, dtype=torch.bool), torch.from_numpy(answers - long_range.FIRST))


def _listops(scale: Scale, seed: int) -> LongTask:
    sizes = scale.drawn["listops"]

    def draw(split: str, number: int, count: int) -> Rows:
        found = long_range.listops(
            stream(seed, split, number),
            count,
            least=sizes["least"],
            most=sizes["most"],
            depth=sizes["depth"],
            arguments=sizes["arguments"],
        )
        return Rows(torch.from_numpy(found.tokens), torch.from_numpy(found.mask), torch.from_numpy(found.answers))

    return LongTask(
        name="listops",
        kind="row",
        symbols=15,
        outputs=10,
        length=sizes["most"],
        chance=0.1,
        what=f"nested MIN, MAX, MED and SM of digits, {sizes['least']} to {sizes['most']} tokens, are to be worked out",
        draw=draw,
    )


def _pathfinder(scale: Scale, seed: int) -> LongTask:
    size = scale.drawn["pathfinder"]["size"]
    known: dict[tuple[str, int, int], Rows] = {}

    def draw(split: str, number: int, count: int) -> Rows:
        # Drawn once for all encoders: an image takes milliseconds, and a byte a pixel.
        key = (split, number, count)
        if key not in known:
            found = long_range.pathfinder(stream(seed, split, number), count, size=size)
            pixels, joined = torch.from_numpy(found.pixels), torch.from_numpy(found.joined.astype(np.int64))
            known[key] = Rows(pixels, torch.ones(pixels.shape, dtype=torch.bool), joined)
        return known[key]

    return LongTask(
        name="pathfinder",
        kind="row",
        symbols=0,
        outputs=2,
        length=size * size,
        chance=0.5,
        what=f"whether one dashed curve joins two dots, in an image of {size} x {size} pixels read row by row "
        f"(Pathfinder-like, not the published images)",
        draw=draw,
    )


def _far_cause(scale: Scale, seed: int) -> LongTask:
    sizes = scale.drawn["far-cause"]

    def made(split: str, number: int, count: int) -> long_range.FarCause:
        return long_range.far_cause(
            stream(seed, split, number),
            count,
            length=sizes["length"],
            distance=sizes["distance"],
            horizon=sizes["horizon"],
        )

    def draw(split: str, number: int, count: int) -> Rows:
        found = made(split, number, count)
        values = torch.from_numpy(found.context)
        return Rows(values, torch.ones(values.shape, dtype=torch.bool), torch.from_numpy(found.horizon))

    known = made("train", 0, 1)
    return LongTask(
        name="far-cause",
        kind="series",
        symbols=0,
        outputs=sizes["horizon"],
        length=sizes["length"],
        chance=known.blind,
        floor=known.floor,
        what=f"the amplitude of the next {sizes['horizon']} steps was told by one of {sizes['length']} steps, at least "
        f"{sizes['distance']} steps ago",
        draw=draw,
    )


_MADE: dict[str, Callable[[Scale, int], LongTask]] = {
    "passkey": _passkey,
    "recall": _recall,
    "copying": _copying,
    "listops": _listops,
    "pathfinder": _pathfinder,
    "far-cause": _far_cause,
}
