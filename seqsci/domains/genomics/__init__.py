"""DNA, and RNA read as DNA: genomes, reads, and labelled windows such as promoters and splice sites.

file, frame or list -> `load` -> `Records` -> `split` -> `Parts`; `TOKENIZER` makes letters tokens. `annotations` gives
the features of a GenBank file.
"""

from seqsci.domains.genomics.alphabet import TOKENIZER, UNIT, augment, reverse_complement
from seqsci.domains.genomics.assess import assess
from seqsci.domains.genomics.features import features
from seqsci.domains.genomics.genbank import annotations
from seqsci.domains.genomics.indexed import IndexedRecords
from seqsci.domains.genomics.load import load, suits
from seqsci.domains.genomics.simulate import genes, simulate, simulate_promoters
from seqsci.domains.genomics.split import SPLITS, split

__all__ = [
    "SPLITS",
    "TOKENIZER",
    "UNIT",
    "IndexedRecords",
    "annotations",
    "assess",
    "augment",
    "features",
    "genes",
    "load",
    "reverse_complement",
    "simulate",
    "simulate_promoters",
    "split",
    "suits",
]
