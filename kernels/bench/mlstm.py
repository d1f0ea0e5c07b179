"""The mLSTM in chunks beside exact causal attention, forward and backward, in one run and one table.

    python kernels/bench/mlstm.py            one CPU thread, CPU seconds: B 1, H 4, float32
    python kernels/bench/mlstm.py --gpu      65,536 tokens, 16 heads of 128/256, bfloat16, beside flash attention

Nothing is timed unless values and all gradients agree with the S x S form in float64 first.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from seqsci_kernels.mlstm import mlstm
from torch import Tensor

SIZES = ((64, 512), (64, 2048), (64, 8192), (128, 512), (128, 2048), (128, 8192))
"""(head width, steps)."""
TARGETS = {
    (64, 8192): "<= 25 us, >= 6 x, <= 80 MB",
    (128, 8192): ">= 5 x",
}
TOKENS = 65_536
"""Of a batch on a GPU."""


def inputs(batch: int, heads: int, steps: int, K: int, V: int, kind: torch.dtype, device: str) -> list[Tensor]:
    """q, k, v and both gates, ready for gradients; forget gates mostly open, as trained ones are."""
    seed = torch.Generator().manual_seed(0)
    shapes = ((batch, heads, steps, K), (batch, heads, steps, K), (batch, heads, steps, V))
    wide = [torch.randn(shape, generator=seed).to(kind) for shape in shapes]
    precise = torch.promote_types(kind, torch.float32)
    gates = [(torch.randn(batch, heads, steps, generator=seed) + about).to(precise) for about in (0, 3)]
    return [x.to(device).requires_grad_() for x in (*wide, *gates)]


def check(backend: str, kind: torch.dtype, device: str, tolerance: float) -> None:
    """Exits when the fast form and the S x S form disagree, on a raw loss."""
    tensors = inputs(1, 2, 300, 64, 64, kind, device)
    exact = [x.detach().double().requires_grad_() for x in tensors]
    h, _ = mlstm(*tensors, backend=backend)
    want, _ = mlstm(*exact, backend="parallel")
    weight = torch.randn(h.shape, generator=torch.Generator().manual_seed(1)).to(h)
    got = [h.detach(), *torch.autograd.grad(h, tensors, weight)]
    wanted = [want.detach(), *torch.autograd.grad(want, exact, weight.double())]
    for name, x, y in zip(("h", "dq", "dk", "dv", "di", "df"), got, wanted, strict=True):
        error = float((x.double() - y).norm() / y.norm())
        if not error <= tolerance:
            sys.exit(f"{backend}: {name} is off by {error:.1e}, more than {tolerance:.0e}; nothing is timed")


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Exact causal attention by torch."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def forward_backward(run: Callable[..., Tensor], tensors: list[Tensor]) -> Callable[[], object]:
    """One pass both ways, from a gradient that is already there."""
    with torch.no_grad():
        gradient = torch.ones_like(run(*tensors))
    return lambda: torch.autograd.grad(run(*tensors), tensors, gradient)


def cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    """Median of the process's CPU seconds."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def extra_megabytes(name: str, width: int, steps: int) -> float:
    """Peak of the memory of a process over what it held before, measured in a process of its own."""
    command = [sys.executable, __file__, "--memory", name, str(width), str(steps)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_memory(name: str, width: int, steps: int) -> None:
    """Prints what `extra_megabytes` reads. Linux only."""
    small, large = (inputs(1, 4, s, width, width, torch.float32, "cpu") for s in (128, steps))
    runs = [forward_backward(*CONTESTANTS[name](tensors)) for tensors in (small, large)]
    runs[0]()
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    runs[1]()
    print((_status("VmHWM") - before) / 1024)


def _status(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) if found else 0


CONTESTANTS: dict[str, Callable[[list[Tensor]], tuple[Callable[..., Tensor], list[Tensor]]]] = {
    "mlstm": lambda tensors: (lambda *x: mlstm(*x, backend="cpu")[0], tensors),
    "attention": lambda tensors: (attention, tensors[:3]),
}


def on_cpu(repeats: int) -> None:
    """The table of one CPU thread."""
    torch.set_num_threads(1)
    check("cpu", torch.float64, "cpu", 1e-10)
    check("cpu", torch.float32, "cpu", 1e-4)
    print(f"torch {torch.__version__}, one thread, B 1, H 4, float32; medians of {repeats}; us of CPU a token")
    print(f"{'d':>4} {'S':>6} {'fwd':>7} {'fwd+bwd':>8} {'MB':>5} | {'SDPA':>7} {'MB':>5} | {'ratio':>6}  target")
    for width, steps in SIZES:
        tensors = inputs(1, 4, steps, width, width, torch.float32, "cpu")
        with torch.no_grad():
            forward = cpu_seconds(lambda x=tensors: mlstm(*x, backend="cpu"), repeats) / steps * 1e6  # type: ignore[misc]
        ours, other = (
            cpu_seconds(forward_backward(*CONTESTANTS[name](tensors)), repeats) / steps * 1e6 for name in CONTESTANTS
        )
        memory = [extra_megabytes(name, width, steps) for name in CONTESTANTS]
        print(
            f"{width:4} {steps:6} {forward:7.1f} {ours:8.1f} {memory[0]:5.0f} | {other:7.1f} {memory[1]:5.0f} |"
            f" {other / ours:6.2f}  {TARGETS.get((width, steps), '')}",
            flush=True,
        )


def gpu_milliseconds(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median milliseconds, and peak gigabytes over what was there."""
    work()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    taken = []
    for _ in range(repeats):
        events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]  # type: ignore[no-untyped-call]
        events[0].record()
        work()
        events[1].record()
        torch.cuda.synchronize()
        taken.append(events[0].elapsed_time(events[1]))
    return statistics.median(taken), (torch.cuda.max_memory_allocated() - before) / 1e9


def on_gpu(repeats: int) -> None:
    """The table of one GPU, at the shape of the mLSTM papers; attention with 32 heads of 128."""
    check("triton", torch.float32, "cuda", 1e-4)
    check("triton", torch.bfloat16, "cuda", 3e-2)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {TOKENS} tokens, bfloat16; medians of {repeats}")
    print(f"{'S':>6} | {'mlstm fwd ms':>12} {'fwd+bwd':>8} {'GB':>5} | {'flash fwd+bwd':>13} {'GB':>5} | {'ratio':>6}")
    for steps in (512, 2048, 8192, 65_536):
        tensors = inputs(TOKENS // steps, 16, steps, 128, 256, torch.bfloat16, "cuda")
        others = inputs(TOKENS // steps, 32, steps, 128, 128, torch.bfloat16, "cuda")[:3]

        def run(*x: Tensor) -> Tensor:
            return mlstm(*x, backend="triton")[0]

        with torch.no_grad():
            forward, _ = gpu_milliseconds(lambda x=tensors: run(*x), repeats)  # type: ignore[misc]
        ours, memory = gpu_milliseconds(forward_backward(run, tensors), repeats)
        other, its = gpu_milliseconds(forward_backward(attention, others), repeats)
        print(
            f"{steps:6} | {forward:12.2f} {ours:8.2f} {memory:5.2f} | {other:13.2f} {its:5.2f} | {other / ours:6.2f}",
            flush=True,
        )


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", nargs=3, metavar=("NAME", "WIDTH", "STEPS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory:
        torch.set_num_threads(1)
        measure_memory(given.memory[0], int(given.memory[1]), int(given.memory[2]))
    elif given.gpu:
        on_gpu(given.repeats)
    else:
        on_cpu(given.repeats)


if __name__ == "__main__":
    main()
