"""The passes of `cpu.cpp` over tensors whose last axis is dense, each written into memory that the caller gives."""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch
from torch import Tensor

from seqsci_kernels import native

SOURCE = Path(__file__).with_name("cpu.cpp")
GROUP = 4
"""Channels that `convolved_maps` maps together."""
WHOLE = 16
"""Of so many channels it takes a multiple."""


def why_not() -> str | None:
    """None where these passes can be used, otherwise the reason why not."""
    library = native.load(SOURCE)
    return str(library) if isinstance(library, native.Unavailable) else None


def swiglu(x: Tensor, out: Tensor) -> None:
    """SiLU(gate) * up of x = [gate, up] (N, 2 I), rows any stride apart, into out (N, I)."""
    _call("swiglu", x, *_sizes(*out.shape), _at(x), *_sizes(x.stride(0)), _at(out))


def swiglu_back(x: Tensor, grad: Tensor, dx: Tensor) -> None:
    """The gradient of x into dx, from that of the result, `grad` (N, I), which becomes the result itself."""
    _call("swiglu_back", x, *_sizes(*grad.shape), _at(x), *_sizes(x.stride(0)), _at(grad), _at(dx))


def rms_norm(x: Tensor, weight: Tensor, eps: float, out: Tensor, scales: Tensor) -> None:
    """x (N, D) times `scales` (N,), 1 / sqrt(mean(x^2) + eps), times weight (D,), into out."""
    _call("rms_norm", x, *_sizes(*x.shape), _at(x), _at(weight), ctypes.c_double(eps), _at(out), _at(scales))


def rms_norm_back(x: Tensor, weight: Tensor, scales: Tensor, grad: Tensor, dx: Tensor, d_weight: Tensor) -> None:
    """Gradients from that of the result; into dx, added to d_weight."""
    _call("rms_norm_back", x, *_sizes(*x.shape), *(_at(y) for y in (x, weight, scales, grad, dx, d_weight)))


def norm_gate(
    h: Tensor,
    z: Tensor,
    silu: bool,
    eps: float,
    norm: Tensor | None,
    skip: Tensor | None,
    c: Tensor | None,
    out: Tensor,
) -> None:
    """`reference.norm_gate` of h (N, H, d) and z (N, H d), with norm, skip and c or none of them, into out."""
    given = (_at(x) for x in (h, z, norm, skip, c))
    _call("norm_gate", h, *_sizes(*h.shape), *given, ctypes.c_double(eps), ctypes.c_int(silu), _at(out))


def norm_gate_back(
    h: Tensor,
    z: Tensor,
    silu: bool,
    eps: float,
    norm: Tensor | None,
    skip: Tensor | None,
    c: Tensor | None,
    grad: Tensor,
    into: tuple[Tensor | None, ...],
) -> None:
    """Gradients from that of the result, `grad`, which becomes the result itself.

    `into`: those of h, z and c are written, those of norm and skip are added to.
    """
    given, found = (_at(x) for x in (h, z, norm, skip, c)), (_at(x) for x in (grad, *into))
    _call("norm_gate_back", h, *_sizes(*h.shape), *given, ctypes.c_double(eps), ctypes.c_int(silu), *found)


def convolved_maps(
    steps: slice, a: Tensor, before: Tensor, taps: Tensor, bias: Tensor, rows: Tensor, into: tuple[Tensor, ...]
) -> None:
    """`reference.convolved_maps` at some steps of a (B, L, E), into c, q, k and v.

    `rows` (3, 4, E): of each group, from its number i, to each of its numbers.
    """
    tensors = a, before, taps, bias, rows, *into
    _call("convolved_maps", a, ctypes.byref(_Steps(*a.shape, len(taps), steps.start, steps.stop)), *map(_at, tensors))


def convolved_maps_back(
    steps: slice,
    given: tuple[Tensor, ...],
    grads: tuple[Tensor, ...],
    back: Tensor,
    late: Tensor,
    into: tuple[Tensor, ...],
) -> None:
    """Gradients at some steps; the last steps come first.

    Args:
        steps: of L.
        given: a, before, taps, bias, `rows` of the transposed maps, c.
        grads: of c, q, k and v, each (B, L, E).
        back: (B, steps, E) what else is the gradient of c.
        late: (B, K-1, E) gradients of the raw convolution at the steps after these; becomes that of the first.
        into: gradients of a, which holds what else there is; of before, written with step 0; of taps, bias and
            `rows` of the maps, which are added to.
    """
    tensors = *given, *grads, back, late, *into
    a, kernel = given[0], len(given[2])
    what = _Steps(*a.shape, kernel, steps.start, steps.stop)
    _call("convolved_maps_back", a, ctypes.byref(what), *map(_at, tensors))


class _Steps(ctypes.Structure):
    """`Steps` of the source."""

    _fields_ = [(name, ctypes.c_int64) for name in ("batch", "length", "width", "kernel", "first", "last")]


def _call(name: str, like: Tensor, *arguments: object) -> None:
    library = native.load(SOURCE)
    if isinstance(library, native.Unavailable):
        raise RuntimeError(f"seqsci_kernels: {library}")
    getattr(library, f"{name}_{'double' if like.dtype == torch.float64 else 'float'}")(*arguments)


def _sizes(*numbers: int) -> tuple[ctypes.c_int64, ...]:
    return tuple(map(ctypes.c_int64, numbers))


def _at(x: Tensor | None) -> ctypes.c_void_p | None:
    return None if x is None else ctypes.c_void_p(x.data_ptr())
