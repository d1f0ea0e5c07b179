"""The position-wise network of a transformer layer."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from seqsci_kernels import elementwise, native
from torch import Tensor, nn

from seqsci.nn.dropout import dropout, fate
from seqsci.nn.precision import product_dtype

ROWS = 512
"""Rows that are computed at a time: what stands between the two products then stays in the cache."""
GATED_ROWS = 128
"""The same for the gated network, which has more that stands between."""
DROPPED = 1e4
"""Taken off before GELU from what is dropped: GELU and its slope are then 0, exactly, and no mask is kept."""


class FeedForward(nn.Module):
    """W2 drop(GELU(W1 x + b1)) + b2 on every step (Vaswani et al. 2017, eq. 2, with GELU).

    Args:
        width: D of input and output.
        inner: width between the two products.
        p: probability of the dropout.
    """

    def __init__(self, width: int, inner: int, p: float) -> None:
        super().__init__()
        self.expand = nn.Linear(width, inner)
        self.contract = nn.Linear(inner, width)
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        if x.device.type == "cpu" and torch.is_grad_enabled():
            kind = product_dtype(x)
            weights = (self.expand.weight, self.expand.bias, self.contract.weight, self.contract.bias)
            p = self.p if self.training else 0.0
            out: Tensor = _InRows.apply(x.to(kind), *(w.to(kind) for w in weights), p)  # type: ignore[no-untyped-call]
            return out
        return self.contract(dropout(F.gelu(self.expand(x)), self.p, self.training))


class _InRows(torch.autograd.Function):
    """The two products for ROWS rows at a time.

    Of the inner activations only those before GELU are kept for the way back: the rest is cheaper to compute
    again than to store and fetch.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, p: float) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        inner = rows.new_empty(len(rows), len(b1))
        out = rows.new_empty(len(rows), len(b2))
        scale = 1.0
        with torch.autocast("cpu", enabled=False):
            for start in range(0, len(rows), ROWS):
                part = slice(start, start + ROWS)
                active = inner[part]
                if p:
                    gone, scale = fate(active, p)
                    torch.add(b1, gone, alpha=DROPPED, out=active).addmm_(rows[part], w1.t())
                else:
                    torch.addmm(b1, rows[part], w1.t(), out=active)
                torch.addmm(b2, F.gelu(active), w2.t(), alpha=scale, out=out[part])
        ctx.save_for_backward(rows, inner, w1, w2)
        ctx.scale, ctx.shape = scale, x.shape
        return out.view(x.shape)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, inner, w1, w2 = ctx.saved_tensors
        grad = grad.reshape(-1, grad.shape[-1])
        dx = torch.empty_like(rows)
        dw1, dw2, db1 = torch.zeros_like(w1), torch.zeros_like(w2), w1.new_zeros(len(w1))
        for start in range(0, len(rows), ROWS):
            part = slice(start, start + ROWS)
            dw2.addmm_(grad[part].t(), F.gelu(inner[part]), alpha=ctx.scale)
            back = torch.ops.aten.gelu_backward(grad[part] @ w2, inner[part])
            dw1.addmm_(back.t(), rows[part], alpha=ctx.scale)
            db1.add_(back.sum(0), alpha=ctx.scale)
            torch.addmm(rows[part], back, w1, beta=0, alpha=ctx.scale, out=dx[part])
        return dx.view(ctx.shape), dw1, db1, dw2, grad.sum(0), None


class GatedFeedForward(nn.Module):
    """W_down (act(W_gate x) * W_up x) on every step (Shazeer 2020, arXiv 2002.05202), without offsets.

    Args:
        width: D of input and output.
        inner: I, width between the products.
        activation: of the gate.
    """

    def __init__(self, width: int, inner: int, activation: Literal["gelu", "silu"]) -> None:
        super().__init__()
        self.expand = nn.Linear(width, 2 * inner, bias=False)  # W_gate above W_up
        self.contract = nn.Linear(inner, width, bias=False)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        silu = self.activation == "silu"
        if x.device.type == "cpu" and torch.is_grad_enabled():
            kind = product_dtype(x)
            weights = self.expand.weight.to(kind), self.contract.weight.to(kind)
            out: Tensor = _GatedInRows.apply(x.to(kind), *weights, silu)  # type: ignore[no-untyped-call]
            return out
        gate, up = self.expand(x).chunk(2, -1)
        return self.contract((F.silu(gate) if silu else F.gelu(gate)) * up)


class _GatedInRows(torch.autograd.Function):
    """The gated network for GATED_ROWS rows at a time; of the inner activations the two products alone are kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w1: Tensor, w2: Tensor, silu: bool) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        inner = rows.new_empty(len(rows), len(w1))
        native.large_pages(inner)
        out = rows.new_empty(len(rows), len(w2))
        ctx.one_pass = silu and elementwise.usable(inner)
        with torch.autocast("cpu", enabled=False):
            for start in range(0, len(rows), GATED_ROWS):
                part = slice(start, start + GATED_ROWS)
                both = torch.mm(rows[part], w1.t(), out=inner[part])
                torch.mm(_activated(both, silu, ctx.one_pass), w2.t(), out=out[part])
        ctx.save_for_backward(rows, inner, w1, w2)
        ctx.silu, ctx.shape = silu, x.shape
        return out.view(x.shape)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, inner, w1, w2 = ctx.saved_tensors
        grad = grad.reshape(-1, grad.shape[-1])
        dx, dw1, dw2 = (torch.empty_like(x) if len(rows) else torch.zeros_like(x) for x in (rows, w1, w2))
        for start in range(0, len(rows), GATED_ROWS):
            part = slice(start, start + GATED_ROWS)
            active, both = _activated_back(inner[part], grad[part] @ w2, ctx.silu, ctx.one_pass)
            # Nothing is added to what the first rows give.
            torch.addmm(dw2, grad[part].t(), active, beta=start > 0, out=dw2)
            torch.addmm(dw1, both.t(), rows[part], beta=start > 0, out=dw1)
            torch.mm(both, w1, out=dx[part])
        return dx.view(ctx.shape), dw1, dw2, None


def _activated(inner: Tensor, silu: bool, one_pass: bool) -> Tensor:
    """act(gate) * up of inner = [gate, up] (N, 2 I)."""
    gate, up = inner.chunk(2, 1)
    if one_pass:
        out = inner.new_empty(gate.shape)
        elementwise.cpu.swiglu(inner, out)
        return out
    return (F.silu(gate) if silu else F.gelu(gate)).mul_(up)


def _activated_back(inner: Tensor, grad: Tensor, silu: bool, one_pass: bool) -> tuple[Tensor, Tensor]:
    """act(gate) * up (N, I) again, in memory of its gradient, and the gradient of [gate, up] (N, 2 I)."""
    both = torch.empty_like(inner)
    if one_pass:
        elementwise.cpu.swiglu_back(inner, grad, both)
        return grad, both
    (gate, up), (d_gate, d_up) = inner.chunk(2, 1), both.chunk(2, 1)
    active = F.silu(gate) if silu else F.gelu(gate)
    torch.mul(grad, active, out=d_up)
    slope = torch.ops.aten.silu_backward if silu else torch.ops.aten.gelu_backward
    slope.grad_input(grad.mul_(up), gate, grad_input=d_gate)
    return active.mul_(up), both
