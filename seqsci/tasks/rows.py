"""Something to say of whole rows of tokens: a class, or a number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from seqsci.data.batch import TokenBatch
from seqsci.tasks.base import Optimisation, SequenceTask

Kind = Literal["classes", "number"]


class RowTask(SequenceTask):
    """Cross-entropy of classes, or the squared error of a standardised number; in validation the same.

    Args:
        network: gives (B, K) logits, or (B, 1).
        optimisation: of the training.
        steps: of an epoch.
        kind: what is said.
        frozen: only the head learns; what it reads is then what it reads in evaluation, without dropout.
        initial: puts a pretrained model's weights into the network; called when training begins anew, not when it is
            resumed.
        scale: standard deviation of the number, in the units of its column.
    """

    def __init__(
        self,
        network: nn.Module,
        optimisation: Optimisation,
        steps: int,
        kind: Kind,
        *,
        frozen: bool = False,
        initial: Callable[[nn.Module], None] | None = None,
        scale: float = 1.0,
    ) -> None:
        super().__init__(network, optimisation, steps)
        self.kind, self.frozen, self.initial, self.scale = kind, frozen, initial, scale
        if frozen:
            self.network.language.requires_grad_(False)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Everything comes from the resume point."""
        super().on_load_checkpoint(checkpoint)
        self.initial = None

    def on_train_start(self) -> None:
        """Weights to begin with, in place of the random ones."""
        if self.initial is not None:
            self.initial(self.network)

    def train(self, mode: bool = True) -> RowTask:
        """A frozen model stays in evaluation."""
        super().train(mode)
        if self.frozen:
            language: Any = self.network.language
            language.eval()
        return self

    def loss(self, batch: Any) -> Tensor:
        """Mean over the rows of a batch."""
        return self._losses_of(batch).mean()

    def begin(self) -> None:
        """No sums yet."""
        self._sum, self._count = 0.0, 0

    def collect(self, batch: Any) -> None:
        """Add the losses of a batch."""
        self._sum += float(self._losses_of(batch).double().sum())
        self._count += len(batch)

    def conclude(self) -> float:
        """Mean over the rows of the split."""
        return self._sum / self._count

    def words(self, loss: float, seconds: float) -> str:
        """A number's squared error, and its root in the units of the column."""
        return f"{loss:.4f}" if self.kind == "classes" else f"{loss:.4f} (RMSE {math.sqrt(loss) * self.scale:.4g})"

    def _losses_of(self, batch: TokenBatch) -> Tensor:
        assert batch.label is not None
        said = self.network(batch)
        if self.kind == "classes":
            return F.cross_entropy(said, batch.label, reduction="none")
        return (said[:, 0] - batch.label).square()


@torch.inference_mode()
def say(network: nn.Module, batches: Iterable[TokenBatch], rows: int, outputs: int) -> NDArray[np.float64]:
    """(R, K) what a network says of each row, in evaluation mode, on its device."""
    network.eval()
    device = next(network.parameters()).device
    found = np.zeros((rows, outputs))
    for batch in batches:
        found[batch.index.numpy()] = network(batch.to(device)).double().cpu().numpy()
    return found
