"""Which proteins are near relatives: clusters by shared stretches of five residues.

Not an alignment. Where substitutions are spread evenly, a share p of equal residues leaves p^5 of the stretches of
five, so the threshold of 3 % stands for about 50 % identity (0.5^5 = 0.031) over the shorter protein. Conserved
stretches keep relatives together that are less alike: of the linked pairs among the proteins of four mycoplasmas, 90 %
have 30 to 96 % identity in a global alignment, half of them 48 % or more. Links are followed from protein to protein
(single linkage), so that no pair above the threshold is ever on two sides of a split. Stretches of fewer than three
kinds of residues are not counted, and two long proteins must share more than chance gives them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

WORD = 5
"""Residues of a stretch: two unrelated proteins of 300 residues share 0.05 of five by chance, but one of four."""
SHARE = 0.03
"""Least share of the shorter protein's distinct stretches that links two."""
LEAST = 3
"""Fewest shared stretches that link two, however few texts there are."""
KINDS = 3
"""Fewest different residues in a stretch that counts; runs such as KKKKN are everywhere."""
DEVIATIONS = 4.0
"""How far above the number expected by chance, in its standard deviations, the shared stretches must be.

Among the 2733 proteins of four mycoplasmas there are 3105 links, and 2 pairs that would be linked if one were read
backwards, which only chance can do. With `LEAST` alone there are 3628 links, 9 % of them by chance, and they chain a
sixth of the proteins together."""
BUDGET = 2_000_000_000
"""Pairs of equal stretches that are counted at most, some 20 s; above it near copies are first made one (`_copies`)."""
BLOCK = 512


def words(texts: Sequence[str], size: int = WORD, kinds: int = 1) -> csr_matrix:
    """(R, W) float32, 1 where a text has a stretch of `size` letters, of `kinds` different ones or more.

    A text that is not longer than `size` is its own only stretch.
    """
    place: dict[str, int] = {}
    indices: list[int] = []
    starts = [0]
    for text in texts:
        found = {text[i : i + size] for i in range(max(1, len(text) - size + 1))}
        if kinds > 1 and len(text) > size:
            found = {word for word in found if len(set(word)) >= kinds}
        # In sorted order: that of a set of texts changes from process to process.
        indices += [place.setdefault(word, len(place)) for word in sorted(found)]
        starts.append(len(indices))
    ones = np.ones(len(indices), dtype=np.float32)
    return csr_matrix((ones, np.array(indices, dtype=np.int32), np.array(starts)), shape=(len(texts), len(place)))


def clusters(texts: Sequence[str], share: float = SHARE) -> tuple[NDArray[np.int64], bool]:
    """(R,) number of each text's cluster, in the order of first members; and whether every pair was compared.

    Texts are linked where they are equal, or where they share at least `share` of the shorter one's distinct
    stretches of `WORD` residues and at least `_least` of them, or all.
    """
    place: dict[str, int] = {}
    same = np.array([place.setdefault(text, len(place)) for text in texts])
    table = words(list(place), kinds=KINDS)
    exact = _work(table) <= BUDGET
    to_first = np.arange(len(place)) if exact else _copies(table)
    firsts = np.unique(to_first)
    _, of_first = connected_components(_links(table[firsts], share, _chance(list(place))), directed=False)
    names = np.zeros(len(place), dtype=np.int64)
    names[firsts] = of_first
    _, first, inverse = np.unique(names[to_first][same], return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64), exact


def _chance(texts: Sequence[str]) -> float:
    """Probability that two residues of unrelated proteins are equal, from how often each letter is used."""
    counts = np.bincount(np.frombuffer("".join(texts).encode(), dtype=np.uint8))
    return float(np.sum((counts / counts.sum()) ** 2))


def _work(table: csr_matrix) -> float:
    """Pairs of texts with an equal stretch, counted per stretch."""
    often = np.asarray(table.sum(axis=0), dtype=np.float64).ravel()
    return float(np.sum(often**2))


def _links(table: csr_matrix, share: float, chance: float) -> csr_matrix:
    """(R, R), nonzero for texts that belong together."""
    sizes = np.asarray(table.sum(axis=1)).ravel()
    other = table.T.tocsr()
    rows: list[NDArray[np.int64]] = []
    columns: list[NDArray[np.int64]] = []
    for start in range(0, table.shape[0], BLOCK):
        shared = (table[start : start + BLOCK] @ other).tocoo()
        shorter = np.minimum(sizes[shared.row + start], sizes[shared.col])
        pairs = sizes[shared.row + start].astype(np.float64) * sizes[shared.col]
        near = shared.data >= np.maximum(share * shorter, np.minimum(_least(pairs, chance, len(sizes)), shorter))
        rows.append(shared.row[near].astype(np.int64) + start)
        columns.append(shared.col[near].astype(np.int64))
    row, column = np.concatenate(rows), np.concatenate(columns)
    return csr_matrix((np.ones(len(row), dtype=np.int8), (row, column)), shape=(table.shape[0],) * 2)


def _least(pairs: NDArray[np.float64], chance: float, texts: int) -> NDArray[np.float64]:
    """Shared stretches that two unrelated texts with so many pairs of stretches do not reach by chance.

    An equal run of r residues gives r - 4 stretches at once, so the least is one more than the longest run that is
    expected once among all pairs of texts; on top comes what chance gives in many short runs.
    """
    if not 0 < chance < 1:
        return np.full(len(pairs), float(LEAST))
    run = np.ceil(np.log(np.maximum(pairs * texts * texts / 2, 1.0)) / -np.log(chance))
    scattered = pairs * chance**WORD
    found: NDArray[np.float64] = np.maximum(run - WORD + 1, LEAST) + scattered + DEVIATIONS * np.sqrt(scattered)
    return found


def _copies(table: csr_matrix) -> NDArray[np.int64]:
    """(R,) for each text the first one of which it has half of its stretches, or itself.

    Each stretch is owned by the first text that has it, so this costs as much as reading the texts.
    """
    owner = np.full(table.shape[1], -1, dtype=np.int64)
    out = np.arange(table.shape[0])
    for row in range(table.shape[0]):
        found = table.indices[table.indptr[row] : table.indptr[row + 1]]
        owners = owner[found]
        known = owners[owners >= 0]
        if len(known):
            best, counts = np.unique(known, return_counts=True)
            if counts.max() * 2 >= len(found):
                out[row] = out[best[np.argmax(counts)]]
        owner[found[owners < 0]] = row
    return out
