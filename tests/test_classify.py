"""Classification from light curves to a scored run and on to new objects, by command and from Python."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import seqsci
from seqsci.api import open_run, plan, start
from seqsci.cli import main
from seqsci.domains import photometry
from seqsci.domains.photometry.sequences import observed
from seqsci.domains.photometry.simulate import simulate
from seqsci.errors import SeqsciError
from seqsci.metrics import flat_log_loss
from seqsci.recipe import build, read
from seqsci.training.classify import prepare

TINY = {
    "data.count": 280, "data.least": 5, "data.input": "direct", "data.features": False, "data.context": 32, "model.width": 16, "model.heads": 2, "model.layers": 1,
    "model.feedforward": 16, "train.epochs": 2, "train.batch": 32, "evaluate.resamples": 200,
    "evaluate.baselines": ["prior"], "evaluate.days": [2, 16],
}  # fmt: skip
FRAME = {k: v for k, v in TINY.items() if k != "data.count"}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> seqsci.Result:
    settings = {**TINY, "evaluate.baselines": ["prior", "boosting", "fcn"], "model.width": 32}
    return seqsci.classify(settings=settings, runs=tmp_path_factory.mktemp("runs"), quiet=True)


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with curves.csv and objects.csv in columns of their own, as a user has them."""
    folder = tmp_path_factory.mktemp("survey")
    curves = simulate(1, 210)
    curves.observations.rename({"time": "mjd", "band": "filter", "flux_error": "fluxerr"}).write_csv(
        folder / "curves.csv"
    )
    objects = curves.objects.select("object_id", kind=pl.col("label").replace({"90": "Ia"}), redshift="redshift")
    objects.write_csv(folder / "objects.csv")
    return folder


def test_the_run_folder_holds_what_it_promises(result: seqsci.Result):
    metrics = result.metrics
    assert metrics["objects"] == {"train": 196, "val": 42, "test": 42}
    assert len(metrics["data"]["classes"]) == 14 and metrics["data"]["simulated"]
    assert metrics["classes"]["90"]["name"] == "SN Ia"
    assert set(metrics["baselines"]) == {"prior", "boosting", "fcn"}
    assert np.isclose(metrics["baselines"]["prior"]["flat_log_loss"], np.log(14))
    low, high = metrics["test"]["interval"]
    assert low < metrics["test"]["flat_log_loss"] < high
    assert metrics["open_set"]["objects"] == 80 and set(metrics["open_set"]["by_method"]) == {"t2", "boosting", "fcn"}
    assert metrics["early"]["days"] == [2, 16]
    for name in ("recipe.yaml", "model.safetensors", "predictions.parquet", "report.html", "log.jsonl", "data.json"):
        assert (result.folder / name).is_file(), name
    assert not (result.folder / "resume.ckpt").exists()


def test_scores_follow_from_the_predictions(result: seqsci.Result):
    table = pl.read_parquet(result.folder / "predictions.parquet")
    classes = result.metrics["data"]["classes"]
    p = table.select(f"p_{name}" for name in classes).to_numpy()
    truth = np.array([classes.index(label) for label in table["label"]])
    assert np.allclose(p.sum(1), 1)
    assert np.isclose(flat_log_loss(p, truth), result.metrics["test"]["flat_log_loss"])
    assert table["predicted"].to_list() == [classes[i] for i in p.argmax(1)]
    assert np.allclose(table["novelty"], 1 - p.max(1))


def test_no_object_is_lost_silently(result: seqsci.Result):
    counts = result.metrics["data"]["counts"]
    lost = sum(n for name, n in counts.items() if name.startswith("objects: "))
    assert counts["objects in"] - lost == counts["objects out"] == sum(result.metrics["objects"].values())


def test_predicting_the_test_objects_again_gives_the_same(result: seqsci.Result):
    before = pl.read_parquet(result.folder / "predictions.parquet")
    again = result.predict().filter(pl.col("object_id").is_in(before["object_id"].implode()))
    both = before.join(again, on="object_id", suffix="_again")
    assert len(both) == len(before)
    for name in result.metrics["data"]["classes"]:
        assert np.allclose(both[f"p_{name}"], both[f"p_{name}_again"], atol=1e-5)


def test_the_command_on_own_files_and_on_new_objects(
    survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.chdir(tmp_path)
    flags = [f"--{path}={value if isinstance(value, str) else json.dumps(value)}" for path, value in FRAME.items()]
    files = ["--data", str(survey / "curves.csv"), "--objects", str(survey / "objects.csv"), "--label", "kind"]
    with pytest.raises(SystemExit) as end:
        main(["classify", *files, *flags])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert "t2 is better than prior" in said or "no clear difference between t2 and prior" in said
    assert "simulated" not in said.split("report:")[0]  # the file does not say what it is
    (run,) = (tmp_path / "runs").iterdir()
    recipe = read(str(run / "recipe.yaml"))
    assert Path(recipe["data"]["name"]).is_absolute() and Path(recipe["data"]["objects"]).is_absolute()
    new = pl.read_csv(survey / "curves.csv", schema_overrides={"object_id": pl.String})
    some = new["object_id"].unique(maintain_order=True).head(5)
    new.filter(pl.col("object_id").is_in(some.implode())).write_csv("new.csv")
    with pytest.raises(SystemExit) as end:
        main(["predict", str(run), "--data", "new.csv", "--output", "classes.csv"])
    assert end.value.code == 0
    assert "classes.csv: 5 objects" in capsys.readouterr().out
    table = pl.read_csv("classes.csv", schema_overrides={"object_id": pl.String})
    assert table["object_id"].to_list() == some.to_list() and "p_Ia" in table.columns


def test_a_large_file_is_streamed_to_the_same_probabilities(
    result: seqsci.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from seqsci.training.classify import predict as room

    curves = simulate(5, 40)
    curves.observations.write_csv(tmp_path / "new.csv")
    curves.objects.select("object_id", "redshift", "redshift_error").write_csv(tmp_path / "objects.csv")
    paths = str(tmp_path / "new.csv"), str(tmp_path / "objects.csv")
    whole, said = [], []
    once = result.predict(*paths, tell=whole.append)
    monkeypatch.setattr(sys.modules[room.__module__], "LARGE", 0)
    monkeypatch.setattr(sys.modules[room.__module__], "PIECE", 7)
    streamed = result.predict(*paths, tell=said.append)
    assert once["object_id"].equals(streamed["object_id"]) and len(once) == 40
    for name in result.metrics["data"]["classes"]:
        assert np.allclose(once[f"p_{name}"], streamed[f"p_{name}"], atol=1e-6)
    assert any("zero point" in note for note in whole) and any("zero point" in note for note in said)


def test_what_is_dropped_of_new_data_is_told(result: seqsci.Result):
    curves = simulate(6, 20)
    one = curves.objects["object_id"][0]
    first = pl.col("object_id").is_first_distinct()
    few = curves.observations.filter((pl.col("object_id") != one) | first)
    said: list[str] = []
    assert len(result.predict(few, tell=said.append)) == 19
    assert "objects: fewer than 2 observations: 1 dropped" in said


def test_frames_of_any_kind(tmp_path: Path, survey: Path):
    observations = pd.read_csv(survey / "curves.csv", dtype={"object_id": str})
    objects = pd.read_csv(survey / "objects.csv", dtype={"object_id": str, "kind": str})
    model = seqsci.Classifier(label="kind", settings=FRAME, runs=tmp_path, seed=3)
    assert model.fit(observations, objects) is model
    assert "Ia" in model.classes_
    found = model.predict_proba(observations)
    assert isinstance(found, pd.DataFrame) and len(found) == len(objects)
    assert np.allclose(found.drop(columns="object_id").sum(axis=1), 1)
    assert isinstance(model.predict(pl.from_pandas(observations)), pl.DataFrame)
    assert -np.log(14) - 1 < model.score(observations, objects) < 0


def test_the_same_seed_repeats_and_the_recipe_of_a_run_too(tmp_path: Path):
    one = seqsci.classify(settings={**TINY, "train.thin": 0.3, "train.cut": 0.3}, runs=tmp_path, quiet=True)
    two = seqsci.classify(recipe=str(one.folder / "recipe.yaml"), runs=tmp_path, quiet=True)
    assert one.metrics["test"] == two.metrics["test"] and one.folder != two.folder


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path: Path):
    settings = {**TINY, "train.epochs": 3, "train.thin": 0.3, "train.cut": 0.3, "train.save_minutes": 0}
    whole = seqsci.classify(settings=settings, runs=tmp_path / "a", quiet=True)
    run = start(plan("classify", settings=settings)[0], tmp_path / "b")
    code = (
        "import os, signal, sys\nfrom seqsci.api import Run, finish\nfrom seqsci.training.callbacks import Narrate\n"
        "end = Narrate.on_train_batch_end\n"
        "def stop(self, trainer, *rest):\n"
        "    end(self, trainer, *rest)\n"
        "    if trainer.global_step == 10: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Narrate.on_train_batch_end = stop\nfinish(Run.open(sys.argv[1]), quiet=True)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(run.folder)]).returncode == -9
    assert run.resume_point.is_file()
    resumed = seqsci.api.finish(run, quiet=True)
    assert resumed.metrics["test"] == whole.metrics["test"]


def test_every_encoder_classifies(tmp_path: Path):
    small = {**FRAME, "data.count": 140, "train.epochs": 1}
    found = seqsci.classify(model="informer", settings=small, runs=tmp_path, quiet=True)
    assert found.metrics["model"] == "informer"
    none = {k: v for k, v in small.items() if k not in ("model.heads", "model.layers", "model.feedforward")}
    assert seqsci.classify(model="fcn", settings=none, runs=tmp_path, quiet=True).metrics["model"] == "fcn"


def test_gaussian_processes_of_the_published_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SEQSCI_CACHE", str(tmp_path / "cache"))
    settings = {"data.count": 140, "data.least": 5, "train.epochs": 1, "evaluate.baselines": ["prior"], "evaluate.days": [8],
                "data.steps": 20}  # fmt: skip
    found = seqsci.classify(recipe="classify/t2-paper", settings=settings, runs=tmp_path, quiet=True)
    assert found.metrics["cost"]["parameters"] == 13390
    assert list((tmp_path / "cache/gp").glob("gp-*.parquet"))
    assert (found.folder / "grid.parquet").is_file()
    assert len(found.predict()) == 140


def test_a_survey_without_u_and_y(tmp_path: Path):
    curves = simulate(0, 140)
    some = curves.observations.filter(pl.col("band").is_in(["g", "r", "i", "z"]))
    settings = {**FRAME, "train.epochs": 1, "evaluate.baselines": ["boosting"], "data.features": True}
    labelled = some.join(curves.objects.select("object_id", "label"), on="object_id")
    found = seqsci.classify(labelled, settings=settings, runs=tmp_path, quiet=True)
    assert found.metrics["data"]["bands"] == ["g", "r", "i", "z"] and "boosting" in found.metrics["baselines"]


def test_a_redshift_that_is_not_told_changes_nothing():
    settings = {**TINY, "data.redshift": False}
    recipe, _ = plan("classify", settings=settings)
    prepared = prepare(recipe)
    assert prepared.shape.static == 0 and prepared.shape.times == 1
    curves = prepared.curves
    blind = curves.objects.with_columns(redshift=pl.lit(0.3), redshift_error=pl.lit(0.1))
    changed = type(curves)(**{**vars(curves), "objects": blind})
    rows = [prepared.frame.rows(observed(c, most=32, redshift=False), [None] * 280) for c in (curves, changed)]
    assert rows[0].values.equal(rows[1].values) and rows[0].static.equal(rows[1].static)


def test_nothing_looks_ahead_of_a_cut():
    """What stands in a curve after a moment changes no row, time or static feature before it."""
    curves = simulate(2, 28)
    first = photometry.first_and_last_detection(curves)
    table = curves.observations.join(first, on="object_id")
    late = pl.col("time") > pl.col("first") + 8
    changed = table.with_columns(flux=pl.when(late).then(pl.col("flux") * 100 + 1e4).otherwise("flux"))
    other = type(curves)(**{**vars(curves), "observations": changed.select(curves.observations.columns)})
    a, b = (observed(c.until(8), most=64) for c in (curves, other))
    assert np.array_equal(a.values, b.values) and np.array_equal(a.times, b.times)
    assert a.times.max() <= 8 + 1e-9


def test_a_shift_in_redshift_and_classes_that_are_too_small():
    recipe, _ = plan("classify", settings={**TINY, "data.count": 560, "data.least": 10, "data.split": "redshift<0.6"})
    prepared = prepare(recipe)
    z = prepared.curves.objects["redshift"]
    assert z.gather(prepared.splits["test"]).min() >= 0.6
    rest = np.concatenate([prepared.splits["train"], prepared.splits["val"]])
    assert z.gather(rest).max() < 0.6
    # Of superluminous supernovae too few are near.
    assert "95" not in prepared.frame.classes
    assert any("of classes with fewer than 10" in note and "95 (40)" in note for note in prepared.notes)
    assert any("a shift" in note for note in prepared.notes)


def test_small_classes_are_left_out_and_said(tmp_path: Path):
    curves = simulate(0, 280)
    few = curves.objects.with_columns(label=pl.when(pl.int_range(pl.len()) < 4).then(pl.lit("odd")).otherwise("label"))
    observations = curves.observations.join(few.select("object_id", "label", "redshift"), on="object_id")
    recipe, _ = plan("classify", observations, settings=FRAME)
    prepared = prepare(recipe, observations)
    assert "odd" not in prepared.frame.classes and len(prepared.curves.objects) == 276
    assert any("fewer than 5: 4 left out: odd (4)" in note for note in prepared.notes)


def test_a_margin_of_nothing_keeps_the_detections(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("SEQSCI_CACHE", str(tmp_path))
    for settings in ({**TINY, "data.margin": 0}, {"data.count": 280, "data.margin": 0, "data.steps": 5}):
        prepared = prepare(plan("classify", settings=settings)[0])
        assert len(prepared.rows) == 280 and bool(prepared.rows.values.isfinite().all())


def test_what_new_data_lack_is_told(result: seqsci.Result):
    curves = simulate(7, 20)
    said: list[str] = []
    result.predict(curves.observations.filter(pl.col("band").is_in(["g", "r"])), tell=said.append)
    assert "no row of passband u, i, z, y, which the model was trained with" in said
    assert any(note.startswith("no object has a redshift") for note in said)
    with pytest.raises(SeqsciError, match="no object is left to classify"):
        result.predict(curves.observations.filter(pl.col("object_id").is_first_distinct()))


def test_a_frame_with_a_file_of_objects(survey: Path, tmp_path: Path):
    observations = pl.read_csv(survey / "curves.csv", schema_overrides={"object_id": pl.String})
    path = str(survey / "objects.csv")
    found = seqsci.classify(observations, objects=path, label="kind", settings=FRAME, runs=tmp_path, quiet=True)
    assert "Ia" in found.metrics["data"]["classes"]
    strange = pl.read_csv(path).with_columns(object_id=pl.lit("x") + pl.col("object_id").cast(pl.String))
    with pytest.raises(SeqsciError, match="none of its objects stands among the observations"):
        prepare(plan("classify", "frame", settings=FRAME)[0], (observations, strange))


def test_objects_without_a_label_are_counted_aloud():
    curves = simulate(0, 280)
    some = curves.objects.with_columns(label=pl.when(pl.int_range(pl.len()) >= 8).then("label"))
    prepared = prepare(plan("classify", "frame", settings=FRAME)[0], (curves.observations, some))
    assert "objects: no label: 8 left out" in prepared.notes


def test_two_sweeps_in_one_session(tmp_path: Path):
    """The function must not be hidden by a module of its name."""
    import seqsci.tuning

    assert callable(seqsci.tune) and callable(seqsci.classify)


REFUSED = {
    "classify --data nowhere.csv": "neither a file nor a data set",
    "classify --data etth1": "it has no light curves",
    "classify --model t3": "did you mean 't2'",
    "classify --recipe classify/t2-direct --model.embedding published": "add data.input gp",
    "classify --data.input gp --train.cut 0.5": "train.cut",
    "classify --data.split 1,2,3": "data.split",
    "classify --data.split redshift<x": "write it as redshift<0.4",
    "classify --evaluate.baselines [boost]": "no baseline 'boost'",
    "classify --recipe forecast/t2": "it is a recipe for 'forecast'",
    "classify --data.survey sdss": "data.survey",
    "classify --evaluate.days inf": "evaluate.days",
    "classify --data.count 20": "at least 20 objects",
    "classify --train.cut 0.5 --data.input direct": "the measures of data.features",
    "forecast --recipe classify/t2": "it is a recipe for 'classify'",
}


@pytest.mark.parametrize("line", REFUSED)
def test_bad_input_gets_one_sentence(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(line.split())
    assert end.value.code == 2
    sentence = capsys.readouterr().err.strip().splitlines()[-1]
    assert sentence.startswith("seqsci: ") and REFUSED[line] in sentence
    assert not list(tmp_path.glob("runs/*"))


def test_a_table_without_labels_says_how_to_give_them(tmp_path: Path):
    observations = simulate(0, 28).observations
    with pytest.raises(SeqsciError, match=r"data\.objects"):
        prepare(plan("classify", observations, settings=FRAME)[0], observations)


def test_units_are_not_mixed_silently(result: seqsci.Result, tmp_path: Path):
    curves = simulate(4, 14)
    path = tmp_path / "raw.csv"
    curves.observations.drop("detected").rename({"band": "filter"}).write_csv(path)
    run = open_run(result.folder).run
    recipe = build({**read(str(run.folder / "recipe.yaml"))}).with_({"data.mw_corrected": False})
    (run.folder / "recipe.yaml").write_text(recipe.to_yaml())
    try:
        with pytest.raises(SeqsciError, match="mw_corrected is False, the model was trained on True"):
            open_run(run.folder).predict(str(path))
    finally:
        run.write("recipe.yaml", recipe.with_({"data.mw_corrected": None}).to_yaml())


def test_a_sweep_over_a_classifier(tmp_path: Path):
    settings = {**TINY, "search": {"train.lr": {"log": [1e-3, 1e-2]}}}
    found = seqsci.tune("classify/t2", trials=2, settings=settings, runs=tmp_path, quiet=True)
    assert found.best.is_file() and len(found.leaderboard) == 2
    assert not list(found.folder.glob("trial-*/metrics.json"))


def test_objects_made_from_one_stay_in_one_split(tmp_path: Path):
    curves = simulate(0, 280)
    parents = curves.objects.with_columns(group=pl.col("label") + "-" + (pl.int_range(pl.len()) // 60).cast(pl.String))
    prepared = prepare(plan("classify", "frame", settings=FRAME)[0], (curves.observations, parents))
    groups = prepared.curves.objects["group"]
    sides = [set(groups.gather(part)) for part in prepared.splits.values()]
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
