"""Informer beside its published code and beside exact attention, on one CPU thread.

    python benchmarks/forecasting.py [--reference CHECKOUT] [--rounds 5] [--only attention training]

CHECKOUT is a clone of github.com/zhouhaoyi/Informer2020 (it needs numpy and torch alone); without it the
columns of the reference stay empty. What is printed: medians of CPU seconds (of the process, so other
programs on the machine hardly count) and ratios within one run. Every contender is a process of its own; they
take turns, one repetition each, so that a slow minute hits all alike. "peak MB" is the largest resident set of
such a process, Python and torch included.

A speed is printed only when the fast path first proves exact: with all queries kept ProbSparse has to equal
scaled_dot_product_attention in values and gradients.

"seqsci" is what a user gets: the precision that `train.precision: auto` picks on this machine.

To add a section: a function that yields `Case`s, in SECTIONS. The section "quality" stands in quality.py.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import quality
import torch
import torch.nn.functional as F
from seqsci_kernels.probsparse import probsparse
from torch import nn

from seqsci.data.batch import Batch, Shape
from seqsci.models.settings import InformerSettings
from seqsci.nn.head import build
from seqsci.nn.memory import steady_heap
from seqsci.nn.precision import autocast, fast_bfloat16, resolve

HEADS, HEAD_WIDTH, FACTOR, BATCH = 8, 64, 5, 32
Step = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """One line of the table: what is timed, and who takes part."""

    section: str
    name: str
    contenders: tuple[str, ...]
    rounds: int


def attention_cases(rounds: int) -> Iterator[Case]:
    """Self-attention alone, forward, 8 heads of 64, factor 5, shared law."""
    for name in ("96x8", "720x8", "8192x1", "720x8 causal", "8192x1 causal"):
        yield Case("attention forward, length x batch", name, ("seqsci", "exact SDPA", "reference"), rounds)


def training_cases(rounds: int) -> Iterator[Case]:
    """Forward, backward and Adam on 32 windows; width 512, 8 heads, 2 + 1 layers, dropout 0.05."""
    contenders = ("seqsci", "seqsci fp32", "reference")
    for name in ("multivariate 96/48/24", "univariate 720/168/24"):
        yield Case("training iteration", name, contenders, rounds)


SECTIONS = {"attention": attention_cases, "training": training_cases}


# One contender, in a process of its own.


def attention_step(name: str, contender: str, reference: str) -> Step:
    """A function that computes one attention."""
    sizes, _, causal = name.partition(" ")
    length, batch = (int(n) for n in sizes.split("x"))
    q, k, v = (torch.randn(batch, length, HEADS, HEAD_WIDTH) for _ in range(3))
    heads = [x.transpose(1, 2) for x in (q, k, v)]
    if contender == "reference":
        published = _import(reference, "models.attn").ProbAttention(bool(causal), FACTOR)
        return lambda: published(q, k, v, None)
    if contender == "exact SDPA":
        return lambda: F.scaled_dot_product_attention(*heads, is_causal=bool(causal))
    top = FACTOR * math.ceil(math.log(length))
    sample = torch.randperm(length)[:top]
    return lambda: probsparse(*heads, sample, top=top, causal=bool(causal))


def training_step(name: str, contender: str, reference: str) -> Step:
    """A function that does one training iteration."""
    kind, _, lengths = name.partition(" ")
    context, label, horizon = (int(n) for n in lengths.split("/"))
    channels = 7 if kind == "multivariate" else 1
    values, target = torch.randn(BATCH, context, channels), torch.randn(BATCH, horizon, channels)
    times = torch.rand(BATCH, context + horizon, 4) - 0.5
    if contender == "reference":
        start = torch.cat([values[:, -label:], torch.zeros(BATCH, horizon, channels)], 1)
        inputs: tuple[Any, ...] = (values, times[:, :context], start, times[:, context - label :])
        network = published(reference, channels, context, label, horizon, FACTOR)
        optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    else:
        # What seqsci's own training does in a process.
        steady_heap()
        shape = Shape(
            context=context,
            horizon=horizon,
            channels=channels,
            outputs=channels,
            marks=4,
            output_index=tuple(range(channels)),
        )
        network = build("forecast", InformerSettings(label_length=label), shape)
        mask = torch.ones(BATCH, context, dtype=torch.bool)
        past, future = times[:, :context], times[:, context:]
        index = torch.arange(BATCH)
        inputs = (Batch(values=values, mask=mask, times=past, future_times=future, index=index),)
        optimizer = torch.optim.Adam(network.parameters(), 1e-4, fused=True)

    def step() -> None:
        with autocast(resolve("auto" if contender == "seqsci" else "fp32", "cpu"), "cpu"):
            forecast = network(*inputs)
        (forecast.float() - target).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def published(checkout: str, channels: int, context: int, label: int, horizon: int, factor: int) -> nn.Module:
    """The authors' network: width 512, 8 heads, 2 + 1 layers, dropout 0.05."""
    network: nn.Module = _import(checkout, "models.model").Informer(
        channels, channels, channels, context, label, horizon, factor, 512, HEADS, 2, 1, 2048, 0.05, embed="timeF"
    )
    return network


def _import(checkout: str, module: str) -> Any:
    sys.path.insert(0, checkout)
    return __import__(module, fromlist=["_"])


def work(section: str, name: str, contender: str, reference: str) -> None:
    """Answer each line of stdin with the CPU seconds of one step and the peak MB so far and before."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    attention = section.startswith("attention")
    step = (attention_step if attention else training_step)(name, contender, reference)
    before = _peak()
    with torch.set_grad_enabled(not attention):
        for _ in sys.stdin:
            start = time.process_time()
            step()
            print(time.process_time() - start, _peak(), _peak() - before, flush=True)


def work_quality(contender: str, reference: str, seed: int) -> None:
    """One contender of the section "quality"."""

    def network(recipe: Any, channels: int) -> nn.Module:
        data, model = recipe.data, recipe.model
        return published(reference, channels, data.context, model.label_length, data.horizon, model.factor)

    quality.work(contender, network if contender == "reference" else None, seed)


def _peak() -> float:
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


# The table.


class Worker:
    """The process of one contender."""

    def __init__(self, case: Case, contender: str, reference: str) -> None:
        command = [sys.executable, __file__, "--work", case.section, case.name, contender, reference]
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **threads}
        )
        self.seconds: list[float] = []
        self.peak = self.extra = math.nan

    def step(self, count: bool = True) -> None:
        """One repetition."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        seconds, self.peak, self.extra = (float(x) for x in self.process.stdout.readline().split())
        if count:
            self.seconds.append(seconds)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measure(case: Case, reference: str) -> dict[str, tuple[float, float, float]]:
    """Contender -> median CPU seconds, peak MB, and peak MB beyond what stood before the first step."""
    names = [n for n in case.contenders if reference or n != "reference"]
    workers = {name: Worker(case, name, reference) for name in names}
    try:
        for repetition in range(case.rounds + 1):
            for worker in workers.values():
                worker.step(count=repetition > 0)
        return {n: (statistics.median(w.seconds), w.peak, w.extra) for n, w in workers.items()}
    finally:
        for worker in workers.values():
            worker.close()


def oracle_gate() -> None:
    """Refuse to go on unless ProbSparse with every query kept is exact attention, gradients and all."""
    torch.manual_seed(0)
    for length in (5, 64, 97):
        for causal in (False, True):
            leaves = [torch.randn(2, length, 3, 16).transpose(1, 2).requires_grad_() for _ in range(3)]
            sample = torch.randperm(length)
            found = []
            for form in ("sparse", "exact"):
                if form == "sparse":
                    out = probsparse(*leaves, sample, top=length, causal=causal)
                else:
                    out = F.scaled_dot_product_attention(*leaves, is_causal=causal)
                found.append([out, *torch.autograd.grad(out.square().sum(), leaves)])
            for got, want in zip(*found, strict=True):
                if not torch.allclose(got, want, rtol=1e-5, atol=1e-5):
                    raise SystemExit(f"the oracle disagrees at length {length}, causal {causal}: no speeds")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--reference", default="", help="a checkout of the published Informer")
    parser.add_argument("--rounds", type=int, default=5)
    known = [*sorted(SECTIONS), "quality"]
    parser.add_argument("--only", nargs="*", choices=known, default=known)
    parser.add_argument("--seed", type=int, default=0, help="of the section quality")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--work-quality", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work_quality:
        work_quality(*given.work_quality[:2], int(given.work_quality[2]))
        return
    if given.work:
        work(*given.work)
        return
    oracle_gate()
    reference = str(Path(given.reference).resolve()) if given.reference else ""
    print(f"torch {torch.__version__}, 1 thread; bfloat16 fast here: {fast_bfloat16('cpu')}; oracle agrees")
    if given.only != ["quality"]:
        print(f"{'':24}{'contender':14}{'CPU s':>9}{'seqsci is faster by':>21}{'peak MB':>10}{'extra MB':>10}")
    section = ""
    for make in (SECTIONS[name] for name in given.only if name != "quality"):
        for case in make(given.rounds):
            if case.section != section:
                section = case.section
                print(section)
            results = measure(case, reference)
            ours = results["seqsci"][0]
            for contender, (seconds, peak, extra) in results.items():
                ratio = f"{seconds / ours:.2f}" if contender != "seqsci" else ""
                label = case.name if contender == "seqsci" else ""
                row = f"  {label:22}{contender:14}{seconds:9.4f}{ratio:>21}{peak:10.0f}{extra:10.0f}"
                print(row, flush=True)
    if "quality" in given.only:
        print(f"quality for cost: test MSE {quality.GOAL} on ETTh1, multivariate 48/48/24, kept by validation")
        contenders = ("seqsci", "seqsci fp32", *(["reference"] if reference else []))
        quality.race(__file__, contenders, reference, given.seed)


if __name__ == "__main__":
    main()
