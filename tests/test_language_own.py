"""A run asked of its own data: what it was trained on is told apart from what it has not seen."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import seqsci
from seqsci.cli import main
from seqsci.files import short_name
from seqsci.runs import Run
from seqsci.training.language.embed import embed
from seqsci.training.language.generate import generate
from seqsci.training.language.score import score
from seqsci.training.language.speaker import Speaker
from seqsci.training.language.told import seen_note

Runs = Callable[[str], Path]


def test_the_splits_of_a_runs_own_records_are_told_apart(spoken: Runs):
    asked = Speaker(Run.open(spoken("dna")))
    told = score(asked)
    pieces = Run.open(spoken("dna")).read_json("metrics.json")["data"]["pieces"]
    assert dict(told.table["split"].value_counts().iter_rows()) == pieces
    training = sorted(asked.training_texts())
    records = asked.read()
    texts = pl.Series([records.text(row) for row in range(len(records))])
    assert sorted(texts.filter(told.table["split"] == "train")) == training
    test = told.table.filter(split="test")
    mean = -test["log_likelihood"].sum() / test["tokens"].sum()
    first, _, last = told.summary["sentences"]
    assert first.startswith(f"test, {pieces['test']} records: {mean:.4f} [") and "trained on these" in last
    assert "split" in told.summary["columns"] and any("trained on those of train" in n for n in told.summary["notes"])
    vectors = embed(asked)
    assert vectors.table["split"].equals(told.table["split"]) and "column split" in " ".join(vectors.summary["notes"])


def test_a_record_of_several_splits_is_said_to_mix_them():
    assert len(seen_note(pl.Series(["train", "test", None]))) == 1 and seen_note(None) == []
    (_, mixed) = seen_note(pl.Series(["train, val, test", "train"]))
    assert "its score mixes them; predictions.parquet" in mixed


def test_ends_are_no_letters(spoken: Runs):
    assert score(Speaker(Run.open(spoken("dna"))), ["ACGT", "GGTA"]).summary["title"].startswith("2 records, 8 base")
    assert score(Speaker(Run.open(spoken("masked"))), ["ACGT"]).summary["title"].startswith("1 record, 4 base")
    made = generate(Speaker(Run.open(spoken("dna"))), count=5)
    letters = sum(map(len, made.table["sequence"]))
    assert (
        letters == (made.table["tokens"] - made.table["ended"]).sum() and f"{letters:,} base" in made.summary["title"]
    )
    wanted = -made.table["log_likelihood"] / made.table["tokens"]
    assert np.allclose(wanted, made.table["nats_per_token"])


def test_other_data_has_no_split_of_the_run(spoken: Runs, tmp_path: Path):
    answer = seqsci.score(spoken("dna"), ["ACGT", "GGTA"], output=tmp_path / "t.csv", quiet=True)
    assert "split" not in answer.table.columns and len(answer.summary["sentences"]) == 1


def test_a_run_on_several_files_has_one_name(tmp_path: Path):
    from seqsci.recipe import build
    from seqsci.training.language.load import corpus

    for part, name in enumerate(("Pkinase", "SH2", "SH3")):
        rows = "".join(f">{name}{i}\nMKV{'ACDEFGHIKL'[i]}LLW{'ACDEFGHIKL'[part]}\n" for i in range(10))
        (tmp_path / f"{name}.fasta").write_text(rows)
    names = ",".join(str(tmp_path / f"{name}.fasta") for name in ("Pkinase", "SH2", "SH3"))
    recipe = build({"task": "pretrain", "data": {"name": names, "domain": "proteins"}, "model": {"name": "bioxlstm"}})
    assert corpus(recipe.data, by="record").origin["name"] == short_name(names) == "Pkinase+2"
    assert short_name("/somewhere/a.fa.gz") == "a"


@pytest.mark.parametrize("verb", ["score", "embed", "generate"])
def test_a_fine_tuned_run_is_sent_to_predict(tmp_path: Path, capsys, verb: str):
    recipe = "task: finetune\ndata: {name: demo-molecules}\nmodel: {name: bioxlstm}\n"
    (tmp_path / "recipe.yaml").write_text(recipe)
    with pytest.raises(SystemExit) as ended:
        main([verb, str(tmp_path)])
    assert ended.value.code == 2 and "a fine-tuned run" in (said := capsys.readouterr().err) and "predict" in said
