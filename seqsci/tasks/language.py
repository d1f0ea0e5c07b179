"""Language: the loss of tokens that are to be told, in nats per token."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from seqsci.data.batch import TokenBatch
from seqsci.tasks.base import Optimisation, SequenceTask


class LanguageTask(SequenceTask):
    """Cross-entropy over the tokens that are asked for.

    Args:
        network: gives (B, L, V) logits.
        optimisation: of the training.
        steps: of an epoch.
        initial: puts another run's weights into the network; called when training begins anew, not when it is resumed.
    """

    def __init__(
        self,
        network: nn.Module,
        optimisation: Optimisation,
        steps: int,
        initial: Callable[[nn.Module], None] | None = None,
    ) -> None:
        super().__init__(network, optimisation, steps)
        self.initial = initial
        self.read = 0
        """Tokens that training steps of this process have read."""

    def setup(self, stage: str) -> None:
        """Weights to begin with: before the optimizer is made, and before a resume point is read."""
        if self.initial is not None and self.trainer.ckpt_path is None:
            self.initial(self.network)

    def loss(self, batch: Any) -> Tensor:
        """Mean over the tokens of a batch."""
        self.read += int(batch.mask.sum())
        losses = token_losses(self.network, batch)
        return losses.sum() / batch.target_mask.sum()

    def weight(self, batch: Any) -> int:
        """Tokens that are asked for."""
        return int(batch.target_mask.sum())

    def begin(self) -> None:
        """No sums yet."""
        self._sum, self._count = 0.0, 0

    def collect(self, batch: Any) -> None:
        """Add the losses of a batch."""
        self._sum += float(token_losses(self.network, batch).double().sum())
        self._count += self.weight(batch)

    def conclude(self) -> float:
        """Nats per token of the split."""
        return self._sum / self._count

    def words(self, loss: float, seconds: float) -> str:
        """A loss in nats and bits, and the speed of training."""
        speed = f", {self.read / seconds:,.0f} tokens/s" if self.read and seconds > 0 else ""
        return f"{loss:.4f} nats ({loss / math.log(2):.4f} bits) per token{speed}"


def token_losses(network: nn.Module, batch: TokenBatch) -> Tensor:
    """(B, L) nats, 0 where nothing is asked."""
    assert batch.target is not None and batch.target_mask is not None
    logits = network(batch)
    losses = F.cross_entropy(logits.flatten(0, 1), batch.target.flatten(), reduction="none")
    return losses.view(batch.target.shape) * batch.target_mask


@torch.inference_mode()
def row_losses(network: nn.Module, batches: Iterable[TokenBatch], rows: int) -> NDArray[np.float64]:
    """(R, 2) nats and tokens asked for of each row, in evaluation mode, on the network's device."""
    network.eval()
    device = next(network.parameters()).device
    found = np.zeros((rows, 2))
    for batch in batches:
        batch = batch.to(device)
        assert batch.target_mask is not None
        sums = torch.stack([token_losses(network, batch).double().sum(1), batch.target_mask.double().sum(1)], 1)
        found[batch.index.cpu().numpy()] = sums.cpu().numpy()
    return found
