"""Any encoder on patches of a sequence, and beside it, to forecast, a linear path from the whole context.

Patches, one channel at a time, normalised windows and a head on all states are PatchTST's (Nie et al., "A Time Series
is Worth 64 Words", ICLR 2023, arXiv 2211.14730), the normalisation is RevIN's (Kim et al., ICLR 2022) without learnt
scale: P steps make one vector, which any encoder of the zoo reads. The linear path p is `slopes.py`'s,

    y_ch = p_ch(x_c) + s e_h(patches of (x_c - m) / s)     m, s: mean, deviation of x_c

and solved before training, on the training windows; what there is to choose of it is chosen on validation. It is not
trained: the encoder's part e learns what it leaves, and begins at 0.

B batch, L context, H horizon, C_out channels forecast, P steps of a patch, n patches, D width.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqsci import registry
from seqsci.data.batch import Batch, Shape
from seqsci.models.baselines import Span
from seqsci.models.settings import PatchedSettings
from seqsci.models.slopes import CHOICES, Slopes, own_steps
from seqsci.nn.embeddings import sinusoid

EPSILON = 1e-5
"""Added to the variance of a window."""


class Patches(nn.Module):
    """Patches of K numbers a step through an encoder.

    Args:
        settings: of the encoder, and P and the stride.
        channels: K.
    """

    def __init__(self, settings: PatchedSettings, channels: int) -> None:
        super().__init__()
        self.patch, self.stride, self.width = settings.patch, settings.step, settings.width
        self.embed = nn.Linear(settings.patch * channels, settings.width)
        self.encoder: Any = registry.encoder(settings.encoder.name)(settings.encoder)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L, K) and mask (B, L) True where a step is real -> (B, n', D) states and which are real (B, n').

        Masked steps count as 0, as do steps beyond the end that fill the last patch. A patch is real that holds a real
        step which the one before it does not: so steps masked at the end make no patch more.
        """
        missing = (patches(x.shape[1], self.patch, self.stride) - 1) * self.stride + self.patch - x.shape[1]
        x = F.pad(x.masked_fill(~mask.unsqueeze(-1), 0), (0, 0, 0, missing))
        held = F.pad(mask, (0, missing)).unfold(1, self.patch, self.stride)
        real = torch.cat([held[:, :1].any(-1), held[:, 1:, -self.stride :].any(-1)], 1)
        x = self.embed(x.unfold(1, self.patch, self.stride).flatten(2))
        if not self.encoder.positional:
            x = x + sinusoid(x.shape[1], self.width, x.device).to(x.dtype)
        if self.encoder.length_preserving:
            return self.encoder(x, real), real
        states, kept = self.encoder.encode(x, real)
        return states, states.new_ones(states.shape[:2], dtype=torch.bool) if kept is None else kept


@registry.register_encoder("patched")
class PatchedEncoder(nn.Module):
    """An encoder of P steps at once: a P-th of the steps, and attention for a P^2-th of the work.

    It says nothing of single steps, so that no causal language model can be made of it.
    """

    causal = recurrent = streams = positional = length_preserving = False

    def __init__(self, settings: PatchedSettings) -> None:
        super().__init__()
        self.width = settings.width
        self.patches = Patches(settings, settings.width)
        self.fixed_length = self.patches.encoder.fixed_length

    @staticmethod
    def check(settings: PatchedSettings, context: int) -> None:
        """Refuse an encoder that cannot read so few patches.

        Raises:
            SeqsciError: naming its settings.
        """
        count = patches(context, settings.patch, settings.step)
        made = f"model.patch {settings.patch} makes {count} of a context of {context}"
        registry.check_within(settings.encoder, count, f"smaller patches; {made}")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, L, D), mask (B, L) True where a step is real -> (B, n', D)."""
        return self.encode(x, mask)[0]

    def encode(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """As forward, with the mask (B, n') of the result, None where every state is real."""
        states, real = self.patches(x, mask)
        return states, None if bool(real.all()) else real


@registry.register_model("forecast", "patched")
class Patched(nn.Module):
    """The linear path and the encoder on patches, each channel by itself: it reads no marks, no covariates and no
    channel that it does not forecast.

    Before `solve` the linear path repeats the last value.

    Raises:
        SeqsciError: an encoder too deep for the patches of a context.
    """

    shared: Tensor
    own: Tensor
    offset: Tensor
    chosen: Tensor

    @staticmethod
    def wanted(settings: PatchedSettings) -> bool:
        """Whether this network is asked for."""
        return settings.decoder == "channels"

    def __init__(self, settings: PatchedSettings, shape: Shape) -> None:
        super().__init__()
        PatchedEncoder.check(settings, shape.context)
        self.context, self.horizon, self.index = shape.context, shape.horizon, list(shape.output_index)
        self.season = shape.season
        recent = own_steps(shape.context, shape.season)
        self.register_buffer("shared", torch.zeros(shape.context, shape.horizon))
        self.register_buffer("own", torch.zeros(shape.outputs, recent, shape.horizon))
        self.register_buffer("offset", torch.zeros(shape.outputs, shape.horizon))
        self.register_buffer("chosen", torch.full((len(CHOICES),), math.nan))
        self.patches = Patches(settings, 1)
        self.dropout = nn.Dropout(settings.head_dropout)
        self.head = nn.Linear(self._states() * settings.width, shape.horizon)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @torch.no_grad()
    def solve(self, train: Span, val: Span) -> Slopes:
        """The linear path in closed form, on training windows; what there is to choose is chosen on validation."""
        found = Slopes(self.context, self.horizon, self.season).fit(train, val)
        for name in ("shared", "own", "offset"):
            getattr(self, name).copy_(torch.from_numpy(getattr(found, name)))
        self.chosen.copy_(torch.tensor([found.chosen[name] for name in CHOICES]))
        return found

    @property
    def solved(self) -> dict[str, float | None]:
        """What validation chose of the linear path; None where it is without bound, so that nothing is left."""
        found = zip(CHOICES, self.chosen.tolist(), strict=True)
        return {name: value if value < math.inf else None for name, value in found}

    def forward(self, batch: Batch) -> Tensor:
        """(B, H, C_out) float32, in scaled units."""
        x = batch.values[..., self.index].transpose(1, 2)
        return (self._linear(x) + self._learnt(x)).transpose(1, 2)

    def _linear(self, x: Tensor) -> Tensor:
        """(B, C_out, L) -> (B, C_out, H), in full precision whatever the encoder has."""
        with torch.autocast(x.device.type, enabled=False):
            last = x[..., -1:]
            x = x - last
            own = torch.einsum("bcn,cnh->bch", x[..., -self.own.shape[1] :], self.own)
            return last + x @ self.shared + own + self.offset

    def _learnt(self, x: Tensor) -> Tensor:
        """(B, C_out, L) -> (B, C_out, H)."""
        variance, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
        deviation = (variance + EPSILON).sqrt()
        steps = ((x - mean) / deviation).flatten(0, 1).unsqueeze(-1)
        states, _ = self.patches(steps, torch.ones_like(steps[..., 0], dtype=torch.bool))
        return self.head(self.dropout(states.flatten(1))).float().view(*x.shape[:2], -1) * deviation

    @torch.no_grad()
    def _states(self) -> int:
        """How many states the encoder gives of a context."""
        training = self.patches.training
        steps = torch.zeros(1, self.context, 1)
        states, _ = self.patches.eval()(steps, torch.ones_like(steps[..., 0], dtype=torch.bool))
        self.patches.train(training)
        return states.shape[1]


def patches(steps: int, patch: int, stride: int) -> int:
    """How many there are of so many steps: the last may reach beyond the end."""
    return 1 + max(0, math.ceil((steps - patch) / stride))
