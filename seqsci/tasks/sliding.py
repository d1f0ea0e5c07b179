"""What a language model without memory says of a long text when each token may look at as much as its window holds.

T tokens, W of a window, V vocabulary.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqsci.data.batch import TokenBatch
from seqsci.errors import SeqsciError


@torch.inference_mode()
def sliding_losses(network: nn.Module, tokens: Tensor, window: int, stride: int, batch: int = 16) -> Tensor:
    """(T - 1,) nats of each token but the first, each told once, by the window in which it stands furthest back.

    Windows begin every `stride` tokens, and of each the last `stride` are told: those see W - `stride` tokens at least
    before them, where there are so many. With `stride` 1 it is a true sliding window, every token told by the W before
    it; with `stride` W segments are read apart. HMT is to beat the former.

    Args:
        network: gives (B, L, V) logits of a causal language model; it is put into evaluation mode.
        tokens: (T,) int64.
        window: W.
        stride: at most W.
        batch: windows at once.

    Raises:
        SeqsciError: a stride that leaves tokens out.
    """
    if not 1 <= stride <= window:
        raise SeqsciError(f"a stride of {stride} in a window of {window}: take 1 to {window}")
    network.eval()
    read, told = tokens[:-1], tokens[1:]
    steps = len(read)
    ends = [*range(min(window, steps), steps, stride), steps]
    found, done = torch.zeros(steps, device=tokens.device), 0
    for first in range(0, len(ends), batch):
        part = ends[first : first + batch]
        rows = torch.stack([torch.arange(end - min(window, steps), end, device=tokens.device) for end in part])
        logits = network(_batch(read[rows]))
        losses = F.cross_entropy(logits.flatten(0, 1), told[rows].flatten(), reduction="none").view(rows.shape)
        for end, own in zip(part, losses, strict=True):
            found[done:end] = own[len(own) - (end - done) :]
            done = end
    return found


def _batch(tokens: Tensor) -> TokenBatch:
    positions = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
    mask = torch.ones_like(tokens, dtype=torch.bool)
    return TokenBatch(tokens=tokens, mask=mask, positions=positions, index=torch.arange(len(tokens)))
