"""The classification task: its loss, what it does to a training batch, and logits of a set of sequences.

B batch, L length, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from seqsci.data.batch import Batch
from seqsci.tasks.base import ChosenLoss, SequenceTask


class ClassifyTask(SequenceTask):
    """Cross-entropy; validation by the flat log loss, the mean over classes of each class's mean log loss.

    With the loss "balanced" an object weighs 1 / (K share of its class), so that in the mean over a training split
    the flat log loss is minimised; the shares are those of the whole training split (the published code took those
    of each batch, which makes the loss of a rare class a matter of luck).

    Args:
        network: gives (B, K) logits.
        optimisation: of the training.
        steps: of an epoch.
        counts: (K,) objects of each class in the training split.
        cut: share of the training sequences that are cut off at a random time after their first detection.
        thin: a training sequence loses a random share of its steps, at most this.
    """

    counts: Tensor

    def __init__(
        self, network: nn.Module, optimisation: ChosenLoss, steps: int, counts: Tensor, cut: float, thin: float
    ) -> None:
        super().__init__(network, optimisation, steps)
        self.kind = optimisation.loss
        self.register_buffer("counts", counts.double(), persistent=False)
        self.cut, self.thin = cut, thin

    def loss(self, batch: Batch) -> Tensor:
        """Mean weighted cross-entropy of a batch, some of its sequences cut short or thinned."""
        assert batch.target is not None
        losses = F.cross_entropy(self.network(self._augmented(batch)), batch.target, reduction="none")
        if self.kind == "plain":
            return losses.mean()
        weight = self.counts.sum() / (len(self.counts) * self.counts)
        return (losses * weight.float()[batch.target]).mean()

    def begin(self) -> None:
        """No sums yet."""
        self._sums = torch.zeros(2, len(self.counts), dtype=torch.float64, device=self.device)

    def collect(self, batch: Batch) -> None:
        """Add the losses of a batch to the sums of their classes."""
        assert batch.target is not None
        losses = F.cross_entropy(self.network(batch), batch.target, reduction="none").double()
        self._sums[0].index_add_(0, batch.target, losses)
        self._sums[1].index_add_(0, batch.target, torch.ones_like(losses))

    def conclude(self) -> float:
        """The mean over the classes that occur."""
        total, count = self._sums
        return float((total / count)[count > 0].mean())

    def _augmented(self, batch: Batch) -> Batch:
        """Drawn in the step itself, from the generator that a resume point keeps."""
        mask = batch.mask
        if self.cut > 0:
            mask = _unless_empty(mask & (batch.times[..., 0] <= self._until(batch)), mask)
        if self.thin > 0:
            share = self.thin * torch.rand(len(mask), 1, device=mask.device)
            mask = _unless_empty(mask & (torch.rand(mask.shape, device=mask.device) >= share), mask)
        return replace(batch, mask=mask)

    def _until(self, batch: Batch) -> Tensor:
        """(B, 1) days after which nothing is shown: infinite, or even in the logarithm from 1 day to the last step."""
        count, device = len(batch), batch.times.device
        last = batch.times[..., 0].amax(1).clamp(min=2)
        days = last ** torch.rand(count, device=device)
        chosen = torch.rand(count, device=device) < self.cut
        return torch.where(chosen, days, torch.inf).unsqueeze(1)


def _unless_empty(mask: Tensor, other: Tensor) -> Tensor:
    return torch.where(mask.any(1, keepdim=True), mask, other)


@torch.inference_mode()
def predict(network: nn.Module, batches: Iterable[Batch], classes: int) -> NDArray[np.float64]:
    """(W, K) logits in the order of `Batch.index`, in evaluation mode, on the network's device."""
    network.eval()
    device = next(network.parameters()).device
    logits, places = [np.zeros((0, classes))], [np.zeros(0, dtype=np.int64)]
    for batch in batches:
        logits.append(network(batch.to(device)).double().cpu().numpy())
        places.append(batch.index.numpy())
    found = np.concatenate(logits)
    found[np.concatenate(places)] = found.copy()
    return found
