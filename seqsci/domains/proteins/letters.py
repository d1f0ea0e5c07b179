"""The alphabet of proteins, and texts that are brought into it or refused with their place."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase
from typing import Literal

import polars as pl

from seqsci.data.records import SKIPPED, Letters
from seqsci.data.words import counted
from seqsci.errors import SeqsciError

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
"""The 20 amino acids; everywhere in this package their number is their place here."""
OTHERS = "XBUZOJ"
"""X any, B D or N, U selenocysteine, Z E or Q, O pyrrolysine, J I or L (IUPAC-IUB 1983 and later additions)."""
TOKENIZER = Letters(RESIDUES + OTHERS)
GAPS = "-."
NUCLEOTIDES = frozenset("ACGTUN")
SURELY = 100
"""Letters after which a text of A C G T U N alone is taken for DNA: in proteins these are a third of the letters."""

_UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)
_FOREIGN = re.compile(f"[^{RESIDUES}{OTHERS}]")


@dataclass(frozen=True, kw_only=True)
class Raw:
    """What a file says before its letters are looked at.

    `frame`: `id` and `sequence` (String, either may be null), `_problem` (String: why a row cannot be used, or null)
    and whatever else there is; `unit`: what a row is called in a sentence; `aligned`: the rows are one alignment
    whose gaps are already out, and whose lower case was an insertion.
    """

    origin: str
    unit: str
    frame: pl.DataFrame
    notes: tuple[str, ...] = ()
    aligned: bool = False


def checked(raw: Raw, invalid: Literal["refuse", "skip"]) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The rows with sequences in our letters, and notes on what was changed or left out.

    A stop `*` at the end goes, lower case becomes upper case.

    Raises:
        SeqsciError: the first row that is empty or has another letter, with its place, unless `invalid` is "skip";
            or when no row is left.
    """
    told: Counter[str] = Counter()
    texts: list[str] = []
    kept: list[bool] = []
    first = ""
    columns = (raw.frame["id"], raw.frame["sequence"], raw.frame["_problem"])
    for number, (name, given, known) in enumerate(zip(*columns, strict=True), 1):
        text, changes, problem = _read(given or "")
        problem = known or problem
        if problem:
            sentence = f"{raw.origin}, {raw.unit} {number}{f' ({shown(name)})' if name else ''}{problem}"
            if invalid == "refuse":
                raise SeqsciError(f"{sentence}, or leave such {raw.unit}s out with data.invalid skip")
            first = first or sentence
        else:
            told.update(changes)
        texts.append(text)
        kept.append(not problem)
    frame = raw.frame.with_columns(pl.Series("sequence", texts, dtype=pl.String)).drop("_problem").filter(kept)
    if frame.is_empty():
        why = f" (the first: {first})" if first else ""
        raise SeqsciError(f"{raw.origin}: no {raw.unit} is a protein sequence{why}; check the file")
    skipped = len(kept) - frame.height
    notes = [f"{raw.origin}: {counted(count, raw.unit)} {what}" for what, count in sorted(told.items())]
    if skipped:
        notes.append(f"{raw.origin}: {skipped} of {counted(len(kept), raw.unit)} {SKIPPED}, the first: {first}")
    return frame, (*raw.notes, *notes)


def _read(given: str) -> tuple[str, list[str], str]:
    """Text, what was changed, and the tail of a sentence on what is wrong with it ("" for nothing)."""
    changes = []
    text = given.strip()
    if text.endswith("*"):
        text = text.rstrip("*")
        changes.append("had a stop '*' at the end, which is removed")
    if not text:
        return "", [], ": has no residues; give its sequence"
    if not text.isupper():
        text = upper(text)
        changes.append("had lower-case letters (soft masking), read as upper case")
    wrong = _FOREIGN.search(text)
    return text, changes, _wrong(wrong[0], wrong.start() + 1) if wrong else ""


def shown(text: str) -> str:
    """Text of a user in one line of a sentence."""
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."


def upper(text: str) -> str:
    """Upper case of the letters a to z only; str.upper makes residues of others (SS of ß)."""
    return text.translate(_UPPER)


def _wrong(letter: str, position: int) -> str:
    if letter == "*":
        return f", position {position}: a stop '*' inside the sequence; cut it there or correct the reading frame"
    if letter in GAPS:
        return (
            f", position {position}: a gap '{letter}' in a sequence that is not read as an alignment; call a file of "
            "aligned sequences .a3m, .afa or .sto, or take the gaps out"
        )
    return f", position {position}: {letter!r} is no amino acid; correct it"


def refuse_dna(texts: Sequence[str], origin: str) -> tuple[str, ...]:
    """A note where all letters are those of DNA or RNA.

    Raises:
        SeqsciError: they are, and too many for chance (`SURELY`).
    """
    count = 0
    for text in texts:
        if not NUCLEOTIDES.issuperset(text):
            return ()
        count += len(text)
    if count >= SURELY:
        raise SeqsciError(
            f"{origin}: all {count} letters are A, C, G, T, U or N, so it is DNA or RNA and no protein; "
            "read it with data.domain genomics, or translate it first"
        )
    return (f"{origin}: all {count} letters are A, C, G, T, U or N; read as amino acids, but it may be DNA",)


def unique(names: Sequence[str]) -> tuple[list[str], int]:
    """Names of which later ones that were there before get .2, .3, ...; and how many had to."""
    seen: set[str] = set(names)
    counts: dict[str, int] = {}
    out: list[str] = []
    changed = 0
    for name in names:
        if name not in counts:
            counts[name] = 1
            out.append(name)
            continue
        changed += 1
        number = counts[name] + 1
        while f"{name}.{number}" in seen:
            number += 1
        counts[name] = number
        seen.add(f"{name}.{number}")
        out.append(f"{name}.{number}")
    return out, changed
