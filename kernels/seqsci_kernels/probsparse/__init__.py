"""ProbSparse self-attention (Zhou et al., AAAI 2021, arXiv 2012.07436, section 3 and Algorithm 1).

Softmax attention is spent on the few queries whose scores are far from uniform; every other ("lazy") query
gets the mean of the values. Which queries those are is measured on a small sample of the keys.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import torch
from torch import Tensor

from seqsci_kernels.gpu import why_not_triton
from seqsci_kernels.probsparse import cpu, reference

BACKENDS = ("cpu", "reference", "triton")
"""Names of the implementations; "cpu" and "reference" are made of torch operations and run on any device."""
TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WIDEST = 128
"""Largest head width of the Triton kernels."""


def probsparse(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    sample: Tensor,
    *,
    top: int,
    causal: bool = False,
    key_mask: Tensor | None = None,
    last: int | None = None,
    backend: str | None = None,
) -> Tensor:
    """Exact attention for the `top` queries of largest measure M, a mean of the values for the others.

    Args:
        q: `(B, H, Lq, d)` queries, float16, bfloat16, float32 or float64; any strides.
        k: `(B, H, Lk, d)` keys.
        v: `(B, H, Lk, d)` values.
        sample: int64 numbers of the sampled keys. `(U,)`, the "shared" law: one set for all queries, as in
            Algorithm 1; M = max - mean over the sampled keys. `(Lq, U)`, the "per-query" law of the authors'
            code: M = max over the U keys minus their sum divided by the number of all keys.
        top: queries kept for each batch row and head; more than Lq means all.
        causal: query t sees keys 0..t; needs Lq == Lk. See below.
        key_mask: `(B, Lk)` bool, True for a real key. Others are never seen, sampled or averaged.
        last: give the result of the last so many queries only; the others compete all the same.
        backend: "cpu", "triton" or "reference"; by default the fastest that fits.

    Returns:
        `(B, H, Lq or last, d)` in the type of q, with scores scaled by 1/sqrt(d). A query that sees no key gets 0.

    Causal, shared law: strictly causal at every `top`. M counts the sampled keys up to t (without one,
    M = -inf); query t is kept when fewer than `top` of the queries 0..t-1 have a measure as large; a lazy
    query gets the mean of the values up to t. So the first `top` queries are always kept, `top >= Lq` keeps
    all, and top + top * ln(Lq / top) are kept in expectation.

    Causal, per-query law: what the authors' code computes. M runs over all sampled keys, the `top` largest
    of the whole sequence are kept, a lazy query gets the *sum* of the values up to t. With top < Lq the
    choice, and so an output, depends on the future.

    The choice of queries carries no gradient. Equal measures are ordered by position in the causal shared
    form and arbitrarily elsewhere.

    Raises:
        ValueError: shapes or devices that do not fit, an unknown backend, or one that this machine rules out.
        TypeError: types that do not fit.
    """
    _check(q, k, v, sample, top, causal, key_mask)
    name = pick(backend, q.device.type, q.dtype, q.shape[-1])
    queries = q.shape[2]
    wanted = queries if last is None else min(last, queries)
    out: Tensor = _module(name).probsparse(q, k, v, sample, min(top, queries), causal, key_mask, wanted)
    return out


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator, unused-ignore]
def pick(backend: str | None, device: str, dtype: torch.dtype, width: int) -> str:
    """The name of the backend to use; a ValueError that says what is wrong with the wanted one."""
    if backend is None:
        return "triton" if device == "cuda" and not why_not("triton", device, dtype, width) else "cpu"
    reason = why_not(backend, device, dtype, width)
    if reason:
        raise ValueError(f"backend: '{backend}' cannot be used: {reason}; known: {', '.join(BACKENDS)}")
    return backend


def why_not(name: str, device: str, dtype: torch.dtype = torch.float32, width: int = 1) -> str | None:
    """The reason why a backend cannot serve tensors on this kind of device, or None."""
    if name in ("cpu", "reference"):
        return None
    if name != "triton":
        return "no such backend"
    if dtype == torch.float64:
        return "it has no float64"
    if width > WIDEST:
        return f"heads of {width} are wider than {WIDEST}"
    return why_not_triton(device)


def _module(name: str) -> ModuleType:
    # Triton is imported when first used: it takes a second, and most machines have no GPU.
    return {"cpu": cpu, "reference": reference}.get(name) or import_module("seqsci_kernels.probsparse.triton")


def _check(q: Tensor, k: Tensor, v: Tensor, sample: Tensor, top: int, causal: bool, key_mask: Tensor | None) -> None:
    if q.dim() != 4 or k.dim() != 4:
        raise ValueError(f"q, k: shapes {tuple(q.shape)}, {tuple(k.shape)} are not (B, H, L, d)")
    batch, heads, queries, width = q.shape
    keys = k.shape[2]
    if k.shape != (batch, heads, keys, width) or v.shape != k.shape:
        raise ValueError(f"k, v: shapes {tuple(k.shape)}, {tuple(v.shape)} do not fit q {tuple(q.shape)}")
    if sample.dim() not in (1, 2) or (sample.dim() == 2 and len(sample) != queries) or not sample.shape[-1]:
        raise ValueError(f"sample: shape {tuple(sample.shape)} is neither (U,) nor (Lq, U), Lq {queries}, U > 0")
    if top < 1:
        raise ValueError(f"top: {top} is not positive")
    if causal and queries != keys:
        raise ValueError(f"causal: needs as many queries as keys, not {queries} and {keys}")
    if key_mask is not None and key_mask.shape != (batch, keys):
        raise ValueError(f"key_mask: shape {tuple(key_mask.shape)} is not (B, Lk) = {(batch, keys)}")
    _check_types(q, k=k, v=v, sample=sample, key_mask=key_mask)


def _check_types(q: Tensor, **others: Tensor | None) -> None:
    wanted = {"k": q.dtype, "v": q.dtype, "sample": torch.int64, "key_mask": torch.bool}
    if q.dtype not in TYPES:
        raise TypeError(f"q: {q.dtype} is none of {', '.join(str(kind) for kind in TYPES)}")
    for name, x in others.items():
        if x is not None and x.dtype != wanted[name]:
            raise TypeError(f"{name}: {x.dtype}, not {wanted[name]}")
        if x is not None and x.device != q.device:
            raise ValueError(f"{name}: on {x.device}, but q is on {q.device}")
