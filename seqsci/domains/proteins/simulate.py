"""SIMULATED proteins: families that evolved along random trees, with a simulated stability of each member."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl
from Bio.Align import substitution_matrices
from numpy.typing import NDArray

from seqsci.domains.proteins.features import _TABLE
from seqsci.domains.proteins.letters import RESIDUES
from seqsci.domains.proteins.pssm import BACKGROUND
from seqsci.errors import SeqsciError

MEMBERS = 50
"""Members of a family, about."""
CLADES = 6
"""Subfamilies of a family: so far apart that the split by identity may put them on two sides."""
RATES = np.array([0.02, 0.3, 0.8, 1.3, 2.2])
"""Classes of how fast a site changes; the first is that of motifs."""
BETWEEN, WITHIN = 0.8, 0.04
"""Mean length of a branch above and in a subfamily, substitutions per site of rate 1."""
INDELS = 0.03
"""Insertions and deletions per site for each substitution per site."""
SCALE = 0.3
"""Makes the standard deviation of the stability in a family about 1."""
NOISE = 0.3
"""Standard deviation of the error of a measured stability."""
AMINO = len(RESIDUES)
FREE = -1


@dataclass(frozen=True, kw_only=True)
class _Member:
    """`letters (L,)`: numbers of amino acids; `sites (L,)`: place in the ancestor of each, `FREE` if inserted."""

    letters: NDArray[np.int64]
    sites: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class _Family:
    """What all members share: of each site of the ancestor its class of rates, and what each residue is worth there."""

    ancestor: _Member
    rates: NDArray[np.int64]
    worth: NDArray[np.float64]


def simulate(seed: int, count: int) -> pl.DataFrame:
    """SIMULATED proteins, a row each.

    Each of about count / 50 families (at least 1) has a random ancestor of 60 to 220 residues, which evolves along a
    random tree of six subfamilies (between which about 30 % of residues are equal, within them 80 %): substitutions after BLOSUM62, at sites of different rates, with spaced motifs that
    hardly change; insertions and deletions spare the motifs. The stability is a sum over the sites of the ancestor of
    what each residue is worth there (more at slow sites; 0 on average), minus 0.1 for each site that is lost, and noise.

    Args:
        seed: the same seed and count give the same proteins.
        count: records, 1 or more.

    Returns:
        `id`, `sequence`, `group` and `family` (both the family's name) and `stability` (simulated, no unit).

    Raises:
        SeqsciError: a count below 1.
    """
    if count < 1:
        raise SeqsciError(f"data.count: {count} is below 1; a simulated set needs records")
    rng = np.random.default_rng(seed)
    families = max(1, round(count / MEMBERS))
    sizes = np.bincount(np.arange(count) % families, minlength=families)
    rows: list[tuple[str, str, str, str, float]] = []
    for number, size in enumerate(sizes, 1):
        family = _family(rng)
        members = _members(family, int(size), rng)
        stabilities = np.array([_stability(family, member) for member in members])
        measured = stabilities + rng.normal(0.0, NOISE, len(members))
        name = f"simulated-{number:02d}"
        for i, (member, value) in enumerate(zip(members, measured, strict=True), 1):
            text = "".join(RESIDUES[code] for code in member.letters)
            rows.append((f"{name}-{i:03d}", text, name, name, round(float(value), 4)))
    names = ("id", "sequence", "group", "family", "stability")
    return pl.DataFrame(rows, schema=names, orient="row")


def _family(rng: np.random.Generator) -> _Family:
    length = int(rng.integers(60, 221))
    letters = rng.choice(AMINO, size=length, p=BACKGROUND / BACKGROUND.sum())
    rates = rng.choice(np.arange(1, len(RATES)), size=length)
    for _ in range(max(2, length // 50)):
        # Never five neighbours: short words are for the split by identity to find relatives, motifs for a model.
        start = int(rng.integers(0, length - 12))
        rates[start + np.flatnonzero(rng.random(12) < 0.5)] = 0
        rates[start + 4 : start + 12 : 4] = 2
    similar = np.asarray(_blosum())[letters] / 4.0
    weight = rng.gamma(2.0, 0.5, length) / (1.0 + RATES[rates])
    water = _TABLE[:AMINO, 0] / 4.5 * rng.choice([-1.0, 1.0], length)[:, None]
    worth = weight[:, None] * (similar - similar.max(axis=1, keepdims=True)) * 0.5 + 0.1 * water
    # What a site is worth on average after so much evolution is 0, so that families are comparable.
    usual = np.array([_transitions(RATES[rate] * BETWEEN)[letter] for rate, letter in zip(rates, letters, strict=True)])
    worth = (worth - np.sum(usual * worth, axis=1, keepdims=True)) * SCALE
    return _Family(ancestor=_Member(letters=letters, sites=np.arange(length)), rates=rates, worth=worth)


def _members(family: _Family, size: int, rng: np.random.Generator) -> list[_Member]:
    """Leaves of the family's tree: the subfamilies leave the ancestor, their members a random tree of their own."""
    clades = min(CLADES, size)
    sizes = np.bincount(np.arange(size) % clades, minlength=clades)
    out: list[_Member] = []
    for leaves in sizes:
        top = _evolved(family, family.ancestor, BETWEEN, rng)
        grown = [top]
        while len(grown) < leaves:
            parent = grown.pop(int(rng.integers(len(grown))))
            grown += [_evolved(family, parent, float(rng.exponential(WITHIN)), rng) for _ in range(2)]
        out += [_evolved(family, leaf, float(rng.exponential(WITHIN)), rng) for leaf in grown]
    return out


def _evolved(family: _Family, parent: _Member, branch: float, rng: np.random.Generator) -> _Member:
    """What has become of a protein after a branch of this length."""
    rates = np.where(parent.sites == FREE, len(RATES) - 1, family.rates[np.maximum(parent.sites, 0)])
    letters = parent.letters.copy()
    for rate in range(len(RATES)):
        at = np.flatnonzero(rates == rate)
        chances = np.cumsum(_transitions(RATES[rate] * branch)[letters[at]], axis=1)
        # The last sum may be a rounding error below 1.
        letters[at] = np.minimum((chances < rng.random((len(at), 1))).sum(axis=1), AMINO - 1)
    sites = parent.sites.copy()
    for _ in range(int(rng.poisson(INDELS * branch * len(letters)))):
        letters, sites = _indel(family, letters, sites, rng)
    return _Member(letters=letters, sites=sites)


def _indel(
    family: _Family, letters: NDArray[np.int64], sites: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """An insertion or a deletion of a few residues, unless it would fall into a motif."""
    length = int(rng.geometric(0.4))
    start = int(rng.integers(0, len(letters) + 1))
    if rng.random() < 0.5:
        new = rng.choice(AMINO, size=length, p=BACKGROUND / BACKGROUND.sum())
        return np.insert(letters, start, new), np.insert(sites, start, np.full(length, FREE))
    lost = np.arange(start, min(start + length, len(letters)))
    in_motif = (sites[lost] != FREE) & (family.rates[np.maximum(sites[lost], 0)] == 0)
    if in_motif.any() or len(letters) - len(lost) < 30:
        return letters, sites
    return np.delete(letters, lost), np.delete(sites, lost)


def _stability(family: _Family, member: _Member) -> float:
    own = member.sites != FREE
    lost = len(family.rates) - int(own.sum())
    return float(family.worth[member.sites[own], member.letters[own]].sum()) - 0.1 * lost


@cache
def _blosum() -> NDArray[np.float64]:
    """(20, 20) BLOSUM62 in the order of our residues."""
    table = substitution_matrices.load("BLOSUM62")  # type: ignore[no-untyped-call]
    return np.array([[table[a, b] for b in RESIDUES] for a in RESIDUES], dtype=np.float64)


@cache
def _rate_matrix() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues (20,) and vectors (20, 20) of the substitution process, made symmetric by the root of the shares.

    Exchangeabilities are the odds behind BLOSUM62, 2^(score / 2), and one substitution per site is the unit of time.
    """
    share = BACKGROUND / BACKGROUND.sum()
    rates = 2.0 ** (_blosum() / 2) * share
    np.fill_diagonal(rates, 0.0)
    np.fill_diagonal(rates, -rates.sum(axis=1))
    rates /= -float(share @ np.diag(rates))
    root = np.sqrt(share)
    values, vectors = np.linalg.eigh(root[:, None] * rates / root[None, :])
    return values, vectors


def _transitions(time: float) -> NDArray[np.float64]:
    """(20, 20) probability that one residue (row) has become another (column) after this time."""
    values, vectors = _rate_matrix()
    root = np.sqrt(BACKGROUND / BACKGROUND.sum())
    symmetric = (vectors * np.exp(values * time)) @ vectors.T
    found: NDArray[np.float64] = np.maximum(symmetric / root[:, None] * root[None, :], 0.0)
    found /= found.sum(axis=1, keepdims=True)
    return found
