"""Rotary positions by hand, and of Bio-xLSTM as a stream, restarted, under masks and both ways."""

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
from seqsci.models.bioxlstm import BioXLSTMEncoder, Block
from seqsci.models.settings import BioXLSTMSettings
from seqsci.nn.rotary import rotate, rotation

KINDS: list[dict[str, Any]] = [
    {"rotary_over": "head"},
    {"rotary_over": "width"},
    {"rotary_over": "width", "bias": True, "slstm_at": (1,)},
    {"rotary_over": "head", "bias": True},
    {"style": "later", "rotary_over": "head"},
    {"style": "later", "rotary_over": "width", "slstm_at": (0,)},
]
every = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(str(x) for x in kind.values()))


def inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def ones(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.bool)


def encoder(layers: int = 2, rotary: float = 100.0, **kind: Any) -> Any:
    """In float64, with every weight moved off its start."""
    torch.manual_seed(0)
    made = BioXLSTMEncoder(BioXLSTMSettings(width=32, heads=4, layers=layers, rotary=rotary, **kind)).double().eval()
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=draw, dtype=p.dtype))
    return made


def by_hand(x: Tensor, positions: list[int], width: int, theta: float) -> Tensor:
    """(L, W), one pair of neighbours after another."""
    out = x.clone()
    for t, p in enumerate(positions):
        for channel in range(0, x.shape[1], 2):
            angle = p * theta ** (-(channel % width) / width)
            a, b = x[t, channel].item(), x[t, channel + 1].item()
            out[t, channel] = a * math.cos(angle) - b * math.sin(angle)
            out[t, channel + 1] = a * math.sin(angle) + b * math.cos(angle)
    return out


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=5), st.sampled_from([2, 4, 6, 12]), st.floats(1, 1e6))
@settings(max_examples=30, deadline=None)
def test_turned_by_hand(positions: list[int], width: int, theta: float) -> None:
    x = inputs(2, len(positions), 12)
    turns = rotation(torch.tensor([positions]), width, theta, x.dtype)
    wanted = torch.stack([by_hand(row, positions, width, theta) for row in x])
    torch.testing.assert_close(rotate(x, turns), wanted, rtol=1e-9, atol=1e-9)
    # float32 holds the same angles, also of the largest positions.
    turns = rotation(torch.tensor([positions]), width, theta, torch.float32)
    torch.testing.assert_close(rotate(x.float(), turns).double(), wanted, rtol=1e-5, atol=3e-6)
    assert rotate(x.bfloat16(), turns).dtype == torch.bfloat16


def test_products_read_distances_alone() -> None:
    q, k = inputs(1, 1, 8), inputs(1, 2, 8)[:, 1:]

    def product(at: int, of: int) -> Tensor:
        turns = [rotation(torch.tensor([[p]]), 8, 1e4, q.dtype) for p in (at, of)]
        return (rotate(q, turns[0]) * rotate(k, turns[1])).sum()

    torch.testing.assert_close(product(70, 3), product(1_000_067, 1_000_000))
    assert (product(70, 3) - product(3, 70)).abs() > 1e-3


@every
def test_a_stream_in_pieces_is_the_whole(kind: dict[str, Any]) -> None:
    made, x = encoder(**kind), inputs(2, 30, 32)
    restarted = torch.cat([torch.arange(11), torch.arange(5), torch.arange(100, 114)]).expand(2, -1)
    for positions in (None, restarted):
        whole = made(x, ones(2, 30), positions)
        for ends in ((0, 1, 7, 8, 30), range(31)):
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


@every
@pytest.mark.parametrize("direction", ["forward", "both"])
def test_positions(kind: dict[str, Any], direction: str) -> None:
    made, x, real = encoder(direction=direction, **kind), inputs(2, 12, 32), ones(2, 12)
    plain = made(x, real)
    counted = torch.arange(12).expand(2, -1)
    torch.testing.assert_close(made(x, real, counted), plain, rtol=1e-9, atol=1e-10)
    # Of distances alone: from where one counts does not matter, unless the gates read what is turned.
    away = (made(x, real, counted + 40) - plain).abs().max()
    assert (away > 1e-3) == (kind["rotary_over"] == "width" and "style" not in kind) or away < 1e-9
    assert (made(x, real, counted % 5) - plain).abs().max() > 1e-3
    assert (encoder(direction=direction, **kind | {"rotary": 0.0})(x, real) - plain).abs().max() > 1e-3


@every
@pytest.mark.parametrize("direction", ["forward", "both"])
def test_masked_steps_are_as_if_they_were_not_there(kind: dict[str, Any], direction: str) -> None:
    made, x = encoder(direction=direction, **kind), inputs(3, 17, 32)
    mask = ones(3, 17)
    mask[0, :3], mask[0, 8:11], mask[1, 5:], mask[2] = False, False, False, False
    given_ = torch.randint(50, (3, 17), generator=torch.Generator().manual_seed(0))
    for positions in (None, given_):
        y = made(x.masked_fill(~mask.unsqueeze(-1), torch.inf), mask, positions)
        for row in range(2):
            some = None if positions is None else positions[row : row + 1, mask[row]]
            alone = made(x[row : row + 1, mask[row]], ones(1, int(mask[row].sum())), some)
            torch.testing.assert_close(y[row, mask[row]], alone[0], rtol=1e-9, atol=1e-10)


@every
def test_both_ways_turned_round_is_the_same_turned_round(kind: dict[str, Any]) -> None:
    made, x, mask = encoder(direction="both", **kind), inputs(3, 19, 32), ones(3, 19)
    if kind["rotary_over"] == "width" and "style" not in kind:
        return  # the gates then read where they are
    mask[0, 12:], mask[1, 4:9] = False, False
    torch.testing.assert_close(made(x.flip(1), mask.flip(1)).flip(1)[mask], made(x, mask)[mask], rtol=1e-8, atol=1e-9)


def test_a_biased_block_by_hand() -> None:
    """v1 with offsets and turned heads, in whole tensors, beside the same block without either, corrected."""
    torch.manual_seed(0)
    for over in ("head", "width"):
        made = encoder(1, rotary=50.0, rotary_over=over, bias=True)
        block: Block = made.blocks[0]
        w, x = dict(block.named_parameters()), inputs(1, 9, 32)
        y = F.layer_norm(x, (32,), w["norm1.weight"], None, 1e-5)
        a = y @ w["memory.up.weight"].T + w["memory.up.bias"]
        z = y @ w["memory.gate.weight"].T + w["memory.gate.bias"]
        padded = F.pad(a, (0, 0, 3, 0))
        c = F.silu(sum(padded[:, j : j + 9] * w["memory.conv.weight"][j] for j in range(4)) + w["memory.conv.bias"])
        q, k, v = (
            torch.block_diag(*weight).T @ s[0].T + offset[:, None]
            for s, weight, offset in zip((c, c, a), w["memory.qkv"], w["memory.qkv_bias"], strict=True)
        )
        width = 16 if over == "head" else 64
        turned = [by_hand(s.T, list(range(9)), width, 50.0) for s in (q, k)]
        seen = [q.T, k.T, v.T] if over == "head" else [*turned, v.T]
        gates = torch.cat(seen, 1) @ w["memory.gates.weight"].T + w["memory.gates.bias"]
        out = []
        for h in range(4):
            part = slice(16 * h, 16 * h + 16)
            total = F.logsigmoid(gates[:, 4 + h]).cumsum(0)
            log = (total[:, None] - total + gates[:, h]).masked_fill(ones(9, 9).triu(1), -torch.inf)
            scores = turned[0][:, part] @ turned[1][:, part].T / 4 * log.exp()
            out.append(scores @ v.T[:, part] / scores.sum(1, keepdim=True).abs().clamp(min=1))
        h_ = torch.cat([F.layer_norm(s, (16,), None, None, 1e-5) for s in out], 1) * w["memory.norm"]
        y = ((h_ + w["memory.skip"] * c[0]) * F.silu(z[0])) @ w["memory.down.weight"].T + w["memory.down.bias"]
        found, _ = block(x, block.memory.start(1), rotation(torch.arange(9)[None], width, 50.0, x.dtype))
        torch.testing.assert_close(found[0], x[0] + y, rtol=1e-8, atol=1e-9)


def test_gradients_and_half_precision() -> None:
    for kind in KINDS:
        made, x = encoder(**kind).float(), inputs(2, 20, 32).float()
        exact = made(x, ones(2, 20))
        with torch.autocast("cpu", torch.bfloat16):
            y = made(x, ones(2, 20))
            y.float().square().sum().backward()
        assert all(p.grad.isfinite().all() for p in made.parameters())
        # Of most steps: where the sum that a head divides by nearly cancels, half precision is far off, turned or not.
        assert ((y - exact).norm(dim=-1) / exact.norm(dim=-1)).median() < 0.05


def test_keys_that_do_not_fall_into_pairs() -> None:
    with pytest.raises(SeqsciError, match=r"model\.rotary"):
        BioXLSTMSettings(width=12, heads=2, style="later", rotary=1e4)
    BioXLSTMSettings(width=12, heads=2, style="later", rotary=1e4, rotary_over="width")
