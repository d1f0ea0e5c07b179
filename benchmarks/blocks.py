"""Whole blocks of Bio-xLSTM beside a transformer block of the same width, forward and backward, on one CPU thread.

    python benchmarks/blocks.py [--rounds 7] [--steps 512 1024 2048 8192]

Width 256, 4 heads, batch 1, float32. The transformer: pre-norm, torch's exact causal attention, GELU, 1024 inside. The
gate: values and gradients of each block in float32 equal those of the same block in float64 that reads step by step
(plain forms and the cells' definitions).
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqsci.models.bioxlstm import Block
from seqsci.models.settings import BioXLSTMSettings

sys.path.append(str(Path(__file__).parents[1] / "kernels" / "bench"))
from contest import beside, machine, medians, table, with_backward

WIDTH, HEADS = 256, 4
KINDS = {
    "later": BioXLSTMSettings(width=WIDTH, heads=HEADS, layers=1, style="later"),
    "v1": BioXLSTMSettings(width=WIDTH, heads=HEADS, layers=1),
    "v1 sLSTM": BioXLSTMSettings(width=WIDTH, heads=HEADS, layers=1, slstm_at=(0,)),
}
TARGETS = {("later", 512): 1.0, ("later", 8192): 3.0, ("v1", 1024): 1.0, ("v1", 2048): 1.0, ("v1", 8192): 1.0}
"""At least so many times faster than the transformer block, by kind and steps."""


class Transformer(nn.Module):
    """x + Out(attention(norm(x))), then + the network of the norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.expand, self.contract = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        q, k, v = (y.unflatten(-1, (HEADS, -1)).transpose(1, 2) for y in self.qkv(self.norm1(x)).chunk(3, -1))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + self.out(attended)
        return x + self.contract(F.gelu(self.expand(self.norm2(x))))


def block(settings: BioXLSTMSettings) -> Block:
    """With every weight moved off its start, so that gates read their input."""
    torch.manual_seed(0)
    made = Block(settings, 0)
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.02 * torch.randn_like(p))
    return made


def run(net: Block, x: Tensor) -> Tensor:
    """The whole sequence at once."""
    y, _ = net(x, net.memory.start(len(x)))
    return y


def step_by_step(net: Block, x: Tensor) -> Tensor:
    """As a stream."""
    state, out = net.memory.start(len(x)), []
    for now in x.split(1, 1):
        y, state = net(now, state)
        out.append(y)
    return torch.cat(out, 1)


def gate() -> None:
    """Ends the program where a block is not what its equations say."""
    for name, settings in KINDS.items():
        fast, plain = block(settings), block(settings).double()
        x = torch.randn(1, 200, WIDTH)
        weight = torch.randn(1, 200, WIDTH)
        found, wanted = [], []
        for net, read, into in ((fast, run, found), (plain, step_by_step, wanted)):
            kind = next(net.parameters()).dtype
            leaf = x.to(kind).requires_grad_()
            y = read(net, leaf)
            into += [y.detach(), *torch.autograd.grad((y * weight.to(kind)).sum(), [leaf, *net.parameters()])]
        error = max(float((a.double() - b).norm() / b.norm()) for a, b in zip(found, wanted, strict=True))
        if not error < 1e-4:
            sys.exit(f"{name}: differs from its equations by {error:.1e}; no speed is claimed")


def result(net: nn.Module, leaf: Tensor) -> Tensor:
    """Forward; the gradients of the round before are dropped."""
    for parameter in (leaf, *net.parameters()):
        parameter.grad = None
    return run(net, leaf) if isinstance(net, Block) else net(leaf)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, nargs="+", default=[512, 1024, 2048, 8192])
    given = parser.parse_args()
    print(f"Blocks, width {WIDTH}, {HEADS} heads, batch 1, forward and backward; {machine()}\n", flush=True)
    gate()
    networks: dict[str, nn.Module] = {"transformer": Transformer()} | {n: block(s) for n, s in KINDS.items()}
    rows = []
    for steps in given.steps:
        leaf = torch.randn(1, steps, WIDTH, requires_grad=True)
        contenders = {name: with_backward(functools.partial(result, net, leaf)) for name, net in networks.items()}
        times = medians(contenders, given.rounds)
        row = [str(steps), f"{times['transformer']:.1f}"]
        for name in KINDS:
            ratio, target = times["transformer"] / times[name], TARGETS.get((name, steps))
            row += [f"{times[name]:.1f}", f"{ratio:.2f}" if target is None else beside(ratio, target, most=False)]
        rows.append(row)
    print(table(["steps", "transformer", *(x for name in KINDS for x in (name, "faster by"))], rows))


if __name__ == "__main__":
    main()
