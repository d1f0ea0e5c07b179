"""What makes a forward and a backward function one differentiable operator that torch.compile does not look into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

HALF = (torch.float16, torch.bfloat16)
SAVED = 5
"""Numbers kept for the backward pass, of each unit and step: share, value, output, slope of forgetting, cell."""

Forward = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor | None, int, bool], tuple[Tensor, Tensor, Tensor]]
"""(gates, recurrent, bias, initial, reset, backward heads, keep) -> (h, kept, final)."""
Backward = Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]]
"""(h's gradient, final's gradient, recurrent, initial, reset, kept, backward heads, heads first) -> gradients."""


def wide(kind: torch.dtype) -> torch.dtype:
    """The type of state and sums: float32 for half precision."""
    return torch.float32 if kind in HALF else kind


def like_gates(grad: Tensor, width: int, heads_first: bool) -> Tensor:
    """Memory for the gradient of the gates (B, T, H, 4, D), laid out as the gates were."""
    batch, steps, heads, _ = grad.shape
    if heads_first:
        return grad.new_empty(heads, batch, steps, 4, width).permute(1, 2, 0, 3, 4)
    return grad.new_empty(batch, steps, heads, 4, width)


def differentiable(name: str, forward: Forward, backward: Backward) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """The operator `seqsci_kernels::slstm_<name>` of (gates, recurrent, bias, initial, reset, backward_heads, keep).

    `initial` and `final` are (3, B, H, D): hidden, cell, log_norm.
    """
    op = torch.library.custom_op(
        f"seqsci_kernels::slstm_{name}",
        forward,
        mutates_args=(),
        schema="(Tensor gates, Tensor recurrent, Tensor bias, Tensor initial, Tensor? reset,"
        " int backward_heads, bool keep) -> (Tensor, Tensor, Tensor)",
    )
    back = torch.library.custom_op(
        f"seqsci_kernels::slstm_{name}_backward",
        backward,
        mutates_args=(),
        schema="(Tensor grad, Tensor final_grad, Tensor recurrent, Tensor initial, Tensor? reset, Tensor kept,"
        " int backward_heads, bool heads_first) -> (Tensor, Tensor, Tensor, Tensor)",
    )
    op.register_fake(_shapes)
    back.register_fake(_gradient_shapes)

    def remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        gates, recurrent, _, initial, reset, ctx.backward_heads, _ = inputs
        ctx.heads_first = gates.stride(2) > gates.stride(1)
        ctx.shape = output[0].shape
        ctx.save_for_backward(recurrent, initial, reset, output[1])
        # Otherwise `kept`, which nobody uses, gets a gradient of its own size, full of zeros.
        ctx.set_materialize_grads(False)

    def gradients(
        ctx: Any, grad: Tensor | None, _: Tensor | None, final_grad: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        recurrent, initial, reset, kept = ctx.saved_tensors
        grad = recurrent.new_zeros(ctx.shape) if grad is None else grad
        final_grad = torch.zeros_like(initial) if final_grad is None else final_grad
        found = back(grad, final_grad, recurrent, initial, reset, kept, ctx.backward_heads, ctx.heads_first)
        return (*found, None, None, None)

    op.register_autograd(gradients, setup_context=remember)
    return op


def _shapes(
    gates: Tensor,
    recurrent: Tensor,
    bias: Tensor,
    initial: Tensor,
    reset: Tensor | None,
    backward_heads: int,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    batch, steps, heads, _, width = gates.shape
    kept = initial.new_empty(heads, steps, SAVED, batch, width) if keep else initial.new_empty(0)
    return gates.new_empty(batch, steps, heads, width), kept, torch.empty_like(initial)


def _gradient_shapes(
    grad: Tensor,
    final_grad: Tensor,
    recurrent: Tensor,
    initial: Tensor,
    reset: Tensor | None,
    kept: Tensor,
    backward_heads: int,
    heads_first: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    heads, width = grad.shape[2:]
    gates_grad = like_gates(grad, width, heads_first)
    return gates_grad, torch.empty_like(recurrent), recurrent.new_empty(heads, 4, width), torch.empty_like(initial)
