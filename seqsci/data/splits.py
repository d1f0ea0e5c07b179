"""Which rows or sequences train, which validate, which test.

Rows of one series are split in the order of time, so that no fit sees the future; whole sequences at random, class
by class, those of one group together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqsci.errors import SeqsciError


@dataclass(frozen=True)
class Splits:
    """Half-open row ranges. A window belongs to the split that holds all the steps it forecasts."""

    train: tuple[int, int]
    val: tuple[int, int]
    test: tuple[int, int]


def borders(train: int, val: int, test: int, rows: int) -> Splits:
    """The published split of a benchmark, in rows; rows behind it stay unused.

    Raises:
        SeqsciError: the table is shorter than the split.
    """
    if train + val + test > rows:
        raise SeqsciError(
            f"data.split: the published split needs {train + val + test} rows and the table has {rows}; "
            f"give fractions, such as data.split 0.7,0.1,0.2"
        )
    return Splits((0, train), (train, train + val), (train + val, train + val + test))


def fractions(train: float, val: float, test: float, rows: int) -> Splits:
    """Training and test take the whole part of their fraction, validation what lies between.

    Raises:
        SeqsciError: not three positive numbers with sum 1.
    """
    if min(train, val, test) <= 0 or abs(train + val + test - 1) > 1e-9:
        raise SeqsciError(f"data.split: {train:g},{val:g},{test:g} are not three positive fractions with sum 1")
    # Some fractions lie a rounding error below the whole number that they mean.
    first, last = int(rows * train + 1e-9), int(rows * test + 1e-9)
    return Splits((0, first), (first, rows - last), (rows - last, rows))


def dates(val: str, test: str, times: NDArray[np.generic]) -> Splits:
    """Validation and test begin at the first row at or after their date.

    Raises:
        SeqsciError: not a date, or a split that would be empty.
    """
    try:
        begin = np.array([val.strip(), test.strip()], dtype="datetime64[us]")
    except ValueError:
        raise SeqsciError(
            f"data.split: '{val},{test}' is neither three fractions nor two dates; "
            f"write 0.7,0.1,0.2 or 2018-01-01,2018-04-01"
        ) from None
    first, second = (int(row) for row in np.searchsorted(times, begin))
    if not 0 < first < second < len(times):
        raise SeqsciError(
            f"data.split: {val} and {test} must lie in this order inside the table, "
            f"which runs from {times[0]} to {times[-1]}"
        )
    return Splits((0, first), (first, second), (second, len(times)))


def parse(text: str, times: NDArray[np.generic]) -> Splits:
    """Three fractions or two dates, as a recipe or flag gives them."""
    parts = text.split(",")
    if len(parts) == 2:
        return dates(parts[0], parts[1], times)
    try:
        train, val, test = (float(part) for part in parts)
    except ValueError:
        raise SeqsciError(
            f"data.split: '{text}' is neither three fractions nor two dates; write 0.7,0.1,0.2 or 2018-01-01,2018-04-01"
        ) from None
    return fractions(train, val, test, len(times))


def parse_shares(text: str) -> tuple[float, float, float]:
    """Three shares for whole sequences, as a recipe or flag gives them.

    Raises:
        SeqsciError: not three positive numbers with sum 1.
    """
    try:
        train, val, test = (float(part) for part in text.split(","))
    except ValueError:
        train = val = test = 0.0
    if min(train, val, test) <= 0 or abs(train + val + test - 1) > 1e-9:
        raise SeqsciError(
            f"data.split: '{text}' is not three positive shares with sum 1, such as 0.7,0.15,0.15, nor redshift<0.4"
        )
    return train, val, test


def stratified(
    labels: Sequence[str], groups: Sequence[str | None], shares: Sequence[float], seed: int
) -> list[NDArray[np.int64]]:
    """Sequences dealt to splits at random, in equal shares of each class; those of one group stay together.

    Args:
        labels: (S,) class of each sequence.
        groups: (S,) what it belongs to (such as the object that it was made from); None: it stands alone.
        shares: of the splits, sum 1; a split takes as near to its share of a class as whole groups allow.
        seed: of the deal.

    Returns:
        For each split, the sorted numbers of its sequences.
    """
    draw = np.random.default_rng(seed)
    names = [f"g{group}" if group is not None else f"s{i}" for i, group in enumerate(groups)]
    places: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        places.setdefault(name, []).append(i)
    by_class: dict[str, list[list[int]]] = {}
    for members in places.values():
        by_class.setdefault(labels[members[0]], []).append(members)
    dealt: list[list[int]] = [[] for _ in shares]
    for label in sorted(by_class):
        units = by_class[label]
        total = sum(map(len, units))
        filled = np.zeros(len(shares))
        for k in draw.permutation(len(units)):
            split = int(np.argmax(np.array(shares) * total - filled))
            dealt[split] += units[k]
            filled[split] += len(units[k])
    return [np.sort(np.array(part, dtype=np.int64)) for part in dealt]
