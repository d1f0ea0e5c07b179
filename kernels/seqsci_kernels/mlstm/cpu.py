"""The mLSTM in chunks in C++: (sequence, head) pairs one after another, shared among torch's number of threads."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from seqsci_kernels import native
from seqsci_kernels.mlstm.operator import differentiable
from seqsci_kernels.mlstm.reference import Options, State

SOURCE = Path(__file__).with_name("cpu.cpp")
SMALL = 1 << 16
"""Up to this many numbers of v a second thread costs more than it saves."""
CHUNK = 64
"""Steps. Below the diagonal within a chunk a step costs as many products as half of these, beside it one state."""


def why_not() -> str | None:
    """None where this backend can be used, otherwise the reason why not."""
    library = native.load(SOURCE)
    return str(library) if isinstance(library, native.Unavailable) else None


class _View(ctypes.Structure):
    """`View` of the source: where `(B, H, S, ...)` stands, and the strides of its first three axes."""

    _fields_ = [("at", ctypes.c_void_p), *((name, ctypes.c_int64) for name in ("row", "head", "step"))]

    @classmethod
    def of(cls, x: Tensor | None) -> _View:
        return cls() if x is None else cls(x.data_ptr(), *x.stride()[:3])


TENSORS: list[tuple[str, type]] = [
    *((name, _View) for name in ("q", "k", "v", "h", "r", "log_input", "log_forget")),
    *((name, ctypes.c_void_p) for name in ("C", "n", "m", "C_end", "n_end", "m_end")),
    *((name, _View) for name in ("dh", "dq", "dk", "dv", "d_input", "d_forget")),
    *((name, ctypes.c_void_p) for name in ("dC_end", "dn_end", "dm_end", "dC", "dn", "dm")),
]
"""The last two lines are of the backward pass."""


class _Problem(ctypes.Structure):
    """`Problem` of the source."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("heads", "steps", "key", "value", "chunk", "normalize")),
        *((name, ctypes.c_double) for name in ("scale", "eps")),
        ("ends", ctypes.c_void_p),
        *TENSORS,
    ]


def _forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_input: Tensor,
    log_forget: Tensor,
    initial: State,
    cu_seqlens: Tensor | None,
    options: Options,
) -> tuple[Tensor, State, Tensor]:
    kind, narrow = initial.C.dtype, q.dtype
    q, k, v = (_dense(x.to(kind)) for x in (q, k, v))
    h, r = _like(v), q.new_empty(q.shape[:3])
    initial = State(*(x.contiguous() for x in initial))
    final = State(*(torch.empty_like(x) for x in initial))
    tensors = (q, k, v, h, r, log_input, log_forget, *initial, *final)
    _run("forward", tensors, cu_seqlens, options)
    return h.to(narrow), final, r


def _backward(
    dh: Tensor,
    d_final: tuple[Tensor | None, ...],
    h: Tensor,
    r: Tensor,
    final: State,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_input: Tensor,
    log_forget: Tensor,
    initial: State,
    cu_seqlens: Tensor | None,
    options: Options,
) -> list[Tensor]:
    kind, narrow = initial.C.dtype, q.dtype
    q, k, v, h, dh = (_dense(x.to(kind)) for x in (q, k, v, h, dh))
    ends = [None if x is None else x.contiguous() for x in d_final]
    initial = State(*(x.contiguous() for x in initial))
    found = [_like(x) for x in (q, k, v)] + [torch.empty_like(x) for x in (log_input, log_forget, *initial)]
    tensors = (q, k, v, h, r, log_input, log_forget, *initial, *final, dh, *found[:5], *ends, *found[5:])
    _run("backward", tensors, cu_seqlens, options)
    return [*(x.to(narrow) for x in found[:3]), *found[3:]]


def _dense(x: Tensor) -> Tensor:
    """With the numbers of a head side by side, as the C++ code reads them; rows, heads and steps may lie anywhere."""
    return x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()


def _like(x: Tensor) -> Tensor:
    """Memory laid out as x, where that is dense."""
    return _dense(torch.empty_like(x))


def _run(name: str, tensors: Sequence[Tensor | None], cu_seqlens: Tensor | None, options: Options) -> None:
    """`tensors` in the order of the source; those of the backward pass may be left out."""
    library = native.load(SOURCE)
    if isinstance(library, native.Unavailable):
        raise RuntimeError(f"seqsci_kernels: {library}")
    q, v, C = tensors[0], tensors[2], tensors[7]
    assert q is not None and v is not None and C is not None
    call = getattr(library, f"mlstm_{name}_{'double' if C.dtype == torch.float64 else 'float'}")
    heads, steps, key = q.shape[1:]
    ends = None if cu_seqlens is None else cu_seqlens.to("cpu", torch.int64).contiguous()
    numbers = heads, steps, key, v.shape[-1], CHUNK, options.normalize, options.scale, options.eps
    given = [_View.of(x) if kind is _View else _at(x) for (_, kind), x in zip(TENSORS, tensors, strict=False)]
    problem = _Problem(*numbers, _at(ends), *given)

    def some(pairs: range) -> None:
        call(ctypes.byref(problem), ctypes.c_int64(pairs.start), ctypes.c_int64(pairs.stop))

    _share(len(C) * heads, some, v.numel())


def _share(pairs: int, work: Callable[[range], None], size: int) -> None:
    """Foreign code does not hold Python's lock. No pool is kept: one would not survive a fork."""
    threads = min(pairs, torch.get_num_threads())
    if threads == 1 or size < SMALL:
        work(range(pairs))
        return
    # Sequences may be of unlike lengths, so there are more parts than threads.
    parts = min(pairs, 4 * threads)
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, (range(pairs * n // parts, pairs * (n + 1) // parts) for n in range(parts))):
            pass


def _at(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


mlstm = differentiable("cpu", _forward, _backward)
