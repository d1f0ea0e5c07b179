"""Triton's kernels on a machine without a GPU: interpreted, for their values, and compiled, for their fit.

Each file of `on_triton` is a set of tests over `place` and a list of `configurations()`; see ahead_of_time.py.
Both ways need a process of their own, because Triton reads TRITON_INTERPRET once. By hand:

    TRITON_INTERPRET=1 python -m pytest tests/kernels/on_triton/slstm.py
    python tests/kernels/ahead_of_time.py tests/kernels/on_triton/slstm.py
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = sorted((HERE / "on_triton").glob("*.py"))

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed; its kernels stay untested"
)


FAULTY = """
import torch, triton, triton.language as tl

@triton.jit
def double(x, n, SIZE: tl.constexpr):
    i = tl.arange(0, SIZE)
    tl.store(x + i, 2 * tl.load(x + i, mask=i < n), mask=i < n)

def configurations():
    yield "length specialised", lambda length: double[(1,)](torch.randn(length), length, SIZE=128)
"""


def run(command: list[str], expect: int = 0, **environment: str) -> str:
    """What a Python process prints; fails with all of that when its exit status is not the expected one."""
    inherited = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, *command],
        env=inherited | {"OMP_NUM_THREADS": "1"} | environment,
        cwd=HERE.parents[1],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == expect, done.stdout
    return done.stdout


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_interpreted(file: Path) -> None:
    run(["-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)], TRITON_INTERPRET="1")


@pytest.mark.timeout(900)  # Some minutes at first; Triton then keeps what it compiled.
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_compiled_ahead_of_time(file: Path) -> None:
    print(run([str(HERE / "ahead_of_time.py"), str(file)]))


def test_a_compile_for_each_length_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "faulty.py"
    file.write_text(FAULTY)
    assert "FAULT 2 compiles" in run([str(HERE / "ahead_of_time.py"), str(file), "90"], expect=1)
