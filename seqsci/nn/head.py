"""Networks for a task: the paper's own where it has one, else a generic head on an encoder.

B batch, L context, H horizon, C_out channels forecast, K classes, D width.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqsci import registry
from seqsci.data.batch import AnyShape, Batch, LanguageShape, SequenceShape, Shape
from seqsci.nn.embeddings import DataEmbedding, ObservationEmbedding
from seqsci.nn.language import LanguageNetwork, RowNetwork


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


class ActivationMaps(nn.Module):
    """The mean of the real states, dropout, and a linear map to the classes.

    As all of it is linear, the logit of a class is the sum of what each step adds to it: its class activation map
    (Zhou et al., CVPR 2016, arXiv 1512.04150).
    """

    def __init__(self, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, classes)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """(B, L', D) and (B, L') -> (B, K) float32 logits."""
        real = mask.unsqueeze(-1)
        mean = (states * real).sum(1) / real.sum(1)
        return self.linear(self.dropout(mean)).float()

    def maps(self, states: Tensor, mask: Tensor) -> Tensor:
        """(B, L', D) and (B, L') -> (B, L', K), 0 at masked steps; in evaluation their sum over L' is the logit."""
        real = mask.unsqueeze(-1)
        return self.linear(states).float() * real / real.sum(1, keepdim=True)


class SequenceClassifier(nn.Module):
    """Observation embedding, any encoder, and a linear map of the mean state to the classes.

    Args:
        shape: sizes of the data.
        settings: of the model; `width` and `dropout` are read.
        encoder: maps (B, L, D) and a mask (B, L) to (B, L', D).
    """

    def __init__(self, shape: SequenceShape, settings: Any, encoder: nn.Module) -> None:
        super().__init__()
        self.embed = ObservationEmbedding(
            shape.channels, shape.times, shape.kinds, shape.static, settings.width, settings.dropout
        )
        self.encoder: Any = encoder
        self.head = ActivationMaps(settings.width, shape.classes, settings.dropout)
        # An encoder whose result depends on the padding is always given the same length.
        self.length = 1 + shape.context if encoder.fixed_length else None

    def forward(self, batch: Batch) -> Tensor:
        """(B, K) float32 logits."""
        logits: Tensor = self.head(*self.encode(batch))
        return logits

    def maps(self, batch: Batch) -> Tensor:
        """(B, L', K) what each state adds to each logit; the first of L' = 1 + L states is the static features'."""
        maps: Tensor = self.head.maps(*self.encode(batch))
        return maps

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, L', D) states and which of them are real (B, L')."""
        x, mask = self.embed(batch)
        if self.length is not None:
            missing = self.length - x.shape[1]
            x, mask = F.pad(x, (0, 0, 0, missing)), F.pad(mask, (0, missing))
        if self.encoder.length_preserving:
            return self.encoder(x, mask), mask
        states, real = self.encoder.encode(x, mask)
        return states, states.new_ones(states.shape[:2], dtype=torch.bool) if real is None else real


def build(task: str, settings: Any, shape: AnyShape) -> nn.Module:
    """The network of a recipe: `network(batch)` gives (B, H, C_out) to forecast, (B, K) to classify or to say something
    of a whole row of tokens, and (B, L, V) to tell tokens.

    The paper's own network, if it has one for the task and the settings want it; else the generic head on the
    encoder `settings.name`.

    Raises:
        SeqsciError: an unknown name, or settings that do not fit the data.
    """
    if isinstance(shape, LanguageShape):
        return RowNetwork(settings, shape) if shape.outputs else LanguageNetwork(settings, shape)
    if isinstance(shape, Shape) and shape.level != "none":
        return Levelled(build(task, settings, replace(shape, level="none")), shape)
    model = registry.model(task, settings.name)
    if model is not None and model.wanted(settings):
        network: nn.Module = model(settings, shape)
        return network
    encoder = registry.encoder(settings.name)
    check = getattr(encoder, "check", None)
    if check is not None:
        check(settings, shape.context)
    if isinstance(shape, SequenceShape):
        return SequenceClassifier(shape, settings, encoder(settings))
    return DirectForecaster(shape, settings, encoder(settings))
