"""DNA that does not exist: contigs of an invented bacterium with genes, and windows with and without a promoter.

Nothing in it was sequenced: a score on it says nothing about real DNA. What it has in common with bacterial genomes
is their grammar: genes on both strands that begin with a start codon after a Shine-Dalgarno site, run through codons
of uneven use and end with a stop codon, and promoters of two boxes before them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.domains.genomics.alphabet import BASES, reverse_complement
from seqsci.domains.genomics.genbank import ANNOTATIONS
from seqsci.errors import SeqsciError

Rng = np.random.Generator
CONTIG = 40_000
"""Letters of a contig."""
BACKGROUND = (0.31, 0.19, 0.19, 0.31)
"""Shares of A, C, G, T between genes."""
MINUS_35, MINUS_10 = "TTGACA", "TATAAT"
KEPT_35 = (0.92, 0.94, 0.90, 0.84, 0.76, 0.72)
KEPT_10 = (0.90, 0.96, 0.78, 0.82, 0.78, 0.97)
"""Share of promoters that have the letter of the consensus at each place: round numbers, uneven as those of E. coli but
higher, so that a small network learns them from some hundred promoters."""
SPACERS, SPACER_SHARES = (15, 16, 17, 18, 19), (0.08, 0.2, 0.44, 0.2, 0.08)
"""Letters between the boxes."""
SHINE_DALGARNO = "AGGAGG"
STARTS, START_SHARES = ("ATG", "GTG", "TTG"), (0.83, 0.13, 0.04)
STOPS, STOP_SHARES = ("TAA", "TGA", "TAG"), (0.63, 0.29, 0.08)
CODONS = tuple(a + b + c for a in BASES for b in BASES for c in BASES if a + b + c not in STOPS)
WINDOW, BEFORE_START = 81, 60
"""Letters of a labelled window, and of them before the start of transcription."""
JITTER = 3
"""Letters by which the -10 box may stand off its usual place."""
PROMOTER, OTHER = "promoter", "not promoter"


@dataclass(frozen=True)
class Gene:
    """From the first letter of the start codon to behind the stop codon, on the strand that is written."""

    start: int
    stop: int
    strand: int


def simulate(seed: int, count: int) -> pl.DataFrame:
    """SIMULATED contigs: `id`, `sequence` of `CONTIG` letters; the same for the same seed, whatever the count.

    Raises:
        SeqsciError: a count below 1.
    """
    return _frame([_contig(seed, number)[0] for number in range(_checked(count))], "contig")


def genes(seed: int, count: int) -> pl.DataFrame:
    """Where the genes of `simulate(seed, count)` are, in the columns of `genbank.ANNOTATIONS`."""
    rows = [
        (f"contig-{number + 1}", gene.start, gene.stop, gene.strand, "CDS", f"gene-{number + 1}-{place + 1}", 0)
        for number in range(_checked(count))
        for place, gene in enumerate(_contig(seed, number)[1])
    ]
    frame = pl.DataFrame(rows, schema=ANNOTATIONS, orient="row")
    return frame.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("feature"))


def simulate_promoters(seed: int, count: int) -> pl.DataFrame:
    """SIMULATED windows: `id`, `sequence` of `WINDOW` letters, `label`: every other one has a promoter.

    The -10 box of a promoter stands about 10 letters before the start of transcription, the -35 box before it. Of the
    others a third are of genes, the rest of what is between them.

    Raises:
        SeqsciError: a count below 1.
    """
    windows = [_window(np.random.default_rng([seed, 1, number]), number) for number in range(_checked(count))]
    labels = [OTHER if number % 2 else PROMOTER for number in range(count)]
    return _frame(windows, "window").with_columns(pl.Series("label", labels, dtype=pl.String))


def _checked(count: int) -> int:
    if count < 1:
        raise SeqsciError(f"data.count: {count} records cannot be simulated; give 1 or more")
    return count


def _frame(texts: list[str], what: str) -> pl.DataFrame:
    return pl.DataFrame({"id": [f"{what}-{number}" for number in range(1, len(texts) + 1)], "sequence": texts})


def _letters(rng: Rng, count: int) -> str:
    return "".join(rng.choice(list(BASES), count, p=BACKGROUND)) if count > 0 else ""


def _motif(rng: Rng, consensus: str, kept: tuple[float, ...]) -> str:
    """The letters of a consensus, each kept with its share and else one of the other three."""
    others = (rng.choice([base for base in BASES if base != letter]) for letter in consensus)
    return "".join(
        letter if rng.random() < share else str(other)
        for letter, share, other in zip(consensus, kept, others, strict=True)
    )


def _boxes(rng: Rng) -> str:
    """Both boxes of a promoter, with what is between them."""
    spacer = int(rng.choice(SPACERS, p=SPACER_SHARES))
    return _motif(rng, MINUS_35, KEPT_35) + _letters(rng, spacer) + _motif(rng, MINUS_10, KEPT_10)


def _usage(seed: int) -> NDArray[np.float64]:
    """Shares (61,) of the sense codons: uneven, and rich in G and C at the third place, as in a fast grower."""
    rng = np.random.default_rng([seed, 2])
    third = np.array([1.3 if codon[2] in "GC" else 1.0 for codon in CODONS])
    first = np.array([1.5 if codon[0] == "G" else 1.0 for codon in CODONS])
    shares: NDArray[np.float64] = rng.gamma(1.5, size=len(CODONS)) * third * first
    shares /= shares.sum()
    return shares


def _coding(rng: Rng, usage: NDArray[np.float64], codons: int) -> str:
    start, stop = str(rng.choice(STARTS, p=START_SHARES)), str(rng.choice(STOPS, p=STOP_SHARES))
    return start + "".join(np.array(CODONS)[rng.choice(len(CODONS), codons, p=usage)]) + stop


def _contig(seed: int, number: int) -> tuple[str, list[Gene]]:
    """Operons, one after the other: promoter, leader, then one to four genes, on either strand."""
    rng, usage = np.random.default_rng([seed, 0, number]), _usage(seed)
    text, found = _letters(rng, int(rng.integers(50, 300))), list[Gene]()
    while True:
        operon, places = _operon(rng, usage)
        if len(text) + len(operon) > CONTIG:
            return text + _letters(rng, CONTIG - len(text)), found
        strand = 1 if rng.random() < 0.5 else -1
        for start, stop in places:
            if strand < 0:
                start, stop = len(operon) - stop, len(operon) - start
            found.append(Gene(len(text) + start, len(text) + stop, strand))
        found.sort(key=lambda gene: gene.start)
        text += operon if strand > 0 else reverse_complement(operon)
        text += _letters(rng, int(rng.gamma(2.0, 60.0)))


def _operon(rng: Rng, usage: NDArray[np.float64]) -> tuple[str, list[tuple[int, int]]]:
    text, places = _boxes(rng) + _letters(rng, int(rng.integers(5, 9)) + int(rng.integers(10, 80))), []
    for _ in range(int(rng.integers(1, 5))):
        text += _motif(rng, SHINE_DALGARNO, (0.8,) * len(SHINE_DALGARNO)) + _letters(rng, int(rng.integers(5, 10)))
        gene = _coding(rng, usage, int(np.clip(rng.gamma(3.0, 100.0), 40, 900)))
        places.append((len(text), len(text) + len(gene)))
        text += gene + _letters(rng, int(rng.integers(3, 40)))
    return text, places


def _window(rng: Rng, number: int) -> str:
    if number % 2:
        if rng.random() < 1 / 3:
            gene = _coding(rng, _usage(0), WINDOW)
            start = int(rng.integers(3, len(gene) - WINDOW))
            piece = gene[start : start + WINDOW]
            return piece if rng.random() < 0.5 else reverse_complement(piece)
        return _letters(rng, WINDOW)
    boxes = _boxes(rng)
    end = BEFORE_START - 6 + int(rng.integers(-JITTER, JITTER + 1))
    start = end - len(boxes)
    return _letters(rng, start) + boxes + _letters(rng, WINDOW - end)
