"""Numbers that describe a protein, for the baselines that a language model must beat."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from Bio.Align import substitution_matrices
from Bio.SeqUtils.ProtParamData import kd
from numpy.typing import NDArray

from seqsci.domains.proteins.letters import OTHERS, RESIDUES

TRIAD = ("AGV", "ILFP", "YMTS", "HNQW", "RK", "DE", "C")
"""Classes of amino acids by dipole and volume (Shen et al., PNAS 2007: the conjoint triad)."""
CHARGE = {"K": 1.0, "R": 1.0, "D": -1.0, "E": -1.0}
MASS = {
    **{"A": 71.08, "C": 103.14, "D": 115.09, "E": 129.12, "F": 147.18, "G": 57.05, "H": 137.14, "I": 113.16},
    **{"K": 128.17, "L": 113.16, "M": 131.19, "N": 114.10, "P": 97.12, "Q": 128.13, "R": 156.19, "S": 87.08},
    **{"T": 101.10, "V": 99.13, "W": 186.21, "Y": 163.18},
}
"""Average mass of a residue in a chain, Da."""
VARIABLE = 0.5
"""Texts of one length are variants of one protein where a text differs from the usual letters in less than this."""


def features(texts: Sequence[str]) -> NDArray[np.float32]:
    """(R, F) features of proteins.

    Variants of one protein (texts of one length that are mostly alike, such as a deep mutational scan) are described
    by one-hot letters of the positions that vary, which is the standard baseline for such landscapes, and by what their
    substitutions are wherever they stand (`_substituted`), which is all that can be told of positions that training
    has not changed; which columns there are then depends on `texts`, so all that are to be compared must come in one
    call. Other proteins have

        20      share of each amino acid
        1       share of the letters X B U Z O J
        343     share of each triad of classes (`TRIAD`) among the neighbouring three
        5       mean hydropathy (Kyte and Doolittle, 1982), charge per residue, share of charged and of aromatic
                (F W Y) residues, mean mass of a residue in Da / 100
        1       natural logarithm of the length
    """
    codes = _landscape(texts)
    if codes is not None:
        return np.concatenate([_one_hot(codes), _substituted(codes)], axis=1)
    return np.array([_described(text) for text in texts], dtype=np.float32).reshape(len(texts), _WIDTH)


def _landscape(texts: Sequence[str]) -> NDArray[np.uint8] | None:
    """(R, L) letters of variants of one protein, or None."""
    if len(texts) < 2 or len({len(text) for text in texts}) > 1 or not texts[0]:
        return None
    codes = np.array([np.frombuffer(text.encode(), dtype=np.uint8) for text in texts])
    usual = np.array([np.bincount(column).argmax() for column in codes.T])
    return codes if np.mean(codes != usual) < VARIABLE else None


def _one_hot(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(R, F) 1 where a text has a letter at a position, for positions that vary and letters that occur there."""
    columns = []
    for column in codes.T:
        letters = np.unique(column)
        if len(letters) > 1:
            columns.append(column[:, None] == letters)
    if not columns:
        return np.zeros((len(codes), 1), dtype=np.float32)
    return np.concatenate(columns, axis=1).astype(np.float32)


def _substituted(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(R, 45) of what stands where most texts have another letter: how many of each amino acid are lost (20) and won
    (20), substitutions, their sum in BLOSUM62, and what they change in hydropathy, charge and mass / 100 Da."""
    usual = np.array([np.bincount(column).argmax() for column in codes.T])
    other, blosum = codes != usual, _blosum()
    out = np.zeros((len(codes), 2 * len(RESIDUES) + 5), dtype=np.float32)
    for row, changed in enumerate(other):
        lost, won = (np.array([_PLACE[chr(code)] for code in some[changed]], int) for some in (usual, codes[row]))
        for start, some in ((0, lost), (len(RESIDUES), won)):
            np.add.at(out[row], start + some[some < len(RESIDUES)], 1)
        told = (_TABLE[won] - _TABLE[lost])[:, [0, 1, 4]].sum(axis=0)
        out[row, -5:] = [len(lost), blosum[lost, won].sum(), *told]
    return out


@cache
def _blosum() -> NDArray[np.float64]:
    """BLOSUM62 in the order of `RESIDUES` and `OTHERS`, 0 of letters that it does not have."""
    table = substitution_matrices.load("BLOSUM62")  # type: ignore[no-untyped-call]
    known = set(table.alphabet)
    letters = RESIDUES + OTHERS
    return np.array([[table[a, b] if {a, b} <= known else 0.0 for b in letters] for a in letters])


_WIDTH = len(RESIDUES) + 1 + len(TRIAD) ** 3 + 5 + 1
_PLACE = {letter: place for place, letter in enumerate(RESIDUES + OTHERS)}
_CLASS = np.array([next((i for i, group in enumerate(TRIAD) if letter in group), -1) for letter in RESIDUES + OTHERS])
_TABLE = np.array(
    [
        [kd.get(letter, 0.0), CHARGE.get(letter, 0.0), letter in CHARGE, letter in "FWY", MASS.get(letter, 110.0) / 100]
        for letter in RESIDUES + OTHERS
    ]
)


def _described(text: str) -> NDArray[np.float64]:
    codes = np.array([_PLACE[letter] for letter in text], dtype=np.int64)
    counts = np.bincount(codes, minlength=len(_PLACE)) / max(len(codes), 1)
    size = len(TRIAD)
    classes = _CLASS[codes]
    triads = np.zeros(size**3)
    if len(classes) >= 3:
        first, second, third = classes[:-2], classes[1:-1], classes[2:]
        known = (first >= 0) & (second >= 0) & (third >= 0)
        number = (first * size + second) * size + third
        triads = np.bincount(number[known], minlength=size**3) / max(int(known.sum()), 1)
    length = np.log(max(len(codes), 1))
    return np.concatenate([counts[:20], [counts[20:].sum()], triads, counts @ _TABLE, [length]])
