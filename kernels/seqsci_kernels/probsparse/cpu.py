"""ProbSparse attention without Lq x Lk and without a gathered copy of the keys.

Everything heavy is a matrix product on strided views: queries, keys and values that are views of (B, L, H, d)
are never copied, and the result is such a view again, so that merging the heads costs nothing.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

HALF = (torch.float16, torch.bfloat16)
DENSE = 1024
"""Up to this length causal attention is computed for all queries: smaller than the overhead of choosing."""
SLOTS = 64
"""Kept queries of one product of the causal form. A constant: no result may depend on how many are kept."""
BLOCK = 64
"""Queries that are ranked against each other at a time."""
SCORES = 1 << 22
"""Scores that may stand in memory at a time."""


def probsparse(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    sample: Tensor,
    top: int,
    causal: bool,
    key_mask: Tensor | None,
    last: int,
) -> Tensor:
    """See `seqsci_kernels.probsparse.probsparse`."""
    with torch.no_grad():
        if sample.dim() == 2:
            measure = measure_per_query(_wide(q), _wide(k), sample, key_mask)
        else:
            measure = measure_shared(_wide(q), _wide(k), sample, causal, key_mask)
    if causal and sample.dim() == 1:
        keep = prefix_top(measure, top)[..., -last:]
        lazy = (_running_sum(v, key_mask) / _running_count(v, key_mask))[:, :, -last:]
        exact = _dense if q.shape[2] <= DENSE else _in_slots
        return torch.where(keep.unsqueeze(-1), exact(q[:, :, -last:], k, v, keep, key_mask), lazy.to(q.dtype))
    chosen = measure.topk(top, sorted=False).indices
    lazy = _running_sum(v, key_mask) if causal else _mean(v, key_mask)
    some = _attend(_rows(q, chosen), k, v, chosen, causal, key_mask)
    return _overwrite(lazy.to(q.dtype), chosen, some, q.shape[2])[:, :, -last:]


def measure_shared(q: Tensor, k: Tensor, sample: Tensor, causal: bool, key_mask: Tensor | None = None) -> Tensor:
    """M (B, H, Lq): max minus mean of the scores of the sampled keys that a query sees; -inf without one."""
    keys = k[:, :, sample]
    measure = q.new_empty(q.shape[:3])
    seen = None
    if causal:
        seen = sample.unsqueeze(-1) <= torch.arange(q.shape[2], device=q.device)
    if key_mask is not None:
        real = key_mask[:, sample].unsqueeze(-1)
        seen = real if seen is None else real & seen
    # One head at a time: a product over (B, H) would first copy the queries. Queries last: reductions over
    # the sample then run along vectors.
    for head in range(q.shape[1]):
        scores = keys[:, head] @ q[:, head].transpose(-1, -2)
        measure[:, head] = max_minus_mean(scores, seen)
    return measure


def max_minus_mean(scores: Tensor, seen: Tensor | None) -> Tensor:
    """(B, L) from the scores (B, U, L) of one head and which of them count."""
    if seen is None:
        return scores.amax(1) - scores.mean(1)
    highest = scores.masked_fill(~seen, -torch.inf).amax(1)
    return highest - scores.masked_fill(~seen, 0).sum(1) / seen.sum(-2).clamp(min=1)


def measure_per_query(q: Tensor, k: Tensor, sample: Tensor, key_mask: Tensor | None) -> Tensor:
    """M (B, H, Lq) of the authors' code: the sum over U keys is divided by the number of all real keys.

    All scores of a few queries at a time, of which the sampled ones are read: a product and a gather of
    numbers are faster than a gather of whole keys.
    """
    batch, heads, queries, _ = q.shape
    keys = k.shape[2]
    count = torch.full((batch, 1), keys, device=q.device) if key_mask is None else key_mask.sum(-1, keepdim=True)
    measure = q.new_empty(q.shape[:3])
    rows = max(1, SCORES // (batch * keys))
    for head in range(heads):
        for start in range(0, queries, rows):
            part = slice(start, start + rows)
            scores = q[:, head, part] @ k[:, head].transpose(-1, -2)
            scores = scores.gather(-1, sample[part].expand(batch, -1, -1))
            highest = scores
            if key_mask is not None:
                seen = key_mask[:, sample[part]]
                highest, scores = scores.masked_fill(~seen, -torch.inf), scores.masked_fill(~seen, 0)
            measure[:, head, part] = highest.amax(-1) - scores.sum(-1) / count.clamp(min=1)
    return measure


def prefix_top(measure: Tensor, top: int) -> Tensor:
    """(B, H, L) bool: fewer than `top` of the earlier queries have a measure as large.

    A list of the `top` largest so far is enough: a query that is not behind `top` others of the past is
    behind fewer than `top` of that list.
    """
    keep = torch.empty_like(measure, dtype=torch.bool)
    best = measure[..., :0]
    for start in range(0, measure.shape[-1], BLOCK):
        block = measure[..., start : start + BLOCK]
        before = (best.unsqueeze(-2) >= block.unsqueeze(-1)).sum(-1)
        within = (block.unsqueeze(-2) >= block.unsqueeze(-1)).tril(-1).sum(-1)
        keep[..., start : start + BLOCK] = before + within < top
        best = torch.cat([best, block], -1)
        best = best.topk(min(top, best.shape[-1]), sorted=False).values
    return keep


def _dense(q: Tensor, k: Tensor, v: Tensor, keep: Tensor, key_mask: Tensor | None) -> Tensor:
    if key_mask is None and q.shape == k.shape:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    steps = torch.arange(k.shape[2] - q.shape[2], k.shape[2], device=q.device)
    return _attend(q, k, v, steps.expand(1, 1, -1), True, key_mask)


def _in_slots(q: Tensor, k: Tensor, v: Tensor, keep: Tensor, key_mask: Tensor | None) -> Tensor:
    """Exact attention for the kept queries only, SLOTS at a time in the order of their steps.

    How many are kept differs between rows and heads. Slots left over compute query 0 once more and are read
    by nobody; every product has the same shape, so that the future cannot change even a rounding.
    """
    slot = keep.cumsum(-1) - 1
    most = int(slot[..., -1].max()) + 1
    slots = max(1, -(-most // SLOTS)) * SLOTS
    numbers = torch.arange(q.shape[2], device=q.device).expand(keep.shape)
    # What is not kept goes to one slot more, which is cut off.
    kept = numbers.new_zeros(*keep.shape[:2], slots + 1)
    kept = kept.scatter_(-1, slot.masked_fill(~keep, slots), numbers)[..., :slots]
    first = k.shape[2] - q.shape[2]
    parts = torch.split(kept, SLOTS, -1)
    exact = [_attend(_rows(q, part), k, v, first + part, True, key_mask) for part in parts]
    return _rows(torch.cat(exact, 2), slot.clamp(min=0))


def _attend(q: Tensor, k: Tensor, v: Tensor, steps: Tensor, causal: bool, key_mask: Tensor | None) -> Tensor:
    """Softmax attention of the queries (B, H, u, d) at `steps` (.., .., u); zeros where no key is seen."""
    bias = None
    # Not -inf: a query that sees nothing would then give NaN, and its gradient too.
    lowest = torch.finfo(q.dtype).min / 2
    if causal:
        keys = torch.arange(k.shape[2], device=k.device, dtype=torch.int32)
        late = keys - steps.to(torch.int32).unsqueeze(-1)
        bias = late.clamp_(0, 1).to(q.dtype).mul_(lowest)
    if key_mask is None:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    hidden = ~key_mask[:, None, None]
    bias = q.new_zeros(hidden.shape) if bias is None else bias
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.masked_fill(hidden, lowest))
    return out * _sees(steps, causal, key_mask)


def _sees(steps: Tensor, causal: bool, key_mask: Tensor) -> Tensor:
    """(B, H or 1, u or 1, 1) bool: whether a query at `steps` (B, H or 1, u) sees any real key."""
    some = key_mask.any(-1)[:, None, None]
    if causal:
        some = some & (key_mask.int().argmax(-1)[:, None, None] <= steps)
    return some.unsqueeze(-1)


def _mean(v: Tensor, key_mask: Tensor | None) -> Tensor:
    """(B, H, 1, d) mean of the values of the real keys, accumulated in float32 at least."""
    wide = _wider(v.dtype)
    if key_mask is None:
        return v.mean(2, keepdim=True, dtype=wide)
    weight = key_mask.to(wide) / key_mask.sum(-1, keepdim=True).clamp(min=1)
    return (v * weight[:, None, :, None]).sum(2, keepdim=True)


def _running_sum(v: Tensor, key_mask: Tensor | None) -> Tensor:
    """(B, H, L, d) sum of the real values up to each step: products with a triangle of ones.

    torch.cumsum walks along the slow axis, one number at a time.
    """
    batch, heads, length, width = v.shape
    x = v.transpose(1, 2).to(_wider(v.dtype))
    if key_mask is not None:
        x = x * key_mask[:, :, None, None]
    size = min(length, 2 * BLOCK)
    blocks = -(-length // size)
    x = x.reshape(batch, length, heads * width)
    x = F.pad(x, (0, 0, 0, blocks * size - length)).reshape(batch * blocks, size, -1)
    ones = x.new_ones(size, size).tril()
    within = torch.bmm(ones.expand(len(x), -1, -1), x).view(batch, blocks, size, -1)
    if blocks > 1:
        ends = within[:, :-1, -1:].cumsum(1)
        within = within + F.pad(ends, (0, 0, 0, 0, 1, 0))
    summed = within.reshape(batch, blocks * size, heads, width)[:, :length]
    return summed.transpose(1, 2)


def _running_count(v: Tensor, key_mask: Tensor | None) -> Tensor:
    """(B or 1, 1, L, 1) how many real keys a step sees, at least 1."""
    length = v.shape[2]
    if key_mask is None:
        return torch.arange(1, length + 1, device=v.device, dtype=_wider(v.dtype)).view(1, 1, length, 1)
    return key_mask.cumsum(-1).clamp(min=1).to(_wider(v.dtype))[:, None, :, None]


def _overwrite(lazy: Tensor, chosen: Tensor, exact: Tensor, length: int) -> Tensor:
    """`lazy` (B, H, 1 or L, d) with the rows `chosen` replaced by `exact`; in memory (B, L, H, d)."""
    batch, heads, _, width = exact.shape
    rows = chosen.transpose(1, 2).unsqueeze(-1).expand(-1, -1, -1, width)
    base = lazy.transpose(1, 2).expand(batch, length, heads, width)
    return base.scatter(1, rows, exact.transpose(1, 2)).transpose(1, 2)


def _rows(x: Tensor, chosen: Tensor) -> Tensor:
    """(B, H, u, d): the rows `chosen` (B, H, u) of x (B, H, L, d)."""
    return x.gather(2, chosen.unsqueeze(-1).expand(-1, -1, -1, x.shape[-1]))


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in HALF else x


def _wider(kind: torch.dtype) -> torch.dtype:
    return torch.float32 if kind in HALF else kind
