"""Encoders of one size: of each the width whose parameters are nearest to a budget."""

from __future__ import annotations

import itertools
from dataclasses import fields
from typing import Any

from seqsci import registry
from seqsci.nn.sized import nearest_in_size, parameters
from seqsci.training.long_range.scales import Scale


def sized(model: str, scale: Scale) -> Any:
    """Settings of an encoder, "transformer" or "hmt/transformer", near the scale's budget.

    Each encoder takes what its settings have of: layers, heads, a feed-forward of four times the width where it is not
    gated, no dropout (no row is seen twice). HMT reads segments, and what a segment remembers stands before it
    (`inject` front): all that is asked for stands behind all that is read.
    """
    unit = 2 * scale.heads
    rising = (_settings(model, width, scale) for width in itertools.count(unit, unit))
    return nearest_in_size(rising, scale.budget, _parameters)


def _parameters(settings: Any) -> int:
    # Their random weights are drawn from torch's one generator: a cell's own begin behind them.
    return parameters(registry.encoder(settings.name)(settings))


def _settings(model: str, width: int, scale: Scale) -> Any:
    name, _, inner = model.partition("/")
    known: Any = registry.settings(name)
    mine = {field.name: field for field in fields(known)}
    wishes: dict[str, Any] = {
        "width": width,
        "layers": scale.layers,
        "heads": scale.heads,
        "dropout": 0.0,
        "segment": scale.segment,
        "sensory": scale.segment // 8,
        "inject": "front",
    }
    if "feedforward" in mine and mine["feedforward"].default is not None:
        wishes["feedforward"] = 4 * width
    if inner:
        wishes["encoder"] = _settings(inner, width, scale)
    return known(**{name: value for name, value in wishes.items() if name in mine})
