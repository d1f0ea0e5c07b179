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
    where there is none; `zone` is the time zone of the file, whose times are then in UTC ("": none); `notes` says in
    plain sentences what reading has changed. `kinds (N,)` says which of some kinds a row is (a light curve's
    passband), and `static (S, K)`, named by `static_names`, what holds for a whole sequence, NaN where it is not known.
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
    zone: str = ""
    kinds: NDArray[np.int64] | None = None
    static: NDArray[np.float64] | None = None
    static_names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Tensors of B windows or whole sequences. Scaled units.

    `values (B, L, C)`: the context; an unobserved entry is filled in from the past (`windows.fill_gaps`).
    `mask (B, L)`: True where at least one channel was observed.
    `times (B, L, T)`: calendar marks in [-0.5, 0.5], then the known covariates; or days.
    `index (B,)`: number of the window or sequence in its split.
    `future_times (B, H, T)`: the marks of the steps to forecast.
    `kinds (B, L)`: which of V kinds a step is, such as its passband.
    `static (B, S)`: what holds for the whole sequence.
    `target (B, H, C_out)` and `target_mask`, True where observed, or `target (B,)` classes, -1 for unknown; None
    when there is nothing to compare with.
    """

    values: Tensor
    mask: Tensor
    times: Tensor
    index: Tensor
    future_times: Tensor | None = None
    kinds: Tensor | None = None
    static: Tensor | None = None
    target: Tensor | None = None
    target_mask: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device) for k, v in moved.items() if v is not None})

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """Tensors of B rows of a language; integers are int64.

    `tokens (B, L)` what the model reads, `mask (B, L)` True where there is one; `positions (B, L)` of each in its
    record, from 0, so that they begin anew where another record of a set begins. `target (B, L)`: what the model is
    to say at each place, where `target_mask (B, L)` is True: the next token, or one that was hidden. `label (B,)` of
    the whole row: a class, -1 for unknown, or a number, NaN for unknown. `index (B,)`: number of the row in its split.
    """

    tokens: Tensor
    mask: Tensor
    positions: Tensor
    index: Tensor
    target: Tensor | None = None
    target_mask: Tensor | None = None
    label: Tensor | None = None

    def to(self, device: torch.device | str) -> TokenBatch:
        """The same batch on another device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device) for k, v in moved.items() if v is not None})

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True, kw_only=True)
class LanguageShape:
    """What a language model, or a model on top of one, must know of its data before it is built.

    `symbols` V of the vocabulary; `context` most tokens of a row in training; `complements (V,)`: the other strand's
    token for each, or () where there is none; `shared`: whether both strands are read with the same weights;
    `outputs`: numbers to say of a whole row (K classes, or 1); 0 for a language model.
    """

    symbols: int
    context: int
    complements: tuple[int, ...] = ()
    shared: bool = False
    outputs: int = 0


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a model must know of its data before it is built.

    `context` L, `horizon` H, `channels` C read, `outputs` C_out forecast, `marks` T;
    `output_index (C_out,)`: which of the C channels are forecast; `level`: what is taken off a window first,
    "none", "last" or "mean"; `season`: steps of the season that goes with the time step.
    """

    context: int
    horizon: int
    channels: int
    outputs: int
    marks: int
    output_index: tuple[int, ...]
    level: str = "none"
    season: int = 1


@dataclass(frozen=True, kw_only=True)
class SequenceShape:
    """What a classifier must know of its data before it is built.

    `context` most steps of a sequence, `channels` C, `times` T, `kinds` V of a step (0: no kinds), `static` S,
    `classes` K.
    """

    context: int
    channels: int
    times: int
    kinds: int
    static: int
    classes: int


AnyShape = Shape | SequenceShape | LanguageShape
"""What a network of any task is built for."""
