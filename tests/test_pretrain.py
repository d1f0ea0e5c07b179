"""Pretraining from files to a scored run, by command and from Python."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import seqsci
from seqsci.api import finish, plan, start
from seqsci.cli import main
from seqsci.domains import genomics, molecules
from seqsci.errors import SeqsciError
from seqsci.recipe import build, read
from seqsci.runs import Run
from seqsci.training.fit import load_network
from seqsci.training.language.strands import strand_losses
from seqsci.training.pretrain import prepare

TINY = {
    "model.width": 16, "model.heads": 2, "model.layers": 1, "model.feedforward": 32, "train.epochs": 2,
    "train.batch": 32, "evaluate.resamples": 200, "evaluate.baselines": ["markov"],
}  # fmt: skip
MOLECULES = {**TINY, "data.count": 300}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> seqsci.Result:
    settings = {**MOLECULES, "evaluate.baselines": ["markov", "transformer"]}
    return seqsci.pretrain("demo-molecules", settings=settings, runs=tmp_path_factory.mktemp("runs"), quiet=True)


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two contigs in a FASTA file."""
    frame = genomics.simulate(0, 2)
    path = tmp_path_factory.mktemp("genome") / "own.fa"
    path.write_text("".join(f">{name}\n{text[:12000]}\n" for name, text in frame.select("id", "sequence").iter_rows()))
    return path


def test_the_run_folder_holds_what_it_promises(result: seqsci.Result):
    metrics = result.metrics
    assert metrics["data"]["simulated"] and metrics["data"]["domain"] == "molecules" and metrics["unit"] == "token"
    assert sum(metrics["data"]["pieces"].values()) == 300
    assert set(metrics["baselines"]) == {"markov", "transformer"}
    low, high = metrics["test"]["interval"]
    assert low < metrics["test"]["nats"] < high
    own, theirs = metrics["cost"]["parameters"], metrics["baselines"]["transformer"]["facts"]["parameters"]
    assert 0.5 < theirs / own < 2  # the widths of so small a network are far apart
    for name in ("recipe.yaml", "model.safetensors", "predictions.parquet", "report.html", "log.jsonl", "data.json"):
        assert (result.folder / name).is_file(), name
    assert not (result.folder / "resume.ckpt").exists()


def test_scores_follow_from_the_predictions(result: seqsci.Result):
    table = pl.read_parquet(result.folder / "predictions.parquet")
    assert np.isclose(table["nats"].sum() / table["tokens"].sum(), result.metrics["test"]["nats"])
    assert len(table) == result.metrics["data"]["pieces"]["test"]
    assert table["tokens"].sum() == result.metrics["test"]["tokens"]


def test_the_table_and_the_verdicts(result: seqsci.Result):
    table = result.table
    assert table["method"].to_list() == ["bioxlstm", "markov", "transformer"]
    assert np.allclose(table["perplexity"], np.exp(table["nats"])) and np.allclose(
        table["bits"], table["nats"] / np.log(2)
    )
    assert len(result.verdicts) == 2


def test_the_report(result: seqsci.Result, check_report):
    page = check_report(result.run, ["scores", "learning", "losses", "lengths", "composition"])
    assert "(simulated data)" in page and "nats per token" in page


def test_every_token_of_the_test_split_is_told_once():
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGT"), length)) for length in (40, 100, 17) * 20]
    recipe, _ = plan(
        "pretrain", settings={**TINY, "data.name": "demo-dna", "data.context": 16, "data.domain": "genomics"}
    )
    prepared = prepare(recipe, pl.DataFrame({"sequence": texts}))
    for split in ("train", "val", "test"):
        rows = prepared.rows(split)
        letters = sum(len(text) for text in prepared.corpus.texts(split))
        ended = sum(1 for row in rows.clean() if row.tokens[-1] == 2)
        assert sum(int(batch.target_mask.sum()) for batch in rows.batches(7)) == letters + ended
        assert ended == len(prepared.corpus.texts(split))
        assert max(len(row) for row in rows.clean()) <= 16


def test_training_rows_are_drawn_anew_but_only_by_their_number():
    settings = {**TINY, "data.name": "demo-molecules", "data.count": 100, "data.augment": True}
    prepared = prepare(plan("pretrain", settings=settings)[0])
    rows, count = prepared.rows("train", fresh=True), len(prepared.rows("train"))
    first, again, later = rows[3], rows[3], rows[3 + count]
    assert torch.equal(first.tokens, again.tokens)
    assert first.tokens.shape != later.tokens.shape or not torch.equal(first.tokens, later.tokens)
    texts = ["".join(molecules.TOKENIZER.symbols[t] for t in b.tokens[0, 1:]) for b in (first, later)]
    from rdkit import Chem

    assert len({Chem.CanonSmiles(text) for text in texts}) == 1


def test_the_command_on_a_genome(genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = [f"--{path}={value if isinstance(value, str) else json.dumps(value)}" for path, value in TINY.items()]
    with pytest.raises(SystemExit) as end:
        main(["pretrain", "--data", str(genome), *flags, "--data.context", "128"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert "recipe pretrain/bioxlstm-genomics" in said and "nats per base" in said
    (run,) = (tmp_path / "runs").iterdir()
    assert read(str(run / "recipe.yaml"))["data"]["domain"] == "genomics"
    assert "simulated" not in (run / "report.html").read_text()


@pytest.mark.parametrize(
    "settings",
    [
        {"train.objective": "masked", "model.direction": "both", "data.strands": "shared"},
        {"train.objective": "masked", "model.direction": "both", "data.strands": "both"},
        {"train.objective": "causal", "data.strands": "both"},
    ],
)
def test_both_strands(genome: Path, tmp_path: Path, settings):
    found = seqsci.pretrain(str(genome), settings={**TINY, "data.context": 64, **settings}, runs=tmp_path, quiet=True)
    assert 0.5 < found.metrics["test"]["nats"] < 3
    assert found.metrics["strands"] == settings["data.strands"]
    # Training reads one strand; what is told in the end, of validation as well, is of both.
    rows, network = prepare(found.recipe), load_network(found.recipe, prepare(found.recipe).shape, found.run)
    for split in ("val", "test"):
        one, both = (strand_losses(network, rows.rows(split), strands).sum(0) for strands in ("one", "both"))
        assert found.metrics[split]["nats"] == pytest.approx(both[0] / both[1], abs=1e-6)
        # What is shared says the same of both strands, so that their mean changes nothing.
        assert (abs(one[0] / one[1] - both[0] / both[1]) > 1e-4) == (settings["data.strands"] == "both")


def test_sets_of_molecules(tmp_path: Path):
    settings = {**MOLECULES, "data.sets": True, "data.context": 200, "data.split": "group"}
    found = seqsci.pretrain("demo-molecules", settings=settings, runs=tmp_path, quiet=True)
    assert found.metrics["test"]["rows"] < found.metrics["data"]["pieces"]["test"]


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path: Path):
    changes = {**MOLECULES, "data.augment": True, "train.save_minutes": 0, "model.dropout": 0.2}
    recipe, _ = plan("pretrain", "demo-molecules", settings=changes)
    straight = start(recipe, tmp_path)
    finish(straight, quiet=True)
    stopped = start(recipe, tmp_path)
    code = (
        "import os, sys\nfrom seqsci.api import finish\nfrom seqsci.runs import Run\n"
        "from seqsci.training.callbacks import Narrate\n"
        "def kill(self, trainer, *rest):\n"
        f"    if trainer.global_step == 10: os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
        "Narrate.on_train_batch_end = kill\n"
        f"finish(Run.open({str(stopped.folder)!r}), quiet=True)\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert stopped.resume_point.is_file()
    finish(Run.open(stopped.folder), quiet=True)
    ours, theirs = (run.load_weights()[0] for run in (straight, stopped))
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


REFUSED = {
    "strands of molecules": ({"data.strands": "both"}, "molecules have no other strand"),
    "causal and shared": ({"data.strands": "shared"}, "put train.objective to masked"),
    "gaps in molecules": ({"train.objective": "fim"}, "fim is for proteins, not for molecules"),
    "an unknown split": ({"data.split": "scafold"}, "not split by 'scafold'; take one of"),
    "no such data": ({"data.name": "demo-molecule"}, "did you mean 'demo-molecules'"),
    "another domain's data": ({"data.name": "etth1"}, "of the domain electricity"),
    "another domain": ({"data.domain": "proteins"}, "'demo-molecules' is of the domain molecules"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_a_sentence(case: str, tmp_path: Path):
    changes, sentence = REFUSED[case]
    with pytest.raises(SeqsciError, match=sentence):
        data = changes.get("data.name", "demo-molecules")
        recipe, _ = plan("pretrain", data, settings={"data.count": 60, **changes})
        finish(start(recipe, tmp_path), quiet=True)


def test_a_masked_model_needs_no_causal_encoder_and_a_causal_one_does(tmp_path: Path):
    with pytest.raises(SeqsciError, match="sees what it is to tell"):
        seqsci.pretrain(model="t2", objective="causal", settings={"data.count": 60}, runs=tmp_path, quiet=True)


def test_recipes_for_pretraining_build():
    from seqsci import catalog

    for name in catalog.recipes():
        if name.startswith("pretrain/"):
            assert build(read(name)).task == "pretrain"
