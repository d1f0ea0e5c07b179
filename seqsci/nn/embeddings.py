"""From values and times to vectors.

B batch, L length, C channels, T marks, V kinds, S static features, D width.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqsci.data.batch import Batch
from seqsci.nn.dropout import Dropout


def sinusoid(length: int, width: int, device: torch.device | None = None) -> Tensor:
    """(L, D) fixed position code: sin and cos of t / 10000^(2i/D), interleaved (Vaswani et al. 2017)."""
    steps = torch.arange(length, device=device, dtype=torch.float32).unsqueeze(-1)
    rate = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10000.0) / width))
    angles = steps * rate
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :width]


def neighbours(x: Tensor) -> Tensor:
    """(B, L, C) -> (B, L, 3C): each step between the one before and the one after, the ends joined."""
    batch, length, channels = x.shape
    ringed = torch.cat([x[:, -1:], x, x[:, :1]], 1)
    # Three steps that follow each other in memory are one row of the result.
    return ringed.as_strided((batch, length, 3 * channels), (*ringed.stride()[:2], 1)).contiguous()


class DataEmbedding(nn.Module):
    """Circular convolution of the values + position code + linear map of the marks, then dropout.

    Informer, appendix B, with the published code's linear map of calendar marks for its look-up tables.
    `token (D, 3C)` has no offset of its own: that of `marks` serves both.

    Args:
        channels: C of the values.
        marks: T of the times; may be 0.
        width: D.
        dropout: probability.
    """

    def __init__(self, channels: int, marks: int, width: int, dropout: float) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.empty(width, 3 * channels))
        nn.init.kaiming_normal_(self.token, nonlinearity="leaky_relu")
        self.marks = nn.Parameter(torch.empty(width, marks))
        self.bias = nn.Parameter(torch.empty(width))
        bound = 1 / math.sqrt(max(marks, 1))
        nn.init.uniform_(self.bias, -bound, bound)
        if marks:
            nn.init.uniform_(self.marks, -bound, bound)
        self.dropout = Dropout(dropout)

    def forward(self, values: Tensor, times: Tensor) -> Tensor:
        """Values (B, L, C) and marks (B, L, T) -> (B, L, D)."""
        x = torch.cat([neighbours(values), times], -1)
        x = F.linear(x, torch.cat([self.token, self.marks], 1), self.bias)
        positions = sinusoid(values.shape[1], x.shape[-1], x.device)
        return self.dropout(x.add_(positions.to(x.dtype)))


class TimeCode(nn.Module):
    """Sine and cosine of a time at periods from SHORTEST to LONGEST, in geometric steps: unlike a position, a time
    says how far apart two observations are (Moreno-Cartagena et al. 2023, arXiv 2308.06404, compare such codes).
    """

    SHORTEST, LONGEST = 2.0, 3000.0
    rates: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        periods = torch.logspace(math.log10(self.SHORTEST), math.log10(self.LONGEST), (width + 1) // 2)
        self.width = width
        self.register_buffer("rates", 2 * math.pi / periods, persistent=False)

    def forward(self, times: Tensor) -> Tensor:
        """(B, L, T) days -> (B, L, T D)."""
        angles = times.unsqueeze(-1) * self.rates
        return torch.cat([angles.sin(), angles.cos()], -1)[..., : self.width].flatten(-2)


class _Static(nn.Sequential):
    """(B, S) -> (B, D) by one hidden layer."""

    def __init__(self, static: int, width: int, dropout: float) -> None:
        hidden = 2 * width
        super().__init__(nn.Linear(static, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width))


class ObservationEmbedding(nn.Module):
    """Irregular observations as vectors: values, kind and time of each; what holds for the whole goes before them.

    Args:
        channels: C of the values.
        times: T of a step.
        kinds: V kinds of a step; 0 for none.
        static: S.
        width: D.
        dropout: of the hidden layer that reads the static features.
    """

    def __init__(self, channels: int, times: int, kinds: int, static: int, width: int, dropout: float) -> None:
        super().__init__()
        self.values = nn.Linear(channels, width)
        self.kinds = nn.Embedding(kinds, width) if kinds else None
        self.code = TimeCode(width)
        self.times = nn.Linear(times * width, width, bias=False)
        self.static = _Static(static, width, dropout) if static else None
        self.start = nn.Parameter(torch.zeros(width))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A batch of L steps -> (B, 1 + L, D) and its mask (B, 1 + L); the first step holds the static features."""
        x = self.values(batch.values) + self.times(self.code(batch.times))
        if self.kinds is not None:
            x = x + self.kinds(batch.kinds)
        head = self.start.expand(len(x), 1, -1)
        if self.static is not None:
            head = head + self.static(batch.static).unsqueeze(1)
        x = torch.cat([head, F.gelu(x + head)], 1)
        return x, F.pad(batch.mask, (1, 0), value=True)
