"""States of streams: nested tuples of tensors, whose rows are those of the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor


def detached(state: Any) -> Any:
    """The same state, through which no gradient passes."""
    return each(lambda x: x.detach(), state)


def tensors(state: Any) -> list[Tensor]:
    """A state's tensors in their order, to be saved."""
    if isinstance(state, Tensor):
        return [state]
    return [leaf for part in state for leaf in tensors(part)]


def restored(like: Any, saved: list[Tensor]) -> Any:
    """The state of saved tensors.

    Args:
        like: any state of the same network, such as `initial_state(1)`.
        saved: of `tensors`.
    """
    left = iter(saved)
    return each(lambda _: next(left), like)


def each(function: Callable[..., Tensor], *states: Any) -> Any:
    """A function of the tensors of nested tuples, place by place: nested tuples of the same kind."""
    first = states[0]
    if isinstance(first, Tensor):
        return function(*states)
    parts = [each(function, *parts) for parts in zip(*states, strict=True)]
    return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
