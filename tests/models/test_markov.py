"""The Markov baseline: proper probabilities, right counts, an order that validation chooses."""

import numpy as np
import pytest

from seqsci.models.markov import Markov

V = 6
"""0 begins a row; 5 never occurs in training."""


def rows(count: int, seed: int) -> list:
    """Rows of a source of order 2 over the tokens 1 to 4."""
    rng = np.random.default_rng(seed)
    table = np.random.default_rng(99).dirichlet(np.full(4, 0.2), (5, 5))
    made = []
    for _ in range(count):
        row = [0, 0]
        for _ in range(60):
            row.append(1 + rng.choice(4, p=table[row[-2], row[-1]]))
        made.append(np.array(row[1:]))
    return made


def mean(losses):
    return float(losses.mean())


@pytest.fixture(scope="module")
def model() -> Markov:
    return Markov(V, most=5).fit(rows(300, 0), mean, rows(60, 1))


def test_the_order_of_the_source_is_found(model):
    assert model.order == 2


def test_probabilities_add_up_to_one_behind_any_context(model):
    for context in ([0], [0, 1], [0, 3, 2], [0, 1, 1, 1, 4], [0, 5], [0, 2, 5]):
        p = [np.exp(-model.losses([np.array([*context, token])])[0][-1]) for token in range(V)]
        assert sum(p) == pytest.approx(1, abs=1e-12)
        assert min(p) > 0


def test_an_order_of_zero_is_what_was_counted():
    model = Markov(V, most=0).fit([np.array([0, 1, 1, 2])], mean, [np.array([0, 1])])
    n, kinds, strength = 3, 2, model.strength
    wanted = (2 + strength * kinds / V) / (n + strength * kinds)
    assert np.exp(-model.losses([np.array([0, 1])])[0])[0] == pytest.approx(wanted, abs=1e-12)


def test_it_comes_near_the_source_and_is_better_than_order_zero(model):
    test = rows(60, 2)
    plain = Markov(V, most=0).fit(rows(300, 0), mean, rows(60, 1))
    assert np.concatenate(model.losses(test)).mean() < np.concatenate(plain.losses(test)).mean() - 0.2


def test_a_row_is_judged_by_itself(model):
    first, second = rows(2, 7)
    both = model.losses([first, second])
    np.testing.assert_array_equal(both[1], model.losses([second])[0])
    assert [len(x) for x in both] == [len(first) - 1, len(second) - 1]
