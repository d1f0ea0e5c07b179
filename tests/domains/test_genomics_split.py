"""No test letter is near a train letter, nothing equal stands on both sides, and impossible wishes are refused."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsci.data.records import Parts, Records
from seqsci.domains.genomics import IndexedRecords, load, reverse_complement, split
from seqsci.domains.genomics.split import GAP, LONG
from seqsci.errors import SeqsciError

SHARES = (0.8, 0.1, 0.1)


def records(texts: list[str], **columns: list) -> Records:
    return Records(frame=pl.DataFrame({"id": [f"r{i}" for i in range(len(texts))], "sequence": texts, **columns}))


def random(lengths: list[int], seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), length)) for length in lengths]


def letters(parts: Parts, lengths: list[int]) -> list[np.ndarray]:
    """Split of each letter of each record, "" for those left out; no letter is in two."""
    owner = [np.full(length, "", dtype="<U5") for length in lengths]
    for record, start, stop, name in parts.frame.rows():
        assert 0 <= start < stop <= lengths[record]
        assert (owner[record][start:stop] == "").all()
        owner[record][start:stop] = name
    return owner


@given(
    st.lists(st.integers(1, 3 * LONG), min_size=1, max_size=6),
    st.tuples(*[st.floats(0.05, 1)] * 3),
    st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_no_test_letter_is_within_the_gap_of_a_train_letter(
    lengths: list[int], weights: tuple[float, float, float], seed: int
) -> None:
    lengths = [max(lengths[0], LONG), *lengths[1:]]
    shares = tuple(weight / sum(weights) for weight in weights)
    parts = split(records(random(lengths)), "region", shares, seed)
    assert parts.frame.equals(split(records(random(lengths)), "region", shares, seed).frame)
    assert parts.frame.schema == {"record": pl.Int64, "start": pl.Int64, "stop": pl.Int64, "split": pl.String}
    for owner in letters(parts, lengths):
        used = np.flatnonzero(owner != "")
        names = owner[used]
        change = np.flatnonzero(names[1:] != names[:-1])
        assert (used[change + 1] - used[change] == GAP + 1).all()
        if len(owner) < LONG:
            assert len(set(owner)) == 1 and len(used) == len(owner)
        else:
            assert names[np.r_[0, change + 1]].tolist() == ["train", "val", "test"]
            assert len(used) == len(owner) - 2 * GAP
            for name, share in zip(("train", "val", "test"), shares, strict=True):
                assert abs((names == name).sum() - share * len(used)) <= 2


def test_regions_say_what_is_left_out() -> None:
    parts = split(records(random([10_000, 500])), "auto", SHARES, 0)
    assert parts.frame.filter(pl.col("record") == 0).rows() == [
        (0, 0, 6400, "train"),
        (0, 7400, 8200, "val"),
        (0, 9200, 10_000, "test"),
    ]
    assert "2000 letters (1000 between two regions) are left out" in parts.notes[0]
    assert "1 record of fewer than 4000 letters went whole" in parts.notes[1]


def test_auto() -> None:
    few, many = records(random([LONG] * 5)), records(random([LONG] * 40))
    assert split(few, "auto", SHARES, 0).frame.height == 15
    assert split(many, "auto", SHARES, 0).frame.height == 40
    assert split(few, "record", (0.6, 0.2, 0.2), 0).frame.height == 5
    short = records(random([50] * 20))
    assert split(short, "auto", SHARES, 0).frame["split"].value_counts().sort("count")["count"].to_list() == [2, 2, 16]


def test_records_are_dealt_by_seed_and_class() -> None:
    labels = ["a"] * 100 + ["b"] * 20
    set_ = records(random([30] * 120), label=labels)
    one = split(set_, "record", SHARES, 1)
    assert one.frame.equals(split(set_, "record", SHARES, 1).frame)
    assert not one.frame.equals(split(set_, "record", SHARES, 2).frame)
    test = one.frame.with_columns(label=pl.Series(labels)).filter(pl.col("split") == "test")
    assert test["label"].value_counts().sort("label")["count"].to_list() == [10, 2]


@pytest.mark.parametrize("seed", range(5))
def test_equal_records_and_groups_stay_together(seed: int) -> None:
    unique = random([40] * 30)
    texts = [*unique, *unique, *(reverse_complement(text) for text in unique)]
    groups = [*(f"g{i // 2}" for i in range(30)), *[None] * 60]
    parts = split(records(texts, group=groups), "record", SHARES, seed)
    names = parts.frame["split"].to_numpy().reshape(3, 15, 2)
    assert (names == names[:1, :, :1]).all()
    assert "75 records that share their group or all letters with another stay with it" in parts.notes


def test_the_split_of_the_set_wins() -> None:
    own = ["train"] * 10 + ["test"] * 5
    set_ = records(random([50] * 15), split=own)
    parts = split(set_, "auto", SHARES, 0)
    names = parts.frame["split"].to_list()
    assert names[10:] == ["test"] * 5 and set(names[:10]) == {"train", "val"}
    assert "taken for val" in parts.notes[1]
    full = records(random([50] * 3), split=["val", "test", "train"])
    assert split(full, "auto", SHARES, 0).frame["split"].to_list() == ["val", "test", "train"]
    assert split(set_, "record", SHARES, 0).frame["split"].to_list() != own
    with pytest.raises(SeqsciError, match="no record is of test"):
        split(records(random([50] * 2), split=["train", "val"]), "auto", SHARES, 0)
    with pytest.raises(SeqsciError, match="a record is of none"):
        split(records(random([50] * 3), split=["train", "test", None]), "auto", SHARES, 0)


@pytest.mark.parametrize(
    ("lengths", "by", "shares", "part"),
    [
        ([50] * 10, "chromosome", SHARES, "data.split: there is no 'chromosome'"),
        ([50] * 10, "auto", (0.8, 0.1, 0.2), "0.8,0.1,0.2 are not three positive shares with sum 1"),
        ([50] * 10, "auto", (0.9, 0.1, 0.0), "are not three positive shares"),
        ([50] * 10, "auto", (0.9, 0.2, -0.1), "are not three positive shares"),
        ([50] * 10, "auto", (float("nan"), 0.1, 0.1), "are not three positive shares"),
        ([50, 50], "record", SHARES, "2 records cannot be divided into train, val and test"),
        ([50, 50], "auto", SHARES, "2 records cannot be divided into train, val and test"),
        ([LONG, 9], "record", SHARES, "other shares, or data.split region"),
        ([LONG - 1], "record", SHARES, "1 record cannot be divided"),
        ([LONG - 1], "auto", SHARES, "other shares, or one of 4000 letters or more"),
        ([LONG - 1], "region", SHARES, "no record has 4000 letters"),
        ([LONG - 1], "region", SHARES, "1000 letters apart; give a longer one, or at least 3 that differ"),
        ([LONG - 1] * 3, "region", SHARES, "1000 letters apart; take data.split record"),
    ],
)
def test_impossible_wishes_are_refused(lengths: list[int], by: str, shares: tuple, part: str) -> None:
    with pytest.raises(SeqsciError) as error:
        split(records(random(lengths)), by, shares, 0)
    assert part in str(error.value)


def test_a_refusal_tells_what_was_skipped() -> None:
    found, _ = load(["ACGT", "AC!T", "AC?T"], invalid="skip")
    with pytest.raises(SeqsciError, match=r"1 record cannot be .*\(the list: 2 records were left out as invalid, the"):
        split(found, "record", SHARES, 0)


def test_records_on_the_disk_are_split_without_reading_them(tmp_path) -> None:
    sizes = np.array([20_000, 20_000, 20_000, 10])
    names = tuple("abcd")
    nowhere = tmp_path / "absent.fa"
    large = IndexedRecords(frame=pl.DataFrame({"id": names}), path=nowhere, index=nowhere, sizes=sizes, names=names)
    assert split(large, "auto", SHARES, 0).frame.height == 10
    assert split(large, "record", (0.5, 0.25, 0.25), 0).frame["stop"].to_list() == sizes.tolist()
