"""The LSTF protocol: borders, windows, splits, scaling."""

import numpy as np
import pytest
import torch

from seqsci.data import splits
from seqsci.data.loaders import loader
from seqsci.data.windows import Table, Windows, fill_gaps, require_windows
from seqsci.errors import SeqsciError


def ramp(rows: int = 40, channels: int = 2) -> Table:
    values = torch.arange(rows * channels, dtype=torch.float32).view(rows, channels)
    observed = torch.ones(rows, channels, dtype=torch.bool)
    marks = torch.arange(rows, dtype=torch.float32)[:, None]
    return Table(values, observed, marks, torch.tensor([channels - 1]))


def test_windows_of_a_later_split_reach_back_so_that_their_number_does_not_depend_on_the_context():
    for context in (2, 5, 10):
        windows = Windows(ramp(), (20, 30), context, 4)
        assert len(windows) == 30 - 20 - 4 + 1
        batch = windows[0]
        assert batch.times[0, :, 0].tolist() == list(range(20 - context, 20))
        assert batch.future_times[0, :, 0].tolist() == [20, 21, 22, 23]
        assert batch.target[0, :, 0].tolist() == [41, 43, 45, 47]
        assert windows[6].future_times[0, -1, 0] == 29


def test_training_windows_need_their_context():
    assert len(Windows(ramp(), (0, 20), 5, 4)) == 20 - 5 - 4 + 1


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_no_window_is_lost_whatever_the_batch_size(size):
    windows = Windows(ramp(), (20, 40), 5, 4)
    for batches in (windows.batches(size), loader(windows, size), loader(windows, size, seed=1)):
        seen = torch.cat([batch.index for batch in batches])
        assert sorted(seen.tolist()) == list(range(17))


def test_the_published_borders_of_etth1():
    rows = splits.borders(8640, 2880, 2880, 17420)
    table = Table(
        torch.zeros(17420, 1),
        torch.ones(17420, 1, dtype=torch.bool),
        torch.zeros(17420, 1),
        torch.tensor([0]),
    )
    assert len(Windows(table, rows.test, 96, 24)) == 2857
    assert len(Windows(table, rows.test, 336, 720)) == 2161
    with pytest.raises(SeqsciError, match="needs 14400 rows and the table has 100"):
        splits.borders(8640, 2880, 2880, 100)


def test_fractions_and_dates():
    times = np.arange("2020-01-01", "2020-04-10", dtype="datetime64[D]").astype("datetime64[us]")
    assert splits.parse("0.7,0.1,0.2", times) == splits.Splits((0, 70), (70, 80), (80, 100))
    assert splits.parse("2020-03-01, 2020-03-11", times) == splits.Splits((0, 60), (60, 70), (70, 100))
    bad = {
        "0.7,0.1,0.3": "sum 1",
        "a,b,c": "neither",
        "a,b": "neither",
        "2021-01-01,2021-02-01": "inside",
        "1": "neither",
    }
    for text, message in bad.items():
        with pytest.raises(SeqsciError, match=message):
            splits.parse(text, times)


def test_gaps_are_filled_from_the_past_alone():
    nan = np.nan
    short = np.array([[nan, 1], [2, nan], [nan, nan], [5, 6]])
    for season in (1, 4, 24):
        assert fill_gaps(short, season).tolist() == [[0, 1], [2, 1], [2, 1], [5, 6]]
    draw = np.random.default_rng(0)
    values = draw.normal(size=(200, 3))
    values[draw.random(values.shape) < 0.3] = nan
    values[:70, 2] = nan
    for season in (1, 7, 24):
        filled = fill_gaps(values, season)
        np.testing.assert_array_equal(filled[~np.isnan(values)], values[~np.isnan(values)].astype(np.float32))
        assert not filled[:70, 2].any()
        for end in (90, 143):
            later = values.copy()
            later[end:] = 1e3
            np.testing.assert_array_equal(fill_gaps(later, season)[:end], filled[:end])


def test_a_gap_goes_on_as_the_days_before_from_where_it_began():
    day = 10 * np.sin(np.arange(240) * 2 * np.pi / 24)
    values = np.stack([day, day], 1)
    values[100:, 1] += 4
    gap = values.copy()
    gap[110:175] = np.nan
    filled = fill_gaps(gap, 24)
    np.testing.assert_allclose(filled[:, 0], values[:, 0], atol=1e-4)
    left = (filled[:, 1] - day)[110:175]
    # The level changed within the last day, of which what was seen after 100 is repeated from the second day on.
    assert left[0] == pytest.approx(4 * 0.5**0.5, abs=1e-4)
    assert (np.diff(left[:14]) < 0).all() and left[13] < 0.1
    assert abs(filled[110:175, 1] - values[110:175, 1]).mean() < 4


def test_too_few_rows_are_refused():
    with pytest.raises(SeqsciError, match="10 rows are too few: with context 96 and horizon 24 .* train, val"):
        require_windows({"train": 0, "val": -3, "test": 2}, 10, 96, 24)


def test_the_order_goes_on_in_the_middle_of_an_epoch():
    windows = Windows(ramp(), (0, 40), 5, 4)
    first = loader(windows, 4, seed=3)
    iterator = iter(first)
    for _ in range(3):
        next(iterator)
    state = first.state_dict()
    rest = [batch.index.tolist() for batch in iterator]
    second = loader(windows, 4, seed=3)
    second.load_state_dict(state)
    assert [batch.index.tolist() for batch in second] == rest
