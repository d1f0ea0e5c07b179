"""Units dealt whole to training, validation and test, so that each gets about its share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NAMES = ("train", "val", "test")


def deal(names: NDArray[np.int64], classes: NDArray[np.str_], shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """(R,) part of each record: units go whole, the large ones to the first part, the others where most is missing.

    A unit counts for the class that most of its members have, and each part gets its share of every class that has
    a unit for it; the other classes are dealt as one.
    """
    share = np.array(shares)
    order = np.argsort(names, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(names[order])) + 1)
    usual = [Counter(classes[rows].tolist()).most_common(1)[0][0] for rows in members]
    often = Counter(usual)
    labels = [label if often[label] >= len(share) else "" for label in usual]
    totals: Counter[str] = Counter()
    for rows, label in zip(members, labels, strict=True):
        totals[label] += len(rows)
    filled = {label: np.zeros(len(share)) for label in totals}
    everything = np.zeros(len(share))
    parts = np.zeros(len(members), dtype=np.int64)
    drawn = np.random.default_rng(seed).permutation(len(members)).tolist()
    # A unit that no small part could hold goes to the first one before the rest fills it.
    large = {unit for unit in drawn if len(members[unit]) > 2 * share.min() * totals[labels[unit]]}
    for unit in sorted(drawn, key=lambda unit: unit not in large):
        label, size = labels[unit], len(members[unit])
        missing = share - filled[label] / totals[label]
        # Among parts that lack as much of a class, the one that lacks most of all classes.
        whole = share - everything / len(names)
        parts[unit] = 0 if unit in large and missing[0] > 0 else int(np.argmax(missing + whole))
        filled[label][parts[unit]] += size
        everything[parts[unit]] += size
    _fill_empty(parts, [len(rows) for rows in members], len(share))
    out = np.zeros(len(names), dtype=np.int64)
    for part, rows in zip(parts, members, strict=True):
        out[rows] = part
    return out


def _fill_empty(parts: NDArray[np.int64], sizes: Sequence[int], count: int) -> None:
    """Gives a part that has nothing the smallest unit of the part with most units, where that has several."""
    for part in range(count):
        units = np.bincount(parts, minlength=count)
        if units[part] == 0 and units.max() > 1:
            rich = np.flatnonzero(parts == np.argmax(units))
            parts[min(rich.tolist(), key=lambda unit: sizes[unit])] = part
