"""DNA from files of every kind: what becomes of letters and names, and where a fault is said to be."""

import gzip
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from Bio import bgzf
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsci.data.records import SPECIALS
from seqsci.domains import genomics
from seqsci.domains.genomics import TOKENIZER, IndexedRecords, annotations, indexed, load, suits
from seqsci.domains.genomics.alphabet import LETTERS, reverse_complement
from seqsci.errors import SeqsciError

FASTA = ">a first record\nACGT\nacgtn\n>b\nUUGRYSWKMBDHV\n"
GENBANK = (Path(__file__).parents[1] / "fixtures" / "toy.gb").read_text()
Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return written


def texts(source: object, **settings: object) -> list[str]:
    return load(source, **settings)[0].frame["sequence"].to_list()


def refused(source: object, **settings: object) -> str:
    with pytest.raises(SeqsciError) as error:
        load(source, **settings)
    return str(error.value)


def test_the_contract() -> None:
    assert genomics.UNIT == "base" and genomics.SPLITS == ("auto", "record", "region")
    assert TOKENIZER.symbols == (*SPECIALS, *"ACGTNRYSWKMBDHV")
    numbers = TOKENIZER.encode("ACGTNRYSWKMBDHV")
    assert TOKENIZER.complements is not None
    assert TOKENIZER.decode(TOKENIZER.complements[numbers]) == "TGCANYRSWMKVHDB"
    assert [int(TOKENIZER.complements[i]) for i in range(len(SPECIALS))] == list(range(len(SPECIALS)))


def test_fasta(write: Write) -> None:
    records, origin = load(write("x.fa", FASTA))
    assert records.frame.rows() == [("a", "ACGTACGTN", "first record"), ("b", "TTGRYSWKMBDHV", "")]
    assert records.lengths.tolist() == [9, 13] and records.text(0, 2, 5) == "GTA"
    assert origin["name"] == "x" and origin["card"] is None and len(origin["sha256"]) == 64
    assert not records.simulated
    said = "\n".join(records.notes)
    assert "5 lower-case letters" in said and "2 letters U (RNA) were made T" in said
    assert "10 of 22 letters are ambiguity codes" in said


def test_letters_that_stand_for_several_bases_are_told_once(write: Write, monkeypatch) -> None:
    text = ">a\nACGTACGT\n>b\nACNNRCGT\n>c\nACGTACYT\n>d\nNNNNNNNN\n>e\nNNE\n"
    monkeypatch.setattr(indexed, "BLOCK", 3)
    for size in (1 << 29, 0):
        monkeypatch.setattr(indexed, "LARGE", size)
        notes = load(write("x.fa", text), invalid="skip")[0].notes
        (said,) = (note for note in notes if "several bases" in note)
        assert "x.fa: 3 records hold" in said and "10 N, 2 other IUPAC codes" in said
        assert "a token of its own" in said
    assert not [note for note in load(write("y.fa", ">a\nACGu\n"))[0].notes if "several bases" in note]
    assert TOKENIZER.decode(TOKENIZER.encode("ACNNRCGT")) == "ACNNRCGT"
    assert np.array_equal(genomics.features(["ACGTRACG"]), genomics.features(["ACGTYACG"]))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n"])
def test_line_ends_and_byte_order_marks(write: Write, end: str, last: bool, start: str) -> None:
    text = start + FASTA if last else start + FASTA.rstrip("\n")
    assert texts(write("x.fa", text.replace("\n", end))) == ["ACGTACGTN", "TTGRYSWKMBDHV"]
    table = start + "id,seq\nq,ACGT\nr,GGCC\n"
    table = (table if last else table.rstrip("\n")).replace("\n", end)
    assert texts(write("x.csv", table)) == ["ACGT", "GGCC"]


def test_packed_files(write: Write, tmp_path: Path) -> None:
    plain, origin = load(write("x.fa", FASTA))
    packed, again = load(write("y.fa.gz", gzip.compress(FASTA.encode())))
    assert packed.frame.equals(plain.frame) and again["sha256"] == origin["sha256"]
    with zipfile.ZipFile(tmp_path / "z.fa.zip", "w") as archive:
        archive.writestr("x.fa", FASTA)
    assert load(tmp_path / "z.fa.zip")[0].frame.equals(plain.frame)
    cut = write("cut.fa.gz", gzip.compress(FASTA.encode() * 100)[:-30])
    assert "cut off or damaged" in refused(cut)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (
            ">x\nACGT\n>NP_001 y\nACGTE\n",
            "x.fa, record 2 (NP_001), position 5: 'E' is no nucleotide; is this a protein",
        ),
        (">x\nAC-GT\n", "x.fa, record 1 (x), position 3: '-' is a gap, as in an alignment"),
        (">x\nAC.GT\n", "position 3: '.' is a gap"),
        (">x\nMKV*\n", "position 4: '*' is a stop of a translated protein"),
        (">x\nAC1\n", "position 3: '1' is no nucleotide; correct it, or skip such records with data.invalid skip"),
        (">x\nACÄ\n", "position 3: 'Ä' is no nucleotide"),
        (">x\n>y\nA\n", "x.fa, record 1 (x): has no letters"),
        ("ACGT\n>x\nA\n", "x.fa, line 1: a FASTA file begins with '>'"),
        ("", "x.fa: the file is empty"),
        ("# STOCKHOLM 1.0\n", "an alignment (Stockholm)"),
        ("CLUSTAL W\n", "an alignment (Clustal)"),
        ("##fileformat=VCFv4.3\n", "a list of variants (VCF)"),
    ],
)
def test_faults_of_fasta_are_located(write: Write, text: str, part: str) -> None:
    assert part in refused(write("x.fa", text))


def test_invalid_records_can_be_skipped(write: Write) -> None:
    path = write("x.fa", ">a\nACGT\n>b\nAC-T\n>c\n\n>d\nGG\n")
    records, _ = load(path, invalid="skip")
    assert records.frame["id"].to_list() == ["a", "d"]
    assert "2 records were left out as invalid, the first: x.fa, record 2 (b), position 3" in "\n".join(records.notes)
    assert "position 1" in refused(write("y.fa", ">b\n-\n"), invalid="skip")
    assert "neither refuse nor skip" in refused(path, invalid="drop")


def test_names_become_unique(write: Write) -> None:
    records, _ = load(write("x.fa", ">g\nA\n>g\nC\n>g-2\nG\n> \nT\n>g\nA\n"))
    assert records.frame["id"].to_list() == ["g", "g-3", "g-2", "record 4", "g-4"]
    assert "2 records have a name that another has" in "\n".join(records.notes)
    two, _ = load(f"{write('x.fa', FASTA)}, {write('y.fa', FASTA)}")
    assert two.frame["id"].to_list() == ["a", "b", "a-2", "b-2"]


def test_fastq(write: Write) -> None:
    records, _ = load(write("x.fq", "@r1 lane\nACGT\n+\nIIII\n@r2\nNNA\n+\n###\n"))
    assert records.frame.rows() == [("r1", "ACGT", "lane"), ("r2", "NNA", "")]
    assert "qualities of the reads are not used" in records.notes[-1]
    assert "x.fq, record 2: is not FASTQ" in refused(write("x.fq", "@r1\nACGT\n+\nIIII\n@r2\nACG\n+\nIIII\n"))


def test_genbank(write: Write) -> None:
    path = write("x.gb", GENBANK)
    records, _ = load(path)
    assert records.frame["id"].to_list() == ["TOY1.1"] and records.text(0) == "ACGT" * 15
    assert annotations(path).rows() == [
        ("TOY1.1", 0, 60, 1, "source", "", 0),
        ("TOY1.1", 3, 12, -1, "gene", "abc", 1),
        ("TOY1.1", 19, 30, 1, "CDS", "T1", 2),
        ("TOY1.1", 39, 45, 1, "CDS", "T1", 2),
        ("TOY1.1", 49, 55, 1, "misc_feature", "", 3),
    ]
    without = GENBANK[: GENBANK.index("        1 acgt")] + "//\n"
    assert "x.gb, record 1 (TOY1.1): has features but no sequence" in refused(write("x.gb", without))
    short = GENBANK.replace(" gtacgtacgt\n//", "\n//")
    assert "not as long as LOCUS says" in refused(write("x.gb", short))
    assert "x.gb, record 1: is not GenBank" in refused(write("x.gb", GENBANK[:400]))
    assert "x.gb, record 2: is not GenBank" in refused(write("x.gb", GENBANK + GENBANK[:400]))
    assert "no GenBank records" in refused(write("x.gb", "nothing\n"))


TABLE = pl.DataFrame({"name": ["p", "q"], "dna": ["ACGT", "ggcc"], "kind": ["x", None], "score": [1.5, 2.0]})


def test_tables(write: Write, tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "t.parquet")
    csv, _ = load(write("t.csv", TABLE.write_csv()), label="kind")
    assert csv.frame.columns == ["id", "sequence", "label", "score"]
    assert csv.frame.select("id", "sequence", "label").rows() == [("p", "ACGT", "x"), ("q", "GGCC", None)]
    kinds = [write("t.tsv", TABLE.write_csv(separator="\t")), tmp_path / "t.parquet", TABLE]
    for source in (*kinds, TABLE.to_pandas(), TABLE.to_arrow()):
        records, origin = load(source, label="kind")
        assert records.frame.select("id", "sequence", "label").equals(csv.frame.select("id", "sequence", "label"))
    assert origin["path"] is None and origin["name"] == "table"
    numbers, _ = load(TABLE, label="score")
    assert numbers.frame["label"].dtype == pl.Float64
    assert isinstance(TABLE.to_pandas(), pd.DataFrame) and isinstance(TABLE.to_arrow(), pa.Table)


def test_a_table_without_header_and_padded(write: Write) -> None:
    path = write("u.data", "+,S10,\t\ttactagcaat\n-,  AMP ,\tgggggggggg\n")
    records, _ = load(path, columns={"id": "column_2"}, label="column_1")
    assert records.frame.rows() == [("S10", "TACTAGCAAT", "+"), ("AMP", "GGGGGGGGGG", "-")]
    assert texts(write("list.txt", "ACGTACGT\nGGGGCCCC\n")) == ["ACGTACGT", "GGGGCCCC"]


def test_columns_of_odd_names(write: Write) -> None:
    one = write("a.csv", "*,seq,^s.*$\n1,ACGT,x\n2,GGCC,y\n")
    records, _ = load(f"{one},{one}")
    assert records.frame.columns == ["id", "sequence", "*", "^s.*$"] and records.frame["*"].to_list() == ["1", "2"] * 2


def test_labels_are_classes_or_numbers() -> None:
    def kind(values: list[object]) -> pl.DataType:
        frame = pl.DataFrame({"seq": ["A"] * len(values), "y": values})
        return load(frame, label="y")[0].frame["label"].dtype

    assert kind([0, 1, 1]) == pl.String and kind(["a", "b"]) == pl.String and kind([True, False]) == pl.String
    assert kind([0.5, 1.0]) == pl.Float64 and kind(list(range(30))) == pl.Float64 and kind(["1.5", None]) == pl.Float64


def test_own_splits_and_groups(write: Write) -> None:
    head = "seq,group,split\n"
    records, _ = load(write("s.csv", head + "AA,g,Train\nCC,,dev\nGG,h,test\n"))
    assert records.frame["split"].to_list() == ["train", "val", "test"]
    assert records.frame["group"].to_list() == ["g", None, "h"]
    other, _ = load(write("s.csv", head + "AA,g,left\nCC,,right\n"))
    assert "split" not in other.frame.columns and "column split holds other words" in "\n".join(other.notes)
    with pytest.raises(SeqsciError, match="s.csv, row 1, column split: 'left' is none of train, val, test"):
        load(write("s.csv", head + "AA,g,left\n"), columns={"split": "split"})


@pytest.mark.parametrize(
    ("text", "settings", "part"),
    [
        ("id,seq\na,ACGT\nb,ACE\n", {}, "t.csv, row 2 (b), column seq, position 3: 'E'"),
        ("id,seq\na,ACGT\nb,\n", {}, "t.csv, row 2 (b), column seq: has no letters"),
        ("id,seq\na,ACGT\n", {"label": "kinds"}, "there is no column 'kinds' for the label"),
        ("id,seq\na,ACGT\n", {"columns": {"sequence": "sec"}}, "no column 'sec' for sequence; did you mean 'seq'"),
        ("id,seq\na,ACGT\n", {"columns": {"dna": "seq"}}, "data.columns: there is no 'dna'"),
        ("id,text\na,hello\n", {}, "no column looks like DNA; name it with data.columns, such as sequence=id"),
        ("p,q\nACGTACGTE,ACGTACGTE\nACGTACGT,ACGTACGT\n", {}, "no column looks like DNA"),
        ("seq,seq\nA,C\n", {}, "two columns are called 'seq'"),
        ('"id,x\na",seq\nb,ACGT\n', {}, "a quotation mark in the header is not closed"),
        ("id,seq\na,ACGT,x\n", {}, "is not a table"),
        ("id,seq\n", {}, "there are no records"),
        ("\n", {}, "the file is empty"),
        (", ,\n,,\n", {}, "all fields are blank"),
        ("a\0b", {}, "neither text nor Parquet"),
        ("PAR1 and so on", {}, "no whole Parquet file"),
    ],
)
def test_faults_of_tables_are_located(write: Write, text: str, settings: dict, part: str) -> None:
    assert part in refused(write("t.csv", text), **settings)


def test_wishes_without_effect_are_refused(write: Write) -> None:
    path = write("x.fa", FASTA)
    assert "data.count: only a simulated set" in refused(path, count=3)
    assert "is no table, so that data.columns cannot be chosen" in refused(path, columns={"id": "a"})
    assert "no table with a column 'kind'" in refused(path, label="kind")
    assert "of the domain electricity" in refused("etth1")
    assert "did you mean 'ecoli'" in refused("ecolli")
    assert "is a folder" in refused(path.parent)
    assert "neither a path, a list of sequences nor a table" in refused(3)
    assert "the list, record 2: is no text" in refused(["A", 3])
    assert "data.label: data set demo-dna has no label" in refused("demo-dna", label="x")
    assert "data.columns: cannot be chosen for data set demo-dna" in refused("demo-dna", columns={"id": "x"})
    assert "0 records cannot be simulated" in refused("demo-dna", count=0)


def test_the_class_is_the_file(write: Write) -> None:
    one, two = write("prom.fa.gz", gzip.compress(b">a\nAC\n")), write("other.fa", ">b\nGT\n")
    records, origin = load(f"{one},{two}", label="file")
    assert records.frame["label"].to_list() == ["prom", "other"] and origin["path"] == f"{one},{two}"
    assert "label" not in load(f"{one},{two}")[0].frame.columns


def test_lists_and_simulations() -> None:
    records, origin = load(["ACGT", "gg"])
    assert records.frame.rows() == [("record 1", "ACGT"), ("record 2", "GG")] and origin["path"] is None
    demo, origin = load("demo-dna", count=2, seed=3)
    assert demo.simulated and len(demo) == 2 and "simulated" in demo.notes[0] and origin["card"] == "demo-dna"
    assert load("demo-dna", count=2, seed=4)[1]["sha256"] != origin["sha256"]
    promoters, _ = load("demo-promoters", count=10)
    assert set(promoters.frame["label"]) == {"promoter", "not promoter"} and promoters.simulated


def test_suits(write: Write, tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "t.parquet")
    good = [
        write("a.fa", ">x\nACGTNacgu\n"),
        write("b.txt.gz", gzip.compress(b">x\n" + b"ACGT" * 20_000)),
        write("c.fq", "@r\nACGT\n+\nIIII\n"),
        write("d.gb", GENBANK),
        write("e.csv", "label,seq\nx,ACGTACGTACGTACGTACGTACGT\n"),
    ]
    assert [path.name for path in good if not suits(path)] == []
    bad = [
        write("p.fa", ">x\nMKTAYIAKQRQISFVKSHFSRQ\n"),
        write("q.csv", "date,load\n2020-01-01,3\n"),
        write("r.smi", "CCO\nCC(=O)O\n"),
        write("s.fa", b"\x1f\x8b\x08garbage"),
        write("t.gb", "LOCUS       P1     120 aa            linear   BCT 01-JAN-2000\n"),
        write("u.sto", "# STOCKHOLM 1.0\n"),
        write("v", b"\xff\xfe\0\0"),
        tmp_path / "t.parquet",
        tmp_path / "absent.fa",
        tmp_path,
    ]
    assert [path.name for path in bad if suits(path)] == []


def wide(rng: np.random.Generator, names: list[str], width: int = 61) -> str:
    lines = []
    for name in names:
        text = "".join(rng.choice(list("ACGTacgtNU"), int(rng.integers(1, 400))))
        lines += [f">{name} what", *(text[i : i + width] for i in range(0, len(text), width))]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("packing", ["plain", "crlf", "bgzip", "gzip"])
def test_a_genome_larger_than_memory(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: str
) -> None:
    text = wide(np.random.default_rng(0), ["a", "b", "c"])
    path = tmp_path / ("x.fa" if packing in ("plain", "crlf") else "x.fa.gz")
    if packing == "bgzip":
        with bgzf.BgzfWriter(str(path)) as file:
            file.write(text)
    else:
        raw = (text.replace("\n", "\r\n") if packing == "crlf" else text).encode()
        path.write_bytes(gzip.compress(raw) if packing == "gzip" else raw)
    small, origin = load(path)
    monkeypatch.setenv("SEQSCI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(indexed, "LARGE", 0)
    monkeypatch.setattr(indexed, "BLOCK", 100)
    large, again = load(path, label="file")
    assert isinstance(large, IndexedRecords) and "sequence" not in large.frame.columns
    assert large.frame["id"].to_list() == ["a", "b", "c"] and set(large.frame["label"]) == {"x"}
    assert again["sha256"] == origin["sha256"] and again["path"] == str(path)
    assert large.lengths.tolist() == small.lengths.tolist()
    for copy in (large, pickle.loads(pickle.dumps(large))):
        for row in range(3):
            for start, stop in ((0, None), (3, 70), (60, 62), (5, 5), (-4, None), (2, 10_000), (9_000, 9_001)):
                assert copy.text(row, start, stop) == small.text(row, start, stop)
    of_letters = {note for note in small.notes if "letters" in note}
    assert of_letters and of_letters <= set(large.notes)
    assert (path.with_name(path.name + ".fai")).exists() == (packing != "gzip")
    assert any("was unpacked to" in note for note in large.notes) == (packing == "gzip")


def test_the_index_goes_to_the_cache_where_the_folder_is_read_only(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("x.fa", ">a\nACGT\nAC\n")
    monkeypatch.setenv("SEQSCI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(indexed, "LARGE", 0)
    monkeypatch.setattr(indexed, "writable", lambda folder: False)
    records, _ = load(path)
    assert records.text(0) == "ACGTAC" and not path.with_name("x.fa.fai").exists()
    assert len(list((tmp_path / "cache" / "genomes").glob("*.fai"))) == 1


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (">a\nAC\nACGT\nAC\n", "lines of one length"),
        (">a\nAC\n>a\nGG\n", "names that occur once"),
        (">a\nACGT\n>b\nACET\n", "x.fa, record 2 (b), position 3: 'E'"),
        (">a\nACGT\n>b\n>c\nA\n", "record 2 (b): has no letters"),
    ],
)
def test_faults_of_large_files(write: Write, monkeypatch: pytest.MonkeyPatch, text: str, part: str) -> None:
    monkeypatch.setattr(indexed, "LARGE", 0)
    path = write("x.fa", text)
    assert part in refused(path)
    if part.startswith("x.fa"):
        records, _ = load(path, invalid="skip")
        assert records.frame["id"].to_list() == ["a"] and "was left out as invalid" in "\n".join(records.notes)
    assert "is too large to be read with other files" in refused(f"{path},{path}")


@given(st.text(alphabet=LETTERS, min_size=1), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_strands(text: str, seed: int) -> None:
    other = reverse_complement(text)
    assert reverse_complement(other) == text and len(other) == len(text)
    assert TOKENIZER.complements is not None
    assert TOKENIZER.decode(TOKENIZER.complements[TOKENIZER.encode(text)][::-1]) == other
    drawn = genomics.augment(text, np.random.default_rng(seed))
    assert drawn in (text, other) and drawn == genomics.augment(text, np.random.default_rng(seed))


def test_both_strands_are_drawn() -> None:
    rng = np.random.default_rng(0)
    share = np.mean([genomics.augment("AACG", rng) == "CGTT" for _ in range(1000)])
    assert 0.45 < share < 0.55
