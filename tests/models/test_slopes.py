"""Slopes that all series share, what each has of its own, and the mean over days of the horizon."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from seqsci.models import slopes
from seqsci.models.baselines import Span
from seqsci.models.ridge import Ridge
from seqsci.models.slopes import Slopes

CONTEXT, HORIZON, SEASON = 12, 9, 4


def series(rows: int, laws: tuple[float, ...], seed: int = 0) -> np.ndarray:
    """A season, and around it departures that the next step keeps a share of: one law a channel."""
    draw = np.random.default_rng(seed)
    noise = draw.normal(size=(rows, len(laws)))
    for row in range(1, rows):
        noise[row] += np.array(laws) * noise[row - 1]
    return np.sin(np.arange(rows) * 2 * np.pi / SEASON)[:, None] + 0.5 * noise


def spans(values: np.ndarray, observed: np.ndarray | None = None) -> tuple[Span, Span, Span]:
    seen = np.ones_like(values, dtype=bool) if observed is None else observed
    part = len(values) // 3
    rows = ((CONTEXT, part - HORIZON), (part, 2 * part - HORIZON), (2 * part, len(values) - HORIZON))
    train, val, test = (Span(values, seen, np.arange(*one)) for one in rows)
    return train, val, test


def forecast(found: Slopes, span: Span) -> np.ndarray:
    """(W, C, H), from the equation."""
    past = sliding_window_view(span.values, CONTEXT, axis=0)[span.origins - CONTEXT]
    x = past - past[..., -1:]
    own = np.einsum("wcn,cnh->wch", x[..., -found.own.shape[1] :], found.own)
    return past[..., -1:] + x @ found.shared + own + found.offset


def future(span: Span) -> np.ndarray:
    return sliding_window_view(span.values, HORIZON, axis=0)[span.origins]


def test_alone_the_shared_slopes_are_a_ridge_regression_to_which_old_steps_are_dearer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slopes, "PENALTIES", (7.0,))
    monkeypatch.setattr(slopes, "OWN_PENALTIES", (np.inf,))
    monkeypatch.setattr(slopes, "WIDTHS", (0.0,))
    train, val, _ = spans(series(900, (0.5, -0.2)))
    found = Slopes(CONTEXT, HORIZON, SEASON).fit(train, val)
    past = sliding_window_view(train.values, CONTEXT, axis=0)[train.origins - CONTEXT]
    x, y = ((part - past[..., -1:]).reshape(-1, part.shape[-1]) for part in (past, future(train)))
    damping = 7.0 * np.diag(np.exp(np.arange(CONTEXT)[::-1] / (slopes.MEMORY * SEASON)))
    centred = x - x.mean(0)
    expected = np.linalg.solve(centred.T @ centred + damping, centred.T @ y)
    np.testing.assert_allclose(found.shared, expected, atol=1e-8)
    np.testing.assert_allclose(found.offset, np.tile(y.mean(0) - x.mean(0) @ expected, (2, 1)), atol=1e-8)
    assert not found.own.any()


def test_own_slopes_are_a_ridge_regression_of_what_the_shared_ones_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PENALTIES": (7.0,), "OWN_PENALTIES": (20.0,), "WIDTHS": (0.0,), "OWN_SEASONS": 2}.items():
        monkeypatch.setattr(slopes, name, value)
    values = series(900, (0.9, -0.5))
    values[:, 1] += np.arange(900) / 300
    seen = np.random.default_rng(0).random(values.shape) > 0.02
    train, val, _ = spans(values, seen)
    found = Slopes(CONTEXT, HORIZON, SEASON).fit(train, val)
    past = sliding_window_view(values, CONTEXT, axis=0)[train.origins - CONTEXT]
    x, y = past - past[..., -1:], future(train) - past[..., -1:]
    whole = sliding_window_view(seen, HORIZON, axis=0)[train.origins].all(-1)
    assert whole.mean(0).min() > 0.5
    common = y[whole].mean(0) - x[whole].mean(0) @ found.shared
    recent = 2 * SEASON
    dearer = np.exp(np.arange(recent)[::-1] / (slopes.OWN_MEMORY * SEASON))
    for channel in range(2):
        all_steps, left = x[whole[:, channel], channel], y[whole[:, channel], channel]
        left = left - all_steps @ found.shared - common
        last = all_steps[:, -recent:]
        centred = last - last.mean(0)
        for step in range(HORIZON):
            damping = 20 * (1 + step / SEASON) * np.diag(dearer)
            expected = np.linalg.solve(centred.T @ centred + damping, centred.T @ left[:, step])
            np.testing.assert_allclose(found.own[channel, :, step], expected, atol=1e-5)
            offset = common[step] - last.mean(0) @ expected
            assert found.offset[channel, step] == pytest.approx(offset, abs=1e-5)


@pytest.mark.parametrize("gaps", [0.02, 0.2])
def test_gaps_here_and_there_cost_little(gaps: float) -> None:
    values = series(6000, (0.95, 0.5))
    seen = np.random.default_rng(0).random(values.shape) > gaps
    errors = []
    for observed in (np.ones_like(seen), seen):
        train, val, test = spans(values, observed)
        found = Slopes(CONTEXT, 40, SEASON)
        found.fit(*(Span(one.values, one.observed, one.origins[:-40]) for one in (train, val)))
        past = sliding_window_view(values, CONTEXT, axis=0)[test.origins[:-40] - CONTEXT]
        ahead = sliding_window_view(values, 40, axis=0)[test.origins[:-40]]
        x = past - past[..., -1:]
        own = np.einsum("wcn,cnh->wch", x[..., -found.own.shape[1] :], found.own)
        errors.append(((past[..., -1:] + x @ found.shared + own + found.offset - ahead) ** 2).mean())
    assert errors[1] < 1.02 * errors[0]


def test_series_of_other_laws_have_slopes_of_their_own() -> None:
    train, val, test = spans(series(6000, (0.95, -0.9)))
    found, ridge = Slopes(CONTEXT, HORIZON, SEASON).fit(train, val), Ridge(CONTEXT, HORIZON).fit(train, val)
    assert found.chosen["own_penalty"] == min(slopes.OWN_PENALTIES)
    ours = ((forecast(found, test) - future(test)) ** 2).mean()
    theirs = ((ridge.predict(test).swapaxes(1, 2) - future(test)) ** 2).mean()
    assert ours < 0.95 * theirs


def test_series_of_one_law_have_none_worth_speaking_of() -> None:
    train, val, _ = spans(series(6000, (0.5, 0.5)))
    found = Slopes(CONTEXT, HORIZON, SEASON).fit(train, val)
    assert np.abs(found.own).max() < 0.1 * np.abs(found.shared).max()


def test_what_is_chosen_has_the_least_error_at_observed_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(3)
    values = series(900, (0.9, -0.5), 1)
    seen = draw.random(values.shape) > 0.05
    train, val, _ = spans(values, seen)
    counted = sliding_window_view(seen, HORIZON, axis=0)[val.origins]
    best = Slopes(CONTEXT, HORIZON, SEASON).fit(train, val)
    error = float(((forecast(best, val) - future(val)) ** 2)[counted].mean())
    monkeypatch.setattr(slopes, "PENALTIES", (best.chosen["penalty"],))
    others = []
    for own in slopes.OWN_PENALTIES:
        for width in slopes.WIDTHS:
            with monkeypatch.context() as only:
                only.setattr(slopes, "OWN_PENALTIES", (own,))
                only.setattr(slopes, "WIDTHS", (width, width))
                found = Slopes(CONTEXT, HORIZON, SEASON).fit(train, val)
            others.append(float(((forecast(found, val) - future(val)) ** 2)[counted].mean()))
    assert len(set(others)) > 10
    assert error == pytest.approx(min(others), rel=1e-5)


@pytest.mark.parametrize("horizon", [3, 9, 48])
@pytest.mark.parametrize("width", [0.0, 0.25, 1.0])
def test_days_are_averaged_hour_by_hour(horizon: int, width: float) -> None:
    mean = Slopes(CONTEXT, horizon, SEASON)._mean_over_days(width)
    np.testing.assert_allclose(mean.sum(0), 1)
    hours = np.arange(horizon) % SEASON
    assert not mean[hours[:, None] != hours].any()
    daily = np.random.default_rng(0).normal(size=SEASON)[hours]
    np.testing.assert_allclose(daily @ mean, daily)
    noise = np.random.default_rng(1).normal(size=(2000, horizon)) @ mean
    spread = noise.std(0)
    if width == 0 or horizon <= SEASON:
        np.testing.assert_allclose(mean, np.eye(horizon))
    else:
        assert spread[-1] < spread[0] - 0.02


def test_a_panel_of_one_series_and_a_season_of_one_step_are_solved() -> None:
    for season, values in ((1, series(300, (0.5,))), (100, series(900, (0.5, 0.1)))):
        train, val, test = spans(values)
        found = Slopes(CONTEXT, HORIZON, season).fit(train, val)
        assert np.isfinite(forecast(found, test)).all()
        assert ((forecast(found, test) - future(test)) ** 2).mean() < np.var(future(test))
