"""Informer: the published network's numbers, and what the paper's form promises beyond them."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqsci.data.batch import Batch, Shape
from seqsci.errors import SeqsciError
from seqsci.models.informer import Informer, InformerEncoder, from_reference
from seqsci.models.settings import InformerSettings
from seqsci.nn import attention as attention_module
from seqsci.nn import projected as projected_module
from seqsci.nn.attention import SelfAttention
from seqsci.nn.convolution import CircularConv
from seqsci.nn.dropout import dropout, residual
from seqsci.nn.feedforward import FeedForward
from seqsci.nn.head import build
from seqsci.nn.memory import steady_heap
from seqsci.nn.pooling import halve
from seqsci.nn.precision import autocast, fast_bfloat16, resolve

FIXTURE = Path(__file__).parents[1] / "fixtures" / "informer_reference.npz"
SHAPE = Shape(context=24, horizon=8, channels=3, outputs=3, marks=4, output_index=(0, 1, 2))
SMALL = InformerSettings(width=16, heads=2, feedforward=32, layers=2, label_length=12, factor=2, dropout=0.1)


class Given(nn.Module):
    """A key sample that is given instead of drawn."""

    def __init__(self, sample: Tensor) -> None:
        super().__init__()
        self.sample = sample

    def forward(self, queries: int, keys: int, size: int) -> Tensor:
        return self.sample


def batch(rows: int = 5, shape: Shape = SHAPE, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    return Batch(
        values=torch.randn(rows, shape.context, shape.channels, generator=draw),
        mask=torch.ones(rows, shape.context, dtype=torch.bool),
        times=torch.rand(rows, shape.context, shape.marks, generator=draw) - 0.5,
        future_times=torch.rand(rows, shape.horizon, shape.marks, generator=draw) - 0.5,
        index=torch.arange(rows),
    )


def informer(settings: InformerSettings = SMALL, shape: Shape = SHAPE, seed: int = 0) -> Informer:
    torch.manual_seed(seed)
    return Informer(settings, shape)


@pytest.mark.parametrize("variant", ["single", "stack"])
def test_published_network(variant: str) -> None:
    numbers = {k: torch.from_numpy(v) for k, v in np.load(FIXTURE).items()}
    stack = (2, 1) if variant == "stack" else ()
    settings = replace(SMALL, sampling="per-query", mix=True, stack=stack)
    state = {k.removeprefix(f"{variant}/state/"): v for k, v in numbers.items() if k.startswith(f"{variant}/state")}
    network = informer(settings).eval()
    missing, unexpected = network.load_state_dict(from_reference(state, settings), strict=False)
    assert not unexpected and all("sampler" in name for name in missing)
    for module in network.modules():
        if isinstance(module, SelfAttention):
            assert module.sampler is not None
            module.sampler = Given(numbers[f"{variant}/sample/{module.sampler.layer}"])  # type: ignore[assignment]
    given = replace(batch(), values=numbers["values"], times=numbers["times"], future_times=numbers["future_times"])
    want = numbers[f"{variant}/output"]
    torch.testing.assert_close(network(given), want, rtol=1e-5, atol=1e-5)
    assert float(want.std()) > 0.1


def test_reference_weights_that_do_not_fit_are_refused() -> None:
    numbers = {k: torch.from_numpy(v) for k, v in np.load(FIXTURE).items()}
    state = {k.removeprefix("single/state/"): v for k, v in numbers.items() if k.startswith("single/state")}
    with pytest.raises(SeqsciError, match="do not fit"):
        from_reference(state, replace(SMALL, width=32))
    with pytest.raises(SeqsciError, match="do not fit"):
        from_reference(state, replace(SMALL, layers=3))
    del state["enc_embedding.temporal_embedding.embed.weight"]
    with pytest.raises(SeqsciError, match="marks"):
        from_reference(state, SMALL)


@pytest.mark.parametrize("sampling", ["shared", "per-query"])
def test_large_factor_is_full_attention(sampling: Any) -> None:
    sparse = informer(replace(SMALL, factor=100, sampling=sampling)).eval()
    full = informer(replace(SMALL, attention="full")).eval()
    full.load_state_dict(sparse.state_dict(), strict=False)
    torch.testing.assert_close(sparse(batch()), full(batch()), rtol=1e-5, atol=1e-5)


def test_same_input_same_bits_whatever_the_global_seed() -> None:
    network = informer().eval()
    torch.manual_seed(1)
    first = network(batch())
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    assert torch.equal(network(batch()), first)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_training_draws_anew_and_resumes_exactly() -> None:
    settings = replace(SMALL, dropout=0.0, factor=1)
    network = informer(settings).train()
    first, second = network(batch()), network(batch())
    assert not torch.equal(first, second)
    state = copy.deepcopy(network.state_dict())
    third = network(batch())
    resumed = informer(settings, seed=9).train()
    resumed.load_state_dict(state)
    assert torch.equal(resumed(batch()), third)


def test_label_longer_than_the_context_is_refused() -> None:
    with pytest.raises(SeqsciError, match=r"model\.label_length"):
        informer(replace(SMALL, label_length=25))


@pytest.mark.parametrize("decoder", ["generative", "linear"])
def test_encoder_too_deep_is_refused(decoder: Any) -> None:
    with pytest.raises(SeqsciError, match=r"model\.stack"):
        build("forecast", replace(SMALL, stack=(1, 1, 1, 1, 3), decoder=decoder), SHAPE)
    with pytest.raises(SeqsciError, match=r"model\.layers"):
        build("forecast", replace(SMALL, layers=6, decoder=decoder), SHAPE)
    build("forecast", replace(SMALL, layers=6, distil=False, decoder=decoder), SHAPE)


@pytest.mark.parametrize(
    "settings",
    [
        SMALL,
        replace(SMALL, stack=(2, 1)),
        replace(SMALL, decoder_layers=2, mix=True, sampling="per-query"),
        replace(SMALL, attention="full", distil=False),
        replace(SMALL, decoder="linear"),
    ],
)
def test_gradient_reaches_every_parameter(settings: InformerSettings) -> None:
    torch.manual_seed(0)
    network = build("forecast", settings, SHAPE)
    network(batch(9)).square().sum().backward()
    silent = [k for k, p in network.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    # An offset of all keys moves every score of a softmax alike; of a convolution, the batch norm removes it.
    assert [k for k in silent if not k.endswith(("key.bias", "conv.bias"))] == []


@pytest.mark.parametrize("context", [1, 2, 7, 24])
@pytest.mark.parametrize("marks", [0, 4])
def test_short_contexts_and_no_marks(context: int, marks: int) -> None:
    shape = replace(SHAPE, context=context, marks=marks)
    settings = replace(SMALL, label_length=1, layers=1)
    out = informer(settings, shape)(batch(3, shape))
    assert out.shape == (3, 8, 3) and bool(out.isfinite().all())


def test_masked_steps_are_not_looked_at() -> None:
    encoder = InformerEncoder(replace(SMALL, width=16)).eval()
    x = torch.randn(4, 24, 16)
    mask = torch.rand(4, 24) > 0.3
    changed = torch.where(mask.unsqueeze(-1), x, torch.randn_like(x) * 40)
    assert torch.equal(encoder(x, mask), encoder(changed, mask))


def test_one_masked_row_does_not_change_the_others() -> None:
    network = informer().eval()
    given = batch()
    mask = given.mask.clone()
    mask[2, 3:9] = False
    masked = network(replace(given, mask=mask))
    plain = network(given)
    others = [0, 1, 3, 4]
    torch.testing.assert_close(masked[others], plain[others], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(masked[2], plain[2], atol=1e-4)


def test_decoder_is_causal_to_the_bit() -> None:
    settings = replace(SMALL, factor=1)
    attention = SelfAttention(settings, 0, causal=True).eval()
    x = torch.randn(2, 40, 16)
    changed = torch.cat([x[:, :25], torch.randn(2, 15, 16)], 1)
    assert torch.equal(attention(x)[:, :25], attention(changed)[:, :25])


# The parts that have a fast form, against the plain one.


def test_feedforward_is_the_plain_one() -> None:
    layer = FeedForward(12, 20, 0.0).double()
    x = torch.randn(3, 700, 12, dtype=torch.float64, requires_grad=True)
    leaves = [x, *layer.parameters()]
    plain = layer.contract(F.gelu(layer.expand(x)))
    weight = torch.randn_like(plain)
    got = torch.autograd.grad((layer(x) * weight).sum(), leaves)
    want = torch.autograd.grad((plain * weight).sum(), leaves)
    torch.testing.assert_close(layer(x), plain)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


def test_feedforward_dropout_has_the_right_gradient() -> None:
    layer = FeedForward(3, 5, 0.4).double()
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)

    def run(*leaves: Tensor) -> Tensor:
        torch.manual_seed(0)
        return layer(leaves[0])

    assert torch.autograd.gradcheck(run, (x, *layer.parameters()))


@pytest.mark.parametrize("length", [1, 2, 3, 22, 23])
def test_circular_convolution_is_torchs(length: int) -> None:
    layer = CircularConv(5, 7).double()
    x = torch.randn(200, length, 5, dtype=torch.float64, requires_grad=True)
    padded = F.pad(x.transpose(1, 2), (1, 1), mode="circular")
    plain = F.conv1d(padded, layer.weight.view(7, 3, 5).transpose(1, 2), layer.bias).transpose(1, 2)
    weight = torch.randn_like(plain)
    leaves = [x, *layer.parameters()]
    got = torch.autograd.grad((layer(x) * weight).sum(), leaves)
    want = torch.autograd.grad((plain * weight).sum(), leaves)
    for a, b in zip((layer(x), *got), (plain, *want), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("length", [1, 2, 5, 8, 9])
def test_halving_is_torchs_pooling(length: int) -> None:
    x = torch.randn(2, length, 3, requires_grad=True)
    got, want = halve(x), F.max_pool1d(x.transpose(1, 2), 3, 2, 1).transpose(1, 2)
    weight = torch.randn_like(got)
    assert torch.equal(got, want)
    pair = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (got, want)]
    assert torch.equal(*pair)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_replays(p: float) -> None:
    x = torch.ones(1000, 1001, requires_grad=True)
    torch.manual_seed(0)
    y = dropout(x, p)
    dropped = y.detach() == 0
    assert abs(float(dropped.double().mean()) - p) < 0.002
    assert abs(float(y.detach().mean()) - 1) < 0.02
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], y)
    torch.manual_seed(0)
    assert torch.equal(dropout(x, p), y)
    assert dropout(x, p, training=False) is x


def test_residual_is_dropout_and_a_sum() -> None:
    x, base = (torch.randn(50, 7, requires_grad=True) for _ in range(2))
    found = []
    for form in (lambda: residual(base, x, 0.3), lambda: base + dropout(x, 0.3)):
        torch.manual_seed(0)
        y = form()
        found.append([y, *torch.autograd.grad(y.square().sum(), [x, base])])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)
    assert torch.equal(residual(base, x, 0.3, training=False), base + x)


def test_projecting_less_is_the_same_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    attention = SelfAttention(replace(SMALL, width=32, heads=4), 0).double().eval()
    x = torch.randn(3, 50, 32, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 50, 32, dtype=torch.float64)
    found = []
    for pays, sparse in ((False, 1), (True, 100), (True, 1)):
        monkeypatch.setattr(attention_module, "pays", lambda *_, pays=pays: pays)
        monkeypatch.setattr(projected_module, "SPARSE", sparse)
        y = attention(x)
        found.append([y, *torch.autograd.grad((y * weight).sum(), [x, *attention.parameters()])])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_steady_heap_can_be_asked_for_twice() -> None:
    assert steady_heap() == steady_heap()


def test_precision_is_resolved_from_the_hardware() -> None:
    assert resolve("fp32", "cpu") == "fp32" and resolve("bf16", "cpu") == "bf16"
    assert resolve("auto", "cpu") == ("bf16" if fast_bfloat16("cpu") else "fp32")
    with pytest.raises(SeqsciError, match="did you mean 'bf16'"):
        resolve("bf61", "cpu")


def test_bfloat16_learns_as_float32_does() -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        network = informer(replace(SMALL, dropout=0.0))
        optimizer = torch.optim.Adam(network.parameters(), 3e-3)
        given = batch(16)
        target = given.values[:, :8].cumsum(1) / 3
        for _ in range(60):
            with autocast(precision, "cpu"):  # type: ignore[arg-type]
                out = network(given)
            assert out.dtype == torch.float32
            loss = (out - target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[precision] = float(loss.detach())
    assert losses["fp32"] < 0.5
    assert abs(losses["bf16"] / losses["fp32"] - 1) < 0.15
