"""The command line as a person meets it."""

import ast
import errno
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from seqsci.cli import dotted, main
from seqsci.cli.advice import with_flags
from seqsci.files import whole

HEAVY = ("torch", "pytorch_lightning", "polars", "sklearn", "rdkit", "Bio", "optuna", "matplotlib")
VERBS = (
    "forecast",
    "classify",
    "pretrain",
    "finetune",
    "score",
    "embed",
    "generate",
    "run",
    "resume",
    "predict",
    "report",
    "tune",
    "models",
    "recipes",
    "settings",
)


def seqsci(*arguments: str, cwd=None, timeout: int = 240) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seqsci", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=timeout)


@pytest.mark.parametrize("verb", ["", *VERBS, "data", "data list", "data fetch"])
def test_help_is_light(verb):
    code = (
        "import sys, time\n"
        "from seqsci.cli import main\n"
        f"try: main({[*verb.split(), '--help']!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not heavy, heavy\n"
        "print('CPU', time.process_time())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert "Usage: seqsci" in found.stdout


def test_import_is_light():
    code = f"import sys, seqsci; assert not [n for n in {HEAVY!r} if n in sys.modules]; seqsci.SeqsciError"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_dotted_flags():
    assert dotted(["--train.lr", "1e-4", "--model.layers=3", "--data", "x.csv"]) == [
        "--set",
        "train.lr=1e-4",
        "--set",
        "model.layers=3",
        "--data",
        "x.csv",
    ]


REFUSED = {
    "forecast --data eth1": "did you mean 'etth1'?",
    "forecast --model informr": "did you mean 'informer'?",
    "forecast --train.lrr 1": "train.lrr: no such setting; did you mean 'lr'?",
    "forecast --train.lr": "--train.lr needs a value",
    "forecast --train.lr fast": "train.lr: input should be a valid number",
    "forecast --train.lr 1 --train.lr 2": "--train.lr: stands twice, with 1 and 2; keep one of them",
    "forecast --seed 1 --train.seed 2": "--train.seed: stands twice",
    "forecast --data a.csv --data.name b.csv": "--data.name: stands twice, with b.csv and a.csv",
    "forecast --seed 4294967296": "train.seed: input should be less than 4294967296",
    "tune forecast/informer --target zone_nort --data.context 24 --model.label_length 12": "did you mean 'zone_north'?",
    "forecast --horizn 3": "Did you mean --horizon?",
    "forecast --data demo-electricity --horizon 2000": "rows are too few",
    "forecast --data demo-electricity --target zone_nort": "did you mean 'zone_north'?",
    "forecast --model.heads 7": "model.heads: 7 heads do not divide",
    "forecst": 'Did you mean "forecast"?',
    "predict nowhere": "nowhere: not a run folder",
    "predict nowhere --output x.txt": "must end in .csv or .parquet",
    "resume nowhere": "not a run folder",
    "run nowhere.yaml": "no such recipe file",
    "tune forecast/informr": "did you mean 'forecast/informer'?",
    "data info eth1": "did you mean 'etth1'?",
    "data check nowhere.csv": "nowhere.csv",
    "settings --model informr": "did you mean 'informer'?",
    "data fetch plasticc --part test_12": "plasticc has no part 'test_12'; did you mean 'test_",
    "forecast --data demo-photometry": "'demo-photometry' is a photometry set, not a table of regular series",
}


@pytest.mark.parametrize("line", REFUSED)
def test_bad_input_gets_one_sentence_and_status_2(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(line.split())
    assert end.value.code == 2
    (sentence,) = capsys.readouterr().err.strip().splitlines()
    assert sentence.startswith("seqsci: ") and REFUSED[line] in sentence
    assert list(tmp_path.iterdir()) == []


FLAGS = {
    "x.csv, row 2: 'C1' is no SMILES; correct it, or skip such rows with data.invalid skip": "(as a flag: --data.invalid)",
    "model.heads: 3 do not divide model.width 32; a smaller train.lr helps": "(as flags: --model.width, --train.lr)",
    "m.csv: no variants; name it with data.columns.mutant": "(as a flag: --data.columns.mutant)",
    "model.name: no model 'informr'": "",
    "data.csv, row 3: not a number; see data.parquet or /x/data.domain": "",
    "give it as --data.split 0.7,0.1,0.2": "",
}
"""Sentences, which name settings as recipes do, and what the command line adds."""


@pytest.mark.parametrize("sentence", FLAGS)
def test_a_refusal_ends_with_the_flags_of_what_it_advises(sentence):
    assert with_flags(sentence) == f"{sentence} {FLAGS[sentence]}".strip()


def test_flags_are_told_where_settings_can_be_given_and_are_not_known(tmp_path, capsys):
    (tmp_path / "x.fa").write_text(">a\nACGTACGTAC!T\n")
    file, runs = str(tmp_path / "x.fa"), str(tmp_path)
    sentence = told(capsys, "pretrain", "--data", file, "--runs", runs)
    assert sentence.endswith("skip such records with data.invalid skip (as a flag: --data.invalid)")
    assert "as a flag" not in told(capsys, "pretrain", "--data", file, "--runs", runs, "--data.context", "24")


def test_sentences_name_settings_without_dashes():
    """One way for recipes, Python and the command line, which alone adds the flags."""
    root, found = Path(__file__).parents[1] / "seqsci", []
    for path in root.rglob("*.py"):
        texts = [one.value for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.Constant)]
        dashed = [
            text for text in map(str, texts) if re.search(r"--(data|model|train|evaluate)\.|--domain|--label", text)
        ]
        if path.parent.name != "cli" and path.name != "matrix.py":  # which prints flags
            found += [(path.name, text) for text in dashed]
    assert found == []


def told(capsys, *arguments: str) -> str:
    """The one sentence of a refusal."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    (sentence,) = capsys.readouterr().err.strip().splitlines()
    return sentence


def test_a_place_that_cannot_be_written_is_told(tmp_path, capsys):
    (tmp_path / "file").touch()
    sentence = told(capsys, "forecast", "--runs", str(tmp_path / "file"))
    assert f"seqsci: {tmp_path / 'file'}" in sentence and "not a directory; choose another place" in sentence


def test_a_full_disk_is_told_with_the_file(tmp_path, capsys, monkeypatch):
    for problem in (OSError(errno.ENOSPC, "No space left"), ValueError("parquet: IO error: x (os error 28)")):

        def write(*_, problem=problem):
            with whole(tmp_path / "out.csv"):
                raise problem

        monkeypatch.setattr("seqsci.api.open_run", write)
        sentence = told(capsys, "report", "run")
        assert sentence.startswith(f"seqsci: {tmp_path / 'out.csv'}: no space left on device; make room")
        assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_is_left_in_peace():
    reader, end = os.pipe()
    os.close(reader)
    found = subprocess.run([sys.executable, "-m", "seqsci", "settings"], stdout=end, stderr=subprocess.PIPE)
    os.close(end)
    assert (found.returncode, found.stderr) == (141, b"")


def test_what_is_given_is_not_searched_and_it_is_said(capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(
        import_module("seqsci.tuning"), "tune", lambda recipe, **_: seen.append(recipe) or SimpleNamespace(summary=str)
    )
    with pytest.raises(SystemExit):
        main(["tune", "forecast/informer", "--model.heads", "2", "--horizon", "6"])
    assert "model.heads" not in seen[0].search and seen[0].data.horizon == 6
    printed = capsys.readouterr().out
    assert "not searched, as it is given: model.heads" in printed
    assert "informer on demo-electricity (simulated data), context 96, horizon 6" in printed


def test_the_road_of_an_analyst(tmp_path, tiny):
    found = seqsci("forecast", "--data", "demo-electricity", *tiny, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "informer on demo-electricity (simulated data)" in found.stdout
    assert "test split of demo-electricity, simulated data" in found.stdout
    for word in ("informer", "last", "seasonal_naive", "ridge", "report: "):
        assert word in found.stdout
    assert "epoch 1/1" in found.stderr
    (run,) = (tmp_path / "runs").iterdir()
    for name in ("forecast.csv", "forecast.parquet"):
        found = seqsci("predict", str(run), "--output", name, cwd=tmp_path)
        assert found.returncode == 0, found.stderr
    assert (
        pl.read_csv(tmp_path / "forecast.csv").height == 5 * 24 == pl.read_parquet(tmp_path / "forecast.parquet").height
    )
    (run / "report.html").unlink()
    found = seqsci("report", str(run), cwd=tmp_path)
    assert found.returncode == 0 and (run / "report.html").is_file()
    weights = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    found = seqsci("predict", str(run), cwd=tmp_path)
    assert found.returncode == 2 and "damaged" in found.stderr


def test_what_reading_found_out_is_printed(tmp_path, tiny):
    rows = [f"2024-01-{1 + h // 24:02d} {h % 24:02d}:00,{'' if h == 50 else h % 24}" for h in range(700)]
    text = "\n".join(["when,Gr\u00f6\u00dfe", *rows[:60], *rows[62:]])
    (tmp_path / "load.csv").write_text(text, encoding="latin-1")
    found = seqsci("forecast", "--data", "load.csv", cwd=tmp_path)
    assert found.returncode == 2 and "data.encoding latin-1" in found.stderr
    settings = ["--data.encoding", "latin-1", "--data.context", "24", "--model.label_length", "12"]
    found = seqsci("forecast", "--data", "load.csv", *settings, *tiny, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    for note in (
        "time column: 'when' (guessed)",
        "step: 1h (inferred)",
        "missing values: Gr\u00f6\u00dfe 1 (the first at 2024-01-03 02:00:00)",
        "absent steps of 1h: 2 (the first at 2024-01-03 12:00:00)",
    ):
        assert f"data: {note}" in found.stdout


LISTS = {
    "data list": "etth1",
    "data info etth1": "ETDataset",
    "data info plasticc": "test_11 (plasticc_test_lightcurves_11.csv.gz)",
    "data fetch demo-photometry": "nothing to fetch",
    "models": "informer",
    "recipes": "forecast/informer-etth1",
    "settings": "--train.lr",
}


@pytest.mark.parametrize("line", LISTS)
def test_lists(line, capsys):
    with pytest.raises(SystemExit) as end:
        main(line.split())
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert LISTS[line] in printed and "Annotated" not in printed
