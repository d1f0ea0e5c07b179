"""An embedding, an encoder of the zoo and a head for what a task asks.

B rows, L steps, D width, A answers, K classes, H horizon.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqsci import registry
from seqsci.errors import SeqsciError
from seqsci.nn.embeddings import sinusoid
from seqsci.training.long_range.tasks import LongTask, Rows


class LongRangeNetwork(nn.Module):
    """What reads a task's rows.

    A class of a row is told from the mean and the largest of its states; of a pair, as in the Long Range Arena, from
    those u and v of both, their product and their difference; an answer from the state at its place; a forecast from
    the last state, or, of an encoder that changes the length, from the mean of all. An encoder that takes no positions
    gets the fixed position code of Vaswani et al. (2017).

    Args:
        task: what is read and asked.
        settings: of the encoder.

    Raises:
        SeqsciError: the encoder cannot do the task, and why.
    """

    def __init__(self, task: LongTask, settings: Any) -> None:
        super().__init__()
        kind = registry.encoder(settings.name)
        check = getattr(kind, "check", None)
        if check is not None:
            check(settings, task.length)
        self.encoder: Any = kind(settings)
        self.task, width = task, settings.width
        if task.kind == "places" and not self.encoder.length_preserving:
            raise SeqsciError("it shortens what it reads, so that it has no state at the token that is asked for")
        self.embed: nn.Module = nn.Embedding(task.symbols, width) if task.symbols else nn.Linear(1, width)
        read = {"row": 2, "pair": 8, "places": 1, "series": 1}[task.kind]
        self.head = nn.Linear(read * width, task.outputs)

    def forward(self, rows: Rows) -> Tensor:
        """(B, K), (B, A, K) or (B, H) float32."""
        states, mask = self._read(rows.inputs, rows.mask)
        return self.head(self._features(rows, states, mask)).float()

    def _features(self, rows: Rows, states: Tensor, mask: Tensor) -> Tensor:
        if self.task.kind == "places":
            return states[:, -self.task.asked :]
        if self.task.kind == "series":
            return states[:, -1] if self.encoder.length_preserving else states.mean(1)
        first = _pooled(states, mask)
        if rows.beside is None:
            return first
        second = _pooled(*self._read(*rows.beside))
        return torch.cat([first, second, first * second, first - second], -1)

    def _read(self, inputs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L) -> states (B, L', D) and which are real (B, L')."""
        missing = self.task.length - inputs.shape[1] if self.encoder.fixed_length else 0
        if missing:
            inputs, mask = F.pad(inputs, (0, missing)), F.pad(mask, (0, missing))
        if self.task.symbols:
            x = self.embed(inputs)
        else:
            values = inputs / 255 if inputs.dtype == torch.uint8 else inputs
            x = self.embed(values.unsqueeze(-1))
        if not self.encoder.positional:
            x = x + sinusoid(x.shape[1], x.shape[2], x.device)
        if self.encoder.length_preserving:
            return self.encoder(x, mask), mask
        states, real = self.encoder.encode(x, mask)
        return states, states.new_ones(states.shape[:2], dtype=torch.bool) if real is None else real


def _pooled(states: Tensor, mask: Tensor) -> Tensor:
    """(B, L', D) -> (B, 2 D)."""
    real = mask.unsqueeze(-1)
    mean = (states * real).sum(1) / real.sum(1)
    return torch.cat([mean, states.masked_fill(~real, -torch.inf).amax(1)], -1)
