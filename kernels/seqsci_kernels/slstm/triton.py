"""The sLSTM recurrence on a GPU: one program walks through all steps of some rows of one head.

The state stays in registers; the recurrent weights are read anew at each step and come from the nearest cache.
With y = c / n and s = m + ln n a step is a = sigmoid(i - logsigmoid(f) - s), y = (1 - a) y + a tanh(z),
s = logaddexp(i, logsigmoid(f) + s), h = sigmoid(o) y: see cpu.cpp.

Lengths, batch and strides are run-time numbers: one compiled kernel for each head width, type and pair of flags.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from seqsci_kernels.gpu import on_device_of
from seqsci_kernels.slstm.operator import SAVED, differentiable, like_gates, wide

ROWS = 16
"""Rows of a program: the least that a matrix product on the device takes."""
EMPTY = -1e30
"""log_norm of an empty state in the kernels: finite, so that no difference is NaN."""
RUN_TIME = ["batch", "steps", "heads", "ahead", "row", "step", "head"]


@triton.jit
def _log_one_plus_exp_minus(x):
    """ln(1 + e^-x) for x >= 0."""
    return tl.log(1.0 + tl.exp(-x))


@triton.jit
def _tanh(x):
    e = tl.exp(-2.0 * tl.abs(x))
    t = (1.0 - e) / (1.0 + e)
    return tl.where(x < 0, -t, t)


@triton.jit
def _share(i, f, s):
    """a, 1 - a, the next s, and the slope of logsigmoid(f)."""
    e = tl.exp(-tl.abs(f))
    slope = tl.where(f < 0, 1.0, e) / (1.0 + e)
    old = tl.minimum(f, 0.0) - _log_one_plus_exp_minus(tl.abs(f)) + s
    u = i - old
    w = tl.exp(-tl.abs(u))
    larger = 1.0 / (1.0 + w)
    smaller = w * larger
    share = tl.where(u < 0, smaller, larger)
    remain = tl.where(u < 0, larger, smaller)
    return share, remain, tl.maximum(i, old) + _log_one_plus_exp_minus(tl.abs(u)), slope


@triton.jit
def _mix(i, f, z, o, x, matrix, c, WIDTH: tl.constexpr, BLOCK: tl.constexpr, CHUNK: tl.constexpr):
    """The gates plus x times rows c, c + 1, ... of R, (rows, CHUNK) times (CHUNK, BLOCK)."""
    n = c + tl.arange(0, CHUNK)
    d = tl.arange(0, BLOCK)
    inside = (n < WIDTH)[:, None] & (d < WIDTH)[None, :]
    part = matrix + n[:, None] * 4 * WIDTH + d[None, :]
    i = tl.dot(x, tl.load(part, mask=inside, other=0.0), i, input_precision="tf32x3")
    f = tl.dot(x, tl.load(part + WIDTH, mask=inside, other=0.0), f, input_precision="tf32x3")
    z = tl.dot(x, tl.load(part + 2 * WIDTH, mask=inside, other=0.0), z, input_precision="tf32x3")
    o = tl.dot(x, tl.load(part + 3 * WIDTH, mask=inside, other=0.0), o, input_precision="tf32x3")
    return i, f, z, o


@triton.jit
def _mix_back(dh, g, matrix, c, LAST: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, CHUNK: tl.constexpr):
    """dh plus the gates' gradients g times columns c, c + 1, ... before LAST of R, turned."""
    n = c + tl.arange(0, CHUNK)
    d = tl.arange(0, BLOCK)
    inside = (d < WIDTH)[:, None] & (n < LAST)[None, :]
    part = tl.load(matrix + d[:, None] * 4 * WIDTH + n[None, :], mask=inside, other=0.0)
    return tl.dot(g.to(part.dtype), tl.trans(part), dh, input_precision="tf32x3")


@triton.jit
def _fresh(reset, r, t, batch, steps, reverse):
    """Whether the state of the rows is empty before step t; see `reference.fresh_heads`."""
    t = tl.where(reverse, t + 1, t) + 0 * r
    return tl.load(reset + r * steps + t, mask=(r < batch) & (t < steps), other=0) != 0


@triton.jit(do_not_specialize=RUN_TIME)
def slstm_forward(
    gates,
    recurrent,
    bias,
    initial,
    reset,
    out,
    kept,
    final,
    batch: tl.int64,
    steps: tl.int64,
    heads: tl.int64,
    ahead: tl.int64,
    row: tl.int64,
    step: tl.int64,
    head: tl.int64,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
    ROWS: tl.constexpr,
    SAVED: tl.constexpr,
    RESET: tl.constexpr,
    KEEP: tl.constexpr,
):
    """Strides `row`, `step`, `head` of the gates (B, T, H, 4, D) count D numbers; all else is contiguous."""
    r = tl.program_id(0) * ROWS + tl.arange(0, ROWS).to(tl.int64)
    h = tl.program_id(1).to(tl.int64)
    reverse = h >= ahead
    d = tl.arange(0, BLOCK)
    real = (r < batch)[:, None] & (d < WIDTH)[None, :]
    state = (r[:, None] * heads + h) * WIDTH + d[None, :]
    size = batch * heads * WIDTH
    hidden = tl.load(initial + state, mask=real, other=0.0)
    cell = tl.load(initial + size + state, mask=real, other=0.0)
    log_norm = tl.load(initial + 2 * size + state, mask=real, other=0.0)
    matrix = recurrent + h * 4 * WIDTH * WIDTH
    shift = bias + h * 4 * WIDTH + d
    bi = tl.load(shift, mask=d < WIDTH, other=0.0).to(tl.float32)
    bf = tl.load(shift + WIDTH, mask=d < WIDTH, other=0.0).to(tl.float32)
    bz = tl.load(shift + 2 * WIDTH, mask=d < WIDTH, other=0.0).to(tl.float32)
    bo = tl.load(shift + 3 * WIDTH, mask=d < WIDTH, other=0.0).to(tl.float32)
    for k in range(0, steps):
        t = tl.where(reverse, steps - 1 - k, k)
        if RESET:
            fresh = _fresh(reset, r, t, batch, steps, reverse)[:, None]
            hidden = tl.where(fresh, 0.0, hidden)
            cell = tl.where(fresh, 0.0, cell)
            log_norm = tl.where(fresh, -1e30, log_norm)
        at = gates + (r[:, None] * row + t * step + h * head) * WIDTH + d[None, :]
        i = tl.load(at, mask=real, other=0.0).to(tl.float32) + bi[None, :]
        f = tl.load(at + WIDTH, mask=real, other=0.0).to(tl.float32) + bf[None, :]
        z = tl.load(at + 2 * WIDTH, mask=real, other=0.0).to(tl.float32) + bz[None, :]
        o = tl.load(at + 3 * WIDTH, mask=real, other=0.0).to(tl.float32) + bo[None, :]
        if CHUNK == BLOCK:
            x = hidden.to(recurrent.dtype.element_ty)
            i, f, z, o = _mix(i, f, z, o, x, matrix, 0, WIDTH, BLOCK, CHUNK)
        else:
            # Registers cannot be cut into columns; memory can. `final` is free until the end.
            tl.store(final + state, hidden, mask=real)
            tl.debug_barrier()
            for c in range(0, WIDTH, CHUNK):
                n = c + tl.arange(0, CHUNK)
                x = final + (r[:, None] * heads + h) * WIDTH + n[None, :]
                x = tl.load(x, mask=(r < batch)[:, None] & (n < WIDTH)[None, :], other=0.0)
                i, f, z, o = _mix(i, f, z, o, x.to(recurrent.dtype.element_ty), matrix, c, WIDTH, BLOCK, CHUNK)
            tl.debug_barrier()
        share, remain, log_norm, slope = _share(i, f, log_norm)
        value = _tanh(z)
        output = tl.sigmoid(o)
        cell = remain * cell + share * value
        hidden = output * cell
        tl.store(out + ((r[:, None] * steps + t) * heads + h) * WIDTH + d[None, :], hidden, mask=real)
        if KEEP:
            keep = kept + ((h * steps + t) * SAVED * batch + r[:, None]) * WIDTH + d[None, :]
            # a, or a - 1 where a is larger than 1/2: neither a nor 1 - a loses its small digits.
            tl.store(keep, tl.where(share > remain, -remain, share), mask=real)
            tl.store(keep + batch * WIDTH, value, mask=real)
            tl.store(keep + 2 * batch * WIDTH, output, mask=real)
            tl.store(keep + 3 * batch * WIDTH, slope, mask=real)
            tl.store(keep + 4 * batch * WIDTH, cell, mask=real)
    tl.store(final + state, hidden, mask=real)
    tl.store(final + size + state, cell, mask=real)
    tl.store(final + 2 * size + state, log_norm, mask=real)


@triton.jit(do_not_specialize=RUN_TIME)
def slstm_backward(
    grad,
    final_grad,
    recurrent,
    initial,
    reset,
    kept,
    gates_grad,
    initial_grad,
    batch: tl.int64,
    steps: tl.int64,
    heads: tl.int64,
    ahead: tl.int64,
    row: tl.int64,
    step: tl.int64,
    head: tl.int64,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
    ROWS: tl.constexpr,
    SAVED: tl.constexpr,
    RESET: tl.constexpr,
):
    """Strides `row`, `step`, `head` of the gates' gradient count D numbers; all else is contiguous."""
    r = tl.program_id(0) * ROWS + tl.arange(0, ROWS).to(tl.int64)
    h = tl.program_id(1).to(tl.int64)
    reverse = h >= ahead
    d = tl.arange(0, BLOCK)
    real = (r < batch)[:, None] & (d < WIDTH)[None, :]
    state = (r[:, None] * heads + h) * WIDTH + d[None, :]
    size = batch * heads * WIDTH
    dh = tl.load(final_grad + state, mask=real, other=0.0)
    dy = tl.load(final_grad + size + state, mask=real, other=0.0)
    ds = tl.load(final_grad + 2 * size + state, mask=real, other=0.0)
    first = tl.load(initial + size + state, mask=real, other=0.0)
    matrix = recurrent + h * 4 * WIDTH * WIDTH
    for done in range(0, steps):
        k = steps - 1 - done
        t = tl.where(reverse, done, k)
        # Before the first step there is none: any memory of ours will do.
        before = tl.where(k > 0, tl.where(reverse, t + 1, t - 1), t)
        dh += tl.load(grad + ((r[:, None] * steps + t) * heads + h) * WIDTH + d[None, :], mask=real, other=0.0)
        keep = kept + ((h * steps + t) * SAVED * batch + r[:, None]) * WIDTH + d[None, :]
        mixed = tl.load(keep, mask=real, other=0.0)
        value = tl.load(keep + batch * WIDTH, mask=real, other=0.0)
        output = tl.load(keep + 2 * batch * WIDTH, mask=real, other=0.0)
        slope = tl.load(keep + 3 * batch * WIDTH, mask=real, other=0.0)
        cell = tl.load(keep + 4 * batch * WIDTH, mask=real, other=0.0)
        past = kept + (((h * steps + before) * SAVED + 4) * batch + r[:, None]) * WIDTH + d[None, :]
        past = tl.where(k > 0, tl.load(past, mask=real, other=0.0), first)
        if RESET:
            fresh = _fresh(reset, r, t, batch, steps, reverse)[:, None]
            past = tl.where(fresh, 0.0, past)
        flipped = mixed.to(tl.int32, bitcast=True) < 0
        share = tl.where(flipped, 1.0 + mixed, mixed)
        remain = tl.where(flipped, -mixed, 1.0 - mixed)
        g = dy + dh * output
        du = g * (value - past) * share * remain
        old = ds * remain - du
        di = ds * share + du
        df = old * slope
        dz = g * share * (1.0 - value * value)
        do = dh * cell * output * (1.0 - output)
        at = gates_grad + (r[:, None] * row + t * step + h * head) * WIDTH + d[None, :]
        tl.store(at, di, mask=real)
        tl.store(at + WIDTH, df, mask=real)
        tl.store(at + 2 * WIDTH, dz, mask=real)
        tl.store(at + 3 * WIDTH, do, mask=real)
        dh = tl.zeros((ROWS, BLOCK), tl.float32)
        if CHUNK == BLOCK:
            dh = _mix_back(dh, di, matrix, 0, WIDTH, WIDTH, BLOCK, CHUNK)
            dh = _mix_back(dh, df, matrix, WIDTH, 2 * WIDTH, WIDTH, BLOCK, CHUNK)
            dh = _mix_back(dh, dz, matrix, 2 * WIDTH, 3 * WIDTH, WIDTH, BLOCK, CHUNK)
            dh = _mix_back(dh, do, matrix, 3 * WIDTH, 4 * WIDTH, WIDTH, BLOCK, CHUNK)
        else:
            tl.debug_barrier()
            for c in range(0, 4 * WIDTH, CHUNK):
                n = c + tl.arange(0, CHUNK)
                x = gates_grad + (r[:, None] * row + t * step + h * head) * WIDTH + n[None, :]
                x = tl.load(x, mask=(r < batch)[:, None] & (n < 4 * WIDTH)[None, :], other=0.0)
                dh = _mix_back(dh, x, matrix, c, 4 * WIDTH, WIDTH, BLOCK, CHUNK)
        dy = g * remain
        ds = old
        if RESET:
            dh = tl.where(fresh, 0.0, dh)
            dy = tl.where(fresh, 0.0, dy)
            ds = tl.where(fresh, 0.0, ds)
    tl.store(initial_grad + state, dh, mask=real)
    tl.store(initial_grad + size + state, dy, mask=real)
    tl.store(initial_grad + 2 * size + state, ds, mask=real)


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
    initial = torch.stack([hidden, cell, log_norm.clamp(min=EMPTY)])
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
    if gates.stride()[3:] != (width, 1) or any(n % width for n in gates.stride()[:3]):
        gates = gates.contiguous()
    initial = initial.contiguous()
    out = gates.new_empty(batch, steps, heads, width)
    kept = initial.new_empty(heads, steps, SAVED, batch, width) if keep else initial.new_empty(0)
    final = torch.empty_like(initial)
    with on_device_of(gates):
        slstm_forward[(triton.cdiv(batch, ROWS), heads)](
            gates,
            recurrent.contiguous(),
            bias.contiguous(),
            initial,
            _bytes(reset, initial),
            out,
            kept if keep else final,
            final,
            *(batch, steps, heads, heads - backward_heads),
            *(n // width for n in gates.stride()[:3]),
            **_constants(recurrent, reset),
            KEEP=keep,
        )
    return out, kept, final


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
    initial = initial.contiguous()
    gates_grad = like_gates(grad.to(wide(grad.dtype)), width, heads_first)
    initial_grad = torch.empty_like(initial)
    with on_device_of(grad):
        slstm_backward[(triton.cdiv(batch, ROWS), heads)](
            grad.to(kept.dtype).contiguous(),
            final_grad.contiguous(),
            recurrent.contiguous(),
            initial,
            _bytes(reset, initial),
            kept,
            gates_grad,
            initial_grad,
            *(batch, steps, heads, heads - backward_heads),
            *(n // width for n in gates_grad.stride()[:3]),
            **_constants(recurrent, reset),
        )
    rows = gates_grad.permute(2, 1, 0, 3, 4).reshape(heads, steps * batch, 4 * width)
    before = _hidden_before(kept, initial[0], reset, backward_heads).reshape(heads, steps * batch, width)
    matrix_grad = (before.transpose(1, 2) @ rows).view(heads, width, 4, width)
    bias_grad = rows.sum(1).view(heads, 4, width)
    return (
        gates_grad.to(grad.dtype),
        matrix_grad.to(recurrent.dtype),
        bias_grad.to(recurrent.dtype),
        initial_grad,
    )


_operator = differentiable("triton", _forward, _backward)


def _hidden_before(kept: Tensor, first: Tensor, reset: Tensor | None, backward_heads: int) -> Tensor:
    """(H, T, B, D) what the recurrent weights read at each step."""
    hidden = kept[:, :, 2] * kept[:, :, 4]
    first = first.transpose(0, 1).unsqueeze(1)
    ahead = len(hidden) - backward_heads
    before = torch.cat([first[:ahead], hidden[:ahead, :-1]], 1)
    after = torch.cat([hidden[ahead:, 1:], first[ahead:]], 1)
    if reset is not None:
        before = before.masked_fill(reset.t()[None, :, :, None], 0)
        after = after.masked_fill(F.pad(reset[:, 1:], (0, 1)).t()[None, :, :, None], 0)
    return torch.cat([before, after])


def _bytes(reset: Tensor | None, stand_in: Tensor) -> Tensor:
    """The reset mask as the kernel reads it; without one, memory that it never reads."""
    return stand_in if reset is None else reset.contiguous().view(torch.uint8)


def _constants(recurrent: Tensor, reset: Tensor | None) -> dict[str, int | bool]:
    width, each = recurrent.shape[1], recurrent.element_size()
    block = max(16, triton.next_power_of_2(width))
    return {
        "WIDTH": width,
        "BLOCK": block,
        # How much of R is in registers at a time; see tests/kernels/ahead_of_time.py.
        "CHUNK": 16 if block * each * each >= 1024 else block,
        "ROWS": ROWS,
        "SAVED": SAVED,
        "RESET": reset is not None,
        "num_warps": 4 if block < 128 else 8,
        # The steps depend on each other: to fetch ahead would only take shared memory.
        "num_stages": 1,
    }
