"""What generated proteins are worth: how many are new, how far from the training set, and how alike in kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from Bio.Align import PairwiseAligner, substitution_matrices
from numpy.typing import NDArray

from seqsci.data.shares import CASES, FEW, Measure, alone, share
from seqsci.domains.proteins.letters import OTHERS, RESIDUES
from seqsci.domains.proteins.neighbours import words
from seqsci.errors import SeqsciError

RESAMPLES = 1000
"""Bootstrap samples of an interval."""
ALIGNED = 300
"""Generated proteins that are aligned at most, drawn at random."""
CANDIDATES = 5
"""Training proteins that each is aligned with: those that share most stretches of `SEED` residues with it."""
SEED = 3
NEAR = 0.9
"""Identity from which a generated protein is a near copy."""
ALPHABET = frozenset(RESIDUES + OTHERS)


def assess(generated: Sequence[str], training: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """What generated sequences are worth beside the training sequences.

    Args:
        generated: texts as the model wrote them; one that is empty or has anything but residues is not valid.
        training: sequences that the model was trained on.
        seed: of the bootstrap, and of which are aligned.

    Returns:
        `generated`, `training`, `valid_count`, `aligned`: counts. Then, each as {"value", "low", "high"} with a 95 %
        interval (of shares Wilson's, of means the percentile bootstrap over the generated sequences, none of fewer
        than `shares.CASES`, of `unique` none; None where nothing is valid), of all: `valid`; of the valid ones:
        `unique` (distinct texts per text), `novel` (not in training), `length` and `training_length` (mean residues;
        the latter without interval), `composition` (Jensen-Shannon divergence between the amino acids of generated
        and training sequences, bits; chance alone keeps it above 0 where letters are few, and resampling makes it
        larger, so that its interval is the spread of the resampled ones put about the value; none below `shares.FEW`
        sequences); of the aligned ones: `identity` (mean, see `nearest_identity`), `near_copies` (share with identity
        of `NEAR` or more).

    Raises:
        SeqsciError: nothing generated, or no training sequences.
    """
    if not generated or not training:
        counts = f"{len(generated)} generated and {len(training)} training sequences"
        raise SeqsciError(f"assess: {counts}; give at least one of each")
    rng = np.random.default_rng(seed)
    good = [text for text in generated if text and ALPHABET.issuperset(text)]
    out: dict[str, Any] = {"generated": len(generated), "training": len(training), "valid_count": len(good)}
    chosen = rng.permutation(len(good))[:ALIGNED]
    out["aligned"] = len(chosen)
    out["valid"] = share(len(good), len(generated))
    known = set(training)
    identity = nearest_identity([good[i] for i in chosen], training)
    out["unique"] = alone(len(set(good)) / len(good) if good else None)
    out["novel"] = share(sum(text not in known for text in good), len(good))
    out["length"] = interval(np.array([float(len(text)) for text in good]), rng)
    out["identity"] = interval(identity, rng)
    out["near_copies"] = share(int((identity >= NEAR).sum()), len(identity))
    out["training_length"] = float(np.mean([len(text) for text in training]))
    out["composition"] = _composition(good, training, rng)
    return out


def interval(values: NDArray[np.float64], rng: np.random.Generator) -> Measure:
    """Mean of values (R,) with a 95 % percentile bootstrap interval; of fewer than `CASES` it has none."""
    if len(values) < CASES:
        return alone(float(values.mean()) if len(values) else None)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return {"value": float(values.mean()), "low": float(low), "high": float(high)}


def nearest_identity(texts: Sequence[str], training: Sequence[str]) -> NDArray[np.float64]:
    """(R,) identity of each text to the most alike of the training sequences that are aligned with it.

    Identical residues of a global alignment (BLOSUM62, gaps 11 and 1, as BLAST has them) over the length of the
    longer one, with the `CANDIDATES` training sequences that share most stretches of `SEED` residues; relatives that
    are so remote that others share more stretches are missed, so that a low identity is a lower bound.
    """
    if not texts:
        return np.zeros(0)
    aligner = _aligner()
    distinct = list(dict.fromkeys(training))
    place = dict.fromkeys(distinct, 1)
    table = words([*distinct, *texts], SEED)
    pool, asked = table[: len(distinct)], table[len(distinct) :]
    sizes = np.asarray(pool.sum(axis=1)).ravel()
    out = np.zeros(len(texts))
    for row, text in enumerate(texts):
        if text in place:
            out[row] = 1.0
            continue
        shared = np.asarray((pool @ asked[row].T).todense()).ravel()
        # Over the stretches of both, so that a long protein is not near to everything.
        likeness = shared / (sizes + asked[row].nnz - shared)
        best = np.argsort(-likeness, kind="stable")[:CANDIDATES]
        out[row] = max(_identity(aligner, text, distinct[int(number)]) for number in best)
    return out


def _aligner() -> PairwiseAligner:
    aligner = PairwiseAligner(mode="global")  # type: ignore[no-untyped-call]
    aligner.substitution_matrix = substitution_matrices.load("BLOSUM62")  # type: ignore[no-untyped-call]
    aligner.open_gap_score, aligner.extend_gap_score = -11, -1
    return aligner


_TO_BLOSUM = str.maketrans("UOJ", "CKL")
"""BLOSUM62 has no selenocysteine, pyrrolysine or J; the amino acids that they are made from or stand for."""


def _identity(aligner: PairwiseAligner, first: str, second: str) -> float:
    texts = first.translate(_TO_BLOSUM), second.translate(_TO_BLOSUM)
    found = aligner.align(*texts)[0]  # type: ignore[no-untyped-call]
    return float(found.counts().identities / max(len(first), len(second)))


def _composition(generated: Sequence[str], training: Sequence[str], rng: np.random.Generator) -> Measure:
    """Jensen-Shannon divergence of the amino acids, with its interval."""
    if not generated:
        return alone(None)
    counts = np.array([[text.count(letter) for letter in RESIDUES] for text in generated], dtype=np.float64)
    whole = np.array([sum(text.count(letter) for text in training) for letter in RESIDUES], dtype=np.float64)
    rows, value = len(counts), _divergence(counts.sum(axis=0), whole)
    if rows < FEW:
        return alone(value)
    drawn = rng.multinomial(rows, np.full(rows, 1 / rows), RESAMPLES) @ counts
    values = np.array([_divergence(sums, whole) for sums in drawn])
    low, high = np.percentile(np.clip(values - values.mean() + value, 0, 1), [2.5, 97.5])
    return {"value": value, "low": float(low), "high": float(high)}


def _divergence(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Jensen-Shannon divergence between two counts, in bits: 0 for the same shares, 1 for nothing in common."""
    p, q = first / max(first.sum(), 1.0), second / max(second.sum(), 1.0)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(one > 0, one * np.log2(one / middle), 0.0).sum() for one in (p, q)]
    return float(max(0.0, sum(terms) / 2))
