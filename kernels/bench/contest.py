"""Contenders that take turns in one process on one CPU thread, and the table of their medians.

What is timed is the CPU time of the process, so other programs on the machine hardly count; each contender runs once
in each round, so that a slow minute hits all alike. Trust ratios within one run, not times of different runs.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import torch
from torch import Tensor

Step = Callable[[], object]


def medians(contenders: dict[str, Step], rounds: int, warm_up: int = 2) -> dict[str, float]:
    """Milliseconds of CPU, by contender."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(warm_up + rounds):
        for name, step in contenders.items():
            start = time.process_time()
            step()
            if number >= warm_up:
                seconds[name].append(time.process_time() - start)
    return {name: 1000 * statistics.median(times) for name, times in seconds.items()}


def with_backward(forward: Callable[[], Tensor]) -> Step:
    """One pass forward and back, on a fixed gradient; the gradients are dropped by the caller's leaves."""
    weight: list[Tensor] = []

    def step() -> None:
        out = forward()
        if not weight:
            weight.append(torch.randn_like(out))
        out.backward(weight[0])

    return step


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lines of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def beside(ratio: float, target: float, most: bool = True) -> str:
    """A ratio, its target, and whether it is met."""
    met = ratio <= target if most else ratio >= target
    return f"{ratio:.2f} ({'at most' if most else 'at least'} {target:g}: {'met' if met else 'MISSED'})"


def machine() -> str:
    """The date, the processor and torch's version, for the head of a table."""
    torch.set_num_threads(1)
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    wide = torch.backends.cpu.get_cpu_capability()
    return f"{date.today()}, {name} ({wide}), one thread, torch {torch.__version__}; medians of CPU milliseconds"
