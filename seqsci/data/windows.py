"""Sliding windows over one long table, cut by index and never copied ahead.

The LSTF protocol (Zhou et al. 2021 and all that follow): a window of a later split may reach back into the
earlier one for its context, so the number of windows does not depend on the context, and every window counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from seqsci.data.batch import Batch
from seqsci.errors import SeqsciError

HALVES = 12
"""How often in a season of a gap what was last seen counts half as much."""


@dataclass(frozen=True)
class Table:
    """The scaled table that windows are cut from.

    `values (N, C)` with gaps filled, `observed (N, C)`, `marks (N, T)`; `outputs (C_out,)` says
    which channels are forecast.
    """

    values: Tensor
    observed: Tensor
    marks: Tensor
    outputs: Tensor


def fill_gaps(values: NDArray[np.float64], season: int) -> NDArray[np.float32]:
    """Unobserved entries of (N, C) from the past of their channel alone.

    Each is that of a season before, itself filled in if need be, plus the departure that the last observed entry had
    from its own season before, which halves with every `HALVES`-th of a season: a short gap goes on where it began, a
    long one as on the days before. In the first season the last observed entry is repeated; before it all is 0, the
    mean.

    Args:
        values: NaN where nothing was observed.
        season: S steps of a season; with 1 the last observed entry is repeated.
    """
    observed = ~np.isnan(values)
    rows = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(observed, rows, -1), axis=0)
    filled = np.where(last < 0, 0, np.take_along_axis(np.nan_to_num(values), last.clip(0), axis=0))
    if season == 1:
        return filled.astype(np.float32)
    # What lies a season back is known: from the first observed entry on.
    back = (rows - season >= np.argmax(observed, axis=0)) & observed.any(0)
    departures = np.zeros_like(filled)
    for begin in range(season, len(values), season):
        part = slice(begin, begin + season)
        before = filled[begin - season : begin - season + len(filled[part])]
        seen = observed[part] & back[part]
        departures[part][seen] = (filled[part] - before)[seen]
        gap = ~observed[part] & back[part]
        left = np.take_along_axis(departures, last[part].clip(0), axis=0)
        left *= 0.5 ** (HALVES * (rows[part] - last[part]) / season)
        filled[part][gap] = (before + left)[gap]
    return filled.astype(np.float32)


class Windows(Dataset[Batch]):
    """Every window whose horizon lies in `rows`.

    Window i forecasts the rows `first + i .. first + i + horizon - 1` from the `context` rows before them.
    """

    def __init__(self, table: Table, rows: tuple[int, int], context: int, horizon: int) -> None:
        self.table = table
        self.first = max(rows[0], context)
        self.count = rows[1] - self.first - horizon + 1
        self._past = torch.arange(-context, 0)
        self._future = torch.arange(horizon)

    def __len__(self) -> int:
        return max(self.count, 0)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """All windows of a batch by one gather."""
        index = torch.as_tensor(indices)
        origin = (index + self.first)[:, None]
        past, future = origin + self._past, origin + self._future
        table = self.table
        return Batch(
            values=table.values[past],
            mask=table.observed[past].any(-1),
            times=table.marks[past],
            future_times=table.marks[future],
            target=table.values[future][..., table.outputs],
            target_mask=table.observed[future][..., table.outputs],
            index=index,
        )

    @property
    def origins(self) -> NDArray[np.int64]:
        """Row of the first forecast step of each window."""
        return self.first + np.arange(len(self))

    def batches(self, size: int) -> Iterator[Batch]:
        """All windows in order."""
        for start in range(0, len(self), size):
            yield self.__getitems__(range(start, min(start + size, len(self))))


def last_window(table: Table, end: int, context: int, future_marks: Tensor) -> Batch:
    """The one window that forecasts past row `end` (exclusive); there is no target."""
    past = slice(end - context, end)
    return Batch(
        values=table.values[past][None],
        mask=table.observed[past].any(-1)[None],
        times=table.marks[past][None],
        future_times=future_marks[None],
        index=torch.zeros(1, dtype=torch.int64),
    )


def require_windows(counts: dict[str, int], rows: int, context: int, horizon: int) -> None:
    """Refuse a table that is too short.

    Raises:
        SeqsciError: saying which split has no window and how many rows there are.
    """
    empty = [name for name, count in counts.items() if count < 1]
    if empty:
        fits = context + counts.get("train", 1) - 1
        shorter = f"data.context (to {fits} at most)" if "train" in empty and fits > 0 else "data.context"
        raise SeqsciError(
            f"data: {rows} rows are too few: with context {context} and horizon {horizon} no window is left for "
            f"{', '.join(empty)}; shorten {shorter} or data.horizon, or give more rows"
        )
