"""The sLSTM recurrence beside nn.LSTM and beside the loop in plain torch, on one CPU thread.

    python kernels/bench/slstm.py [--rounds 9]

T 512, batch 8, width 256 in 4 heads. sLSTM runs with its own input projection by heads and biases; nn.LSTM(256, 256)
has dense weights, four times as many. The gate: values and gradients equal to the definition.
"""

from __future__ import annotations

import argparse
import functools
import sys

import torch
from contest import beside, machine, medians, table, with_backward
from seqsci_kernels.slstm import project, slstm
from torch import Tensor, nn

STEPS, BATCH, WIDTH, HEADS = 512, 8, 256, 4
EACH = WIDTH // HEADS
OF_LSTM, OF_LOOP = 0.35, 4.0
"""Targets: at most this part of nn.LSTM's time, at least so many times faster than the loop."""


class Headwise(nn.Module):
    """Input projection by heads, bias, recurrence."""

    def __init__(self, backend: str | None) -> None:
        super().__init__()
        self.backend = backend
        self.weight = nn.Parameter(torch.randn(HEADS, EACH, 4, EACH) / EACH**0.5)
        self.recurrent = nn.Parameter(torch.randn(HEADS, EACH, 4, EACH) / EACH**0.5)
        self.bias = nn.Parameter(torch.randn(HEADS, 4, EACH))

    def forward(self, x: Tensor) -> Tensor:
        """h (B, T, H, D) of x (B, T, W)."""
        batch, steps, _ = x.shape
        gates = project(x.view(batch, steps, HEADS, EACH), self.weight)
        h, _ = slstm(gates, self.recurrent, self.bias, backend=self.backend)
        return h


def gate() -> None:
    """Ends the program where the fast path is not the definition."""
    for dtype, near in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        torch.manual_seed(0)
        fast, plain = Headwise("cpu"), Headwise("reference").double()
        plain.load_state_dict(fast.state_dict())
        x = torch.randn(2, 100, WIDTH)
        weight = torch.randn(2, 100, HEADS, EACH)
        for net, kind in ((fast.to(dtype), dtype), (plain, torch.float64)):
            (net(x.to(kind)) * weight.to(kind)).sum().backward()
        pairs = [(fast(x.to(dtype)), plain(x.double()))]
        pairs += [(p.grad, w.grad) for p, w in zip(fast.parameters(), plain.parameters(), strict=True)]
        error = max(float((got - want).detach().abs().max() / want.detach().abs().max()) for got, want in pairs)
        if not error < near:
            sys.exit(f"slstm: differs from its definition by {error:.1e} in {dtype}; no speed is claimed")


def forward_only(net: nn.Module, x: Tensor) -> Tensor:
    """Without a record for the backward pass."""
    with torch.no_grad():
        out = net(x)
    return out if isinstance(out, Tensor) else out[0]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    print(f"sLSTM, T {STEPS}, batch {BATCH}, width {WIDTH}, {HEADS} heads; {machine()}\n", flush=True)
    gate()
    lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)
    networks: dict[str, nn.Module] = {"seqsci": Headwise("cpu"), "nn.LSTM": lstm, "loop": Headwise("reference")}
    x = torch.randn(BATCH, STEPS, WIDTH)
    leaf = x.clone().requires_grad_()
    forward = medians({name: functools.partial(forward_only, net, x) for name, net in networks.items()}, rounds)

    def result(net: nn.Module) -> Tensor:
        for parameter in (leaf, *net.parameters()):
            parameter.grad = None
        out = net(leaf)
        return out if isinstance(out, Tensor) else out[0]

    steps = {name: with_backward(functools.partial(result, net)) for name, net in networks.items()}
    both = medians(steps, rounds)
    rows = [
        [name, *(f"{times[who]:.1f}" for who in networks)]
        for name, times in (("forward", forward), ("forward and backward", both))
    ]
    print(table(["pass", "seqsci", "nn.LSTM", "loop in torch"], rows))
    print(f"\nforward and backward, part of nn.LSTM's time: {beside(both['seqsci'] / both['nn.LSTM'], OF_LSTM)}")
    print(f"forward and backward, times faster than the loop: {beside(both['loop'] / both['seqsci'], OF_LOOP, False)}")


if __name__ == "__main__":
    main()
