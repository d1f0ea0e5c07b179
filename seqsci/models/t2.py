"""t2, the time-series transformer (Allam & McEwen, "Paying Attention to Astronomical Transients: Introducing the
Time-series Transformer for Photometric Classification", 2021, arXiv 2105.06178).

B batch, L length, M channels, K classes, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqsci.data.batch import Batch, SequenceShape
from seqsci.errors import SeqsciError
from seqsci.models.settings import T2Settings
from seqsci.nn.attention import ExactAttention
from seqsci.nn.embeddings import sinusoid
from seqsci.nn.head import ActivationMaps
from seqsci.registry import register_encoder, register_model

EPSILON = 1e-6
"""Of the layer norms, as in the published code."""


class Block(nn.Module):
    """Self-attention and a position-wise network with ReLU, each dropped out, added and then normalised."""

    def __init__(self, settings: T2Settings) -> None:
        super().__init__()
        width, inner = settings.width, settings.feedforward
        # Published, the network sees bare fluxes, and some are ten thousand times the others.
        self.attention = ExactAttention(width, settings.heads, plain=settings.embedding == "published")
        self.feedforward = nn.Sequential(nn.Linear(width, inner), nn.ReLU(), nn.Linear(inner, width))
        self.norm1, self.norm2 = nn.LayerNorm(width, EPSILON), nn.LayerNorm(width, EPSILON)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Tensor, key_mask: Tensor | None) -> Tensor:
        """(B, L, D) -> (B, L, D); steps where key_mask (B, L) is False are not looked at."""
        x = self.norm1(x + self.dropout(self.attention(x, x, key_mask)))
        return self.norm2(x + self.dropout(self.feedforward(x)))


@register_encoder("t2")
class T2Encoder(nn.Module):
    """The transformer blocks of t2: one, of width 32 with 16 heads, at the published setting.

    What stands at masked steps is put to zero on entry and never looked at.
    """

    causal = False
    recurrent = False
    streams = positional = False
    length_preserving = True
    fixed_length = False

    def __init__(self, settings: T2Settings) -> None:
        super().__init__()
        self.width = settings.width
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.layers))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, L, D), mask (B, L) True where a step is real -> (B, L, D)."""
        key_mask = None if bool(mask.all()) else mask
        if key_mask is not None:
            x = x.masked_fill(~mask.unsqueeze(-1), 0)
        for block in self.blocks:
            x = block(x, key_mask)
        return x


@register_model("classify", "t2")
class T2(nn.Module):
    """The published classifier: convolution, position code, transformer, mean over time, linear map.

    It reads L points of a Gaussian process in M passbands; how far apart they are it is not told. The redshift and
    its error go in as two rows behind the points (`redshift="rows"`: both hold z, dz, z, dz, ... as in the published
    code) or as two channels. 13,390 parameters with 6 passbands, 14 classes and the default settings.

    Raises:
        SeqsciError: input that is not a grid, or whose static features are not the redshift and its error.
    """

    @staticmethod
    def wanted(settings: T2Settings) -> bool:
        """Whether the paper's network is asked for."""
        return settings.embedding == "published"

    def __init__(self, settings: T2Settings, shape: SequenceShape) -> None:
        super().__init__()
        if shape.kinds:
            raise SeqsciError("model.embedding: 'published' reads a Gaussian process; take data.input gp, or 'time'")
        self.redshift = settings.redshift if shape.static else None
        channels = shape.channels + (2 if self.redshift == "channels" else 0)
        self.convolution = nn.Linear(channels, settings.width)  # kernel size 1
        self.encoder = T2Encoder(settings)
        self.head = ActivationMaps(settings.width, shape.classes, settings.dropout)

    def forward(self, batch: Batch) -> Tensor:
        """(B, K) float32 logits."""
        logits: Tensor = self.head(*self.encode(batch))
        return logits

    def maps(self, batch: Batch) -> Tensor:
        """(B, L + 2, K) what each point, and then the redshift, adds to each logit."""
        return self.head.maps(*self.encode(batch))

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, L + 2, D) states and their mask; L states without redshift rows."""
        x, mask = batch.values, batch.mask
        if self.redshift is not None:
            assert batch.static is not None
            pair = batch.static[:, :2]
            if self.redshift == "channels":
                x = torch.cat([x, pair.unsqueeze(1).expand(-1, x.shape[1], -1)], -1)
            else:
                rows = pair.repeat(1, x.shape[-1]).view(-1, 2, x.shape[-1])
                x, mask = torch.cat([x, rows], 1), F.pad(mask, (0, 2), value=True)
        x = F.relu(self.convolution(x))
        x = x + sinusoid(x.shape[1], x.shape[2], x.device)
        return self.encoder(x, mask), mask
