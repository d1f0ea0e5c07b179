"""Molecules for training, validation and test: by the set's own split, by scaffold, by group or at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rdkit import Chem

from seqsci.data.records import Parts, Records
from seqsci.data.words import counted
from seqsci.domains.molecules.molecule import parse, quiet, scaffold
from seqsci.errors import SeqsciError, nearest

SPLITS = ("auto", "scaffold", "random", "group")
"""What `by` may be, the default first."""
NAMES = ("train", "val", "test")
Shares = tuple[float, float, float]


def split(records: Records, by: str, shares: Shares, seed: int) -> Parts:
    """Which molecules train, which validate and which test; the same for the same arguments.

    Args:
        records: molecules.
        by: "auto" is the set's own split where it has one, and "scaffold" else. "scaffold" keeps all molecules of one
            Bemis-Murcko scaffold together, the commonest scaffolds in training and the rare ones in test (the usual
            deterministic split of MoleculeNet, Chem. Sci. 2018, 9, 513); a molecule without rings has no scaffold and
            goes by itself, together with its stereoisomers. "group" keeps the records of one group together.
            "random" keeps the spellings of one molecule together.
        shares: of train, val and test; they add up to 1. What is kept together is put where there is room for it, so
            that they are met as nearly as its sizes allow.
        seed: orders what is random, and with "scaffold" the scaffolds of one size.

    Raises:
        SeqsciError: no such way, shares that do not add up to 1, records without a group, or a part without records.
    """
    if by not in SPLITS:
        raise SeqsciError(f"split: there is no '{by}'{nearest(by, SPLITS)}")
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise SeqsciError(f"split: the shares {shares} of train, val and test must add up to 1, none below 0")
    if not len(records):
        raise SeqsciError("split: there are no records")
    rng = np.random.default_rng(seed)
    if by == "auto" and "split" in records.frame.columns:
        return _own(records, shares, rng)
    if by == "random":
        found = _dealt(_molecules(records), shares, rng, commonest=False)
        note = "at random, all spellings of one molecule together"
    elif by == "group":
        found = _dealt(_groups(records), shares, rng, commonest=False, balanced=True)
        note = f"by group: {counted(records.frame['group'].n_unique(), 'group')}, each in one part"
    else:
        keys, acyclic = _scaffolds(records)
        found = _dealt(keys, shares, rng, commonest=True)
        note = f"by scaffold: {counted(len(set(keys)), 'Bemis-Murcko scaffold')}, each in one part"
        if acyclic:
            note += (
                f"; {counted(acyclic, 'molecule')} without rings went by {'itself' if acyclic == 1 else 'themselves'}"
            )
    return Parts.whole(records, _filled(found, shares, by, records.skipped), (note,))


def _filled(splits: Sequence[str], shares: Shares, by: str, skipped: str) -> Sequence[str]:
    """Refuses a part that was wanted and got nothing."""
    for name, share in zip(NAMES, shares, strict=True):
        if share > 0 and name not in splits:
            raise SeqsciError(
                f"split: {counted(len(splits), 'record')} cannot be divided by {by} so that {name} gets some; give "
                f"more records, or choose another split{skipped}"
            )
    return splits


def _dealt(
    keys: Sequence[str], shares: Shares, rng: np.random.Generator, commonest: bool, balanced: bool = False
) -> list[str]:
    """A split for each record, the same for records of one key.

    Keys come the commonest first or in random order; each goes to the first part with room for all its records, or,
    `balanced`, to the one that lacks most. The last keys go to parts that would else have none.
    """
    number = {key: code for code, key in enumerate(dict.fromkeys(keys))}
    codes = np.array([number[key] for key in keys])
    sizes = np.bincount(codes)
    order = rng.permutation(len(sizes))
    if commonest:
        order = order[np.argsort(-sizes[order], kind="stable")]
    wanted = np.array(shares) * len(keys)
    room = wanted.copy()
    empty = [part for part in range(3) if wanted[part] > 0]
    where = np.zeros(len(sizes), dtype=np.int64)
    for left, key in zip(range(len(order), 0, -1), order, strict=True):
        fits = np.flatnonzero(room >= sizes[key] - 0.5)
        part = int(np.argmax(room)) if balanced or not len(fits) else int(fits[0])
        if left <= len(empty) and part not in empty:
            part = empty[0]
        where[key] = part
        room[part] -= sizes[key]
        empty = [one for one in empty if one != part]
    return [NAMES[part] for part in where[codes]]


def _scaffolds(records: Records) -> tuple[list[str], int]:
    """What decides on the part of each record, and how many have no ring."""
    texts: list[str] = records.frame["sequence"].to_list()
    known: dict[str, str] = {}
    chains: set[str] = set()
    with quiet():
        for text in dict.fromkeys(texts):
            molecule = _parsed(text)
            known[text] = scaffold(molecule)
            if not known[text]:
                chains.add(text)
                known[text] = f"acyclic {Chem.MolToSmiles(molecule, isomericSmiles=False)}"
    return [known[text] for text in texts], sum(text in chains for text in texts)


def _molecules(records: Records) -> list[str]:
    """The canonical SMILES of each record."""
    texts: list[str] = records.frame["sequence"].to_list()
    with quiet():
        known = {text: str(Chem.MolToSmiles(_parsed(text))) for text in set(texts)}
    return [known[text] for text in texts]


def _parsed(text: str) -> Chem.Mol:
    molecule = parse(text)
    if molecule is None:
        raise SeqsciError(f"split: '{text}' is no valid SMILES; load checks that")
    return molecule


def _groups(records: Records) -> list[str]:
    if "group" not in records.frame.columns:
        raise SeqsciError("split: group needs a column of groups; name it with columns group, or split by scaffold")
    without = records.frame["group"].null_count()
    if without:
        have = counted(without, "record has", "records have")
        raise SeqsciError(f"split: {have} no group; fill it in, or split by scaffold")
    groups: list[str] = records.frame["group"].to_list()
    return groups


def _own(records: Records, shares: Shares, rng: np.random.Generator) -> Parts:
    """The set's own split; what it lacks of val and test is divided off, one spelling never in both."""
    own = records.frame["split"]
    odd = own.is_null() | ~own.is_in(NAMES)
    if odd.any():
        at = int(odd.arg_true()[0])
        raise SeqsciError(f"split: record {records.frame['id'][at]} is of '{own[at]}', not of train, val or test")
    notes = ["the set's own split"]
    found = own.to_numpy().astype(object)
    lacks = [name for name, share in zip(NAMES, shares, strict=True) if share > 0 and name not in set(found)]
    if "train" in lacks:
        raise SeqsciError("split: the set's own split has no train; choose scaffold, random or group")
    texts: list[str] = records.frame["sequence"].to_list()
    # A published test split is never divided; val is, where only the test is missing.
    other = "val" if lacks == ["test"] and "val" in set(found) else "train"
    while lacks:
        name = lacks[0]
        rest = 1 - sum(share for one, share in zip(NAMES, shares, strict=True) if one not in (other, *lacks))
        share = 0.5 if other == "val" else shares[NAMES.index(name)] / rest
        rows = np.flatnonzero(found == other)
        dealt = np.array(_dealt([texts[row] for row in rows], (1 - share, share, 0.0), rng, commonest=False))
        found[rows[dealt == "val"]] = name
        notes.append(f"it has no {name}: {share:.0%} of its {other}, at random, became {name}")
        lacks = lacks[1:]
    training = {text for text, part in zip(texts, found, strict=True) if part == "train"}
    for name in ("val", "test"):
        there = [text in training for text, part in zip(texts, found, strict=True) if part == name]
        notes += (
            [f"{sum(there)} of {counted(len(there), 'record')} of {name} with the SMILES of one of train"]
            if any(there)
            else []
        )
    filled = _filled([str(one) for one in found], shares, "its own split", records.skipped)
    return Parts.whole(records, filled, tuple(notes))
