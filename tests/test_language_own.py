"""A run asked of its own data: what it was trained on is told apart from what it has not seen."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

import seqsci
from seqsci.runs import Run
from seqsci.training.language.embed import embed
from seqsci.training.language.score import score
from seqsci.training.language.speaker import Speaker

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


def test_other_data_has_no_split_of_the_run(spoken: Runs, tmp_path: Path):
    answer = seqsci.score(spoken("dna"), ["ACGT", "GGTA"], output=tmp_path / "t.csv", quiet=True)
    assert "split" not in answer.table.columns and len(answer.summary["sentences"]) == 1
