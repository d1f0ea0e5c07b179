"""What every task does alike: log the loss of a step, the validation loss of a whole split, and the learning rate."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from seqsci.data.batch import Batch

WARM = 0.1
"""Share of all steps in which the rate rises, for the schedule "warmup"."""


class Optimisation(Protocol):
    """The part of a recipe's `train` block that a task reads."""

    @property
    def epochs(self) -> int: ...  # noqa: D102
    @property
    def lr(self) -> float: ...  # noqa: D102
    @property
    def weight_decay(self) -> float: ...  # noqa: D102
    @property
    def schedule(self) -> str: ...  # noqa: D102


class ChosenLoss(Optimisation, Protocol):
    """The same of a task that has more than one loss."""

    @property
    def loss(self) -> str: ...  # noqa: D102


class SequenceTask(pl.LightningModule, ABC):
    """A network with a loss; a task says what the loss of a batch is, and what that of the validation split.

    Args:
        network: takes a batch.
        optimisation: see `Optimisation`.
        steps: of an epoch.
    """

    def __init__(self, network: nn.Module, optimisation: Optimisation, steps: int) -> None:
        super().__init__()
        self.network = network
        self.optimisation = optimisation
        self.steps = steps
        self._losses = (0.0, 0)
        """Sum over the items of this epoch so far, and their number: both outlive a resume in its middle."""

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """What a training step minimises."""

    @abstractmethod
    def begin(self) -> None:
        """Before the validation split."""

    @abstractmethod
    def collect(self, batch: Batch) -> None:
        """A batch of the validation split."""

    @abstractmethod
    def conclude(self) -> float:
        """The loss of the whole validation split, not a mean of batch means."""

    def forward(self, batch: Batch) -> Tensor:
        """What the network says."""
        return self.network(batch)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a batch."""
        loss = self.loss(batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.global_step}; a smaller train.lr or train.clip 1 helps"
            )
        total, count = self._losses
        weight = self.weight(batch)
        self._losses = total + loss.item() * weight, count + weight
        return loss

    def weight(self, batch: Any) -> int:
        """What a batch counts in the mean loss of an epoch."""
        return len(batch)

    def words(self, loss: float, seconds: float) -> str:
        """A loss as it is spoken of, after so many seconds of training."""
        return f"{loss:.4f}"

    def on_train_epoch_start(self) -> None:
        """Begin anew; Lightning does not call it when it goes on in the middle of an epoch."""
        self._losses = (0.0, 0)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """For the resume point."""
        checkpoint["losses"] = self._losses

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """From the resume point."""
        total, count = checkpoint["losses"]
        self._losses = float(total), int(count)

    def on_validation_epoch_start(self) -> None:
        """Begin anew."""
        self.begin()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect."""
        self.collect(batch)

    def on_validation_epoch_end(self) -> None:
        """Log the loss of the split, and the mean one of the training steps before it: callbacks read both."""
        total, count = self._losses
        self.log_dict({"val_loss": self.conclude(), "train_loss": total / max(count, 1)})

    def configure_optimizers(self) -> Any:
        """Adam, or AdamW with weight decay; the learning rate changes by epoch, by step (warmup) or by the loss."""
        settings = self.optimisation
        kind = torch.optim.AdamW if settings.weight_decay else torch.optim.Adam
        optimizer = kind(self.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
        if settings.schedule == "plateau":
            lower = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=5, cooldown=5)
            return [optimizer], [{"scheduler": lower, "interval": "epoch", "monitor": "train_loss"}]
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return [optimizer], [{"scheduler": scheduler, "interval": "step" if settings.schedule == "warmup" else "epoch"}]

    def _rate(self, done: int) -> float:
        """Share of the full rate after so many epochs, or steps."""
        settings = self.optimisation
        if settings.schedule == "halve":
            # The published code takes the full rate for two epochs and halves it after each further one.
            return 0.5 ** max(done - 1, 0)
        if settings.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * min(done / settings.epochs, 1)))
        if settings.schedule == "warmup":
            total = settings.epochs * self.steps
            rise = max(WARM * total, 1)
            fall = min(max(done - rise, 0) / max(total - rise, 1), 1)
            return min((done + 1) / rise, 0.5 * (1 + math.cos(math.pi * fall)))
        return 1.0
