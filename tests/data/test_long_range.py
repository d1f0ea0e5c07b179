"""Tasks whose answer stands far before the question: made so that they can be solved, and only from where it stands."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsci.data.long_range import ANNOUNCE, ASK, FIRST, associative_recall, copying, passkey
from seqsci.errors import SeqsciError


@given(st.integers(0, 2**31), st.integers(2, 9), st.integers(2, 14), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_a_passkey_stands_once_before_the_last_segment(seed: int, segments: int, length: int, values: int):
    tokens, answers = passkey(seed, 20, segments=segments, length=length, values=values)
    assert tokens.shape == answers.shape == (20, segments * length + 1)
    assert (answers.sum(1) == 1).all() and answers[:, -1].all() and (tokens[:, -2] == ASK).all()
    for row in tokens:
        (place,) = np.flatnonzero(row == ANNOUNCE)
        assert place // length == (place + 1) // length < segments - 1
        assert row[place + 1] == row[-1] and FIRST <= row[-1] < FIRST + values
        between = np.delete(row[:-2], [place, place + 1])
        assert (between >= FIRST + values).all()


@given(st.integers(0, 2**31), st.integers(1, 8), st.integers(2, 14))
@settings(max_examples=40, deadline=None)
def test_each_segment_holds_a_pair_and_one_of_them_is_asked_for(seed: int, pairs: int, length: int):
    tokens, answers = associative_recall(seed, 20, pairs=pairs, length=length)
    assert tokens.shape == (20, pairs * length + 3) and (answers.sum(1) == 1).all() and answers[:, -1].all()
    for row in tokens:
        places = np.flatnonzero((row[:-3] >= FIRST) & (row[:-3] < FIRST + 8))
        assert (places // length == np.arange(pairs)).all() and len(set(row[places])) == pairs
        known = dict(zip(row[places], row[places + 1], strict=True))
        assert row[-3] == ASK and known[row[-2]] == row[-1]


def test_copying_tells_the_symbols_again():
    tokens, answers = copying(3, 50, symbols=5, gap=7)
    assert tokens.shape == (50, 18) and (tokens[:, 5:12] == ANNOUNCE).all() and (tokens[:, 12] == ASK).all()
    assert (tokens[answers].reshape(50, 5) == tokens[:, :5]).all() and len(np.unique(tokens[:, :5])) == 8


def test_seeds():
    makes = (
        lambda seed: passkey(seed, 9, segments=3, length=12),
        lambda seed: associative_recall(seed, 9, pairs=3, length=12),
        lambda seed: copying(seed, 9),
    )
    for make in makes:
        assert (make(1)[0] == make(1)[0]).all() and (make(1)[0] != make(2)[0]).any()


def test_no_room():
    with pytest.raises(SeqsciError, match="at least 2"):
        passkey(0, 1, segments=1, length=12)
    with pytest.raises(SeqsciError, match="9 pairs of 8 keys"):
        associative_recall(0, 1, pairs=9, length=12)
