"""The forecasting task: its loss, and the scores of a set of forecasts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqsci.data.batch import Batch
from seqsci.tasks.base import ChosenLoss, SequenceTask

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]


class ForecastTask(SequenceTask):
    """Direct multi-step forecasting: the network gives all H steps at once, the loss is their mean error.

    Only observed targets count, in training as in validation: the mean is over window x step x channel.
    """

    def __init__(self, network: nn.Module, optimisation: ChosenLoss, steps: int) -> None:
        super().__init__(network, optimisation, steps)
        self.kind = optimisation.loss

    def loss(self, batch: Batch) -> Tensor:
        """Mean error of a batch."""
        total, count = self._error(batch)
        return total / count.clamp(min=1)

    def begin(self) -> None:
        """No sums yet."""
        self._sums = [0.0, 0.0]

    def collect(self, batch: Batch) -> None:
        """Add to the sums."""
        total, count = self._error(batch)
        self._sums[0] += float(total)
        self._sums[1] += float(count)

    def conclude(self) -> float:
        """The mean."""
        return self._sums[0] / max(self._sums[1], 1.0)

    def _error(self, batch: Batch) -> tuple[Tensor, Tensor]:
        assert batch.target is not None and batch.target_mask is not None
        difference = (self.network(batch).float() - batch.target) * batch.target_mask
        power = difference.abs() if self.kind == "mae" else difference.square()
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
    `raw_mae`, `raw_rmse` hold (C_out,) errors in the units of the file. NaN where nothing was observed.
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

    def mean(errors: Floats, *axes: int) -> Floats:
        counts = observed.sum(axes)
        return np.where(counts > 0, errors.sum(axes) / np.maximum(counts, 1), np.nan)

    return Score(
        mse=float(mean(squared, 0, 1, 2)),
        mae=float(mean(absolute, 0, 1, 2)),
        by_step=mean(squared, 0, 2),
        by_window=mean(squared, 1, 2),
        raw_mae=mean(absolute, 0, 1) * scale,
        raw_rmse=np.sqrt(mean(squared, 0, 1)) * scale,
    )
