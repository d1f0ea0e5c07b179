"""Molecules as SMILES: drugs, reagents and whatever else chemists write in a line.

`load` reads a data set by name, a file, a table or a list; `split` divides by scaffold; `TOKENIZER` writes any valid
SMILES without loss; `augment` respells a molecule; `features` are fingerprints for baselines; `assess` says what
generated molecules are worth; `draw` shows them; `simulate` makes the demo.
"""

from seqsci.domains.molecules.assess import assess
from seqsci.domains.molecules.draw import draw
from seqsci.domains.molecules.features import features
from seqsci.domains.molecules.load import load
from seqsci.domains.molecules.molecule import respell as augment
from seqsci.domains.molecules.simulate import simulate
from seqsci.domains.molecules.split import SPLITS, split
from seqsci.domains.molecules.suits import suits
from seqsci.domains.molecules.tokenizer import TOKENIZER

UNIT = "token"
"""What a token is called in a report."""

__all__ = ["SPLITS", "TOKENIZER", "UNIT", "assess", "augment", "draw", "features", "load", "simulate", "split", "suits"]
