"""ProbSparse attention, forward, beside exact attention and the published code, on one CPU thread.

    python kernels/bench/probsparse.py [--reference CHECKOUT] [--rounds 5]

8 heads of 64, factor 5, shared law. CHECKOUT is a clone of github.com/zhouhaoyi/Informer2020 (it needs numpy and torch
alone); without it the columns of the reference stay empty. The gate: with all queries kept, values and gradients equal
to scaled_dot_product_attention's; with some kept, equal to the definition's.
"""

from __future__ import annotations

import argparse
import math
import sys

import torch
import torch.nn.functional as F
from contest import Step, beside, machine, medians, table
from seqsci_kernels.probsparse import probsparse

HEADS, WIDTH, FACTOR = 8, 64, 5
CASES = ((720, 8, False), (8192, 1, False), (720, 8, True), (8192, 1, True))
"""Length, batch, causal."""
OF_EXACT = {720: 3.0, 8192: 30.0}
OF_REFERENCE = {720: 10.0, 8192: 20.0}
"""Targets without causality, by length: at least so many times faster."""


def gate() -> None:
    """Ends the program where the fast path is not what it should be."""
    torch.manual_seed(0)
    for causal in (False, True):
        for top, near in ((97, 1e-5), (20, 1e-5)):
            leaves = [torch.randn(2, 97, 2, WIDTH).transpose(1, 2).requires_grad_() for _ in range(3)]
            sample, weight = torch.randperm(97)[:20], torch.randn(2, 2, 97, WIDTH)
            found = probsparse(*leaves, sample, top=top, causal=causal)
            if top == 97:
                want = F.scaled_dot_product_attention(*leaves, is_causal=causal)
            else:
                want = probsparse(*leaves, sample, top=top, causal=causal, backend="reference")
            pairs = [(found, want)]
            pairs += zip(*(torch.autograd.grad((x * weight).sum(), leaves) for x in (found, want)), strict=True)
            error = max(float((x - y).detach().abs().max() / y.detach().abs().max().clamp(min=1)) for x, y in pairs)
            if not error < near:
                sys.exit(f"probsparse: off by {error:.1e}, top {top}, causal {causal}; no speed is claimed")


def contenders(length: int, batch: int, causal: bool, reference: str | None) -> dict[str, Step]:
    """What is timed: seqsci from the same memory layout as the reference's, (B, L, H, d)."""
    q, k, v = (torch.randn(batch, length, HEADS, WIDTH) for _ in range(3))
    heads = [x.transpose(1, 2) for x in (q, k, v)]
    top = FACTOR * math.ceil(math.log(length))
    sample = torch.randperm(length)[:top]
    steps: dict[str, Step] = {
        "seqsci": lambda: probsparse(*heads, sample, top=top, causal=causal),
        "exact": lambda: F.scaled_dot_product_attention(*heads, is_causal=causal),
    }
    if reference:
        published = load(reference)(causal, FACTOR)
        steps["reference"] = lambda: published(q, k, v, None)
    return steps


def load(reference: str) -> type:
    """The published attention class."""
    sys.path.insert(0, reference)
    from models.attn import ProbAttention

    return ProbAttention  # type: ignore[no-any-return]


def line(length: int, batch: int, causal: bool, times: dict[str, float]) -> list[str]:
    """A row of the table."""

    def ratio(name: str, targets: dict[int, float]) -> str:
        if name not in times:
            return ""
        value = times[name] / times["seqsci"]
        return f"{value:.1f}" if causal else beside(value, targets[length], most=False)

    shown = [f"{times[name]:.1f}" if name in times else "" for name in ("seqsci", "exact", "reference")]
    name = f"{length} x {batch}{' causal' if causal else ''}"
    return [name, *shown, ratio("exact", OF_EXACT), ratio("reference", OF_REFERENCE)]


@torch.no_grad()
def times(case: tuple[int, int, bool], reference: str | None, rounds: int) -> dict[str, float]:
    """Medians of one case."""
    return medians(contenders(*case, reference), rounds, warm_up=1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", help="a clone of Informer2020")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"ProbSparse forward, {HEADS} heads of {WIDTH}, factor {FACTOR}; {machine()}\n", flush=True)
    gate()
    rows = [line(*case, times(case, given.reference, given.rounds)) for case in CASES]
    header = ["length x batch", "seqsci", "exact SDPA", "reference", "exact / seqsci", "reference / seqsci"]
    print(table(header, rows))


if __name__ == "__main__":
    main()
