"""Forecasts at the edges of their data: too few windows, series that fall silent, numbers that are too large."""

import shutil
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

import seqsci
from seqsci.api import plan, start
from seqsci.cli.jobs import csv, other_data
from seqsci.data.batch import Shape
from seqsci.domains import electricity
from seqsci.nn.head import build
from seqsci.report import build_report, summary
from seqsci.runs import Run
from seqsci.training.fit import enough_memory
from seqsci.training.forecast import prepare

TINY = {
    "model.width": 8,
    "model.heads": 2,
    "model.feedforward": 16,
    "model.layers": 1,
    "model.label_length": 8,
    "data.context": 8,
    "data.horizon": 4,
    "train.epochs": 1,
    "train.batch": 64,
    "train.precision": "fp32",
    "evaluate.resamples": 50,
}


def table(rows: int = 260, step: str = "h") -> pl.DataFrame:
    number = np.arange(rows)
    draw = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "time": np.datetime64("2020-01-01", "us") + number * np.timedelta64(1, step),
            "load": 100 + 10 * np.sin(number * 2 * np.pi / 24) + draw.normal(size=rows),
            "heat": 20 + 5 * np.cos(number * 2 * np.pi / 24) + draw.normal(size=rows),
        }
    )


def blank(frame: pl.DataFrame, name: str, first: int, last: int) -> pl.DataFrame:
    inside = pl.int_range(len(frame)).is_between(first, last - 1)
    return frame.with_columns(pl.when(inside).then(None).otherwise(pl.col(name)).alias(name))


def prepared(frame: pl.DataFrame, **settings):
    recipe, _ = plan("forecast", frame, settings={**TINY, **settings})
    return prepare(recipe, frame)


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    """Of `heat` nothing is known in the test rows, which are too few for an interval; no interval is asked for."""
    frame = blank(table(), "heat", 208, 260)
    settings = {**TINY, "evaluate.levels": [], "evaluate.season": 10_000}
    return seqsci.forecast(frame, settings=settings, runs=tmp_path_factory.mktemp("runs"), quiet=True)


def test_too_few_windows_give_no_interval_and_it_is_said(sparse):
    metrics = sparse.metrics
    assert metrics["test"]["interval"] == [None, None]
    for name, result in metrics["baselines"].items():
        assert result["difference_interval"] == [None, None]
        (sentence,) = (s for s in sparse.verdicts if f"less {name} is" in s)
        assert "too few test windows for an interval (49; it takes 3 blocks of 10000)" in sentence
    assert "too few test windows for an interval" in sparse.report().read_text()
    assert not [s for s in summary(metrics).sentences if s.startswith("intervals")]


def test_a_series_that_was_never_observed_has_no_score_and_it_is_said(sparse):
    found = sparse.metrics["units"]["heat"]
    assert found == {"mae": None, "rmse": None, "baselines_mae": dict.fromkeys(sparse.metrics["baselines"])}
    assert sparse.metrics["units"]["load"]["mae"] > 0
    assert "series heat: never observed in the test rows, it has no score" in sparse.metrics["data"]["notes"]


def test_a_series_that_fell_silent_is_not_forecast(sparse):
    with pytest.raises(seqsci.SeqsciError, match="the last 8 rows hold no value of series heat"):
        sparse.predict()


def test_a_forecast_begins_after_the_last_observation_and_it_is_told(sparse):
    frame = blank(blank(table(), "load", 257, 260), "heat", 257, 260)
    told: list[str] = []
    found = sparse.predict(frame, tell=told.append)
    assert found["ds"].min() == frame["time"][257]
    assert "rows at the end without any value: 3, left out" in told


def test_validation_without_a_value_is_refused():
    frame = blank(table(), "heat", 182, 208)
    assert "series heat: never observed in the validation rows, its intervals are without end" in prepared(frame).notes
    with pytest.raises(seqsci.SeqsciError, match="no validation row holds a value"):
        prepared(frame, **{"data.target": "heat"})


def test_a_series_without_a_training_value_is_named():
    with pytest.raises(seqsci.SeqsciError, match="series heat has no value in the training rows"):
        prepared(blank(table(), "heat", 0, 182))


def test_the_longest_context_that_fits_is_named():
    with pytest.raises(seqsci.SeqsciError, match=r"shorten data\.context \(to (\d+) at most\)") as refused:
        prepared(table(), **{"data.context": 250})
    fits = int(str(refused.value).partition("(to ")[2].split()[0])
    assert len(prepared(table(), **{"data.context": fits}).windows["train"]) == 1


def test_a_constant_series_is_told_of():
    frame = table().with_columns(heat=pl.lit(3.0))
    notes = prepared(frame).notes
    assert "series heat: constant in the training rows, so that there is nothing to learn of it" in notes
    assert not any("constant" in note for note in prepared(table()).notes)


@pytest.mark.parametrize("row", [50, 230])
def test_numbers_that_cannot_be_computed_with_are_refused(row):
    for size, sentence in ((1e302, "column heat: '1e\\+302' is too large"), (1e30, "series heat: its value at 2020-")):
        place = pl.int_range(260) == row
        frame = table().with_columns(heat=pl.when(place).then(size).otherwise(pl.col("heat")))
        if row == 50 and size < 1e300:
            continue  # a training row widens the scale itself
        with pytest.raises(seqsci.SeqsciError, match=sentence):
            prepared(frame)


ZONES = {"Europe/Berlin": "+01:00", "UTC": "+00:00", "Etc/GMT-2": "+02:00"}


@pytest.fixture(scope="module")
def aware(tmp_path_factory):
    """Trained on times of a zone."""
    frame = zoned("Europe/Berlin").to_pandas().set_index("time")
    return seqsci.Forecaster(
        horizon=4, context=8, settings={**TINY, "train.epochs": 1}, runs=tmp_path_factory.mktemp("runs")
    ).fit(frame)


def zoned(zone: str) -> pl.DataFrame:
    return table().with_columns(pl.col("time").dt.replace_time_zone("UTC").dt.convert_time_zone(zone))


@pytest.mark.parametrize("zone", ZONES)
def test_a_forecast_has_the_zone_of_its_data(aware, zone, tmp_path):
    frame = zoned(zone)
    begin = frame["time"][-1] + timedelta(hours=1)
    found = aware.predict(frame)
    assert found["ds"].dtype.time_zone == zone and found["ds"][0] == begin
    path = tmp_path / "load.csv"
    frame.with_columns(pl.col("time").dt.to_string("%Y-%m-%d %H:%M%:z")).write_csv(path)
    again = aware.predict(path)
    # A text only tells the distance from UTC, and no zone stands for one that changes.
    assert again["ds"].dtype.time_zone == ("Etc/GMT-1" if zone == "Europe/Berlin" else zone)
    assert again.with_columns(found["ds"]).equals(found)
    assert f"T{begin:%H}:00:00.000000{ZONES[zone]}," in csv(again)
    pandas = aware.predict(frame.to_pandas().set_index("time"))
    assert str(pandas["ds"].dt.tz) == zone


def test_a_change_of_the_clock_gives_times_in_utc():
    frame = pl.DataFrame({"t": ["2020-10-25T02:00+02:00", "2020-10-25T02:00+01:00", "2020-10-25T03:00+01:00"], "y": 1})
    assert electricity.read(frame).zone == "UTC"
    assert (
        electricity.read(
            frame.with_columns(t=pl.lit("2020-01-01 0") + pl.int_range(3).cast(pl.String) + ":00+05:30")
        ).zone
        == "UTC"
    )


def test_dates_of_a_split_are_those_of_the_datas_clock():
    found = prepared(zoned("Etc/GMT-2"), **{"data.split": "2020-01-05,2020-01-08"})
    assert str(found.sequences.times[found.splits.val[0]])[:19] == "2020-01-04T22:00:00"


def test_a_zone_is_told_as_people_say_it():
    frame = table(50).with_columns(time=pl.col("time").dt.to_string("%Y-%m-%d %H:%M+02:00"))
    sequences, _ = electricity.load(frame)
    assert "time column: in UTC+02:00; times are told in UTC, forecasts given in UTC+02:00" in sequences.notes


def test_times_in_the_index_of_a_pandas_table_are_read():
    frame = table(50).to_pandas().set_index("time")
    known, _ = electricity.load(frame)
    found, _ = electricity.load(frame.set_index(frame.index.to_period("h")))
    assert known.channels == found.channels == ("load", "heat")
    assert (known.times == found.times).all()
    with pytest.raises(seqsci.SeqsciError, match="times are in the index: by reset_index"):
        electricity.load(frame.set_index(np.arange(50)))


def test_times_with_a_zone_and_without_are_not_mixed(aware, sparse):
    with pytest.raises(seqsci.SeqsciError, match="its times have no time zone, those of the training are in Europe"):
        aware.predict(table())
    with pytest.raises(seqsci.SeqsciError, match="its times are in UTC, those of the training have no time zone"):
        sparse.predict(zoned("UTC"))
    with pytest.raises(seqsci.SeqsciError, match="its times have no time zone"):
        aware.score(table())


def test_predictions_of_a_run_have_their_zone_and_its_page_says_utc(aware):
    run = aware.result_
    assert pl.read_parquet(run.folder / "predictions.parquet")["ds"].dtype.time_zone == "Europe/Berlin"
    assert "2020-01-11 19:00 UTC" in run.report().read_text()
    assert run.metrics["data"]["begins"]["train"] == "2020-01-01 00:00:00 UTC"


def test_repeating_a_run_on_other_data_is_said(tmp_path):
    path = tmp_path / "load.csv"
    table().write_csv(path)
    recipe, _ = plan("forecast", path, settings=TINY)
    first, second = (start(recipe, tmp_path) for _ in range(2))
    assert other_data(second, first.folder) == other_data(second, tmp_path) == other_data(second, None) == []
    table(261).write_csv(path)
    (note,) = other_data(start(first.recipe, tmp_path), first.folder)
    assert note.startswith(f"not the same as that of {first.folder}: it has changed")


def test_a_series_whose_name_holds_a_comma_can_be_chosen():
    frame = table().rename({"load": "load, total"}).with_columns(a=pl.col("heat"), text=pl.lit("x"))
    assert prepared(frame, **{"data.target": "load, total"}).frame.targets == ("load, total",)
    assert prepared(frame, **{"data.target": "heat, a"}).frame.targets == ("heat", "a")
    with pytest.raises(seqsci.SeqsciError, match="no series column 'b'"):
        prepared(frame, **{"data.target": "heat,b"})
    long = frame.drop("text").unpivot(index="time", variable_name="unique_id", value_name="y").rename({"time": "ds"})
    assert prepared(long, **{"data.target": "load, total"}).frame.targets == ("load, total",)


@pytest.mark.parametrize("settings", [["a"], 3, {3: 1}])
def test_settings_that_are_no_mapping_are_refused(settings):
    with pytest.raises(seqsci.SeqsciError, match="settings: give values by dotted path"):
        seqsci.forecast(settings=settings)
    with pytest.raises(seqsci.SeqsciError, match="recipe: give a name, a YAML file or a Recipe"):
        seqsci.forecast(recipe=3)


def test_weights_of_another_recipe_are_refused(sparse, tmp_path):
    for before, after in (("width: 8", "width: 16"), ("context: 8", "context: 16"), ("horizon: 4", "horizon: 2")):
        run = Run(shutil.copytree(sparse.folder, tmp_path / after))
        text = (run.folder / "recipe.yaml").read_text()
        run.write("recipe.yaml", text.replace(before, after))
        with pytest.raises(seqsci.SeqsciError, match=r"recipe\.yaml: has been changed, and .*model\.safetensors"):
            seqsci.open_run(run.folder).predict(table())


def test_intervals_without_end_are_told(tmp_path):
    frame = blank(table(), "heat", 150, 208)
    made = seqsci.forecast(frame, settings={**TINY, "evaluate.levels": [80]}, runs=tmp_path, quiet=True)
    assert made.metrics["endless"] == ["80"]
    assert (
        "some 80 % intervals are without end: validation has too few values for them" in summary(made.metrics).sentences
    )
    assert np.isinf(made.predict()["yhat-hi-80"].to_numpy()).any()


def test_a_run_that_was_saved_before_shapes_had_a_season_predicts(sparse, tmp_path):
    run = Run(shutil.copytree(sparse.folder, tmp_path / "run"))
    tensors, facts = run.load_weights()
    assert facts["shape"].pop("season") == 24
    run.save_weights(tensors, facts)
    assert seqsci.open_run(run.folder).predict(table()).equals(sparse.predict(table()))


def test_a_run_without_its_weights_is_run_again(sparse, tmp_path):
    run = Run(shutil.copytree(sparse.folder, tmp_path / "run"))
    (run.folder / "model.safetensors").unlink()
    with pytest.raises(seqsci.SeqsciError, match=r"model\.safetensors: absent; run `seqsci run .*recipe\.yaml` again"):
        seqsci.open_run(run.folder).predict()


def test_damaged_predictions_are_told(sparse, tmp_path):
    run = Run(shutil.copytree(sparse.folder, tmp_path / "run"))
    path = run.folder / "predictions.parquet"
    whole = path.read_bytes()
    for content in (whole[:100], b"PAR1" + b"\0" * (len(whole) // 2) + whole[len(whole) // 2 + 4 :]):
        path.write_bytes(content)
        with pytest.raises(seqsci.SeqsciError, match=r"predictions\.parquet: damaged"):
            build_report(run)


def test_what_has_no_room_in_memory_is_told():
    recipe, _ = plan("forecast", settings={**TINY, "model.width": 10_000_000})
    shape = Shape(context=8, horizon=4, channels=1, outputs=1, marks=4, output_index=(0,))
    with pytest.raises(seqsci.SeqsciError, match=r"more memory than there is; .* model\.width"), enough_memory():
        build(recipe.task, recipe.model, shape)
    with pytest.raises(RuntimeError, match="else"), enough_memory():
        raise RuntimeError("something else")


def test_a_loss_that_is_never_finite_promises_no_weights(tmp_path):
    with pytest.raises(seqsci.SeqsciError, match=r"the loss is .* train\.clip 1 helps$"):
        seqsci.forecast(table(), settings={**TINY, "train.lr": 1e30}, runs=tmp_path, quiet=True)


def test_an_estimator_knows_which_models_start_a_decoder():
    assert seqsci.Forecaster(context=24)._start() == {"model.label_length": 24}
    assert seqsci.Forecaster("t2")._start() == {}
