"""Scores of probabilities beside plain loops, scikit-learn and cases that can be worked out by hand."""

import json
import math
import time

import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from seqsci import metrics
from seqsci.errors import SeqsciError

LABELS = ["42", "15", "90", "64", "99"]


def draw(n: int = 400, seed: int = 0, classes: int = 5, absent: int | None = 3) -> tuple[np.ndarray, np.ndarray]:
    """Random probabilities that know a little of the labels; one class does not occur; some 0 and 1."""
    rng = np.random.default_rng(seed)
    y = rng.choice([c for c in range(classes) if c != absent], n)
    z = rng.normal(size=(n, classes))
    z[np.arange(n), y] += 1
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    p[:4] = np.eye(classes)[[0, 1, 2, 0]]
    return p, y


def challenge_loss(p: np.ndarray, y: np.ndarray, weights: list[float]) -> float:
    """The anchors' formula, one number at a time."""
    by_class: dict[int, list[float]] = {}
    for row, label in zip(p.tolist(), y.tolist(), strict=True):
        clipped = [max(min(value, 1 - 1e-15), 1e-15) for value in row]
        by_class.setdefault(label, []).append(math.log(clipped[label] / math.fsum(clipped)))
    above = math.fsum(weights[c] * math.fsum(found) / len(found) for c, found in by_class.items())
    return -above / math.fsum(weights[c] for c in by_class)


@pytest.mark.parametrize("absent", [None, 3])
def test_the_log_losses_equal_a_plain_loop(absent):
    p, y = draw(absent=absent)
    assert metrics.flat_log_loss(p, y) == pytest.approx(challenge_loss(p, y, [1.0] * 5), rel=1e-12)
    weights = metrics.plasticc_weights(LABELS)
    assert weights.tolist() == [1, 2, 1, 2, 2]
    assert metrics.weighted_log_loss(p, y, weights) == pytest.approx(challenge_loss(p, y, weights.tolist()), rel=1e-12)
    # Rows that do not sum to one are put right.
    assert metrics.flat_log_loss(p * 0.5, y) == pytest.approx(challenge_loss(p * 0.5, y, [1.0] * 5), rel=1e-12)


def test_the_challenges_weights_sum_to_18():
    assert sum(metrics.PLASTICC_WEIGHTS.values()) == 18 and len(metrics.PLASTICC_WEIGHTS) == 15


def test_a_sure_mistake_costs_what_the_clipping_says():
    p = np.array([[1.0, 0.0], [0.5, 0.5]])
    assert metrics.losses_by_object(p, np.array([1, 0])) == pytest.approx([-math.log(1e-15), math.log(2)], rel=1e-12)


def test_the_flat_loss_is_the_mean_of_the_classes_means():
    p, y = draw()
    losses = metrics.losses_by_object(p, y)
    means = [losses[y == c].mean() for c in np.unique(y)]
    assert metrics.flat_log_loss(p, y) == pytest.approx(np.mean(means), rel=1e-14)


def test_scores_equal_scikit_learns_and_are_json():
    p, y = draw()
    found = metrics.scores(p, y, LABELS)
    top = p.argmax(1)
    assert found["accuracy"] == (top == y).mean()
    assert found["macro_recall"] == pytest.approx(recall_score(y, top, labels=[0, 1, 2, 4], average="macro"))
    assert found["macro_precision"] == pytest.approx(precision_score(y, top, labels=[0, 1, 2, 4], average="macro"))
    assert found["roc_auc_micro"] == pytest.approx(roc_auc_score(np.eye(5)[y].ravel(), p.ravel()))
    assert found["roc_auc_macro"] == pytest.approx(np.mean([roc_auc_score(y == c, p[:, c]) for c in (0, 1, 2, 4)]))
    assert found["flat_log_loss"] == metrics.flat_log_loss(p, y)
    assert found["by_class"]["90"]["recall"] == (top[y == 2] == 2).mean()
    missing = found["by_class"]["64"]
    assert missing["n"] == 0 and missing["precision"] == 0
    assert [missing[k] for k in ("recall", "roc_auc", "ap", "log_loss")] == [None] * 4
    assert sum(row["n"] for row in found["by_class"].values()) == len(y)
    json.loads(json.dumps(found, allow_nan=False))


def test_scores_of_a_single_class():
    found = metrics.scores(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 0]), ["a", "b"])
    assert found["roc_auc_macro"] is None and found["accuracy"] == 1
    assert found["by_class"]["b"]["precision"] is None


def test_the_bootstrap_covers_and_keeps_groups_together():
    rng, hits = np.random.default_rng(0), 0
    for trial in range(60):
        y = np.repeat([0, 1], [30, 60])
        share = rng.random(90) < np.where(y == 0, 0.8, 0.6)
        p = np.where(share[:, None] == (y[:, None] == [0, 1]), 0.9, 0.1)
        low, high = metrics.bootstrap(p, y, recall, resamples=100, seed=trial)
        hits += low <= 0.7 <= high
    assert hits >= 50
    # Three copies of each object say no more than one: the interval must not shrink.
    p3, y3, groups = np.repeat(p, 3, 0), np.repeat(y, 3), np.repeat(np.arange(90), 3)
    alone = metrics.bootstrap(p, y, recall, resamples=300, seed=1)
    together = metrics.bootstrap(p3, y3, recall, resamples=300, seed=1, groups=groups)
    assert together == pytest.approx(alone, abs=1e-12)
    apart = metrics.bootstrap(p3, y3, recall, resamples=300, seed=1)
    assert apart[1] - apart[0] < 0.8 * (alone[1] - alone[0])
    with pytest.raises(SeqsciError, match="two classes"):
        metrics.bootstrap(p, y, recall, resamples=2, seed=0, groups=[0] * 90)


def recall(p: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean([(p[y == c].argmax(1) == c).mean() for c in np.unique(y)]))


def test_the_difference_is_that_of_the_plain_bootstrap():
    p, y = draw(300)
    q = 0.7 * p + 0.3 / 5
    low, high = metrics.bootstrap_difference(p, q, y, resamples=2000, seed=0)
    both = np.concatenate([p, q], 1)
    slow = metrics.bootstrap(both, y, lambda b, t: flat(b[:, :5], t) - flat(b[:, 5:], t), resamples=600, seed=1)
    assert (low, high) == pytest.approx(slow, rel=0.15)
    assert low < flat(p, y) - flat(q, y) < high
    assert metrics.bootstrap_difference(p, p, y, resamples=10, seed=0) == (0, 0)
    assert (low, high) == metrics.bootstrap_difference(p, q, y, resamples=2000, seed=0)


def flat(p: np.ndarray, y: np.ndarray) -> float:
    return metrics.flat_log_loss(p, y)


def test_two_thousand_resamples_of_five_thousand_objects_take_no_second():
    p, y = draw(5000, classes=14)
    start = time.process_time()
    metrics.bootstrap_difference(p, p * 0.5 + 0.01, y, resamples=2000, seed=0)
    assert time.process_time() - start < 1


def test_reliability_and_calibration_error_by_hand():
    p = np.array([[0.95, 0.05], [0.85, 0.15], [0.4, 0.6], [0.5, 0.5]])
    table = metrics.reliability(p, np.array([0, 1, 1, 0]), bins=5)
    assert table.count.tolist() == [0, 0, 2, 0, 2]
    assert table.confidence[[2, 4]] == pytest.approx([0.55, 0.9])
    assert table.accuracy[[2, 4]] == pytest.approx([1, 0.5])
    assert np.isnan(table.accuracy[0])
    assert metrics.calibration_error(p, np.array([0, 1, 1, 0]), 5) == pytest.approx(0.5 * 0.45 + 0.5 * 0.4)


@pytest.mark.parametrize("balanced", [True, False])
def test_the_temperature_is_found_again(balanced):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(20000, 4)) * 2
    y = (metrics.soften(z).cumsum(1) < rng.random((20000, 1))).sum(1)
    assert metrics.temperature(z * 3, y, balanced) == pytest.approx(3, rel=0.05)
    found = metrics.temperature(z * 3 + 7, y, balanced)
    less, more = (metrics.soften(z * 3, found * f) for f in (0.99, 1.01))
    best = metrics.soften(z * 3, found)
    loss = metrics.flat_log_loss if balanced else lambda p, y: metrics.losses_by_object(p, y).mean()
    assert loss(best, y) < min(loss(less, y), loss(more, y))


def test_soften_takes_log_probabilities_of_nothing():
    assert metrics.soften(np.array([[0.0, -np.inf]]), 2).tolist() == [[1, 0]]
    with pytest.raises(SeqsciError, match="row 0"):
        metrics.soften(np.array([[-np.inf, -np.inf]]))


def test_the_open_set_area():
    rng = np.random.default_rng(0)
    known, unknown = rng.normal(size=300).round(1), rng.normal(0.8, 1, 100).round(1)
    area, (low, high) = metrics.open_set_auroc(known, unknown, resamples=400)
    truth = np.repeat([0, 1], [300, 100])
    assert area == pytest.approx(roc_auc_score(truth, np.concatenate([known, unknown])), abs=1e-12)
    assert low < area < high and high - low == pytest.approx(0.11, abs=0.04)
    assert metrics.open_set_auroc(np.arange(10.0), np.full(10, 11.0)) == (1, (1, 1))


@pytest.mark.parametrize(
    ("p", "y", "words"),
    [
        (np.ones((3, 2)), np.array([0, 1]), "do not fit"),
        (np.ones((0, 2)), np.array([], dtype=int), "do not fit"),
        (np.ones((2, 2)), np.array([0, 2]), "from 0 to 1"),
        (np.ones((2, 2)), np.array([0.0, 1.0]), "whole numbers"),
        (np.array([[0.5, 0.5], [np.nan, 1]]), np.array([0, 1]), "row 1 is not finite"),
    ],
)
def test_refusals(p, y, words):
    with pytest.raises(SeqsciError, match=words):
        metrics.flat_log_loss(p, y)


def test_weights_and_labels_that_do_not_fit():
    p, y = draw(20)
    with pytest.raises(SeqsciError, match="one weight for each class"):
        metrics.weighted_log_loss(p, y, np.ones(3))
    with pytest.raises(SeqsciError, match="positive weights"):
        metrics.weighted_log_loss(p, y, np.array([0, 0, 0, 1.0, 0]))
    with pytest.raises(SeqsciError, match="4 labels for 5"):
        metrics.scores(p, y, LABELS[:4])
