"""Which letters train, validate and test: whole records, or consecutive regions of long ones with gaps between."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.data.records import Parts, Records
from seqsci.data.splits import stratified
from seqsci.data.words import counted
from seqsci.domains.genomics.alphabet import reverse_complement
from seqsci.domains.genomics.indexed import IndexedRecords
from seqsci.errors import SeqsciError, nearest

SPLITS = ("auto", "record", "region")
NAMES = ("train", "val", "test")
GAP = 1000
"""Letters between the regions of a record that belong to no split, since neighbouring letters tell of each other."""
LONG = 4 * GAP
"""A record of fewer letters is not cut."""
FEW = 30
"""Records, each weighted by its length, below which whole records would make too coarse a split."""

Shares = tuple[float, float, float]


def split(records: Records, by: str, shares: Shares, seed: int) -> Parts:
    """Divides records, deterministically.

    "record": whole records at random, class by class where they have classes; records of one group, and records
    with the same letters on either strand, stay together. "region": each record of `LONG` letters or more is cut into
    train, val and test, in this order, with `GAP` letters left out between (a circular one counts as linear); shorter
    ones go whole. "auto": the set's own column `split`, where there is one; else "region" where there are few long
    records; else "record". Where a set's own split has no val, it is taken from its train by records.

    Args:
        records: R of them.
        by: one of `SPLITS`.
        shares: of train, val and test, sum 1.
        seed: of the deal of whole records.

    Raises:
        SeqsciError: no such split, shares that are none, or fewer records than splits.
    """
    if by not in SPLITS:
        raise SeqsciError(f"data.split: there is no '{by}'{nearest(by, SPLITS)}")
    if len(shares) != 3 or not min(shares) > 0 or not abs(sum(shares) - 1) < 1e-6:
        told = ",".join(f"{share:g}" for share in shares)
        raise SeqsciError(f"data.shares: {told} are not three positive shares with sum 1, such as 0.8,0.1,0.1")
    if by == "auto" and "split" in records.frame.columns:
        return _own(records, shares, seed)
    if by == "record" or (by == "auto" and not _few_long(records.lengths)):
        return _by_record(records, shares, seed)
    return _by_region(records, shares, seed)


def _few_long(lengths: NDArray[np.int64]) -> bool:
    """Whether most letters are in few long records: the inverse Simpson index of their lengths counts them."""
    weights = lengths / lengths.sum()
    return bool(lengths.max() >= LONG and 1 / float((weights**2).sum()) < FEW)


def _own(records: Records, shares: Shares, seed: int) -> Parts:
    own = records.frame["split"]
    missing = [name for name in ("train", "test") if not (own == name).any()]
    if own.null_count() or missing:
        what = f"no record is of {missing[0]}" if missing else "a record is of none"
        raise SeqsciError(f"data.split: by its column split {what}; correct it, or take data.split record")
    notes = ["train and test are those of the data set"]
    names = own.to_list()
    if not (own == "val").any():
        rows = np.flatnonzero((own == "train").to_numpy())
        part = shares[1] / (shares[0] + shares[1])
        dealt = _deal(records, rows, (1 - part, part), seed)
        if not len(dealt[1]):
            raise SeqsciError("data.split: the train records of the set are too few to take val from them")
        for row in dealt[1]:
            names[row] = "val"
        notes.append(f"{counted(len(dealt[1]), 'record of its train was', 'records of its train were')} taken for val")
    else:
        notes = ["train, val and test are those of the data set"]
    return Parts.whole(records, names, tuple(notes))


def _by_record(records: Records, shares: Shares, seed: int) -> Parts:
    dealt = _deal(records, np.arange(len(records)), shares, seed)
    if not all(len(part) for part in dealt):
        region = ", or data.split region" if records.lengths.max() >= LONG else f", or one of {LONG} letters or more"
        raise SeqsciError(
            f"data.split: {counted(len(records), 'record')} cannot be divided into train, val and test by "
            f"{_told(shares)}; give more (the same letters, or one group, count once), other shares{region}"
            f"{records.skipped}"
        )
    names = np.empty(len(records), dtype=object)
    for name, rows in zip(NAMES, dealt, strict=True):
        names[rows] = name
    told = ", ".join(f"{len(rows)} {name}" for name, rows in zip(NAMES, dealt, strict=True))
    notes = [f"whole records at random: {told}"]
    again = len(records) - len(set(_units(records, np.arange(len(records)))))
    if again:
        share = counted(again, "record that shares its", "records that share their")
        notes.append(f"{share} group or all letters with another {'stays' if again == 1 else 'stay'} with it")
    return Parts.whole(records, names.tolist(), tuple(notes))


def _told(shares: Shares) -> str:
    return ",".join(f"{share:g}" for share in shares)


def _deal(records: Records, rows: NDArray[np.int64], shares: tuple[float, ...], seed: int) -> list[NDArray[np.int64]]:
    """The rows dealt by shares, class by class, units whole."""
    labels = [""] * len(rows)
    if "label" in records.frame.columns and records.frame["label"].dtype == pl.String:
        labels = records.frame["label"].fill_null("")[rows.tolist()].to_list()
    dealt = stratified(labels, _units(records, rows), shares, seed)
    return [rows[part] for part in dealt]


def _units(records: Records, rows: NDArray[np.int64]) -> list[str]:
    """What each record must stay together with: its group, and the same letters on either strand (union of both)."""
    keys = [_letters(records, int(row)) for row in rows]
    if "group" not in records.frame.columns:
        return keys
    groups = records.frame["group"][rows.tolist()].to_list()
    leader: dict[str, str] = {}

    def root(name: str) -> str:
        while leader.setdefault(name, name) != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for key, group in zip(keys, groups, strict=True):
        if group is not None:
            leader[root(key)] = root(f"group {group}")
    return [root(key) for key in keys]


def _letters(records: Records, row: int) -> str:
    """The same for records with the same letters, or with those of the other strand."""
    if isinstance(records, IndexedRecords):
        return f"record {row}"  # too large to be read for this
    text = records.text(row)
    return hashlib.blake2b(min(text, reverse_complement(text)).encode(), digest_size=16).hexdigest()


def _by_region(records: Records, shares: Shares, seed: int) -> Parts:
    lengths = records.lengths
    long = np.flatnonzero(lengths >= LONG)
    short = np.flatnonzero(lengths < LONG)
    if not len(long):
        # By record is no way out for one or two.
        enough = len(set(_units(records, short))) >= len(NAMES)
        advice = "take data.split record" if enough else f"give a longer one, or at least {len(NAMES)} that differ"
        raise SeqsciError(
            f"data.split: no record has {LONG} letters, so that none can be cut into regions {GAP} letters apart; "
            f"{advice}{records.skipped}"
        )
    pieces = [(int(row), *piece) for row in long for piece in _regions(int(lengths[row]), shares)]
    for name, rows in zip(NAMES, _deal(records, short, shares, seed) if len(short) else (), strict=False):
        pieces += [(int(row), 0, int(lengths[row]), name) for row in rows]
    schema = {"record": pl.Int64, "start": pl.Int64, "stop": pl.Int64, "split": pl.String}
    frame = pl.DataFrame(pieces, schema=schema, orient="row").sort("record", "start")
    notes = [
        f"{counted(len(long), 'record was', 'records were')} cut into consecutive regions for train, val and test; "
        f"{2 * GAP * len(long)} letters ({GAP} between two regions) are left out"
    ]
    if len(short):
        notes.append(f"{counted(len(short), 'record')} of fewer than {LONG} letters went whole to a split at random")
    return Parts(frame=frame, notes=tuple(notes))


def _regions(length: int, shares: Shares) -> list[tuple[int, int, str]]:
    """Start, stop and split of the regions of one record."""
    usable = length - 2 * GAP
    first, second = max(1, round(usable * shares[0])), max(1, round(usable * shares[1]))
    first = min(first, usable - 2)
    second = min(second, usable - first - 1)
    starts = (0, first + GAP, first + second + 2 * GAP)
    stops = (first, first + GAP + second, length)
    return list(zip(starts, stops, NAMES, strict=True))
