"""Protein files: what is read of real ones, what is changed and told, and what is refused."""

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from seqsci import catalog
from seqsci.domains import proteins
from seqsci.domains.proteins.alignment import GAP
from seqsci.domains.proteins.letters import RESIDUES, unique
from seqsci.domains.proteins.mutants import substitutions
from seqsci.domains.proteins.read import read
from seqsci.errors import SeqsciError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def one(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        data = text.encode() if isinstance(text, str) else text
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return one


def texts(path: Path, **more: object) -> list[str]:
    return proteins.load(path, **more)[0].frame["sequence"].to_list()  # type: ignore[arg-type]


def test_fasta(write: Write) -> None:
    path = write(
        "two.fasta.gz", "\ufeff>sp|P1|A_B first one\nMKV\nlaw*\n\n>x\nACDEFGHIKLMNPQRSTVWYXBUZOJ\n>x\r\nMK\r\n"
    )
    records, origin = proteins.load(path)
    assert records.frame["sequence"].to_list() == ["MKVLAW", "ACDEFGHIKLMNPQRSTVWYXBUZOJ", "MK"]
    assert records.frame["id"].to_list() == ["sp|P1|A_B", "x", "x.2"]
    assert records.frame["description"].to_list() == ["first one", "", ""]
    assert "group" not in records.frame.columns and "label" not in records.frame.columns
    said = " ".join(records.notes)
    assert "1 record had a stop '*' at the end" in said and "1 record had lower-case letters" in said
    assert "1 id was there before" in said
    assert origin["name"] == "two" and origin["path"] == str(path) and origin["card"] is None
    assert origin["sha256"] == proteins.load(write("two.fasta", gzip.decompress(path.read_bytes())))[1]["sha256"]
    for text in records.frame["sequence"]:
        assert proteins.TOKENIZER.decode(proteins.TOKENIZER.encode(text)) == text


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("a.fasta", ">x\nMKV\n>y\nMK*V\n", "a.fasta, record 2 (y), position 3: a stop '*' inside the sequence"),
        ("a.fasta", ">x\nMK-V\n>y\nMKV\n", "record 1 (x), position 3: a gap '-' in a sequence that is not read as"),
        ("a.fasta", ">x\nmkßv\n", "record 1 (x), position 3: 'ß' is no amino acid"),
        ("a.a3m", ">x\nMKßV\n", "record 1 (x), position 3: 'ß' is no amino acid"),
        ("a.fasta", ">x\nM1KV\n", "record 1 (x), position 2: '1' is no amino acid"),
        ("a.fasta", ">x\n>y\nMKV\n", "record 1 (x): has no residues"),
        ("a.fasta", ">x\n*\n", "record 1 (x): has no residues"),
        ("a.fasta", "", "the file is empty"),
        ("a.fasta", "MKV\n>x\nMKV\n", "line 1: 'MKV' comes before the first header"),
        ("a.fasta", "# nothing\n", "there is no record"),
        ("a.fasta", ">x\n" + "ACGT" * 30 + "\n", "all 120 letters are A, C, G, T, U or N, so it is DNA"),
        ("a.fasta", b">x\nMK\x00V\n", "byte 6: a zero byte"),
        ("a.aln", "CLUSTAL W\n\nx MKV\n", "this kind of alignment is not read"),
        ("a.afa", ">x\nMK-V\n>y\nMKV\n", "record 2 (y): 3 columns where the first has 4"),
        ("a.a3m", ">q\nMKV\n>y\nMaV\n", "record 2 (y): 2 match columns where the query has 3"),
        ("a.sto", "# STOCKHOLM 1.0\nx MKV\ny MKVA\n//\n", "alignment 1: not in Stockholm format"),
        ("a.sto", "# STOCKHOLM 1.0\n", "alignment 1: not in Stockholm format"),
        ("a.csv", "name,value\nx,1\n", "no column of protein sequences among name, value"),
        ("a.csv", "id,sequence\nx,MKV\ny,M?\n", "a.csv, row 2 (y), position 2: '?' is no amino acid"),
        ("a.csv", "id,sequence\n", "there are no rows"),
        ("a.csv", "sequence,split\nMKV,train\nMKA,later\n", "row 2, column split: 'later' is none of train, val"),
        ("a.csv", "mutant,y\nA2G,1\nC2G,2\n", "row 2: 'C2G' has C at position 2 where an earlier row has A"),
        ("a.csv", "mutant,y\nA2G,1\nC4G,2\n", "no variant names position 3"),
        ("a.csv", "mutant,y\nA2G,1\nhello,2\n", "row 2 (hello): no variant such as A24G"),
        ("a.csv", "mutant,y\nA2G,1\nA2*,2\n", "row 2 (A2*): a stop"),
        ("a.parquet", b"PAR1nothing", "neither FASTA"),
        ("a.fasta.gz", gzip.compress(b">x\nMKV\n", mtime=0)[:-9], "cut off or damaged"),
    ],
)
def test_refusals(write: Write, tmp_path: Path, name: str, text: str | bytes, part: str) -> None:
    if name == "a.fasta.gz":
        path = tmp_path / name
        path.write_bytes(text)  # type: ignore[arg-type]
    else:
        path = write(name, text)
    with pytest.raises(SeqsciError) as error:
        proteins.load(path)
    assert part in str(error.value)


def test_invalid_records_are_skipped_and_counted(write: Write) -> None:
    path = write("a.fasta", ">x\nMKV\n>y\nMK*V\n>z\n\n")
    records, _ = proteins.load(path, invalid="skip")
    assert records.frame["id"].to_list() == ["x"]
    assert "2 of 3 records left out as invalid, the first: a.fasta, record 2 (y), position 3" in " ".join(records.notes)
    with pytest.raises(SeqsciError, match="no record is a protein sequence"):
        proteins.load(write("b.fasta", ">y\nM*V\n"), invalid="skip")
    with pytest.raises(SeqsciError, match="'drop' is neither refuse nor skip"):
        proteins.load(path, invalid="drop")  # type: ignore[arg-type]


def test_a_zip_with_one_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "fam.a3m.zip", "w") as archive:
        archive.writestr("fam.a3m", ">q\nMKV\n>h\nMaKV\n")
    records, origin = proteins.load(tmp_path / "fam.a3m.zip")
    assert records.frame["sequence"].to_list() == ["MKV", "MAKV"] and origin["name"] == "fam"
    assert proteins.suits(tmp_path / "fam.a3m.zip") and proteins.alignment(tmp_path / "fam.a3m.zip").query == "MKV"


def test_short_dna_is_told(write: Write) -> None:
    assert "it may be DNA" in " ".join(proteins.load(write("a.fasta", ">x\nACGT\n"))[0].notes)
    assert "DNA" not in " ".join(proteins.load(write("b.fasta", ">x\nACGT\n>y\nMKV\n"))[0].notes)


def test_a3m(write: Write) -> None:
    text = "#A3M#\n>ss_pred\nHHHH\n>q\nMKV-\n>h1 some\nM-VaaW\n>\nM.KVW\n"
    path = write("fam.a3m", text)
    records, _ = proteins.load(path)
    assert records.frame["sequence"].to_list() == ["MKV", "MVAAW", "MKVW"]
    assert records.frame["id"].to_list() == ["q", "h1", "fam-3"]
    assert set(records.frame["group"]) == {"fam"}
    assert "insertions (lower case) of 1 member read as residues" in " ".join(records.notes)
    assert "1 row of secondary structure left out" in " ".join(records.notes)
    assert read(path, insertions=False)[0].frame["sequence"].to_list() == ["MKV", "MVW", "MKVW"]
    found = proteins.alignment(path)
    assert found.query == "MKV" and found.names == ("q", "h1", "")
    letters = (RESIDUES + "-").__getitem__
    assert ["".join(letters(code) for code in row) for row in found.rows] == ["MKV", "M-V", "MKV"]


def test_aligned_fasta_and_stockholm_give_one_alignment(write: Write) -> None:
    fasta = write("f.fasta", ">q\nM-KV\n>h\nMAx.\n")
    stockholm = write("f.sto", "# STOCKHOLM 1.0\n#=GF ID Fam\nq M-KV\nh MAX.\n//\n")
    for path, group in ((fasta, "f"), (stockholm, "Fam")):
        records, _ = proteins.load(path)
        assert records.frame["sequence"].to_list() == ["MKV", "MAX"] and set(records.frame["group"]) == {group}
        found = proteins.alignment(path)
        assert found.query == "MKV"
        assert found.rows.tolist() == [[RESIDUES.index(x) for x in "MKV"], [RESIDUES.index("M"), GAP, GAP]]
    assert "records of one length with gaps, read as an alignment" in " ".join(proteins.load(fasta)[0].notes)
    with pytest.raises(SeqsciError, match="the query, has no residue"):
        proteins.alignment(write("g.afa", ">q\n--\n>h\nMK\n"))


def test_two_alignments_in_one_stockholm_file_and_two_of_one_query(write: Write) -> None:
    one = "# STOCKHOLM 1.0\nq MKV\nh MRV\n//\n"
    assert proteins.load(write("a.sto", one))[0].notes == ("a.sto: an alignment of 2 members, gaps taken out",)
    assert (
        proteins.load(write("a.a3m", ">q\nMKV\n"))[0]
        .notes[0]
        .endswith("of 1 member, gaps taken out; the first is the query")
    )
    path = write("two.sto", one + one.replace("MKV", "WWW"))
    assert proteins.load(path)[0].frame["group"].to_list() == ["two", "two", "two-2", "two-2"]
    again = write("again.a3m", ">q\nMKV\n>h\nMMM\n")
    records, origin = proteins.load(f"{path}, {again}")
    assert records.frame["group"].to_list() == ["two", "two", "two-2", "two-2", "two", "two"]
    assert "has the query of two, so its members are of that group" in " ".join(records.notes)
    assert origin["path"] == f"{path},{again}" and records.frame["id"].n_unique() == 6


def test_alignments_of_one_name_are_not_one_group(tmp_path: Path) -> None:
    paths = []
    for folder, query in (("a", "MKV"), ("b", "WWW")):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "f.a3m")
        paths[-1].write_text(f">q\n{query}\n>h\nMMM\n")
    assert proteins.load(paths)[0].frame["group"].to_list() == ["f", "f", "f.2", "f.2"]


def test_tables_of_any_kind_are_equal(write: Write, tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"Entry": ["a", "b"], "Seq": ["MKV", "MKA"], "y": [1.5, None], "kind": ["p", "q"], "split": ["train", "valid"]}
    )
    frame.write_csv(tmp_path / "t.csv")
    frame.write_csv(tmp_path / "t.tsv", separator="\t")
    frame.write_parquet(tmp_path / "t.parquet")
    for source in (
        *(tmp_path / f"t.{end}" for end in ("csv", "tsv", "parquet")),
        frame,
        frame.to_pandas(),
        frame.to_arrow(),
    ):
        records, origin = proteins.load(source, label="y")
        assert records.frame.columns[:4] == ["id", "sequence", "label", "split"]
        assert records.frame.select("id", "sequence", "label", "split").rows() == [
            ("a", "MKV", 1.5, "train"),
            ("b", "MKA", None, "val"),
        ]
        assert "1 record has no label" in " ".join(records.notes)
        assert (origin["path"] is None) == (not isinstance(source, Path)) and len(origin["sha256"]) == 64
        classes = proteins.load(source, label="kind")[0].frame["label"]
        assert classes.dtype == pl.String and classes.to_list() == ["p", "q"]
    assert isinstance(frame.to_pandas(), pd.DataFrame)


def test_columns_labels_and_sources_are_checked(write: Write) -> None:
    path = write("t.csv", "who,chain,sequence,y\na,MKV,WW,1\nb,MKA,WA,NA\n")
    assert texts(path, columns={"sequence": "chain", "id": "who"}) == ["MKV", "MKA"]
    assert texts(path) == ["WW", "WA"]
    for columns, part in (
        ({"sequence": "chian"}, "there is no column 'chian' for sequence; did you mean 'chain'"),
        ({"seqence": "chain"}, "data.columns.seqence: no column is called so here; did you mean 'sequence'"),
    ):
        with pytest.raises(SeqsciError, match=part):
            proteins.load(path, columns=columns)
    with pytest.raises(SeqsciError, match="there is no column 'z' for label"):
        proteins.load(path, label="z")
    assert proteins.load(path, label="file")[0].frame["label"].to_list() == ["t", "t"]
    for source, part in (
        ("no-such-file.fasta", "is neither a file nor a data set"),
        ("etth1", "'etth1' is of the domain electricity; it has no proteins"),
        (write("x", "").parent, "is a folder"),
        ([], "the list has no sequence"),
        (["MKV", 3], "record 2: not a text"),
        (7, "neither a path nor a table nor sequences"),
    ):
        with pytest.raises(SeqsciError, match=part):
            proteins.load(source)
    with pytest.raises(SeqsciError, match="only a simulated set"):
        proteins.load(path, count=3)
    assert proteins.load(["MKV", "MKA"])[0].frame["id"].to_list() == ["1", "2"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "1.0", "0", ""], ["1", "1", "0", None]),
        (["1.5", "2", "NA", "-1e3"], [1.5, 2.0, None, -1000.0]),
        (["a", "1", "n/a", " a "], ["a", "1", None, "a"]),
        ([str(i) for i in range(21)], [float(i) for i in range(21)]),
        (["inf", "1", "2"], ["inf", "1", "2"]),
    ],
)
def test_labels_are_classes_or_numbers(values: list[str], expected: list[object]) -> None:
    frame = pl.DataFrame({"sequence": ["MKV"] * len(values), "y": values})
    found = proteins.load(frame, label="y")[0].frame["label"]
    assert found.to_list() == expected and found.dtype == (pl.Float64 if isinstance(expected[0], float) else pl.String)


def test_impossible_labels() -> None:
    numbers = [str(i / 7) for i in range(50)]
    for values, part in (
        ([*numbers, "high"], "record 51, column y: 'high' among measured numbers"),
        ([*numbers, "inf"], "record 51, column y: 'inf' among measured numbers"),
        (["", "NA"], "column y: there is no value in it"),
    ):
        with pytest.raises(SeqsciError, match=part):
            proteins.load(pl.DataFrame({"sequence": ["MKV"] * len(values), "y": values}), label="y")


def test_columns_that_polars_takes_for_patterns(write: Write) -> None:
    records, _ = proteins.load(write("t.csv", "sequence,*,^y$,, sequence\nMKV,1,2,3,4\n"))
    assert records.frame.columns == ["id", "sequence", "column 2", "column 3", "column 4", "sequence.2", "file"]


def test_variants_of_one_protein(write: Write) -> None:
    path = write("scan.csv", "mutant,y\nM5A,1.5\nK6R,2\nV7A:M5A,3\nWT,0\n")
    scan, _ = proteins.deep_scan(path, label="y")
    assert scan.wild_type.frame["sequence"].to_list() == ["MKV"] and scan.first == 5
    assert scan.variants["sequence"].to_list() == ["AKV", "MRV", "AKA", "MKV"]
    assert scan.variants["position"].to_list() == [[0], [1], [0, 2], []]
    assert scan.variants["reference"].to_list() == [["M"], ["K"], ["M", "V"], []]
    assert scan.variants["alternative"].to_list() == [["A"], ["R"], ["A", "A"], []]
    assert scan.variants["label"].to_list() == [1.5, 2.0, 3.0, 0.0]
    whole = write("gym.csv", "mutant,mutated_sequence,DMS_score\nM1A,AKVW,1\nV3A,MKAW,2\n")
    scan, _ = proteins.deep_scan(whole, label="DMS_score")
    assert scan.wild_type.frame["sequence"].to_list() == ["MKVW"] and scan.first == 1
    with pytest.raises(SeqsciError, match="do not come from one protein"):
        proteins.deep_scan(write("bad.csv", "mutant,mutated_sequence,y\nM1A,AKVW,1\nV3A,MKCW,2\n"), label="y")
    with pytest.raises(SeqsciError, match="no column of variants"):
        proteins.deep_scan(["MKV"])
    assert (
        substitutions("A1G:C1D") is None
        and substitutions("A1") is None
        and substitutions("B2Z:A1G")
        == [
            (1, "A", "G"),
            (2, "B", "Z"),
        ]
    )


def test_suits(write: Write, tmp_path: Path) -> None:
    good = {
        "a.fasta": ">x\nMKLV\n",
        "a.faa.gz": ">x\nACGT\n",
        "a.a3m": ">x\nMK\n",
        "a.sto": "# STOCKHOLM 1.0\nx MKLV\n//\n",
        "a.csv": "id,sequence\nx,MKLV\n",
        "b.tsv": "x\tprotein\n1\tACG\n",
        "c.csv": "mutant,y\nA24G,1\n",
    }
    bad = {
        "d.fasta": ">x\nACGTNRYSWKMBDHV\n",
        "d.csv": "time,load\n2020-01-01,3\n",
        "e.csv": "smiles,y\nCCO,1\n",
        "f.csv": "sequence,y\nACGT,1\n",
        "g.csv": "",
        "h.gz": "",
    }
    assert all(proteins.suits(write(name, text)) for name, text in good.items())
    assert not any(proteins.suits(write(name, text)) for name, text in bad.items())
    (tmp_path / "i.gz").write_bytes(b"\x1f\x8bnothing")
    assert (
        not proteins.suits(tmp_path / "i.gz") and not proteins.suits(tmp_path) and not proteins.suits(tmp_path / "no")
    )
    pl.DataFrame({"sequence": ["MKLV"]}).write_parquet(tmp_path / "p.parquet")
    assert proteins.suits(tmp_path / "p.parquet")


def test_unique_names_do_not_clash() -> None:
    assert unique(["a", "a", "a.2", "a", "b"]) == (["a", "a.3", "a.2", "a.4", "b"], 2)


def test_real_sets(real_data: Path) -> None:
    expected = {"mycoplasma": 2733, "uniprot_queries": 500, "families": 7024, "pfam_seed": 215, "blat_ecolx": 4996}
    for name, rows in expected.items():
        records, origin = proteins.load(name)
        assert len(records) == rows == catalog.card(name).rows and origin["card"] == name and not records.simulated
        assert records.frame["id"].n_unique() == rows and records.lengths.min() > 0
        letters = set("".join(records.frame["sequence"]))
        assert letters <= set(proteins.TOKENIZER.symbols)
    records, _ = proteins.load("mycoplasma")
    assert records.frame["label"].n_unique() == 4 and records.frame["sequence"][0].startswith(
        "MNINSPNDKEIALKSYTETFLDIL"
    )
    families, _ = proteins.load("families")
    assert families.frame["group"].n_unique() == 5


def test_real_scan_determines_its_wild_type(real_data: Path) -> None:
    scan, _ = proteins.deep_scan("blat_ecolx")
    wild = scan.wild_type.frame["sequence"][0]
    # The mature enzyme of UniProt P62593, the sequence that ESM's example of this file is run with (offset 24).
    assert wild == (
        "HPETLVKVKDAEDQLGARVGYIELDLNSGKILESFRPEERFPMMSTFKVLLCGAVLSRVDAGQEQLGRRIHYSQNDLVEYSPVTEKHLTDGMTVRELCSAA"
        "ITMSDNTAANLLLTTIGGPKELTAFLHNMGDHVTRLDRWEPELNEAIPNDERDTTMPAAMATTLRKLLTGELLTLASRQQLIDWMEADKVAGPLLRSALPAG"
        "WFIADKSGAGERGSRGIIAALGPDGKPSRIVVIYTTGSQATMDERNRQIAEIGASLIKHW"
    )
    assert (scan.first, len(wild), len(scan.variants)) == (24, 263, 4996)
    assert wild[68 - 24 : 72 - 24] == "STFK"  # S-x-x-K of the active serine, 70 in Ambler's numbers, 68 in UniProt's
    assert scan.variants["label"].null_count() == 0
    assert np.isclose(scan.variants.filter(pl.col("name") == "H24C")["label"][0], -0.418259925)
