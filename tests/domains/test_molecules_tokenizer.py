"""SMILES <-> tokens without loss: everything RDKit reads or writes has tokens, and they give it back."""

import string
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from seqsci.data.records import SPECIALS
from seqsci.domains.molecules import TOKENIZER, augment, simulate
from seqsci.domains.molecules.molecule import RAW, parse, quiet
from seqsci.domains.molecules.tokenizer import ELEMENTS
from seqsci.errors import SeqsciError

GRAMMAR = [
    *("C\\C=C/C", "C/C=C\\\\C", "F/C=C/F", "N[C@@H](C)C(=O)O", "N[C@H](C)C(=O)O", "[13CH3:12]C", "[2H]C([2H])[2H]"),
    *("C%10CC%10", "C%(100)CC%(100)", "C1.C1", "[Na+].[Cl-]", "CC(=O)[O-].[NH4+]", "C~C", "*C", "[*:1]C", "C$C", "C#N"),
    *("C->[Cu]", "[Cu]<-N", "[Fe++]", "[O--]", "[O-2]", "[Co@OH12](F)(Cl)(Br)(I)(N)C", "[Fe@SP1](F)(Cl)(Br)I", "[#6]"),
    *("[As@TB3](F)(Cl)(Br)(I)C", "[C@TH1](F)(Cl)(Br)I", "c1ccc2[nH]ccc2c1", "[se]1cccc1", "[te]1cccc1", "c:c", "C-C"),
    *("c1cc[si]cc1", "[as]1ccccc1", "b1ccccc1", "p1ccccc1", "o1cccc1", "s1cccc1", "[Uun]", "['Og']", "[HH]", "[H][H]"),
    *("CSc1ccccc1", "[Sc]", "Cn1cccc1", "[Cn]", "COc1ccccc1", "[Co]", "CCl", "CBr", "[Hg]", "[nH]1cccc1", "[H+]", "CI"),
]


def tokens(text: str) -> list[str]:
    return [TOKENIZER.symbols[code] for code in TOKENIZER.encode(text)]


@pytest.mark.parametrize("text", [*GRAMMAR, *(f"[{element}]" for element in ELEMENTS)])
def test_the_grammar_and_every_element_come_back(text: str) -> None:
    with quiet():
        assert Chem.MolFromSmiles(text, RAW) is not None, "RDKit does not read it: the test is wrong"
    codes = TOKENIZER.encode(text)
    assert codes.dtype == np.uint8 and codes.min() >= len(SPECIALS)
    assert TOKENIZER.decode(codes) == text


def test_the_vocabulary_is_closed_and_fits_a_byte() -> None:
    assert len(TOKENIZER.symbols) == len(set(TOKENIZER.symbols)) < 256
    assert TOKENIZER.symbols[: len(SPECIALS)] == SPECIALS
    assert TOKENIZER.complements is None
    periodic = Chem.GetPeriodicTable()
    assert [periodic.GetElementSymbol(number) for number in range(1, 119)] == list(ELEMENTS)


def test_tokens_are_atoms_in_their_context() -> None:
    assert tokens("CSc1ccc(Cl)cc1Br") == ["C", "S", "c", "1", "c", "c", "c", "(", "Cl", ")", "c", "c", "1", "Br"]
    assert tokens("[Sc+3]Cn1[nH]o1") == ["[", "Sc", "+", "3", "]", "C", "n", "1", "[", "n", "H", "]", "o", "1"]
    assert tokens("[13C@@H]%12[Co@OH12:7]") == [
        *("[", "1", "3", "C", "@@", "H", "]", "%", "1", "2", "[", "Co", "@OH", "1", "2", ":", "7", "]")
    ]
    assert tokens("C->[Cu]<-N\\") == ["C", "->", "[", "Cu", "]", "<-", "N", "\\"]


def test_the_backslash_is_kept() -> None:
    """Chem-xLSTM's tokenizer makes CC=CC of CC\\C=C/C: E and Z are lost."""
    cis, trans = "C\\C=C/C", "C/C=C/C"
    assert TOKENIZER.decode(TOKENIZER.encode(cis)) == cis and "\\" in tokens(cis)
    assert tokens(cis) != tokens(trans)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("CCXC", "position 3: 'X'"),
        ("CClCll", "position 6: 'l'"),
        ("C->C>C", "position 5: '>'"),
        ("C[CX]C", "position 4: 'X'"),
        ("C C", "position 2: ' '"),
        ("Cé", "position 2: 'é'"),
        ("C\n", r"position 2: '\n'"),
        ("<mask>C", "position 1: '<'"),
    ],
)
def test_an_unknown_symbol_is_reported_and_never_padding(text: str, part: str) -> None:
    """Chem-xLSTM maps unknown symbols to 0, which its loss takes for padding."""
    with pytest.raises(SeqsciError) as error:
        TOKENIZER.encode(text, "my.smi, line 7")
    assert str(error.value).startswith(f"my.smi, line 7, {part} is no symbol")


def test_whatever_rdkit_reads_has_tokens() -> None:
    """Every pair of printable symbols, in and out of brackets."""
    printable = string.ascii_letters + string.digits + string.punctuation
    seen = 0
    with quiet():
        for first in printable:
            for second in ["", *printable]:
                for text in (f"[{first}{second}]", f"C{first}{second}C", f"{first}{second}"):
                    if Chem.MolFromSmiles(text, RAW) is not None:
                        seen += 1
                        assert TOKENIZER.decode(TOKENIZER.encode(text)) == text
    assert seen > 800


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(len(SPECIALS), len(TOKENIZER.symbols) - 1), max_size=40))
def test_text_of_any_tokens_is_lossless_where_it_has_tokens(codes: list[int]) -> None:
    text = TOKENIZER.decode(codes)
    try:
        again = TOKENIZER.encode(text)
    except SeqsciError:
        return  # such as an element without its bracket
    assert TOKENIZER.decode(again) == text


def test_random_spellings_come_back() -> None:
    molecules = [*simulate(3, 200)["smiles"], *GRAMMAR]
    rng = np.random.default_rng(0)
    with quiet():
        molecules = [text for text in molecules if parse(text) is not None]
    for text in molecules * 3:
        spelling = augment(text, rng)
        assert TOKENIZER.decode(TOKENIZER.encode(spelling)) == spelling


def test_encoding_is_fast() -> None:
    text = "CC(C)Cc1ccc(C=C2Oc3ccc(O)cc3[C@@H]2[NH3+])cc1Cl.[Br-]"
    TOKENIZER.encode(text)
    best = min(_seconds(text) for _ in range(5))
    assert best < 100e-6  # 8 microseconds where nothing else runs


def _seconds(text: str) -> float:
    start = time.process_time()
    for _ in range(500):
        TOKENIZER.encode(text)
    return (time.process_time() - start) / 500


def test_empty_text_has_no_tokens() -> None:
    assert TOKENIZER.encode("").tolist() == [] and TOKENIZER.decode([]) == ""
