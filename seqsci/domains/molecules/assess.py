"""What generated SMILES are worth, compared with the molecules that the model was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import QED

from seqsci.data.shares import CASES, Measure, alone, share
from seqsci.domains.molecules.features import MORGAN, logp, weight
from seqsci.domains.molecules.molecule import parse, quiet, scaffold
from seqsci.errors import SeqsciError

DRAWS = 1000
"""Bootstrap samples of an interval."""
PAIRED, MEASURED = 1000, 2000
"""Molecules, drawn at random, that are compared pair by pair, and those whose properties are calculated."""
PROPERTIES: dict[str, Callable[[Chem.Mol], float]] = {
    "qed": QED.qed,
    "logp": logp,
    "molecular_weight": weight,
}
Floats = NDArray[np.float64]


def assess(generated: Sequence[str], training: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """Validity, uniqueness, novelty, diversity, scaffolds and properties of generated SMILES.

    Molecules are told apart by RDKit's canonical SMILES with stereo, scaffolds by Bemis and Murcko without. Shares
    have Wilson's 95 % interval, but uniqueness has none; means have percentiles of `DRAWS` bootstrap samples of the
    molecules, none of fewer than `shares.CASES`.

    Args:
        generated: texts, in the order of their generation; they need not be valid.
        training: the molecules that the model was trained on: novelty is never against a test split.
        seed: of the samples.

    Returns:
        `counts` (`generated`, `valid`, `unique`, `novel`, `training`, `scaffolds`, `novel_scaffolds`); as
        {"value", "low", "high"}: `validity` of the generated, `uniqueness` of the valid, `novelty` of the unique
        ones, `novel_scaffolds` (share of the scaffolds of unique ones that no training molecule has), `diversity`
        (1 - mean Tanimoto similarity of Morgan fingerprints between two unique ones, of at most 1000), and
        `properties`: of each of QED, logP and molecular weight (unique ones, at most 2000) that, and the mean in
        `training` (at most 2000). What cannot be said, such as novelty where nothing is valid, is None.

    Raises:
        SeqsciError: nothing was generated, or a training set without a valid molecule.
    """
    if not len(generated):
        raise SeqsciError("assess: no sequences were generated; ask for at least one")
    rng = np.random.default_rng(seed)
    with quiet():
        known, known_scaffolds, trained = _training(training, rng)
        unique: dict[str, Chem.Mol] = {}
        valid = 0
        for text in generated:
            molecule = parse(text)
            if molecule is not None:
                valid += 1
                unique.setdefault(Chem.MolToSmiles(molecule), molecule)
        novel = sum(name not in known for name in unique)
        scaffolds = {scaffold(molecule) for molecule in unique.values()} - {""}
        new = len(scaffolds - known_scaffolds)
        molecules = list(unique.values())
        paired = _some(molecules, PAIRED, rng)
        measured = _some(molecules, MEASURED, rng)
        return {
            "counts": {
                "generated": len(generated),
                "valid": valid,
                "unique": len(unique),
                "novel": novel,
                "training": len(known),
                "scaffolds": len(scaffolds),
                "novel_scaffolds": new,
            },
            "validity": share(valid, len(generated)),
            "uniqueness": alone(len(unique) / valid if valid else None),
            "novelty": share(novel, len(unique)),
            "novel_scaffolds": share(new, len(scaffolds)),
            "diversity": _diversity(paired, rng),
            "properties": {
                name: _mean([measure(molecule) for molecule in measured], rng)
                | {"training": float(np.mean([measure(molecule) for molecule in trained]))}
                for name, measure in PROPERTIES.items()
            },
        }


def _training(training: Sequence[str], rng: np.random.Generator) -> tuple[set[str], set[str], list[Chem.Mol]]:
    """Canonical SMILES and scaffolds of all training molecules, and some of them to measure."""
    names: set[str] = set()
    scaffolds: set[str] = set()
    texts = list(dict.fromkeys(training))
    chosen = set(_some(texts, MEASURED, rng))
    kept: list[Chem.Mol] = []
    for text in texts:
        molecule = parse(text)
        if molecule is None:
            continue
        names.add(Chem.MolToSmiles(molecule))
        scaffolds.add(scaffold(molecule))
        if text in chosen:
            kept.append(molecule)
    if not kept:
        raise SeqsciError("assess: the training set has no valid molecule to compare with")
    return names, scaffolds, kept


def _some(things: list[Any], most: int, rng: np.random.Generator) -> list[Any]:
    """At most so many of them, drawn without replacement."""
    if len(things) <= most:
        return things
    return [things[i] for i in np.sort(rng.choice(len(things), most, replace=False))]


def _interval(value: float, samples: Floats) -> Measure:
    low, high = np.percentile(samples, [2.5, 97.5])
    return {"value": float(value), "low": float(low), "high": float(high)}


def _mean(values: Iterable[float], rng: np.random.Generator) -> Measure:
    array = np.array(list(values), dtype=np.float64)
    if len(array) < CASES:
        return alone(float(array.mean()) if len(array) else None)
    return _interval(float(array.mean()), _weights(len(array), rng) @ array / len(array))


def _weights(count: int, rng: np.random.Generator) -> Floats:
    """(DRAWS, count) how often a bootstrap sample holds each."""
    return rng.multinomial(count, np.full(count, 1 / count), size=DRAWS).astype(np.float64)


def _diversity(molecules: Sequence[Chem.Mol], rng: np.random.Generator) -> Measure:
    """1 - mean Tanimoto similarity of two different molecules; a sample's pairs of one molecule do not count."""
    if len(molecules) < 2:
        return alone(None)
    bits = np.array([MORGAN.GetFingerprintAsNumPy(one) for one in molecules], dtype=np.float32)
    shared = (bits @ bits.T).astype(np.float64)
    ones = bits.sum(axis=1).astype(np.float64)
    union = ones[:, None] + ones[None, :] - shared
    similarity = np.divide(shared, union, out=np.ones_like(shared), where=union > 0)
    np.fill_diagonal(similarity, 0.0)
    weights = np.vstack([np.ones(len(molecules)), _weights(len(molecules), rng)])
    pairs = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)
    weights, pairs = weights[pairs > 0], pairs[pairs > 0]
    found = 1 - ((weights @ similarity) * weights).sum(axis=1) / pairs
    return _interval(float(found[0]), found[1:]) if len(molecules) >= CASES else alone(float(found[0]))
