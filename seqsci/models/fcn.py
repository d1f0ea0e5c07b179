"""FCN, the fully convolutional network (Wang, Yan & Oates, "Time Series Classification from Scratch with Deep Neural
Networks: A Strong Baseline", 2017, arXiv 1611.06455).

Three blocks of convolution, batch norm and ReLU, kernels 8, 5 and 3, filters D, 2D and D: with D = 128 those of the
paper. What differs: the first block reads D channels, because an embedding stands before the encoder; the batch norm
counts real steps alone; dropout, off by default. The paper's head, the mean over the steps and one linear map, is
`PooledForecaster` here.

B batch, L length, D width, C channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqsci.data.batch import Batch, Shape
from seqsci.models.settings import FCNSettings
from seqsci.nn.dropout import Dropout
from seqsci.nn.embeddings import DataEmbedding
from seqsci.registry import register_encoder, register_model


class StepNorm(nn.BatchNorm1d):
    """Batch norm over the real steps of a batch; the others come out as 0."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (B, C, L), mask (B, L) or None where all steps are real -> (B, C, L)."""
        if mask is None:
            return super().forward(x)
        rows = x.transpose(1, 2)
        # One real step has no variance; as in evaluation it then takes what was seen before.
        few = self.training and int(mask.sum()) < 2
        real = self._from_memory(rows[mask]) if few else super().forward(rows[mask])
        out = torch.zeros_like(rows, dtype=real.dtype)
        out[mask] = real
        return out.transpose(1, 2)

    def _from_memory(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class Block(nn.Module):
    """Convolution that keeps the length, batch norm, ReLU; dropout behind."""

    def __init__(self, channels: int, filters: int, kernel: int, p: float) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(channels, filters, kernel)
        self.norm = StepNorm(filters)
        self.dropout = Dropout(p)
        # Of an even kernel the longer side looks ahead, as in Keras, in which the paper's code is written.
        self.padding = ((kernel - 1) // 2, kernel // 2)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, C, L) -> (B, filters, L); x must be 0 where the mask (B, L) is False, and the result is."""
        return self.dropout(F.relu(self.norm(self.convolution(F.pad(x, self.padding)), mask)))


@register_encoder("fcn")
class FCNEncoder(nn.Module):
    """The three blocks. Masked steps are 0 before each convolution, so steps appended behind change nothing."""

    causal = False
    recurrent = False
    streams = positional = False
    length_preserving = True
    fixed_length = False

    def __init__(self, settings: FCNSettings) -> None:
        super().__init__()
        self.width = width = settings.width
        filters = [width, *[2 * width] * (len(settings.kernels) - 2), width][-len(settings.kernels) :]
        channels = [width, *filters[:-1]]
        self.blocks = nn.ModuleList(
            Block(*sizes, settings.dropout) for sizes in zip(channels, filters, settings.kernels, strict=True)
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, L, D), mask (B, L) True where a step is real -> (B, L, D), 0 where it is not."""
        real = None if bool(mask.all()) else mask
        x = x if real is None else x.masked_fill(~mask.unsqueeze(-1), 0)
        x = x.transpose(1, 2)
        for block in self.blocks:
            x = block(x, real)
        return x.transpose(1, 2)


@register_model("forecast", "fcn")
class PooledForecaster(nn.Module):
    """Data embedding, the blocks, the mean over the real steps and one linear map to the whole horizon.

    A state sees 6 steps before it and 7 behind, so that the encoder's last state alone would leave out most of
    the context.
    """

    @staticmethod
    def wanted(settings: FCNSettings) -> bool:
        """Whether the paper's head is asked for."""
        return settings.decoder == "pooled"

    def __init__(self, settings: FCNSettings, shape: Shape) -> None:
        super().__init__()
        self.embed = DataEmbedding(shape.channels, shape.marks, settings.width, settings.dropout)
        self.encoder = FCNEncoder(settings)
        self.projection = nn.Linear(settings.width, shape.horizon * shape.outputs)
        self.horizon, self.outputs = shape.horizon, shape.outputs

    def forward(self, batch: Batch) -> Tensor:
        """(B, H, C_out) float32, in scaled units."""
        states = self.encoder(self.embed(batch.values, batch.times), batch.mask)
        count = batch.mask.sum(1, keepdim=True).clamp(min=1)
        return self.projection(states.sum(1) / count).unflatten(-1, (self.horizon, self.outputs)).float()
