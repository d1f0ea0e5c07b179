"""What a good score costs: CPU seconds of training until Informer reaches a test error on ETTh1.

Used by `benchmarks/forecasting.py` (section "quality"); needs ETTh1 in SEQSCI_DATA or the cache.

Both sides get the same windows in the same order, the published settings (multivariate, 48/48/24, factor 3,
batch 32, Adam 1e-4 halved by epoch) and one thread. A quarter of an epoch at a time: training, its CPU seconds
counted; then, not counted, the validation error, and only where that is the best so far the test error. So the
test error of a moment is that of the weights which validation would have kept until then. The first moment at
which it is at most `GOAL` is the price. Nothing is chosen by the test split but the moment at which the clock stops.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqsci.data.batch import Batch
from seqsci.nn.head import build
from seqsci.nn.memory import steady_heap
from seqsci.nn.precision import autocast, resolve
from seqsci.recipe import ForecastRecipe, as_kind
from seqsci.recipe import resolve as resolve_recipe
from seqsci.training.forecast.prepare import Prepared, prepare

GOAL = 0.51
"""Test MSE that the reference code reached here after 1.5 epochs."""
EPOCHS, PARTS = 3, 4


def work(contender: str, reference: Callable[[Any, int], nn.Module] | None, seed: int) -> None:
    """Train one contender; print a line per quarter epoch: epochs, CPU seconds, validation MSE, test MSE."""
    torch.set_num_threads(1)
    steady_heap()
    recipe, _ = resolve_recipe("forecast", data="etth1", model="informer")
    prepared = prepare(as_kind(recipe, ForecastRecipe))
    train = prepared.windows["train"]
    torch.manual_seed(seed)
    fused, precision = contender != "reference", resolve("fp32" if contender != "seqsci" else "auto", "cpu")
    if reference is None:
        network = build("forecast", recipe.model, prepared.shape)
        forward: Callable[[Batch], Tensor] = network
    else:
        network = reference(recipe, prepared.shape.channels)
        forward = published_forward(network, recipe.model.label_length)
    optimizer = torch.optim.Adam(network.parameters(), recipe.train.lr, fused=fused)
    order = torch.Generator().manual_seed(seed)
    spent, best, test = 0.0, math.inf, math.nan
    for epoch in range(EPOCHS):
        optimizer.param_groups[0]["lr"] = recipe.train.lr * 0.5 ** max(epoch - 1, 0)
        steps = torch.randperm(len(train), generator=order).split(recipe.train.batch)
        share = math.ceil(len(steps) / PARTS)
        for part in range(PARTS):
            network.train()
            start = time.process_time()
            for index in steps[part * share : (part + 1) * share]:
                batch = train.__getitems__(index.tolist())
                with autocast(precision, "cpu"):
                    forecast = forward(batch)
                (forecast.float() - batch.target).square().mean().backward()
                optimizer.step()
                optimizer.zero_grad()
            spent += time.process_time() - start
            validation = error(network, forward, prepared, "val")
            if validation < best:
                best, test = validation, error(network, forward, prepared, "test")
            print(epoch + (part + 1) / PARTS, spent, validation, test, flush=True)
            if test <= GOAL:
                return


def published_forward(network: nn.Module, label: int) -> Callable[[Batch], Tensor]:
    """The authors' way to call their network, from our batch."""

    def forward(batch: Batch) -> Tensor:
        empty = torch.zeros_like(batch.values[:, :1]).expand(-1, batch.future_times.shape[1], -1)
        start = torch.cat([batch.values[:, -label:], empty], 1)
        marks = torch.cat([batch.times[:, -label:], batch.future_times], 1)
        forecast: Tensor = network(batch.values, batch.times, start, marks)
        return forecast

    return forward


@torch.inference_mode()
def error(network: nn.Module, forward: Callable[[Batch], Tensor], prepared: Prepared, split: str) -> float:
    """Mean squared error over every window of a split."""
    network.eval()
    total, count = 0.0, 0
    for batch in prepared.windows[split].batches(64):
        assert batch.target is not None
        total += float((forward(batch) - batch.target).square().sum())
        count += batch.target.numel()
    return total / count


def race(script: str, contenders: tuple[str, ...], reference: str, seed: int) -> None:
    """Run the contenders side by side and print what each paid."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    processes = {
        name: subprocess.Popen(
            [sys.executable, script, "--work-quality", name, reference, str(seed)],
            stdout=subprocess.PIPE, text=True, env=environment,
        )
        for name in contenders
    }  # fmt: skip
    paid = {}
    for name, process in processes.items():
        lines = process.communicate()[0].splitlines()
        if process.returncode:
            raise SystemExit(f"{name}: training failed")
        paid[name] = [float(number) for number in lines[-1].split()]
    ours = paid["seqsci"][1]
    for name, (epochs, seconds, _, test) in paid.items():
        reached = "reached" if test <= GOAL else "NOT reached"
        ratio = "" if name == "seqsci" else f", {seconds / ours:.2f} times seqsci's"
        print(f"  {name:14}{reached} {GOAL} after {epochs} epochs, {seconds:.0f} CPU s{ratio} (test MSE {test:.3f})")
