"""The whole road: data to run folder to forecast, in Python; the interrupted run; the estimator."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone

import seqsci
from seqsci.api import finish, plan, start
from seqsci.domains import electricity
from seqsci.runs import Run

TINY = {
    "model.width": 16,
    "model.heads": 2,
    "model.feedforward": 32,
    "model.label_length": 12,
    "data.context": 24,
    "train.epochs": 1,
    "train.batch": 64,
    "train.precision": "fp32",
    "evaluate.resamples": 100,
}


def table(rows: int = 900) -> pl.DataFrame:
    hours = np.arange(rows)
    draw = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "time": np.datetime64("2020-01-01", "us") + hours * np.timedelta64(1, "h"),
            "load": 100 + 10 * np.sin(hours * 2 * np.pi / 24) + draw.normal(size=rows),
            "heat": 20 + 5 * np.cos(hours * 2 * np.pi / 24) + draw.normal(size=rows),
        }
    )


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return seqsci.forecast(table(), horizon=6, settings=TINY, runs=tmp_path_factory.mktemp("runs"), quiet=True)


def test_the_run_folder_holds_what_is_promised(result):
    names = {path.name for path in result.folder.iterdir()}
    promised = {
        "recipe.yaml",
        "model.safetensors",
        "metrics.json",
        "predictions.parquet",
        "report.html",
        "log.jsonl",
    }
    assert promised <= names
    assert "resume.ckpt" not in names
    metrics = json.loads((result.folder / "metrics.json").read_text())
    assert metrics["windows"] == {"train": 630 - 24 - 6 + 1, "val": 90 - 6 + 1, "test": 180 - 6 + 1}
    assert set(metrics["test"]) >= {"mse", "mae"}
    for name in ("last", "seasonal_naive", "ridge"):
        low, high = metrics["baselines"][name]["difference_interval"]
        assert low < metrics["baselines"][name]["difference"] < high
    assert set(metrics["cost"]) >= {"fit_cpu_s", "fit_wall_s", "peak_rss_mb"}
    assert set(metrics["coverage"]) == {"80", "95"}
    assert 0.5 < metrics["coverage"]["80"] < metrics["coverage"]["95"] <= 1


def test_the_score_is_that_of_the_predictions_file(result):
    frame = pl.read_parquet(result.folder / "predictions.parquet")
    assert frame.height == 175 * 6 * 2
    source = table()
    errors = []
    for name in ("load", "heat"):
        part = frame.filter(unique_id=name)
        truth = part.join(source, left_on="ds", right_on="time", how="left")[name]
        np.testing.assert_allclose(part["y"], truth, rtol=1e-5)
        errors.append((part["yhat"] - truth).to_numpy() / source[name][:630].to_numpy().std())
    assert np.mean(np.square(errors)) == pytest.approx(result.metrics["test"]["mse"], rel=1e-4)


def test_the_same_recipe_gives_the_same_bits(result, tmp_path):
    again = finish(start(result.recipe, tmp_path), quiet=True)
    assert again.metrics["test"] == result.metrics["test"]
    ours, theirs = (r.run.load_weights()[0] for r in (result, again))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_forecast_has_dates_names_units_and_intervals(result, tmp_path):
    path = tmp_path / "new.csv"
    table().write_csv(path)
    found = result.predict(path)
    assert found.equals(result.predict(table()))
    assert found.equals(result.predict())
    assert found.columns == [
        "unique_id",
        "ds",
        "yhat",
        "yhat-lo-80",
        "yhat-hi-80",
        "yhat-lo-95",
        "yhat-hi-95",
    ]
    load = found.filter(unique_id="load")
    first = table()["time"][-1]
    assert [(t - first).total_seconds() / 3600 for t in load["ds"]] == [1, 2, 3, 4, 5, 6]
    assert load["yhat"].is_between(80, 120).all()
    assert (found["yhat-lo-95"] <= found["yhat-lo-80"]).all() and (found["yhat-hi-80"] <= found["yhat-hi-95"]).all()


def test_a_file_that_does_not_fit_is_refused(result):
    daily = table().with_columns(time=np.datetime64("2020-01-01", "us") + np.arange(900) * np.timedelta64(1, "D"))
    cases = {
        "there is no series column 'heat'": table().drop("heat"),
        "its time step is 1d, the model was trained on 1h": daily,
        "10 rows are too few, the model needs the last 24": table().head(10),
    }
    for sentence, frame in cases.items():
        with pytest.raises(seqsci.SeqsciError, match=sentence):
            result.predict(frame)


def test_a_column_that_nobody_asked_for_may_hold_anything(tmp_path):
    frame = table().with_columns(city=pl.lit("Bern"))
    with pytest.raises(seqsci.SeqsciError, match="column city"):
        seqsci.forecast(frame, horizon=6, settings=TINY, runs=tmp_path, quiet=True)
    found = seqsci.forecast(frame, horizon=6, target="load", settings=TINY, runs=tmp_path, quiet=True)
    assert found.predict(table().select("time", "load")).height == 6


def test_multivariate_to_one_with_covariates_and_gaps(tmp_path):
    frame = table().with_columns(hot=(pl.col("heat") > 20).cast(pl.Int8))
    frame = frame.with_columns(
        load=pl.when(pl.int_range(900).is_between(300, 310)).then(None).otherwise(pl.col("load"))
    )
    settings = {**TINY, "data.inputs": "all", "data.covariates": ["hot"]}
    found = seqsci.forecast(frame, horizon=6, target="load", settings=settings, runs=tmp_path, quiet=True)
    assert found.metrics["data"]["targets"] == ["load"]
    assert found.metrics["data"]["channels"] == ["load", "heat"]
    with pytest.raises(seqsci.SeqsciError, match="covariates hot must be given for all 6 steps"):
        found.predict()
    later = [frame["time"][-1] + np.timedelta64(i + 1, "h").astype(object) for i in range(6)]
    ahead = pl.DataFrame({"time": later, "load": [None] * 6, "heat": [None] * 6, "hot": [1] * 6}, schema=frame.schema)
    assert found.predict(pl.concat([frame, ahead]))["ds"].to_list() == later


def test_the_estimator_clones_fits_predicts_and_scores(tmp_path):
    settings = {key: value for key, value in TINY.items() if key != "data.context"}
    model = seqsci.Forecaster(horizon=6, context=24, settings=settings, runs=tmp_path)
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    with pytest.raises(seqsci.SeqsciError, match="call fit"):
        twin.predict()
    frame = table().to_pandas()
    assert twin.fit(frame) is twin
    found = twin.predict(frame)
    assert isinstance(found, pd.DataFrame) and len(found) == 12
    assert isinstance(twin.predict(table()), pl.DataFrame)
    assert -2 < twin.score(frame) < 0


def killed_at(step: int, number: int, folder: Path) -> None:
    """Train a run in a process of its own that is sent a signal after a step, at a point that is no epoch's end."""
    code = (
        "import os, sys\nfrom seqsci.api import Run, finish\nfrom seqsci.training.callbacks import Narrate\n"
        "after = Narrate.on_train_batch_end\n"
        "def kill(self, trainer, *rest):\n"
        "    after(self, trainer, *rest)\n"
        f"    if trainer.global_step == {step}: os.kill(os.getpid(), {number})\n"
        "Narrate.on_train_batch_end = kill\n"
        "finish(Run.open(sys.argv[1]), quiet=True)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True)


def test_a_killed_or_interrupted_run_goes_on_to_the_same_bits(tmp_path):
    settings = {**TINY, "train.epochs": 2, "train.batch": 32, "train.save_minutes": 0, "model.dropout": 0.2}
    recipe, _ = plan(
        "forecast", "demo-electricity", settings={**settings, "data.horizon": 6, "data.split": "0.1,0.1,0.8"}
    )
    straight = start(recipe, tmp_path)
    finish(straight, quiet=True)
    for step, kind in ((20, signal.SIGKILL), (7, signal.SIGINT)):
        stopped = start(recipe, tmp_path)
        killed_at(step, kind, stopped.folder)
        assert stopped.resume_point.is_file() and not (stopped.folder / "fit.json").is_file()
        finish(Run.open(stopped.folder), quiet=True)
        ours, theirs = (run.load_weights()[0] for run in (straight, stopped))
        assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
        ours, theirs = ([r["train_loss"] for r in run.history()] for run in (straight, stopped))
        assert ours == theirs


def test_a_run_goes_on_from_any_folder_but_not_on_other_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table().write_csv("load.csv")
    run = start(plan("forecast", "load.csv", settings={**TINY, "data.horizon": 6})[0])
    folder = run.folder.resolve()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(seqsci.SeqsciError, match="continue it with `seqsci resume"):
        seqsci.open_run(folder).predict()
    table(901).write_csv(tmp_path / "load.csv")
    with pytest.raises(seqsci.SeqsciError, match=r"load\.csv has changed since .* restore it, or start a new run"):
        finish(Run.open(folder), quiet=True)
    table().write_csv(tmp_path / "load.csv")
    assert finish(Run.open(folder), quiet=True).predict().height == 12


def test_a_damaged_resume_point_is_refused(tmp_path):
    recipe, _ = plan("forecast", "demo-electricity", settings={**TINY, "data.horizon": 6})
    run = start(recipe, tmp_path)
    run.resume_point.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(seqsci.SeqsciError, match=r"resume\.ckpt: damaged"):
        finish(run, quiet=True)


def test_bad_data_leaves_no_folder(tmp_path):
    with pytest.raises(seqsci.SeqsciError, match="too few"):
        seqsci.forecast(table(50), horizon=24, runs=tmp_path / "runs", quiet=True)
    with pytest.raises(seqsci.SeqsciError, match="no series column 'laod'; did you mean 'load'"):
        seqsci.forecast(table(), target="laod", runs=tmp_path / "runs", quiet=True)
    assert not (tmp_path / "runs").exists()


def test_simulated_data_is_called_simulated():
    sequences, _ = electricity.load("demo-electricity")
    assert sequences.simulated and any("simulated" in note for note in sequences.notes)
