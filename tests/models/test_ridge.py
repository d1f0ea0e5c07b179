"""Ridge: what it chooses on validation, and the sums behind it, for which no window is cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from seqsci.models import moments as sums
from seqsci.models.baselines import Span
from seqsci.models.moments import Normal, forecasts, moments, squared_error
from seqsci.models.ridge import PENALTIES, Ridge


def series(rows: int, channels: int = 2, gaps: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(rows, channels)).cumsum(0) / 5
    return values, draw.random((rows, channels)) >= gaps


def windows(span: Span, context: int, horizon: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Contexts less their last value with 1 behind, horizons less it, and which of their steps were seen."""
    past = sliding_window_view(span.values, context, axis=0)[span.origins - context]
    future = sliding_window_view(span.values, horizon, axis=0)[span.origins]
    seen = sliding_window_view(span.observed, horizon, axis=0)[span.origins]
    last = past[..., -1:]
    return np.concatenate([past - last, np.ones_like(last)], -1), future - last, seen


@settings(max_examples=30, deadline=None)
@given(
    context=st.integers(1, 12),
    horizon=st.integers(1, 9),
    count=st.integers(1, 60),
    gaps=st.sampled_from([0.0, 0.05, 0.4]),
    seed=st.integers(0, 99),
    runs=st.sampled_from([1, 3, 512]),
)
def test_sums_are_those_of_the_windows(
    context: int, horizon: int, count: int, gaps: float, seed: int, runs: int
) -> None:
    values, observed = series(100, 3, gaps, seed)
    span = Span(values, observed, np.arange(15, 15 + count))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "RUNS", runs)
        found = moments(span, context, horizon)
    x, y, seen = windows(span, context, horizon)
    whole = seen.all(-1)
    x, y = x[whole], y[whole]
    assert found.count == len(x)
    np.testing.assert_allclose(found.xx, x.T @ x, atol=1e-8)
    np.testing.assert_allclose(found.xy, x.T @ y, atol=1e-8)
    weights = np.random.default_rng(seed).normal(size=(context + 1, horizon))
    assert found.error(weights) == pytest.approx(((x @ weights - y) ** 2).sum(), abs=1e-6)


def test_slopes_are_those_of_the_normal_equations() -> None:
    values, observed = series(300)
    known = moments(Span(values, observed, np.arange(20, 200)), 12, 5)
    precision = np.geomspace(9, 1, 12)
    for dearer, own in ((np.ones(12), None), (precision, precision)):
        normal = Normal(known, own)
        for penalty in (0.5, 20.0):
            damping = np.diag([*(penalty * dearer), 0])
            expected = np.linalg.lstsq(known.xx + damping, known.xy, rcond=None)[0]
            np.testing.assert_allclose(normal.weights(penalty), expected, atol=1e-8)
    later = np.array([0.5, 1.0, 2.0, 8.0, np.inf])
    found = Normal(known, precision).slopes(later)
    for step, penalty in enumerate(later):
        np.testing.assert_allclose(found[:, step], Normal(known, precision).slopes(penalty)[:, step], atol=1e-10)
    assert not found[:, -1].any()


def test_what_weights_leave_is_summed_as_if_it_had_been_cut() -> None:
    values, observed = series(300, gaps=0.02)
    span = Span(values, observed, np.arange(20, 200))
    weights = np.random.default_rng(0).normal(size=(13, 5))
    x, y, seen = windows(span, 12, 5)
    x, y = x[seen.all(-1)], y[seen.all(-1)]
    left = moments(span, 12, 5).left_by(weights, 4)
    np.testing.assert_allclose(left.xx, x[:, -5:].T @ x[:, -5:], atol=1e-8)
    np.testing.assert_allclose(left.xy, x[:, -5:].T @ (y - x @ weights), atol=1e-8)
    assert left.yy == pytest.approx(((y - x @ weights) ** 2).sum())


def test_errors_count_the_steps_that_were_observed() -> None:
    values, observed = series(300, gaps=0.1)
    span = Span(values, observed, np.arange(20, 200))
    weights = np.random.default_rng(0).normal(size=(13, 5))
    _, y, seen = windows(span, 12, 5)
    left = forecasts(span, weights).swapaxes(1, 2) - values[span.origins - 1][..., None] - y
    whole = moments(span, 12, 5)
    for numbers in (sums.CHUNK, 50):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sums, "CHUNK", numbers)
            assert squared_error(whole, span, weights) == pytest.approx((left**2)[seen].sum())


def test_a_far_level_costs_no_digits() -> None:
    values, observed = series(300, gaps=0.02)
    weights = np.random.default_rng(0).normal(size=(13, 5))
    near, far = (moments(Span(values + level, observed, np.arange(20, 200)), 12, 5) for level in (0, 1e8))
    np.testing.assert_allclose(far.xx, near.xx, rtol=1e-5, atol=1e-3)
    assert far.error(weights) == pytest.approx(near.error(weights), rel=1e-5)


def test_where_whole_windows_are_scarce_those_with_the_fewest_gaps_are_taken() -> None:
    values, observed = series(600, 3)
    observed[:, 0] &= np.random.default_rng(0).random(600) > 0.1
    observed[100:110, 1] = False
    observed[:400, 2] = False
    span = Span(values, observed, np.arange(20, 500))
    seen = sliding_window_view(observed, 20, axis=0)[span.origins]
    missing = (~seen).sum(-1)
    counts = []
    for channel in range(3):
        alone = Span(values[:, [channel]], observed[:, [channel]], span.origins)
        counts.append([moments(alone, 12, 20, filled=filled).count for filled in (False, True)])
    assert counts[0] == [(missing[:, 0] == 0).sum(), (missing[:, 0] <= 2).sum()] and counts[0][1] > 240
    assert counts[1] == [(missing[:, 1] == 0).sum()] * 2
    # Of a series that begins late nothing is made up.
    assert counts[2] == [(missing[:, 2] == 0).sum(), (missing[:, 2] <= 5).sum()]


def test_the_penalty_is_the_one_of_the_least_error_at_observed_steps() -> None:
    values, observed = series(500, 2, 0.1)
    train, val = (Span(values, observed, np.arange(*rows)) for rows in ((10, 300), (300, 480)))
    ridge = Ridge(10, 4).fit(train, val)
    x, y, seen = windows(val, 10, 4)
    errors = {}
    normal = Normal(moments(train, 10, 4))
    for penalty in PENALTIES:
        errors[penalty] = (((x @ normal.weights(penalty) - y) ** 2)[seen]).mean()
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
