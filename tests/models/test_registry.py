"""Every encoder of the zoo, under both heads, keeps the contract."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import nn

from seqsci import matrix, registry
from seqsci.data.batch import Batch, Shape
from seqsci.errors import SeqsciError
from seqsci.nn.encoder import Encoder
from seqsci.nn.head import DirectForecaster, build

SHAPE = Shape(context=24, horizon=6, channels=3, outputs=2, marks=4, output_index=(0, 2))
SMALL: dict[str, Any] = {"width": 32, "heads": 4, "layers": 2, "feedforward": 48, "label_length": 8, "dropout": 0.0,
                         "stride": 3, "head_dropout": 0.0}  # fmt: skip
"""Small sizes; an encoder takes those that its settings have, and one around others what `matrix.AROUND` has."""


def settings_of(name: str) -> Any:
    name, _, inner = name.partition("/")
    known: Any = registry.settings(name)
    small = {**SMALL, **matrix.AROUND.get(name, {}), **({"encoder": settings_of(inner)} if inner else {})}
    return known(**{f.name: small[f.name] for f in fields(known) if f.name in small})


def network_of(name: str, head: str) -> nn.Module:
    torch.manual_seed(0)
    settings = settings_of(name)
    if head == "own":
        return build("forecast", settings, SHAPE)
    return DirectForecaster(SHAPE, settings, registry.encoder(settings.name)(settings))


def batch(rows: int) -> Batch:
    draw = torch.Generator().manual_seed(rows)
    return Batch(
        values=torch.randn(rows, SHAPE.context, SHAPE.channels, generator=draw),
        mask=torch.ones(rows, SHAPE.context, dtype=torch.bool),
        times=torch.rand(rows, SHAPE.context, SHAPE.marks, generator=draw) - 0.5,
        future_times=torch.rand(rows, SHAPE.horizon, SHAPE.marks, generator=draw) - 0.5,
        index=torch.arange(rows),
        target=torch.randn(rows, SHAPE.horizon, SHAPE.outputs, generator=draw),
        target_mask=torch.ones(rows, SHAPE.horizon, SHAPE.outputs, dtype=torch.bool),
    )


def row(given: Batch, number: int) -> Batch:
    tensors = {f.name: getattr(given, f.name) for f in fields(given)}
    return replace(given, **{k: v[number : number + 1] for k, v in tensors.items() if v is not None})


every = pytest.mark.parametrize("name", matrix.encoders())
both = pytest.mark.parametrize("head", ["own", "linear"])


@every
@both
def test_forward_and_backward(name: str, head: str) -> None:
    network = network_of(name, head)
    out = network(batch(5))
    assert out.shape == (5, SHAPE.horizon, SHAPE.outputs) and out.dtype == torch.float32
    out.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())


@every
@both
def test_overfits_a_tiny_batch(name: str, head: str) -> None:
    network, given = network_of(name, head), batch(4)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(150):
        loss = (network(given) - given.target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


@every
@both
def test_a_row_alone_is_the_row_in_a_batch(name: str, head: str) -> None:
    network, given = network_of(name, head).eval(), batch(7)
    whole = network(given)
    alone = torch.cat([network(row(given, i)) for i in range(7)])
    torch.testing.assert_close(alone, whole, rtol=1e-5, atol=1e-6)


@every
def test_encoder_contract(name: str) -> None:
    settings = settings_of(name)
    torch.manual_seed(0)
    encoder = registry.encoder(settings.name)(settings).eval()
    assert isinstance(encoder, Encoder)
    x, mask = torch.randn(3, 21, encoder.width), torch.ones(3, 21, dtype=torch.bool)
    y = encoder(x, mask)
    assert y.shape[::2] == (3, encoder.width)
    assert not encoder.length_preserving or y.shape[1] == 21
    if encoder.causal:
        changed = torch.cat([x[:, :13], torch.randn(3, 8, encoder.width)], 1)
        torch.testing.assert_close(encoder(changed, mask)[:, :13], y[:, :13], rtol=1e-5, atol=1e-6)


@every
def test_masked_steps_change_nothing(name: str) -> None:
    settings = settings_of(name)
    encoder = registry.encoder(settings.name)(settings).eval()
    x = torch.randn(3, 24, encoder.width)
    mask = torch.ones(3, 24, dtype=torch.bool)
    mask[0, 5:9], mask[1, :20] = False, False
    changed = x.masked_fill(~mask.unsqueeze(-1), 77.0)
    before, after = encoder(x, mask), encoder(changed, mask)
    if encoder.length_preserving:
        before, after = before[mask], after[mask]
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-6)


def test_unknown_name() -> None:
    with pytest.raises(SeqsciError, match="did you mean 'informer'"):
        registry.encoder("infomer")
    with pytest.raises(SeqsciError, match=r"model\.name"):
        registry.model("forecast", "nothing-like-it")
