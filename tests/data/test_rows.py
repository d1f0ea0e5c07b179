"""Rows of tokens: letters and back, what is asked of them, and draws that are a function of the item's number."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqsci.data.loaders import EpochOrder
from seqsci.data.records import BEGIN, END, MASK, PAD, SEPARATOR, SPECIALS, Letters, Parts, Records
from seqsci.data.rows import Row, ask_hidden, ask_next
from seqsci.errors import SeqsciError

DNA = Letters("ACGTN", {"A": "T", "T": "A", "C": "G", "G": "C"})


@given(st.text("ACGTN", max_size=50))
def test_letters_come_back(text):
    assert DNA.decode(DNA.encode(text)) == text


def test_complements_pair_letters_and_leave_specials():
    pairs = DNA.complements
    assert "".join(DNA.symbols[pairs[token]] for token in DNA.encode("ACGTN")) == "TGCAN"
    assert pairs[: len(SPECIALS)].tolist() == list(range(len(SPECIALS)))


@pytest.mark.parametrize("text", ["ACXT", "acGT", "AC T", "ACé"])
def test_an_unknown_symbol_is_named_with_its_place(text):
    at = next(i for i, letter in enumerate(text) if letter not in "ACGTN")
    with pytest.raises(SeqsciError, match=f"r1, position {at + 1}: {text[at]!r}"):
        DNA.encode(text, "r1")


def test_a_set_begins_its_positions_anew_at_each_record():
    row = Row.set([DNA.encode("ACG"), DNA.encode("TT")])
    assert row.tokens.tolist() == [BEGIN, *DNA.encode("ACG"), SEPARATOR, *DNA.encode("TT"), END]
    assert row.positions.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


def test_the_next_token_is_asked_for_and_padding_is_not():
    rows = [Row.of(DNA.encode("ACGT")), Row.of(DNA.encode("C"))]
    batch = ask_next(rows, [4, 9])
    assert batch.tokens.shape == (2, 5)
    for number, row in enumerate(rows):
        length = len(row) - 1
        assert batch.tokens[number, :length].tolist() == row.tokens[:-1].tolist()
        assert batch.target[number, :length].tolist() == row.tokens[1:].tolist()
        assert batch.target_mask[number].sum() == batch.mask[number].sum() == length
        assert not batch.tokens[number, length:].any()  # the <end> of a short row must not be read as one of its own
    assert batch.index.tolist() == [4, 9]


def test_hidden_tokens_are_letters_of_which_most_are_masked():
    rng = np.random.default_rng(0)
    rows = [Row.of(rng.integers(len(SPECIALS), len(DNA.symbols), 400).astype(np.uint8)) for _ in range(50)]
    batch = ask_hidden(rows, range(50), len(DNA.symbols), [np.random.default_rng(i) for i in range(50)])
    asked = batch.target_mask
    assert 0.13 < asked.float().sum() / (50 * 400) < 0.17
    assert (batch.target[asked] >= len(SPECIALS)).all()
    assert 0.77 < (batch.tokens[asked] == MASK).float().mean() < 0.83
    assert (batch.tokens[~asked] == batch.target[~asked]).all()


def test_one_letter_at_least_is_hidden():
    for seed in range(20):
        batch = ask_hidden([Row.of(DNA.encode("AC"))], [0], len(DNA.symbols), [np.random.default_rng(seed)])
        assert 1 <= int(batch.target_mask.sum()) <= 2
        assert PAD not in batch.tokens


def test_a_record_keeps_its_letters_and_its_lengths():
    records = Records(frame=pl.DataFrame({"id": ["a", "b"], "sequence": ["ACGT", "GG"]}))
    assert records.lengths.tolist() == [4, 2]
    assert records.text(0, 1, 3) == "CG"
    parts = Parts.whole(records, ["train", "test"])
    assert parts.frame.rows() == [(0, 0, 4, "train"), (1, 0, 2, "test")]


def test_an_epoch_of_some_rows_draws_them_anew():
    order = EpochOrder(100, seed=3, size=4, fresh=True, most=10)
    first, second = order.permutation(0), order.permutation(1)
    assert len(order) == len(first) == len(second) == 10
    assert first.max() < 100 <= second.min()
    assert set((second - 100).tolist()) != set(first.tolist())
    assert order.permutation(0).tolist() == first.tolist()
