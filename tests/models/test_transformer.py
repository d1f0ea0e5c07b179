"""The transformer by hand, as a stream with restarted positions, under masks, and of a given size."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqsci.errors import SeqsciError
from seqsci.models.settings import TransformerSettings
from seqsci.models.transformer import TransformerEncoder, matched, parameters
from seqsci.nn.rotary import rotate, rotation

RESTARTED = torch.cat([torch.arange(11), torch.arange(5), torch.arange(100, 114)]).expand(2, -1)
directions = pytest.mark.parametrize("direction", ["forward", "both"])


def inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def ones(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.bool)


def encoder(layers: int = 2, **given_: Any) -> Any:
    """In float64, with every weight moved off its start."""
    torch.manual_seed(0)
    made = TransformerEncoder(TransformerSettings(width=32, heads=4, layers=layers, **given_)).double().eval()
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=draw, dtype=p.dtype))
    return made


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight


@directions
def test_by_hand(direction: str) -> None:
    """One query after another of one head after another."""
    made, x = encoder(1, direction=direction), inputs(1, 9, 32)
    w = {name.removeprefix("blocks.0."): p for name, p in made.named_parameters()}
    q, k, v = (rms_norm(x[0], w["norm1.weight"]) @ w["qkv.weight"].T).chunk(3, 1)
    turns = rotation(torch.arange(9)[None], 8, 1e4, x.dtype)
    q, k = rotate(q[None], turns)[0], rotate(k[None], turns)[0]
    rows = []
    for t in range(9):
        seen = t + 1 if direction == "forward" else 9
        heads = []
        for h in range(4):
            part = slice(8 * h, 8 * h + 8)
            shares = torch.softmax(torch.stack([q[t, part] @ k[s, part] / math.sqrt(8) for s in range(seen)]), 0)
            heads.append(sum(share * v[s, part] for s, share in enumerate(shares)))
        rows.append(torch.cat(heads))  # type: ignore[arg-type]
    y = x[0] + torch.stack(rows) @ w["out.weight"].T
    gate, up = (rms_norm(y, w["norm2.weight"]) @ w["feedforward.expand.weight"].T).chunk(2, 1)
    y = y + (F.silu(gate) * up) @ w["feedforward.contract.weight"].T
    torch.testing.assert_close(made(x, ones(1, 9))[0], rms_norm(y, w["norm.weight"]), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("positions", [None, RESTARTED], ids=["counted", "restarted"])
def test_a_stream_in_pieces_is_the_whole(positions: Tensor | None) -> None:
    made, x = encoder(), inputs(2, 30, 32)
    whole = made(x, ones(2, 30), positions)
    for ends in ((0, 1, 7, 8, 30), (0, 13, 30), range(31)):
        state, out = made.initial_state(2), []
        for first, last in itertools.pairwise(ends):
            part = None if positions is None else positions[:, first:last]
            y, state = made.advance(x[:, first:last], state, part)
            out.append(y)
        torch.testing.assert_close(torch.cat(out, 1), whole, rtol=1e-9, atol=1e-10)
    state, out = made.initial_state(2), []
    for t, now in enumerate(x.unbind(1)):
        y, state = made.step(now, state, None if positions is None else positions[:, t])
        out.append(y)
    torch.testing.assert_close(torch.stack(out, 1), whole, rtol=1e-9, atol=1e-10)
    assert (whole - made(x, ones(2, 30), torch.arange(30).expand(2, -1) % 7)).abs().max() > 1e-3


def test_nothing_is_seen_ahead_and_all_that_is_behind() -> None:
    made, x = encoder(1), inputs(2, 12, 32).requires_grad_()
    mask = ones(2, 12)
    mask[1, 4:6] = False
    for t in (0, 7, 11):
        (slope,) = torch.autograd.grad(made(x, mask)[:, t].square().sum(), x)
        seen = slope.abs().amax(-1) > 0
        assert torch.equal(seen, mask & (torch.arange(12) <= t))


@directions
def test_masked_steps_are_as_if_they_were_not_there(direction: str) -> None:
    made, x, mask = encoder(direction=direction), inputs(3, 17, 32), ones(3, 17)
    mask[0, :3], mask[0, 8:11], mask[1, 5:], mask[2] = False, False, False, False
    some = torch.randint(50, (3, 17), generator=torch.Generator().manual_seed(0))
    for positions in (None, some):
        y = made(x.masked_fill(~mask.unsqueeze(-1), torch.inf), mask, positions)
        for row in range(2):
            mine = None if positions is None else positions[row : row + 1, mask[row]]
            alone = made(x[row : row + 1, mask[row]], ones(1, int(mask[row].sum())), mine)
            torch.testing.assert_close(y[row, mask[row]], alone[0], rtol=1e-9, atol=1e-10)
        assert torch.equal(y[0, 8:11], y[0, 7:8].expand(3, -1)) and not y[0, :3].any() and not y[2].any()


@directions
def test_gradients_are_finite_also_of_rows_without_steps(direction: str) -> None:
    made, x, mask = encoder(direction=direction).float(), inputs(3, 9, 32).float(), ones(3, 9)
    x[0], mask[1] = 1e6, False
    y = made(x, mask)
    y.square().sum().backward()
    assert bool(y.isfinite().all()) and all(bool(p.grad.isfinite().all()) for p in made.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        half = made(x, mask)
    assert ((half - y).norm() / y.norm()).item() < 0.1


def test_without_positions_order_is_not_seen() -> None:
    made, x = encoder(direction="both", rotary=0.0), inputs(1, 9, 32)
    torch.testing.assert_close(made(x.flip(1), ones(1, 9)).flip(1), made(x, ones(1, 9)), rtol=1e-9, atol=1e-10)


@given(st.integers(1, 3_000_000), st.sampled_from([1, 4, 6]), st.integers(1, 6), st.sampled_from([None, 40]))
@settings(max_examples=40, deadline=None)
def test_matched_is_the_nearest(target: int, heads: int, layers: int, feedforward: int | None) -> None:
    start = TransformerSettings(width=8 * heads, heads=heads, layers=layers, feedforward=feedforward)
    found = matched(start, target)
    assert found.width % (2 * heads) == 0 and (found.heads, found.layers) == (heads, layers)

    def miss(width: int) -> int:
        of = TransformerSettings(width=width, heads=heads, layers=layers, feedforward=feedforward)
        return abs(parameters(of) - target)

    assert miss(found.width) == min(miss(width) for width in range(2 * heads, 1500, 2 * heads))


def test_parameters_are_those_of_the_network() -> None:
    for given_ in ({}, {"feedforward": 40}, {"width": 64, "layers": 3}):
        of = TransformerSettings(**{"width": 48, "heads": 4, "layers": 2} | given_)  # type: ignore[arg-type]
        assert parameters(of) == sum(p.numel() for p in TransformerEncoder(of).parameters())


def test_settings_that_do_not_fit() -> None:
    with pytest.raises(SeqsciError, match=r"model\.heads"):
        TransformerSettings(width=30, heads=4)
    with pytest.raises(SeqsciError, match=r"model\.rotary"):
        TransformerSettings(width=12, heads=4)
    TransformerSettings(width=12, heads=4, rotary=0.0)
