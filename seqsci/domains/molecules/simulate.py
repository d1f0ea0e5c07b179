"""Molecules that nobody has made: put together from rings, linkers and substituents, and read by RDKit.

What is "measured" of them is calculated, with noise: a score on it says nothing about chemistry. They have what a
reader of SMILES must cope with: fused and saturated rings, stereo centres, E and Z bonds, charges, salts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from seqsci.domains.molecules.features import logp
from seqsci.domains.molecules.fragments import (
    ACIDS,
    ANIONS,
    BASES,
    CATIONS,
    CORES,
    LINKERS,
    NITROGEN_BEARS,
    RINGS,
    SUBSTITUENTS,
)
from seqsci.domains.molecules.molecule import quiet
from seqsci.errors import SeqsciError

TARGETS, FAVOURITES = 12, 4
"""Targets, and cores that most ligands of one share."""
FAITHFUL, RINGED, LINKED = 0.8, 0.35, 0.6
"""Chance of a favourite core, of a ring at the end of an arm, and of a linker before that."""
IONS, CRYSTAL = 0.7, 0.05
"""Chance that a charged molecule has its counterions, and that another base is a salt of an acid."""
LOGP_ERROR, WRONG = 0.3, 0.1
"""Standard deviation of the simulated measurement of logP, and share of wrong verdicts on activity."""
MOST_TRIES = 50
"""Molecules put together for each that is asked for, before the simulation gives up."""
AMINE = Chem.MolFromSmarts("[NX3;H0,H1,H2;!$(N-[!#6;!#1]);!$(N-C=[O,N,S]);!$(N-a)]-[CX4]")


def simulate(seed: int, count: int) -> pl.DataFrame:
    """SIMULATED molecules, no two of them the same, each "measured" against one of 12 simulated targets.

    The first molecules of a seed stay the same when more are asked for.

    Args:
        seed: a whole number from 0.
        count: molecules.

    Returns:
        `id`; `smiles` (RDKit's canonical one, with stereo); `group` (the target, whose ligands share some cores);
        `active` ("1" for at least one hydrogen-bond donor, two aromatic rings and a logP from 1 to 4.5, else "0"; a
        tenth of the verdicts is wrong); `logp` (Wildman and Crippen's, with an error of 0.3).

    Raises:
        SeqsciError: a negative seed, fewer than one molecule, or more than the blocks can make.
    """
    if seed < 0:
        raise SeqsciError(f"seed: {seed} is negative; give a whole number from 0")
    if count < 1:
        raise SeqsciError(f"count: {count} molecules cannot be simulated; ask for at least 1")
    rng = np.random.default_rng(seed)
    cores = CORES + BASES
    favourites = [rng.choice(len(cores), FAVOURITES, replace=False) for _ in range(TARGETS)]
    rows: dict[str, tuple[str, str, float]] = {}
    with quiet():
        for _ in range(MOST_TRIES * count):
            target = int(rng.integers(TARGETS))
            likely = favourites[target]
            core = likely[rng.integers(FAVOURITES)] if rng.random() < FAITHFUL else rng.integers(len(cores))
            molecule = _assembled(cores[int(core)], rng)
            error, wrong = rng.normal(0.0, LOGP_ERROR), rng.random() < WRONG
            smiles = str(Chem.MolToSmiles(molecule))
            if smiles in rows:
                continue
            partition = logp(molecule)
            active = _active(molecule, partition) != wrong
            rows[smiles] = (f"target-{target + 1:02d}", "1" if active else "0", round(partition + error, 3))
            if len(rows) == count:
                return _frame(rows)
    raise SeqsciError(f"count: only {len(rows)} different molecules could be simulated; ask for no more than that")


def _frame(rows: dict[str, tuple[str, str, float]]) -> pl.DataFrame:
    groups, active, measured = zip(*rows.values(), strict=True)
    return pl.DataFrame(
        {
            "id": [f"demo-{number:05d}" for number in range(1, len(rows) + 1)],
            "smiles": list(rows),
            "group": groups,
            "active": active,
            "logp": measured,
        }
    )


def _assembled(core: str, rng: np.random.Generator) -> Chem.Mol:
    """A core with an arm at each of its places, and ions or an acid beside it."""
    linkers, rings, ends = (NITROGEN_BEARS[kind] if core in BASES else kind for kind in (LINKERS, RINGS, SUBSTITUENTS))
    text = core.format(*(_arm(linkers, rings, ends, rng) for _ in range(core.count("{"))))
    molecule = Chem.MolFromSmiles(text)
    beside = _beside(molecule, rng)
    return Chem.MolFromSmiles(".".join([text, *beside])) if beside else molecule


def _arm(linkers: Sequence[str], rings: Sequence[str], substituents: Sequence[str], rng: np.random.Generator) -> str:
    """A substituent, or a ring with or without a linker."""
    if rng.random() >= RINGED:
        return _one(substituents, rng)
    if rng.random() >= LINKED:
        return _one(rings, rng)
    linker = _one(linkers, rng)
    return linker + _one(NITROGEN_BEARS[RINGS] if linker[-1] in "NOS" else RINGS, rng)


def _beside(molecule: Chem.Mol, rng: np.random.Generator) -> list[str]:
    """Counterions of a charged molecule; now and then the acid with which a base makes a salt."""
    charge = Chem.GetFormalCharge(molecule)
    if charge:
        ion = _one(ANIONS if charge > 0 else CATIONS, rng)
        return [ion] * abs(charge) if rng.random() < IONS else []
    if rng.random() < CRYSTAL and molecule.HasSubstructMatch(AMINE):
        return [_one(ACIDS, rng)]
    return []


def _one(things: Sequence[str], rng: np.random.Generator) -> str:
    return things[int(rng.integers(len(things)))]


def _active(molecule: Chem.Mol, partition: float) -> bool:
    """The rule of the simulated assay."""
    return bool(
        rdMolDescriptors.CalcNumHBD(molecule) >= 1
        and rdMolDescriptors.CalcNumAromaticRings(molecule) >= 2
        and 1.0 <= partition <= 4.5
    )
