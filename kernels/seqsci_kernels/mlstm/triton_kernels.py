# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"
"""The nine kernels of the mLSTM on NVIDIA GPUs; `triton.py` launches them and says how tensors lie in memory.

One kernel runs along the sequence and leaves the state before each chunk, another takes the chunks in parallel; the
backward pass does so again from the end. The notation of gates is that of `cpu.py`.
"""

from __future__ import annotations

import triton
import triton.language as tl

NOTHING = tl.constexpr(-1e6)
"""log i beyond the end of a sequence."""
S_WHOLE, S_REST = tl.constexpr(0), tl.constexpr(1)
U_WHOLE, U_REST = tl.constexpr(2), tl.constexpr(3)
STABILIZER, CARRY, WRITE = tl.constexpr(4), tl.constexpr(5), tl.constexpr(6)
"""Planes of the gates, each `(B, H, S)`: s and u as whole number and rest, m, exp(m before - u), exp(s - last u)."""
PLANES = 7


@triton.jit
def _larger(x, y):
    return tl.maximum(x, y)


@triton.jit
def _place(ACROSS: tl.constexpr, DOWN: tl.constexpr):
    """Which chunk, or sequence and head, and which tile: all on the one axis of the grid without a limit."""
    at = tl.program_id(0)
    return at // (ACROSS * DOWN), at % ACROSS, at // ACROSS % DOWN


@triton.jit
def _sequence(sequences, n):
    """Batch row, first step, length and first chunk of sequence n."""
    return (
        tl.load(sequences + 4 * n).to(tl.int64),
        tl.load(sequences + 4 * n + 1),
        tl.load(sequences + 4 * n + 2),
        tl.load(sequences + 4 * n + 3),
    )


@triton.jit
def _load(x, here, local, cols, WIDTH: tl.constexpr, real):
    """Some columns of the steps of a chunk; `here` and `local` count steps of the layout."""
    return tl.load(x + here * WIDTH + (local[:, None] * WIDTH + cols[None, :]), mask=real[:, None], other=0.0)


@triton.jit
def _store(x, here, local, cols, WIDTH: tl.constexpr, real, value):
    at = x + here * WIDTH + (local[:, None] * WIDTH + cols[None, :])
    tl.store(at, value.to(x.dtype.element_ty), mask=real[:, None])


@triton.jit
def _split_store(plane, whole, at, x, mask):
    """Stores a float64 as the nearest whole number and the rest, both float32."""
    near = tl.floor(x + 0.5)
    tl.store(whole + at, near.to(tl.float32), mask=mask)
    tl.store(whole + plane + at, (x - near).to(tl.float32), mask=mask)


@triton.jit(do_not_specialize=["H", "S", "plane"])
def gates_kernel(log_input, log_forget, m_start, gates, m_end, sequences, H, S, plane: tl.int64, L: tl.constexpr):
    """Gates along one sequence of one head: the planes of `gates`, and m after the last step."""
    n, head = tl.program_id(0) // H, tl.program_id(0) % H
    row, start, length, _ = _sequence(sequences, n)
    base = (row * H + head) * S + start
    lane = tl.arange(0, L)
    m = tl.load(m_start + n * H + head).to(tl.float64)
    for first in range(0, length, L):
        at = base + first + lane
        real = first + lane < length
        b = tl.cumsum(tl.load(log_forget + at, mask=real, other=0.0).to(tl.float64), 0)
        s = tl.load(log_input + at, mask=real, other=NOTHING).to(tl.float64) - b
        u = tl.maximum(tl.associative_scan(s, 0, _larger), m)
        last = tl.sum(tl.where(lane == L - 1, u, 0.0), 0)
        _split_store(plane, gates + S_WHOLE * plane, at, s, real)
        _split_store(plane, gates + U_WHOLE * plane, at, u, real)
        tl.store(gates + STABILIZER * plane + at, (b + u).to(tl.float32), mask=real)
        tl.store(gates + CARRY * plane + at, tl.exp((m - u).to(tl.float32)), mask=real)
        tl.store(gates + WRITE * plane + at, tl.exp((s - last).to(tl.float32)), mask=real)
        m = tl.sum(tl.where(lane == L - 1, b + u, 0.0), 0)
    tl.store(m_end + n * H + head, m.to(tl.float32))


@triton.jit(do_not_specialize=["H", "S", "plane", "head_step", "step"])
def states_kernel(
    k,
    v,
    gates,
    C_start,
    n_start,
    C_states,
    n_states,
    C_end,
    n_end,
    sequences,
    H,
    S,
    plane: tl.int64,
    head_step,
    step,
    K: tl.constexpr,
    V: tl.constexpr,
    L: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """A tile of the state along one sequence of one head: before each chunk, and after the last."""
    number, across, down = _place(V // BV, K // BK)
    n, head = number // H, number % H
    row, start, length, chunk = _sequence(sequences, n)
    base = (row * H + head) * S + start
    token = row * H * S + head.to(tl.int64) * head_step + start.to(tl.int64) * step
    lane = tl.arange(0, L)
    local = lane * step
    rows, cols = down * BK + tl.arange(0, BK), across * BV + tl.arange(0, BV)
    tile = rows[:, None] * V + cols[None, :]
    own = (n * H + head).to(tl.int64)
    C = tl.load(C_start + own * K * V + tile)
    norm = tl.load(n_start + own * K + rows)
    for first in range(0, length, L):
        at = (chunk + first // L).to(tl.int64) * H + head
        tl.store(C_states + at * K * V + tile, C.to(C_states.dtype.element_ty))
        if across == 0:
            tl.store(n_states + at * K + rows, norm)
        real = first + lane < length
        here = token + tl.cast(first, tl.int64) * step
        write = tl.load(gates + WRITE * plane + base + first + lane, mask=real, other=0.0)
        keep = tl.load(gates + CARRY * plane + base + tl.minimum(first + L, length) - 1)
        k_ = _load(k, here, local, rows, K, real).to(tl.float32)
        v_ = _load(v, here, local, cols, V, real).to(OPERAND)
        k_ *= write[:, None]
        norm = norm * keep + tl.sum(k_, 0)
        C = tl.dot(tl.trans(k_.to(OPERAND)), v_, C * keep, input_precision=PRECISION)
    tl.store(C_end + own * K * V + tile, C)
    if across == 0:
        tl.store(n_end + own * K + rows, norm)


@triton.jit
def _reads(gates, plane, base, lane, real):
    """(L, L) weight of the pair written at j for the reader t; 0 for j > t."""
    s = tl.load(gates + S_WHOLE * plane + base + lane, mask=real, other=NOTHING)
    s_rest = tl.load(gates + S_REST * plane + base + lane, mask=real, other=0.0)
    u = tl.load(gates + U_WHOLE * plane + base + lane, mask=real, other=0.0)
    u_rest = tl.load(gates + U_REST * plane + base + lane, mask=real, other=0.0)
    power = (s[None, :] - u[:, None]) + (s_rest[None, :] - u_rest[:, None])
    seen = (lane[None, :] <= lane[:, None]) & real[:, None]
    return tl.exp(tl.where(seen, power, float("-inf")))


@triton.jit
def _divisor(r, m, log_scale, eps, RANGE: tl.constexpr, NORMALIZE: tl.constexpr):
    """What the outputs are divided by, and whether it is |r|; see `cpu.denominators`. eps is already / scale."""
    one = tl.exp(tl.minimum(tl.maximum(-m, -RANGE), RANGE) - log_scale)
    if NORMALIZE:
        return tl.maximum(tl.abs(r), one) + eps, tl.abs(r) >= one
    else:
        return one, one < 0


@triton.jit(do_not_specialize=["H", "S", "plane", "head_step", "step"])
def outputs_kernel(
    q,
    k,
    v,
    gates,
    C_states,
    n_states,
    h,
    r_out,
    sequences,
    chunks,
    log_scale,
    eps,
    H,
    S,
    plane: tl.int64,
    head_step,
    step,
    RANGE: tl.constexpr,
    NORMALIZE: tl.constexpr,
    K: tl.constexpr,
    V: tl.constexpr,
    L: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Some columns of the outputs of one chunk of one head."""
    chunk, across, _ = _place(V // BV, 1)
    head = tl.program_id(1)
    n, first = tl.load(chunks + 2 * chunk), tl.load(chunks + 2 * chunk + 1)
    row, start, length, _ = _sequence(sequences, n)
    lane = tl.arange(0, L)
    local = lane * step
    real = first + lane < length
    base = (row * H + head) * S + start + first
    here = row * H * S + head.to(tl.int64) * head_step + (start + first).to(tl.int64) * step
    cols = across * BV + tl.arange(0, BV)
    at = chunk.to(tl.int64) * H + head
    scores = tl.zeros((L, L), tl.float32)
    out = tl.zeros((L, BV), tl.float32)
    r = tl.zeros((L,), tl.float32)
    for block in range(0, K, BK):
        rows = block + tl.arange(0, BK)
        q_ = _load(q, here, local, rows, K, real).to(OPERAND)
        k_ = _load(k, here, local, rows, K, real).to(OPERAND)
        C = tl.load(C_states + at * K * V + rows[:, None] * V + cols[None, :])
        norm = tl.load(n_states + at * K + rows)
        scores = tl.dot(q_, tl.trans(k_), scores, input_precision=PRECISION)
        out = tl.dot(q_, C, out, input_precision=PRECISION)
        r += tl.sum(q_.to(tl.float32) * norm[None, :], 1)
    carry = tl.load(gates + CARRY * plane + base + lane, mask=real, other=0.0)
    scores *= _reads(gates, plane, base, lane, real)
    r = r * carry + tl.sum(scores, 1)
    v_ = _load(v, here, local, cols, V, real).to(OPERAND)
    out = tl.dot(scores.to(OPERAND), v_, out * carry[:, None], input_precision=PRECISION)
    m = tl.load(gates + STABILIZER * plane + base + lane, mask=real, other=0.0)
    divisor, _ = _divisor(r, m, log_scale, eps, RANGE, NORMALIZE)
    out /= divisor[:, None]
    _store(h, here, local, cols, V, real, out)
    if across == 0:
        tl.store(r_out + base + lane, r, mask=real)


@triton.jit(do_not_specialize=["H", "S", "plane", "head_step", "step"])
def rows_kernel(
    h,
    dh,
    r_in,
    gates,
    inverse,
    dr,
    unit,
    sequences,
    chunks,
    log_scale,
    eps,
    H,
    S,
    plane: tl.int64,
    head_step,
    step,
    RANGE: tl.constexpr,
    NORMALIZE: tl.constexpr,
    V: tl.constexpr,
    L: tl.constexpr,
    BV: tl.constexpr,
):
    """One over what each output was divided by, the gradient of r, and that of m where eps is not 0."""
    chunk, head = tl.program_id(0), tl.program_id(1)
    n, first = tl.load(chunks + 2 * chunk), tl.load(chunks + 2 * chunk + 1)
    row, start, length, _ = _sequence(sequences, n)
    lane = tl.arange(0, L)
    local = lane * step
    real = first + lane < length
    base = (row * H + head) * S + start + first
    here = row * H * S + head.to(tl.int64) * head_step + (start + first).to(tl.int64) * step
    product = tl.zeros((L,), tl.float32)
    for block in range(0, V, BV):
        cols = block + tl.arange(0, BV)
        h_ = _load(h, here, local, cols, V, real).to(tl.float32)
        dh_ = _load(dh, here, local, cols, V, real).to(tl.float32)
        product += tl.sum(h_ * dh_, 1)
    r = tl.load(r_in + base + lane, mask=real, other=1.0)
    m = tl.load(gates + STABILIZER * plane + base + lane, mask=real, other=0.0)
    divisor, free = _divisor(r, m, log_scale, eps, RANGE, NORMALIZE)
    slope = -product / divisor
    sign = tl.where(r > 0, 1.0, tl.where(r < 0, -1.0, 0.0))
    tl.store(inverse + base + lane, 1 / divisor, mask=real)
    tl.store(dr + base + lane, tl.where(free, slope * sign, 0.0), mask=real)
    tl.store(unit + base + lane, slope * eps, mask=real)


@triton.jit(do_not_specialize=["H", "S", "plane", "head_step", "step"])
def states_backward_kernel(
    q,
    dh,
    inverse,
    dr,
    gates,
    dC_end,
    dn_end,
    dC_states,
    dn_states,
    dC_start,
    dn_start,
    sequences,
    H,
    S,
    plane: tl.int64,
    head_step,
    step,
    K: tl.constexpr,
    V: tl.constexpr,
    L: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """A tile of the gradient of the state along one sequence of one head: after each chunk, and before the first."""
    number, across, down = _place(V // BV, K // BK)
    n, head = number // H, number % H
    row, start, length, chunk = _sequence(sequences, n)
    base = (row * H + head) * S + start
    token = row * H * S + head.to(tl.int64) * head_step + start.to(tl.int64) * step
    lane = tl.arange(0, L)
    local = lane * step
    rows, cols = down * BK + tl.arange(0, BK), across * BV + tl.arange(0, BV)
    tile = rows[:, None] * V + cols[None, :]
    own = (n * H + head).to(tl.int64)
    dC = tl.load(dC_end + own * K * V + tile)
    dnorm = tl.load(dn_end + own * K + rows)
    count = tl.cdiv(length, L)
    for back in range(0, count):
        first = (count - 1 - back) * L
        at = (chunk + count - 1 - back).to(tl.int64) * H + head
        tl.store(dC_states + at * K * V + tile, dC.to(dC_states.dtype.element_ty))
        if across == 0:
            tl.store(dn_states + at * K + rows, dnorm)
        real = first + lane < length
        here = token + tl.cast(first, tl.int64) * step
        carry = tl.load(gates + CARRY * plane + base + first + lane, mask=real, other=0.0)
        keep = tl.load(gates + CARRY * plane + base + tl.minimum(first + L, length) - 1)
        divided = tl.load(inverse + base + first + lane, mask=real, other=0.0)
        dr_ = tl.load(dr + base + first + lane, mask=real, other=0.0)
        q_ = _load(q, here, local, rows, K, real).to(tl.float32)
        dh_ = _load(dh, here, local, cols, V, real).to(tl.float32)
        q_ *= carry[:, None]
        dnorm = dnorm * keep + tl.sum(q_ * dr_[:, None], 0)
        dh_ *= divided[:, None]
        dC = tl.dot(tl.trans(q_.to(OPERAND)), dh_.to(OPERAND), dC * keep, input_precision=PRECISION)
    tl.store(dC_start + own * K * V + tile, dC)
    if across == 0:
        tl.store(dn_start + own * K + rows, dnorm)


@triton.jit(do_not_specialize=["H", "S", "plane", "head_step", "step"])
def scores_backward_kernel(
    q,
    k,
    v,
    dh,
    inverse,
    dr,
    gates,
    scores_out,
    dscores_out,
    d_log_input,
    d_log_forget,
    sequences,
    chunks,
    H,
    S,
    plane: tl.int64,
    head_step,
    step,
    K: tl.constexpr,
    V: tl.constexpr,
    L: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Of one chunk of one head: the weighted scores, their gradients, and what those mean for the gates."""
    chunk, head = tl.program_id(0), tl.program_id(1)
    n, first = tl.load(chunks + 2 * chunk), tl.load(chunks + 2 * chunk + 1)
    row, start, length, _ = _sequence(sequences, n)
    lane = tl.arange(0, L)
    local = lane * step
    real = first + lane < length
    base = (row * H + head) * S + start + first
    here = row * H * S + head.to(tl.int64) * head_step + (start + first).to(tl.int64) * step
    at = chunk.to(tl.int64) * H + head
    square = at * L * L + lane[:, None] * L + lane[None, :]
    scores = tl.zeros((L, L), tl.float32)
    for block in range(0, K, BK):
        rows = block + tl.arange(0, BK)
        q_ = _load(q, here, local, rows, K, real).to(OPERAND)
        k_ = _load(k, here, local, rows, K, real).to(OPERAND)
        scores = tl.dot(q_, tl.trans(k_), scores, input_precision=PRECISION)
    dscores = tl.zeros((L, L), tl.float32)
    for block in range(0, V, BV):
        cols = block + tl.arange(0, BV)
        dh_ = _load(dh, here, local, cols, V, real).to(OPERAND)
        v_ = _load(v, here, local, cols, V, real).to(OPERAND)
        dscores = tl.dot(dh_, tl.trans(v_), dscores, input_precision=PRECISION)
    divided = tl.load(inverse + base + lane, mask=real, other=0.0)
    dr_ = tl.load(dr + base + lane, mask=real, other=0.0)
    reads = _reads(gates, plane, base, lane, real)
    dscores = (dscores * divided[:, None] + dr_[:, None]) * reads
    tl.store(dscores_out + square, dscores.to(OPERAND))
    tl.store(scores_out + square, (scores * reads).to(OPERAND))
    # Of the exponents (t, j): summed over the readers from x on, and, below the diagonal, over the writers before x.
    readers = tl.cumsum(scores * dscores, 0, reverse=True)
    d_log_i = tl.sum(tl.where(lane[:, None] == 0, readers, 0.0), 0)
    d_log_f = tl.sum(tl.where(lane[None, :] < lane[:, None], readers, 0.0), 1)
    tl.store(d_log_input + base + lane, d_log_i, mask=real)
    tl.store(d_log_forget + base + lane, d_log_f, mask=real)


@triton.jit(do_not_specialize=["H", "S", "plane", "head_step", "step"])
def keys_backward_kernel(
    q,
    k,
    v,
    dh,
    inverse,
    dr,
    gates,
    C_states,
    n_states,
    dC_states,
    dn_states,
    dscores_in,
    dq,
    dk,
    d_log_input,
    d_log_forget,
    sequences,
    chunks,
    H,
    S,
    plane: tl.int64,
    head_step,
    step,
    K: tl.constexpr,
    V: tl.constexpr,
    L: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gradients of the queries and keys of one chunk of one head; adds to those of the gates what passes by a state."""
    chunk, head = tl.program_id(0), tl.program_id(1)
    n, first = tl.load(chunks + 2 * chunk), tl.load(chunks + 2 * chunk + 1)
    row, start, length, _ = _sequence(sequences, n)
    lane = tl.arange(0, L)
    local = lane * step
    real = first + lane < length
    base = (row * H + head) * S + start + first
    here = row * H * S + head.to(tl.int64) * head_step + (start + first).to(tl.int64) * step
    at = chunk.to(tl.int64) * H + head
    square = at * L * L + lane[:, None] * L + lane[None, :]
    divided = tl.load(inverse + base + lane, mask=real, other=0.0)
    dr_ = tl.load(dr + base + lane, mask=real, other=0.0)
    carry = tl.load(gates + CARRY * plane + base + lane, mask=real, other=0.0)
    write = tl.load(gates + WRITE * plane + base + lane, mask=real, other=0.0)
    keep = tl.load(gates + CARRY * plane + base + tl.minimum(L, length - first) - 1)
    read = tl.zeros((L,), tl.float32)
    written = tl.zeros((L,), tl.float32)
    crossing = 0.0
    for block in range(0, K, BK):
        rows = block + tl.arange(0, BK)
        dq_ = tl.zeros((L, BK), tl.float32)
        dk_ = tl.zeros((L, BK), tl.float32)
        for inner in range(0, V, BV):
            cols = inner + tl.arange(0, BV)
            tile = at * K * V + rows[:, None] * V + cols[None, :]
            C, dC = tl.load(C_states + tile), tl.load(dC_states + tile)
            dh_ = _load(dh, here, local, cols, V, real).to(OPERAND)
            v_ = _load(v, here, local, cols, V, real).to(OPERAND)
            dq_ = tl.dot(dh_, tl.trans(C), dq_, input_precision=PRECISION)
            dk_ = tl.dot(v_, tl.trans(dC), dk_, input_precision=PRECISION)
            crossing += tl.sum(tl.sum(C.to(tl.float32) * dC.to(tl.float32), 1), 0)
        norm, dnorm = tl.load(n_states + at * K + rows), tl.load(dn_states + at * K + rows)
        crossing += tl.sum(norm * dnorm, 0)
        q_ = _load(q, here, local, rows, K, real).to(OPERAND)
        k_ = _load(k, here, local, rows, K, real).to(OPERAND)
        dq_ = (dq_ * divided[:, None] + dr_[:, None] * norm[None, :]) * carry[:, None]
        dk_ = (dk_ + dnorm[None, :]) * write[:, None]
        read += tl.sum(q_.to(tl.float32) * dq_, 1)
        written += tl.sum(k_.to(tl.float32) * dk_, 1)
        dscores = tl.load(dscores_in + square)
        dq_ = tl.dot(dscores, k_, dq_, input_precision=PRECISION)
        dk_ = tl.dot(tl.trans(dscores), q_, dk_, input_precision=PRECISION)
        _store(dq, here, local, rows, K, real, dq_)
        _store(dk, here, local, rows, K, real, dk_)
    later = tl.where(lane[None, :] >= lane[:, None], read[None, :], 0.0)
    earlier = tl.where(lane[None, :] < lane[:, None], written[None, :], 0.0)
    d_i, d_f = d_log_input + base + lane, d_log_forget + base + lane
    passing = tl.sum(later, 1) + tl.sum(earlier, 1) + crossing * keep
    tl.store(d_i, tl.load(d_i, mask=real, other=0.0) + written, mask=real)
    tl.store(d_f, tl.load(d_f, mask=real, other=0.0) + passing, mask=real)


@triton.jit(do_not_specialize=["H", "S", "plane", "head_step", "step"])
def values_backward_kernel(
    k,
    dh,
    inverse,
    gates,
    dC_states,
    scores_in,
    dv,
    sequences,
    chunks,
    H,
    S,
    plane: tl.int64,
    head_step,
    step,
    K: tl.constexpr,
    V: tl.constexpr,
    L: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Some columns of the gradient of the values of one chunk of one head."""
    chunk, across, _ = _place(V // BV, 1)
    head = tl.program_id(1)
    n, first = tl.load(chunks + 2 * chunk), tl.load(chunks + 2 * chunk + 1)
    row, start, length, _ = _sequence(sequences, n)
    lane = tl.arange(0, L)
    local = lane * step
    real = first + lane < length
    base = (row * H + head) * S + start + first
    here = row * H * S + head.to(tl.int64) * head_step + (start + first).to(tl.int64) * step
    at = chunk.to(tl.int64) * H + head
    square = at * L * L + lane[:, None] * L + lane[None, :]
    cols = across * BV + tl.arange(0, BV)
    dv_ = tl.zeros((L, BV), tl.float32)
    for block in range(0, K, BK):
        rows = block + tl.arange(0, BK)
        dC = tl.load(dC_states + at * K * V + rows[:, None] * V + cols[None, :])
        k_ = _load(k, here, local, rows, K, real).to(OPERAND)
        dv_ = tl.dot(k_, dC, dv_, input_precision=PRECISION)
    divided = tl.load(inverse + base + lane, mask=real, other=0.0)
    write = tl.load(gates + WRITE * plane + base + lane, mask=real, other=0.0)
    dh_ = _load(dh, here, local, cols, V, real).to(tl.float32) * divided[:, None]
    scores = tl.load(scores_in + square)
    dv_ = tl.dot(tl.trans(scores), dh_.to(OPERAND), dv_ * write[:, None], input_precision=PRECISION)
    _store(dv, here, local, cols, V, real, dv_)


@triton.jit(do_not_specialize=["H", "S", "plane"])
def maxima_kernel(
    unit, gates, dm_end, d_log_input, d_log_forget, dm_start, sequences, H, S, plane: tl.int64, L: tl.constexpr
):
    """Adds to the gradients of the gates what reaches them through each m; see `cpu._through_maxima`."""
    n, head = tl.program_id(0) // H, tl.program_id(0) % H
    row, start, length, _ = _sequence(sequences, n)
    lane = tl.arange(0, L)
    dm = tl.load(dm_end + n * H + head)
    count = tl.cdiv(length, L)
    for back in range(0, count):
        first = (count - 1 - back) * L
        base = (row * H + head) * S + start + first
        real = first + lane < length
        s = tl.load(gates + S_WHOLE * plane + base + lane, mask=real, other=NOTHING)
        s_rest = tl.load(gates + S_REST * plane + base + lane, mask=real, other=0.0)
        u = tl.load(gates + U_WHOLE * plane + base + lane, mask=real, other=0.0)
        u_rest = tl.load(gates + U_REST * plane + base + lane, mask=real, other=0.0)
        same = (s[None, :] == u[:, None]) & (s_rest[None, :] == u_rest[:, None]) & (lane[None, :] <= lane[:, None])
        winner = tl.max(tl.where(same, lane[None, :], -1), 1)
        d = tl.load(unit + base + lane, mask=real, other=0.0)
        d += tl.where(lane == tl.minimum(L, length - first) - 1, dm, 0.0)
        written = tl.sum(tl.where(winner[:, None] == lane[None, :], d[:, None], 0.0), 0)
        # Readers at or after x whose winner is before x.
        passing = tl.sum(
            tl.where((lane[None, :] >= lane[:, None]) & (winner[None, :] < lane[:, None]), d[None, :], 0.0), 1
        )
        d_i, d_f = d_log_input + base + lane, d_log_forget + base + lane
        tl.store(d_i, tl.load(d_i, mask=real, other=0.0) + written, mask=real)
        tl.store(d_f, tl.load(d_f, mask=real, other=0.0) + passing, mask=real)
        dm = tl.sum(tl.where(winner < 0, d, 0.0), 0)
    own = dm_start + n * H + head
    tl.store(own, tl.load(own) + dm)
