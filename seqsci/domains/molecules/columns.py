"""Which column of a table is which, and how a column of labels is to be understood."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from seqsci.data.words import counted
from seqsci.errors import SeqsciError, nearest

NAMES: Mapping[str, tuple[str, ...]] = {
    "sequence": (
        *("smiles", "canonicalsmiles", "isomericsmiles", "cansmiles", "rdkitsmiles", "smilesstring", "smile", "smi"),
        *("sequence", "mol", "molecule", "structure"),
    ),
    "id": (
        *("id", "molid", "moleculeid", "compoundid", "moleculechemblid", "chemblid", "zincid", "cid"),
        *("name", "moleculename", "compoundname", "iupac", "title"),
    ),
    # A column called target is as often what is to be predicted as the protein that was measured.
    "group": ("group", "groupid", "targetchemblid", "assaychemblid", "targetid", "assayid"),
    "split": ("split",),
}
"""Our columns to what tables call them, the surest first, in letters and digits alone."""
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
MOST_CLASSES = 20
"""A column of whole numbers with more of them is measured, with fewer it names classes."""


def plain(name: str) -> str:
    """A column's name in letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def resolve(
    theirs: Sequence[str], columns: Mapping[str, str] | None, label: str | None, origin: str
) -> tuple[dict[str, str], list[str]]:
    """Our columns to those of a table, and what was found out.

    Args:
        theirs: columns of the table.
        columns: what the user says; an empty name where a column is not to be read.
        label: column that is to be predicted; it is none of the others unless the user says so.
        origin: the table, in sentences.

    Raises:
        SeqsciError: no column of SMILES, two that may be it, or a name that is not there.
    """
    given = dict(columns or {})
    for ours, name in given.items():
        if ours not in NAMES:
            raise SeqsciError(f"columns: there is no '{ours}'{nearest(ours, NAMES)}")
        if name and name not in theirs:
            raise SeqsciError(f"{origin}: there is no column '{name}' for {ours}{nearest(name, theirs)}")
    if label is not None and label not in theirs:
        raise SeqsciError(f"{origin}: there is no column '{label}' for the label{nearest(label, theirs)}")
    free = [name for name in theirs if name != label and name not in given.values()]
    found = {ours: name for ours, name in given.items() if name}
    notes: list[str] = []
    for ours, known in NAMES.items():
        alike = [] if ours in given else _alike(free, known)
        if ours == "sequence" and len({plain(name) for name in alike[:2]}) == 1 < len(alike):
            raise SeqsciError(f"{origin}: columns {alike[0]} and {alike[1]} may both be the SMILES; say {_HOW}")
        if alike:
            found[ours] = alike[0]
            others = f", not {', '.join(alike[1:])}" if len(alike) > 1 else ""
            if others or plain(alike[0]) not in (ours, "smiles"):
                notes.append(f"{_WORDS[ours]} is column '{alike[0]}'{others}")
    if "sequence" not in found:
        have = ", ".join(theirs[:12]) + ", ..." * (len(theirs) > 12)
        raise SeqsciError(f"{origin}: no column of SMILES among {have}; say {_HOW}")
    return found, notes


_HOW = "which with columns sequence"
_WORDS = {"sequence": "the SMILES", "id": "the id", "group": "the group", "split": "the split"}


def _alike(theirs: Sequence[str], known: Sequence[str]) -> list[str]:
    """The columns with known names, the surest first."""
    return [name for word in known for name in theirs if plain(name) == word]


def splits(values: pl.Series, stated: bool) -> tuple[pl.Series | None, str]:
    """A data set's own split as train, val and test; None with a reason where the column says something else.

    Raises:
        SeqsciError: the user stated the column, and it says something else.
    """
    known = values.cast(pl.String).str.strip_chars().str.to_lowercase().replace_strict(SPLITS, default=None)
    if known.null_count() == 0:
        return known, ""
    odd = values.cast(pl.String).filter(known.is_null()).fill_null("")[0]
    if stated:
        raise SeqsciError(f"column {values.name}: '{odd}' is not train, val or test; correct it, or leave it out")
    return None, f"column '{values.name}' is not a split: it says '{odd}', not train, val or test"


def labels(values: pl.Series) -> tuple[pl.Series, pl.Series, str]:
    """A label as classes (String) or numbers (Float64), where it is neither (Boolean), and how it was understood.

    Text names classes. Numbers are measured, unless they are whole and at most `MOST_CLASSES` different ones: "1" and
    "1.0" are then the same class. Among more than that many different values of which most are numbers, text is an
    error. Blank, NaN, NA and null are unknown.
    """
    text = values.cast(pl.String).str.strip_chars()
    text = text.set(text.str.to_lowercase().is_in(["", "na", "n/a", "nan", "null", "none"]).fill_null(False), None)
    text = text.alias("label")
    number = text.cast(pl.Float64, strict=False)
    number = number.set(number.is_infinite().fill_null(False), None)
    known, different = text.is_not_null(), text.drop_nulls().n_unique()
    odd = known & number.is_null()
    measured = number.drop_nulls()
    whole = bool((measured == measured.round(0)).all()) and different <= MOST_CLASSES
    if not odd.any() and whole and bool(known.any()):
        classes = number.cast(pl.Int64, strict=False)
        if classes.null_count() == number.null_count():
            return (
                classes.cast(pl.String),
                odd,
                f"label '{values.name}' names {counted(classes.drop_nulls().n_unique(), 'class', 'classes')}",
            )
    numeric = number.drop_nulls().n_unique() > max(different / 2, MOST_CLASSES) or not odd.any()
    if numeric:
        return number, odd, f"label '{values.name}' is measured: numbers"
    return text, known & ~known, f"label '{values.name}' names {counted(different, 'class', 'classes')}"
