"""Fingerprints and descriptors of molecules: what baselines that cannot read SMILES learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import Descriptors, rdFingerprintGenerator, rdMolDescriptors

from seqsci.domains.molecules.molecule import parse, quiet, reason
from seqsci.errors import SeqsciError

RADIUS, BITS = 2, 2048
MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)
"""Morgan fingerprints (Rogers and Hahn, J. Chem. Inf. Model. 2010, 50, 742), the size of ECFP4."""


def logp(molecule: Chem.Mol) -> float:
    """Logarithm of the octanol-water partition (Wildman and Crippen, J. Chem. Inf. Comput. Sci. 1999, 39, 868)."""
    return float(rdMolDescriptors.CalcCrippenDescriptors(molecule)[0])


def weight(molecule: Chem.Mol) -> float:
    """Average molecular weight with hydrogens, in daltons."""
    return float(Descriptors.MolWt(molecule))  # type: ignore[attr-defined]


DESCRIPTORS: dict[str, Callable[[Chem.Mol], float]] = {
    "molecular weight": weight,
    "logP": logp,
    "polar surface area": rdMolDescriptors.CalcTPSA,
    "hydrogen-bond donors": rdMolDescriptors.CalcNumHBD,
    "hydrogen-bond acceptors": rdMolDescriptors.CalcNumHBA,
    "rotatable bonds": rdMolDescriptors.CalcNumRotatableBonds,
    "rings": rdMolDescriptors.CalcNumRings,
    "aromatic rings": rdMolDescriptors.CalcNumAromaticRings,
    "fraction of sp3 carbons": rdMolDescriptors.CalcFractionCSP3,
    "heavy atoms": Chem.Mol.GetNumHeavyAtoms,
    "formal charge": Chem.GetFormalCharge,
}
"""By RDKit: daltons, `logp`, square angstroms, counts, a fraction, elementary charges."""


def features(texts: Sequence[str]) -> NDArray[np.float32]:
    """(R, 2059) numbers of each molecule: 2048 counts of its Morgan fingerprint, then `DESCRIPTORS` in their order.

    A count is how many atoms are the centre of an environment (radius 2, folded to 2048 places).

    Raises:
        SeqsciError: a text that is no valid SMILES, with its number from 1.
    """
    found = np.zeros((len(texts), BITS + len(DESCRIPTORS)), dtype=np.float32)
    with quiet():
        for row, text in enumerate(texts):
            molecule = parse(text)
            if molecule is None:
                raise SeqsciError(f"molecule {row + 1}: '{text}' is no valid SMILES ({reason(text)})")
            found[row, :BITS] = MORGAN.GetCountFingerprintAsNumPy(molecule)
            found[row, BITS:] = [measure(molecule) for measure in DESCRIPTORS.values()]
    return found
