"""Intervals and scores against values that can be known."""

from operator import itemgetter

import numpy as np
import pytest

from seqsci import metrics
from seqsci.data.shares import CASES
from seqsci.metrics import block_bootstrap, conformal_radius
from seqsci.metrics.ranks import spearman
from seqsci.tasks.forecast import score


def test_the_block_bootstrap_covers_the_mean_of_dependent_series():
    draw, hits, trials, naive = np.random.default_rng(0), 0, 200, 0
    kernel = np.ones(24) / 24
    for trial in range(trials):
        series = np.convolve(draw.normal(size=1023), kernel, "valid")
        low, high = block_bootstrap(series, 48, resamples=400, seed=trial)
        hits += low <= 0 <= high
        low, high = block_bootstrap(series, 1, resamples=400, seed=trial)
        naive += low <= 0 <= high
    assert hits / trials > 0.85
    assert naive / trials < 0.6


def test_the_block_bootstrap_repeats():
    series = np.arange(10.0)
    assert block_bootstrap(series, 3, resamples=50, seed=1) == block_bootstrap(series, 3, resamples=50, seed=1)


def test_the_conformal_radius_is_the_right_order_statistic():
    residuals = np.arange(1.0, 20.0).reshape(19, 1, 1) * np.array([1, -1] * 9 + [1]).reshape(19, 1, 1)
    seen = np.ones_like(residuals, dtype=bool)
    assert conformal_radius(residuals, 0.8, seen).item() == 16
    assert conformal_radius(residuals, 0.95, seen).item() == 19
    assert conformal_radius(residuals, 0.99, seen).item() == np.inf
    seen[10:] = False
    assert conformal_radius(residuals, 0.5, seen).item() == 6


def test_conformal_intervals_cover_exchangeable_residuals():
    draw = np.random.default_rng(0)
    val, test = draw.standard_t(3, (2000, 4, 2)), draw.standard_t(3, (2000, 4, 2))
    radius = conformal_radius(val, 0.9, np.ones_like(val, dtype=bool))
    assert (np.abs(test) <= radius).mean() == pytest.approx(0.9, abs=0.01)


def test_scores_leave_out_what_was_not_observed():
    forecast, target = np.zeros((2, 2, 1), dtype=np.float32), np.array([[[1.0], [2]], [[3], [100]]])
    seen = np.array([[[True], [True]], [[True], [False]]])
    found = score(forecast, target, seen, np.array([10.0]))
    assert found.mse == pytest.approx(14 / 3)
    assert found.mae == pytest.approx(2)
    assert found.by_step.tolist() == [5, 4]
    assert found.by_window.tolist() == [2.5, 9]
    assert found.raw_mae.tolist() == [20]


def test_the_block_bootstrap_gives_no_interval_of_too_few_blocks():
    for windows, block in ((3, 10_000), (3, 24), (71, 24), (1, 1), (9, 1)):
        assert np.isnan(block_bootstrap(np.arange(float(windows)), block, resamples=50, seed=1)).all()
    low, high = block_bootstrap(np.arange(72.0), 24, resamples=50, seed=1)
    assert low < 35.5 < high


def test_what_was_never_observed_has_no_score():
    forecast, target = np.zeros((2, 2, 2), dtype=np.float32), np.ones((2, 2, 2))
    seen = np.ones((2, 2, 2), dtype=bool)
    seen[:, :, 1] = seen[1] = False
    found = score(forecast, target, seen, np.array([10.0, 1.0]))
    assert found.mse == found.mae == 1
    np.testing.assert_equal(found.raw_mae, [10, np.nan])
    np.testing.assert_equal(found.raw_rmse, [10, np.nan])
    np.testing.assert_equal(found.by_window, [1, np.nan])
    assert np.isnan(score(forecast, target, np.zeros_like(seen), np.ones(2)).mse)


RNG = np.random.default_rng(0)
SAID = RNG.dirichlet([1, 1], 10)
INTERVALS = {
    "block_bootstrap": lambda n: block_bootstrap(SAID[:n, 0], 1, resamples=50, seed=0),
    "bootstrap_ratio": lambda n: metrics.bootstrap_ratio(SAID[:n, 0], np.ones(n), resamples=50, seed=0),
    "interval": lambda n: metrics.interval(lambda weights: weights @ SAID[:n, 0], n, resamples=50, seed=0),
    "spearman": lambda n: itemgetter("low", "high")(spearman(SAID[:n, 0], np.sin(np.arange(n)), resamples=50)),
    "bootstrap": lambda n: metrics.bootstrap(SAID[:n], CODES[:n], metrics.flat_log_loss, resamples=50, seed=0),
    "groups": lambda n: metrics.bootstrap(
        SAID[[*range(n), 0, 1]], CODES[[*range(n), 0, 1]], metrics.flat_log_loss, resamples=50, seed=0,
        groups=[*range(n), 0, 1],
    ),
    "bootstrap_difference": lambda n: metrics.bootstrap_difference(
        SAID[:n], SAID[:n, ::-1], CODES[:n], resamples=50, seed=0
    ),
    "open set, few known": lambda n: metrics.open_set_auroc(SAID[:n, 0], SAID[:, 1], resamples=50)[1],
    "open set, few unknown": lambda n: metrics.open_set_auroc(SAID[:, 0], SAID[:n, 1], resamples=50)[1],
}  # fmt: skip
CODES = np.arange(10) % 2


@pytest.mark.parametrize("name", INTERVALS)
def test_no_interval_of_a_score_is_of_fewer_than_ten_cases(name: str) -> None:
    for cases in (4, CASES - 1):
        assert np.isnan(INTERVALS[name](cases)).all()
    low, high = INTERVALS[name](CASES)
    assert CASES == 10 and low < high
