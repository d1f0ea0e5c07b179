"""A protein with gaps, as a person writes it and as a model that was trained to fill gaps reads it.

MKV[12]GLA      12 residues are missing between V and G
MKV[8-12]GLA    8 to 12
MKV[]GLA        some: 1 to a fifth of the known residues, the longest that training moves (`homologs.LONGEST`)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqsci.data.records import FILL, SPAN, SPANS, Tokens
from seqsci.domains.proteins.homologs import LONGEST
from seqsci.domains.proteins.letters import TOKENIZER
from seqsci.errors import SeqsciError

FORM = "write [12] for 12 missing residues, [8-12] for 8 to 12, [] for some"
_GAP = re.compile(r"\[([^\[\]]*)\]")
_LENGTH = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


@dataclass(frozen=True, kw_only=True)
class Gapped:
    """`pieces (G + 1,)`: the letters around the gaps, "" at an end where a gap stands; `ranges (G,)`: fewest and most
    residues of each gap."""

    pieces: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...]

    def known(self) -> int:
        """Letters that are given."""
        return sum(map(len, self.pieces))

    def spans(self, lengths: Sequence[int]) -> list[tuple[int, int]]:
        """Start and stop of each gap in the whole protein, when the gaps have these lengths."""
        found, at = [], 0
        for piece, length in zip(self.pieces, lengths, strict=False):
            at += len(piece)
            found.append((at, at + length))
            at += length
        return found

    def asked(self, lengths: Sequence[int]) -> tuple[Tokens, NDArray[np.int64]]:
        """What is read before the gaps are filled: the protein with <span-i> in place of each, and <fill>.

        Returns:
            Tokens (L,), and positions (L,) as those of `homologs.fill_in_the_middle`: a residue's place in the whole
            protein, which tells how long the gaps are; of <fill> 0.
        """
        tokens: list[Tokens] = []
        places: list[NDArray[np.int64]] = []
        at = 0
        for number, piece in enumerate(self.pieces):
            own = TOKENIZER.encode(piece, "fill")
            tokens.append(own)
            places.append(np.arange(at, at + len(own)))
            at += len(own)
            if number < len(lengths):
                tokens.append(np.array([SPAN + number], np.uint8))
                places.append(np.array([at]))
                at += lengths[number]
        tokens.append(np.array([FILL], np.uint8))
        places.append(np.zeros(1, np.int64))
        return np.concatenate(tokens).astype(np.uint8), np.concatenate(places).astype(np.int64)

    def whole(self, fillings: Sequence[str]) -> str:
        """The protein with these in the gaps."""
        return "".join(part for pair in zip(self.pieces, (*fillings, ""), strict=True) for part in pair)


def read_gaps(text: str) -> Gapped:
    """A protein with gaps in brackets; white space is left out and lower case is read as capitals.

    Raises:
        SeqsciError: no gap, too many of them, one of no length, two side by side, or letters that are no residues.
    """
    text = "".join(text.split())
    gaps = list(_GAP.finditer(text))
    pieces = [piece.upper() for piece in _GAP.sub("[", text).split("[")]
    if len(pieces) != len(gaps) + 1 or any("]" in piece for piece in pieces):
        raise SeqsciError(f"fill: a bracket stands alone in '{_short(text)}'; {FORM}")
    if not gaps:
        raise SeqsciError(f"fill: there is no gap in '{_short(text)}'; {FORM}")
    if len(gaps) > len(SPANS):
        raise SeqsciError(
            f"fill: {len(gaps)} gaps, and a model learns of at most {len(SPANS)}; fill some of them first"
        )
    if "" in pieces[1:-1]:
        raise SeqsciError("fill: two gaps stand side by side; make one of them, such as [12]")
    known = sum(map(len, pieces))
    if not known:
        raise SeqsciError("fill: no residue is given around the gap; use generate without fill")
    for number, piece in enumerate(pieces):
        TOKENIZER.encode(piece, f"fill, behind gap {number}" if number else "fill")
    most = max(1, int(LONGEST * known))
    return Gapped(pieces=tuple(pieces), ranges=tuple(_range(gap[1], most) for gap in gaps))


def _range(text: str, most: int) -> tuple[int, int]:
    if not text:
        return 1, most
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise SeqsciError(f"fill: '[{_short(text)}]' is no gap; {FORM}")
    low, high = int(found[1]), int(found[2] or found[1])
    if not 1 <= low <= high:
        raise SeqsciError(f"fill: '[{text}]' asks for {low} to {high} residues; give 1 or more, the smaller one first")
    return low, high


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
