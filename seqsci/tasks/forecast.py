"""The forecasting task: loss, schedule and the scores of a set of forecasts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqsci.data.batch import Batch

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]


class Optimisation(Protocol):
    """The part of a recipe's `train` block that the task reads."""

    @property
    def epochs(self) -> int: ...  # noqa: D102
    @property
    def lr(self) -> float: ...  # noqa: D102
    @property
    def weight_decay(self) -> float: ...  # noqa: D102
    @property
    def schedule(self) -> str: ...  # noqa: D102
    @property
    def loss(self) -> str: ...  # noqa: D102


class ForecastTask(pl.LightningModule):
    """Direct multi-step forecasting: the network gives all H steps at once, the loss is their mean error.

    Only observed targets count, in training as in validation. The validation loss is the mean over
    window x step x channel of the whole split, not a mean of batch means.
    """

    def __init__(self, network: nn.Module, optimisation: Optimisation) -> None:
        super().__init__()
        self.network = network
        self.optimisation = optimisation
        self._sums = [0.0, 0.0]

    def forward(self, batch: Batch) -> Tensor:
        """(B, H, C_out)."""
        return self.network(batch)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean loss of a batch."""
        total, count = self._error(batch)
        loss = total / count.clamp(min=1)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.global_step}; a smaller train.lr or train.clip 1 helps"
            )
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(batch))
        return loss

    def on_validation_epoch_start(self) -> None:
        """Begin the sums anew."""
        self._sums = [0.0, 0.0]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add to the sums."""
        total, count = self._error(batch)
        self._sums[0] += float(total)
        self._sums[1] += float(count)

    def on_validation_epoch_end(self) -> None:
        """Log the mean."""
        self.log("val_loss", self._sums[0] / max(self._sums[1], 1.0))

    def configure_optimizers(self) -> Any:
        """Adam, or AdamW with weight decay, with the learning rate set once an epoch."""
        settings = self.optimisation
        kind = torch.optim.AdamW if settings.weight_decay else torch.optim.Adam
        optimizer = kind(self.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return [optimizer], [{"scheduler": scheduler, "interval": "epoch"}]

    def _rate(self, epoch: int) -> float:
        if self.optimisation.schedule == "halve":
            # The published code takes the full rate for two epochs and halves it after each further one.
            return 0.5 ** max(epoch - 1, 0)
        if self.optimisation.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * min(epoch / self.optimisation.epochs, 1)))
        return 1.0

    def _error(self, batch: Batch) -> tuple[Tensor, Tensor]:
        assert batch.target is not None and batch.target_mask is not None
        difference = (self.network(batch).float() - batch.target) * batch.target_mask
        power = difference.abs() if self.optimisation.loss == "mae" else difference.square()
        return power.sum(), batch.target_mask.sum()


@torch.inference_mode()
def predict(network: nn.Module, batches: Iterable[Batch]) -> NDArray[np.float32]:
    """(W, H, C_out) forecasts in scaled units, in float32 and evaluation mode, on the network's device."""
    network.eval()
    device = next(network.parameters()).device
    return np.concatenate([network(batch.to(device)).float().cpu().numpy() for batch in batches])


@dataclass(frozen=True)
class Score:
    """Errors of one set of forecasts on one split, in scaled units where nothing else is said.

    `by_step (H,)` is the mean squared error of each step, `by_window (W,)` that of each window, and
    `raw_mae`, `raw_rmse` hold (C_out,) errors in the units of the file.
    """

    mse: float
    mae: float
    by_step: Floats
    by_window: Floats
    raw_mae: Floats
    raw_rmse: Floats


def score(forecast: Floats, target: Floats, observed: Mask, scale: Floats) -> Score:
    """Score (W, H, C) forecasts: the mean over window x step x channel, of observed targets alone.

    Args:
        forecast, target: (W, H, C) scaled.
        observed: (W, H, C).
        scale: (C,) standard deviation that one scaled unit stands for.
    """
    error = np.where(observed, forecast.astype(np.float64) - target, 0.0)
    squared, absolute = error**2, np.abs(error)
    total = max(int(observed.sum()), 1)
    by_channel = np.maximum(observed.sum((0, 1)), 1)
    return Score(
        mse=float(squared.sum() / total),
        mae=float(absolute.sum() / total),
        by_step=squared.sum((0, 2)) / np.maximum(observed.sum((0, 2)), 1),
        by_window=squared.sum((1, 2)) / np.maximum(observed.sum((1, 2)), 1),
        raw_mae=absolute.sum((0, 1)) / by_channel * scale,
        raw_rmse=np.sqrt(squared.sum((0, 1)) / by_channel) * scale,
    )
