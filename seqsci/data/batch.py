"""What flows from a domain to a model.

Legend of the whole project: B batch, L context length, C channels, T marks, D width, V vocabulary,
H horizon, S series of a collection, N rows of a collection.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Sequences:
    """A collection of sequences, stored end to end, in the units of the file they came from.

    `values (N, C)` float64, NaN where nothing was observed; `times (N,)` datetime64[us], or float days;
    `offsets (S+1,)`: sequence s is rows `offsets[s]:offsets[s+1]`; `ids (S,)` names the sequences and
    `channels (C,)` the columns. `known (N, K)` holds what is known of the future as well (covariates),
    named by `known_names`; it may be longer than the observations: the last `tail` rows of each sequence
    hold only these. `step` is the regular distance in time as polars writes it ("1h", "15m", "1mo"), or ""
    where there is none; `notes` says in plain sentences what reading has changed.
    """

    values: NDArray[np.float64]
    times: NDArray[np.generic]
    offsets: NDArray[np.int64]
    ids: tuple[str, ...]
    channels: tuple[str, ...]
    known: NDArray[np.float64]
    known_names: tuple[str, ...] = ()
    step: str = ""
    tail: int = 0
    notes: tuple[str, ...] = ()
    simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Tensors of B windows. Scaled units.

    `values (B, L, C)`: the context; an unobserved entry repeats the last observed one (0 before the first).
    `mask (B, L)`: True where at least one channel was observed.
    `times (B, L, T)`: calendar marks in [-0.5, 0.5], then the known covariates.
    `future_times (B, H, T)`: the same for the steps to forecast.
    `target (B, H, C_out)` and `target_mask`, True where observed; None when there is nothing to compare with.
    `index (B,)`: number of the window in its split.
    """

    values: Tensor
    mask: Tensor
    times: Tensor
    future_times: Tensor
    index: Tensor
    target: Tensor | None = None
    target_mask: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device) for k, v in moved.items() if v is not None})

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a model must know of its data before it is built.

    `context` L, `horizon` H, `channels` C read, `outputs` C_out forecast, `marks` T;
    `output_index (C_out,)`: which of the C channels are forecast; `level`: what is taken off a window first,
    "none", "last" or "mean".
    """

    context: int
    horizon: int
    channels: int
    outputs: int
    marks: int
    output_index: tuple[int, ...]
    level: str = "none"
