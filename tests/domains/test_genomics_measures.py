"""Features, copies, and what generated DNA is worth: by hand, and against slow but obvious code."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsci.domains.genomics import assess, copies, features, reverse_complement
from seqsci.domains.genomics.assess import divergence
from seqsci.domains.genomics.copies import longest_copies
from seqsci.errors import SeqsciError

DNA = st.text(alphabet="ACGT", max_size=40)


def draw(rng: np.random.Generator, length: int, p: tuple = (0.25, 0.25, 0.25, 0.25)) -> str:
    return "".join(rng.choice(list("ACGT"), length, p=p))


def test_features_by_hand() -> None:
    found = features(["AAC", "G"])
    assert found.shape == (2, 340) and found.dtype == np.float32
    assert found[0, :4].tolist() == [2, 1, 0, 0] and found[1, :4].tolist() == [0, 0, 1, 0]
    assert found[0, 4:20].nonzero()[0].tolist() == [0, 1]  # AA, AC
    assert found[0, 20:84].nonzero()[0].tolist() == [1]  # AAC
    assert found[0, 84:].sum() == 0 and found[1, 4:].sum() == 0


def test_positions_count_where_all_have_one_length() -> None:
    found = features(["AN", "TC"])
    assert found.shape == (2, 348)
    assert found[0, 340:].tolist() == [1, 0, 0, 0, 0, 0, 0, 0] and found[1, 340:].tolist() == [0, 0, 0, 1, 0, 1, 0, 0]
    assert found[0, :4].tolist() == [1, 0, 0, 0] and found[0, 4:20].sum() == 0
    assert features(["A" * 2001, "C" * 2001]).shape == (2, 340)
    assert features([]).shape == (0, 340)


@given(DNA)
@settings(max_examples=30, deadline=None)
def test_features_count_words(text: str) -> None:
    found = features([text, "N" * (len(text) + 1)])
    assert not found[1].any()
    words = [a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT"]
    counted = [sum(text[i : i + 3] == word for i in range(len(text))) for word in words]
    assert found[0, 20:84].tolist() == counted


def longest(text: str, training: list[str]) -> int:
    spans = [(i, j) for i in range(len(text)) for j in range(i + 1, len(text) + 1)]
    return max((j - i for i, j in spans if any(text[i:j] in other for other in training)), default=0)


@given(
    st.lists(st.text(alphabet="ACN", max_size=40), min_size=1, max_size=4),
    st.lists(st.text(alphabet="ACN", max_size=60), max_size=4),
)
@settings(max_examples=150, deadline=None)
def test_longest_copies_are_those_of_a_search(generated: list[str], training: list[str]) -> None:
    wanted = [longest(text, training) for text in generated]
    assert longest_copies(generated, training).tolist() == wanted
    before, copies.PIECE = copies.PIECE, 7
    try:
        assert longest_copies(generated, training).tolist() == wanted
    finally:
        copies.PIECE = before


def test_long_copies_are_exact() -> None:
    rng = np.random.default_rng(0)
    training = draw(rng, 100_000)
    pieces = {49: 10, 50: 20_000, 777: 40_000}
    generated = ["N" + training[start : start + length] + "N" for length, start in pieces.items()]
    assert longest_copies(generated, ["ACGT", training]).tolist() == list(pieces)


def test_assess() -> None:
    rng = np.random.default_rng(1)
    training = [draw(rng, 3000) for _ in range(4)]
    own = [draw(rng, 200) for _ in range(30)]
    copies = [training[0][50:250], reverse_complement(training[1][9:209])]
    joined = draw(rng, 100) + training[2][:60]
    found = assess([*own, *own[:6], *copies, joined, "ACX", ""], training)
    json.dumps(found)
    assert (found["generated"], found["valid_count"], found["distinct"], found["training"]) == (41, 39, 33, 4)
    assert found["valid"]["value"] == pytest.approx(39 / 41)
    assert found["unique"]["value"] == pytest.approx(33 / 39)
    assert found["novel"]["value"] == pytest.approx(37 / 39)
    assert found["copied_50"]["value"] == pytest.approx(3 / 39)
    assert found["longest_copy_most"] == 200
    shares = [value for value in found.values() if isinstance(value, dict)]
    assert len(shares) == 8 and found["unique"]["low"] is None
    assert all(one["low"] <= one["value"] <= one["high"] for one in shares if one is not found["unique"])
    letters = "".join([*own, *own[:6], *copies, joined])
    assert found["gc"]["value"] == pytest.approx((letters.count("G") + letters.count("C")) / len(letters))
    assert 0 < found["gc"]["high"] - found["gc"]["low"] < 0.06
    assert found == assess([*own, *own[:6], *copies, joined, "ACX", ""], training)


def test_divergence_tells_composition_and_knows_its_floor() -> None:
    rng = np.random.default_rng(2)
    training = [draw(rng, 50_000)]
    same = assess([draw(rng, 500) for _ in range(40)], training)
    other = assess([draw(rng, 500, (0.4, 0.1, 0.1, 0.4)) for _ in range(40)], training)
    for k in (3, 6):
        assert same[f"divergence_{k}"]["value"] < 2 * same[f"divergence_{k}_training"]
        assert other[f"divergence_{k}"]["low"] > 2 * same[f"divergence_{k}"]["high"]
    assert divergence(np.array([1.0, 0]), np.array([0, 5.0])) == 1
    assert divergence(np.array([1.0, 1]), np.array([5.0, 5])) == 0
    assert divergence(np.array([1.0, 0]), np.array([1.0, 1])) == pytest.approx(0.3112781)


def test_intervals_of_certain_shares_and_of_few_sequences() -> None:
    rng = np.random.default_rng(3)
    training = [draw(rng, 3000)]
    found = assess([draw(rng, 100)] * 20, training)
    assert found["unique"] == {"value": 1 / 20, "low": None, "high": None}
    assert found["valid"]["value"] == 1 and found["valid"]["low"] == pytest.approx(0.8389, abs=1e-4)
    assert found["copied_50"]["value"] == 0 and found["copied_50"]["high"] == pytest.approx(0.1611, abs=1e-4)
    few = assess([draw(rng, 100) for _ in range(19)], training)
    assert few["divergence_3"]["low"] is None and few["divergence_3"]["value"] > 0
    assert few["gc"]["low"] < few["gc"]["value"] < few["gc"]["high"]
    fewer = assess([draw(rng, 100) for _ in range(9)], training)
    assert fewer["gc"]["low"] is fewer["longest_copy"]["low"] is None and 0.3 < fewer["gc"]["value"] < 0.7


def test_nothing_valid_and_nothing_at_all() -> None:
    found = assess(["<mask>", "ac"], ["ACGT"])
    json.dumps(found)
    assert found["valid"]["value"] == 0 and found["gc"] is None and found["divergence_3"] is None
    assert assess(["A"], ["ACGT"])["divergence_6"] is None
    with pytest.raises(SeqsciError, match="there are no generated sequences"):
        assess([], ["A"])
    with pytest.raises(SeqsciError, match="there are no training sequences"):
        assess(["A"], [])
