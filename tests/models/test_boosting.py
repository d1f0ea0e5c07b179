"""Boosting on tables: stopped on validation, repeatable, and honest about classes that it never saw."""

import numpy as np
import pytest

from seqsci.errors import SeqsciError
from seqsci.metrics import flat_log_loss
from seqsci.models.boosting import Boosting, Trees, class_prior

CLASSES = ["a", "b", "c", "d"]
QUICK = (Trees(leaves=4, share=1.0),)


def data(n: int, seed: int, shares: tuple[float, ...] = (0.6, 0.3, 0.1, 0.0)) -> tuple[np.ndarray, np.ndarray]:
    """Blobs that overlap, some features missing; class d does not occur."""
    rng = np.random.default_rng(seed)
    y = rng.choice(4, n, p=shares)
    X = rng.normal(size=(n, 6))
    X[:, :4] += 1.5 * np.eye(4)[y]
    X[rng.random((n, 6)) < 0.1] = np.nan
    return X, y


def fitted(**given: object) -> Boosting:
    return Boosting(grid=QUICK, **given).fit(*data(500, 0), *data(250, 1), CLASSES)


def test_it_learns_and_repeats() -> None:
    X, y = data(1000, 2)
    model = fitted()
    p = model.predict(X)
    assert p.shape == (1000, 4) and p.dtype == np.float64
    assert p.sum(1) == pytest.approx(1) and not p[:, 3].any()
    assert flat_log_loss(p, y) < 0.8 * flat_log_loss(np.tile([1 / 3, 1 / 3, 1 / 3, 0], (1000, 1)), y)
    assert np.array_equal(p, fitted().predict(X))


def test_the_round_is_the_best_on_validation() -> None:
    model = fitted()
    X, y = data(250, 1)
    assert flat_log_loss(model.predict(X), y) == pytest.approx(model.val_loss, rel=1e-12)
    stages = model._model.staged_predict_proba(X)
    losses = [flat_log_loss(np.column_stack([p, np.zeros(250)]), y) for p in stages]
    assert np.argmin(losses) + 1 == model.rounds_used < len(losses) <= model.rounds_used + 15


def test_validation_chooses_the_setting() -> None:
    useless = Trees(rate=1e-4, leaves=2)
    model = Boosting(grid=(useless, *QUICK), rounds=40).fit(*data(500, 0), *data(250, 1), CLASSES)
    assert model.trees == QUICK[0]


def test_balance_helps_rare_classes() -> None:
    X, y = data(1000, 2)
    balanced, plain = (fitted(balanced=b).predict(X) for b in (True, False))
    assert (balanced[y == 2].argmax(1) == 2).mean() > (plain[y == 2].argmax(1) == 2).mean()
    assert flat_log_loss(balanced, y) < flat_log_loss(plain, y)


def test_a_class_of_validation_alone_has_no_say() -> None:
    X, y = data(250, 1)
    more, strange = np.concatenate([X, X[:5]]), np.concatenate([y, np.full(5, 3)])
    model = Boosting(grid=QUICK).fit(*data(500, 0), more, strange, CLASSES)
    assert model.val_loss == fitted().val_loss


def test_a_feature_that_no_object_has_changes_nothing() -> None:
    """Those of a passband that a survey lacks; what stands there later is not looked at."""
    (X, y), (X_val, y_val) = data(500, 0), data(250, 1)
    empty = np.full((250, 2), np.nan)
    model = Boosting(grid=QUICK).fit(np.c_[np.full((500, 2), np.nan), X], y, np.c_[empty, X_val], y_val, CLASSES)
    assert model.val_loss == fitted().val_loss
    assert np.array_equal(model.predict(np.c_[empty, X_val]), fitted().predict(X_val))
    assert np.array_equal(model.predict(np.c_[np.ones_like(empty), X_val]), fitted().predict(X_val))


def test_the_prior() -> None:
    assert class_prior(np.array([0, 0, 2, 0]), 4).tolist() == [0.75, 0, 0.25, 0]
    with pytest.raises(SeqsciError, match="from 0 to 1"):
        class_prior(np.array([2]), 2)


def test_refusals() -> None:
    X, y = data(50, 0)
    with pytest.raises(SeqsciError, match="not fitted"):
        Boosting().predict(X)
    with pytest.raises(SeqsciError, match="do not fit"):
        Boosting().fit(X, y[:-1], X, y, CLASSES)
    with pytest.raises(SeqsciError, match="infinite"):
        Boosting().fit(np.full_like(X, np.inf), y, X, y, CLASSES)
    with pytest.raises(SeqsciError, match="from 0 to 1"):
        Boosting().fit(X, y, X, y, CLASSES[:2])
    with pytest.raises(SeqsciError, match="one class alone"):
        Boosting().fit(X, np.zeros_like(y), X, y, CLASSES)
    with pytest.raises(SeqsciError, match=r"\(N, 6\)"):
        fitted().predict(X[:, :4])
    with pytest.raises(SeqsciError, match="no feature"):
        Boosting().fit(np.full_like(X, np.nan), y, X, y, CLASSES)
    with pytest.raises(SeqsciError, match="no settings"):
        Boosting(grid=())
