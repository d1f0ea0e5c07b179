"""Molecules from files of every format, tables and lists; and what is refused, with its place."""

import gzip
import hashlib
import zipfile
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from rdkit import Chem

from seqsci import catalog
from seqsci.data.opened import opened, whole_text
from seqsci.data.records import BEGIN, SEPARATOR
from seqsci.domains.molecules import TOKENIZER, load, simulate, suits
from seqsci.domains.molecules.read import read
from seqsci.errors import SeqsciError

SMI = "# made by hand\nCCO ethanol\n\nC[N+](C)(C)C.[Cl-]\nc1ccccc1\tbenzene ring\r\nF/C=C\\F\n"
SMILES = ["CCO", "C[N+](C)(C)C.[Cl-]", "c1ccccc1", "F/C=C\\F"]
CSV = "Name,Canonical SMILES,pIC50,set\na,CCO,5.5,x\nb,c1ccccc1,,y\na,CCN,7,x\n,C,6.25,\n"


def write(path: Path, text: str) -> Path:
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    elif path.name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inner", text)
    else:
        path.write_text(text, newline="")
    return path


def sdf(smiles: list[str]) -> str:
    blocks = []
    for number, text in enumerate(smiles, 1):
        molecule = Chem.MolFromSmiles(text)
        molecule.SetProp("_Name", f"m{number}")
        blocks.append(f"{Chem.MolToMolBlock(molecule)}>  <activity>\n{number}.5\n\n$$$$\n")
    return "".join(blocks)


@pytest.mark.parametrize("name", ["a.smi", "a.txt", "a.smi.gz", "a.zip", "a", "b.csv.smiles"])
def test_lines(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, SMI)
    records, facts = load(str(path))
    assert records.frame["sequence"].to_list() == SMILES
    assert records.frame["id"].to_list() == ["ethanol", "4", "benzene ring", "6"]
    assert facts["path"] == str(path) and facts["card"] is None and len(facts["sha256"]) == 64
    assert not records.simulated and "1 line that begins with #: comments" in records.notes
    assert suits(path)


def test_a_header_line_is_not_a_molecule(tmp_path: Path) -> None:
    records, _ = load(write(tmp_path / "a.smi", "SMILES Name\nCCO ethanol\n"))
    assert records.frame.rows() == [("ethanol", "CCO")] and "line 1 is a header" in records.notes


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zip", "a.tsv", "a.txt"])
def test_tables(tmp_path: Path, name: str) -> None:
    text = CSV.replace(",", "\t") if ".tsv" in name else CSV.replace(",", ";") if name == "a.txt" else CSV
    path = write(tmp_path / name, text)
    records, _ = load(path, label="pIC50", columns={"group": "set"})
    assert records.frame.columns == ["id", "sequence", "group", "label", "pIC50"]
    assert records.frame["id"].to_list() == ["a", "b", "a-2", "4"]
    assert records.frame["label"].to_list() == [5.5, None, 7.0, 6.25]
    assert records.frame["group"].to_list() == ["x", "y", "x", None]
    assert "1 id that occurs again got a number behind" in records.notes
    assert "label 'pIC50' is measured: numbers, 1 unknown" in records.notes
    assert suits(path)


@pytest.mark.parametrize("name", ["a.sdf", "a.sdf.gz", "a.zip"])
def test_structures(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, sdf(["CCO", "N[C@@H](C)C(=O)O"]))
    records, _ = load(path, label="activity")
    assert records.frame["id"].to_list() == ["m1", "m2"]
    assert records.frame["sequence"].to_list() == ["CCO", "C[C@H](N)C(=O)O"]
    assert records.frame["label"].to_list() == [1.5, 2.5]
    assert any("written by RDKit" in note for note in records.notes)
    assert suits(path)


def test_a_broken_structure_is_told(tmp_path: Path) -> None:
    text = sdf(["CCO", "CCN", "CCC"])
    second = text.index("m2")
    path = write(tmp_path / "a.sdf", text[:second] + text[second:].replace(" C  ", " Qq ", 1))
    with pytest.raises(SeqsciError, match=r"a.sdf, structure 2: RDKit cannot read the structure; correct it, or skip"):
        load(path)
    records, _ = load(path, invalid="skip")
    assert records.frame["sequence"].to_list() == ["CCO", "CCC"]
    assert (
        records.notes[-1]
        == "1 without a valid SMILES left out as invalid (structure 2: RDKit cannot read the structure)"
    )


def test_frames_of_every_kind_and_parquet(tmp_path: Path) -> None:
    data: dict[str, Any] = {"smiles": ["CCO", "CCN"], "y": [True, False], "id": [7, 8]}
    polars = pl.DataFrame(data)
    polars.write_parquet(tmp_path / "a.parquet")
    found = []
    for source in (polars, pd.DataFrame(data), pa.table(data), nw.from_native(polars), tmp_path / "a.parquet"):
        records, facts = load(source, label="y")
        assert records.frame.select("id", "sequence", "label").rows() == [("7", "CCO", "true"), ("8", "CCN", "false")]
        found.append(facts["sha256"])
    assert len(set(found[:4])) == 1 and suits(tmp_path / "a.parquet")


def test_a_list_of_smiles_as_it_is_written() -> None:
    """Nothing is canonicalized: OCC stays OCC."""
    records, facts = load(["OCC", "C(O)C", "CCO", "CCO"])
    assert records.frame["sequence"].to_list() == ["OCC", "C(O)C", "CCO", "CCO"]
    assert records.notes == ("3 records are molecules that occur before, 1 of them spelled alike; kept",)
    assert facts["path"] is None and facts["name"] == "table"


def test_several_files_and_their_names_as_classes(tmp_path: Path) -> None:
    one, two = write(tmp_path / "good.smi", "CCO\nCCN\n"), write(tmp_path / "bad.smi", "CCC x\n")
    records, facts = load(f"{one}, {two}", label="file")
    assert records.frame["label"].to_list() == ["good", "good", "bad"]
    assert records.frame["id"].to_list() == ["good:1", "good:2", "x"]
    assert facts["path"] == f"{one},{two}" and load([one, two], label="file")[1] == facts


def test_the_sets_own_split(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "smiles,split\nC,Train\nCC,valid\nCCC,test\n")
    assert load(path)[0].frame["split"].to_list() == ["train", "val", "test"]
    path = write(tmp_path / "b.csv", "smiles,split\nC,1\nCC,2\n")
    records, _ = load(path)
    assert "split" not in records.frame.columns
    assert "column 'split' is not a split: it says '1', not train, val or test" in records.notes
    with pytest.raises(SeqsciError, match="column split: '1' is not train, val or test"):
        load(path, columns={"split": "split"})


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (["0", "1", "", "1.0"], ["0", "1", None, "1"]),
        (["active", "NA", "inactive", "active"], ["active", None, "inactive", "active"]),
        (["0.5", "1", "2", "nan"], [0.5, 1.0, 2.0, None]),
    ],
)
def test_labels_are_classes_or_numbers(values: list[str], kept: list[Any]) -> None:
    frame = pl.DataFrame({"smiles": ["C", "CC", "CCC", "CCCC"], "y": values})
    assert load(frame, label="y")[0].frame["label"].to_list() == kept


def test_a_word_among_numbers_is_told() -> None:
    frame = pl.DataFrame({"smiles": ["C" * n for n in range(1, 60)], "y": [f"{n}.5" for n in range(1, 59)] + ["n.d."]})
    with pytest.raises(SeqsciError, match=r"the table, row 59, column y: 'n.d.' is no number as the others are; c"):
        load(frame, label="y")
    more = pl.concat([frame, frame.tail(1)])
    with pytest.raises(SeqsciError, match=r"column y: 'n.d.' is no number as the others are \(and 1 more\)"):
        load(more, label="y")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("C1CC", "a ring is not closed"),
        ("C(C", "a branch is not closed"),
        ("C[NH3+", "a bracket is not closed"),
        ("CXC", "position 2: 'X' is no symbol of this alphabet"),
        ("C(C)(C)(C)(C)C", "Explicit valence for atom # 0 C, 5, is greater than permitted"),
        ("c1cccc1", "Can't kekulize mol"),
        ("C==C", "not the grammar of SMILES"),
        ("C[C@@H999]C", "no such chemistry"),
        ("", "there is no SMILES"),
    ],
)
def test_an_invalid_smiles_is_refused_with_its_place_or_skipped(tmp_path: Path, text: str, why: str) -> None:
    path = write(tmp_path / "my.csv", f"id,smiles\na,CCO\nb,{text}\nc,CCN\n")
    with pytest.raises(SeqsciError) as error:
        load(path)
    assert str(error.value).startswith("my.csv, row 2, column smiles: ") and why in str(error.value)
    assert str(error.value).endswith("; correct it, or skip such ones with data.invalid skip")
    records, _ = load(path, invalid="skip")
    assert records.frame["id"].to_list() == ["a", "c"]
    assert records.notes[0].startswith("1 without a valid SMILES left out as invalid (row 2: ")


def test_rdkit_says_nothing_itself(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load(write(tmp_path / "a.smi", "C1CC\nCCO\nC(C)(C)(C)(C)C\n"), invalid="skip")
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize(
    ("source", "options", "part"),
    [
        ("chembl32", {}, "neither a file nor a data set; did you mean 'chembl31'?"),
        ("etth1", {}, "'etth1' is of the domain electricity; it has no molecules"),
        (3, {}, "neither a path nor a table (type int)"),
        (["C", 3], {}, "holds 3, which is no text"),
        ([], {}, "no molecule is left"),
        (["C"], {"label": "y"}, "label: the list has no columns"),
        (["C"], {"count": 3}, "count: only simulated sets"),
        (["C"], {"invalid": "drop"}, "invalid: there is no 'drop'"),
        (pl.DataFrame({"a": ["C"]}), {}, "no column of SMILES among a; say which with columns sequence"),
        (pl.DataFrame({"smiles": [1]}), {}, "column smiles holds Int64, not SMILES"),
        (pl.DataFrame({"smiles": ["C"], "SMILES": ["C"]}), {}, "columns smiles and SMILES may both be the SMILES"),
        (
            pl.DataFrame({"smiles": ["C"]}),
            {"label": "smile"},
            "no column 'smile' for the label; did you mean 'smiles'?",
        ),
        (pl.DataFrame({"smiles": ["C"]}), {"columns": {"seq": "a"}}, "columns: there is no 'seq'"),
        (pl.DataFrame({"smiles": ["C"]}), {"columns": {"id": "a"}}, "there is no column 'a' for id"),
        (pl.DataFrame({"smiles": ["C"], "y": [None]}), {"label": "y"}, "column 'y' is blank everywhere"),
    ],
)
def test_refusals(source: Any, options: dict[str, Any], part: str) -> None:
    with pytest.raises(SeqsciError) as error:
        load(source, **options)
    assert part in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("a.smi", b"", "the file is empty"),
        ("a.smi", b"CC\n\xff\n", "a.smi, line 2: is not UTF-8 text"),
        ("a.smi.gz", gzip.compress(b"CCO\n" * 99, mtime=0)[:-9], "the gzip file is cut off or damaged"),
        ("a.zip", b"PK\x03\x04junk", "the archive is cut off or damaged"),
        ("a.csv", b"smiles,y\nC,1,2,3\n", "cannot be read as a table"),
        ("a.parquet", b"PAR1junk", "cannot be read as Parquet"),
        ("a.sdf", b"nothing\n", "RDKit finds no structure in it"),
        ("a.smi", b"\tname alone\nC\n", "a.smi, line 1: there is no SMILES"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, part: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SeqsciError) as error:
        load(tmp_path / name)
    assert part in str(error.value)


def test_a_zip_of_several_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", "C")
        archive.writestr("b", "C")
    with pytest.raises(SeqsciError, match="has 2 members; unpack it and name the file that is meant"):
        load(tmp_path / "a.zip")


def test_opened_text_has_one_kind_of_line_end(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfa\r\nb\rc")
    with opened(tmp_path / "a") as text:
        assert list(text) == ["a\n", "b\n", "c"]
    assert whole_text(tmp_path / "a") == "a\nb\nc"


def test_files_of_other_sciences_do_not_suit(tmp_path: Path) -> None:
    for name, content in {
        "a.fa": ">x\nACGT\n",
        "a.txt": "ACGT\nCCCC\n",
        "b.txt": "CCCC\nNNNN\n",
        "a.csv": "time,load\n1,2\n",
        "c.txt": "the quick brown fox\n",
        "empty": "",
    }.items():
        assert not suits(write(tmp_path / name, content)), name
    (tmp_path / "b").write_bytes(bytes(range(256)))
    (tmp_path / "c.zip").write_bytes(b"PK\x03\x04")
    (tmp_path / "d").write_bytes(b"PAR1")
    assert not any(suits(tmp_path / name) for name in ("b", "c.zip", "d", "absent"))


def test_the_demo_is_called_simulated() -> None:
    records, facts = load("demo-molecules", count=30, seed=2)
    assert records.simulated and len(records) == 30
    assert facts["card"] == facts["name"] == "demo-molecules" and facts["path"] is None
    assert records.frame["sequence"].to_list() == simulate(2, 30)["smiles"].to_list()
    assert set(records.frame["label"]) == {"0", "1"} and records.frame["group"].null_count() == 0
    assert load("demo-molecules", count=30, label="logp")[0].frame["label"].dtype == pl.Float64


def test_a_line_that_holds_a_set_loses_nobody(tmp_path: Path) -> None:
    """Chem-xLSTM's permutation loses the molecule behind the last dot."""
    path = write(tmp_path / "sets.txt", "CCO.C[N+](C)(C)C.[Cl-] drug 1.CCC\nF/C=C\\F.OCC\n")
    rows = read(path, separator=".")
    assert rows.frame["sequence"].to_list() == ["CCO", "C[N+](C)(C)C", "[Cl-]", "CCC", "F/C=C\\F", "OCC"]
    assert rows.frame["group"].to_list() == ["1"] * 4 + ["2"] * 2
    assert rows.frame["id"].to_list() == ["1-1", "1-2", "1-3", "1-4", "2-1", "2-2"]
    assert "a salt or mixture cannot be told from neighbours" in rows.notes[0]


def test_salts_cannot_break_a_set_of_ours() -> None:
    """A set is joined by <separator>, which no molecule contains; in Chem-xLSTM's files it is the dot of a salt."""
    frame = pl.DataFrame({"smiles": ["[Na+].[Cl-]", "CCO", "CC(=O)[O-].[K+].O"], "group": ["a", "a", "a"]})
    texts = load(frame)[0].frame["sequence"].to_list()
    row = np.concatenate([[BEGIN], *([*TOKENIZER.encode(text), SEPARATOR] for text in texts)])
    pieces = np.split(row[1:], np.flatnonzero(row[1:] == SEPARATOR) + 1)
    assert [TOKENIZER.decode(piece[:-1]) for piece in pieces if len(piece)] == texts


CARD = """
name = "mine"
title = "t"
domain = "molecules"
description = "d"
licence = "l"
instructions = "ask the owner"
[written]
label = ["class"]
invalid = "skip"
"""


def test_a_card_gives_files_their_split_and_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = CARD
    for name, content, more in (
        ("good.smi", "CCO\nC1\n", 'label = "good"\nsplit = "train"\n'),
        ("bad.smi", "CCN\n", 'label = "bad"\nsplit = "test"\n'),
    ):
        (tmp_path / "data").mkdir(exist_ok=True)
        write(tmp_path / "data" / name, content)
        sha = hashlib.sha256(content.encode()).hexdigest()
        text += f'[[files]]\nname = "{name}"\nsha256 = "{sha}"\nrole = "records"\n{more}'
    (tmp_path / "datasets").mkdir()
    write(tmp_path / "datasets" / "mine.toml", text)
    monkeypatch.setattr(catalog, "folder", lambda kind: tmp_path / kind)
    monkeypatch.setenv("SEQSCI_DATA", str(tmp_path / "data"))
    records, facts = load("mine")
    assert records.frame.select("sequence", "label", "split").rows() == [
        ("CCO", "good", "train"),
        ("CCN", "bad", "test"),
    ]
    assert "good.smi: 1 without a valid SMILES left out" in records.notes[0]
    assert facts["card"] == "mine" and facts["path"].endswith("bad.smi")
