"""The Triton form of the sLSTM recurrence; see test_triton.py."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator

import pytest
import torch
from seqsci_kernels.slstm import State, slstm
from torch import Tensor

Place = tuple[str, torch.dtype]
NEAR = {torch.float32: 1e-5, torch.bfloat16: 5e-2}


def inputs(batch: int, steps: int, heads: int, width: int, dtype: torch.dtype, spread: float = 2) -> list[Tensor]:
    """gates (as a view of (H, B, T, 4, D)), recurrent, bias, hidden, cell, log_norm."""
    draw = torch.Generator().manual_seed(1000 * steps + width)
    gates = spread * torch.randn(heads, batch, steps, 4, width, generator=draw)
    recurrent = torch.randn(heads, width, 4, width, generator=draw) / width**0.5
    bias = torch.randn(heads, 4, width, generator=draw)
    state = torch.randn(3, batch, heads, width, generator=draw)
    weights = [x.to(dtype) for x in (gates.permute(1, 2, 0, 3, 4), recurrent, bias)]
    return [*weights, state[0].tanh(), state[1].tanh(), 3 * state[2]]


def results(tensors: list[Tensor], device: str, backend: str, **options: object) -> list[Tensor]:
    """h, final state, and all gradients of a sum of these with random weights."""
    leaves = [x.to(device).detach().requires_grad_() for x in tensors]
    initial = State(*leaves[3:]) if len(leaves) > 3 else None
    out, final = slstm(*leaves[:3], initial, backend=backend, **options)  # type: ignore[arg-type]
    draw = torch.Generator().manual_seed(7)
    found = [out, *final]
    loss = sum((x * torch.randn(x.shape, generator=draw).to(x)).sum() for x in found)
    return [x.detach().cpu().double() for x in found] + [x.cpu().double() for x in torch.autograd.grad(loss, leaves)]


def check(place: Place, tensors: list[Tensor], **options: object) -> None:
    device, dtype = place
    moved = {name: x.to(device) if isinstance(x, Tensor) else x for name, x in options.items()}
    got = results(tensors, device, "triton", **moved)
    want = results([x.double() for x in tensors], "cpu", "reference", **options)
    for n, (x, y) in enumerate(zip(got, want, strict=True)):
        assert float((x - y).abs().max() / y.abs().max().clamp(min=1e-30)) < NEAR[dtype], n


@pytest.mark.parametrize(("steps", "started"), [(1, False), (1, True), (2, True), (63, False), (64, False), (65, True)])
def test_every_length(place: Place, steps: int, started: bool) -> None:
    check(place, inputs(2, steps, 1, 8, place[1])[: 6 if started else 3])


def test_long(place: Place) -> None:
    check(place, inputs(2, 200, 1, 8, place[1]))


@pytest.mark.parametrize("width", [3, 20, 64, 72, 128])
def test_every_width(place: Place, width: int) -> None:
    check(place, inputs(3, 4, 2, width, place[1]))


@pytest.mark.parametrize("back", [0, 1, 2])
def test_resets_and_both_directions(place: Place, back: int) -> None:
    reset = torch.rand(17, 9, generator=torch.Generator().manual_seed(back)) < 0.2
    check(place, inputs(17, 9, 2, 8, place[1]), reset=reset, backward_heads=back)


@pytest.mark.parametrize(("entry", "forget"), list(itertools.product((-30, 0, 30), repeat=2)))
def test_extreme_gates(place: Place, entry: float, forget: float) -> None:
    if place[1] != torch.float32:
        pytest.skip("a gate of 30 has no digits left in half precision")
    tensors = inputs(2, 7, 1, 8, place[1])
    tensors[2] = tensors[2].clone()
    tensors[2][:, 0] += entry
    tensors[2][:, 1] += forget
    check(place, tensors)


def test_no_gradient_no_memory(place: Place) -> None:
    device, dtype = place
    tensors = [x.to(device) for x in inputs(2, 5, 1, 16, dtype)[:3]]
    got, _ = slstm(*tensors, backend="triton")
    want, _ = slstm(*tensors, backend="reference")
    assert float((got - want).abs().max()) < NEAR[dtype]


def configurations() -> Iterator[tuple[str, Callable[[int], object], int]]:
    """What is compiled ahead of time; see ahead_of_time.py."""
    from seqsci_kernels.slstm import triton as op

    def call(steps: int, dtype: torch.dtype, width: int, resets: bool) -> None:
        batch = 1 if steps > 1024 else 1 + steps % 3
        gates = torch.zeros(1, batch, steps, 4, width, dtype=dtype).permute(1, 2, 0, 3, 4).requires_grad_()
        recurrent, bias = torch.zeros(1, width, 4, width, dtype=dtype), torch.zeros(1, 4, width, dtype=dtype)
        state = torch.zeros(3, batch, 1, width)
        reset = torch.zeros(batch, steps, dtype=torch.bool) if resets else None
        out, *_ = op.slstm(gates, recurrent, bias, *state, reset, 1)
        out.sum().backward()

    for dtype, width, resets in (
        (torch.bfloat16, 64, False),
        (torch.bfloat16, 256, False),
        (torch.float32, 128, True),
        (torch.bfloat16, 20, True),
    ):
        name = f"{dtype} D{width}{' resets' if resets else ''}".removeprefix("torch.")
        # 256 units wide a few registers spill, into the L1 cache.
        yield name, functools.partial(call, dtype=dtype, width=width, resets=resets), 128 if width == 256 else 0
