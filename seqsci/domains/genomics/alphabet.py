"""The letters of DNA, what becomes of others, and the other strand."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from seqsci.data.records import Letters
from seqsci.data.words import counted
from seqsci.errors import SeqsciError

BASES = "ACGT"
LETTERS = "ACGTNRYSWKMBDHV"
"""The four bases, N (any), and the ambiguity codes of IUPAC (Cornish-Bowden, Nucleic Acids Res. 13, 1985)."""
PAIRS = dict(zip(LETTERS, "TGCANYRSWMKVHDB", strict=True))
"""Letter -> its complement."""
TOKENIZER = Letters(LETTERS, PAIRS)
"""One token per letter; ambiguity codes keep their own."""
UNIT = "base"

_COMPLEMENT = str.maketrans(PAIRS)
_BASES, _KNOWN = BASES.encode(), LETTERS.encode() + b"U"
_LOWER = bytes(range(ord("a"), ord("z") + 1))
_AMBIGUOUS = LETTERS[len(BASES) + 1 :].encode()
AMINO_ACIDS = frozenset("ACDEFGHIKLMNPQRSTVWYXBZJUO")
MANY_AMBIGUOUS = 0.2
"""Share of ambiguity codes above which reading asks whether these are proteins."""


def reverse_complement(text: str) -> str:
    """The same record as read on the other strand; twice gives the record back."""
    return text[::-1].translate(_COMPLEMENT)


def augment(text: str, rng: np.random.Generator) -> str:
    """The record or, with probability 1/2, its reverse complement: both spell the same molecule."""
    return reverse_complement(text) if rng.random() < 0.5 else text


@dataclass(kw_only=True)
class Counts:
    """Letters that were changed or are worth a word, over all records."""

    letters: int = 0
    lower: int = 0
    uracil: int = 0
    unknown: int = 0
    ambiguous: int = 0
    marked: int = 0
    """Records with letters of the two kinds before."""

    def add(self, record: Counts) -> None:
        """Those of one more record, in whatever pieces it was read."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(record, field.name))
        self.marked += min(1, record.marked) - record.marked

    def notes(self) -> tuple[str, ...]:
        """What happened to letters, in sentences."""
        said = []
        if self.lower:
            said.append(f"{self.lower} lower-case letters (such as soft masks) were made upper case")
        if self.uracil:
            said.append(f"{self.uracil} letters U (RNA) were made T")
        if self.marked:
            hold = counted(self.marked, "record holds", "records hold")
            said.append(
                f"{hold} letters that stand for several bases: {self.unknown} N, {self.ambiguous} other IUPAC codes "
                "such as R or Y; each is kept as a token of its own, which models read and may generate; features pass "
                "over it"
            )
        if self.ambiguous > MANY_AMBIGUOUS * max(1, self.letters - self.unknown):
            said.append(
                f"{self.ambiguous} of {self.letters} letters are ambiguity codes; if these are proteins, take "
                "data.domain proteins"
            )
        return tuple(said)


def cleaned(text: str, where: str, counts: Counts) -> str:
    """A record in the letters of `TOKENIZER`; what was changed is added to `counts`.

    Lower case becomes upper case, U becomes T, ambiguity codes stay.

    Raises:
        SeqsciError: no letters, a gap, or another symbol, with its position from 1 and `where` in front.
    """
    if not text:
        raise SeqsciError(f"{where}: has no letters; remove it, or skip such records with data.invalid skip")
    raw = text.encode("ascii", "replace")
    counts.letters += len(raw)
    rest = raw.translate(None, delete=_BASES)
    if not rest:  # nearly always, and the fastest there is for a genome
        return text
    upper = rest.upper()
    foreign = upper.translate(None, delete=_KNOWN)
    if foreign:
        counts.letters -= len(raw)
        raise _refusal(text, raw.upper().index(foreign[:1]), where)
    lower, uracil = len(rest) - len(rest.translate(None, delete=_LOWER)), upper.count(b"U")
    counts.lower += lower
    counts.uracil += uracil
    counts.unknown += upper.count(b"N")
    ambiguous = len(upper) - len(upper.translate(None, delete=_AMBIGUOUS))
    counts.ambiguous += ambiguous
    counts.marked += bool(ambiguous or b"N" in upper)
    if lower:
        raw = raw.upper()
    return (raw.replace(b"U", b"T") if uracil else raw).decode()


def _refusal(text: str, at: int, where: str) -> SeqsciError:
    symbol = text[at]
    place = f"{where}, position {at + 1}: {symbol!r}"
    if symbol in "-.~":
        return SeqsciError(
            f"{place} is a gap, as in an alignment; give the sequences without gaps, or skip such records with "
            "data.invalid skip"
        )
    if symbol == "*":
        return SeqsciError(
            f"{place} is a stop of a translated protein, no nucleotide; correct it, or skip such records with "
            "data.invalid skip; if these are proteins, take data.domain proteins"
        )
    if symbol.upper() in AMINO_ACIDS and all(letter in AMINO_ACIDS for letter in text.upper().rstrip("*")):
        return SeqsciError(f"{place} is no nucleotide; is this a protein file? data.domain proteins")
    return SeqsciError(f"{place} is no nucleotide; correct it, or skip such records with data.invalid skip")
