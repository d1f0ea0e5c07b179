"""Networks of equal size: what is compared has about as many parameters as what it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from torch import nn

T = TypeVar("T")


def nearest_in_size(candidates: Iterable[T], target_parameters: int, count: Callable[[T], int]) -> T:
    """The candidate whose number of parameters is nearest to a target; of two that are as near the smaller one.

    Args:
        candidates: in rising size, such as settings in rising width; without end if need be, for none behind the
            first that is no nearer than the one before it is looked at.
        target_parameters: what to come near to.
        count: a candidate's number of parameters.

    Raises:
        ValueError: no candidates.
    """
    best: list[tuple[int, T]] = []
    for candidate in candidates:
        miss = abs(count(candidate) - target_parameters)
        if best and miss >= best[0][0]:
            break
        best = [(miss, candidate)]
    if not best:
        raise ValueError("no candidates to choose a size from")
    return best[0][1]


def parameters(network: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
