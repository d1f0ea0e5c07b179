"""Variants of one protein: where each differs from the wild type, and splits that ask for something new.

A split at random is easy here: what other substitutions do at a position tells most of what one more does there. By
"position" the test's positions are never changed in training; by "mutations" a model learns from variants of few
substitutions and is asked about those of more, as in FLIP's splits one-vs-rest and two-vs-rest of GB1 (Dallago et al.,
NeurIPS 2021 Datasets and Benchmarks).
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.data.records import Parts, Records
from seqsci.data.words import counted
from seqsci.domains.proteins.dealt import NAMES, deal
from seqsci.domains.proteins.mutants import substitutions
from seqsci.domains.proteins.table import NAMES as COLUMNS
from seqsci.errors import SeqsciError

FEWEST = 10
"""Positions that must vary for a split by position."""

Ints = NDArray[np.int64]


def changes(records: Records) -> list[tuple[int, ...]]:
    """(R,) the positions at which each record differs from the wild type, in order; () for the wild type itself.

    As the column of variants such as A24G says, else from what most records have at a position.

    Raises:
        SeqsciError: sequences of different lengths, or a position where no residue is that of most records.
    """
    named = _named(records)
    if named is not None:
        return named
    texts = records.frame["sequence"].to_list()
    lengths = Counter(map(len, texts))
    if len(lengths) > 1:
        raise SeqsciError(
            f"data.split: sequences of {min(lengths)} to {max(lengths)} residues are no variants of one protein by "
            "substitution; take identity, group or record"
        )
    codes = np.array([np.frombuffer(text.encode("ascii"), dtype=np.uint8) for text in texts])
    counts = [np.bincount(column) for column in codes.T]
    wild = np.array([count.argmax() for count in counts], dtype=np.uint8)
    share = np.array([count.max() for count in counts]) / len(texts)
    if share.min() <= 0.5:
        place = int(share.argmin())
        raise SeqsciError(
            f"data.split: the wild type is not clear: at position {place + 1} no residue stands in most records "
            f"({chr(wild[place])} in {share[place]:.0%}); say what is changed in a column mutant, such as V39A:D40G, "
            "or take identity, group or record"
        )
    return [tuple(np.flatnonzero(row).tolist()) for row in codes != wild]


def _named(records: Records) -> list[tuple[int, ...]] | None:
    """What a column of variants says; None where there is none that can be read."""
    lower = {column.lower(): column for column in records.frame.columns}
    column = next((lower[name] for name in COLUMNS["mutant"] if name in lower), None)
    if column is None or records.frame[column].dtype != pl.String:
        return None
    read = [substitutions(text or "") for text in records.frame[column].to_list()]
    if any(one is None for one in read):
        return None
    return [tuple(position for position, _, _ in one or []) for one in read]


def singles(records: Records) -> bool:
    """Whether all records are variants of one protein with at most one substitution each, at enough positions."""
    try:
        found = changes(records)
    except SeqsciError:
        return False
    return max(map(len, found)) == 1 and len(set(found) - {()}) >= FEWEST


def by_position(records: Records, shares: tuple[float, float, float], seed: int) -> Parts:
    """Each position that varies goes to one part, and a variant to that of all its positions; the wild type trains.

    Raises:
        SeqsciError: see `changes`; or too few positions.
    """
    found = changes(records)
    pairs = [(row, position) for row, own in enumerate(found) for position in own]
    varied = sorted({position for _, position in pairs})
    if len(varied) < FEWEST:
        raise SeqsciError(
            f"data.split: by position, only {counted(len(varied), 'position varies', 'positions vary')}; take "
            f"mutations or record, or give variants at {FEWEST} or more"
        )
    number = {position: place for place, position in enumerate(varied)}
    names = np.array([number[position] for _, position in pairs])
    dealt = deal(names, np.full(len(pairs), ""), shares, seed)
    part_of = dict(zip(names.tolist(), dealt.tolist(), strict=True))
    sides = [{part_of[number[position]] for position in own} or {0} for own in found]
    parts = [NAMES[next(iter(side))] if len(side) == 1 else None for side in sides]
    mixed = parts.count(None)
    told = Counter(part_of.values())
    positions = ", ".join(f"{name} {told[place]}" for place, name in enumerate(NAMES))
    notes = [f"split by position: no position of test is changed in training ({positions} of {len(varied)} positions)"]
    if mixed:
        notes.append(
            f"split: {counted(mixed, 'variant')} left out, whose substitutions are at positions of different parts"
        )
    return _parts(records, parts, "position", notes)


def by_mutations(records: Records, most: int, shares: tuple[float, float, float], seed: int) -> Parts:
    """Variants with at most `most` substitutions train and validate, those with more test.

    Raises:
        SeqsciError: see `changes`; or there are none with more, or with so few.
    """
    counts = np.array([len(own) for own in changes(records)])
    few = np.flatnonzero(counts <= most)
    both = shares[0] + shares[1]
    parts: list[str | None] = ["test"] * len(counts)
    if len(few):
        for row, part in zip(
            few, deal(few, np.full(len(few), ""), (shares[0] / both, shares[1] / both), seed), strict=True
        ):
            parts[row] = NAMES[part]
    told = ", ".join(f"{n:,} with {count}" for count, n in sorted(Counter(counts.tolist()).items()))
    note = (
        f"split by mutations: variants of at most {counted(most, 'substitution')} train and validate, those of more "
        f"test ({told})"
    )
    return _parts(records, parts, "mutations" if most == 1 else f"mutations-{most}", [note])


def _parts(records: Records, parts: list[str | None], by: str, notes: list[str]) -> Parts:
    counts = Counter(parts)
    empty = next((name for name in NAMES if not counts[name]), None)
    if empty is not None:
        other = "mutations" if by == "position" else "position"
        told = f" ({notes[-1].removeprefix('split: ')})" if by == "position" and len(notes) > 1 else f" ({notes[0]})"
        raise SeqsciError(f"data.split: by {by}, nothing is left for {empty}{told}; take {other} or record")
    kept = [row for row, part in enumerate(parts) if part is not None]
    frame = pl.DataFrame(
        {
            "record": pl.Series(kept, dtype=pl.Int64),
            "start": np.zeros(len(kept), dtype=np.int64),
            "stop": records.lengths[kept],
            "split": [parts[row] for row in kept],
        }
    )
    return Parts(frame=frame, notes=tuple(notes))
