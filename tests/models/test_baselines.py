"""The baselines: hand-made cases, and the published protocol's figures on ETTh1 to four digits."""

import numpy as np
import pytest

from seqsci.models.baselines import Span, last_value, seasonal_naive
from seqsci.models.ridge import Ridge
from seqsci.models.settings import InformerSettings
from seqsci.recipe import ForecastData, ForecastRecipe
from seqsci.tasks.forecast import score
from seqsci.training.forecast import prepare


def span(values: np.ndarray, origins: list[int]) -> Span:
    return Span(values, ~np.isnan(values), np.array(origins))


def test_naive_forecasts():
    values = np.arange(20.0)[:, None]
    assert last_value(span(values, [5, 9]), 2)[..., 0].tolist() == [[4, 4], [8, 8]]
    assert seasonal_naive(span(values, [9]), 5, 3)[..., 0].tolist() == [[6, 7, 8, 6, 7]]


def test_ridge_finds_a_linear_law_and_leaves_out_unobserved_targets():
    draw = np.random.default_rng(0)
    values = draw.normal(size=(400, 2))
    for t in range(2, 400):
        values[t] = 0.6 * values[t - 1] + 0.3 * values[t - 2]
        values[t] += 0.01 * draw.normal(size=2)
    observed = np.ones_like(values, dtype=bool)
    observed[100:120, 0] = False
    broken = values.copy()
    broken[~observed] = 1e6
    train, val = (Span(values, observed, np.arange(*r)) for r in ((10, 300), (300, 390)))
    ridge = Ridge(4, 3).fit(train, val)
    guess = ridge.predict(val)[:, 0]
    truth = 0.6 * values[299:389] + 0.3 * values[298:388]
    assert np.abs(guess - truth).max() < 0.02


@pytest.mark.parametrize(
    ("target", "context", "name", "mse", "mae"),
    [
        ("all", 96, "seasonal_naive", 0.4244, 0.3892),
        ("all", 96, "ridge", 0.3095, 0.3507),
        ("OT", 336, "last", 0.0343, 0.1394),
        ("OT", 336, "ridge", 0.0260, 0.1220),
    ],
)
def test_etth1_horizon_24_to_four_digits(real_data, target, context, name, mse, mae):
    data = ForecastData(name="etth1", target=target, context=context, horizon=24)
    prepared = prepare(ForecastRecipe(data=data, model=InformerSettings()))
    assert {k: len(w) for k, w in prepared.windows.items()} == {
        "train": 8640 - context - 24 + 1,
        "val": 2857,
        "test": 2857,
    }
    test = prepared.span("test")
    guess = {
        "last": lambda: last_value(test, 24),
        "seasonal_naive": lambda: seasonal_naive(test, 24, prepared.frame.season),
        "ridge": lambda: Ridge(context, 24).fit(prepared.span("train"), prepared.span("val")).predict(test),
    }[name]()
    truth, seen = prepared.truth("test")
    found = score(guess, truth, seen, np.ones(truth.shape[-1]))
    assert (round(found.mse, 4), round(found.mae, 4)) == (mse, mae)
