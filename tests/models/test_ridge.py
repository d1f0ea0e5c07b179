"""Ridge: what it sums without cutting a window, and what it chooses on validation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from seqsci.models.baselines import Span
from seqsci.models.ridge import PENALTIES, Ridge, moments


def series(rows: int, channels: int = 2, gaps: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(rows, channels)).cumsum(0) / 5
    return values, draw.random((rows, channels)) >= gaps


def windows(span: Span, context: int, horizon: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Contexts less their last value with that and 1 behind, horizons less it, and which of their steps were seen."""
    past = sliding_window_view(span.values, context, axis=0)[span.origins - context]
    future = sliding_window_view(span.values, horizon, axis=0)[span.origins]
    seen = sliding_window_view(span.observed, horizon, axis=0)[span.origins]
    last = past[..., -1:]
    return np.concatenate([past - last, last, np.ones_like(last)], -1), future - last, seen


@settings(max_examples=30, deadline=None)
@given(
    context=st.integers(1, 12),
    horizon=st.integers(1, 9),
    count=st.integers(1, 60),
    gaps=st.sampled_from([0.0, 0.05, 0.4]),
    seed=st.integers(0, 99),
)
def test_sums_are_those_of_the_windows(context: int, horizon: int, count: int, gaps: float, seed: int) -> None:
    values, observed = series(100, 3, gaps, seed)
    span = Span(values, observed, np.arange(15, 15 + count))
    found = moments(span, context, horizon)
    x, y, seen = windows(span, context, horizon)
    whole = seen.all(-1)
    x, y = x[whole], y[whole]
    assert found.count == len(x)
    np.testing.assert_allclose(found.xx, x.T @ x, atol=1e-8)
    np.testing.assert_allclose(found.xy, x.T @ y, atol=1e-8)
    weights = np.random.default_rng(seed).normal(size=(context + 2, horizon))
    assert found.error(weights) == pytest.approx(((x @ weights - y) ** 2).sum(), abs=1e-6)


def test_solutions_are_those_of_the_normal_equations() -> None:
    values, observed = series(300)
    known = moments(Span(values, observed, np.arange(20, 200)), 12, 5)
    for penalty, level, weights in known.solutions((0.5, 20.0), (0.0, 0.3)):
        damping = np.diag([penalty] * 12 + [level * known.count, 0])
        np.testing.assert_allclose(weights, np.linalg.lstsq(known.xx + damping, known.xy, rcond=None)[0], atol=1e-8)
    kept = [i for i in range(14) if i != 12]
    ((_, _, weights),) = known.solutions((20.0,), (np.inf,))
    damping = np.diag([20.0] * 12 + [0])
    plain = np.linalg.lstsq(known.xx[np.ix_(kept, kept)] + damping, known.xy[kept], rcond=None)[0]
    np.testing.assert_allclose(weights[kept], plain, atol=1e-8)
    assert not weights[12].any()


def test_the_penalty_is_the_one_of_the_least_error_at_observed_steps() -> None:
    values, observed = series(500, 2, 0.1)
    train, val = (Span(values, observed, np.arange(*rows)) for rows in ((10, 300), (300, 480)))
    ridge = Ridge(10, 4).fit(train, val)
    x, y, seen = windows(val, 10, 4)
    errors = {}
    for penalty, _, weights in moments(train, 10, 4).solutions(PENALTIES, (np.inf,)):
        errors[penalty] = (((x @ weights - y) ** 2)[seen]).mean()
    assert ridge.penalty == min(errors, key=lambda penalty: errors[penalty])
    guess = ridge.predict(val).swapaxes(1, 2) - (values[val.origins - 1])[..., None]
    assert ((guess - y) ** 2)[seen].mean() == pytest.approx(min(errors.values()))


def repeating(rows: int, back: int) -> np.ndarray:
    """Each value is about the one so many steps before it."""
    draw = np.random.default_rng(1)
    values = draw.normal(size=(rows, 1))
    for row in range(back, rows):
        values[row] = 0.98 * values[row - back] + 0.1 * draw.normal(size=1)
    return values


def test_it_takes_the_context_in_which_the_law_is_seen_and_forecasts_the_same_windows() -> None:
    values = repeating(1200, 30)
    train, val, test = (Span(values, values == values, np.arange(*r)) for r in ((8, 797), (800, 996), (1000, 1197)))
    alone, free = (Ridge(8, 4, others).fit(train, val) for others in ((), (4, 40)))
    assert (alone.context, free.context) == (8, 40)
    assert free.predict(test).shape == alone.predict(test).shape == (197, 4, 1)
    truth = sliding_window_view(values, 4, axis=0)[test.origins].swapaxes(1, 2)
    ours, short = (((ridge.predict(test) - truth) ** 2).mean() for ridge in (free, alone))
    assert ours < 0.1 * short


def test_training_windows_of_another_context_begin_with_its_first_full_one() -> None:
    values = repeating(1200, 30)
    val = Span(values, values == values, np.arange(800, 996))
    long, short = (Span(values, values == values, np.arange(first, 797)) for first in (100, 40))
    chosen, own = Ridge(100, 4, (40,)).fit(long, val), Ridge(40, 4).fit(short, val)
    assert chosen.context == 40
    np.testing.assert_array_equal(chosen.weights, own.weights)


@pytest.mark.parametrize("longer", [500, 805], ids=["too few training windows", "too long for validation"])
def test_a_context_that_the_data_are_too_short_for_is_not_tried(longer: int) -> None:
    values = repeating(1200, 30)
    train, val = (Span(values, values == values, np.arange(*rows)) for rows in ((8, 797), (800, 996)))
    assert Ridge(8, 4, (longer,)).fit(train, val).context == 8


def test_a_level_that_goes_back_to_the_mean_is_found() -> None:
    draw = np.random.default_rng(2)
    values = np.zeros((3000, 1))
    for row in range(1, 3000):
        values[row] = 0.97 * values[row - 1] + draw.normal(size=1) * 0.24
    train, val = (Span(values, values == values, np.arange(*rows)) for rows in ((6, 2000), (2000, 2950)))
    relative, levelled = Ridge(6, 40).fit(train, val), Ridge(6, 40, (), (0.01, np.inf)).fit(train, val)
    assert not relative.weights[-2].any() and relative.level == np.inf
    assert levelled.level == 0.01
    assert levelled.weights[-2, -1] == pytest.approx(0.97**40 - 1, abs=0.15)
