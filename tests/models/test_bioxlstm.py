"""Bio-xLSTM beside plain loops written from the equations, as a stream, both ways, and under masks."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from seqsci_kernels import native
from torch import Tensor, nn

from seqsci.errors import SeqsciError
from seqsci.models.bioxlstm import BioXLSTMEncoder, Block
from seqsci.models.settings import BioXLSTMSettings
from seqsci.nn import gated_memory
from seqsci.nn.convolution import CausalConv
from seqsci.nn.feedforward import GatedFeedForward
from seqsci.nn.norms import RMSNorm

KINDS: list[dict[str, Any]] = [
    {"style": "v1"},
    {"style": "v1", "slstm_at": (0,)},
    {"style": "later"},
    {"style": "later", "slstm_at": (0,)},
]
every = pytest.mark.parametrize("kind", KINDS, ids=["v1", "v1-slstm", "later", "later-slstm"])


def shaken(module: nn.Module) -> Any:
    """In float64, with every weight moved off its start: at the start gates do not read their input."""
    module = module.double().eval()
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=draw, dtype=p.dtype))
    return module


def encoder(layers: int = 2, **given: Any) -> Any:
    torch.manual_seed(0)
    return shaken(BioXLSTMEncoder(BioXLSTMSettings(width=32, heads=4, layers=layers, **given)))


def inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def ones(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.bool)


# The blocks once more: one sequence, one step after another.


def layer_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + eps).sqrt() * weight


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * weight


def head_norm(x: Tensor, weight: Tensor, heads: int, eps: float) -> Tensor:
    return torch.cat([layer_norm(y, w, eps) for y, w in zip(x.chunk(heads), weight.chunk(heads), strict=True)])


def convolution(w: dict[str, Tensor], past: list[Tensor]) -> Tensor:
    """At the last of the steps so far."""
    taps, c = w["memory.conv.weight"], w["memory.conv.bias"].clone()
    for back in range(min(4, len(past))):
        c = c + taps[3 - back] * past[-1 - back]
    return F.silu(c)


def matrix_memory(q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor, heads: int, state: list[Any]) -> Tensor:
    """Section 2.3 without a stabiliser: the gates of a test are small enough."""
    out = []
    for h, (q_, k_, v_) in enumerate(zip(q.chunk(heads), k.chunk(heads), v.chunk(heads), strict=True)):
        C, n = state[h] or (q.new_zeros(len(v_), len(q_)), q.new_zeros(len(q_)))
        open_, write = torch.sigmoid(f[h]), torch.exp(i[h])
        C, n = open_ * C + write * torch.outer(v_, k_), open_ * n + write * k_
        state[h] = C, n
        q_ = q_ / math.sqrt(len(q_))
        out.append(C @ q_ / torch.clamp((n @ q_).abs(), min=1))
    return torch.cat(out)


def scalar_memory(w: dict[str, Tensor], c: Tensor, x: Tensor, heads: int, state: list[Any]) -> Tensor:
    """Section 2.2 likewise."""
    out = []
    for h in range(heads):
        each = len(x) // heads
        cell, n, hidden = state[h] or (x.new_zeros(each), x.new_zeros(each), x.new_zeros(each))
        some = slice(h * each, (h + 1) * each)
        raw = []
        for gate, source in enumerate((c, c, x, x)):
            mine = source[some] @ w["memory.input"][h, :, gate] + hidden @ w["memory.recurrent"][h, :, gate]
            raw.append(mine + w["memory.bias"][h, gate])
        i, f, z, o = torch.exp(raw[0]), torch.sigmoid(raw[1]), torch.tanh(raw[2]), torch.sigmoid(raw[3])
        cell, n = f * cell + i * z, f * n + i
        hidden = o * cell / n
        state[h] = cell, n, hidden
        out.append(hidden)
    return torch.cat(out)


def by_fours(x: Tensor, weight: Tensor) -> Tensor:
    return torch.cat([y @ w for y, w in zip(x.split(4), weight, strict=True)])


def by_hand(block: Block, xs: Tensor, heads: int, later: bool, scalar: bool) -> Tensor:
    """(L, D) -> (L, D)."""
    w = dict(block.named_parameters())
    eps = 1e-6 if later else 1e-5
    norm = rms_norm if later else layer_norm
    state: list[Any] = [None] * heads
    past, out = [], []
    for x in xs:
        y = norm(x, w["norm1.weight"], eps)
        if scalar:
            past.append(y)
            h = scalar_memory(w, convolution(w, past), y, heads, state)
            y = head_norm(h, w["memory.norm.weight"], heads, eps)
        elif later:
            q, k, v, o = (w[f"memory.{n}.weight"] @ y for n in ("query", "key", "value", "open"))
            gates = 15 * torch.tanh((w["memory.gates.weight"] @ y + w["memory.gates.bias"]) / 15)
            h = matrix_memory(q, k, v, *gates.chunk(2), heads, state)
            y = w["memory.out.weight"] @ (torch.sigmoid(o) * head_norm(h, w["memory.norm"], heads, eps))
        else:
            a, z = w["memory.up.weight"] @ y, w["memory.gate.weight"] @ y
            past.append(a)
            c = convolution(w, past)
            q, k, v = (by_fours(s, m) for s, m in zip((c, c, a), w["memory.qkv"], strict=True))
            gates = w["memory.gates.weight"] @ torch.cat([q, k, v]) + w["memory.gates.bias"]
            h = matrix_memory(q, k, v, *gates.chunk(2), heads, state)
            h = head_norm(h, w["memory.norm"], heads, eps) + w["memory.skip"] * c
            y = w["memory.down.weight"] @ (h * F.silu(z))
        x = x + y
        if later or scalar:
            gate, up = (w["feedforward.expand.weight"] @ norm(x, w["norm2.weight"], eps)).chunk(2)
            gate = F.silu(gate) if later else F.gelu(gate)
            x = x + w["feedforward.contract.weight"] @ (gate * up)
        out.append(x)
    return torch.stack(out)


@every
def test_a_block_by_hand(kind: dict[str, Any]) -> None:
    torch.manual_seed(0)
    settings = BioXLSTMSettings(width=32, heads=4, layers=1, **kind)
    block = shaken(Block(settings, 0))
    x, weight = inputs(2, 21, 32).requires_grad_(), inputs(2, 21, 32).flip(0)
    leaves = [x, *block.parameters()]
    found, _ = block(x, block.memory.start(2))
    late, scalar = kind["style"] == "later", "slstm_at" in kind
    wanted = torch.stack([by_hand(block, row, 4, late, scalar) for row in x])
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-10)
    pairs = (torch.autograd.grad((y * weight).sum(), leaves) for y in (found, wanted))
    for got, want in zip(*pairs, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(("batch", "length"), [(1, 50), (3, 7), (2, 33), (5, 16), (1, 2), (2, 17)])
def test_rows_at_a_time_equal_the_plain_forms(batch: int, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gated_memory, "ROWS", 16)
    torch.manual_seed(0)
    inner, heads, width = 128, 4, 32

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64).requires_grad_()

    steps = batch, length
    taps, qkv, gates = draw(4, inner), draw(3, inner // 4, 4, 4), draw(2 * heads, 3 * inner)
    mixed = [draw(*steps, inner), draw(batch, 3, inner), taps, draw(inner), qkv, gates]
    h, z, norm, weight = draw(*steps, heads, inner // heads), draw(*steps, inner), draw(inner), draw(width, inner)
    skip, c = draw(inner), draw(*steps, inner)
    fan = [draw(*steps, width), draw(8, width), draw(24, width)]
    pairs = [
        (gated_memory.mixed(*mixed), gated_memory.plain_mixed(*mixed), mixed),
        (gated_memory.fan_out(*fan), tuple(F.linear(fan[0], w) for w in fan[1:]), fan),
    ]
    for gate, last in (("silu", (skip, c)), ("sigmoid", (None, None))):
        given = h, z, norm, weight, 1e-5, gate, *last
        leaves = [x for x in given if isinstance(x, Tensor)]
        pairs.append(((gated_memory.gated(*given),), (gated_memory.plain_gated(*given),), leaves))
    for found, wanted, leaves in pairs:
        weights = [torch.randn_like(y) for y in wanted]
        sums = [sum((y * w).sum() for y, w in zip(x, weights, strict=True)) for x in (found, wanted)]
        slopes = [torch.autograd.grad(total, leaves) for total in sums]
        for got, want in zip((*found, *slopes[0]), (*wanted, *slopes[1]), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_gated_network_and_rms_norm_on_a_cpu(activation: Any) -> None:
    torch.manual_seed(0)
    network, norm = GatedFeedForward(12, 20, activation).double(), RMSNorm(12, 1e-6).double()
    nn.init.normal_(norm.weight)
    x = torch.randn(3, 211, 12, dtype=torch.float64, requires_grad=True)
    gate, up = network.expand(x).chunk(2, -1)
    plain = network.contract((F.silu(gate) if activation == "silu" else F.gelu(gate)) * up)
    for found, wanted, module in (
        (network(x), plain, network),
        (norm(x), F.rms_norm(x, (12,), norm.weight, 1e-6), norm),
    ):
        torch.testing.assert_close(found, wanted)
        weight, leaves = torch.randn_like(found), [x, *module.parameters()]
        slopes = [torch.autograd.grad((y * weight).sum(), leaves) for y in (found, wanted)]
        torch.testing.assert_close(*slopes)
    with torch.no_grad():
        torch.testing.assert_close(network(x), plain)


@every
def test_a_stream_in_pieces_is_the_whole(kind: dict[str, Any]) -> None:
    made, x = encoder(**kind), inputs(2, 40, 32)
    whole = made(x, ones(2, 40))
    draw = torch.Generator().manual_seed(3)
    for _ in range(4):
        ends = sorted({0, 40, *torch.randint(1, 40, (5,), generator=draw).tolist()})
        state, out = made.initial_state(2), []
        for first, last in itertools.pairwise(ends):
            y, state = made.advance(x[:, first:last], state)
            out.append(y)
        torch.testing.assert_close(torch.cat(out, 1), whole, rtol=1e-9, atol=1e-10)
    state, out = made.initial_state(2), []
    for now in x.unbind(1):
        y, state = made.step(now, state)
        out.append(y)
    torch.testing.assert_close(torch.stack(out, 1), whole, rtol=1e-9, atol=1e-10)


@every
def test_a_stream_in_float32(kind: dict[str, Any]) -> None:
    made, x = encoder(**kind).float(), inputs(2, 40, 32).float()
    state = made.initial_state(2)
    out = []
    for now in x.unbind(1):
        y, state = made.step(now, state)
        out.append(y)
    torch.testing.assert_close(torch.stack(out, 1), made(x, ones(2, 40)), rtol=1e-4, atol=1e-4)


@every
def test_nothing_is_seen_ahead_and_all_that_is_behind(kind: dict[str, Any]) -> None:
    made = encoder(1, **kind)
    x = inputs(1, 12, 32).requires_grad_()
    for t in (0, 5, 11):
        (slope,) = torch.autograd.grad(made(x, ones(1, 12))[0, t].square().sum(), x)
        seen = slope[0].abs().amax(-1)
        assert bool((seen[: t + 1] > 0).all()) and not bool(seen[t + 1 :].any())


@every
def test_both_ways_turned_round_is_the_same_turned_round(kind: dict[str, Any]) -> None:
    made = encoder(direction="both", **kind)
    assert not made.causal and not made.recurrent
    x, mask = inputs(3, 19, 32), ones(3, 19)
    mask[0, 12:], mask[1, 4:9] = False, False
    found = made(x.flip(1), mask.flip(1)).flip(1)
    torch.testing.assert_close(found[mask], made(x, mask)[mask], rtol=1e-9, atol=1e-10)


@every
def test_both_ways_is_the_sum_of_two_blocks_with_the_same_weights(kind: dict[str, Any]) -> None:
    made, x = encoder(1, direction="both", **kind), inputs(2, 19, 32)
    (block,) = made.blocks
    ahead, _ = block(x, block.memory.start(2))
    back, _ = block(x.flip(1), block.memory.start(2))
    torch.testing.assert_close(made(x, ones(2, 19)), made.norm(ahead + back.flip(1)), rtol=1e-9, atol=1e-10)


@every
@pytest.mark.parametrize("direction", ["forward", "both"])
def test_masked_steps_are_as_if_they_were_not_there(kind: dict[str, Any], direction: str) -> None:
    made, x = encoder(direction=direction, **kind), inputs(3, 17, 32)
    mask = ones(3, 17)
    mask[0, :3], mask[0, 8:11], mask[1, 5:], mask[2] = False, False, False, False
    y = made(x.masked_fill(~mask.unsqueeze(-1), torch.inf), mask)
    for row in range(2):
        alone = made(x[row : row + 1, mask[row]], ones(1, int(mask[row].sum())))
        torch.testing.assert_close(y[row, mask[row]], alone[0], rtol=1e-9, atol=1e-10)
    # What a masked step shows is the last real state; nothing where there is none.
    assert torch.equal(y[0, 8:11], y[0, 7:8].expand(3, -1)) and not y[0, :3].any() and not y[2].any()
    longer = F.pad(x, (0, 0, 0, 9), value=77.0)
    torch.testing.assert_close(made(longer, F.pad(mask, (0, 9)))[:, :17], y, rtol=1e-9, atol=1e-10)


@every
@pytest.mark.parametrize("direction", ["forward", "both"])
def test_extreme_inputs_have_finite_gradients(kind: dict[str, Any], direction: str) -> None:
    made = encoder(direction=direction, **kind).float()
    with torch.no_grad():
        for block in made.blocks:
            for name, p in block.memory.named_parameters():
                p.mul_(20 if name.startswith(("gates", "input", "bias")) else 1)
    x = inputs(4, 30, 32).float()
    x[0], x[1], x[2, ::2] = 0, 1e6, -1e4
    x.requires_grad_()
    y = made(x, ones(4, 30))
    y.square().sum().backward()
    assert bool(y.isfinite().all()) and x.grad is not None and bool(x.grad.isfinite().all())
    assert all(bool(p.grad.isfinite().all()) for p in made.parameters())


def parameters(**given: Any) -> int:
    """Of one block of width 256 and 4 heads."""
    return sum(p.numel() for p in Block(BioXLSTMSettings(layers=1, **given), 0).parameters())


def test_published_sizes() -> None:
    assert parameters() == 415_496
    # Six of these, with tables of 16 tokens on both sides and a norm, are DNA-xLSTM's 2,103,552; its script takes
    # 1.1 D, rounded down to a multiple of 8, for the gated network.
    assert 6 * parameters(slstm_at=(0,), feedforward=280) + 33 * 256 == 2_103_552
    # Keys 2 x 128, values, gate and output 3 x 256, gated network 3 x 704, gates, three norms.
    assert parameters(style="later") == 256 * (2 * 128 + 3 * 256 + 3 * 704 + 8 + 3) + 8
    whole = BioXLSTMEncoder(BioXLSTMSettings(width=512, layers=16))
    # Prot-xLSTM's 26M: with tables of 38 tokens on both sides.
    assert sum(p.numel() for p in whole.parameters()) + 2 * 38 * 512 == 25_918_080


def test_the_start_is_the_published_one() -> None:
    torch.manual_seed(0)
    blocks = BioXLSTMEncoder(BioXLSTMSettings(layers=3, slstm_at=(1,))).blocks
    memory, scalar = blocks[0].memory, blocks[1].memory
    assert not memory.gates.weight.any() and memory.gates.bias[4:].tolist() == [3, 4, 5, 6]
    assert abs(memory.up.weight.std().item() / math.sqrt(2 / (5 * 256)) - 1) < 0.02
    assert abs(memory.down.weight.std().item() * 3 * 16 / 2 - 1) < 0.02
    assert not scalar.recurrent.any() and scalar.bias[:, 1, 0].eq(5).all() and scalar.bias[:, 1, -1].eq(-7).all()


@every
def test_half_precision_products(kind: dict[str, Any]) -> None:
    made, x = encoder(**kind).float(), inputs(2, 20, 32).float()
    with torch.autocast("cpu", torch.bfloat16):
        y = made(x, ones(2, 20))
        y.float().square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.dtype == torch.float32 for p in made.parameters())
    exact = made(x, ones(2, 20))
    assert ((y - exact).norm() / exact.norm()).item() < 0.1


@every
@pytest.mark.parametrize("shape", [(1, 70), (3, 9), (4, 1)])
def test_without_a_compiler_all_is_the_same(
    kind: dict[str, Any], shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = encoder(**kind)
    # Neither the input nor the gradient lies densely in memory.
    x, weight = inputs(32, *shape).permute(1, 2, 0).requires_grad_(), inputs(1, 1, 32).expand(*shape, 32)

    def everything() -> list[Tensor]:
        y = made(x, ones(*shape))
        return [y, *torch.autograd.grad(y, [x, *made.parameters()], weight, allow_unused=True)]

    fast = everything()
    monkeypatch.setattr(native, "load", lambda source: native.Unavailable("no compiler"))
    for got, want in zip(fast, everything(), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-10)


@every
def test_one_pass_in_half_precision_is_as_exact_as_the_plain_form(
    kind: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, x = encoder(1, **kind).float(), inputs(2, 20, 32).float()

    def everything(enabled: bool) -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = made(x, ones(2, 20))
        return [y.detach(), *torch.autograd.grad(y.float().square().sum(), list(made.parameters()))]

    exact, fast = everything(False), everything(True)
    monkeypatch.setattr(native, "load", lambda source: native.Unavailable("no compiler"))
    for want, *both in zip(exact, fast, everything(True), strict=True):
        near, plain = (float((y - want).norm() / want.norm()) for y in both)
        assert near < 1.2 * plain + 0.01


def test_a_convolution_keeps_what_the_next_piece_needs() -> None:
    conv = CausalConv(5).double()
    x = inputs(2, 9, 5)
    whole, _ = conv(x, conv.start(2).double())
    before, out = conv.start(2), []
    for piece in (x[:, :1], x[:, 1:3], x[:, 3:]):
        y, last = conv(piece, before)
        assert torch.equal(last, conv.last(piece, before))
        before = last
        out.append(y)
    torch.testing.assert_close(torch.cat(out, 1), whole)


def test_settings_that_do_not_fit() -> None:
    with pytest.raises(SeqsciError, match=r"model\.heads"):
        BioXLSTMSettings(width=30, heads=4)
    with pytest.raises(SeqsciError, match="half"):
        BioXLSTMSettings(width=12, heads=4, style="later")
    with pytest.raises(SeqsciError, match=r"model\.slstm_at: no block 4"):
        BioXLSTMSettings(slstm_at=(1, 4))
