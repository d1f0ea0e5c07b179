"""What a recipe may say of each model: plain frozen dataclasses, free of torch.

They stand apart from the models so that a mistyped flag is refused in a fraction of a second,
before torch is imported and before data is touched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from seqsci.errors import SeqsciError

Positive = Annotated[int, Field(gt=0, strict=True)]
Count = Annotated[int, Field(ge=0, strict=True)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Theta = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True)
class InformerSettings:
    """Informer (Zhou et al., AAAI 2021, arXiv 2012.07436); defaults are the authors' published code's."""

    name: Literal["informer"] = "informer"
    width: Positive = 512
    """Width D of every hidden state."""
    heads: Positive = 8
    """Attention heads; must divide the width."""
    layers: Positive = 2
    """Encoder layers; a distilling layer stands between each two."""
    decoder_layers: Positive = 1
    """Layers of the generative decoder."""
    feedforward: Positive = 2048
    """Inner width of the position-wise network."""
    stack: tuple[Positive, ...] = ()
    """Layers of the stacked encoders, the k-th reading the last context/2^k steps; empty for one encoder."""
    dropout: Fraction = 0.05
    """Probability that an activation is dropped in training."""
    attention: Literal["probsparse", "full"] = "probsparse"
    """Self-attention: ProbSparse, or exact (the paper's Informer†)."""
    sampling: Literal["shared", "per-query"] = "shared"
    """Keys that the ProbSparse measurement samples: one set for all queries (the paper's Algorithm 1),
    or one set per query (the authors' code)."""
    factor: Positive = 5
    """ProbSparse sampling factor c: c·ceil(ln L) keys are sampled and as many queries kept."""
    distil: bool = True
    """Halve the sequence between encoder layers."""
    mix: bool = False
    """Scramble heads and steps after the decoder's self-attention, as the authors' code does; for parity only."""
    label_length: Positive = 48
    """Known steps, the last of the context, that start the generative decoder."""
    decoder: Literal["generative", "linear"] = "generative"
    """Head: the paper's generative decoder, or one linear map of the encoder's last states."""

    def __post_init__(self) -> None:
        _require_heads(self.width, self.heads)


@dataclass(frozen=True, kw_only=True)
class T2Settings:
    """t2, the time-series transformer (Allam & McEwen 2021, arXiv 2105.06178); defaults are the published ones."""

    name: Literal["t2"] = "t2"
    width: Positive = 32
    """Width D of every hidden state."""
    heads: Positive = 16
    """Attention heads; must divide the width."""
    layers: Positive = 1
    """Transformer layers."""
    feedforward: Positive = 128
    """Inner width of the position-wise network."""
    dropout: Fraction = 0.1
    """Probability that an activation is dropped in training."""
    embedding: Literal["time", "published"] = "time"
    """How a light curve goes in: each observation with its time, passband and error, or the points of a Gaussian
    process by their number, as published (data.input gp). Forecasting does not read it."""
    redshift: Literal["rows", "channels"] = "rows"
    """Published embedding: the redshift and its error as two rows more, or as two channels more."""

    def __post_init__(self) -> None:
        _require_heads(self.width, self.heads)


@dataclass(frozen=True, kw_only=True)
class FCNSettings:
    """FCN, the fully convolutional network (Wang, Yan & Oates 2017, arXiv 1611.06455); defaults are the paper's."""

    name: Literal["fcn"] = "fcn"
    width: Positive = 128
    """Width D: filters of the first and the last block; those between have 2 D."""
    kernels: tuple[Positive, ...] = (8, 5, 3)
    """Steps that each block's convolution spans; as many blocks."""
    dropout: Fraction = 0.0
    """Probability that an activation is dropped in training; the paper has none."""
    decoder: Literal["pooled", "linear"] = "pooled"
    """Head of a forecast: the paper's mean over all steps, or one linear map of the encoder's last state."""

    def __post_init__(self) -> None:
        if not self.kernels:
            raise SeqsciError("model.kernels: no convolution; give at least one kernel, such as [8, 5, 3]")


@dataclass(frozen=True, kw_only=True)
class BioXLSTMSettings:
    """Bio-xLSTM (Schmidinger et al., ICLR 2025, arXiv 2411.04165): xLSTM blocks (Beck et al., NeurIPS 2024,
    arXiv 2405.04517); sizes are the defaults of the published DNA-xLSTM configuration."""

    name: Literal["bioxlstm"] = "bioxlstm"
    width: Positive = 256
    """Width D of every hidden state; DNA-xLSTM has 128 and 256, Prot-xLSTM 512 and 1024."""
    layers: Positive = 4
    """Blocks; Prot-xLSTM has 16, Chem-xLSTM 9."""
    heads: Positive = 4
    """Heads of a memory; must divide the width, in the style "later" half of it."""
    style: Literal["v1", "later"] = "v1"
    """Blocks of the first xLSTM paper, which Bio-xLSTM has, or those of xLSTM-7B (Beck et al., ICML 2025,
    arXiv 2503.13427): no convolution, capped gates, a gated network behind each memory."""
    slstm_at: tuple[Count, ...] = ()
    """Numbers, from 0, of the blocks that are sLSTM; the others are mLSTM. All are sLSTM in the reverse-complement
    form of DNA-xLSTM, none in Prot- and Chem-xLSTM."""
    direction: Literal["forward", "both"] = "forward"
    """Read forward, or both ways with the same weights, as DNA-xLSTM does for masked language modelling."""
    feedforward: Positive | None = None
    """Inner width of the gated networks; when not given the published 1.3 D (v1) or 8/3 D (later), rounded up to a
    multiple of 64. The blocks that are v1 and mLSTM have no such network."""
    dropout: Fraction = 0.0
    """Probability that a number which a block adds is dropped in training; DNA-xLSTM has none, Chem-xLSTM 0.25."""
    rotary: Theta = 0.0
    """Base theta of rotary position embeddings (Su et al. 2021, arXiv 2104.09864) of an mLSTM's queries and keys;
    0 for none. DNA-xLSTM's mLSTM and Prot-xLSTM have 5e5."""
    rotary_over: Literal["head", "width"] = "head"
    """Turn each head by itself and let the gates read what is not turned, as DNA-xLSTM; or turn the whole width before
    it is split into heads and read by the gates of v1, as Prot-xLSTM."""
    bias: bool = False
    """Offsets in the maps of a v1 mLSTM block, which DNA-xLSTM's pretraining script switches on."""

    @property
    def keys(self) -> int:
        """Width of an mLSTM's keys, all heads together; in v1 also that of everything inside it."""
        return self.width // 2 if self.style == "later" else whole(2 * self.width, math.lcm(64, self.heads))

    def __post_init__(self) -> None:
        _require_heads(self.width, self.heads)
        mlstm = set(range(self.layers)) - set(self.slstm_at)
        if self.style == "later" and mlstm and self.width % (2 * self.heads):
            raise SeqsciError(
                f"model.heads: {self.heads} heads do not divide half of model.width {self.width}, "
                f"which queries and keys of the style 'later' have"
            )
        turned = self.keys // self.heads if self.rotary_over == "head" else self.keys
        if self.rotary and turned % 2:
            raise SeqsciError(
                f"model.rotary: keys of width {turned} do not fall into pairs; take another model.width or model.heads"
            )
        if self.slstm_at and max(self.slstm_at) >= self.layers:
            raise SeqsciError(
                f"model.slstm_at: no block {max(self.slstm_at)} among model.layers {self.layers}; counted from 0"
            )


@dataclass(frozen=True, kw_only=True)
class TransformerSettings:
    """The transformer of LLaMA's form (Touvron et al. 2023, arXiv 2302.13971); the sizes are ours."""

    name: Literal["transformer"] = "transformer"
    width: Positive = 256
    """Width D of every hidden state."""
    heads: Positive = 4
    """Attention heads; must divide the width."""
    layers: Positive = 4
    """Transformer layers."""
    feedforward: Positive | None = None
    """Inner width of the gated networks; when not given 8/3 D, rounded up to a multiple of 64."""
    dropout: Fraction = 0.0
    """Probability that a number which a layer adds is dropped in training."""
    direction: Literal["forward", "both"] = "forward"
    """Each step sees those before it, or all of them."""
    rotary: Theta = 1e4
    """Base theta of rotary position embeddings (Su et al. 2021, arXiv 2104.09864); 0 for none."""

    def __post_init__(self) -> None:
        _require_heads(self.width, self.heads)
        if self.rotary and self.width // self.heads % 2:
            raise SeqsciError(
                f"model.rotary: heads of width {self.width // self.heads} do not fall into pairs; "
                f"take a model.width that is a multiple of twice the heads"
            )


EncoderSettings = Annotated[
    InformerSettings | T2Settings | FCNSettings | BioXLSTMSettings | TransformerSettings, Field(discriminator="name")
]
"""Settings of what HMT can be put around, and what can read patches, told apart by `name`."""


class _Around:
    """What settings around another encoder's have from it."""

    encoder: EncoderSettings

    @property
    def width(self) -> int:
        """Of the encoder."""
        return self.encoder.width

    @property
    def dropout(self) -> float:
        """Of the encoder."""
        return self.encoder.dropout


@dataclass(frozen=True, kw_only=True)
class HMTSettings(_Around):
    """HMT (He et al., NAACL 2025, arXiv 2405.06067), a memory around another encoder; defaults are the paper's."""

    name: Literal["hmt"] = "hmt"
    encoder: EncoderSettings = field(default_factory=BioXLSTMSettings)
    """What reads the segments, with its own settings: model.encoder.name, model.encoder.width and so on."""
    segment: Positive = 1024
    """Steps L that are read at once."""
    memory: Count = 300
    """Memories kept, one of each segment; 1 for recurrence alone (the recurrent memory transformer), 0 for none, so
    that segments know nothing of each other but the sensory steps."""
    sensory: Count = 32
    """Last steps of the segment before that are read again; at most a segment."""
    summary: Positive | None = None
    """First steps of a segment by which memories are looked up; half of it when not given."""
    keys: Positive | None = None
    """Width in which memories are compared; that of the encoder when not given."""
    inject: Literal["auto", "mid", "front", "front-leaks"] = "auto"
    """Where a segment reads its memories: before its first step (front, as published, by which the first half of a
    segment sees a summary of itself), or behind the steps that they were looked up by (mid). By itself mid around an
    encoder that reads forward, front around one that reads both ways. A causal language model refuses front; to
    measure the leak of the published form say front-leaks."""
    carry_state: bool = False
    """An encoder that is recurrent goes on from its own state as well; it then takes no sensory steps."""
    across: bool = False
    """Memory goes on where another record of a row begins, for sets of related records (data.sets)."""
    truncate: Count = 0
    """Gradients end at each so many-th border of segments; 0 for nowhere."""
    checkpoint: bool = False
    """Compute each segment again in the backward pass: less memory, and a third more time."""

    @property
    def direction(self) -> str:
        """Of the encoder: "forward" or "both"."""
        return getattr(self.encoder, "direction", "both")

    @property
    def layers(self) -> int:
        """Of the encoder."""
        return len(self.encoder.kernels) if isinstance(self.encoder, FCNSettings) else self.encoder.layers

    @property
    def summed(self) -> int:
        """Steps by which memories are looked up."""
        return max(1, round(self.segment / 2)) if self.summary is None else self.summary

    @property
    def leaks(self) -> bool:
        """Whether an encoder that reads forward is shown what it has not read."""
        return self.direction == "forward" and self.memory > 1 and self.inject.startswith("front")

    def __post_init__(self) -> None:
        if self.memory > 1 and self.summed > self.segment:
            raise SeqsciError(
                f"model.segment: {self.segment} steps are fewer than the {self.summed} first ones of it that "
                f"model.summary asks for; take at most {self.segment}, or a longer segment"
            )
        if self.sensory > self.segment:
            raise SeqsciError(
                f"model.sensory: {self.sensory} steps are more than the {self.segment} of the segment that they are "
                f"the last of; take at most {self.segment}, or a longer model.segment"
            )
        if self.carry_state and self.sensory:
            raise SeqsciError(
                f"model.carry_state: the state that is carried on has read the {self.sensory} sensory steps already; "
                f"put model.sensory to 0"
            )


def _patch_encoder() -> TransformerSettings:
    return TransformerSettings(width=32, heads=4, layers=1, feedforward=64, dropout=0.3, direction="both")


@dataclass(frozen=True, kw_only=True)
class PatchedSettings(_Around):
    """Patches for another encoder, beside a linear path (after PatchTST, Nie et al., ICLR 2023, arXiv 2211.14730)."""

    name: Literal["patched"] = "patched"
    encoder: EncoderSettings = field(default_factory=_patch_encoder)
    """What reads the patches, with its own settings: model.encoder.name, model.encoder.width and so on."""
    patch: Positive = 24
    """Steps of a patch."""
    stride: Positive | None = None
    """Steps from one patch to the next; a whole patch when not given, so that none overlap."""
    head_dropout: Fraction = 0.5
    """Probability that a number which the head of a forecast reads is dropped in training."""
    decoder: Literal["channels", "linear"] = "channels"
    """Head of a forecast: each series by itself, with a linear path beside the encoder, or one linear map of the
    encoder's mean state, which reads all series, calendar and covariates."""

    @property
    def step(self) -> int:
        """Steps from one patch to the next."""
        return self.patch if self.stride is None else self.stride

    def __post_init__(self) -> None:
        if self.step > self.patch:
            raise SeqsciError(
                f"model.stride: {self.step} steps from patch to patch pass over some that no patch of {self.patch} "
                f"reads; take at most model.patch"
            )


ModelSettings = Annotated[
    InformerSettings
    | T2Settings
    | FCNSettings
    | BioXLSTMSettings
    | TransformerSettings
    | HMTSettings
    | PatchedSettings,
    Field(discriminator="name"),
]
"""Every model's settings, told apart by `name`."""


def whole(width: float, unit: int) -> int:
    """The next multiple of `unit`."""
    return math.ceil(int(width) / unit) * unit


def _require_heads(width: int, heads: int) -> None:
    if width % heads:
        raise SeqsciError(
            f"model.heads: {heads} heads do not divide model.width {width}; "
            f"take a width that is a multiple of the heads"
        )
