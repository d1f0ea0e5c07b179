"""Every encoder of the zoo as a classifier of irregular observations, and the published t2."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seqsci import matrix, registry
from seqsci.data.batch import Batch, SequenceShape
from seqsci.errors import SeqsciError
from seqsci.models.settings import T2Settings
from seqsci.nn.attention import ExactAttention
from seqsci.nn.head import build

SHAPE = SequenceShape(context=20, channels=3, times=2, kinds=6, static=4, classes=5)
PAPER = SequenceShape(context=100, channels=6, times=1, kinds=0, static=4, classes=14)
SMALL: dict[str, Any] = {"width": 32, "heads": 4, "layers": 2, "feedforward": 48, "dropout": 0.0, "stride": 3}
"""Small sizes; an encoder takes those that its settings have, and one around others what `matrix.AROUND` has."""


def settings_of(name: str) -> Any:
    name, _, inner = name.partition("/")
    known: Any = registry.settings(name)
    small = {**SMALL, **matrix.AROUND.get(name, {}), **({"encoder": settings_of(inner)} if inner else {})}
    return known(**{f.name: small[f.name] for f in fields(known) if f.name in small})


def network_of(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build("classify", settings_of(name), SHAPE)


def batch(lengths: list[int], shape: SequenceShape = SHAPE, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    rows, steps = len(lengths), max(lengths)
    mask = torch.arange(steps) < torch.tensor(lengths)[:, None]
    days = torch.rand(rows, steps, shape.times, generator=draw).cumsum(1) * 10
    return Batch(
        values=torch.randn(rows, steps, shape.channels, generator=draw) * mask[..., None],
        mask=mask,
        times=days * mask[..., None],
        kinds=torch.randint(6, (rows, steps), generator=draw) * mask if shape.kinds else None,
        static=torch.randn(rows, shape.static, generator=draw),
        target=torch.arange(rows) % shape.classes,
        index=torch.arange(rows),
    )


def row(given: Batch, number: int, steps: int) -> Batch:
    """One sequence without its padding."""
    long = {"values", "mask", "times", "kinds"}
    tensors = {f.name: getattr(given, f.name) for f in fields(given)}
    cut = {k: v[number : number + 1] for k, v in tensors.items() if v is not None}
    return replace(given, **{k: v[:, :steps] if k in long else v for k, v in cut.items()})


every = pytest.mark.parametrize("name", matrix.encoders())
LENGTHS = [20, 3, 1, 11, 7]


@every
def test_forward_and_backward(name: str) -> None:
    network = network_of(name)
    out = network(batch(LENGTHS))
    assert out.shape == (5, SHAPE.classes) and out.dtype == torch.float32
    out.square().sum().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]
    assert not without


@every
def test_overfits_a_tiny_batch(name: str) -> None:
    network, given = network_of(name), batch(LENGTHS)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(120):
        loss = F.cross_entropy(network(given), given.target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2


@every
def test_neither_padding_nor_the_batch_changes_a_result(name: str) -> None:
    network, given = network_of(name).eval(), batch(LENGTHS)
    whole = network(given)
    alone = torch.cat([network(row(given, i, n)) for i, n in enumerate(LENGTHS)])
    torch.testing.assert_close(alone, whole, rtol=1e-5, atol=1e-5)


@every
def test_the_maps_add_up_to_the_logits(name: str) -> None:
    network, given = network_of(name).eval(), batch(LENGTHS)
    maps = network.maps(given)
    torch.testing.assert_close(maps.sum(1), network(given), rtol=1e-5, atol=1e-5)
    if maps.shape[1] == 1 + given.mask.shape[1]:
        assert not maps[:, 1:][~given.mask].any()


@every
def test_kinds_times_and_static_features_matter(name: str) -> None:
    network, given = network_of(name).eval(), batch(LENGTHS)
    before = network(given)
    for change in ({"kinds": (given.kinds + 1) % 6}, {"times": given.times * 1.5}, {"static": given.static + 1}):
        assert (network(replace(given, **change)) - before).abs().max() > 1e-4


def test_published_t2_has_13390_parameters() -> None:
    network = build("classify", T2Settings(embedding="published"), PAPER)
    assert sum(p.numel() for p in network.parameters()) == 13390
    channels = build("classify", T2Settings(embedding="published", redshift="channels"), PAPER)
    assert sum(p.numel() for p in channels.parameters()) == 13390 + 2 * 32


def test_published_t2_reads_redshift_rows_and_its_maps_add_up() -> None:
    torch.manual_seed(0)
    network = build("classify", T2Settings(embedding="published"), PAPER).eval()
    given = batch([100, 100], PAPER)
    maps = network.maps(given)
    assert maps.shape == (2, 102, 14)
    torch.testing.assert_close(maps.sum(1), network(given), rtol=1e-5, atol=1e-5)
    moved = network(replace(given, static=given.static + torch.tensor([0.5, 0, 0, 0])))
    assert (moved - network(given)).abs().max() > 1e-4
    # Of the static features it reads the redshift and its error alone.
    same = network(replace(given, static=given.static + torch.tensor([0, 0, 5.0, 5.0])))
    assert torch.equal(same, network(given))


def test_published_t2_by_hand() -> None:
    """The network once more, from its description, in plain functions of torch."""
    torch.manual_seed(1)
    network = build("classify", T2Settings(embedding="published"), PAPER).eval()
    given = batch([100, 100, 100], PAPER)
    w = dict(network.named_parameters())
    pair = given.static[:, :2]
    rows = torch.stack([pair[:, [0, 1, 0, 1, 0, 1]]] * 2, 1)
    x = torch.relu(torch.cat([given.values, rows], 1) @ w["convolution.weight"].T + w["convolution.bias"])
    place = torch.arange(102)[:, None] / 10000 ** (torch.arange(0, 32, 2) / 32)
    x = x + torch.stack([place.sin(), place.cos()], -1).reshape(102, 32)
    block = "encoder.blocks.0."
    linear = {
        n: (w[f"{block}attention.{n}.weight"], w[f"{block}attention.{n}.bias"]) for n in ("query", "key", "value")
    }
    q, k, v = (F.linear(x, *linear[n]).view(3, 102, 16, 2).transpose(1, 2) for n in ("query", "key", "value"))
    y = torch.softmax(q @ k.transpose(-1, -2) / 2**0.5, -1) @ v
    y = F.linear(
        y.transpose(1, 2).reshape(3, 102, 32), w[f"{block}attention.out.weight"], w[f"{block}attention.out.bias"]
    )
    x = F.layer_norm(x + y, (32,), w[f"{block}norm1.weight"], w[f"{block}norm1.bias"], 1e-6)
    y = torch.relu(F.linear(x, w[f"{block}feedforward.0.weight"], w[f"{block}feedforward.0.bias"]))
    y = F.linear(y, w[f"{block}feedforward.2.weight"], w[f"{block}feedforward.2.bias"])
    x = F.layer_norm(x + y, (32,), w[f"{block}norm2.weight"], w[f"{block}norm2.bias"], 1e-6)
    expected = F.linear(x.mean(1), w["head.linear.weight"], w["head.linear.bias"])
    torch.testing.assert_close(network(given), expected, rtol=1e-4, atol=1e-5)


def test_published_t2_wants_a_grid() -> None:
    with pytest.raises(SeqsciError, match=r"data\.input gp"):
        build("classify", T2Settings(embedding="published"), SHAPE)


def test_published_t2_learns_from_fluxes_of_any_size() -> None:
    """Of scores beyond 10^7 torch's fused attention gives gradients that are not finite."""
    torch.manual_seed(0)
    network = build("classify", T2Settings(embedding="published"), PAPER)
    given = batch([100] * 8, PAPER)
    F.cross_entropy(network(replace(given, values=given.values * 1e5)), given.target).backward()
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters())


def test_plain_attention_is_exact_attention() -> None:
    torch.manual_seed(0)
    fused, plain = ExactAttention(32, 4), ExactAttention(32, 4, plain=True)
    plain.load_state_dict(fused.state_dict())
    x, mask = torch.randn(3, 9, 32), torch.arange(9) < torch.tensor([9, 4, 0])[:, None]
    for key_mask in (None, mask):
        torch.testing.assert_close(plain(x, x, key_mask), fused(x, x, key_mask), rtol=1e-5, atol=1e-6)
