"""What every encoder of the zoo promises."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Encoder(Protocol):
    """Maps a sequence of vectors to a sequence of vectors of the same width.

    An encoder is a `torch.nn.Module` built by `Encoder(settings)`. In evaluation mode a row's output depends
    neither on the other rows nor on what stands where `mask` is False.

    `width` D of input and output; `causal`: state t depends on inputs 0..t alone; `length_preserving`:
    L' = L for every L, else it has `encode`, which gives the mask (B, L') of the result as well; `streams`: it also
    has `initial_state(batch)`, `advance(x, state)` for the next steps and `step(x, state)` for the next one, equal to
    `forward`; `recurrent`: it streams, and its state does not grow; `fixed_length`: masked steps at the end may
    change the result by their number, so that it must always be given the same L. An encoder with `positional` knows
    the order of its steps, and takes their `positions` in `forward`, `advance` and `step`, though it need not be told.
    """

    width: int
    causal: bool
    length_preserving: bool
    recurrent: bool
    streams: bool
    positional: bool
    fixed_length: bool

    def __call__(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, L, D) and mask (B, L), True where a step is real -> (B, L', D)."""
        ...
