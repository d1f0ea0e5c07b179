"""What stands before and behind the memory of an xLSTM block, computed a few rows at a time on a CPU.

Most of the time of these maps, written one by one, goes into moving what stands between them through memory. Here it
stays in the cache, and is computed again on the way back. Each function has its plain form beside it, which runs on
every other device; both are equal to rounding.

B batch, L length, N = B L rows, D width, E inner width, H heads, G groups of g channels, K steps of a convolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
import torch.nn.functional as F
from seqsci_kernels import native
from torch import Tensor

from seqsci.nn.precision import product_dtype

ROWS = 256
"""Rows at a time."""
TILE = 64
"""Channels of a dense matrix that stands for the groups which fit into it: products of 4 x 4 are too small."""

Activation = Literal["sigmoid", "silu"]


def fan_out(x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
    """x W_i^T for each W_i (D_i, D) of x (B, L, D), each in memory of its own."""
    if not _fast(x):
        return tuple(F.linear(x, weight) for weight in weights)
    kind = product_dtype(x)
    return _FanOut.apply(x.to(kind), *(w.to(kind) for w in weights))  # type: ignore[no-untyped-call]


def plain_mixed(
    a: Tensor, before: Tensor, taps: Tensor, bias: Tensor, qkv: Tensor, gates: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """`mixed` as it is written."""
    length = a.shape[1]
    padded = torch.cat([before.to(a.dtype), a], 1)
    c = bias
    for j, tap in enumerate(taps):
        c = torch.addcmul(c, padded[:, j : j + length], tap)
    c = F.silu(c)
    groups = qkv.shape[1]
    q, k, v = (
        torch.einsum("blgi,gio->blgo", x.view(*x.shape[:2], groups, -1), weight).flatten(2)
        for x, weight in zip((c, c, a), qkv, strict=True)
    )
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
    if not _fast(a) or a.shape[1] == 1 or a.shape[-1] % TILE:
        return plain_mixed(a, before, taps, bias, qkv, gates)
    kind = product_dtype(a)
    # (W_g W_q) c for W_g (W_q c), so that queries and keys need not be read again.
    parts = gates.view(len(gates), 3, qkv.shape[1], -1)
    folded = torch.einsum("xgio,nxgo->xngi", qkv, parts).flatten(2)
    given = (a, before, taps, bias, _tiles(qkv), torch.stack([folded[0] + folded[1], folded[2]]))
    return _Mixed.apply(*(x.to(kind) for x in given))  # type: ignore[no-untyped-call]


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
    y = F.layer_norm(h, h.shape[-1:], None, None, eps).flatten(2) * norm
    if skip is not None and c is not None:
        y = y + skip * c
    return F.linear(y * (torch.sigmoid(z) if gate == "sigmoid" else F.silu(z)), weight)


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
    if not _fast(h) or h.shape[1] == 1:
        return plain_gated(h, z, norm, weight, eps, gate, skip, c)
    kind = product_dtype(h)
    if skip is None:
        # The factors of the norm are then factors of the columns of W, which are fewer than the rows of h.
        weight, norm_ = weight * norm, None
    else:
        norm_ = norm
    given = (None if x is None else x.to(kind) for x in (h, z, norm_, weight, skip, c))
    out: Tensor = _Gated.apply(*given, eps, gate == "silu")  # type: ignore[no-untyped-call]
    return out


def _fast(x: Tensor) -> bool:
    return x.device.type == "cpu"


def _tiles(qkv: Tensor) -> Tensor:
    """(3, G, g, g) -> (3, E/TILE, TILE, TILE), the groups along the diagonals."""
    groups, size = qkv.shape[1:3]
    many = TILE // size
    blocks = qkv.view(3, groups // many, many, size, size).permute(0, 1, 3, 4, 2)
    return torch.diag_embed(blocks).permute(0, 1, 4, 2, 5, 3).reshape(3, -1, TILE, TILE)


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


def _window(a: Tensor, before: Tensor, rows: slice, steps: slice) -> Tensor:
    """(b, K-1 + l, E): some steps and those before them."""
    halo = before.shape[1]
    if steps.start >= halo:
        return a[rows, steps.start - halo : steps.stop]
    return torch.cat([before[rows, steps.start :], a[rows, : steps.stop]], 1)


def _convolved(window: Tensor, taps: Tensor, bias: Tensor, out: Tensor) -> Tensor:
    """Into out (b, l, E)."""
    length = out.shape[1]
    torch.addcmul(bias, window[:, :length], taps[0], out=out)
    for j in range(1, len(taps)):
        out.addcmul_(window[:, j : j + length], taps[j])
    return out


def _convolve_back(grad: Tensor, late: Tensor, taps: Tensor, out: Tensor) -> None:
    """Adds to out (b, l, E) what steps of `grad`, which begins with them, and of `late` behind it have read there."""
    length = out.shape[1]
    for ahead, tap in enumerate(reversed(taps.unbind())):
        within = max(0, min(length, grad.shape[1] - ahead))
        out[:, :within].addcmul_(grad[:, ahead : ahead + within], tap)
        first = max(0, ahead - grad.shape[1])
        rest = late[:, first : first + length - within]
        out[:, within : within + rest.shape[1]].addcmul_(rest, tap)


class _Mixed(torch.autograd.Function):
    """`tiles (3, T, TILE, TILE)` of queries, keys and values; `folded (2, 2 H, E)` the gates' maps of c and of a."""

    @staticmethod
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator, unused-ignore]
    def forward(
        ctx: Any, a: Tensor, before: Tensor, taps: Tensor, bias: Tensor, tiles: Tensor, folded: Tensor
    ) -> tuple[Tensor, ...]:
        batch, length, _ = a.shape
        a = a.contiguous()
        c, q, k, v = (torch.empty_like(a) for _ in range(4))
        for out in (c, q, k, v):
            native.large_pages(out)
        gates = a.new_empty(batch, length, folded.shape[1])
        for rows, steps in _pieces(batch, length):
            window = _window(a, before, rows, steps)
            now = F.silu(_convolved(window, taps, bias, c[rows, steps]), inplace=True)
            now_c, now_a = now.flatten(0, 1), a[rows, steps].flatten(0, 1)
            for out, source, matrices in zip((q, k, v), (now_c, now_c, now_a), tiles, strict=True):
                _by_tiles(source, matrices, out[rows, steps].view(source.shape))
            out = gates[rows, steps].view(len(now_c), -1)
            torch.mm(now_c, folded[0].t(), out=out)
            out.addmm_(now_a, folded[1].t())
        ctx.save_for_backward(a, before, taps, bias, tiles, folded, c)
        return c, q, k, v, gates

    @staticmethod
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, dc: Tensor, dq: Tensor, dk: Tensor, dv: Tensor, dgates: Tensor) -> tuple[Tensor, ...]:
        a, before, taps, bias, tiles, folded, c = ctx.saved_tensors
        grads = [x.contiguous() for x in (dq, dk, dv, dgates)]
        da, d_before = torch.empty_like(a), torch.zeros_like(before)
        d_taps, d_bias = torch.zeros_like(taps), torch.zeros_like(bias)
        d_tiles, d_folded = torch.zeros_like(tiles), torch.zeros_like(folded)
        late = before[:0]
        for rows, steps in reversed(list(_pieces(*a.shape[:2]))):
            length = steps.stop - steps.start
            window = _window(a, before, rows, steps)
            now_c, now_a = c[rows, steps].flatten(0, 1), a[rows, steps].flatten(0, 1)
            now_q, now_k, now_v, now_g = (x[rows, steps].view(len(now_c), -1) for x in grads)
            back_c = torch.addmm(dc[rows, steps].flatten(0, 1), now_g, folded[0])
            back_a = torch.mm(now_g, folded[1], out=da[rows, steps].view(now_a.shape))
            for grad, matrices, source, back, slope in zip(
                (now_q, now_k, now_v), tiles, (now_c, now_c, now_a), (back_c, back_c, back_a), d_tiles, strict=True
            ):
                _back_by_tiles(grad, matrices, source, back, slope)
            d_folded[0].addmm_(now_g.t(), now_c)
            d_folded[1].addmm_(now_g.t(), now_a)
            spare = torch.empty_like(back_c).view(-1, length, a.shape[-1])
            back_c = back_c.view(spare.shape)
            torch.ops.aten.silu_backward.grad_input(back_c, _convolved(window, taps, bias, spare), grad_input=back_c)
            d_bias += back_c.sum((0, 1))
            for j, d_tap in enumerate(d_taps):
                d_tap += torch.mul(back_c, window[:, j : j + length], out=spare).sum((0, 1))
            if steps.stop == a.shape[1]:
                late = back_c[:, :0]
            _convolve_back(back_c, late, taps, da[rows, steps])
            late = back_c[:, : len(taps) - 1]
            if steps.start == 0:
                # The steps before stand as many places in front of the first as there are of them.
                nothing = back_c.new_zeros(len(late), before.shape[1], a.shape[-1])
                _convolve_back(nothing, late, taps, d_before[rows])
        return da, d_before, d_taps, d_bias, d_tiles, d_folded


def _by_tiles(x: Tensor, matrices: Tensor, out: Tensor) -> None:
    for some, matrix, target in zip(torch.split(x, TILE, 1), matrices, torch.split(out, TILE, 1), strict=True):
        torch.mm(some, matrix, out=target)


def _back_by_tiles(grad: Tensor, matrices: Tensor, x: Tensor, back: Tensor, slope: Tensor) -> None:
    parts = zip(*(torch.split(y, TILE, 1) for y in (grad, x, back)), matrices, slope, strict=True)
    for some, source, target, matrix, d_matrix in parts:
        target.addmm_(some, matrix.t())
        d_matrix.addmm_(source.t(), some)


class _Gated(torch.autograd.Function):
    """`norm`, `skip` and `c` together or none of them."""

    @staticmethod
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator, unused-ignore]
    def forward(
        ctx: Any,
        h: Tensor,
        z: Tensor,
        norm: Tensor | None,
        weight: Tensor,
        skip: Tensor | None,
        c: Tensor | None,
        eps: float,
        silu: bool,
    ) -> Tensor:
        shape = z.shape
        h, z = h.contiguous().flatten(0, 1), z.reshape(-1, shape[-1])
        c = None if c is None else c.reshape(z.shape)
        out = z.new_empty(len(z), len(weight))
        for part in _parts(len(z)):
            y = torch.native_layer_norm(h[part], h.shape[-1:], None, None, eps)[0].flatten(1)
            if norm is not None and skip is not None and c is not None:
                y.mul_(norm).addcmul_(c[part], skip)
            y.mul_(F.silu(z[part]) if silu else torch.sigmoid(z[part]))
            torch.mm(y, weight.t(), out=out[part])
        ctx.save_for_backward(h, z, norm, weight, skip, c)
        ctx.eps, ctx.silu = eps, silu
        return out.view(*shape[:-1], -1)

    @staticmethod
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        h, z, norm, weight, skip, c = ctx.saved_tensors
        shape = grad.shape[:-1]
        grad = grad.reshape(len(z), -1)
        dh, dz = torch.empty_like(h), torch.empty_like(z)
        d_norm, d_skip, dc = (None if x is None else torch.zeros_like(x) for x in (norm, skip, c))
        d_weight = torch.zeros_like(weight)
        for part in _parts(len(z)):
            unit, mean, scale = torch.native_layer_norm(h[part], h.shape[-1:], None, None, ctx.eps)
            y = unit.flatten(1)
            if norm is not None:
                y = (y * norm).addcmul_(c[part], skip)
            gate = F.silu(z[part]) if ctx.silu else torch.sigmoid(z[part])
            back = torch.mm(grad[part], weight)
            spare = y * gate
            d_weight.addmm_(grad[part].t(), spare)
            torch.mul(y, back, out=spare)
            if ctx.silu:
                torch.ops.aten.silu_backward.grad_input(spare, z[part], grad_input=dz[part])
            else:
                torch.ops.aten.sigmoid_backward.grad_input(spare, gate, grad_input=dz[part])
            back.mul_(gate)
            if d_norm is not None and d_skip is not None and dc is not None:
                torch.mul(back, skip, out=dc[part])
                d_skip += torch.mul(back, c[part], out=spare).sum(0)
                d_norm += torch.mul(back, unit.flatten(1), out=spare).sum(0)
                back.mul_(norm)
            back = back.view(unit.shape)
            dh[part], *_ = torch.ops.aten.native_layer_norm_backward(
                back, h[part], h.shape[-1:], mean, scale, None, None, [True, False, False]
            )
        dc = None if dc is None else dc.view(*shape, -1)
        return dh.view(*shape, *h.shape[1:]), dz.view(*shape, -1), d_norm, d_weight, d_skip, dc, None, None


def _parts(rows: int) -> Iterator[slice]:
    return (slice(start, start + ROWS) for start in range(0, rows, ROWS))
