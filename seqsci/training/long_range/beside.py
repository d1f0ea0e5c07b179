"""The cheap methods beside the encoders: they learn from rows of their own and are scored on the same test rows.

Tokens: the commonest answer, and a logistic regression of how often each token stands in a row. Pixels: the commonest
answer, and a logistic regression of the pixels. Series: the last value, and ridge regression of the whole context.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seqsci.training.long_range.scales import Scale
from seqsci.training.long_range.tasks import LongTask, Rows

LEARNT = 1_000_000_000
"""Number of the training batch that they learn from: none that an encoder is given."""
PENALTY = 1.0
"""Of the ridge regression."""


def beside(task: LongTask, scale: Scale) -> dict[str, float]:
    """Method -> its score on the test rows."""
    learnt, test = task.draw("train", LEARNT, scale.learnt), task.draw("test", 0, scale.test)
    if task.kind == "series":
        return _of_series(learnt, test)
    asked, answers = learnt.target.numpy().reshape(len(learnt), -1), test.target.numpy().reshape(len(test), -1)
    commonest = np.array([np.bincount(column).argmax() for column in asked.T])
    found = {"commonest answer": float((answers == commonest).mean())}
    name = "logistic regression of token counts" if task.symbols else "logistic regression of pixels"
    # Of answers at several places one is learnt for all: counts say nothing of the order.
    rows = np.repeat(np.arange(len(learnt)), asked.shape[1])
    keep = np.random.default_rng(0).permutation(len(rows))[: scale.learnt]
    said = _regression(_features(task, learnt)[rows[keep]], asked.ravel()[keep]).predict(_features(task, test))
    return {**found, name: float((answers == said[:, None]).mean())}


def _of_series(learnt: Rows, test: Rows) -> dict[str, float]:
    x, y = test.inputs.numpy(), test.target.numpy()
    ridge = Ridge(PENALTY).fit(learnt.inputs.numpy(), learnt.target.numpy())
    return {
        "last value": float(((x[:, -1:] - y) ** 2).mean()),
        "ridge regression": float(((ridge.predict(x) - y) ** 2).mean()),
    }


def _regression(x: NDArray[np.float64], y: NDArray[np.int64]) -> Any:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    with warnings.catch_warnings():
        # Where the tokens say all, its weights grow without end; the answers are right long before.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, y)


def _features(task: LongTask, rows: Rows) -> NDArray[np.float64]:
    """(B, V) counts of tokens, (B, 2 V) of a pair and their products, or (B, L) pixels."""
    if not task.symbols:
        return rows.inputs.double().numpy()
    first = _counts(rows.inputs.numpy(), rows.mask.numpy(), task.symbols)
    if rows.beside is None:
        return first
    second = _counts(rows.beside[0].numpy(), rows.beside[1].numpy(), task.symbols)
    return np.concatenate([first * second, np.abs(first - second)], 1)


def _counts(tokens: NDArray[np.int64], mask: NDArray[np.bool_], symbols: int) -> NDArray[np.float64]:
    """Square roots of counts: a token more says less where there are many."""
    counts = np.zeros((len(tokens), symbols))
    rows, _ = np.nonzero(mask)
    np.add.at(counts, (rows, tokens[mask]), 1)
    return np.sqrt(counts)
