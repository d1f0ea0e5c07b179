"""ProbSparse attention on a GPU: neither Lq x Lk nor gathered keys in memory, no wait for the device.

Four steps: the measure M of each query; which queries are kept; their attention, with a running softmax over
blocks of keys; and the means of the others, which are torch operations. Queries, keys and values are read where
they lie. Lengths, counts and strides (in rows of d numbers) are run-time numbers: one compiled kernel for each
width, type and law.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor

from seqsci_kernels.gpu import on_device_of
from seqsci_kernels.probsparse import cpu
from seqsci_kernels.probsparse.triton_kernels import (
    attend,
    attend_key_gradient,
    attend_query_gradient,
    measure_per_query,
    measure_shared,
    prefix_top,
)


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
    queries, shared = q.shape[2], sample.dim() == 1
    q, k, v = (_even(x) for x in (q, k, v))
    seen = None if key_mask is None else key_mask.contiguous().view(torch.uint8)
    with torch.no_grad():
        measure = _measure(q, k, sample.contiguous(), causal, seen)
        keep = _prefix_top(measure, top) if causal and shared else _global_top(measure, top)
        keep[..., : queries - last] = False
        # The kept in the order of their steps, then all others; how many are kept stays on the device.
        chosen = torch.sort(keep.logical_not(), dim=-1, stable=True).indices
        count = keep.sum(-1)
    slots = queries if causal and shared else top
    exact, _ = _attend(q, k, v, chosen[..., :slots].contiguous(), count, seen, causal)
    lazy = cpu._running_sum(v, key_mask) if causal else cpu._mean(v, key_mask)
    if causal and shared:
        lazy = lazy / cpu._running_count(v, key_mask)
    return torch.where(keep.unsqueeze(-1), exact, lazy.to(q.dtype))[:, :, queries - last :]


def _measure(q: Tensor, k: Tensor, sample: Tensor, causal: bool, seen: Tensor | None) -> Tensor:
    batch, heads, queries, width = q.shape
    measure = torch.empty(batch, heads, queries, device=q.device)
    constants = _constants(width, q.element_size(), seen)
    shared = sample.dim() == 1
    if shared:
        constants["CAUSAL"] = causal
    kernel = measure_shared if shared else measure_per_query
    with on_device_of(q):
        kernel[(batch * heads, triton.cdiv(queries, constants["QUERIES"]))](
            *(q, k, sample, sample if seen is None else seen, measure),
            *(heads, queries, k.shape[2], sample.shape[-1], *_strides(q, k)),
            **constants,
        )
    return measure


def _global_top(measure: Tensor, top: int) -> Tensor:
    chosen = measure.topk(top, sorted=False).indices
    return torch.zeros_like(measure, dtype=torch.bool).scatter_(-1, chosen, True)


def _prefix_top(measure: Tensor, top: int) -> Tensor:
    batch, heads, queries = measure.shape
    keep = torch.empty(measure.shape, dtype=torch.int8, device=measure.device)
    with on_device_of(measure):
        prefix_top[(batch * heads, triton.cdiv(queries, 64))](measure, keep, queries, top, QUERIES=64)
    return keep.bool()


@torch.library.custom_op(
    "seqsci_kernels::probsparse_attend",
    mutates_args=(),
    schema="(Tensor q, Tensor k, Tensor v, Tensor chosen, Tensor count, Tensor? seen, bool causal) -> (Tensor, Tensor)",
)
def _attend(
    q: Tensor, k: Tensor, v: Tensor, chosen: Tensor, count: Tensor, seen: Tensor | None, causal: bool
) -> tuple[Tensor, Tensor]:
    """Attention of the chosen queries in their places of (B, H, Lq, d), zeros elsewhere."""
    out, norm = _places(q).zero_(), torch.empty(chosen.shape, device=q.device)
    constants = _constants(q.shape[-1], q.element_size(), seen)
    grid = (q.shape[0] * q.shape[1], triton.cdiv(chosen.shape[-1], constants["QUERIES"]))
    with on_device_of(q):
        attend[grid](
            *(q, k, v, chosen, count, count if seen is None else seen, out, norm),
            *_sizes(q, k, chosen),
            *_strides(q, k, v, out),
            **constants,
            CAUSAL=causal,
        )
    return out, norm


@torch.library.custom_op(
    "seqsci_kernels::probsparse_attend_backward",
    mutates_args=(),
    schema="(Tensor grad, Tensor q, Tensor k, Tensor v, Tensor chosen, Tensor count, Tensor? seen, Tensor out,"
    " Tensor norm, bool causal) -> (Tensor, Tensor, Tensor)",
)
def _attend_backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    chosen: Tensor,
    count: Tensor,
    seen: Tensor | None,
    out: Tensor,
    norm: Tensor,
    causal: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    grad = _even(grad)
    dq, dk, dv = _places(q).zero_(), _places(k), _places(v)
    delta = torch.empty_like(norm)
    constants = _constants(q.shape[-1], q.element_size(), seen) | {"CAUSAL": causal}
    rows = q.shape[0] * q.shape[1]
    sizes = _sizes(q, k, chosen)
    where = (q, k, v, chosen, count, count if seen is None else seen)
    with on_device_of(q):
        attend_query_gradient[(rows, triton.cdiv(chosen.shape[-1], constants["QUERIES"]))](
            *(*where, out, norm, grad, delta, dq, *sizes),
            *_strides(q, k, v, dq, grad),
            **(constants | {"num_warps": 8}),
        )
        attend_key_gradient[(rows, triton.cdiv(k.shape[2], constants["KEYS"]))](
            *(*where, norm, grad, delta, dk, dv, *sizes),
            *_strides(q, k, v, dk, grad),
            **constants,
        )
    return dq, dk, dv


@_attend.register_fake
def _attend_shapes(
    q: Tensor, k: Tensor, v: Tensor, chosen: Tensor, count: Tensor, seen: Tensor | None, causal: bool
) -> tuple[Tensor, Tensor]:
    return _places(q), torch.empty_like(chosen, dtype=torch.float32)


@_attend_backward.register_fake
def _gradient_shapes(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, *_: Tensor | bool | None
) -> tuple[Tensor, Tensor, Tensor]:
    return _places(q), _places(k), _places(v)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.causal = inputs
    ctx.save_for_backward(*tensors, *output)
    ctx.set_materialize_grads(False)


def _gradients(ctx: Any, grad: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 7
    q, k, v, chosen, count, seen, out, norm = ctx.saved_tensors
    return (*_attend_backward(grad, q, k, v, chosen, count, seen, out, norm, ctx.causal), None, None, None, None)


_attend.register_autograd(_gradients, setup_context=_remember)


def _places(x: Tensor) -> Tensor:
    """Memory for (B, H, L, d), laid out as (B, L, H, d), so that merging the heads costs nothing."""
    batch, heads, length, width = x.shape
    return x.new_empty(batch, length, heads, width).transpose(1, 2)


def _even(x: Tensor) -> Tensor:
    """With strides that are whole rows, as the kernels count them: so each row is known to be aligned."""
    width = x.shape[-1]
    return x if x.stride(-1) == 1 and not any(n % width for n in x.stride()[:3]) else x.contiguous()


def _strides(*tensors: Tensor) -> list[int]:
    """Those of batch, head and row of each tensor, in rows."""
    return [n // x.shape[-1] for x in tensors for n in x.stride()[:3]]


def _sizes(q: Tensor, k: Tensor, chosen: Tensor) -> tuple[float, int, int, int]:
    return q.shape[-1] ** -0.5, q.shape[1], k.shape[2], chosen.shape[-1]


def _constants(width: int, bytes_each: int, seen: Tensor | None) -> dict[str, Any]:
    block = max(16, triton.next_power_of_2(width))
    # What fits the registers; see tests/kernels/ahead_of_time.py.
    size = 32 if block * bytes_each > 128 else 64
    return {
        "WIDTH": width,
        "BLOCK": block,
        "QUERIES": size,
        "KEYS": size,
        "MASKED": seen is not None,
        "num_warps": 4,
        "num_stages": 2,
    }
