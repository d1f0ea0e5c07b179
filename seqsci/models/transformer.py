"""The transformer of today's language models, the usual thing that Bio-xLSTM is compared with ("Transformer++").

Attention (Vaswani et al., NeurIPS 2017, arXiv 1706.03762, section 3.2) in the form of LLaMA (Touvron et al. 2023,
arXiv 2302.13971, section 2.2): norm by root mean square before each part, rotary positions, a gated network with SiLU
of 8/3 D, no offsets, and a norm behind the last layer:

    x + Out(softmax(Q K^T / sqrt(d)) V)     q, k, v = maps of norm(x), q and k turned by their position
    x + Down(SiLU(Gate(norm(x))) * Up(norm(x)))

What differs: the weights start as in GPT-2, smaller where they add to the stream; nothing is said of them there.

B batch, L length, S steps before, D width, H heads, d = D/H.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqsci.models.settings import TransformerSettings, whole
from seqsci.nn.attention import merge_heads, split_heads
from seqsci.nn.dropout import Dropout
from seqsci.nn.feedforward import GatedFeedForward
from seqsci.nn.norms import RMSNorm
from seqsci.nn.packing import RealSteps
from seqsci.nn.rotary import following, rotate, rotation
from seqsci.nn.sized import nearest_in_size
from seqsci.registry import register_encoder

EPSILON = 1e-6
"""Of the norms."""
UNIT = 64
"""The gated network's inner width is a multiple of it where none is given."""
DEVIATION = 0.02
"""Of the weights at the start; divided by sqrt(2 layers) of those that add to the stream."""

Seen = tuple[Tensor, Tensor]
"""Keys and values (B, H, S, d) of the steps before."""


class State(NamedTuple):
    """What an encoder hands to its next step. It grows: each layer keeps the keys and values of all steps."""

    layers: tuple[Seen, ...]
    """One for each layer."""
    steps: Tensor
    """(B,) int64, the position of the next step where none is given."""


class Block(nn.Module):
    """Attention and a gated network, each of what is normed, dropped out and added."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        width, self.heads = settings.width, settings.heads
        self.norm1, self.norm2 = RMSNorm(width, EPSILON), RMSNorm(width, EPSILON)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.feedforward = GatedFeedForward(width, inner(settings), "silu")
        self.dropout = Dropout(settings.dropout)
        for weight in (self.qkv.weight, self.feedforward.expand.weight):
            nn.init.normal_(weight, std=DEVIATION)
        for weight in (self.out.weight, self.feedforward.contract.weight):
            nn.init.normal_(weight, std=DEVIATION / math.sqrt(2 * settings.layers))

    def start(self, rows: int) -> Seen:
        """Nothing: (B, H, 0, d)."""
        width = len(self.norm1.weight) // self.heads
        none = self.out.weight.new_zeros(rows, self.heads, 0, width)
        return none, none

    def forward(
        self,
        x: Tensor,
        seen: Seen | None = None,
        turns: Tensor | None = None,
        key_mask: Tensor | None = None,
        causal: bool = True,
    ) -> tuple[Tensor, Seen]:
        """(B, L, D) -> (B, L, D), and the keys and values of all steps so far.

        Args:
            x: (B, L, D).
            seen: of the S steps before.
            turns: of `rotation`.
            key_mask: (B, L) True where a step may be looked at, for what looks both ways.
            causal: a step sees itself, the steps before it and what was seen.
        """
        q, k, v = self.qkv(self.norm1(x)).chunk(3, -1)
        if turns is not None:
            q, k = rotate(q, turns), rotate(k, turns)
        q, k, v = (split_heads(y, self.heads) for y in (q, k, v))
        if seen is not None:
            k, v = torch.cat([seen[0].to(k.dtype), k], 2), torch.cat([seen[1].to(v.dtype), v], 2)
        x = self.dropout.add(x, self.out(merge_heads(_attended(q, k, v, key_mask, causal))))
        return self.dropout.add(x, self.feedforward(self.norm2(x))), (k, v)


@register_encoder("transformer")
class TransformerEncoder(nn.Module):
    """The layers and a norm behind the last.

    A masked step is not looked at and shows the state of the real step before it. Read forward it streams: each layer
    keeps the keys and values of what was read, so that a step costs one look at each, not all of them anew.
    """

    length_preserving = True
    recurrent = False
    fixed_length = False

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.width = settings.width
        self.causal = self.streams = settings.direction == "forward"
        self.rotary, self.turned = settings.rotary, settings.width // settings.heads
        self.positional = settings.rotary > 0
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.layers))
        self.norm = RMSNorm(settings.width, EPSILON)

    def forward(self, x: Tensor, mask: Tensor, positions: Tensor | None = None) -> Tensor:
        """x (B, L, D), mask (B, L) True where a step is real -> (B, L, D).

        `positions` (B, L) int64 of the steps: where they restart, another sequence begins, which still sees those
        before it. By default the real steps of a row are numbered 0, 1, 2, ...
        """
        steps = None if bool(mask.all()) else RealSteps(mask)
        key_mask = None
        if steps is not None:
            # The real steps first: then nothing that is read forward can see a masked one.
            x = steps.take(x)
            positions = None if positions is None else steps.take(positions.unsqueeze(-1)).squeeze(-1)
            key_mask = None if self.causal else _keys(mask, x.shape[1])
        if positions is None:
            positions = torch.arange(x.shape[1], device=x.device).unsqueeze(0)
        turns = self._turns(positions, x.dtype)
        for block in self.blocks:
            x, _ = block(x, None, turns, key_mask, self.causal)
        x = self.norm(x)
        return x if steps is None else steps.put(x)

    def initial_state(self, batch: int) -> State:
        """The state before the first step of B rows."""
        blocks: list[Block] = list(self.blocks)  # type: ignore[arg-type]
        steps = torch.zeros(batch, dtype=torch.int64, device=self.norm.weight.device)
        return State(tuple(block.start(batch) for block in blocks), steps)

    def advance(self, x: Tensor, state: State, positions: Tensor | None = None) -> tuple[Tensor, State]:
        """The next T steps of a stream, all real: (B, T, D) -> (B, T, D) and the state after them. Differentiable.

        `positions` (B or 1, T) int64; by default they go on from the last.
        """
        positions = following(state.steps, x.shape[1]) if positions is None else positions
        turns, after = self._turns(positions, x.dtype), []
        for block, before in zip(self.blocks, state.layers, strict=True):
            x, now = block(x, before, turns)
            after.append(now)
        return self.norm(x), State(tuple(after), (positions[:, -1] + 1).expand(len(x)))

    def step(self, x: Tensor, state: State, positions: Tensor | None = None) -> tuple[Tensor, State]:
        """The next step of a stream: (B, D), at positions (B,) -> (B, D) and the state after it."""
        y, state = self.advance(x.unsqueeze(1), state, None if positions is None else positions.unsqueeze(1))
        return y.squeeze(1), state

    def _turns(self, positions: Tensor, dtype: torch.dtype) -> Tensor | None:
        return rotation(positions, self.turned, self.rotary, dtype) if self.rotary else None


def _attended(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, causal: bool) -> Tensor:
    """(B, H, L, d) of (B, H, L, d) and (B, H, S + L, d)."""
    new, whole_ = q.shape[2], k.shape[2]
    if not causal:
        allowed = None if key_mask is None else key_mask[:, None, None, :]
        return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    if new == 1 or new == whole_:
        return F.scaled_dot_product_attention(q, k, v, is_causal=new > 1)
    allowed = torch.ones(new, whole_, dtype=torch.bool, device=q.device).tril(whole_ - new)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)


def _keys(mask: Tensor, length: int) -> Tensor:
    """(B, L') of the real steps moved together; a row that has none looks at zeros, for a softmax needs something."""
    counts = mask.sum(1, keepdim=True)
    return (torch.arange(length, device=mask.device) < counts) | (counts == 0)


def inner(settings: TransformerSettings) -> int:
    """The gated network's inner width."""
    return settings.feedforward or whole(settings.width * 8 / 3, UNIT)


def parameters(settings: TransformerSettings) -> int:
    """How many numbers the encoder learns."""
    width = settings.width
    return settings.layers * (4 * width**2 + 3 * width * inner(settings) + 2 * width) + width


def matched(settings: TransformerSettings, target_parameters: int) -> TransformerSettings:
    """The same layers and heads in the width whose encoder's parameters are nearest to a given number.

    Args:
        settings: `layers`, `heads`, `direction` and a `feedforward` that is given stay.
        target_parameters: of an encoder, tables and heads of a task not counted.

    Returns:
        Settings whose width is a multiple of twice the heads; the smallest such width where all are too large.
    """
    unit = 2 * settings.heads
    rising = (replace(settings, width=width) for width in itertools.count(unit, unit))
    return nearest_in_size(rising, target_parameters, parameters)
