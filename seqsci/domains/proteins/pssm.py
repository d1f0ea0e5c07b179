"""Position-specific scores of an alignment: the zero-shot baseline for the effect of variants."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.domains.proteins.alignment import Alignment
from seqsci.domains.proteins.homologs import weights
from seqsci.domains.proteins.letters import RESIDUES
from seqsci.errors import SeqsciError

BACKGROUND = np.array(
    [
        *(0.07805, 0.01925, 0.05364, 0.06295, 0.03856, 0.07377, 0.02199, 0.05142, 0.05744, 0.09019),
        *(0.02243, 0.04487, 0.05203, 0.04264, 0.05129, 0.07120, 0.05841, 0.06441, 0.01330, 0.03216),
    ]
)
"""(20,) shares of the amino acids in proteins, in the order of `RESIDUES` (Robinson and Robinson, PNAS 1991)."""


def pssm(alignment: Alignment, pseudocount: float = 1.0) -> NDArray[np.float64]:
    """(L, 20) natural logarithm of how much more often than by chance an amino acid stands in each column.

    log((sum of weights of rows that have it + pseudocount * background) / (sum of weights of all residues +
    pseudocount) / background), with the rows' sequence weights (`homologs.weights`); gaps count for nothing.

    Args:
        alignment: over the columns of the query.
        pseudocount: rows, each of the background's composition, that are added to every column; above 0.

    Raises:
        SeqsciError: a pseudocount that is not above 0.
    """
    if not pseudocount > 0:
        raise SeqsciError(f"pseudocount: {pseudocount} is not above 0, so that unseen residues would score -infinity")
    weight = weights(alignment.rows)
    counts = np.array([weight @ (alignment.rows == code) for code in range(len(RESIDUES))]).T
    smooth = counts + pseudocount * BACKGROUND
    found: NDArray[np.float64] = np.log(smooth / smooth.sum(axis=1, keepdims=True) / (BACKGROUND / BACKGROUND.sum()))
    return found


def pssm_scores(matrix: NDArray[np.float64], variants: pl.DataFrame, query: str | None = None) -> NDArray[np.float64]:
    """(V,) score of the alternative minus that of the reference, added up over the letters that change.

    Args:
        matrix: (L, 20) of `pssm`.
        variants: `position` (from 1 on in the query), `reference` and `alternative` (letters, of one length).
        query: its letters, to compare the references with.

    Returns:
        NaN where a variant lies outside the matrix, changes the length, or has a letter that is none of the 20.

    Raises:
        SeqsciError: a reference that is not the query's letter.
    """
    out = np.full(len(variants), np.nan)
    columns = (variants["position"], variants["reference"], variants["alternative"])
    for row, (position, reference, alternative) in enumerate(zip(*columns, strict=True)):
        start, stop = position - 1, position - 1 + len(reference)
        if start < 0 or stop > len(matrix) or len(reference) != len(alternative):
            continue
        if query is not None and query[start:stop] != reference:
            raise SeqsciError(
                f"variant {row + 1}, position {position}: the reference is {reference} and the query has "
                f"{query[start:stop]}; check that both count from the same residue"
            )
        if set(reference + alternative) <= set(RESIDUES):
            place = np.arange(start, stop)
            old, new = ([RESIDUES.index(letter) for letter in text] for text in (reference, alternative))
            out[row] = float(np.sum(matrix[place, new] - matrix[place, old]))
    return out
