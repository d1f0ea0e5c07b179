"""The definition of ProbSparse attention, written to be read: it builds Lq x Lk and is differentiable.

B batch, H heads, Lq queries, Lk keys, d head width, U sampled keys.
"""

from __future__ import annotations

import torch
from torch import Tensor

HALF = (torch.float16, torch.bfloat16)


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
    """See `seqsci_kernels.probsparse.probsparse`; half precision is computed in float32."""
    kind = q.dtype
    if kind in HALF:
        q, k, v = q.float(), k.float(), v.float()
    scores = q @ k.transpose(-1, -2)
    visible = visible_keys(scores, causal, key_mask)
    per_query = sample.dim() == 2
    if per_query:
        measure = measure_per_query(scores.detach(), sample, key_mask)
    else:
        measure = measure_shared(scores.detach(), sample, visible)
    keep = _prefix_top(measure, top) if causal and not per_query else _global_top(measure, top)
    lazy = visible.to(v.dtype) @ v
    if not (causal and per_query):
        lazy = lazy / visible.sum(-1, keepdim=True).clamp(min=1)
    exact = _softmax(scores / q.shape[-1] ** 0.5, visible) @ v
    return torch.where(keep.unsqueeze(-1), exact, lazy)[:, :, -last:].to(kind)


def visible_keys(scores: Tensor, causal: bool, key_mask: Tensor | None) -> Tensor:
    """(B, H, Lq, Lk) bool: query t may look at key j."""
    visible = torch.ones(scores.shape, dtype=torch.bool, device=scores.device)
    if causal:
        visible = visible.tril()
    if key_mask is not None:
        visible = visible & key_mask[:, None, None, :]
    return visible


def measure_shared(scores: Tensor, sample: Tensor, visible: Tensor) -> Tensor:
    """M (B, H, Lq): max minus mean of the scores of the sampled keys that a query sees; -inf without one."""
    scores, seen = scores[..., sample], visible[..., sample]
    highest = scores.masked_fill(~seen, -torch.inf).amax(-1)
    return highest - scores.masked_fill(~seen, 0).sum(-1) / seen.sum(-1).clamp(min=1)


def measure_per_query(scores: Tensor, sample: Tensor, key_mask: Tensor | None) -> Tensor:
    """M (B, H, Lq) of the authors' code: the sum over U keys is divided by the number of all real keys."""
    real = scores.new_ones(len(scores), scores.shape[-1], dtype=torch.bool) if key_mask is None else key_mask
    seen = real[:, sample].unsqueeze(1)
    scores = scores.gather(-1, sample.expand(*scores.shape[:2], *sample.shape))
    highest = scores.masked_fill(~seen, -torch.inf).amax(-1)
    return highest - scores.masked_fill(~seen, 0).sum(-1) / real.sum(-1).clamp(min=1)[:, None, None]


def _global_top(measure: Tensor, top: int) -> Tensor:
    """(B, H, Lq) bool: the `top` largest of all."""
    chosen = measure.topk(top, sorted=False).indices
    return torch.zeros_like(measure, dtype=torch.bool).scatter(-1, chosen, True)


def _prefix_top(measure: Tensor, top: int) -> Tensor:
    """(B, H, Lq) bool: fewer than `top` of the earlier queries have a measure as large."""
    ahead = measure.unsqueeze(-2) >= measure.unsqueeze(-1)
    return ahead.tril(-1).sum(-1) < top


def _softmax(scores: Tensor, visible: Tensor) -> Tensor:
    """Softmax over the visible keys; zeros, with zero gradients, where there is none."""
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~visible, lowest).softmax(-1) * visible
