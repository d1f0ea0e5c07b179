"""ListOps in the long form of the Long Range Arena (Tay et al. 2020, arXiv 2011.04006, section 2.2.1; the task is
Nangia and Bowman's, 2018, arXiv 1804.06028).

    [MAX 4 3 [MIN 2 3 ] 1 0 [MED 1 5 8 9 2 ] ]   ->   5

A node is an operator with probability 1/4 and else a digit; at the greatest depth all are digits. An operator (MIN,
MAX, MED, SM, equally likely) has 2 to `arguments` arguments; MED is the median rounded down, SM the sum modulo 10.
Trees are drawn until their length fits. As in the published code, whose bounds are exclusive; here they are included.

Lengths are drawn level by level for many trees at once, and only those that fit are written out.

R rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from seqsci.errors import SeqsciError

OPERATORS = ("[MIN", "[MAX", "[MED", "[SM")
SYMBOLS = (*map(str, range(10)), *OPERATORS, "]")
"""What each token is written as: digits are tokens 0 to 9, operators 10 to 13, the closing bracket 14."""
OPERATOR, CLOSE = 10, 14
SHARE = 0.25
"""Of the nodes above the greatest depth that are operators."""
DRAWN = 512
"""Trees whose lengths are drawn at once."""
TRIES = 400
"""Times so many trees are drawn without one that fits before the bounds are refused."""
_REDUCED: tuple[Callable[[Sequence[int]], int], ...] = (
    min,
    max,
    lambda values: int(np.median(values)),
    lambda values: sum(values) % 10,
)
Level = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Of each node of a tree at one depth: what it is (a token), and where its first argument stands one level below."""


@dataclass(frozen=True)
class ListOps:
    """`tokens (R, T)` int64, 0 behind the end; `mask (R, T)` True where a token stands; `answers (R,)` 0 to 9."""

    tokens: NDArray[np.int64]
    mask: NDArray[np.bool_]
    answers: NDArray[np.int64]

    def spelled(self, row: int) -> str:
        """A row as it is written in the published files without their round parentheses."""
        return " ".join(SYMBOLS[token] for token in self.tokens[row, self.mask[row]])


def listops(
    seed: int, count: int, *, least: int = 500, most: int = 2000, depth: int = 10, arguments: int = 10
) -> ListOps:
    """Nested lists and what they come to.

    Args:
        seed: of all draws.
        count: R.
        least: tokens of a row at least.
        most: tokens of a row at most; T is the longest row's.
        depth: nodes on the way from the root to a digit at most.
        arguments: of an operator at most.

    Raises:
        SeqsciError: bounds within which next to no tree falls.
    """
    if not (0 < least <= most and depth >= 1 and arguments >= 2):
        raise SeqsciError(
            f"listops: {least} to {most} tokens, depth {depth}, {arguments} arguments; take a length of at least 1 up "
            f"to one no shorter, a depth of at least 1 and at least 2 arguments"
        )
    draw = np.random.default_rng(seed)
    rows: list[tuple[list[int], int]] = []
    idle = 0
    while len(rows) < count:
        before = len(rows)
        rows += [written(levels) for levels in _trees(draw, least, most, depth, arguments)]
        idle = idle + 1 if len(rows) == before else 0
        if idle == TRIES:
            raise SeqsciError(
                f"listops: of {TRIES * DRAWN:,} trees of depth {depth} with up to {arguments} arguments none has "
                f"{least} to {most} tokens; take bounds further apart, or a greater depth"
            )
    rows = rows[:count]
    length = max((len(tokens) for tokens, _ in rows), default=0)
    tokens = np.zeros((count, length), dtype=np.int64)
    for row, (own, _) in enumerate(rows):
        tokens[row, : len(own)] = own
    lengths = np.array([len(own) for own, _ in rows], dtype=np.int64)
    answers = np.array([answer for _, answer in rows], dtype=np.int64)
    return ListOps(tokens, np.arange(length) < lengths[:, None], answers)


def _trees(draw: np.random.Generator, least: int, most: int, depth: int, arguments: int) -> Iterator[list[Level]]:
    """Of DRAWN trees those whose length fits, each as its levels from the root down."""
    tree = np.arange(DRAWN)
    """Which tree each node of this level belongs to."""
    lengths = np.zeros(DRAWN, dtype=np.int64)
    levels: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []
    for level in range(1, depth + 1):
        operator = draw.random(len(tree)) < (SHARE if level < depth else 0)
        what = np.where(
            operator,
            draw.integers(OPERATOR, OPERATOR + len(OPERATORS), len(tree)),
            draw.integers(10, size=len(tree)),
        )
        wide = np.where(operator, draw.integers(2, arguments + 1, len(tree)), 0)
        np.add.at(lengths, tree, np.where(operator, 2, 1))
        levels.append((tree, what, wide))
        # A tree that is too long already is grown no further; its length stays above the bound.
        grown = np.where(lengths[tree] <= most, wide, 0)
        tree = np.repeat(tree, grown)
    for number in np.flatnonzero((least <= lengths) & (lengths <= most)):
        own = [(what[at == number], wide[at == number]) for at, what, wide in levels]
        yield [(what, np.cumsum(wide) - wide) for what, wide in own] + [_ends(own[-1])]


def _ends(last: Level) -> Level:
    """An empty level below the last, so that every level has one."""
    return last[0][:0], last[1][:0]


def written(levels: Sequence[Level]) -> tuple[list[int], int]:
    """A tree's tokens in the order of reading, and what it comes to."""
    tokens: list[int] = []
    kinds = [level[0].tolist() for level in levels]
    firsts = [[*level[1].tolist(), len(below[0])] for level, below in pairwise(levels)]

    def read(level: int, node: int) -> int:
        kind: int = kinds[level][node]
        tokens.append(kind)
        if kind < OPERATOR:
            return kind
        values = [read(level + 1, below) for below in range(firsts[level][node], firsts[level][node + 1])]
        tokens.append(CLOSE)
        return _REDUCED[kind - OPERATOR](values)

    return tokens, read(0, 0)
