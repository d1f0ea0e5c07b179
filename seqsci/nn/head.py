"""Networks for a task: the paper's own where it has one, else a generic head on an encoder.

B batch, L context, H horizon, C_out channels forecast, D width.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from seqsci import registry
from seqsci.data.batch import Batch, Shape
from seqsci.nn.embeddings import DataEmbedding


class DirectForecaster(nn.Module):
    """Data embedding, any encoder, and one linear map of its state to the whole horizon.

    The state is the encoder's last one; of an encoder that changes the length, the mean of all.

    Args:
        shape: sizes of the data.
        settings: of the model; `width` and `dropout` are read.
        encoder: maps (B, L, D) and a mask (B, L) to (B, L', D).
    """

    def __init__(self, shape: Shape, settings: Any, encoder: nn.Module) -> None:
        super().__init__()
        self.embed = DataEmbedding(shape.channels, shape.marks, settings.width, settings.dropout)
        self.encoder = encoder
        self.projection = nn.Linear(settings.width, shape.horizon * shape.outputs)
        self.horizon, self.outputs = shape.horizon, shape.outputs

    def forward(self, batch: Batch) -> Tensor:
        """(B, H, C_out) float32, in scaled units."""
        states = self.encoder(self.embed(batch.values, batch.times), batch.mask)
        state = states[:, -1] if self.encoder.length_preserving else states.mean(1)
        return self.projection(state).unflatten(-1, (self.horizon, self.outputs)).float()


class Levelled(nn.Module):
    """A network that sees and gives each series relative to the context's last value, or to its mean.

    A forecast of 0 is then "as it was", whatever the level: the last-value subtraction of NLinear (Zeng et al.,
    AAAI 2023, arXiv 2205.13504), or the mean of RevIN (Kim et al., ICLR 2022) without its learnt scale.
    """

    index: Tensor

    def __init__(self, network: nn.Module, shape: Shape) -> None:
        super().__init__()
        self.network, self.level = network, shape.level
        self.register_buffer("index", torch.tensor(shape.output_index), persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """(B, H, C_out) float32, in scaled units."""
        # Unobserved entries repeat the last observed one, so the last row holds the last value that was seen.
        level = batch.values[:, -1:] if self.level == "last" else batch.values.mean(1, keepdim=True)
        forecast: Tensor = self.network(replace(batch, values=batch.values - level))
        return forecast + level[..., self.index]


def build(task: str, settings: Any, shape: Shape) -> nn.Module:
    """The network of a recipe: `network(batch) -> (B, H, C_out)` for the task "forecast".

    The paper's own network, if it has one for the task and `settings.decoder` does not ask for "linear";
    else the generic head on the encoder `settings.name`.

    Raises:
        SeqsciError: an unknown name, or settings that do not fit the data.
    """
    if shape.level != "none":
        return Levelled(build(task, settings, replace(shape, level="none")), shape)
    model = registry.model(task, settings.name)
    if model is not None and getattr(settings, "decoder", "") != "linear":
        network: nn.Module = model(settings, shape)
        return network
    encoder = registry.encoder(settings.name)
    check = getattr(encoder, "check", None)
    if check is not None:
        check(settings, shape.context)
    return DirectForecaster(shape, settings, encoder(settings))
