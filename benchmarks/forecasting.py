"""Speed and memory of Informer beside the authors' implementation, in one table.

    python benchmarks/forecasting.py [--reference CHECKOUT] [--only attention|training] [--repeat N]

CHECKOUT is a copy of github.com/zhouhaoyi/Informer2020 outside this repository; without it our own columns
are printed alone. One thread, CPU seconds (robust against a shared machine), variants taken in turns, medians;
peak memory is read in a fresh process per case. The oracle comes first: where ProbSparse that keeps every
query is not exact attention, no speed is printed.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from seqsci_kernels.probsparse import probsparse

from seqsci.data.batch import Batch, Shape
from seqsci.models.settings import InformerSettings
from seqsci.nn.head import build
from seqsci.nn.precision import fast_bfloat16
from seqsci.training.fit import peak_rss_mb

HEADS, WIDTH, FACTOR, BATCH = 8, 64, 5, 32
ATTENTION = [(96, 8), (336, 8), (720, 8), (2048, 2), (8192, 1)]
TRAINING = {"M 96/48/24": (7, 96, 48, 24), "S 720/168/24": (1, 720, 168, 24)}
Step = Callable[[], object]


def main() -> None:
    """Parse, check the oracle, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", help="checkout of the authors' implementation")
    parser.add_argument("--only", choices=["attention", "training"])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peak", nargs=2, metavar=("CASE", "VARIANT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.reference:
        sys.path.insert(0, options.reference)
    if options.peak:
        print(measure_peak(*options.peak, reference=bool(options.reference)))
        return
    gate()
    table = Table("case", "variant", "CPU ms", "reference / this", "exact / this", "peak MB", title="1 thread, medians")
    if options.only != "training":
        attention_rows(table, options)
    if options.only != "attention":
        training_rows(table, options)
    Console(width=120).print(table)


def gate() -> None:
    """ProbSparse that keeps every query equals exact attention in values and gradients, or there is no table."""
    for causal in (False, True):
        q, k, v = (torch.randn(2, 4, 130, 16, requires_grad=True) for _ in range(3))
        found = probsparse(q, k, v, torch.arange(130), top=130, causal=causal)
        exact = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        weight = torch.randn_like(exact)
        pairs = [(found, exact)]
        grads = (torch.autograd.grad((out * weight).sum(), (q, k, v), retain_graph=True) for out in (found, exact))
        pairs += list(zip(*grads, strict=True))
        for ours, theirs in pairs:
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    print("oracle: ProbSparse that keeps every query equals exact attention, values and gradients, to 1e-5")


def in_turns(steps: dict[str, Step], repeat: int) -> dict[str, float]:
    """Median CPU milliseconds of each, taken in turns after one round of warming."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repeat + 1):
        for name, step in steps.items():
            began = time.process_time()
            step()
            if turn:
                taken[name].append(1e3 * (time.process_time() - began))
    return {name: statistics.median(values) for name, values in taken.items()}


def attention_rows(table: Table, options: argparse.Namespace) -> None:
    """Forward of attention alone, 8 heads x 64, not masked."""
    for length, batch in ATTENTION:
        steps = attention_steps(length, batch, reference=bool(options.reference))
        repeat = max(3, options.repeat)
        add_rows(
            table,
            f"attention forward, L {length}, batch {batch}",
            in_turns(steps, repeat),
            options,
            length,
            batch,
        )


def attention_steps(length: int, batch: int, reference: bool) -> dict[str, Step]:
    """name -> one forward pass on the same inputs."""
    torch.manual_seed(0)
    x = [torch.randn(batch, length, HEADS, WIDTH) for _ in range(3)]
    q, k, v = (t.transpose(1, 2) for t in x)
    top = min(length, FACTOR * math.ceil(math.log(length)))
    sample, each = torch.randperm(length)[:top], torch.randint(length, (length, top))
    steps: dict[str, Step] = {
        "ours, shared": lambda: probsparse(q, k, v, sample, top=top),
        "ours, per-query": lambda: probsparse(q, k, v, each, top=top),
        "exact": lambda: F.scaled_dot_product_attention(q, k, v),
    }
    if reference:
        from models.attn import ProbAttention

        theirs = ProbAttention(False, FACTOR, attention_dropout=0.0)
        steps["reference"] = lambda: theirs(*x, None)
    return {name: _without_gradient(step) for name, step in steps.items()}


def training_rows(table: Table, options: argparse.Namespace) -> None:
    """Forward, backward and Adam on one batch of 32."""
    for case in TRAINING:
        steps = training_steps(case, reference=bool(options.reference))
        add_rows(table, f"training step, {case}", in_turns(steps, options.repeat), options, case)


def training_steps(case: str, reference: bool) -> dict[str, Step]:
    """name -> one training iteration."""
    steps: dict[str, Step] = {"ours, fp32": our_step(case, bf16=False)}
    if fast_bfloat16("cpu"):
        steps["ours, bf16"] = our_step(case, bf16=True)
    if reference:
        steps["reference"] = reference_step(case)
    return steps


def our_step(case: str, bf16: bool) -> Step:
    """A training iteration of ours in the published configuration."""
    channels, context, label, horizon = TRAINING[case]
    batch = random_batch(case)
    shape = Shape(
        context=context, horizon=horizon, channels=channels, outputs=channels, marks=4,
        output_index=tuple(range(channels)),
    )  # fmt: skip
    net = build("forecast", replace(InformerSettings(), label_length=label), shape)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = (net(batch).float() - batch.target).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def reference_step(case: str) -> Step:
    """A training iteration of the authors' implementation in the same configuration."""
    from models.model import Informer

    channels, context, label, horizon = TRAINING[case]
    batch = random_batch(case)
    net = Informer(
        channels, channels, channels, context, label, horizon, factor=FACTOR, d_model=512, n_heads=8, e_layers=2,
        d_layers=1, d_ff=2048, dropout=0.05, attn="prob", embed="timeF", freq="h", device=torch.device("cpu"),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
    start = torch.cat([batch.values[:, -label:], torch.zeros(BATCH, horizon, channels)], 1)
    marks = torch.cat([batch.times[:, -label:], batch.future_times], 1)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(net(batch.values, batch.times, start, marks), batch.target).backward()
        optimizer.step()

    return step


def random_batch(case: str) -> Batch:
    """One batch of noise."""
    channels, context, _, horizon = TRAINING[case]
    torch.manual_seed(0)
    return Batch(
        values=torch.randn(BATCH, context, channels),
        mask=torch.ones(BATCH, context, dtype=torch.bool),
        times=torch.rand(BATCH, context, 4) - 0.5,
        future_times=torch.rand(BATCH, horizon, 4) - 0.5,
        index=torch.arange(BATCH),
        target=torch.randn(BATCH, horizon, channels),
    )


def add_rows(table: Table, case: str, taken: dict[str, float], options: argparse.Namespace, *key: object) -> None:
    """One row per variant, with its ratios and peak memory."""
    for variant, milliseconds in taken.items():
        ratios = [f"{taken[name] / milliseconds:.2f}" if name in taken else "" for name in ("reference", "exact")]
        peak = run_peak("/".join(str(part) for part in key) if len(key) > 1 else str(key[0]), variant, options)
        table.add_row(case, variant, f"{milliseconds:.1f}", *ratios, peak)
    table.add_section()


def run_peak(case: str, variant: str, options: argparse.Namespace) -> str:
    """Peak memory above that of a process that has only imported everything and made the inputs."""
    command = [sys.executable, __file__, "--peak", case, variant]
    command += ["--reference", options.reference] if options.reference else []
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def measure_peak(case: str, variant: str, reference: bool) -> str:
    """Megabytes that the variant adds to the peak of this process."""
    if case in TRAINING:
        step = _training_variant(case, variant)
    else:
        length, batch = (int(part) for part in case.split("/"))
        step = attention_steps(length, batch, reference)[variant]
    before = peak_rss_mb()
    step()
    step()
    return f"{peak_rss_mb() - before:.0f}"


def _training_variant(case: str, variant: str) -> Step:
    return reference_step(case) if variant == "reference" else our_step(case, bf16=variant.endswith("bf16"))


def _without_gradient(step: Step) -> Step:
    def quiet() -> object:
        with torch.no_grad():
            return step()

    return quiet


if __name__ == "__main__":
    main()
