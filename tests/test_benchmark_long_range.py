"""The long-range benchmark from its names to its page, in a size that trains in a second."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import seqsci
from seqsci.errors import SeqsciError
from seqsci.training.long_range import board, scales
from seqsci.training.long_range.scales import SCALES, full_name, plan

TINY = {
    "passkey": {"segments": 2, "length": 6},
    "recall": {"pairs": 2, "length": 6},
    "copying": {"symbols": 2, "gap": 6},
    "listops": {"least": 8, "most": 24, "depth": 5, "arguments": 4},
    "pathfinder": {"size": 12},
    "far-cause": {"length": 16, "distance": 8, "horizon": 4},
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, scale in SCALES.items():
        sizes = {"drawn": TINY, "batch": 4, "val": 6, "test": 12, "learnt": 30, "budget": 1500, "layers": 2, "heads": 2}
        monkeypatch.setitem(scales.SCALES, name, replace(scale, **sizes, segment=8))


def run(models: str, tasks: str, out: Path, **further) -> seqsci.Benchmark:
    further = {"steps": 2, "quiet": True, **further}
    return seqsci.benchmark_long_range(models.split(), tasks.split(), out=out, **further)


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    """A table that serves both file tasks: rows of class b are those that say "bb"."""
    folder = tmp_path_factory.mktemp("texts")
    rng = np.random.default_rng(0)
    labels = rng.permutation(["a", "b"] * 15)
    words = ["".join(rng.choice(list("xyz"), rng.integers(2, 9))) + 2 * mark for mark in labels]
    frame = pl.DataFrame({"text": words, "text1": words, "text2": words[::-1], "label": labels.tolist()})
    frame.write_csv(folder / "texts.csv")
    frame.write_parquet(folder / "texts.parquet")
    frame.drop("label").write_csv(folder / "bare.tsv", separator="\t")
    return folder


def test_every_kind_of_task_ends_in_a_table_and_a_page(tmp_path, texts):
    found = run(
        "transformer informer hmt/transformer",
        "passkey copying listops pathfinder far-cause text retrieval",
        tmp_path / "b",
        text=texts / "texts.csv",
        retrieval=str(texts / "texts.parquet"),
    )
    table = found.table
    encoders = table.filter("encoder")
    assert encoders.height == 3 * 7 and table.filter(~pl.col("encoder")).height == 2 * 7
    refused = encoders.filter(pl.col("why").is_not_null())
    assert refused.select("task", "method").rows() == [("passkey", "informer"), ("copying", "informer")]
    assert "no state at the token" in refused["why"][0]
    scored = encoders.filter(pl.col("why").is_null())
    assert scored["score"].is_finite().all() and (scored["low"] <= scored["score"]).all()
    assert (
        (scored["cpu_s"] > 0).all() and (scored["train_us_per_token"] > 0).all() and (scored["peak_rss_mb"] > 50).all()
    )
    sizes = scored["encoder_parameters"]
    assert sizes.min() > 500 and sizes.max() < 3500
    accuracy = scored.filter(measure="accuracy")["score"]
    assert accuracy.min() >= 0 and accuracy.max() <= 1
    chance = dict(table.select("task", "chance").rows())
    assert chance == {
        "passkey": 1 / 8, "copying": 1 / 8, "listops": 0.1, "pathfinder": 0.5, "text": 0.5, "retrieval": 0.5,
        "far-cause": pytest.approx(1.09),
    }  # fmt: skip
    assert table.filter(task="far-cause")["floor"].to_list() == [pytest.approx(0.09)] * 5
    assert pl.read_parquet(found.folder / "scores.parquet").equals(table)
    assert pl.read_csv(found.folder / "scores.csv").height == table.height
    page = found.report.read_text()
    assert "Pathfinder-like" in page and "published, Tay et al. 2020, not run here" in page and "36.37" in page
    assert len(re.findall("data:image/png;base64", page)) == 3
    assert sorted(path.stem for path in found.folder.glob("*.png")) == ["learning", "pathfinder", "scores"]
    text = found.markdown()
    assert "| informer | – | – | " in text and "Tay et al." not in text and "simulated data" not in text


def test_what_is_simulated_is_called_simulated(tmp_path):
    found = run("fcn", "recall", tmp_path, scale="published")
    assert "(simulated data)" in found.report.read_text() and "pathfinder" not in found.report.read_text()
    text = found.markdown()
    assert text.startswith("Long-range tasks, simulated data: scale published, 2 steps")
    assert "published, Tay et al. 2020, not run here" in text and "at chance" in text


def test_an_interrupted_benchmark_goes_on(tmp_path, monkeypatch):
    done, real = [], board.run_cell

    def stopping(task, model, *rest):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(model)
        return real(task, model, *rest)

    monkeypatch.setattr(board, "run_cell", stopping)
    with pytest.raises(KeyboardInterrupt):
        run("fcn t2", "passkey", tmp_path)
    (first,) = (tmp_path / "cells").glob("*.fcn.json")
    before = first.read_bytes()
    monkeypatch.setattr(board, "run_cell", lambda task, model, *rest: done.append(model) or real(task, model, *rest))
    found = run("fcn t2", "passkey", tmp_path)
    assert done == ["fcn", "t2"] and first.read_bytes() == before
    assert found.table.filter("encoder")["method"].to_list() == ["fcn", "t2"]
    run("transformer", "far-cause", tmp_path)
    assert done == ["fcn", "t2", "transformer"]
    assert "| fcn | " in found.markdown() and "not run" in found.markdown()
    with pytest.raises(SeqsciError, match=r"was made with steps 2, and 3 is asked for now; name another folder"):
        run("fcn t2", "passkey", tmp_path, steps=3)
    first.write_bytes(before.replace(b'"steps_done": 2', b'"steps_done": 7'))
    with pytest.raises(SeqsciError, match="of other sizes or steps"):
        run("fcn t2", "passkey", tmp_path)
    first.write_text("{")
    with pytest.raises(SeqsciError, match=r"fcn\.json: damaged; remove it"):
        run("fcn t2", "passkey", tmp_path)


def test_the_same_seed_gives_the_same_scores(tmp_path):
    one, two, other = (
        run("fcn", "far-cause", tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    first, second, third = (each.table["score"].to_list() for each in (one, two, other))
    assert first == second != third


def test_it_learns(tmp_path, monkeypatch):
    larger = replace(scales.SCALES["small"], batch=32, val=64, test=100, budget=12_000)
    monkeypatch.setitem(scales.SCALES, "small", larger)
    found = run("t2", "passkey", tmp_path, steps=120)
    assert found.table.filter("encoder")["score"][0] > 0.5


def test_names():
    known = plan()
    assert set(known.tasks) == set(TINY) and "hmt/bioxlstm" in known.models and "transformer" in known.models
    assert full_name("hmt/t2") == "hmt/t2" and plan(["hmt", "hmt/bioxlstm"]).models == ("hmt/bioxlstm",)
    for wrong, said in (
        (lambda: plan(["transfomer"]), "did you mean 'transformer'"),
        (lambda: plan(["t2/fcn"]), "put around no other"),
        (lambda: plan(["hmt/hmt"]), "itself put around an encoder"),
        (lambda: plan(tasks=["listop"]), "did you mean 'listops'"),
        (lambda: plan(tasks=["text"]), "name it with --text FILE"),
        (lambda: plan(scale="tiny"), "known: published, small"),
        (lambda: plan(steps=0), "at least 1"),
    ):
        with pytest.raises(SeqsciError, match=said):
            wrong()


def test_files_that_cannot_be_used(tmp_path, texts):
    def refused(said: str, content: str | bytes | None, task: str = "text") -> None:
        path = tmp_path / "own.csv"
        if content is not None:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(SeqsciError, match=said):
            run("fcn", task, tmp_path / "out", **{task: path})

    refused("there is no such file", None)
    refused("no column 'label', among text, text1, text2; --text reads", (texts / "bare.tsv").read_bytes())
    refused("no column 'text2'", "text1,label\n" + 12 * "x,1\n", "retrieval")
    refused("row 3, column text: nothing stands there", "text,label\nx,1\ny,2\n,1\n" + 12 * "x,1\n")
    refused("only '1' stands there", "text,label\n" + 12 * "x,1\n")
    refused("2 rows", "text,label\nx,1\ny,2\n")
    refused("row 2, column split: 'tset'", "text,label,split\n" + "x,1,train\nx,2,tset\n" + 9 * "x,1,val\n")
    refused("no row says test", "text,label,split\n" + 6 * "x,1,train\nx,2,val\n")
    refused("no whole Parquet file", (texts / "texts.parquet").read_bytes()[:-9])
    refused("neither text nor Parquet", "")


def test_a_file_that_has_changed(tmp_path, texts):
    own = tmp_path / "own.csv"
    own.write_bytes((texts / "texts.csv").read_bytes())
    run("fcn", "text", tmp_path / "out", text=own)
    own.write_text(own.read_text() + "more,more,more,a\n")
    with pytest.raises(SeqsciError, match=r"own\.csv: is not the file that"):
        run("fcn", "text", tmp_path / "out", text=own)


def test_the_command(tmp_path, capsys):
    from seqsci.cli import main

    line = f"benchmark long-range --model fcn --model informer --tasks recall --steps 2 --out {tmp_path}"
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    said = capsys.readouterr()
    assert ended.value.code == 0 and "| encoder | recall |" in said.out and f"report: {tmp_path}" in said.out
    assert "2/2 done" in said.err and "left" in said.err
    assert json.loads((tmp_path / "benchmark.json").read_text())["scale"] == "small"
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", "long-range", "--tasks", "listop"])
    assert ended.value.code == 2 and "did you mean 'listops'" in capsys.readouterr().err


def test_its_help_and_its_refusals_take_no_torch():
    code = (
        "import sys\nfrom seqsci.cli import main\n"
        "try: main(['benchmark', 'long-range', *sys.argv[1:]])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    for words in (["--help"], ["--model", "nothing"]):
        found = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
        assert found.stdout.splitlines()[-1] == "False", found.stderr
