"""Informer (Zhou et al., "Informer: Beyond Efficient Transformer for Long Sequence Time-Series Forecasting",
AAAI 2021, arXiv 2012.07436).

B batch, L context, H horizon, C channels read, C_out channels forecast, T marks, D width.

Where the paper and its published code differ, the paper's form is the default and the code's can be asked
for: `sampling`, `mix`. Attention weights are not dropped out, in ProbSparse as in exact attention.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqsci.data.batch import Batch, Shape
from seqsci.errors import SeqsciError
from seqsci.models.settings import InformerSettings
from seqsci.nn.attention import ExactAttention, SelfAttention
from seqsci.nn.convolution import CircularConv
from seqsci.nn.dropout import Dropout
from seqsci.nn.embeddings import DataEmbedding
from seqsci.nn.feedforward import FeedForward
from seqsci.nn.pooling import halve, halve_mask
from seqsci.registry import register_encoder, register_model


class EncoderLayer(nn.Module):
    """ProbSparse self-attention (eq. 3) and a position-wise network, each added and then normalised."""

    def __init__(self, settings: InformerSettings, number: int) -> None:
        super().__init__()
        self.attention = SelfAttention(settings, number)
        self.feedforward = FeedForward(settings.width, settings.feedforward, settings.dropout)
        self.norm1, self.norm2 = nn.LayerNorm(settings.width), nn.LayerNorm(settings.width)
        self.dropout = Dropout(settings.dropout)

    def forward(self, x: Tensor, key_mask: Tensor | None) -> Tensor:
        """(B, L, D) -> (B, L, D); steps where key_mask (B, L) is False are not looked at."""
        x = self.norm1(self.dropout.add(x, self.attention(x, key_mask)))
        return self.norm2(self.dropout.add(x, self.feedforward(x)))


class Distil(nn.Module):
    """X_{j+1} = MaxPool(ELU(Conv1d(X_j))), stride 2 (eq. 5), with the published code's batch norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = CircularConv(width, width)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, ceil(L/2), D)."""
        x = self.conv(x)
        x = self.norm(x.flatten(0, 1)).view(x.shape)
        # ELU rises, so it may follow the maximum: the same numbers for half the work.
        return F.elu(halve(x))


class Pyramid(nn.Module):
    """One encoder: attention layers with a distilling layer between each two, then a norm (figure 3)."""

    def __init__(self, settings: InformerSettings, layers: int, first: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(settings, first + i) for i in range(layers))
        halvings = layers - 1 if settings.distil else 0
        self.distils = nn.ModuleList(Distil(settings.width) for _ in range(halvings))
        self.norm = nn.LayerNorm(settings.width)

    def forward(self, x: Tensor, key_mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(B, L, D) and its key mask -> (B, L', D) and its key mask."""
        for number, layer in enumerate(self.layers):
            x = layer(x, key_mask)
            if number < len(self.distils):
                x = self.distils[number](x)
                key_mask = None if key_mask is None else halve_mask(key_mask)
        return self.norm(x), key_mask


@register_encoder("informer")
class InformerEncoder(nn.Module):
    """The distilling encoder (section 3.3), or several side by side (`stack`).

    The k-th of a stack reads the last L // 2^k steps; their outputs are joined in time. What stands at
    masked steps is put to zero on entry and never looked at.
    """

    causal = False
    recurrent = False
    streams = positional = False
    fixed_length = True  # the number of kept queries and the ring of the convolutions go by the length

    def __init__(self, settings: InformerSettings) -> None:
        super().__init__()
        self.width = settings.width
        depths = settings.stack or (settings.layers,)
        self.length_preserving = len(depths) == 1 and (depths[0] == 1 or not settings.distil)
        starts = [sum(depths[:k]) for k in range(len(depths))]
        self.pyramids = nn.ModuleList(
            Pyramid(settings, depth, first) for depth, first in zip(depths, starts, strict=True)
        )

    @staticmethod
    def check(settings: InformerSettings, context: int) -> None:
        """Refuse a stack whose encoders would have no step left to read or to halve.

        Raises:
            SeqsciError: naming `model.stack` or `model.layers`.
        """
        for k, depth in enumerate(settings.stack or (settings.layers,)):
            steps = context // 2**k
            needed = 2 ** (depth - 1) if settings.distil else 1
            if steps < needed:
                key = "model.stack" if settings.stack else "model.layers"
                raise SeqsciError(
                    f"{key}: encoder {k + 1} of {depth} layers needs {needed} steps and reads {steps} "
                    f"of a context of {context}; take fewer layers or a longer data.context"
                )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, L, D), mask (B, L) True where a step is real -> (B, L', D)."""
        return self.encode(x, mask)[0]

    def encode(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """As forward, with the mask (B, L') of the result, None when every step is real."""
        key_mask = None if bool(mask.all()) else mask
        if key_mask is not None:
            x = x.masked_fill(~mask.unsqueeze(-1), 0)
        parts, masks = [], []
        for k, pyramid in enumerate(self.pyramids):
            steps = x.shape[1] // 2**k
            part, part_mask = pyramid(x[:, -steps:], None if key_mask is None else key_mask[:, -steps:])
            parts.append(part)
            masks.append(part_mask)
        joined = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
        return joined, None if key_mask is None else torch.cat(masks, 1)


class DecoderLayer(nn.Module):
    """Causal ProbSparse self-attention, exact attention to the encoder, position-wise network (figure 2)."""

    def __init__(self, settings: InformerSettings, number: int) -> None:
        super().__init__()
        self.self_attention = SelfAttention(settings, number, causal=True, mix=settings.mix)
        self.cross_attention = ExactAttention(settings.width, settings.heads)
        self.feedforward = FeedForward(settings.width, settings.feedforward, settings.dropout)
        self.norm1, self.norm2 = nn.LayerNorm(settings.width), nn.LayerNorm(settings.width)
        self.norm3 = nn.LayerNorm(settings.width)
        self.dropout = Dropout(settings.dropout)

    def forward(self, x: Tensor, memory: Tensor, memory_mask: Tensor | None, last: int) -> Tensor:
        """x (B, Ld, D), memory (B, L', D) -> (B, last, D): past the self-attention no step needs another."""
        x = self.norm1(self.dropout.add(x[:, -last:], self.self_attention(x, last=last)))
        x = self.norm2(self.dropout.add(x, self.cross_attention(x, memory, memory_mask)))
        return self.norm3(self.dropout.add(x, self.feedforward(x)))


@register_model("forecast", "informer")
class Informer(nn.Module):
    """Encoder and generative decoder (section 3.4): the whole horizon in one pass.

    The decoder reads the last `label_length` steps of the context, then H zeros that hold the place of the
    forecast (eq. 6), and the marks of both.

    Raises:
        SeqsciError: a label longer than the context, or an encoder too deep for it.
    """

    @staticmethod
    def wanted(settings: InformerSettings) -> bool:
        """Whether the paper's network is asked for."""
        return settings.decoder == "generative"

    def __init__(self, settings: InformerSettings, shape: Shape) -> None:
        super().__init__()
        if settings.label_length > shape.context:
            raise SeqsciError(
                f"model.label_length: {settings.label_length} steps are more than the context of "
                f"{shape.context}; take at most {shape.context}, or a longer data.context"
            )
        InformerEncoder.check(settings, shape.context)
        width = settings.width
        self.label_length, self.horizon = settings.label_length, shape.horizon
        self.embed_context = DataEmbedding(shape.channels, shape.marks, width, settings.dropout)
        self.embed_decoder = DataEmbedding(shape.channels, shape.marks, width, settings.dropout)
        self.encoder = InformerEncoder(settings)
        first = sum(settings.stack or (settings.layers,))
        self.decoder = nn.ModuleList(DecoderLayer(settings, first + i) for i in range(settings.decoder_layers))
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, shape.outputs)

    def forward(self, batch: Batch) -> Tensor:
        """(B, H, C_out) float32, in scaled units."""
        x = self.embed_context(batch.values, batch.times)
        memory, memory_mask = self.encoder.encode(x, batch.mask)
        x = self.embed_decoder(*self._start(batch))
        for number, layer in enumerate(self.decoder):
            # Of the last layer only the horizon is asked for.
            last = self.horizon if number == len(self.decoder) - 1 else x.shape[1]
            x = layer(x, memory, memory_mask, last)
        return self.projection(self.norm(x)).float()

    def _start(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Values (B, label + H, C) and marks (B, label + H, T) that the decoder reads."""
        known = batch.values[:, -self.label_length :]
        assert batch.future_times is not None
        values = F.pad(known, (0, 0, 0, self.horizon))
        return values, torch.cat([batch.times[:, -self.label_length :], batch.future_times], 1)


def from_reference(state: Mapping[str, Tensor], settings: InformerSettings) -> dict[str, Tensor]:
    """The weights of the authors' published network (github.com/zhouhaoyi/Informer2020) as ours.

    Args:
        state: state_dict of their `Informer` or `InformerStack` with linear calendar marks (`embed="timeF"`).
        settings: ours for the same sizes; `sampling="per-query", mix=True` forecasts as theirs does.

    Returns:
        What `Informer(settings, shape).load_state_dict(..., strict=False)` takes: everything but the buffers
        of the key samples, which theirs does not have.

    Raises:
        SeqsciError: a weight that ours has no place for, or calendar marks by look-up tables.
    """
    found: dict[str, Tensor] = {}
    for theirs, value in state.items():
        if theirs.endswith(".pe"):
            continue
        name = _rename(theirs)
        if name.endswith((".token", "conv.weight")):
            value = value.transpose(1, 2).flatten(1)
        elif name.endswith(("expand.weight", "contract.weight")):
            value = value.squeeze(-1)
        # The token convolution has an offset of its own there; ours shares that of the marks.
        found[name] = found[name] + value if name in found else value.clone()
    with torch.device("meta"):
        shape = _shape_of(found, settings)
        known = dict(Informer(settings, shape).named_parameters())
    wrong = sorted(k for k, v in known.items() if k not in found or found[k].shape != v.shape)
    wrong += sorted(k for k in found if k not in known and "norm." not in k)
    if wrong:
        raise SeqsciError(f"model: the reference weights do not fit these settings at {wrong[0]}")
    return found


RENAMES = (
    ("enc_embedding.", "embed_context."),
    ("dec_embedding.", "embed_decoder."),
    ("value_embedding.tokenConv.weight", "token"),
    ("value_embedding.tokenConv.bias", "bias"),
    ("temporal_embedding.embed.weight", "marks"),
    ("temporal_embedding.embed.bias", "bias"),
    ("encoder.encoders.", "encoder.pyramids."),
    ("attn_layers.", "layers."),
    ("conv_layers.", "distils."),
    ("downConv.", "conv."),
    ("decoder.layers.", "decoder."),
    ("decoder.norm.", "norm."),
    ("query_projection.", "query."),
    ("key_projection.", "key."),
    ("value_projection.", "value."),
    ("out_projection.", "out."),
    ("conv1.", "feedforward.expand."),
    ("conv2.", "feedforward.contract."),
)
"""Part of a name in the published code -> part of ours."""


def _rename(name: str) -> str:
    if name.startswith("encoder.") and not name.startswith("encoder.encoders."):
        name = "encoder.encoders.0." + name.removeprefix("encoder.")
    for theirs, ours in RENAMES:
        name = name.replace(theirs, ours)
    return name


def _shape_of(found: Mapping[str, Tensor], settings: InformerSettings) -> Shape:
    """The sizes that do not follow from settings, read off the weights; lengths are free, so long enough."""
    try:
        channels = found["embed_context.token"].shape[1] // 3
        marks = found["embed_context.marks"].shape[1]
        outputs = len(found["projection.bias"])
    except KeyError as missing:
        raise SeqsciError(f"model: the reference weights lack {missing}; are its marks linear?") from None
    return Shape(
        context=max(settings.label_length, 1 << 16),
        horizon=1,
        channels=channels,
        outputs=outputs,
        marks=marks,
        output_index=tuple(range(outputs)),
    )
