"""The sLSTM recurrence in C++: one call for each head, heads side by side on torch's number of threads."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from seqsci_kernels import native
from seqsci_kernels.slstm.operator import SAVED, differentiable, like_gates, wide

SOURCE = Path(__file__).with_name("cpu.cpp")
SMALL = 1 << 16
"""Up to this many units times steps a second thread costs more than it saves."""


def why_not() -> str | None:
    """None where this backend can be used, otherwise the reason why not."""
    library = native.load(SOURCE)
    return str(library) if isinstance(library, native.Unavailable) else None


def slstm(
    gates: Tensor,
    recurrent: Tensor,
    bias: Tensor,
    hidden: Tensor,
    cell: Tensor,
    log_norm: Tensor,
    reset: Tensor | None,
    backward_heads: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See `seqsci_kernels.slstm.slstm`."""
    initial = torch.stack([hidden, cell, log_norm])
    keep = torch.is_grad_enabled() and any(x.requires_grad for x in (gates, recurrent, bias, initial))
    out, _, final = _operator(gates, recurrent, bias, initial, reset, backward_heads, keep)
    return out, final[0], final[1], final[2]


def _forward(
    gates: Tensor,
    recurrent: Tensor,
    bias: Tensor,
    initial: Tensor,
    reset: Tensor | None,
    backward_heads: int,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    batch, steps, heads, _, width = gates.shape
    kind, narrow = wide(gates.dtype), gates.dtype
    gates, recurrent, bias = _dense(gates.to(kind)), recurrent.to(kind).contiguous(), bias.to(kind).contiguous()
    initial, reset = initial.contiguous(), None if reset is None else reset.contiguous()
    out = gates.new_empty(batch, steps, heads, width)
    kept = gates.new_empty(heads, steps, SAVED, batch, width) if keep else gates.new_empty(0)
    native.large_pages(kept)
    final = torch.empty_like(initial)
    call = _function("forward", kind)

    def head(h: int) -> None:
        call(
            *_numbers(batch, steps, width, h >= heads - backward_heads),
            _at(reset),
            *(_at(gates, h * gates.stride(2)), *_strides(gates)),
            _at(recurrent, h * recurrent.stride(0)),
            _at(bias, h * bias.stride(0)),
            *(_at(initial, h * width), *_strides(initial, 1, 0)),
            *(_at(out, h * width), *_strides(out)),
            _at(kept, h * kept.stride(0)) if keep else None,
            _at(final, h * width),
        )

    _for_each(heads, head, out.numel())
    return out.to(narrow), kept, final


def _backward(
    grad: Tensor,
    final_grad: Tensor,
    recurrent: Tensor,
    initial: Tensor,
    reset: Tensor | None,
    kept: Tensor,
    backward_heads: int,
    heads_first: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    batch, steps, heads, width = grad.shape
    narrow, kind = grad.dtype, kept.dtype
    grad = grad.to(kind)
    if grad.stride(-1) != 1:
        grad = grad.contiguous()
    matrix = recurrent.to(kind).contiguous()
    initial, final_grad = initial.contiguous(), final_grad.contiguous()
    reset = None if reset is None else reset.contiguous()
    gates_grad = like_gates(grad, width, heads_first)
    native.large_pages(gates_grad)
    matrix_grad, bias_grad, initial_grad = (
        torch.empty_like(matrix),
        matrix.new_empty(heads, 4, width),
        torch.empty_like(initial),
    )
    call = _function("backward", kind)

    def head(h: int) -> None:
        call(
            *_numbers(batch, steps, width, h >= heads - backward_heads),
            _at(reset),
            _at(matrix, h * matrix.stride(0)),
            *(_at(initial, h * width), *_strides(initial, 1, 0)),
            *(_at(grad, h * grad.stride(2)), *_strides(grad)),
            _at(kept, h * kept.stride(0)),
            _at(final_grad, h * width),
            *(_at(gates_grad, h * gates_grad.stride(2)), *_strides(gates_grad)),
            _at(matrix_grad, h * matrix.stride(0)),
            _at(bias_grad, h * bias_grad.stride(0)),
            _at(initial_grad, h * width),
        )

    _for_each(heads, head, grad.numel())
    return gates_grad.to(narrow), matrix_grad.to(recurrent.dtype), bias_grad.to(recurrent.dtype), initial_grad


_operator = differentiable("cpu", _forward, _backward)


def _dense(gates: Tensor) -> Tensor:
    """The gates of a unit side by side, as the C++ code reads them; rows, steps and heads may lie anywhere."""
    width = gates.shape[-1]
    return gates if gates.stride()[3:] == (width, 1) else gates.contiguous()


def _function(name: str, kind: torch.dtype) -> Callable[..., None]:
    library = native.load(SOURCE)
    if isinstance(library, native.Unavailable):
        raise RuntimeError(f"seqsci_kernels: {library}")
    suffix = "double" if kind == torch.float64 else "float"
    function: Callable[..., None] = getattr(library, f"slstm_{name}_{suffix}")
    return function


def _numbers(batch: int, steps: int, width: int, reverse: bool) -> tuple[ctypes.c_int64 | ctypes.c_int, ...]:
    return ctypes.c_int64(batch), ctypes.c_int64(steps), ctypes.c_int64(width), ctypes.c_int(reverse)


def _strides(x: Tensor, *which: int) -> tuple[ctypes.c_int64, ...]:
    return tuple(ctypes.c_int64(x.stride(n)) for n in which or (0, 1))


def _at(x: Tensor | None, offset: int = 0) -> ctypes.c_void_p | None:
    return None if x is None else ctypes.c_void_p(x.data_ptr() + offset * x.element_size())


def _for_each(heads: int, work: Callable[[int], None], size: int) -> None:
    """Foreign code does not hold Python's lock. No pool is kept: one would not survive a fork."""
    threads = min(heads, torch.get_num_threads())
    if threads == 1 or size < SMALL:
        for head in range(heads):
            work(head)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, range(heads)):
            pass
