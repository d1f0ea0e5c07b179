"""One SMILES at a time with RDKit, which keeps quiet: whether it is valid, why not, and its canonical spellings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem.Scaffolds import MurckoScaffold

from seqsci.domains.molecules.tokenizer import TOKENIZER
from seqsci.errors import SeqsciError


def _parameters(sanitize: bool) -> Chem.SmilesParserParams:
    found = Chem.SmilesParserParams()
    found.sanitize = sanitize  # type: ignore[assignment]
    found.removeHs = sanitize  # type: ignore[assignment]
    # A record is the SMILES alone: nothing after it is a name or an extension.
    found.allowCXSMILES = False  # type: ignore[assignment]
    found.parseName = False  # type: ignore[assignment]
    return found


PARSE, RAW = _parameters(True), _parameters(False)
SPELLINGS = 4
"""Random spellings that are tried before `respell` gives the text back."""


@contextmanager
def quiet() -> Iterator[None]:
    """RDKit's own messages are held back in this block; what is wrong, we say in sentences."""
    with rdBase.BlockLogs():
        yield


def parse(text: str) -> Chem.Mol | None:
    """The molecule of a SMILES; None for an empty or invalid one. Call it inside `quiet`."""
    try:
        return Chem.MolFromSmiles(text, PARSE) if _plain(text) else None
    except RuntimeError:  # an invariant of RDKit that the text has broken
        return None


def _plain(text: str) -> bool:
    """RDKit takes an empty text for a molecule of no atoms, and stops at white space."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def reason(text: str) -> str:
    """Why a SMILES is not valid, in a few words."""
    if not text.strip():
        return "it is empty"
    try:
        TOKENIZER.encode(text)
    except SeqsciError as error:
        return str(error).removeprefix("sequence, ")
    if text.count("[") != text.count("]"):
        return "a bracket is not closed"
    if text.count("(") != text.count(")"):
        return "a branch is not closed"
    with quiet():
        found: Chem.Mol | None = Chem.MolFromSmiles(text, RAW)
        if found is None:
            return "a ring is not closed" if _open_ring(text) else "not the grammar of SMILES"
        try:
            problems = Chem.DetectChemistryProblems(found)
        except RuntimeError:  # what RDKit throws at [CH999]: it has not counted so many bonds
            problems = ()
    return str(problems[0].Message()).rstrip(".\n") if problems else "no such chemistry"


def _open_ring(text: str) -> bool:
    """Whether a ring number occurs an odd number of times outside brackets."""
    symbols = [TOKENIZER.symbols[token] for token in TOKENIZER.encode(text)]
    inside, counts, at = False, dict[str, int](), 0
    while at < len(symbols):
        symbol, width = symbols[at], 1
        inside = symbol == "[" or (inside and symbol != "]")
        if symbol == "%" and not inside:
            symbol, width = "".join(symbols[at + 1 : at + 3]), 3
        if symbol.isdigit() and not inside:
            counts[str(int(symbol))] = counts.get(str(int(symbol)), 0) + 1
        at += width
    return any(count % 2 for count in counts.values())


def canonical(text: str, stereo: bool = True) -> str | None:
    """RDKit's canonical SMILES; None for an invalid one. Call it inside `quiet`."""
    found = parse(text)
    return None if found is None else str(Chem.MolToSmiles(found, isomericSmiles=stereo))


def scaffold(molecule: Chem.Mol) -> str:
    """SMILES of the Bemis-Murcko scaffold (J. Med. Chem. 1996, 39, 2887) without stereo; "" of an acyclic molecule."""
    found = MurckoScaffold.MurckoScaffoldSmiles(mol=molecule, includeChirality=False)  # type: ignore[no-untyped-call]
    return str(found)


def respell(text: str, generator: np.random.Generator) -> str:
    """Another SMILES of the same molecule, its atoms in a random order (RDKit's doRandom).

    Args:
        text: a SMILES.
        generator: decides on the spelling.

    Returns:
        A valid SMILES whose canonical SMILES is that of `text`: every spelling is read again before it is given, and
        should it be another molecule to RDKit, the next is tried, and at last the text itself given back.

    Raises:
        SeqsciError: the text is no valid SMILES.
    """
    seed = int(generator.integers(1, 2**30))
    with quiet():
        molecule = parse(text)
        if molecule is None:
            raise SeqsciError(f"augment: '{text}' is no valid SMILES ({reason(text)})")
        same = Chem.MolToSmiles(molecule)
        for more in range(SPELLINGS):
            (spelling,) = Chem.MolToRandomSmilesVect(molecule, 1, randomSeed=seed + more)
            if canonical(spelling) == same:
                return str(spelling)
    return text
