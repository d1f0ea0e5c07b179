"""Compile the Triton kernels of one file of `on_triton` for GPUs that are not there, and judge the result.

    python tests/kernels/ahead_of_time.py tests/kernels/on_triton/slstm.py [80 90 100]

The file offers `configurations()`, pairs of a name and a function of a length that calls the op's own launching
code with CPU tensors, or triples with the bytes of registers that a thread may spill. Triton gets a driver that
names a GPU and launches nothing, so what is compiled is what a user's call would compile, specialisations
included. One line is printed for each compiled kernel; the exit status is 1 when a kernel needs more shared memory
than the GPU has, spills more than it may, or is compiled more than once over LENGTHS. Must be a process without
TRITON_INTERPRET: Triton reads it when a kernel is defined.
"""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import triton
from triton.backends.compiler import GPUTarget

LENGTHS = (512, 513, 720, 1000, 1024, 4096, 8192)
SHARED_BYTES = {80: 166_912, 90: 232_448, 100: 232_448}
"""Compute capability -> bytes of shared memory that one block may use."""
REGISTERS = 255

Launched = dict[str, dict[str, Any]]
"""Name of a kernel -> digest of a compiled form -> that form."""


class AbsentGPU:
    """A driver for Triton that says which GPU it is and has none. The device number is the compute capability."""

    def __init__(self, capability: int) -> None:
        self.capability = capability

    def get_current_device(self) -> int:
        return self.capability

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, 32)


@contextmanager
def compiling_for(capability: int) -> Iterator[Launched]:
    """Within, launches compile for that GPU and do nothing else; gives what they compiled."""
    launched: Launched = defaultdict(dict)
    run = triton.JITFunction.run

    def compile_only(self: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> Any:
        compiled = run(self, *args, grid=grid, warmup=True, **kwargs)
        launched[self.fn.__name__][compiled.hash] = compiled
        return compiled

    driver = triton.runtime.driver
    driver.set_active(AbsentGPU(capability))
    with mock.patch.object(triton.JITFunction, "run", compile_only):
        yield launched


def resources(compiled: Any) -> tuple[int, int]:
    """Registers per thread and bytes of its stack, where spilled registers lie."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        text = subprocess.run(
            [tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", text)
    assert found, text
    return int(found[1]), int(found[2])


def faults(capability: int, forms: dict[str, Any], allowed: int) -> tuple[str, list[str]]:
    """A line about the compiled forms of one kernel, and what is wrong with them."""
    wrong = [] if len(forms) == 1 else [f"{len(forms)} compiles over lengths {LENGTHS}"]
    lines = []
    for compiled in forms.values():
        shared = compiled.metadata.shared
        registers, stack = resources(compiled)
        lines.append(f"shared {shared:6} B, registers {registers:3}, spilled {stack} B")
        if shared > SHARED_BYTES[capability]:
            wrong.append(f"shared memory {shared} B > {SHARED_BYTES[capability]} B")
        if registers > REGISTERS or stack > allowed:
            wrong.append(f"{registers} registers, {stack} B spilled")
    return "; ".join(lines), wrong


def judge(capability: int, name: str, call: Callable[[int], object], allowed: int = 0) -> int:
    """Compile one configuration at all lengths, print a line for each kernel, count the faults."""
    with compiling_for(capability) as launched:
        for length in LENGTHS:
            call(length)
    assert launched, f"{name}: launches no kernel"
    count = 0
    for kernel, forms in launched.items():
        line, wrong = faults(capability, forms, allowed)
        print(f"sm_{capability} {name:28} {kernel:28} {line}", *(f"FAULT {fault}" for fault in wrong), flush=True)
        count += len(wrong)
    return count


def main(path: str, capabilities: list[int]) -> int:
    """The exit status."""
    torch.set_num_threads(1)
    configurations = runpy.run_path(path)["configurations"]
    return int(sum(judge(cc, *given) for cc in capabilities for given in configurations()) > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], [int(cc) for cc in sys.argv[2:]] or list(SHARED_BYTES)))
