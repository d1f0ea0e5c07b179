"""What makes a forward and a backward function one differentiable operator that torch.compile does not look into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seqsci_kernels.mlstm.reference import Options, State

Forward = Callable[..., tuple[Tensor, State, Tensor]]
"""(q, k, v, log_input, log_forget, initial, cu_seqlens, options) -> h, the final state and r.

r `(B, H, S)` is n . q of the unscaled queries, in units of exp(m).
"""
Backward = Callable[..., Sequence[Tensor]]
"""(dh, gradients of the final state or None, h, r, final, *arguments of forward) -> eight gradients, C, n, m last."""


def differentiable(name: str, forward: Forward, backward: Backward) -> Callable[..., tuple[Tensor, State]]:
    """See `seqsci_kernels.mlstm.mlstm`: one opaque operation, `seqsci::mlstm_<name>`, that keeps h and r alone."""

    def run(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        log_input: Tensor,
        log_forget: Tensor,
        C: Tensor,
        n: Tensor,
        m: Tensor,
        cu_seqlens: Tensor | None,
        scale: float,
        normalize: bool,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        # Autocast would turn back to half precision what is summed in float32.
        with torch.autocast(q.device.type, enabled=False):
            given = q, k, v, log_input, log_forget, State(C, n, m), cu_seqlens, Options(scale, normalize, eps)
            h, final, r = forward(*given)
        return h, *final, r

    def run_back(
        dh: Tensor,
        dC: Tensor | None,
        dn: Tensor | None,
        dm: Tensor | None,
        h: Tensor,
        r: Tensor,
        C_end: Tensor,
        n_end: Tensor,
        m_end: Tensor,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        log_input: Tensor,
        log_forget: Tensor,
        C: Tensor,
        n: Tensor,
        m: Tensor,
        cu_seqlens: Tensor | None,
        scale: float,
        normalize: bool,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        given = q, k, v, log_input, log_forget, State(C, n, m), cu_seqlens, Options(scale, normalize, eps)
        with torch.autocast(q.device.type, enabled=False):
            found = backward(dh, (dC, dn, dm), h, r, State(C_end, n_end, m_end), *given)
        return tuple(found)  # type: ignore[return-value]

    op = torch.library.custom_op(f"seqsci::mlstm_{name}", run, mutates_args=())
    back = torch.library.custom_op(f"seqsci::mlstm_{name}_backward", run_back, mutates_args=())
    op.register_fake(_shapes)
    back.register_fake(_gradient_shapes)

    def gradients(ctx: Any, dh: Tensor | None, dC: Tensor | None, dn: Tensor | None, dm: Tensor | None, _: Any) -> Any:
        saved = ctx.saved_tensors
        dh = torch.zeros_like(saved[0]) if dh is None else dh
        return (*back(dh, dC, dn, dm, *saved, *ctx.options), None, None, None, None)

    op.register_autograd(gradients, setup_context=_remember)

    def mlstm(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        log_input: Tensor,
        log_forget: Tensor,
        initial: State,
        cu_seqlens: Tensor | None,
        options: Options,
    ) -> tuple[Tensor, State]:
        h, C, n, m, _ = op(q, k, v, log_input, log_forget, *initial, cu_seqlens, *options)
        return h, State(C, n, m)

    return mlstm


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    h, C_end, n_end, m_end, r = output
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(h, r, C_end, n_end, m_end, *inputs[:9])
    ctx.options = inputs[9:]


def _shapes(q, k, v, log_input, log_forget, C, n, m, cu_seqlens, scale, normalize, eps):  # type: ignore[no-untyped-def]
    r = q.new_empty(q.shape[:3], dtype=C.dtype)
    return torch.empty_like(v), torch.empty_like(C), torch.empty_like(n), torch.empty_like(m), r


def _gradient_shapes(dh, dC, dn, dm, h, r, C_end, n_end, m_end, *inputs):  # type: ignore[no-untyped-def]
    return tuple(torch.empty_like(x) for x in inputs[:8])
