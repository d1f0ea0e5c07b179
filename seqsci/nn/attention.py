"""Multi-head attention: projections around ProbSparse or exact softmax attention.

Attention weights are not dropped out, as in the published Informer, whose ProbSparse form does not either.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from seqsci_kernels.probsparse import probsparse
from torch import Tensor, nn

from seqsci.nn.projected import pays, projected


class AttentionSettings(Protocol):
    """What self-attention reads of a model's settings."""

    @property
    def width(self) -> int:
        """D."""

    @property
    def heads(self) -> int:
        """H, a divisor of D."""

    @property
    def attention(self) -> str:
        """Either "probsparse" or "full"."""

    @property
    def sampling(self) -> str:
        """Either "shared" or "per-query"."""

    @property
    def factor(self) -> int:
        """The sampling factor c."""


class KeySampler(nn.Module):
    """Draws the keys that a ProbSparse measurement looks at, never from the global generator.

    In evaluation the draw is a function of `seed`, the layer and the lengths alone, so that the same input
    gives the same bits. In training each call draws anew, numbered by `step`. Both are buffers: a resumed
    run goes on with the draws that it would have made. `seed` is drawn where the weights are.

    Args:
        law: "shared", U distinct keys for all queries; "per-query", U keys with replacement for each.
        layer: number that sets the layers of a network apart.
    """

    seed: Tensor
    step: Tensor

    def __init__(self, law: str, layer: int) -> None:
        super().__init__()
        self.law, self.layer = law, layer
        self.register_buffer("seed", torch.randint(2**31, ()))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self, queries: int, keys: int, size: int) -> Tensor:
        """(U,) or (Lq, U) int64 on the CPU, U = `size`."""
        step = 0
        if self.training:
            self.step += 1
            step = int(self.step)
        generator = torch.Generator().manual_seed(_blend(int(self.seed), self.layer, step, queries, keys))
        if self.law == "shared":
            return torch.randperm(keys, generator=generator)[:size]
        return torch.randint(keys, (queries, size), generator=generator)


def _blend(*numbers: int) -> int:
    """64 well-mixed bits of some integers (the finaliser of splitmix64, Steele et al. 2014, after each)."""
    bits = 0
    for number in numbers:
        bits = (bits + number + 0x9E3779B97F4A7C15) % 2**64
        bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        bits = (bits ^ bits >> 27) * 0x94D049BB133111EB % 2**64
        bits ^= bits >> 31
    return bits % 2**63


def kept(factor: int, length: int) -> int:
    """u = min(c * ceil(ln L), L) (Informer, section 3.2), at least 1: queries kept, or keys sampled."""
    return min(max(factor * math.ceil(math.log(length)), 1), length)


class SelfAttention(nn.Module):
    """Self-attention of H heads, ProbSparse or exact as `settings.attention` says.

    Args:
        settings: width, heads, attention, sampling and factor are read.
        layer: number of the layer, for the key sample.
        causal: a step sees itself and the steps before.
        mix: read the result (B, H, L, d) as if it were (B, L, D), which scrambles heads and steps and breaks
            causality; what the published decoder does.
    """

    def __init__(self, settings: AttentionSettings, layer: int, causal: bool = False, mix: bool = False) -> None:
        super().__init__()
        width = settings.width
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.heads, self.factor = settings.heads, settings.factor
        self.causal, self.mix = causal, mix
        self.sampler = KeySampler(settings.sampling, layer) if settings.attention == "probsparse" else None

    def forward(self, x: Tensor, key_mask: Tensor | None = None, last: int | None = None) -> Tensor:
        """(B, L, D) -> (B, L, D), or (B, last, D): of the last steps only.

        `key_mask (B, L)`: True where a step may be looked at; None for everywhere.
        """
        if self.sampler is None:
            return self._finish(_exact(*self._split(x), self.causal, key_mask), x, last)
        length = x.shape[1]
        size = kept(self.factor, length)
        sample = self.sampler(length, length, size).to(x.device)
        plain = sample.dim() == 1 and key_mask is None and not self.causal and not self.mix
        if plain and last is None and pays(length, self.out.in_features, self.heads, size):
            return projected(x, (self.query, self.key, self.value, self.out), self.heads, sample, size)
        # Queries whose result nobody asks for still compete for a place, but have no gradient.
        late = None if sample.dim() == 2 or self.mix else last
        q, k, v = self._split(x, late)
        y = probsparse(q, k, v, sample, top=size, causal=self.causal, key_mask=key_mask, last=late)
        return self._finish(y, x, last)

    def _split(self, x: Tensor, late: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """q, k and v (B, H, L, d); with `late`, a gradient for the last so many queries only."""
        if late is None:
            q = self.query(x)
        else:
            with torch.no_grad():
                early = self.query(x[:, :-late])
            q = torch.cat([early, self.query(x[:, -late:])], 1)
        k, v = self.key(x), self.value(x)
        return split_heads(q, self.heads), split_heads(k, self.heads), split_heads(v, self.heads)

    def _finish(self, y: Tensor, x: Tensor, last: int | None) -> Tensor:
        y = y.reshape(x.shape) if self.mix else merge_heads(y)
        return self.out(y if last is None else y[:, -last:])


class ExactAttention(nn.Module):
    """Softmax attention of one sequence to another, or to itself, H heads (Vaswani et al. 2017, eq. 1).

    Args:
        width, heads: D and H.
        plain: by plain products, four times slower. Where scores reach some 10^7, as those of bare fluxes do, torch's
            fused kernel has lost the digits that its gradient needs: on a CPU it is not finite then.
    """

    def __init__(self, width: int, heads: int, plain: bool = False) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.heads, self.plain = heads, plain

    def forward(self, x: Tensor, memory: Tensor, key_mask: Tensor | None = None) -> Tensor:
        """x (B, Lq, D), memory (B, Lk, D), key_mask (B, Lk) -> (B, Lq, D)."""
        q = split_heads(self.query(x), self.heads)
        k, v = split_heads(self.key(memory), self.heads), split_heads(self.value(memory), self.heads)
        y = _plain(q, k, v, key_mask) if self.plain else _exact(q, k, v, False, key_mask)
        return self.out(merge_heads(y))


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, L, H*d) -> a view (B, H, L, d)."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B, H, L, d) -> (B, L, H*d)."""
    return x.transpose(1, 2).flatten(2)


def _exact(q: Tensor, k: Tensor, v: Tensor, causal: bool, key_mask: Tensor | None) -> Tensor:
    """Softmax attention; 0 for a query that sees no key."""
    if key_mask is None:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    visible = key_mask[:, None, None]
    if causal:
        visible = visible & torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
    some = visible.any(-1, keepdim=True)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=visible | ~some) * some


def _plain(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
    """`_exact` in plain torch; not causal."""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if key_mask is None:
        return scores.softmax(-1) @ v
    visible = key_mask[:, None, None]
    return scores.masked_fill(~visible, -1e30).softmax(-1) @ v * visible.any(-1, keepdim=True)
