"""What runs on the GPU for ProbSparse attention; triton.py launches it.

B batch, H heads, Lq queries, Lk keys, d head width, U sampled keys. Strides count rows of d numbers. A program's first
number is its row of B x H, its second the part of the queries or keys.
"""

from __future__ import annotations

import triton
import triton.language as tl

# Rows and heads stand on the first axis of a grid, which alone may be longer than 65,535.
RUN_TIME = [
    *("heads", "queries", "keys", "sampled", "slots", "scale"),
    *(f"{name}_{axis}" for name in ("q", "k", "v", "o", "g") for axis in ("batch", "head", "row")),
]
LOWEST = tl.constexpr(-1e30)
"""A score that nobody sees: finite, so that no difference is NaN."""


@triton.jit
def _visible(key_mask, b, j, t, keys, CAUSAL: tl.constexpr, MASKED: tl.constexpr):
    """(queries, keys) whether the query at step t sees key j."""
    seen = (j < keys)[None, :] & (t >= 0)[:, None]
    if CAUSAL:
        seen = seen & (j[None, :] <= t[:, None])
    if MASKED:
        seen = seen & (tl.load(key_mask + b * keys + j, mask=j < keys, other=0) != 0)[None, :]
    return seen


@triton.jit(do_not_specialize=RUN_TIME)
def measure_shared(
    q,
    k,
    sample,
    key_mask,
    measure,
    heads: tl.int64,
    queries: tl.int64,
    keys: tl.int64,
    sampled: tl.int64,
    q_batch: tl.int64,
    q_head: tl.int64,
    q_row: tl.int64,
    k_batch: tl.int64,
    k_head: tl.int64,
    k_row: tl.int64,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    CAUSAL: tl.constexpr,
    MASKED: tl.constexpr,
):
    """M (B, H, Lq): max minus mean of the scores of the sampled keys (U,) that a query sees."""
    row = tl.program_id(0).to(tl.int64)
    b = row // heads
    h = row % heads
    t = tl.program_id(1) * QUERIES + tl.arange(0, QUERIES).to(tl.int64)
    d = tl.arange(0, BLOCK)
    inside = (t < queries)[:, None] & (d < WIDTH)[None, :]
    x = tl.load(q + (b * q_batch + h * q_head + t[:, None] * q_row) * WIDTH + d[None, :], mask=inside, other=0.0)
    highest = tl.full((QUERIES,), -float("inf"), tl.float32)
    total = tl.zeros((QUERIES,), tl.float32)
    count = tl.zeros((QUERIES,), tl.float32)
    for start in range(0, sampled, KEYS):
        u = start + tl.arange(0, KEYS)
        j = tl.load(sample + u, mask=u < sampled, other=0)
        some = (u < sampled)[:, None] & (d < WIDTH)[None, :]
        y = tl.load(k + (b * k_batch + h * k_head + j[:, None] * k_row) * WIDTH + d[None, :], mask=some, other=0.0)
        scores = tl.dot(x, tl.trans(y), input_precision="tf32x3")
        seen = _visible(key_mask, b, j, t, keys, CAUSAL, MASKED) & (u < sampled)[None, :]
        highest = tl.maximum(highest, tl.max(tl.where(seen, scores, -float("inf")), 1))
        total += tl.sum(tl.where(seen, scores, 0.0), 1)
        count += tl.sum(seen.to(tl.float32), 1)
    tl.store(measure + row * queries + t, highest - total / tl.maximum(count, 1.0), mask=t < queries)


@triton.jit(do_not_specialize=RUN_TIME)
def measure_per_query(
    q,
    k,
    sample,
    key_mask,
    measure,
    heads: tl.int64,
    queries: tl.int64,
    keys: tl.int64,
    sampled: tl.int64,
    q_batch: tl.int64,
    q_head: tl.int64,
    q_row: tl.int64,
    k_batch: tl.int64,
    k_head: tl.int64,
    k_row: tl.int64,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    MASKED: tl.constexpr,
):
    """M (B, H, Lq) of the authors' code, keys (Lq, U): the sum is divided by the number of all real keys."""
    row = tl.program_id(0).to(tl.int64)
    b = row // heads
    h = row % heads
    t = tl.program_id(1) * QUERIES + tl.arange(0, QUERIES).to(tl.int64)
    d = tl.arange(0, BLOCK)
    inside = (t < queries)[:, None] & (d < WIDTH)[None, :]
    x = tl.load(q + (b * q_batch + h * q_head + t[:, None] * q_row) * WIDTH + d[None, :], mask=inside, other=0.0).to(
        tl.float32
    )
    real = tl.zeros((KEYS,), tl.float32)
    if MASKED:
        for start in range(0, keys, KEYS):
            j = start + tl.arange(0, KEYS)
            real += (tl.load(key_mask + b * keys + j, mask=j < keys, other=0) != 0).to(tl.float32)
        count = tl.maximum(tl.sum(real, 0), 1.0)
    else:
        count = keys.to(tl.float32)
    highest = tl.full((QUERIES,), -float("inf"), tl.float32)
    total = tl.zeros((QUERIES,), tl.float32)
    for u in range(0, sampled):
        j = tl.load(sample + t * sampled + u, mask=t < queries, other=0)
        y = tl.load(k + (b * k_batch + h * k_head + j[:, None] * k_row) * WIDTH + d[None, :], mask=inside, other=0.0)
        score = tl.sum(x * y.to(tl.float32), 1)
        if MASKED:
            seen = tl.load(key_mask + b * keys + j) != 0
            highest = tl.where(seen, tl.maximum(highest, score), highest)
            total += tl.where(seen, score, 0.0)
        else:
            highest = tl.maximum(highest, score)
            total += score
    tl.store(measure + row * queries + t, highest - total / count, mask=t < queries)


@triton.jit(do_not_specialize=[*RUN_TIME, "top"])
def prefix_top(measure, keep, queries: tl.int64, top: tl.int64, QUERIES: tl.constexpr):
    """(B, H, Lq): whether fewer than `top` of the earlier queries have a measure as large."""
    row = tl.program_id(0).to(tl.int64) * queries
    t = tl.program_id(1) * QUERIES + tl.arange(0, QUERIES)
    mine = tl.load(measure + row + t, mask=t < queries, other=0.0)
    ahead = tl.zeros((QUERIES,), tl.int32)
    for start in range(0, tl.program_id(1) * QUERIES + 1, QUERIES):
        j = start + tl.arange(0, QUERIES)
        other = tl.load(measure + row + j, mask=j < queries, other=-float("inf"))
        ahead += tl.sum(((other[None, :] >= mine[:, None]) & (j[None, :] < t[:, None])).to(tl.int32), 1)
    tl.store(keep + row + t, (ahead < top).to(tl.int8), mask=t < queries)


@triton.jit(do_not_specialize=RUN_TIME)
def attend(
    q,
    k,
    v,
    chosen,
    count,
    key_mask,
    out,
    norm,
    scale: tl.float32,
    heads: tl.int64,
    keys: tl.int64,
    slots: tl.int64,
    q_batch: tl.int64,
    q_head: tl.int64,
    q_row: tl.int64,
    k_batch: tl.int64,
    k_head: tl.int64,
    k_row: tl.int64,
    v_batch: tl.int64,
    v_head: tl.int64,
    v_row: tl.int64,
    o_batch: tl.int64,
    o_head: tl.int64,
    o_row: tl.int64,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    CAUSAL: tl.constexpr,
    MASKED: tl.constexpr,
):
    """Softmax attention of the first `count` of the chosen queries, and the logarithm of its normaliser."""
    row = tl.program_id(0).to(tl.int64)
    b = row // heads
    h = row % heads
    n = tl.program_id(1) * QUERIES + tl.arange(0, QUERIES)
    kept = tl.load(count + row)
    if tl.program_id(1) * QUERIES < kept:
        t = tl.load(chosen + row * slots + n, mask=n < kept, other=0)
        d = tl.arange(0, BLOCK)
        wide = (d < WIDTH)[None, :]
        mine = (n < kept)[:, None] & wide
        x = tl.load(q + (b * q_batch + h * q_head + t[:, None] * q_row) * WIDTH + d[None, :], mask=mine, other=0.0)
        highest = tl.full((QUERIES,), LOWEST, tl.float32)
        total = tl.zeros((QUERIES,), tl.float32)
        sums = tl.zeros((QUERIES, BLOCK), tl.float32)
        end = keys
        if CAUSAL:
            end = tl.minimum(keys, tl.max(t, 0) + 1)
        for start in range(0, end, KEYS):
            j = start + tl.arange(0, KEYS)
            some = (j < keys)[:, None] & wide
            y = tl.load(k + (b * k_batch + h * k_head + j[:, None] * k_row) * WIDTH + d[None, :], mask=some, other=0.0)
            seen = _visible(key_mask, b, j, t, keys, CAUSAL, MASKED)
            scores = tl.dot(x, tl.trans(y), input_precision="tf32x3") * scale
            scores = tl.where(seen, scores, LOWEST)
            higher = tl.maximum(highest, tl.max(scores, 1))
            part = tl.where(seen, tl.exp(scores - higher[:, None]), 0.0)
            shrink = tl.exp(highest - higher)
            total = total * shrink + tl.sum(part, 1)
            z = tl.load(v + (b * v_batch + h * v_head + j[:, None] * v_row) * WIDTH + d[None, :], mask=some, other=0.0)
            sums = tl.dot(part.to(z.dtype), z, sums * shrink[:, None], input_precision="tf32x3")
            highest = higher
        some_key = total > 0
        sums = sums / tl.where(some_key, total, 1.0)[:, None]
        o = out + (b * o_batch + h * o_head + t[:, None] * o_row) * WIDTH + d[None, :]
        tl.store(o, sums.to(out.dtype.element_ty), mask=mine)
        tl.store(norm + row * slots + n, highest + tl.log(tl.where(some_key, total, 1.0)), mask=n < kept)


@triton.jit(do_not_specialize=RUN_TIME)
def attend_query_gradient(
    q,
    k,
    v,
    chosen,
    count,
    key_mask,
    out,
    norm,
    grad,
    delta,
    query_grad,
    scale: tl.float32,
    heads: tl.int64,
    keys: tl.int64,
    slots: tl.int64,
    q_batch: tl.int64,
    q_head: tl.int64,
    q_row: tl.int64,
    k_batch: tl.int64,
    k_head: tl.int64,
    k_row: tl.int64,
    v_batch: tl.int64,
    v_head: tl.int64,
    v_row: tl.int64,
    o_batch: tl.int64,
    o_head: tl.int64,
    o_row: tl.int64,
    g_batch: tl.int64,
    g_head: tl.int64,
    g_row: tl.int64,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    CAUSAL: tl.constexpr,
    MASKED: tl.constexpr,
):
    """dq of the chosen queries, laid out as `out` is, and delta = sum(out * grad), which the keys' gradients need."""
    row = tl.program_id(0).to(tl.int64)
    b = row // heads
    h = row % heads
    n = tl.program_id(1) * QUERIES + tl.arange(0, QUERIES)
    kept = tl.load(count + row)
    if tl.program_id(1) * QUERIES < kept:
        t = tl.load(chosen + row * slots + n, mask=n < kept, other=0)
        d = tl.arange(0, BLOCK)
        wide = (d < WIDTH)[None, :]
        mine = (n < kept)[:, None] & wide
        place = (b * o_batch + h * o_head + t[:, None] * o_row) * WIDTH + d[None, :]
        x = tl.load(q + (b * q_batch + h * q_head + t[:, None] * q_row) * WIDTH + d[None, :], mask=mine, other=0.0)
        g = tl.load(grad + (b * g_batch + h * g_head + t[:, None] * g_row) * WIDTH + d[None, :], mask=mine, other=0.0)
        o = tl.load(out + place, mask=mine, other=0.0)
        dots = tl.sum(o.to(tl.float32) * g.to(tl.float32), 1)
        tl.store(delta + row * slots + n, dots, mask=n < kept)
        logs = tl.load(norm + row * slots + n, mask=n < kept, other=0.0)
        sums = tl.zeros((QUERIES, BLOCK), tl.float32)
        end = keys
        if CAUSAL:
            end = tl.minimum(keys, tl.max(t, 0) + 1)
        for start in range(0, end, KEYS):
            j = start + tl.arange(0, KEYS)
            some = (j < keys)[:, None] & wide
            y = tl.load(k + (b * k_batch + h * k_head + j[:, None] * k_row) * WIDTH + d[None, :], mask=some, other=0.0)
            z = tl.load(v + (b * v_batch + h * v_head + j[:, None] * v_row) * WIDTH + d[None, :], mask=some, other=0.0)
            seen = _visible(key_mask, b, j, t, keys, CAUSAL, MASKED)
            scores = tl.dot(x, tl.trans(y), input_precision="tf32x3") * scale
            part = tl.where(seen, tl.exp(tl.where(seen, scores - logs[:, None], 0.0)), 0.0)
            slope = part * (tl.dot(g, tl.trans(z), input_precision="tf32x3") - dots[:, None])
            sums = tl.dot(slope.to(y.dtype), y, sums, input_precision="tf32x3")
        tl.store(query_grad + place, (sums * scale).to(query_grad.dtype.element_ty), mask=mine)


@triton.jit(do_not_specialize=RUN_TIME)
def attend_key_gradient(
    q,
    k,
    v,
    chosen,
    count,
    key_mask,
    norm,
    grad,
    delta,
    key_grad,
    value_grad,
    scale: tl.float32,
    heads: tl.int64,
    keys: tl.int64,
    slots: tl.int64,
    q_batch: tl.int64,
    q_head: tl.int64,
    q_row: tl.int64,
    k_batch: tl.int64,
    k_head: tl.int64,
    k_row: tl.int64,
    v_batch: tl.int64,
    v_head: tl.int64,
    v_row: tl.int64,
    o_batch: tl.int64,
    o_head: tl.int64,
    o_row: tl.int64,
    g_batch: tl.int64,
    g_head: tl.int64,
    g_row: tl.int64,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    CAUSAL: tl.constexpr,
    MASKED: tl.constexpr,
):
    """dk and dv of a block of keys, strides o: a loop over the chosen queries."""
    row = tl.program_id(0).to(tl.int64)
    b = row // heads
    h = row % heads
    j = tl.program_id(1) * KEYS + tl.arange(0, KEYS)
    d = tl.arange(0, BLOCK)
    wide = (d < WIDTH)[None, :]
    some = (j < keys)[:, None] & wide
    y = tl.load(k + (b * k_batch + h * k_head + j[:, None] * k_row) * WIDTH + d[None, :], mask=some, other=0.0)
    z = tl.load(v + (b * v_batch + h * v_head + j[:, None] * v_row) * WIDTH + d[None, :], mask=some, other=0.0)
    dk = tl.zeros((KEYS, BLOCK), tl.float32)
    dv = tl.zeros((KEYS, BLOCK), tl.float32)
    kept = tl.load(count + row)
    for start in range(0, kept, QUERIES):
        n = start + tl.arange(0, QUERIES)
        t = tl.load(chosen + row * slots + n, mask=n < kept, other=0)
        mine = (n < kept)[:, None] & wide
        x = tl.load(q + (b * q_batch + h * q_head + t[:, None] * q_row) * WIDTH + d[None, :], mask=mine, other=0.0)
        g = tl.load(grad + (b * g_batch + h * g_head + t[:, None] * g_row) * WIDTH + d[None, :], mask=mine, other=0.0)
        logs = tl.load(norm + row * slots + n, mask=n < kept, other=0.0)
        dots = tl.load(delta + row * slots + n, mask=n < kept, other=0.0)
        seen = _visible(key_mask, b, j, t, keys, CAUSAL, MASKED) & (n < kept)[:, None]
        scores = tl.dot(x, tl.trans(y), input_precision="tf32x3") * scale
        part = tl.where(seen, tl.exp(tl.where(seen, scores - logs[:, None], 0.0)), 0.0)
        dv = tl.dot(tl.trans(part.to(g.dtype)), g, dv, input_precision="tf32x3")
        slope = part * (tl.dot(g, tl.trans(z), input_precision="tf32x3") - dots[:, None])
        dk = tl.dot(tl.trans(slope.to(x.dtype)), x, dk, input_precision="tf32x3")
    place = (b * o_batch + h * o_head + j[:, None] * o_row) * WIDTH + d[None, :]
    tl.store(key_grad + place, (dk * scale).to(key_grad.dtype.element_ty), mask=some)
    tl.store(value_grad + place, dv.to(value_grad.dtype.element_ty), mask=some)
