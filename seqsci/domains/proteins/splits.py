"""Which proteins train, which validate and which test, so that near relatives are never on two sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.data.records import Parts, Records
from seqsci.data.words import counted
from seqsci.domains.proteins.dealt import NAMES, deal
from seqsci.domains.proteins.landscape import by_mutations, by_position, singles
from seqsci.domains.proteins.neighbours import SHARE, WORD, clusters
from seqsci.errors import SeqsciError, nearest

SPLITS = ("auto", "identity", "group", "record", "position", "mutations", "mutations-2")
FAR = 0.05
"""A split's share that is further from what was asked for is told."""


def split(records: Records, by: str, shares: tuple[float, float, float], seed: int) -> Parts:
    """Every record in one part, whole.

    Args:
        records: of `load`.
        by: "auto": as the column `split` says, else "identity", but of variants of one protein with one substitution
            each "position", and of other ones "record"; "identity": relatives stay together, where relatives
            are found by shared stretches (see `neighbours`); "group": members of a family or assay stay together;
            "record": each by itself, at random; "position", "mutations" (test: more than one) and "mutations-2" (more
            than two): see `landscape`. Classes are spread over the parts as evenly as that allows.
        shares: of train, val and test, positive with sum 1.
        seed: of the deal.

    Raises:
        SeqsciError: an unknown wish, or a part that would be empty.
    """
    if by not in SPLITS:
        raise SeqsciError(f"data.split: there is no split by '{by}'{nearest(by, SPLITS)}")
    if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise SeqsciError(f"data.split: shares {shares} are not three positive numbers with sum 1")
    if by == "auto" and "split" in records.frame.columns:
        return _own(records, shares, seed)
    if by.startswith("mutations"):
        return by_mutations(records, int(by.partition("-")[2] or 1), shares, seed)
    ways = {"auto": _auto, "identity": _identity, "group": _group, "record": _record, "position": by_position}
    return ways[by](records, shares, seed)


def _auto(records: Records, shares: tuple[float, float, float], seed: int) -> Parts:
    """By identity, but variants of one protein by position, or each by itself."""
    names, note = _relatives(records)
    if names.max() > 0:
        return _parts(records, names, shares, seed, "identity", note)
    if singles(records):
        parts = by_position(records, shares, seed)
        one = "all are relatives, with one substitution each"
        return Parts(frame=parts.frame, notes=(f"split: {one}, and are divided by position", *parts.notes))
    alone = (
        f"{note}, so all are variants of one protein and are divided record by record: test has relatives in train; "
        "data.split position or mutations asks more of a model"
    )
    return _parts(records, np.arange(len(records)), shares, seed, "record", alone)


def _identity(records: Records, shares: Sequence[float], seed: int) -> Parts:
    names, note = _relatives(records)
    return _parts(records, names, shares, seed, "identity", note)


def _relatives(records: Records) -> tuple[NDArray[np.int64], str]:
    names, exact = clusters(records.frame["sequence"].to_list())
    largest = int(np.bincount(names).max())
    found = f"{counted(len(names), 'record')} in {counted(int(names.max()) + 1, 'cluster')}, the largest of {largest}"
    note = (
        f"split by identity: {found}; two are relatives where they share {SHARE:.0%} of the shorter one's stretches of "
        f"{WORD} residues and more than chance gives, which stands for about {SHARE ** (1 / WORD):.0%} identity and is "
        "no alignment"
    )
    return names, note if exact else f"{note}; near copies were compared by their first one only"


def _group(records: Records, shares: Sequence[float], seed: int) -> Parts:
    if "group" not in records.frame.columns:
        raise SeqsciError("data.split: these records have no column group; take identity or record")
    groups = records.frame["group"].to_list()
    numbers: dict[str, int] = {}
    alone = groups.count(None)
    names = np.array([numbers.setdefault(g if g is not None else f"\0{i}", len(numbers)) for i, g in enumerate(groups)])
    told = counted(alone, "record without one stands alone", "records without one stand alone")
    note = f"split by group: {counted(len(numbers) - alone, 'group')}" + f", {told}" * bool(alone)
    return _parts(records, names, shares, seed, "group", note)


def _record(records: Records, shares: Sequence[float], seed: int) -> Parts:
    note = "split by record, at random: relatives of the test's records may train, which flatters a score"
    return _parts(records, np.arange(len(records)), shares, seed, "record", note)


def _own(records: Records, shares: Sequence[float], seed: int) -> Parts:
    """The set's own split; where it has no validation, that is taken from train by identity."""
    own = records.frame["split"].to_list()
    counts = Counter(own)
    note = "split: the data set's own, " + ", ".join(f"{name} {counts[name]}" for name in NAMES if counts[name])
    if not counts["train"] or not counts["test"]:
        lacks = "train" if not counts["train"] else "test"
        raise SeqsciError(f"data.split: the data set's own split has no {lacks}; take identity, group or record")
    if counts["val"]:
        return Parts.whole(records, own, (note,))
    rows = [row for row, name in enumerate(own) if name == "train"]
    names, _ = clusters([records.text(row) for row in rows])
    both = shares[0] + shares[1]
    how, names = ("identity", names) if names.max() > 0 else ("record", np.arange(len(rows)))
    dealt = deal(names, _classes(records)[rows], (shares[0] / both, shares[1] / both), seed)
    if len(set(dealt.tolist())) < 2:
        raise SeqsciError("data.split: train is too small to take a validation part from it; add a split 'val'")
    for row, part in zip(rows, dealt, strict=True):
        own[row] = NAMES[part]
    return Parts.whole(
        records, own, (note, f"split: val is {counted(int(np.sum(dealt == 1)), 'record')} of train, by {how}")
    )


def _classes(records: Records) -> NDArray[np.str_]:
    """(R,) the class of each record, "" where it has none."""
    if "label" not in records.frame.columns or records.frame["label"].dtype != pl.String:
        return np.full(len(records), "")
    return np.array(records.frame["label"].fill_null("").to_list())


def _parts(records: Records, names: NDArray[np.int64], shares: Sequence[float], seed: int, by: str, note: str) -> Parts:
    dealt = deal(names, _classes(records), shares, seed)
    counts = np.bincount(dealt, minlength=3)
    if not counts.all():
        empty = NAMES[int(np.argmin(counts))]
        largest = int(np.bincount(names).max())
        rest = [other for other in ("identity", "group", "record") if other != by]
        advice = f"take {' or '.join(rest)}, or give more records" if by != "record" else "give more records"
        if by == "identity" and names.max() == 0:
            advice = "of variants of one protein take position (test's are unchanged in training), mutations or record"
        are = counted(len(records), "record is", "records are")
        units = f"{are} {counted(int(names.max()) + 1, 'unit')}, the largest of {largest}"
        raise SeqsciError(f"data.split: by {by}, {units}, and nothing is left for {empty}; {advice}{records.skipped}")
    notes = [note]
    found = counts / counts.sum()
    if np.abs(found - np.array(shares)).max() > FAR:
        said = ", ".join(f"{name} {share:.0%}" for name, share in zip(NAMES, found, strict=True))
        notes.append(f"split: whole units give {said}, not the shares that were asked for")
    return Parts.whole(records, [NAMES[part] for part in dealt], tuple(notes))
