"""What the language verbs say of files that they cannot make out, and of wishes that do not fit."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from seqsci import SeqsciError
from seqsci.cli import main
from seqsci.recipe.typed import Text
from seqsci.runs import Run
from seqsci.training.language.generate import generate
from seqsci.training.language.science import named_science, require_kind
from seqsci.training.language.speaker import Speaker

FILES = {
    "empty.fa": "",
    "bare.fa": ">a\n>b\n",
    "header.csv": "id,bb\n",
    "wrong.csv": "name,colour\na,red\nb,blue\n",
    "mixed.fa": ">a\nACGT\n>b\n!!!!\n",
    "dna.fa": "".join(f">r{i}\n{'ACGT'[i % 4] * 3}ACGTTGCA{'TGCA'[i // 4 % 4]}\n" for i in range(16)),
    "some.csv": "sequence,size,age\n"
    + "".join(f"{'ACGTACGTAA' * 3}{'ACGT'[i % 4]}{'TGCA'[i // 4]},1,2\n" for i in range(16)),
}


BASES = "ACGTTGCAACGGATTC"
STRAY = {
    "stop.fa": (f">a x\n{BASES}\n>b\n{BASES[:6]}\n*{BASES[7:]}\n", "record 2 (b) has '*' at position 7"),
    "residue.fa": (f">\n{BASES}\n>\n{BASES}e\n", "record 2 has 'e' at position 17"),
    "codes.fa": (f">a\n{BASES}RYRYNNRYKM\n>b\n{BASES}*\n", "record 2 (b) has '*' at position 17"),
    "stop.csv": (f"id,sequence\nr,{BASES}\ns,{BASES}*\n", "row 2, column sequence, has '*' at position 17"),
    "short.csv": ("id,seq\nr,ACGTAC\ns,ACG*AC\n", "row 2, column seq, has '*' at position 4"),
    "named.csv": (f"id,what\nr,{BASES}\ns,{BASES}Q\n", "row 2, column what, has 'Q' at position 17"),
}
"""DNA with a symbol that strayed into it, and what is said of it."""


@pytest.mark.parametrize("name", STRAY)
def test_dna_that_would_read_as_proteins_is_refused_with_what_stands_against_it(tmp_path: Path, name: str):
    text, said = STRAY[name]
    (tmp_path / name).write_text(text)
    columns = {"data.columns": {"sequence": "what"}} if name == "named.csv" else {}
    with pytest.raises(SeqsciError) as refused:
        named_science(tmp_path / name, None, columns)
    assert f"data: {name}: nearly all of its letters are bases, but {said}, which no DNA has" in str(refused.value)
    assert "say data.domain genomics" in str(refused.value) and "say data.domain proteins" in str(refused.value)
    for kind in ("genomics", "proteins"):
        assert named_science(tmp_path / name, kind, columns) == kind
    if name == "short.csv":
        with pytest.raises(SeqsciError, match=r"the model of RUN reads, but row 2, column seq, has '\*' at position 4"):
            require_kind(str(tmp_path / name), "genomics", "RUN")
        with pytest.raises(SeqsciError, match="is of proteins, and the model of RUN reads molecules"):
            require_kind(str(tmp_path / name), "molecules", "RUN")
    (tmp_path / "gaps.fa").write_text(f">a\n{BASES}-{BASES}\n")
    assert named_science(tmp_path / "gaps.fa", None) == "genomics"  # which then says where the gap is


def test_proteins_are_not_taken_for_dna_with_strays(tmp_path: Path):
    for name, text in (("p.fa", ">a\nMKVLLEEFQWACGT*\n"), ("q.fa", ">a\nGATTACAGGSTANEFILPQNGGTTAA\n")):
        (tmp_path / name).write_text(text)
        assert named_science(tmp_path / name, None) == "proteins"


REFUSED = {
    ("pretrain", "--data", "empty.fa"): "empty.fa is empty",
    ("pretrain", "--data", "bare.fa"): "headers and no letters",
    ("pretrain", "--data", "header.csv"): "a header and no rows",
    ("pretrain", "--data", "wrong.csv"): "in its columns (name, colour); name the one",
    ("pretrain", "--data", "mixed.fa"): "data.domain genomics, proteins, molecules (as a flag: --data.domain)",
    ("pretrain", "--data", "wrong.csv", "--data.columns", "{sequense: colour}"): "did you mean 'sequence'?",
    ("pretrain", "--data", "dna.fa", "--data.sets", "true"): "data.sets: a set is of records of one group",
    (
        "finetune",
        "--data",
        "some.csv",
    ): "among its columns (sequence, size, age); name its column by data.label (as a flag: --data.label)",
}


@pytest.mark.parametrize("line", REFUSED)
def test_refusals(tmp_path: Path, monkeypatch, capsys, line: tuple[str, ...]):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(line)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and REFUSED[line] in said


def test_a_model_without_a_recipe_lists_those_of_its_verb(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["pretrain", "--model", "informer"])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "pretrain/bioxlstm" in said and "forecast/" not in said and "classify/" not in said


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["ACGTACGTACGT" * 2, "GGTTACGTAGCA" * 2], "genomics"),
        (["MKVLLEEFQW", "MQILPFEEWY"], "proteins"),
        (["CCO", "c1ccccc1O", "CC(=O)N"], "molecules"),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_columns_that_are_named_say_what_a_table_holds(tmp_path: Path, values: list[str], kind: str, ending: str):
    table, path = pl.DataFrame({"aa": ["x"] * len(values), "bb": values}), tmp_path / f"t.{ending}"
    table.write_csv(path) if ending == "csv" else table.write_parquet(path)
    assert named_science(path, None, {"data.columns": Text("{sequence: bb}")}) == kind
    assert named_science(path, None, {"data.columns.sequence": "bb"}) == kind
    assert named_science(path, None, {"data.domain": "proteins"}) is None
    with pytest.raises(SeqsciError, match="no column 'cc'"):
        named_science(path, None, {"data.columns": {"sequence": "cc"}})


def test_a_prompt_is_read_as_files_are(spoken: Callable[[str], Path]):
    asked = Speaker(Run.open(spoken("dna")))
    lower, upper = (generate(asked, count=2, prompt=text).table["sequence"].to_list() for text in ("acgu", "ACGT"))
    assert lower == upper and lower[0].startswith("ACGT")
