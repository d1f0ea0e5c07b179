"""A window's level taken off and put back: the forecast moves with the series."""

from dataclasses import replace

import pytest
import torch

from seqsci.data.batch import Batch, Shape
from seqsci.models.settings import InformerSettings, T2Settings
from seqsci.nn.head import build

SHAPE = Shape(context=24, horizon=6, channels=3, outputs=2, marks=4, output_index=(2, 0))
INFORMER = InformerSettings(width=16, heads=2, feedforward=16, label_length=8)


def batch() -> Batch:
    draw = torch.Generator().manual_seed(1)
    return Batch(
        values=torch.randn(4, 24, 3, generator=draw),
        mask=torch.ones(4, 24, dtype=torch.bool),
        times=torch.rand(4, 24, 4, generator=draw) - 0.5,
        future_times=torch.rand(4, 6, 4, generator=draw) - 0.5,
        index=torch.arange(4),
    )


@pytest.mark.parametrize("settings", [INFORMER, T2Settings(width=16, heads=2)], ids=["informer", "t2"])
@pytest.mark.parametrize("level", ["last", "mean"])
def test_a_shift_of_the_input_shifts_the_forecast(settings: InformerSettings | T2Settings, level: str) -> None:
    torch.manual_seed(0)
    network = build("forecast", settings, replace(SHAPE, level=level)).eval()
    given = batch()
    shift = torch.tensor([5.0, -3.0, 100.0])
    moved = network(replace(given, values=given.values + shift))
    torch.testing.assert_close(moved, network(given) + shift[[2, 0]], rtol=1e-4, atol=1e-4)


def test_without_a_level_it_does_not() -> None:
    torch.manual_seed(0)
    network = build("forecast", INFORMER, SHAPE).eval()
    given = batch()
    difference = network(replace(given, values=given.values + 5)) - network(given)
    assert (difference - 5).abs().max() > 1


@pytest.mark.parametrize("level", ["last", "mean"])
def test_zero_from_the_network_is_the_level_itself(level: str) -> None:
    torch.manual_seed(0)
    network = build("forecast", T2Settings(width=16, heads=2), replace(SHAPE, level=level)).eval()
    for parameter in network.network.projection.parameters():
        torch.nn.init.zeros_(parameter)
    given = batch()
    expected = given.values[:, -1] if level == "last" else given.values.mean(1)
    torch.testing.assert_close(network(given), expected[:, None, [2, 0]].expand(-1, 6, -1))
