"""t2, the time-series transformer (Allam & McEwen, "Paying Attention to Astronomical Transients: Introducing the
Time-series Transformer for Photometric Classification", 2021, arXiv 2105.06178).

B batch, L length, D width.
"""

from __future__ import annotations

from torch import Tensor, nn

from seqsci.models.settings import T2Settings
from seqsci.nn.attention import ExactAttention
from seqsci.registry import register_encoder

EPSILON = 1e-6
"""Of the layer norms, as in the published code."""


class Block(nn.Module):
    """Self-attention and a position-wise network with ReLU, each dropped out, added and then normalised."""

    def __init__(self, settings: T2Settings) -> None:
        super().__init__()
        width, inner = settings.width, settings.feedforward
        self.attention = ExactAttention(width, settings.heads)
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
    length_preserving = True

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
