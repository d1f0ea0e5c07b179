"""What the tests of the kernels share: poisoned memory, one thread, and the places where Triton's kernels run."""

from __future__ import annotations

import functools
import importlib.util
import math
import os
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh memory holds NaN: nothing may be read before it is written."""

    def poison(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @functools.wraps(make)
        def made(*args: object, **kwargs: object) -> Tensor:
            x = make(*args, **kwargs)
            return x.fill_(math.nan) if x.is_floating_point() else x

        return made

    monkeypatch.setattr(torch, "empty", poison(torch.empty))
    monkeypatch.setattr(torch, "empty_like", poison(torch.empty_like))
    monkeypatch.setattr(Tensor, "new_empty", poison(Tensor.new_empty))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads only wait for each other on tensors this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`place`: (device, dtype) of a test in `on_triton`.

    The interpreter computes bfloat16 wrongly and without a word, so there it is float32 alone.
    """
    if "place" not in metafunc.fixturenames:
        return
    if os.environ.get("TRITON_INTERPRET") == "1":
        metafunc.parametrize("place", [("cpu", torch.float32)], ids=["interpreted"])
        return
    marks = [pytest.mark.gpu]
    if importlib.util.find_spec("triton") is None:
        marks.append(pytest.mark.skip("triton is not installed"))
    elif not torch.cuda.is_available():
        marks.append(pytest.mark.skip("torch sees no GPU"))
    places = [pytest.param(("cuda", kind), marks=marks) for kind in (torch.float32, torch.bfloat16)]
    metafunc.parametrize("place", places, ids=["fp32", "bf16"])
