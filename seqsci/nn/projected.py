"""ProbSparse self-attention that projects only what is read.

Of L queries u = c ln L are kept; the others take the mean. So most of what the four projections of a layer
compute is never read, and most of their gradient is zero. Products are associative:

    scores  q_t . k_j = ((W_q x_t + b_q) W_k) . x_j + a number that is the same for all j, and softmax drops it
    values  sum_j p_j (W_v x_j + b_v) = W_v (sum_j p_j x_j) + b_v

so the keys and values of no step are needed, and the last projection of a lazy query is that of the mean.
The result is `out(probsparse(query(x), key(x), value(x)))` to rounding.

B batch, H heads, L length, D width, d = D/H, u queries kept, U keys sampled.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from seqsci_kernels.probsparse.cpu import max_minus_mean
from torch import Tensor, nn

SPARSE = 8
"""Keys and values are not made when fewer than one query in so many is kept: below, moving data costs more."""


def pays(length: int, width: int, heads: int, kept: int) -> bool:
    """Whether this form is the cheaper one: when the rows of all heads are fewer than the columns."""
    return kept < length and heads * kept < 0.75 * width


def projected(x: Tensor, projections: tuple[nn.Linear, ...], heads: int, sample: Tensor, top: int) -> Tensor:
    """Non-causal ProbSparse self-attention under the shared law, without a mask.

    Args:
        x: (B, L, D).
        projections: query, key, value and out, each D -> D.
        heads: H.
        sample: (U,) int64, the sampled keys.
        top: u.

    Returns:
        (B, L, D).
    """
    query, _, value, out = projections
    batch, length, width = x.shape
    chosen = _choose(x, projections, heads, sample, top)
    steps = torch.arange(batch, device=x.device).view(-1, 1, 1) * length + chosen
    rows = steps.transpose(0, 1).flatten()
    q = _by_head(x.flatten(0, 1).index_select(0, rows).view(heads, -1, width), query, heads)
    attend = _without_keys if top * SPARSE < length else _with_keys
    mean = value(x.mean(1, keepdim=True))
    beyond = attend(q, x, projections, heads, mean)
    beyond = torch.bmm(beyond, out.weight.t().reshape(heads, -1, width))
    y = out(mean).expand(batch, length, width).flatten(0, 1)
    return y.index_add(0, rows, beyond.flatten(0, 1).to(y.dtype)).view(x.shape)


def _without_keys(q: Tensor, x: Tensor, projections: tuple[nn.Linear, ...], heads: int, mean: Tensor) -> Tensor:
    """What kept queries have beyond the mean, (H, B*u, d), from x alone: keys and values are never made."""
    _, key, value, _ = projections
    batch, _, width = x.shape
    # Every head's u queries as vectors of width D, side by side: (B, H*u, D).
    q = _per_row(torch.bmm(q, key.weight.view(heads, -1, width)), batch)
    weights = torch.bmm(q, x.transpose(1, 2)).mul((width // heads) ** -0.5).softmax(-1)
    seen = _per_head(torch.bmm(weights.to(x.dtype), x), heads)
    # The softmax takes no notice of the offset of the keys; its gradient is zero, not absent.
    offset = (value.bias + 0 * key.bias).view(heads, 1, -1)
    seen = torch.bmm(seen, value.weight.view(heads, -1, width).transpose(1, 2)) + offset
    return seen - _per_head(mean.view(batch, heads, 1, -1).expand(-1, -1, q.shape[1] // heads, -1), 0)


def _with_keys(q: Tensor, x: Tensor, projections: tuple[nn.Linear, ...], heads: int, mean: Tensor) -> Tensor:
    """The same from projected keys and values."""
    _, key, value, _ = projections
    batch, _, width = x.shape
    k, v = (f(x).view(batch, -1, heads, width // heads).transpose(1, 2) for f in (key, value))
    q = q.view(heads, batch, -1, width // heads).transpose(0, 1)
    seen = F.scaled_dot_product_attention(q, k, v) - mean.view(batch, heads, 1, -1)
    return _per_head(seen, 0)


@torch.no_grad()
def _choose(x: Tensor, projections: tuple[nn.Linear, ...], heads: int, sample: Tensor, top: int) -> Tensor:
    """(B, H, u) int64: the queries of largest max - mean over the sampled keys, in the weights' precision."""
    query, key = projections[:2]
    with torch.autocast(x.device.type, enabled=False):
        batch, length, width = x.shape
        x = x.to(key.weight.dtype)
        keys = key(x.index_select(1, sample)).view(batch, -1, heads, width // heads)
        keys = keys.permute(2, 0, 1, 3).reshape(heads, -1, width // heads)
        offset = torch.bmm(keys, query.bias.view(heads, -1, 1))
        rows = _per_row(torch.bmm(keys, query.weight.view(heads, -1, width)), batch)
        scores = torch.bmm(rows, x.transpose(1, 2))
        scores.add_(_per_row(offset, batch))
        measure = max_minus_mean(scores.view(batch * heads, -1, length), None)
        return measure.view(batch, heads, length).topk(top, sorted=False).indices


def _by_head(x: Tensor, linear: nn.Linear, heads: int) -> Tensor:
    """(H, N, D), head h through its own rows of a projection -> (H, N, d)."""
    weight = linear.weight.view(heads, -1, x.shape[-1])
    return torch.baddbmm(linear.bias.view(heads, 1, -1), x, weight.transpose(1, 2))


def _per_row(x: Tensor, batch: int) -> Tensor:
    """(H, B*n, D) -> (B, H*n, D)."""
    return x.view(len(x), batch, -1, x.shape[-1]).transpose(0, 1).flatten(1, 2)


def _per_head(x: Tensor, heads: int) -> Tensor:
    """(B, H*n, D), or with heads 0 (B, H, n, D) -> (H, B*n, D)."""
    split = x.view(len(x), heads, -1, x.shape[-1]) if heads else x
    return split.transpose(0, 1).flatten(1, 2)
