"""The report: rebuilt from a run folder alone, whatever the numbers of series, windows and epochs."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest
import torch

from seqsci import recipe as recipes
from seqsci.errors import SeqsciError
from seqsci.report import build_report, score_table, verdicts
from seqsci.runs import Run

PICTURES = ("scores", "error_by_step", "forecasts", "worst", "coverage", "learning")
SHA = "0123456789abcdef" * 4


def make_run(folder, *, series=7, windows=200, horizon=24, context=96, blanks=False, epochs=5, names=None):
    """A complete run folder as training leaves it, of made-up numbers."""
    rng = np.random.default_rng(0)
    names = names or [f"zone_{i:02d}" for i in range(series)]
    recipe = recipes.build(
        {
            "data": {"name": "made-up", "context": context, "horizon": horizon},
            "model": {"name": "informer", "label_length": min(48, context)},
        }
    )
    run = Run.create(folder, recipe, "made-up")
    level, scale = 1000.0 / 1.5 ** np.arange(series), 100.0 / 1.5 ** np.arange(series)
    hours = np.arange(windows + horizon - 1)
    wave = np.sin(2 * np.pi * (hours[:, None] / 24 + np.arange(series) / 9)) + 0.15 * rng.normal(
        size=(len(hours), series)
    )
    y = (level + scale * wave).astype(np.float32)
    if blanks:
        y[rng.random(y.shape) < 0.2] = np.nan
        y[30:70, 0] = np.nan
    rows = np.arange(windows)[:, None] + np.arange(horizon)
    noise = np.linspace(0.1, 0.5, horizon)[:, None] * (1 + (rows[:, :1, None] % 90 == 50) * 3)
    clean = level + scale * np.sin(2 * np.pi * (rows[..., None] / 24 + np.arange(series) / 9))
    yhat = clean + scale * noise * rng.normal(size=(windows, horizon, series))
    _write_predictions(run, names, y[rows], yhat)
    radii = {
        f"conformal.{n}": torch.from_numpy(k * np.linspace(0.3, 0.6, horizon)[:, None].repeat(series, 1))
        for n, k in (("80", 1.0), ("95", 1.8))
    }
    radii["conformal.95"][-1] = float("inf") if blanks else radii["conformal.95"][-1]
    facts = {"frame": {"channels": ["unused", *names], "targets": names, "scale": [1.0, *scale.tolist()]}}
    run.save_weights({"network.w": torch.zeros(2), **radii}, facts)
    run.write_json("metrics.json", {**_metrics(names, windows, horizon), "endless": ["95"] if blanks else []})
    for epoch in range(1, epochs + 1):
        loss = 1 / epoch
        run.log({"epoch": epoch, "train_loss": loss, "val_loss": 0.3 + loss / 2 + 0.04 * max(0, epoch - 3)})
    return run


def _write_predictions(run, names, y, yhat):
    windows, horizon, series = y.shape
    start = datetime(2024, 4, 15, 16)
    frame = pl.DataFrame(
        {
            "unique_id": np.tile(names, windows * horizon).tolist(),
            "window": np.repeat(np.arange(windows, dtype=np.int32), horizon * series),
            "step": np.tile(np.repeat(np.arange(1, horizon + 1, dtype=np.int16), series), windows),
            "y": y.astype(np.float32).reshape(-1),
            "yhat": yhat.astype(np.float32).reshape(-1),
        }
    ).with_columns(
        pl.col("y").fill_nan(None),
        ds=(pl.lit(start) + pl.duration(hours=pl.col("window").cast(pl.Int64) + pl.col("step") - 1)).cast(
            pl.Datetime("us")
        ),
    )
    frame.write_parquet(run.folder / "predictions.parquet")


def _metrics(names, windows, horizon):
    def gap(value, half):
        return {"difference": value, "difference_interval": [value - half, value + half]}

    step = np.arange(1, horizon + 1) / horizon
    rivals = {
        "last": (0.91, gap(-0.41, 0.03)),
        "seasonal_naive": (0.51, gap(-0.01, 0.02)),
        "ridge": (0.3, gap(0.2, 0.02)),
    }
    return {
        "seqsci": "0.1.0",
        "task": "forecast",
        "model": "informer",
        "data": {
            "name": "made-up",
            "sha256": SHA,
            "simulated": True,
            "step": "1h",
            "season": 24,
            "begins": {"train": "2024-01-01T00:00", "val": "2024-03-01T00:00", "test": "2024-04-15T16:00"},
            "targets": names,
            "notes": ["3 rows stood twice & were joined"],
        },
        "windows": {"train": 3400, "val": 500, "test": windows},
        "val": {"mse": 0.45, "mae": 0.5, "best_epoch": 3, "best_loss": 0.45},
        "test": {"mse": 0.5, "mae": 0.51, "interval": [0.46, 0.55]},
        "baselines": {name: {"mse": mse, "mae": mse / 2, **more} for name, (mse, more) in rivals.items()},
        "coverage": {"80": 0.785, "95": float("nan")},
        "by_step": {
            n: (m * step**0.5).tolist()
            for n, m in (("informer", 0.6), ("last", 1.2), ("seasonal_naive", 0.7), ("ridge", 0.4))
        },
        "units": {
            name: {"mae": 1234.5 / 3**i, "rmse": 1500.0 / 3**i, "baselines_mae": dict.fromkeys(rivals, 7.0)}
            for i, name in enumerate(names)
        },
        "cost": {
            "fit_cpu_s": 91.77,
            "fit_wall_s": 78.07,
            "peak_rss_mb": 613.6,
            "precision": "fp32",
            "parameters": 132805,
        },
        "machine": {"python": "3.12.0", "torch": "2.9.0", "processor": "x86_64"},
    }


def test_the_report_holds_verdicts_digest_and_recipe_and_is_built_twice_alike(tmp_path, check_report):
    run = make_run(tmp_path)
    page = check_report(run, PICTURES)
    assert "informer is worse than ridge by 0.20 [0.18, 0.22]" in page
    assert "simulated data" in page and SHA in page
    assert (run.folder / "recipe.yaml").read_text() in page.replace("&#39;", "'")
    assert "stood twice &amp; were joined" in page
    assert "2024-04-15 16:00 to 2024-04-24 22:00" in page
    assert "78.5 %" in page
    assert check_report(run, PICTURES) == page


@pytest.mark.parametrize(
    "options",
    [
        {"series": 1},
        {"series": 12, "windows": 60},
        {"blanks": True},
        {"windows": 1, "horizon": 1},
        {"windows": 3, "horizon": 200, "context": 24},
        {
            "series": 2,
            "names": ["cost in $ and $", "<b>電力</b>, a name that goes on far beyond the room it has"],
        },
    ],
    ids=str,
)
def test_the_report_can_be_drawn_for(tmp_path, options, check_report):
    page = check_report(make_run(tmp_path, **options), PICTURES)
    assert "<b>" not in page
    assert ("without end" in page) == bool(options.get("blanks"))


def test_of_many_series_some_are_listed_and_the_rest_counted(tmp_path, check_report):
    names = [f"client {i}" for i in range(40)]
    page = check_report(make_run(tmp_path, series=40, windows=30, names=names), PICTURES)
    assert "20 more are in metrics.json" in page
    assert "4 of 40 series are shown" in page


def test_an_empty_log_only_costs_the_learning_curve(tmp_path, check_report):
    check_report(make_run(tmp_path, epochs=0), PICTURES[:-1])


def test_nothing_observed_is_said_and_not_drawn(tmp_path, check_report):
    run = make_run(tmp_path, windows=5)
    metrics = run.read_json("metrics.json")
    nothing = {"mse": None, "mae": None, "difference": None, "difference_interval": [None, None]}
    metrics["baselines"] = dict.fromkeys(metrics["baselines"], nothing)
    metrics["test"] = {"mse": None, "mae": None, "interval": [None, None]}
    run.write_json("metrics.json", metrics)
    path = run.folder / "predictions.parquet"
    pl.read_parquet(path).with_columns(y=pl.lit(None, pl.Float32)).write_parquet(path)
    page = check_report(run, tuple(name for name in PICTURES if name != "worst"))
    assert "cannot be compared" in page


def test_the_worst_windows_are_those_and_a_horizon_apart(tmp_path):
    from seqsci.report.forecast.material import Material

    run = make_run(tmp_path, series=2)
    windows = Material(run, run.read_json("metrics.json")).worst
    assert set(windows) >= {50, 140}
    assert all(abs(a - b) >= 24 for i, a in enumerate(windows) for b in windows[:i])


def test_a_run_that_has_not_ended_is_refused(tmp_path):
    run = make_run(tmp_path)
    (run.folder / "metrics.json").unlink()
    with pytest.raises(SeqsciError, match="has not ended"):
        build_report(run)


def test_verdicts_and_scores():
    metrics = _metrics(["a"], 10, 24)
    assert verdicts(metrics) == [
        "informer is better than last by 0.41 [0.38, 0.44]",
        "no clear difference between informer and seasonal_naive: -0.01 [-0.03, +0.01]",
        "informer is worse than ridge by 0.20 [0.18, 0.22]",
    ]
    table = score_table(metrics)
    assert table.columns == ["method", "mse", "mae", "difference", "low", "high"]
    assert table["method"].to_list() == ["informer", "last", "seasonal_naive", "ridge"]
    assert table.row(0) == ("informer", 0.5, 0.51, None, None, None)
    close = {"ridge": {"mse": 0.3, "mae": 0.3, "difference": 0.05, "difference_interval": [0.0004, 0.1]}}
    assert verdicts({**metrics, "baselines": close}) == ["informer is worse than ridge by 0.0500 [0.0004, 0.1000]"]
