"""Bio-xLSTM (Schmidinger et al., "Bio-xLSTM: Generative Modeling, Representation and In-Context Learning of Biological
and Chemical Sequences", ICLR 2025, arXiv 2411.04165): blocks of xLSTM (Beck et al., NeurIPS 2024, arXiv 2405.04517).

A block adds to its input what a memory makes of it: mLSTM, a matrix memory (section 2.3), or sLSTM, whose heads mix
their states (section 2.2). Three kinds stand here:

    mLSTM, v1       x + Down((GN(mLSTM(q, k, v)) + skip * c) * SiLU(z))      [a, z] = Up(norm(x)), twice as wide
                    q, k = blocks of 4 of c    v = blocks of 4 of a           c = SiLU(conv4(a))
    sLSTM           x + GN(sLSTM(i, f from c, z, o from norm(x)))             c = SiLU(conv4(norm(x)))
    mLSTM, later    x + Out(sigmoid(o) * GN(mLSTM(q, k, v)))                  q, k, v, o = maps of norm(x)

With `rotary` the queries and keys of an mLSTM are turned by their position (`nn.rotary`): each head by itself, behind
the gates, as in DNA-xLSTM, or over the whole width before the gates of v1 read them, as in Prot-xLSTM.

Behind the last two a gated network adds its part. `style` "v1" norms by layer norm and gates by GELU; "later", the
blocks of xLSTM-7B (Beck et al., ICML 2025, arXiv 2503.13427), by root mean square and SiLU. A "later" sLSTM is ours:
xLSTM-7B has none. GN is a layer norm of each head; conv4 a causal convolution of each channel.

What differs from the published code: what a head divides by has no 1e-6 added in units of its stabiliser, which no
equation has; the two input maps of the sLSTM gates i and f, whose names the code exchanges, bear their own.

B batch, L length, D width, E inner width of an mLSTM block of v1, H heads, K and V widths of a head's keys and values.
"""

from __future__ import annotations

import math
from typing import Any, Generic, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from seqsci_kernels import mlstm as matrix
from seqsci_kernels import slstm as scalar
from torch import Tensor, nn

from seqsci.models.settings import BioXLSTMSettings, whole
from seqsci.nn.convolution import CausalConv
from seqsci.nn.dropout import Dropout
from seqsci.nn.feedforward import GatedFeedForward
from seqsci.nn.gated_memory import fan_out, gated, mixed
from seqsci.nn.norms import HeadNorm, RMSNorm
from seqsci.nn.packing import RealSteps
from seqsci.nn.precision import product_dtype
from seqsci.nn.rotary import following, rotate, rotation
from seqsci.registry import register_encoder

BLOCK = 4
"""Channels that are mapped together to queries, keys and values (v1)."""
CAP = 15.0
"""Of the gates of the style "later": no gate is larger (xLSTM-7B)."""
SMALL_INPUT_GATE = -10.0
"""Offset of the input gates of the style "later" at the start (Beck et al. 2025, arXiv 2503.14376)."""
EPSILON = {"v1": 1e-5, "later": 1e-6}
"""Of the norms, by style."""


Cell = TypeVar("Cell", matrix.State, scalar.State)


class BlockState(NamedTuple, Generic[Cell]):
    """What a block hands to its next step."""

    before: Tensor
    """(B, 3, C) the last inputs of the convolution; (B, 0, 0) where there is none."""
    cell: Cell


class State(NamedTuple):
    """What an encoder hands to its next step."""

    blocks: tuple[BlockState[Any], ...]
    """One for each block."""
    steps: Tensor
    """(B,) int64, the position of the next step where none is given."""


class MatrixMemory(nn.Module):
    """mLSTM of the style v1, twice as wide as the block."""

    def __init__(self, settings: BioXLSTMSettings) -> None:
        super().__init__()
        width, self.heads = settings.width, settings.heads
        inner, bias = settings.keys, settings.bias
        self.up, self.gate = nn.Linear(width, inner, bias=bias), nn.Linear(width, inner, bias=bias)
        self.conv = CausalConv(inner)
        self.qkv = nn.Parameter(torch.empty(3, inner // BLOCK, BLOCK, BLOCK))
        self.qkv_bias = nn.Parameter(torch.zeros(3, inner)) if bias else None
        self.gates = nn.Linear(3 * inner, 2 * self.heads)
        self.norm = nn.Parameter(torch.ones(inner))
        self.skip = nn.Parameter(torch.ones(inner))
        self.down = nn.Linear(inner, width, bias=bias)
        self.gates_see_turned = settings.rotary_over == "width"
        if bias:
            for linear in (self.up, self.gate, self.down):
                nn.init.zeros_(linear.bias)
        _small(self.up.weight, width)
        _small(self.gate.weight, width)
        _small(self.qkv, width)
        _wang(self.down.weight, settings)
        _gates_at_start(self.gates, 0.1 * torch.randn(self.heads))

    def start(self, rows: int) -> BlockState[matrix.State]:
        """The state before the first step of B rows."""
        width = len(self.skip) // self.heads
        return BlockState(self.conv.start(rows), _empty(self.down.weight, rows, self.heads, width, width))

    def forward(
        self, x: Tensor, state: BlockState[matrix.State], turns: Tensor | None = None
    ) -> tuple[Tensor, BlockState[matrix.State]]:
        """(B, L, D) -> (B, L, D) and the state after it; `turns` of `rotation`."""
        a, z = fan_out(x, self.up.weight, self.gate.weight)
        if self.up.bias is not None:
            a, z = a + self.up.bias.to(a.dtype), z + self.gate.bias.to(z.dtype)
        c, q, k, v, gates = mixed(a, state.before, self.conv.weight, self.conv.bias, self.qkv, self.gates.weight)
        if self.qkv_bias is not None:
            q, k, v = (y + offset.to(y.dtype) for y, offset in zip((q, k, v), self.qkv_bias, strict=True))
            gates = gates + F.linear(self.qkv_bias.flatten(), self.gates.weight)
        if turns is not None:
            q, k = rotate(q, turns), rotate(k, turns)
            if self.gates_see_turned:
                gates = F.linear(torch.cat([q, k, v], -1), self.gates.weight)
        h, cell = _remember(q, k, v, gates + self.gates.bias, self.heads, state.cell)
        y = gated(h, z, self.norm, self.down.weight, EPSILON["v1"], "silu", self.skip, c)
        y = y if self.down.bias is None else y + self.down.bias.to(y.dtype)
        return y, BlockState(self.conv.last(a, state.before), cell)


class LaterMatrixMemory(nn.Module):
    """mLSTM of xLSTM-7B: keys half as wide as values, an output gate, capped gates."""

    def __init__(self, settings: BioXLSTMSettings) -> None:
        super().__init__()
        width, self.heads = settings.width, settings.heads
        self.query, self.key = nn.Linear(width, settings.keys, bias=False), nn.Linear(width, settings.keys, bias=False)
        self.value, self.open = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.gates = nn.Linear(width, 2 * self.heads)
        self.norm = nn.Parameter(torch.ones(width))
        self.out = nn.Linear(width, width, bias=False)
        for linear in (self.query, self.key, self.value, self.open):
            _small(linear.weight, width)
        _wang(self.out.weight, settings)
        _gates_at_start(self.gates, torch.full((self.heads,), SMALL_INPUT_GATE))

    def start(self, rows: int) -> BlockState[matrix.State]:
        """The state before the first step of B rows."""
        value = len(self.norm) // self.heads
        weight = self.out.weight
        return BlockState(weight.new_zeros(rows, 0, 0), _empty(weight, rows, self.heads, value // 2, value))

    def forward(
        self, x: Tensor, state: BlockState[matrix.State], turns: Tensor | None = None
    ) -> tuple[Tensor, BlockState[matrix.State]]:
        """(B, L, D) -> (B, L, D) and the state after it; `turns` of `rotation`."""
        maps = (self.query, self.key, self.value, self.open, self.gates)
        q, k, v, o, gates = fan_out(x, *(linear.weight for linear in maps))
        if turns is not None:
            q, k = rotate(q, turns), rotate(k, turns)
        gates = CAP * torch.tanh((gates + self.gates.bias) / CAP)
        h, cell = _remember(q, k, v, gates, self.heads, state.cell)
        y = gated(h, o, self.norm, self.out.weight, EPSILON["later"], "sigmoid")
        return y, BlockState(state.before, cell)


class ScalarMemory(nn.Module):
    """sLSTM: input maps by heads, and a state of which each head's next gates read all."""

    def __init__(self, settings: BioXLSTMSettings, number: int) -> None:
        super().__init__()
        width, self.heads = settings.width, settings.heads
        each = width // self.heads
        self.conv = CausalConv(width)
        self.input = nn.Parameter(torch.empty(self.heads, each, 4, each))  # gates i, f, z, o
        self.recurrent = nn.Parameter(torch.zeros(self.heads, each, 4, each))
        self.bias = nn.Parameter(torch.zeros(self.heads, 4, each))
        self.norm = HeadNorm(width, self.heads, EPSILON[settings.style])
        _small(self.input, width)
        # Forget gates from open to shut along a head, in later blocks more of them open.
        depth = number / max(settings.layers - 1, 1)
        along = torch.arange(each) / max(each - 1, 1)
        with torch.no_grad():
            self.bias[:, 1] = 5 - 12 * along ** (0.3 + 1.3 * depth)

    def start(self, rows: int) -> BlockState[scalar.State]:
        """The state before the first step of B rows."""
        gates = self.bias.new_empty(rows, 1, *self.bias.shape)
        return BlockState(self.conv.start(rows), scalar.empty_state(gates))

    def forward(
        self, x: Tensor, state: BlockState[scalar.State], turns: Tensor | None = None
    ) -> tuple[Tensor, BlockState[scalar.State]]:
        """(B, L, D) -> (B, L, D) and the state after it; `turns` are not read: there is nothing to turn."""
        kind = product_dtype(x)
        c, before = self.conv(x, state.before)
        # One product for all gates: i and f read c, z and o read x, each past rows of zeros.
        both = torch.cat([y.to(kind).unflatten(-1, (self.heads, -1)) for y in (c, x)], -1)
        i_f, z_o = self.input.chunk(2, 2)
        weight = torch.cat([F.pad(i_f, (0, 0, 0, 2)), F.pad(z_o, (0, 0, 2, 0))], 1)
        gates = scalar.project(both, weight.to(kind))
        h, cell = scalar.slstm(gates, self.recurrent.to(kind), self.bias.to(kind), state.cell)
        return self.norm(h), BlockState(before, cell)


class Block(nn.Module):
    """Norm and memory, norm and gated network, each added; an mLSTM of v1 has no network."""

    def __init__(self, settings: BioXLSTMSettings, number: int) -> None:
        super().__init__()
        later, scalars = settings.style == "later", number in settings.slstm_at
        self.norm1 = _norm(settings)
        self.memory: MatrixMemory | LaterMatrixMemory | ScalarMemory
        if scalars:
            self.memory = ScalarMemory(settings, number)
        else:
            self.memory = LaterMatrixMemory(settings) if later else MatrixMemory(settings)
        self.dropout = Dropout(settings.dropout)
        self.norm2, self.feedforward = None, None
        if later or scalars:
            self.norm2, self.feedforward = _norm(settings), _gated(settings)

    def forward(self, x: Tensor, state: BlockState[Any], turns: Tensor | None = None) -> tuple[Tensor, BlockState[Any]]:
        """(B, L, D) -> (B, L, D) and the state after it; `turns` of `rotation`."""
        y, state = self.memory(self.norm1(x), state, turns)
        x = self.dropout.add(x, y)
        if self.feedforward is not None and self.norm2 is not None:
            x = self.dropout.add(x, self.feedforward(self.norm2(x)))
        return x, state


@register_encoder("bioxlstm")
class BioXLSTMEncoder(nn.Module):
    """The blocks and a norm behind the last.

    A masked step changes nothing and shows the state of the real step before it. With `direction` "both" each block
    is y = B(x) + turn(B(turn(x))) with one set of weights, as in DNA-xLSTM: so what passes a block unchanged is
    doubled there, and so it is here. Both directions are rows of one batch.
    """

    length_preserving = positional = True
    fixed_length = False

    def __init__(self, settings: BioXLSTMSettings) -> None:
        super().__init__()
        self.width = settings.width
        self.causal = self.recurrent = self.streams = settings.direction == "forward"
        self.rotary = settings.rotary
        self.turned = settings.keys // (settings.heads if settings.rotary_over == "head" else 1)
        self.blocks = nn.ModuleList(Block(settings, number) for number in range(settings.layers))
        self.norm = _norm(settings)

    def forward(self, x: Tensor, mask: Tensor, positions: Tensor | None = None) -> Tensor:
        """x (B, L, D), mask (B, L) True where a step is real -> (B, L, D).

        `positions` (B, L) int64 of the steps, read by `rotary` alone: where they restart, another sequence begins.
        By default the real steps of a row are numbered 0, 1, 2, ...
        """
        steps = None if bool(mask.all()) else RealSteps(mask)
        if steps is not None:
            x = steps.take(x)
            positions = None if positions is None else steps.take(positions.unsqueeze(-1)).squeeze(-1)
        if positions is None:
            positions = torch.arange(x.shape[1], device=x.device).unsqueeze(0)
        if self.recurrent:
            x, _ = self.advance(x, self.initial_state(len(x)), positions)
        else:
            x = self._both_ways(x, steps, positions)
        return x if steps is None else steps.put(x)

    def initial_state(self, batch: int) -> State:
        """The state before the first step of B rows."""
        memories: list[Any] = [block.memory for block in self.blocks]
        steps = torch.zeros(batch, dtype=torch.int64, device=next(self.parameters()).device)
        return State(tuple(memory.start(batch) for memory in memories), steps)

    def advance(self, x: Tensor, state: State, positions: Tensor | None = None) -> tuple[Tensor, State]:
        """The next T steps of a stream, all real: (B, T, D) -> (B, T, D) and the state after them. Differentiable.

        `positions` (B or 1, T) int64; by default they go on from the last.
        """
        positions = following(state.steps, x.shape[1]) if positions is None else positions
        turns, after = self._turns(positions, x.dtype), []
        for block, before in zip(self.blocks, state.blocks, strict=True):
            x, now = block(x, before, turns)
            after.append(now)
        return self.norm(x), State(tuple(after), (positions[:, -1] + 1).expand(len(x)))

    def step(self, x: Tensor, state: State, positions: Tensor | None = None) -> tuple[Tensor, State]:
        """The next step of a stream: (B, D), at positions (B,) -> (B, D) and the state after it."""
        y, state = self.advance(x.unsqueeze(1), state, None if positions is None else positions.unsqueeze(1))
        return y.squeeze(1), state

    def _both_ways(self, x: Tensor, steps: RealSteps | None, positions: Tensor) -> Tensor:
        start = self.initial_state(2 * len(x)).blocks
        # Distances grow along the way that is read, so what is read backward stands at the negative of its position.
        positions = positions.expand(len(x), -1)
        back = _turn(positions.unsqueeze(-1), steps).squeeze(-1)
        turns = self._turns(torch.cat([positions, -back]), x.dtype)
        for block, state in zip(self.blocks, start, strict=True):
            y, _ = block(torch.cat([x, _turn(x, steps)]), state, turns)
            ahead, behind = y.chunk(2)
            x = ahead + _turn(behind, steps)
        return self.norm(x)

    def _turns(self, positions: Tensor, dtype: torch.dtype) -> Tensor | None:
        return rotation(positions, self.turned, self.rotary, dtype) if self.rotary else None


def _turn(x: Tensor, steps: RealSteps | None) -> Tensor:
    return x.flip(1) if steps is None else steps.turn(x)


def _remember(
    q: Tensor, k: Tensor, v: Tensor, gates: Tensor, heads: int, cell: matrix.State
) -> tuple[Tensor, matrix.State]:
    """The mLSTM cell on (B, L, H K), (B, L, H K), (B, L, H V) and gates (B, L, 2 H) -> (B, L, H, V)."""
    q, k, v = (x.view(*x.shape[:2], heads, -1).transpose(1, 2) for x in (q, k, v))
    i, f = gates.transpose(1, 2).chunk(2, 1)
    if q.shape[2] > 1:
        h, cell = matrix.mlstm(q, k, v, i, f, initial=cell)
        return h.transpose(1, 2), cell
    now = [x.squeeze(2) for x in (q, k, v, i, f)]
    h, cell = matrix.mlstm_step(now[0], now[1], now[2], now[3], now[4], cell)
    return h.unsqueeze(1), cell


def _empty(like: Tensor, rows: int, heads: int, key: int, value: int) -> matrix.State:
    """The state of an mLSTM before the first step."""
    return matrix.empty_state(like.new_empty(rows, heads, key), like.new_empty(rows, heads, value))


def _norm(settings: BioXLSTMSettings) -> nn.Module:
    eps = EPSILON[settings.style]
    if settings.style == "later":
        return RMSNorm(settings.width, eps)
    return nn.LayerNorm(settings.width, eps, bias=False)


def _gated(settings: BioXLSTMSettings) -> GatedFeedForward:
    later = settings.style == "later"
    inner = settings.feedforward or whole(settings.width * (8 / 3 if later else 1.3), 64)
    network = GatedFeedForward(settings.width, inner, "silu" if later else "gelu")
    _small(network.expand.weight, settings.width)
    _wang(network.contract.weight, settings)
    return network


def _small(weight: Tensor, width: int) -> None:
    """Deviation sqrt(2 / 5 D) (Nguyen and Salazar 2019, arXiv 1910.05895), as in the published code."""
    nn.init.normal_(weight, std=math.sqrt(2 / (5 * width)))


def _wang(weight: Tensor, settings: BioXLSTMSettings) -> None:
    """Deviation 2 / (blocks sqrt D) of what is added to the stream, as in the published code."""
    nn.init.normal_(weight, std=2 / settings.layers / math.sqrt(settings.width))


def _gates_at_start(gates: nn.Linear, input_gate: Tensor) -> None:
    """Gates that do not read their input yet; forget gates from 3 to 6 by head."""
    nn.init.zeros_(gates.weight)
    with torch.no_grad():
        gates.bias.copy_(torch.cat([input_gate, torch.linspace(3, 6, len(input_gate))]))
