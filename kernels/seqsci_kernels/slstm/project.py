"""What the input gives to the gates, by heads, in the memory that the recurrence reads fastest.

One product for each head. On a CPU most of the time of a plain batched product goes into the first touch of its result
(16 MB at T 512, batch 8, width 256) and into a copy of the input's gradient; both are spared here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqsci_kernels import native


def project(x: Tensor, weight: Tensor) -> Tensor:
    """Gates `(B, T, H, 4, D)` of `x` `(B, T, H, K)` by `weight` `(H, K, 4, D)`: sum over k of x[k] weight[k].

    The result is a view of `(H, B, T, 4, D)`, in the type of x.

    Raises:
        ValueError: shapes or devices that do not fit.
        TypeError: types that differ.
    """
    if x.dim() != 4 or not x.numel():
        raise ValueError(f"x: shape {tuple(x.shape)} is not (B, T, H, K), none of them 0")
    heads, width = x.shape[2:]
    if weight.dim() != 4 or weight.shape[:3] != (heads, width, 4):
        raise ValueError(f"weight: shape {tuple(weight.shape)} is not (H, K, 4, D) = {(heads, width, 4, 'D')}")
    if weight.dtype != x.dtype:
        raise TypeError(f"weight: {weight.dtype}, but x is {x.dtype}")
    if weight.device != x.device:
        raise ValueError(f"weight: on {weight.device}, but x is on {x.device}")
    if x.device.type != "cpu":
        return torch.einsum("bthk,hkgd->hbtgd", x, weight).permute(1, 2, 0, 3, 4)
    gates: Tensor = _project(x, weight)
    return gates


@torch.library.custom_op("seqsci_kernels::slstm_project", mutates_args=(), schema="(Tensor x, Tensor weight) -> Tensor")
def _project(x: Tensor, weight: Tensor) -> Tensor:
    gates = _gates(x, weight)
    native.large_pages(gates)
    for rows, matrix, out in zip(_heads(x), _matrices(weight), _heads_of_gates(gates), strict=True):
        torch.mm(rows, matrix, out=out)
    return gates


@torch.library.custom_op(
    "seqsci_kernels::slstm_project_backward",
    mutates_args=(),
    schema="(Tensor grad, Tensor x, Tensor weight) -> (Tensor, Tensor)",
)
def _project_backward(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    x_grad = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    weight_grad = torch.empty(weight.shape, dtype=x.dtype, device=x.device)
    heads = zip(_heads(x), _matrices(weight), _heads_of_gates(grad), strict=True)
    for n, (rows, matrix, slope) in enumerate(heads):
        torch.mm(slope, matrix.t(), out=_heads(x_grad)[n])
        torch.mm(rows.t(), slope, out=weight_grad[n].flatten(1))
    return x_grad, weight_grad


@_project.register_fake
def _gates(x: Tensor, weight: Tensor) -> Tensor:
    """Memory for the gates."""
    batch, steps, heads, _ = x.shape
    return x.new_empty(heads, batch, steps, 4, weight.shape[-1]).permute(1, 2, 0, 3, 4)


@_project_backward.register_fake
def _gradient_shapes(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), weight.new_empty(weight.shape)


def _remember(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
    x_grad, weight_grad = _project_backward(grad, *ctx.saved_tensors)
    return x_grad, weight_grad


_project.register_autograd(_gradients, setup_context=_remember)


def _heads(x: Tensor) -> tuple[Tensor, ...]:
    """(B T, K) of each head, without a copy where rows lie evenly."""
    return x.flatten(0, 1).unbind(1)


def _matrices(weight: Tensor) -> tuple[Tensor, ...]:
    return weight.flatten(2).unbind(0)


def _heads_of_gates(gates: Tensor) -> tuple[Tensor, ...]:
    """(B T, 4 D) of each head, without a copy for what `_gates` made."""
    return gates.permute(2, 0, 1, 3, 4).flatten(3).flatten(1, 2).unbind(0)
