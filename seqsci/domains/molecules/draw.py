"""Structural formulas as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rdkit import Chem
from rdkit.Chem.Draw import rdMolDraw2D

from seqsci.domains.molecules.molecule import parse, quiet
from seqsci.errors import SeqsciError

COLUMNS, SIDE = 4, 260
"""Formulas in a line, and pixels of the side of one."""


def draw(smiles: Sequence[str], legends: Sequence[str]) -> bytes:
    """A PNG of structural formulas, `COLUMNS` in a line, each above its legend.

    A SMILES that is not valid leaves its place blank, and its legend says so.

    Args:
        smiles: at least one.
        legends: one each, or none at all.

    Raises:
        SeqsciError: no SMILES, or another number of legends.
    """
    if not smiles or len(legends) not in (0, len(smiles)):
        raise SeqsciError(f"draw: {len(smiles)} molecules with {len(legends)} legends; give each molecule one")
    molecules, texts = [], []
    with quiet():
        for text, legend in zip_longest(smiles, legends, fillvalue=""):
            molecule = parse(text)
            molecules.append(Chem.Mol() if molecule is None else molecule)
            texts.append(legend if molecule is not None else f"{legend} (not valid)".strip())
        lines = -(-len(smiles) // COLUMNS)
        columns = min(COLUMNS, len(smiles))
        canvas = rdMolDraw2D.MolDraw2DCairo(columns * SIDE, lines * SIDE, SIDE, SIDE)
        canvas.DrawMolecules(molecules, legends=texts)
        canvas.FinishDrawing()
        return bytes(canvas.GetDrawingText())
