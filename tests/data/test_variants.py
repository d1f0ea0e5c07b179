"""Variants of VCF and of lists of substitutions: what they say, and that they are of these records."""

import gzip
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsci.data.records import Records
from seqsci.data.variants import VARIANTS, mutate, read_variants
from seqsci.errors import SeqsciError

BOTH = Records(frame=pl.DataFrame({"id": ["a", "b"], "sequence": ["ACGTAC", "TTGG"]}))
ONE = Records(frame=pl.DataFrame({"id": ["p"], "sequence": ["MKVLA"]}))
HEAD = "##fileformat=VCFv4.3\n##source=x\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\n"


def mutated(frame: pl.DataFrame, records: Records) -> list[str]:
    return [mutate(records.text(row["record"]), row) for row in frame.iter_rows(named=True)]


def test_vcf(tmp_path: Path) -> None:
    path = tmp_path / "x.vcf.gz"
    lines = "a\t2\trs1\tc\tT\t30\tPASS\nb\t1\t.\tTT\tT,TTA\t.\tq\na\t1\t.\tA\tAGG\t9.5\tq\n"
    path.write_bytes(gzip.compress((HEAD + lines).replace("\n", "\r\n").encode()))
    found = read_variants(path, BOTH, "base")
    assert found.columns == [*VARIANTS, "QUAL"]
    assert found.rows() == [
        (0, "rs1", [1], ["C"], ["T"], 30.0),
        (1, "b:1TT>T", [0], ["TT"], ["T"], None),
        (1, "b:1TT>TTA", [0], ["TT"], ["TTA"], None),
        (0, "a:1A>AGG", [0], ["A"], ["AGG"], 9.5),
    ]
    assert mutated(found, BOTH) == ["ATGTAC", "TGG", "TTAGG", "AGGCGTAC"]


def test_lists_of_substitutions(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("\ufeff,mutant,score,note,none\n0,K2A,0.5,x,\n1,A5G:M1V,,y,\n2,V3V,-1e-3,z,\n")
    found = read_variants(path, ONE, "residue")
    assert found.columns == [*VARIANTS, "score"]
    assert found["position"].to_list() == [[1], [0, 4], [2]] and found["score"].to_list() == [0.5, None, -1e-3]
    assert mutated(found, ONE) == ["MAVLA", "VKVLG", "MKVLA"]
    plain = tmp_path / "x.txt"
    plain.write_text("K2A\n\nA5G:M1V\nV3V\n")
    for source in (
        plain,
        ["K2A", "A5G:M1V", "V3V"],
        found.select(mutant="name"),
        found.select(mutant="name").to_pandas(),
    ):
        assert read_variants(source, ONE, "residue").equals(found.select(list(VARIANTS)))


def test_a_column_names_the_record() -> None:
    frame = pl.DataFrame({"id": ["b", "a"], "Mutant": ["T2C", "A1G"], "effect": [1, 2]})
    found = read_variants(frame, BOTH, "base")
    assert found["record"].to_list() == [1, 0] and found["effect"].to_list() == [1.0, 2.0]
    assert mutated(found, BOTH) == ["TCGG", "GCGTAC"]
    like = pl.DataFrame({"chrom": ["a"], "pos": [3], "ref": ["G"], "alt": ["T"], "score": [0.25]})
    assert read_variants(like, BOTH, "base").rows() == [(0, "a:3G>T", [2], ["G"], ["T"], 0.25)]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (
            "a\t2\t.\tG\tT\t.\t.\n",
            "x.vcf, line 4: the reference is G, but at position 2 of record a stands C (bases count",
        ),
        ("\na\t6\t.\tCA\tC\t.\t.\n", "x.vcf, line 5: position 6 is outside of record a with its 6 bases"),
        ("a\t0\t.\tA\tC\t.\t.\n", "position 0 is outside"),
        ("a\t-1\t.\tA\tC\t.\t.\n", "the position '-1' is no number"),
        ("a\t" + "9" * 40 + "\t.\tA\tC\t.\t.\n", "is no number"),
        ("c\t1\t.\tA\tC\t.\t.\n", "x.vcf, line 4: there is no record 'c'"),
        ("a\t1\t.\tA\t<DEL>\t.\t.\n", "the alternative '<DEL>' is no sequence"),
        ("a\t1\t.\tA\tC,*\t.\t.\n", "the alternative '*' is no sequence"),
        ("a\t1\t.\tA\t.\t.\t.\n", "the alternative '.' is no sequence"),
        ("a\t1\t.\t.\tA\t.\t.\n", "the reference '.' is no sequence"),
        ("a\t1\t.\tA\n", "x.vcf, line 4: 4 fields where the header has 7"),
        ("", "x.vcf: there are no variants"),
    ],
)
def test_faults_of_vcf_are_located(tmp_path: Path, text: str, part: str) -> None:
    (tmp_path / "x.vcf").write_text(HEAD + text)
    with pytest.raises(SeqsciError) as error:
        read_variants(tmp_path / "x.vcf", BOTH, "base")
    assert part in str(error.value)


@pytest.mark.parametrize(
    ("source", "records", "part"),
    [
        (["K2A", "K3A"], ONE, "the list, line 2: the reference is K, but at position 3 of record p stands V (residues"),
        (["M0A"], ONE, "'M0A' is no substitution such as A24G"),
        (["M6A"], ONE, "position 6 is outside of record p with its 5 residues"),
        (["M1A:M1V"], ONE, "position 1 is substituted twice"),
        (["M1"], ONE, "'M1' is no substitution"),
        (["M1A:"], ONE, "'' is no substitution"),
        (["A1C"], BOTH, "which of the 2 records is it of? add a column record"),
        ([], ONE, "there are no variants"),
        (3, ONE, "neither a path, a list nor a table"),
        (pl.DataFrame({"x": ["A1C"]}), ONE, "neither VCF (CHROM POS ID REF ALT) nor a table with a column mutant"),
        ("absent.csv", ONE, "there is no such file"),
    ],
)
def test_faults_of_lists_are_located(source: object, records: Records, part: str) -> None:
    with pytest.raises(SeqsciError) as error:
        read_variants(source, records, "residue")
    assert part in str(error.value)


@pytest.mark.parametrize("line", ["hello", "p.M1A", "M1A,K2A", "M1A\t0.5", "M1A;K2A"])
def test_a_lone_wrong_line_is_no_header(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.txt").write_text(f"\n{line}\n")
    with pytest.raises(SeqsciError) as error:
        read_variants(tmp_path / "x.txt", ONE, "residue")
    assert str(error.value) == f"x.txt, line 2: '{line}' is no substitution such as A24G; correct it"


def test_alleles_of_a_line_keep_its_id(tmp_path: Path) -> None:
    (tmp_path / "x.vcf").write_text(HEAD + "a\t4\trs2\tT\tA,CG\t.\t.\nb\t1\trs3\tT\tA\t.\t.\n")
    assert read_variants(tmp_path / "x.vcf", BOTH, "base")["name"].to_list() == ["rs2:T>A", "rs2:T>CG", "rs3"]


def test_headers_without_tabs_or_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.vcf"
    for text, part in (
        ("#CHROM POS ID REF ALT\na 1 . A C\n", "have tabs between them"),
        ("##only\n", "there are no variants"),
        ("", "there are no variants"),
    ):
        path.write_text(text)
        with pytest.raises(SeqsciError, match=part):
            read_variants(path, BOTH, "base")


def test_mutate_compares() -> None:
    def row(*changes: tuple[int, str, str]) -> dict:
        place, reference, alternative = (list(part) for part in zip(*changes, strict=True))
        return {"name": "v", "position": place, "reference": reference, "alternative": alternative}

    assert mutate("ACGT", row((3, "T", "GG"), (0, "AC", ""))) == "GGG"
    for changes, part in (
        ([(0, "C", "A")], "v: at position 1 stands A, not C"),
        ([(3, "TA", "C")], "position 4 is beyond the 4 letters"),
        ([(0, "AC", "A"), (1, "C", "T")], "two of its changes overlap at position 1"),
    ):
        with pytest.raises(SeqsciError, match=part):
            mutate("ACGT", row(*changes))


@given(st.text(alphabet="ACGT", min_size=3, max_size=30), st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_and_applied(text: str, data: st.DataObject) -> None:
    places = sorted(data.draw(st.sets(st.integers(0, len(text) - 1), min_size=1, max_size=4)))
    letters = data.draw(st.lists(st.sampled_from("ACGT"), min_size=len(places), max_size=len(places)))
    records = Records(frame=pl.DataFrame({"id": ["r"], "sequence": [text]}))
    written = ":".join(f"{text[p]}{p + 1}{letter}" for p, letter in zip(places, letters, strict=True))
    (row,) = read_variants([written], records, "base").iter_rows(named=True)
    wanted = list(text)
    for place, letter in zip(places, letters, strict=True):
        wanted[place] = letter
    assert row["position"] == places and mutate(text, row) == "".join(wanted)


def test_beta_lactamase(real_data: Path) -> None:
    (path,) = real_data.rglob("BLAT_ECOLX_Ranganathan2015.csv.gz")
    with gzip.open(path, "rt", encoding="utf-8-sig") as file:
        mutants = pl.read_csv(file.read().encode())["mutant"].to_list()
    # The wild type as far as the assay tells it; X where no mutant was measured.
    wild = {int(one[1:-1]): one[0] for one in mutants}
    text = "".join(wild.get(place, "X") for place in range(1, max(wild) + 1))
    records = Records(frame=pl.DataFrame({"id": ["BLAT_ECOLX"], "sequence": [text]}))
    found = read_variants(path, records, "residue")
    assert len(found) == 4996 and found["name"].to_list() == mutants
    assert "2500" in found.columns and found["2500"].dtype == pl.Float64
