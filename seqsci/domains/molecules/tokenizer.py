"""SMILES <-> tokens: a closed vocabulary that loses nothing, whichever molecule is written.

Outside brackets a token is an atom (`C`, `Cl`, `n`), a bond, a branch or a digit; inside, an element, `H`, a chirality,
a sign or a digit. `Sc` is scandium in `[Sc]` and a sulfur beside an aromatic carbon in `CSc1ccccc1`, so brackets are
cut out first. Grammar: OpenSMILES 1.0, with RDKit's dative bonds, `~`, `%(100)`, `[#6]` and quoted or systematic
names of elements.
"""

from __future__ import annotations

import re

import numpy as np

from seqsci.data.records import SPECIALS, Tokenizer, Tokens, unknown

ELEMENTS = (
    *("H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar"),
    *("K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr"),
    *("Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe"),
    *("Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf"),
    *("Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th"),
    *("Pa", "U", "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr", "Rf", "Db", "Sg", "Bh", "Hs"),
    *("Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og"),
)
"""The 118 elements in order of atomic number."""
AROMATIC = ("b", "c", "n", "o", "p", "s", "as", "se", "si", "te")
SYSTEMATIC = ("Uun", "Uuu", "Uub", "Uut", "Uuq", "Uup", "Uuh", "Uus", "Uuo")
"""Elements 110 to 118 before they had names; RDKit reads them still."""
DIGITS = "0123456789"
BONDS = ("-", "=", "#", "$", ":", "~", "/", "\\", "->", "<-")
CHIRALITY = ("@", "@@", "@TH", "@AL", "@SP", "@TB", "@OH")
OTHERS = ("(", ")", "[", "]", ".", "%", "+", "*", "'")
VOCABULARY = (*SPECIALS, *ELEMENTS, *AROMATIC, *SYSTEMATIC, *DIGITS, *BONDS, *CHIRALITY, *OTHERS)
"""The text of each token."""

OUTSIDE = re.compile(r"\[[^\[\]]*\]|Cl|Br|->|<-|@@|.", re.DOTALL)
# Longer names first: [Sc] is one token, and so is @@.
_WORDS = sorted((s for s in VOCABULARY[len(SPECIALS) :] if len(s) > 1), key=len, reverse=True)
INSIDE = re.compile("|".join([*map(re.escape, _WORDS), "."]), re.DOTALL)
MOST = 100_000
"""Pieces whose tokens are remembered: bracket atoms with map numbers could else fill the memory."""


class _Pieces(dict[str, bytes]):
    """Text of an atom, bond or whole bracket atom -> its tokens; learns bracket atoms as they come."""

    def __init__(self) -> None:
        super().__init__({symbol: bytes([code]) for code, symbol in enumerate(VOCABULARY) if code >= len(SPECIALS)})

    def __missing__(self, piece: str) -> bytes:
        if len(piece) < 2:
            raise KeyError(piece)
        codes = b"".join([self[part] for part in INSIDE.findall(piece)])
        if len(self) < MOST:
            self[piece] = codes
        return codes


class SmilesTokenizer(Tokenizer):
    """SMILES <-> tokens (L,) uint8, without loss; any text of these symbols has tokens, valid SMILES or not."""

    symbols = VOCABULARY

    def __init__(self) -> None:
        self._pieces = _Pieces()

    def encode(self, text: str, where: str = "") -> Tokens:
        """See `Tokenizer.encode`."""
        try:
            codes = b"".join([self._pieces[piece] for piece in OUTSIDE.findall(text)])
        except KeyError:
            at = self._unknown(text)
            raise unknown(text[at], at, where) from None
        return np.frombuffer(bytearray(codes), dtype=np.uint8)

    def _unknown(self, text: str) -> int:
        """The place of the first symbol that no token stands for."""
        for piece in OUTSIDE.finditer(text):
            for part in INSIDE.finditer(piece[0]) if len(piece[0]) > 1 else [re.match(".", piece[0], re.DOTALL)]:
                if part and part[0] not in self._pieces:
                    return piece.start() + part.start()
        return len(text)


TOKENIZER = SmilesTokenizer()
