"""What stands before and behind the memory of an xLSTM block, computed a few rows at a time on a CPU.

Most of the time of these maps, written one by one, goes into moving what stands between them through memory. Here it
stays in the cache, and is computed again on the way back. Each function has its plain form beside it, which runs on
every other device and where no compiler is at hand; both are equal to rounding.

B batch, L length, N = B L rows, D width, E inner width, H heads, G groups of g channels, K steps of a convolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from seqsci_kernels import elementwise, native
from seqsci_kernels.elementwise import cpu
from seqsci_kernels.elementwise.reference import Activation, convolved_maps, norm_gate
from torch import Tensor

from seqsci.nn.precision import product_dtype

ROWS = 256
"""Rows at a time."""


def fan_out(x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
    """x W_i^T for each W_i (D_i, D) of x (B, L, D), each in memory of its own."""
    if x.device.type != "cpu":
        return tuple(F.linear(x, weight) for weight in weights)
    kind = product_dtype(x)
    return _FanOut.apply(x.to(kind), *(w.to(kind) for w in weights))  # type: ignore[no-untyped-call]


def plain_mixed(
    a: Tensor, before: Tensor, taps: Tensor, bias: Tensor, qkv: Tensor, gates: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """`mixed` as it is written."""
    c, q, k, v = convolved_maps(a, before, taps, bias, qkv)
    return c, q, k, v, F.linear(torch.cat([q, k, v], -1), gates)


def mixed(
    a: Tensor, before: Tensor, taps: Tensor, bias: Tensor, qkv: Tensor, gates: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Convolution of each channel, then queries, keys, values and gates of an mLSTM.

    Args:
        a: (B, L, E).
        before: (B, K-1, E) the steps before.
        taps: (K, E) of the convolution c_t = SiLU(bias + sum over j of taps_j * a_{t-K+1+j}).
        bias: (E,).
        qkv: (3, G, g, g), input before output channel, of c, c and a.
        gates: (2 H, 3 E) of queries, keys and values side by side.

    Returns:
        c, q, k and v (B, L, E), gates (B, L, 2 H).
    """
    fits = qkv.shape[-1] == cpu.GROUP and a.shape[-1] % cpu.WHOLE == 0
    if not fits or a.shape[1] == 1 or not elementwise.usable(bias):
        return plain_mixed(a, before, taps, bias, qkv, gates)
    # (W_g W_q) c for W_g (W_q c), so that queries and keys need not be read again.
    parts = gates.view(len(gates), 3, qkv.shape[1], -1)
    with torch.autocast("cpu", enabled=False):
        folded = torch.einsum("xgio,nxgo->xngi", qkv, parts).flatten(2)
    rows = qkv.transpose(1, 2).flatten(2)
    given = (a, before, taps, bias, rows, torch.stack([folded[0] + folded[1], folded[2]]))
    found = _Mixed.apply(*(x.to(bias.dtype) for x in given))  # type: ignore[no-untyped-call]
    kind = product_dtype(a)
    c, q, k, v, out = (x.to(kind) for x in found)
    return c, q, k, v, out


def plain_gated(
    h: Tensor,
    z: Tensor,
    norm: Tensor,
    weight: Tensor,
    eps: float,
    gate: Activation,
    skip: Tensor | None,
    c: Tensor | None,
) -> Tensor:
    """`gated` as it is written."""
    return F.linear(norm_gate(h, z, gate, eps, norm, skip, c), weight)


def gated(
    h: Tensor,
    z: Tensor,
    norm: Tensor,
    weight: Tensor,
    eps: float,
    gate: Activation,
    skip: Tensor | None = None,
    c: Tensor | None = None,
) -> Tensor:
    """((LN(h) * norm + skip * c) * gate(z)) W^T, the layer norm of each head by itself.

    Args:
        h: (B, L, H, E/H).
        z: (B, L, E).
        norm: (E,).
        weight: (D, E).
        eps: of the norm.
        gate: "sigmoid" or "silu".
        skip: (E,), with c; or neither.
        c: (B, L, E).

    Returns:
        (B, L, D).
    """
    if h.shape[1] == 1 or not elementwise.usable(norm):
        return plain_gated(h, z, norm, weight, eps, gate, skip, c)
    kind, wide = product_dtype(h), norm.dtype
    factors: Tensor | None = norm
    if skip is None:
        # The factors of the norm are then factors of the columns of W, which are fewer than the rows of h.
        weight, factors = weight * norm, None
    given = (None if x is None else x.to(wide) for x in (h, z, factors, skip, c))
    out: Tensor = _Gated.apply(*given, weight.to(kind), eps, gate == "silu")  # type: ignore[no-untyped-call]
    return out


class _FanOut(torch.autograd.Function):
    @staticmethod
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator, unused-ignore]
    def forward(ctx: Any, x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        rows = x.reshape(-1, x.shape[-1])
        ctx.save_for_backward(rows, *weights)
        ctx.set_materialize_grads(False)
        return tuple((rows @ weight.t()).view(*x.shape[:-1], -1) for weight in weights)

    @staticmethod
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        rows, *weights = ctx.saved_tensors
        slopes: list[Tensor | None] = []
        dx, shape = None, rows.shape
        for grad, weight in zip(grads, weights, strict=True):
            if grad is None:
                slopes.append(None)
                continue
            shape = (*grad.shape[:-1], rows.shape[1])
            grad = grad.reshape(len(rows), -1)
            slopes.append(grad.t() @ rows)
            dx = grad @ weight if dx is None else dx.addmm_(grad, weight)
        return (None if dx is None else dx.view(shape), *slopes)


def _pieces(batch: int, length: int) -> Iterator[tuple[slice, slice]]:
    """Rows and steps of about ROWS at a time: whole sequences, or steps of one."""
    if length <= ROWS:
        many = max(1, ROWS // length)
        yield from ((slice(b, b + many), slice(0, length)) for b in range(0, batch, many))
        return
    for b in range(batch):
        yield from ((slice(b, b + 1), slice(t, min(t + ROWS, length))) for t in range(0, length, ROWS))


class _Mixed(torch.autograd.Function):
    """`maps (3, g, E)` rows of the matrices of queries, keys and values; `folded (2, 2 H, E)` gates of c and of a."""

    @staticmethod
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator, unused-ignore]
    def forward(
        ctx: Any, a: Tensor, before: Tensor, taps: Tensor, bias: Tensor, maps: Tensor, folded: Tensor
    ) -> tuple[Tensor, ...]:
        a, before, taps, bias, maps = (x.contiguous() for x in (a, before, taps, bias, maps))
        found = tuple(torch.empty_like(a) for _ in range(4))
        for out in found:
            native.large_pages(out)
        gates = a.new_empty(*a.shape[:2], folded.shape[1])
        for rows, steps in _pieces(*a.shape[:2]):
            some = tuple(x[rows] for x in found)
            cpu.convolved_maps(steps, a[rows], before[rows], taps, bias, maps, some)
            now_c, now_a = some[0][:, steps].flatten(0, 1), a[rows, steps].flatten(0, 1)
            out = gates[rows, steps].view(len(now_c), -1)
            torch.mm(now_c, folded[0].t(), out=out)
            out.addmm_(now_a, folded[1].t())
        ctx.save_for_backward(a, before, taps, bias, maps, folded, found[0])
        return *found, gates

    @staticmethod
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, dc: Tensor, dq: Tensor, dk: Tensor, dv: Tensor, dgates: Tensor) -> tuple[Tensor, ...]:
        a, before, taps, bias, maps, folded, c = ctx.saved_tensors
        turned = maps.unflatten(2, (-1, cpu.GROUP)).transpose(1, 3).flatten(2).contiguous()
        grads, dgates = [x.contiguous() for x in (dc, dq, dk, dv)], dgates.contiguous()
        da, d_before = torch.empty_like(a), torch.empty_like(before)
        d_taps, d_bias, d_maps, d_folded = (torch.zeros_like(x) for x in (taps, bias, maps, folded))
        late = before
        for rows, steps in reversed(list(_pieces(*a.shape[:2]))):
            if steps.stop == a.shape[1]:
                late = torch.zeros_like(before[rows])
            now_c, now_a, now_g, out = (x[rows, steps].flatten(0, 1) for x in (c, a, dgates, da))
            torch.mm(now_g, folded[1], out=out)
            back = now_g @ folded[0]
            d_folded[0].addmm_(now_g.t(), now_c)
            d_folded[1].addmm_(now_g.t(), now_a)
            given = a[rows], before[rows], taps, bias, turned, c[rows]
            into = da[rows], d_before[rows], d_taps, d_bias, d_maps
            cpu.convolved_maps_back(steps, given, tuple(x[rows] for x in grads), back, late, into)
        return da, d_before, d_taps, d_bias, d_maps, d_folded


class _Gated(torch.autograd.Function):
    """`norm`, `skip` and `c` together or none of them. The product alone may be in half precision."""

    @staticmethod
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator, unused-ignore]
    def forward(
        ctx: Any,
        h: Tensor,
        z: Tensor,
        norm: Tensor | None,
        skip: Tensor | None,
        c: Tensor | None,
        weight: Tensor,
        eps: float,
        silu: bool,
    ) -> Tensor:
        shape = z.shape
        h, z = h.contiguous().flatten(0, 1), z.contiguous().flatten(0, 1)
        norm, skip, c = (None if x is None else x.contiguous() for x in (norm, skip, c))
        c = None if c is None else c.flatten(0, 1)
        out = weight.new_empty(len(z), len(weight))
        for part in _parts(len(z)):
            y = torch.empty_like(z[part])
            cpu.norm_gate(h[part], z[part], silu, eps, norm, skip, None if c is None else c[part], y)
            torch.mm(y.to(weight.dtype), weight.t(), out=out[part])
        ctx.save_for_backward(h, z, norm, skip, c, weight)
        ctx.eps, ctx.silu = eps, silu
        return out.view(*shape[:-1], -1)

    @staticmethod
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        h, z, norm, skip, c, weight = ctx.saved_tensors
        shape = grad.shape[:-1]
        grad = grad.reshape(len(z), -1)
        dh, dz = torch.empty_like(h), torch.empty_like(z)
        dc = None if c is None else torch.empty_like(c)
        d_norm, d_skip = (None if x is None else torch.zeros_like(x) for x in (norm, skip))
        d_weight = torch.zeros_like(weight)
        for part in _parts(len(z)):
            y = torch.mm(grad[part], weight).to(z.dtype)
            some, d_some = (None if x is None else x[part] for x in (c, dc))
            into = dh[part], dz[part], d_some, d_norm, d_skip
            cpu.norm_gate_back(h[part], z[part], ctx.silu, ctx.eps, norm, skip, some, y, into)
            d_weight.addmm_(grad[part].t(), y.to(weight.dtype))
        dc = None if dc is None else dc.view(*shape, -1)
        return dh.view(*shape, *h.shape[1:]), dz.view(*shape, -1), d_norm, d_skip, dc, d_weight, None, None


def _parts(rows: int) -> Iterator[slice]:
    return (slice(start, start + ROWS) for start in range(0, rows, ROWS))
