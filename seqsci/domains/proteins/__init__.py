"""Proteins: sequences, families of homologs, and deep mutational scans.

file, table or texts -> `load` -> Records -> `split` -> Parts; `deep_scan` gives a scan's wild type and variants,
`alignment` an alignment as numbers for `pssm`, `homologs` what training on families needs.
"""

from seqsci.domains.proteins.alignment import Alignment, alignment
from seqsci.domains.proteins.assess import assess
from seqsci.domains.proteins.features import features
from seqsci.domains.proteins.letters import TOKENIZER
from seqsci.domains.proteins.load import load
from seqsci.domains.proteins.pssm import pssm, pssm_scores
from seqsci.domains.proteins.scan import Scan, deep_scan
from seqsci.domains.proteins.simulate import simulate
from seqsci.domains.proteins.splits import SPLITS, split
from seqsci.domains.proteins.suits import suits

UNIT = "residue"
augment = None
"""A protein has one spelling."""

__all__ = [
    "SPLITS",
    "TOKENIZER",
    "UNIT",
    "Alignment",
    "Scan",
    "alignment",
    "assess",
    "augment",
    "deep_scan",
    "features",
    "load",
    "pssm",
    "pssm_scores",
    "simulate",
    "split",
    "suits",
]
