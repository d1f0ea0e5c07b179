"""Whole sequences in batches: padding, order, and the deal to splits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsci.data.collection import Collection, Rows
from seqsci.data.loaders import EpochOrder, loader
from seqsci.data.splits import parse_shares, stratified
from seqsci.errors import SeqsciError


def rows(lengths: list[int]) -> Rows:
    total = sum(lengths)
    steps = torch.arange(total, dtype=torch.float32)
    return Rows(
        values=torch.stack([steps, -steps], 1) + 1,
        times=steps[:, None],
        kinds=torch.arange(total) % 6,
        offsets=torch.tensor([0, *np.cumsum(lengths)]),
        static=torch.arange(len(lengths), dtype=torch.float32)[:, None],
        target=torch.arange(len(lengths)),
    )


def test_a_batch_holds_the_rows_of_its_sequences_and_nothing_else():
    part = Collection(rows([3, 1, 4]), np.array([2, 0]))
    batch = part.__getitems__([0, 1])
    assert batch.mask.tolist() == [[True] * 4, [True, True, True, False]]
    assert batch.values[0, :, 0].tolist() == [5, 6, 7, 8] and batch.values[1, :, 0].tolist() == [1, 2, 3, 0]
    assert batch.times[1, :, 0].tolist() == [0, 1, 2, 0] and batch.kinds[1].tolist() == [0, 1, 2, 0]
    assert batch.target.tolist() == [2, 0] and batch.static[:, 0].tolist() == [2, 0]
    assert part[1].values.shape == (1, 3, 2)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(1, 7), st.integers(0, 3))
def test_an_epoch_holds_each_sequence_once(lengths: list[int], size: int, epoch: int):
    sizes = torch.tensor(lengths)
    order = EpochOrder(len(lengths), 5, size, sizes).permutation(epoch)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    part = Collection(rows(lengths), np.arange(len(lengths)))
    seen = [i for batch in loader(part, size, seed=5, lengths=sizes) for i in batch.index.tolist()]
    assert sorted(seen) == list(range(len(lengths)))
    assert sorted(i for batch in part.batches(size) for i in batch.index.tolist()) == list(range(len(lengths)))


def test_sequences_of_similar_length_share_a_batch_in_another_order_each_epoch():
    lengths = torch.randint(1, 100, (400,), generator=torch.Generator().manual_seed(0))
    orders = [EpochOrder(400, 1, 8, lengths).permutation(epoch) for epoch in (0, 1)]
    assert not torch.equal(*orders)
    spread = [lengths[order].view(-1, 8).float().std(1).mean() for order in orders]
    assert max(spread) < 8 < 25 < lengths.float().std()
    first = lengths[orders[0]].view(-1, 8)[:, 0]
    assert not torch.equal(first, first.sort().values)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 8)), min_size=30, max_size=120), st.integers(0, 9))
def test_the_deal_is_complete_and_keeps_groups_together(objects: list[tuple[str, int]], seed: int):
    labels = [label for label, _ in objects]
    groups = [None if group == 0 else f"{label}{group}" for label, group in objects]
    parts = stratified(labels, groups, (0.7, 0.15, 0.15), seed)
    assert sorted(np.concatenate(parts)) == list(range(len(objects)))
    where = {i: k for k, part in enumerate(parts) for i in part}
    for group in set(groups) - {None}:
        assert len({where[i] for i, other in enumerate(groups) if other == group}) == 1


def test_the_deal_gives_each_class_its_shares():
    labels = ["a"] * 700 + ["b"] * 100 + ["c"] * 20
    parts = stratified(labels, [None] * 820, (0.7, 0.15, 0.15), 0)
    counts = [[sum(labels[i] == name for i in part) for name in "abc"] for part in parts]
    assert counts == [[490, 70, 14], [105, 15, 3], [105, 15, 3]]
    again = stratified(labels, [None] * 820, (0.7, 0.15, 0.15), 0)
    other = stratified(labels, [None] * 820, (0.7, 0.15, 0.15), 1)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))
    assert not np.array_equal(parts[0], other[0])


@pytest.mark.parametrize("text", ["", "0.7,0.3", "0.7,0.2,0.2", "1,0,0", "a,b,c", "redshift>1"])
def test_shares_that_are_none(text: str):
    with pytest.raises(SeqsciError, match=r"data\.split"):
        parse_shares(text)
