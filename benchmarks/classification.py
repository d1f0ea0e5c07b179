"""Sections of photometry.py that need a network: t2 alone, the recipe t2-direct, and the alerts of a night.

Weights do not matter to a speed: the networks are trained for an epoch or not at all. All objects are SIMULATED, whole
curves of three years with about 150 observations each; what a survey has of a young object is shorter.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

import seqsci
from seqsci.api import plan
from seqsci.data.batch import Batch, SequenceShape
from seqsci.domains import photometry
from seqsci.domains.photometry.sequences import observed
from seqsci.domains.photometry.simulate import simulate
from seqsci.metrics import soften
from seqsci.nn.head import build
from seqsci.nn.memory import steady_heap
from seqsci.runs import Run
from seqsci.tasks.classify import predict
from seqsci.training.classify import prepare
from seqsci.training.classify.prepare import Frame, everything, inputs, make_shape
from seqsci.training.fit import fit, load_network

ALERTS, NIGHT = 10_000_000, 10 * 3600
"""Of LSST in one night, and its seconds."""
BATCH = 500
"""Alerts that are classified together: two seconds of them."""
OBJECTS = 2000
Seconds = dict[str, float]


def network_section(data: Path, rounds: int) -> None:
    """The published network alone, and the recipe t2-direct as a user trains it."""
    steady_heap()
    recipe = plan("classify", recipe="classify/t2-paper")[0]
    shape = SequenceShape(context=100, channels=6, times=2, kinds=0, static=4, classes=14)
    network = build("classify", recipe.model, shape)
    size = sum(p.numel() for p in network.parameters())
    print(f"the published t2, {size} parameters, 100 points x 6 bands, float32, made of random numbers")
    print(f"  {'batch':>6}{'training, objects / CPU s':>28}{'inference, objects / CPU s':>28}")
    for batch in (512, 64):
        step, look = _training(network, batch), _inference(network, batch)
        print(f"  {batch:6d}{_speed(step, batch, rounds):28.0f}{_speed(look, batch, rounds):28.0f}", flush=True)
    _recipe_section(rounds)


def _recipe_section(rounds: int) -> None:
    """Data loader, thinning, loss, optimiser, validation and resume points included."""
    recipe = plan("classify", recipe="classify/t2-direct", settings={"data.count": 1400, "train.epochs": 2})[0]
    prepared = prepare(recipe)
    shown = recipe.train.epochs * len(prepared.splits["train"])
    spent = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            run = Run.create(Path(folder), recipe, "speed")
            start = time.process_time()
            fit(recipe, prepared, run, quiet=True)
            spent.append(time.process_time() - start)
    print(f"recipe t2-direct, training end to end: {shown / statistics.median(spent):.0f} objects / CPU s", flush=True)


def _training(network: torch.nn.Module, size: int) -> Callable[[], object]:
    batch, adam = _random(size), torch.optim.Adam(network.parameters())

    def step() -> None:
        network.train()
        adam.zero_grad()
        F.cross_entropy(network(batch), batch.target).backward()
        adam.step()

    return step


def _inference(network: torch.nn.Module, size: int) -> Callable[[], object]:
    batch = _random(size)

    def look() -> None:
        network.eval()
        with torch.inference_mode():
            network(batch)

    return look


def _random(size: int) -> Batch:
    return Batch(
        values=torch.randn(size, 100, 6),
        mask=torch.ones(size, 100, dtype=torch.bool),
        times=torch.linspace(0, 100, 100)[None, :, None].repeat(size, 1, 2),
        index=torch.arange(size),
        static=torch.randn(size, 4),
        target=torch.randint(0, 14, (size,)),
    )


def _speed(step: Callable[[], object], size: int, rounds: int) -> float:
    """Objects per CPU second: the median of rounds of about a second."""
    step()
    found = []
    for _ in range(rounds):
        start, done = time.process_time(), 0
        while time.process_time() - start < 1.0:
            step()
            done += size
        found.append(done / (time.process_time() - start))
    return statistics.median(found)


def alerts_section(data: Path, rounds: int) -> None:
    """From rows of a CSV file to class probabilities by t2-direct, and the cores that a night of LSST takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = {"data.count": 700, "train.epochs": 1, "evaluate.baselines": ["prior"], "evaluate.days": [1],
                    "evaluate.open_set": False}  # fmt: skip
        run = seqsci.classify(recipe="classify/t2-direct", settings=settings, runs=folder, quiet=True).run
        curves = simulate(3, OBJECTS)
        curves.observations.write_csv(folder / "alerts.csv")
        curves.objects.select("object_id", "redshift", "redshift_error").write_csv(folder / "hosts.csv")
        rows = len(curves.observations) / OBJECTS
        every = [_night(run, folder) for _ in range(rounds)]
    middle = {part: statistics.median(one[part] for one in every) for part in every[0]}
    total = [sum(one.values()) for one in every]
    print(f"alerts: {OBJECTS} simulated objects, {rows:.0f} rows each, {BATCH} at a time, recipe t2-direct")
    for part, seconds in middle.items():
        print(f"  {part:12}{1e3 * seconds / OBJECTS:8.3f} ms an object")
    speed, wanted = OBJECTS / statistics.median(total), ALERTS / NIGHT
    print(f"  end to end {speed:.0f} objects / CPU s ({OBJECTS / max(total):.0f} to {OBJECTS / min(total):.0f})")
    print(
        f"  {ALERTS:,d} alerts in {NIGHT / 3600:g} hours are {wanted:.0f} / s: {wanted / speed:.2f} cores", flush=True
    )


def _night(run: Run, folder: Path) -> Seconds:
    """CPU seconds of each part of classifying the file as it streams."""
    recipe: Any = run.recipe
    tensors, facts = run.load_weights()
    frame, warmth = Frame.from_facts(facts["frame"]), float(tensors["temperature"])
    network = load_network(recipe, make_shape(recipe.data, frame), run)
    spent = dict.fromkeys(("reading", "sequences", "measures", "network"), 0.0)
    done, clock = 0, time.process_time()

    def lap(part: str) -> None:
        nonlocal clock
        now = time.process_time()
        spent[part] += now - clock
        clock = now

    for curves in photometry.batches(folder / "alerts.csv", BATCH, folder / "hosts.csv"):
        lap("reading")
        sequences = inputs(curves, recipe.data, frame.bands)
        lap("measures")
        rows = frame.rows(sequences, [None] * len(curves.objects))
        lap("sequences")
        p = soften(predict(network, everything(rows).batches(256), len(frame.classes)), warmth)
        lap("network")
        done += len(p)
        _apart(curves, recipe, spent)
        clock = time.process_time()
    assert done == OBJECTS
    return spent


def _apart(curves: photometry.LightCurves, recipe: Any, spent: Seconds) -> None:
    """Splits the time of `inputs`, which makes sequences and measures in one call, by timing the first alone."""
    start = time.process_time()
    observed(curves, margin=recipe.data.margin, most=recipe.data.context)
    took = time.process_time() - start
    spent["sequences"] += took
    spent["measures"] -= took
