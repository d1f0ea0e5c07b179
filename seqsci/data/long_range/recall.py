"""Simulated tasks whose answer stands far before the question.

Each gives `tokens (R, T + 1)` int64 and `answers (R, T + 1)` bool, True where a token is the answer to what stands
before it: a model reads `tokens[:, :-1]` and is asked for `tokens[:, 1:]` where `answers[:, 1:]` is True. Token 0 asks,
token 1 announces; what is to be remembered comes next, and then what stands between.

R rows, T tokens read, S segments of L tokens.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqsci.errors import SeqsciError

Task = tuple[NDArray[np.int64], NDArray[np.bool_]]
ASK, ANNOUNCE, FIRST = 0, 1, 2
"""The question, the sign before what is to be remembered, and the first of the other tokens."""


def passkey(seed: int, count: int, *, segments: int, length: int, values: int = 8, fillers: int = 8) -> Task:
    """One value, announced somewhere in one of the first S - 1 segments among random fillers, and asked for at the end.

    Args:
        seed: of all draws.
        count: R.
        segments: S, at least 2.
        length: L, at least 2.
        values: different values, tokens 2, 3, ...; by chance one in so many answers is right.
        fillers: different tokens between, which follow the values.

    Returns:
        Tokens and answers; T = S L, and the last token read is the question.

    Raises:
        SeqsciError: no room for the value before the last segment.
    """
    if segments < 2 or length < 2:
        raise SeqsciError(f"passkey: {segments} segments of {length} tokens; take at least 2 of at least 2")
    draw = np.random.default_rng(seed)
    tokens = draw.integers(FIRST + values, FIRST + values + fillers, (count, segments * length + 1))
    value = draw.integers(FIRST, FIRST + values, count)
    place = draw.integers(segments - 1, size=count) * length + draw.integers(length - 1, size=count)
    rows = np.arange(count)
    tokens[rows, place], tokens[rows, place + 1] = ANNOUNCE, value
    tokens[:, -2], tokens[:, -1] = ASK, value
    return tokens, _last(tokens, 1)


def associative_recall(
    seed: int, count: int, *, pairs: int, length: int, keys: int = 8, values: int = 8, fillers: int = 8
) -> Task:
    """One pair of key and value in each of the first S - 1 segments; the last is the question and one of the keys.

    Args:
        seed: of all draws.
        count: R.
        pairs: S - 1, at most as many as keys.
        length: L, at least 2.
        keys: different keys, tokens 2, 3, ...; no key stands in a row twice before it is asked for.
        values: different values, which follow the keys.
        fillers: different tokens between, which follow the values.

    Returns:
        Tokens and answers; T = (S - 1) L + 2.

    Raises:
        SeqsciError: more pairs than keys, or no room for a pair.
    """
    if not 1 <= pairs <= keys or length < 2:
        raise SeqsciError(
            f"associative recall: {pairs} pairs of {keys} keys in segments of {length} tokens; take 1 to "
            f"{keys} pairs and at least 2 tokens"
        )
    draw = np.random.default_rng(seed)
    low = FIRST + keys + values
    tokens = draw.integers(low, low + fillers, (count, pairs * length + 3))
    key = FIRST + draw.permuted(np.tile(np.arange(keys), (count, 1)), axis=1)[:, :pairs]
    value = draw.integers(FIRST + keys, low, (count, pairs))
    place = np.arange(pairs) * length + draw.integers(length - 1, size=(count, pairs))
    rows = np.arange(count)
    tokens[rows[:, None], place], tokens[rows[:, None], place + 1] = key, value
    asked = draw.integers(pairs, size=count)
    tokens[:, -3], tokens[:, -2], tokens[:, -1] = ASK, key[rows, asked], value[rows, asked]
    return tokens, _last(tokens, 1)


def copying(seed: int, count: int, *, symbols: int = 10, gap: int = 100, values: int = 8) -> Task:
    """Symbols, a gap of one blank token, and the question, after which the symbols are to be told in their order.

    The copying task of Hochreiter and Schmidhuber (1997) in the form of Arjovsky et al. (2016, arXiv 1511.06464).

    Args:
        seed: of all draws.
        count: R.
        symbols: to be remembered.
        gap: blank tokens between.
        values: different symbols, tokens 2, 3, ...; the blank is token 1.

    Returns:
        Tokens and answers; T = 2 `symbols` + `gap`.
    """
    draw = np.random.default_rng(seed)
    told = draw.integers(FIRST, FIRST + values, (count, symbols))
    blank = np.full((count, gap), ANNOUNCE, dtype=np.int64)
    tokens = np.concatenate([told, blank, np.full((count, 1), ASK, dtype=np.int64), told], 1)
    return tokens, _last(tokens, symbols)


def _last(tokens: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    answers = np.zeros(tokens.shape, dtype=np.bool_)
    answers[:, -n:] = True
    return answers
