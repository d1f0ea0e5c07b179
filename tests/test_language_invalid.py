"""Records that cannot be read: the verbs that train nothing skip them by a flag of their own, and say so."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import seqsci
from seqsci.cli import main

Runs = Callable[[str], Path]


def refused(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_invalid_records_are_skipped_where_that_is_asked_for(spoken: Runs, tmp_path: Path, capsys):
    run, file = spoken("dna"), tmp_path / "some.fa"
    file.write_text(">a\nACGT\n>b\nAC!T\n>c\nGGTA\n")
    for verb in ("score", "embed", "predict"):
        capsys.readouterr()
        said = refused(capsys, verb, str(run), "--data", str(file))
        assert "--invalid skip" in said and "data.invalid" not in said
        output = tmp_path / f"{verb}.parquet"
        with pytest.raises(SystemExit) as ended:
            main([verb, str(run), "--data", str(file), "--invalid", "skip", "--output", str(output)])
        assert ended.value.code == 0 and pl.read_parquet(output)["id"].to_list() == ["a", "c"]
    assert "--invalid skip" in refused(capsys, "generate", str(run), "--context", str(file))
    told = seqsci.generate(run, count=2, context=str(file), invalid="skip", output=tmp_path / "g.csv", quiet=True)
    assert told.summary["context"]["records"] == 2
    with pytest.raises(seqsci.SeqsciError, match="^invalid: 'maybe' is neither"):
        seqsci.score(run, ["ACGT"], invalid="maybe", quiet=True)


def test_a_dotted_flag_is_refused_by_its_name_where_no_recipe_is_read(capsys):
    said = refused(capsys, "score", "run", "--data.invalid", "skip")
    assert "--data.invalid: `seqsci score` takes no fields of a recipe; take --invalid" in said
    assert "--train.lr: `seqsci generate`" in refused(capsys, "generate", "run", "--train.lr=1")
