"""Fine-tuning: simulated molecules and promoters, from random weights and from a pretrained run, and on to new records."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

import seqsci
from seqsci import metrics as measures
from seqsci.api import plan, start
from seqsci.cli import main
from seqsci.data.records import Records
from seqsci.domains import genomics
from seqsci.domains import molecules as molecule_science
from seqsci.errors import SeqsciError
from seqsci.models.tabular import Tabular
from seqsci.recipe import FinetuneRecipe, as_kind
from seqsci.training.finetune import prepare
from seqsci.training.finetune.pretrained import load_start, starting
from seqsci.training.finetune.rows import Labelled
from seqsci.training.finetune.target import decide
from seqsci.training.fit import build

MODEL = {"model.width": 16, "model.heads": 2, "model.layers": 1, "data.context": 64}
SHORT = {"train.epochs": 1, "train.batch": 32, "evaluate.resamples": 200}
NONE: dict[str, Any] = {"evaluate.baselines": []}
TINY = {**MODEL, **SHORT, "data.count": 160}
LEARNT = {"data.count": 160, **SHORT}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def pretrained(folder: Path) -> seqsci.Result:
    own = {**TINY, **NONE, "model.direction": "both", "model.dropout": 0.1}
    return seqsci.pretrain("demo-promoters", objective="masked", settings=own, runs=folder, quiet=True)


@pytest.fixture(scope="module")
def result(folder: Path, pretrained: seqsci.Result) -> seqsci.Result:
    """Promoters or not, from a pretrained run, beside all baselines."""
    return seqsci.finetune(pretrained, "demo-promoters", settings=LEARNT, runs=folder, quiet=True)


@pytest.fixture(scope="module")
def numbers(folder: Path) -> seqsci.Result:
    """A number of each molecule, from random weights."""
    return seqsci.finetune(data=molecules(120), label="worth", domain="molecules", settings={**MODEL, **SHORT}, runs=folder, quiet=True)  # fmt: skip


def molecules(count: int) -> pl.DataFrame:
    """Simulated, with a number around 10."""
    from seqsci.domains.molecules import simulate

    return simulate(0, count).select("smiles", worth=10 + pl.col("logp"))


def test_the_run_folder_holds_what_it_promises(result: seqsci.Result):
    found = result.metrics
    assert found["kind"] == "classes" and found["main"] == "log_loss" and len(found["classes"]) == 2
    assert list(found["baselines"]) == ["mean", "features", "scratch"]
    assert sum(found["records"].values()) == 160 and found["data"]["simulated"]
    low, high = found["test"]["interval"]
    assert low <= found["test"]["log_loss"] <= high
    for name in (
        "recipe.yaml",
        "model.safetensors",
        "predictions.parquet",
        "worst.parquet",
        "report.html",
        "log.jsonl",
    ):
        assert (result.folder / name).is_file(), name
    assert not result.run.resume_point.exists()


def test_scores_and_differences_follow_from_the_predictions(result: seqsci.Result):
    table = pl.read_parquet(result.folder / "predictions.parquet")
    classes = list(result.metrics["classes"])
    p = table.select(f"p_{name}" for name in classes).to_numpy()
    y = np.array([classes.index(label) for label in table["label"]])
    found = result.metrics["test"]
    assert np.isclose(found["log_loss"], log_loss(y, p, labels=[0, 1]))
    assert np.isclose(found["roc_auc"], roc_auc_score(y, p[:, 1]))
    assert np.isclose(found["average_precision"], average_precision_score(y, p[:, 1]))
    gap = result.metrics["baselines"]["features"]
    assert np.isclose(gap["difference"], found["log_loss"] - gap["log_loss"])
    assert np.isclose(gap["differences"]["roc_auc"]["difference"], found["roc_auc"] - gap["roc_auc"])
    share = pl.read_parquet(result.folder / "predictions.parquet")["label"]
    mean = result.metrics["baselines"]["mean"]
    assert np.isclose(mean["accuracy"], max(share.value_counts()["count"]) / len(share), atol=0.3)
    assert np.isclose(mean["roc_auc"], 0.5)


def test_what_is_taken_over_from_pretraining(result: seqsci.Result, pretrained: seqsci.Result):
    own, before = as_kind(result.recipe, FinetuneRecipe), pretrained.recipe
    assert own.model == before.model and own.data.context == before.data.context and own.data.domain == "genomics"
    assert own.train.start == str(pretrained.folder.resolve())
    prepared = prepare(own)
    network: Any = build("finetune", own.model, prepared.shape)
    tensors, _ = pretrained.run.load_weights()
    assert not np.array_equal(network.language.embedding.weight.detach(), tensors["network.embedding.weight"])
    load_start(network, own.train.start, "genomics")
    state = network.language.state_dict()
    for name in (name.removeprefix("network.") for name in tensors):
        if name.startswith(("embedding.", "encoder.")):
            np.testing.assert_array_equal(state[name], tensors[f"network.{name}"])


def test_only_the_head_of_a_frozen_model_learns(pretrained: seqsci.Result, folder: Path):
    frozen = {**LEARNT, **NONE, "train.frozen": True, "train.epochs": 2}
    found = seqsci.finetune(pretrained, "demo-promoters", settings=frozen, runs=folder, quiet=True)
    before, after = pretrained.run.load_weights()[0], found.run.load_weights()[0]
    for name, tensor in before.items():
        if name.startswith(("network.embedding.", "network.encoder.")):
            np.testing.assert_array_equal(after[name.replace("network.", "network.language.")], tensor)
    with pytest.raises(SeqsciError, match=r"train\.frozen: there is nothing learnt"):
        plan("finetune", settings={"train.frozen": True})


def test_predictions_of_new_records(result: seqsci.Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    again = result.predict()
    kept = pl.read_parquet(result.folder / "predictions.parquet")
    joined = kept.join(again, on="id", suffix="_again")
    assert len(joined) == len(kept)
    for name in result.metrics["classes"]:
        np.testing.assert_allclose(joined[f"p_{name}"], joined[f"p_{name}_again"], atol=1e-6)
    file = tmp_path / "new.fa"
    file.write_text(">a\nACGTTGCAACGTTGCATTGACA\n>b\nTTATAATGCGCGTATAAT\n")
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(result.folder), "--data", str(file), "--output", str(tmp_path / "said.csv")])
    assert ended.value.code == 0 and "2 records" in capsys.readouterr().out
    table = pl.read_csv(tmp_path / "said.csv")
    assert table["id"].to_list() == ["a", "b"]
    assert np.allclose(table.select(pl.sum_horizontal(pl.col("^p_.*$"))).to_series(), 1)
    other = tmp_path / "new.smi"
    other.write_text("CCO\nc1ccccc1O\nCC(=O)Nc1ccc(O)cc1\n")
    with pytest.raises(SeqsciError, match="reads genomics"):
        result.predict(other)


def test_a_number_is_told_in_its_units(numbers: seqsci.Result):
    found = numbers.metrics
    assert found["kind"] == "number" and found["main"] == "rmse" and found["classes"] == {}
    assert list(found["baselines"]) == ["mean", "features"]  # scratch is what the model itself is
    table = pl.read_parquet(numbers.folder / "predictions.parquet")
    error = (table["predicted"] - table["label"]).to_numpy()
    assert np.isclose(found["test"]["rmse"], np.sqrt(np.square(error).mean()))
    assert np.isclose(found["test"]["mae"], np.abs(error).mean())
    assert found["baselines"]["features"]["rmse"] < found["baselines"]["mean"]["rmse"]
    said = numbers.predict(["CCO", "CCN"])
    assert said.columns == ["id", "predicted"] and (said["predicted"] > 0).all()


def test_reports(result: seqsci.Result, numbers: seqsci.Result, check_report: Any):
    page = check_report(result.run, ["scores", "confusion", "ranking", "reliability", "learning"])
    for text in ("simulated", "The worst mistakes", "scratch", "ROC-AUC"):
        assert text in page
    page = check_report(numbers.run, ["scores", "scatter", "formulas", "learning"])
    assert "RMSE" in page and "random weights" in page
    assert result.table["method"].to_list() == ["bioxlstm", "mean", "features", "scratch"]
    assert len(result.verdicts) == 3


def killed(run: Any, step: int) -> None:
    code = (
        "import os, signal, sys\nfrom seqsci.api import Run, finish\nfrom seqsci.training.callbacks import Narrate\n"
        "end = Narrate.on_train_batch_end\n"
        "def stop(self, trainer, *rest):\n"
        "    end(self, trainer, *rest)\n"
        f"    if trainer.global_step == {step}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Narrate.on_train_batch_end = stop\nfinish(Run.open(sys.argv[1]), quiet=True)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(run.folder)]).returncode == -9
    assert run.resume_point.is_file()


def test_a_killed_run_goes_on_to_the_same_bits_without_its_start(pretrained: seqsci.Result, tmp_path: Path):
    """With newly spelt records and dropout; the pretrained run is gone by then."""
    away = tmp_path / "away"
    shutil.copytree(pretrained.folder, away)
    settings = {**LEARNT, **NONE, "train.epochs": 2, "train.save_minutes": 0, "data.augment": True}
    changes = {**starting(away, "demo-promoters"), **settings}
    recipe = plan("finetune", "demo-promoters", settings=changes)[0]
    whole = seqsci.api.finish(start(recipe, tmp_path / "a"), quiet=True)
    run = start(recipe, tmp_path / "b")
    killed(run, 6)
    shutil.rmtree(away)
    assert seqsci.api.finish(run, quiet=True).metrics["test"] == whole.metrics["test"]
    with pytest.raises(SeqsciError, match="not a run folder"):
        seqsci.api.finish(start(recipe, tmp_path / "c"), quiet=True)


@pytest.mark.parametrize("strands", ["both", "shared"])
def test_both_strands_say_the_same(strands: str, tmp_path: Path):
    found = seqsci.finetune(
        data="demo-promoters", settings={**TINY, **NONE, "data.strands": strands}, runs=tmp_path, quiet=True
    )
    text = "ACGTTGCAACGTTGCATTGACATTTTATAATG"
    back = text[::-1].translate(str.maketrans("ACGT", "TGCA"))
    said = found.predict([text, back, text[:20]]).select("^p_.*$").to_numpy()
    np.testing.assert_allclose(said[0], said[1], atol=1e-5)
    assert np.abs(said[0] - said[2]).max() > 1e-5


def test_tuning(tmp_path: Path):
    search = {"search": {"train.lr": {"log": [1e-4, 1e-2]}}}
    found = seqsci.tune("finetune/bioxlstm", "demo-promoters", trials=2, settings={**TINY, **search}, runs=tmp_path, quiet=True)  # fmt: skip
    assert as_kind(found.recipe, FinetuneRecipe).train.lr != 1e-3


def test_tuning_of_a_pretrained_run(pretrained: seqsci.Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    flags = [text for path, value in LEARNT.items() for text in (f"--{path}", str(value))]
    words = ["tune", "finetune/bioxlstm", "--data", "demo-promoters", "--train.start", str(pretrained.folder)]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--trials", "2", "--runs", str(tmp_path), *flags])
    said = capsys.readouterr().out
    assert ended.value.code == 0 and "not searched, as it is given: model.layers" in said
    (best,) = tmp_path.glob("tune-*/best.yaml")
    own = as_kind(seqsci.recipe.build(seqsci.recipe.read(str(best))), FinetuneRecipe)
    assert own.train.start == str(pretrained.folder.resolve()) and own.data.context == 64
    given, taken = seqsci.recipe.as_tree(own)["model"], seqsci.recipe.as_tree(pretrained.recipe)["model"]
    assert {**given, "dropout": 0} == {**taken, "dropout": 0} and given["dropout"] != taken["dropout"]
    with pytest.raises(
        SeqsciError, match=r"is of the model bioxlstm, and the recipe of transformer; take .* finetune/"
    ):
        seqsci.tune("finetune/transformer", "demo-promoters", trials=1, settings={"train.start": pretrained.folder})


def test_a_landscape_is_asked_at_positions_that_are_new(tmp_path: Path):
    rng = np.random.default_rng(0)
    wild, worth = "".join(rng.choice(list("CDEFGHIKLMNPQRSTWY"), 40)), rng.normal(0, 1, 40)
    rows = [
        (f"{wild[:i]}{letter}{wild[i + 1 :]}", float(worth[i] + rng.normal(0, 0.1)))
        for i in range(40)
        for letter in "AVX"
    ]
    pl.DataFrame(rows, schema=["sequence", "label"], orient="row").write_csv(tmp_path / "mutants.csv")
    own = {**MODEL, **SHORT, "evaluate.baselines": ["mean", "features"]}
    said = {}
    for by in ("auto", "record"):
        found = seqsci.finetune(
            data=tmp_path / "mutants.csv", settings={**own, "data.split": by}, runs=tmp_path, quiet=True
        )
        said[by] = found.metrics["baselines"]["features"]["spearman"]
        assert any(f"by {'position' if by == 'auto' else 'record'}" in note for note in found.metrics["data"]["notes"])
        assert "spearman" in found.metrics["test"] and "Spearman" in found.report().read_text()
    # What is at a position tells it all; at a new one some is left by chance, as 40 positions have few kinds of residues.
    assert said["record"] > 0.8 and (said["auto"] is None or said["auto"] < said["record"] - 0.2)
    with pytest.raises(SeqsciError, match=r"120 records are 1 unit.* take position .*, mutations or record"):
        seqsci.finetune(data=tmp_path / "mutants.csv", settings={"data.split": "identity"}, runs=tmp_path, quiet=True)


def frame_of(texts: list[str], labels: list[Any], **more: Any) -> pl.DataFrame:
    return pl.DataFrame({"sequence": texts, "label": labels, **more}, strict=False)


def dna(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), 20)) for _ in range(count)]


def prepared(frame: pl.DataFrame, **changes: Any) -> Any:
    own = {"data.domain": "genomics", **{f"data.{key}": value for key, value in changes.items()}}
    return prepare(as_kind(plan("finetune", frame, settings=own)[0], FinetuneRecipe), frame)


def test_no_sequence_stands_in_two_splits_and_unlabelled_records_are_told():
    texts = dna(60)
    back = texts[0][::-1].translate(str.maketrans("ACGT", "TGCA"))
    split = ["train"] * 40 + ["val"] * 10 + ["test"] * 10 + ["test", "val"]
    labels = [*(["a", "b"] * 30), "a", "b"]
    labels[5] = None
    found = prepared(frame_of([*texts, back, texts[55]], labels, split=split))
    assert {name: len(rows) for name, rows in found.chosen.items()} == {"train": 38, "val": 10, "test": 11}
    assert 0 not in found.chosen["train"] and 61 not in found.chosen["val"]
    told = " ".join(found.notes)
    assert "1 record without a value of label left out" in told
    assert "1 record of train left out: in validation or test as well" in told
    assert "1 record of val left out: in test as well" in told


def test_long_records_are_read_whole():
    found = prepared(frame_of(dna(60), ["a", "b"] * 30), context=16)
    assert "60 records longer than the 16 tokens" in " ".join(found.notes)
    assert {batch.tokens.shape[1] for batch in found.rows("test").batches(4)} == {22}


def test_batches_hold_every_row_once_and_few_long_ones():
    texts = ["A" * size for size in (20_000, 30, 40_000, 10, 20, 25_000, 50)]
    rows = Labelled(Records(frame=pl.DataFrame({"id": list("abcdefg"), "sequence": texts})), np.arange(7), genomics)
    batches = list(rows.batches(3))
    assert sorted(place for batch in batches for place in batch.index.tolist()) == list(range(7))
    assert [len(batch) for batch in batches] == [3, 2, 1, 1]
    assert all(batch.tokens.numel() <= 1 << 16 for batch in batches)


def test_numbers_are_standardised_by_training_alone():
    values = np.arange(60.0) ** 2
    found = prepared(frame_of(dna(60), list(values)))
    train = values[found.chosen["train"]]
    assert found.target.kind == "number" and np.isclose(found.target.mean, train.mean())
    rows = found.rows("train")
    labels = np.concatenate([rows[i].label.numpy() for i in range(len(rows))])
    assert np.isclose(labels.mean(), 0, atol=1e-5) and np.isclose(labels.std(), 1, atol=1e-5)
    np.testing.assert_allclose(found.truth("test"), values[found.chosen["test"]])


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "one class": (lambda: frame_of(dna(40), ["a"] * 40), {}, "every record has the same label, a"),
    "no label": (lambda: pl.DataFrame({"sequence": dna(40)}), {}, "label"),
    "texts as numbers": (lambda: frame_of(dna(40), ["a", "b"] * 20), {"kind": "number"}, "holds texts such as"),
    "a rare class": (lambda: frame_of(dna(41), ["a", "b"] * 20 + ["c"]), {}, "no record of class c is left to"),
    "few numbers": (lambda: frame_of(dna(41), [1, 2] * 20 + [3]), {}, "have label predicted as a number by data.kind number"),
    "regions": (lambda: frame_of([t * 300 for t in dna(9)], ["a", "b", "a"] * 3), {"split": "region"}, "cuts records"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refusals_of_data(what: str):
    frame, changes, sentence = REFUSED[what]
    with pytest.raises(SeqsciError, match=sentence):
        prepared(frame(), **changes)


def test_refusals_of_a_start(pretrained: seqsci.Result, result: seqsci.Result, folder: Path):
    with pytest.raises(SeqsciError, match="demo-molecules is of molecules, and the model of .* reads genomics"):
        seqsci.finetune(pretrained, "demo-molecules", runs=folder)
    with pytest.raises(SeqsciError, match="a run of 'finetune'; fine-tuning begins with one of 'pretrain'"):
        seqsci.finetune(result, "demo-promoters", runs=folder)
    with pytest.raises(SeqsciError, match="brings its own, bioxlstm"):
        seqsci.finetune(pretrained, "demo-promoters", "transformer", runs=folder)
    other = {**LEARNT, **NONE, "model.width": 32}
    with pytest.raises(SeqsciError, match="is another one than this recipe's"):
        seqsci.finetune(pretrained, "demo-promoters", settings=other, runs=folder, quiet=True)


def test_the_command_line(pretrained: seqsci.Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    flags = [
        text for path, value in {**LEARNT, "evaluate.baselines": "mean"}.items() for text in (f"--{path}", str(value))
    ]
    with pytest.raises(SystemExit) as ended:
        main(["finetune", str(pretrained.folder), "--data", "demo-promoters", "--runs", str(tmp_path), *flags])
    told = capsys.readouterr().out
    assert ended.value.code == 0 and "log loss of model less this" in told and "SIMULATED" in told.upper()
    with pytest.raises(SystemExit) as ended:
        main(["settings", "finetune"])
    assert ended.value.code == 0 and "--train.start" in capsys.readouterr().out


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 4), st.integers(5, 40), st.integers(0, 10_000))
def test_statistics_at_even_weights_are_the_scores(classes: int, records: int, seed: int):
    rng = np.random.default_rng(seed)
    y = np.append(np.arange(classes), rng.integers(0, classes, records))
    p = rng.dirichlet(np.ones(classes), len(y)).round(2) + 1e-6
    p /= p.sum(1, keepdims=True)
    once = np.ones((1, len(y)))
    found = {name: float(one(once)[0]) for name, one in measures.class_statistics(p, y).items()}
    scores = measures.class_scores(p, y, tuple("abcd"[:classes]))
    for name, value in found.items():
        assert np.isclose(value, scores[name])
    # Records drawn twice weigh like records that stand twice.
    weights = rng.integers(1, 3, len(y))
    again = measures.class_statistics(np.repeat(p, weights, 0), np.repeat(y, weights))
    twice = measures.class_statistics(p, y)["roc_auc"](weights[None].astype(float))
    assert np.isclose(twice, again["roc_auc"](np.ones((1, weights.sum()))))


def test_intervals_cover_what_they_should():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        truth, noise = rng.normal(size=80), rng.normal(size=80)
        rmse = measures.number_statistics(truth + noise, truth)["rmse"]
        low, high = measures.interval(rmse, 80, resamples=300, seed=seed)
        hits += low < 1 < high
    assert 170 < hits < 200  # 95 % of 200, less what a percentile interval of 80 records loses


def test_a_paired_difference_is_narrower_than_two_intervals():
    rng = np.random.default_rng(1)
    truth, noise = rng.normal(size=200), rng.normal(size=200)
    one, two = (measures.number_statistics(truth + size * noise, truth) for size in (1.0, 1.1))
    low, high = measures.interval(measures.less(one["rmse"], two["rmse"]), 200, resamples=500, seed=0)
    wide = measures.interval(one["rmse"], 200, resamples=500, seed=0)
    assert high < 0 and high - low < (wide[1] - wide[0]) / 3
    assert np.isnan(measures.interval(one["rmse"], 1, resamples=5, seed=0)).all()


def test_features_find_what_is_linear_and_what_is_not():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 5))
    X[:, 4] = 7  # says nothing
    X[3, 1] = np.nan
    linear = Tabular().fit(X[:250], np.nan_to_num(X[:250]) @ np.arange(5.0), X[250:300], np.nan_to_num(X[250:300]) @ np.arange(5.0))  # fmt: skip
    assert linear.facts["model"] == "ridge regression"
    y = (np.nan_to_num(X[:, 0]) * np.nan_to_num(X[:, 2]) > 0).astype(np.int64)
    curved = Tabular(("a", "b")).fit(X[:250], y[:250], X[250:300], y[250:300])
    assert curved.facts["model"] == "boosting" and (curved.predict(X[300:]).argmax(1) == y[300:]).mean() > 0.8


def test_classes_are_named_and_ordered():
    labels = pl.Series([10.0, 2.0, 1.0])
    assert decide(labels, labels, "auto", "x", "").classes == ("1", "2", "10")
    many = pl.Series(np.arange(20.0))
    assert decide(many, many, "auto", "x", "").kind == "number"
    assert len(decide(many, many, "classes", "x", "").classes) == 20


def test_a_few_whole_numbers_can_be_regressed():
    """The domains give them as text, as they may be classes."""
    table = pl.DataFrame({"smiles": ["C", "CC", "CCO", "CCC"], "rating": [0, 4, 3, 0]})
    ratings = molecule_science.load(table, label="rating")[0].frame["label"]
    target = decide(ratings, ratings, "number", "rating", "")
    assert target.kind == "number" and target.mean == 1.75
    assert target.truth(ratings).tolist() == [0.0, 4.0, 3.0, 0.0]
    assert decide(ratings, ratings, "auto", "rating", "").classes == ("0", "3", "4")
    with pytest.raises(SeqsciError, match="holds texts such as 'b', no numbers"):
        decide(pl.Series(["1", "b", "2"]), ratings, "number", "x", "")
