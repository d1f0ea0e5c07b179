"""The nearest in size, wherever networks of equal size are asked for."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from seqsci.models.t2 import T2Encoder
from seqsci.nn.sized import nearest_in_size, parameters
from seqsci.training.long_range.encoders import sized
from seqsci.training.long_range.scales import SCALES


@given(st.lists(st.integers(1, 10_000), min_size=1, unique=True).map(sorted), st.integers(0, 12_000))
def test_it_is_the_nearest_and_of_two_the_smaller(sizes: list[int], target: int) -> None:
    best = min(abs(size - target) for size in sizes)
    assert nearest_in_size(sizes, target, int) == next(size for size in sizes if abs(size - target) == best)


def test_candidates_without_end_are_not_read_beyond_the_answer() -> None:
    seen: list[int] = []

    def count(size: int) -> int:
        seen.append(size)
        return size

    assert nearest_in_size(itertools.count(10, 10), 34, count) == 30
    assert seen == [10, 20, 30, 40]


def test_none_to_choose_from() -> None:
    with pytest.raises(ValueError, match="no candidates"):
        nearest_in_size([], 10, int)


def test_parameters_are_those_that_are_learnt() -> None:
    network = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2, bias=False), nn.BatchNorm1d(2))
    assert parameters(network) == 3 * 5 + 5 + 5 * 2 + 2 * 2
    network[0].requires_grad_(False)
    assert parameters(network) == 5 * 2 + 2 * 2


WIDTHS = {
    "transformer": 40,
    "t2": 40,
    "informer": 40,
    "fcn": 40,
    "bioxlstm": 40,
    "hmt/t2": 40,
    "patched/transformer": 24,
}
"""Those of the benchmark's recorded runs."""


@pytest.mark.parametrize(("model", "width"), WIDTHS.items())
def test_the_widths_of_the_long_range_benchmark(model: str, width: int) -> None:
    assert sized(model, SCALES["small"]).width == width


def test_a_cell_draws_behind_the_search() -> None:
    """Else its weights are not those of the recorded runs."""
    torch.manual_seed(3)
    found = sized("t2", SCALES["small"])
    drawn = torch.rand(1)
    torch.manual_seed(3)
    for width in range(8, found.width + 9, 8):
        T2Encoder(replace(found, width=width, feedforward=4 * width))
    assert torch.equal(torch.rand(1), drawn)
