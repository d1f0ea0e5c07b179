"""The definition of the sLSTM recurrence, written to be read beside the paper: one step after another.

B batch, T steps, H heads, D head width. The gates stand in the order i, f, z, o.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

HALF = (torch.float16, torch.bfloat16)


def slstm(
    gates: Tensor,
    recurrent: Tensor,
    bias: Tensor,
    hidden: Tensor,
    cell: Tensor,
    log_norm: Tensor,
    reset: Tensor | None,
    backward_heads: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See `seqsci_kernels.slstm.slstm`; half precision is computed in float32."""
    kind = gates.dtype
    if kind in HALF:
        gates, recurrent, bias = gates.float(), recurrent.float(), bias.float()
    gates = gates + bias
    ahead = gates.shape[2] - backward_heads
    gates = torch.cat([gates[:, :, :ahead], gates[:, :, ahead:].flip(1)], 2)
    fresh = None if reset is None else fresh_heads(reset, ahead, backward_heads)
    out, *final = _forward_in_time(gates, recurrent, hidden, cell, log_norm, fresh)
    out = torch.cat([out[:, :, :ahead], out[:, :, ahead:].flip(1)], 2)
    return out.to(kind), final[0], final[1], final[2]


def fresh_heads(reset: Tensor, ahead: int, back: int) -> Tensor:
    """(B, T, H) bool, in the order in which each head walks: the state is empty before this step.

    A head that walks backwards enters a sequence at its end, one step before the next one's start.
    """
    ends = F.pad(reset[:, 1:], (0, 1)).flip(1)
    return torch.cat([reset.unsqueeze(-1).expand(-1, -1, ahead), ends.unsqueeze(-1).expand(-1, -1, back)], -1)


def _forward_in_time(
    gates: Tensor, recurrent: Tensor, h: Tensor, cell: Tensor, log_norm: Tensor, fresh: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    # The state of the paper, scaled so that n = 1; the empty state is n = 0, m = -inf.
    c, n, m = cell, (log_norm > -torch.inf).to(cell.dtype), log_norm
    out = []
    # unbind, not gates[:, t]: the gradient of an index is as large as the whole tensor, at each step.
    starts = [None] * gates.shape[1] if fresh is None else fresh.unsqueeze(-1).unbind(1)
    for gate, start in zip(gates.unbind(1), starts, strict=True):
        if start is not None:
            h, c, n = h.masked_fill(start, 0), c.masked_fill(start, 0), n.masked_fill(start, 0)
            m = m.masked_fill(start, -torch.inf)
        i, f, z, o = (gate + torch.einsum("bhk,hkgd->bhgd", h, recurrent)).unbind(2)
        log_f = F.logsigmoid(f)
        stabiliser = torch.maximum(i, log_f + m)
        i, f = torch.exp(i - stabiliser), torch.exp(log_f + m - stabiliser)
        c, n, m = f * c + i * torch.tanh(z), f * n + i, stabiliser
        h = torch.sigmoid(o) * c / n
        out.append(h)
    return torch.stack(out, 1), h, c / n, m + n.log()
