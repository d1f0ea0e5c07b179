"""An alignment as numbers: what sequence weights and position-specific scores are made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqsci.data.opened import unpacked
from seqsci.domains.proteins.letters import RESIDUES, shown, upper
from seqsci.domains.proteins.read import A3M, TRACKS, decoded, match_columns, members, stockholm, suffix
from seqsci.errors import SeqsciError

GAP = len(RESIDUES)
"""Number in `Alignment.rows` of a gap or of a letter that is none of the 20 amino acids."""

_CODES = np.full(128, GAP, dtype=np.uint8)
for _code, _letter in enumerate(RESIDUES):
    _CODES[ord(_letter)] = _CODES[ord(_letter.lower())] = _code


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Rows over the columns in which the query has a residue.

    `names`: (N,) of the members, the query first. `rows (N, L) uint8`: number of the amino acid in `RESIDUES`, or
    `GAP`. `query`: its L letters, as the file has them.
    """

    names: tuple[str, ...]
    rows: NDArray[np.uint8]
    query: str


def alignment(path: str | Path) -> Alignment:
    """The alignment of a file in A3M, aligned FASTA or Stockholm; of several in a Stockholm file the first.

    Insertions relative to the query (lower case in A3M, columns where it has a gap elsewhere) are left out.

    Raises:
        SeqsciError: no alignment, or rows of different lengths.
    """
    path = Path(path)
    text, _ = decoded(unpacked(path), path.name)
    if text.lstrip().startswith("# STOCKHOLM"):
        found = stockholm(text, path.name)[0][1]
    else:
        found = [one for one in members(text, path.name) if not TRACKS.match(one[0])]
    rows = [match_columns(one[2]) if suffix(path) in A3M else one[2].rstrip("*") for one in found]
    return aligned([one[0] for one in found], rows, path.name)


def aligned(names: list[str], rows: list[str], origin: str) -> Alignment:
    """An alignment from texts of one length, the query first.

    Raises:
        SeqsciError: texts of different lengths, or a query without residues.
    """
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise SeqsciError(
                f"{origin}, record {number} ({shown(names[number - 1])}): {len(row)} columns where the query has "
                f"{len(rows[0])}; align it again"
            )
    letters = np.array([np.frombuffer(row.encode("ascii", "replace"), dtype=np.uint8) for row in rows])
    if not letters.size or not np.any(match := np.array([letter not in "-." for letter in rows[0]])):
        raise SeqsciError(f"{origin}: the first record, the query, has no residue; check the file")
    query = "".join(letter for letter in rows[0] if letter not in "-.")
    return Alignment(names=tuple(names), rows=_CODES[np.minimum(letters[:, match], 127)], query=upper(query))
