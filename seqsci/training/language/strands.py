"""What a model says of a piece of DNA and of its reverse complement, taken together (post-hoc conjoining)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from seqsci.data.batch import TokenBatch
from seqsci.nn.language import mirrored, other_strand
from seqsci.tasks.language import row_losses
from seqsci.training.language.rows import Written

Floats = NDArray[np.float64]
BATCH = 64


def strand_losses(network: nn.Module, rows: Written, strands: str) -> Floats:
    """(R, 2) nats and tokens of each row; "both" takes the two strands together.

    Of a causal model the two give a row its probability by halves, (p(x) + p(rc x)) / 2; of a masked one their logits
    are averaged at each place.
    """
    if strands != "both":
        return row_losses(network, rows.batches(BATCH), len(rows))
    if rows.objective == "masked":
        return row_losses(Conjoined(network), rows.batches(BATCH), len(rows))
    found = [row_losses(network, one.batches(BATCH), len(one)) for one in (rows, _opposite(rows))]
    nats = np.log(2) - np.logaddexp(-found[0][:, 0], -found[1][:, 0])
    return np.stack([nats, found[0][:, 1]], 1)


class Conjoined(nn.Module):
    """The mean of a masked model's logits for a row and for its reverse complement, place by place."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: TokenBatch) -> Tensor:
        """(B, L, V)."""
        pairs = self.network.complements
        back = self.network(other_strand(batch, pairs))
        turned = back.gather(1, mirrored(batch).unsqueeze(-1).expand_as(back))[..., pairs]
        logits: Tensor = (self.network(batch) + turned) / 2
        return logits


def _opposite(rows: Written) -> Written:
    return Written(
        rows.records,
        rows.items,
        rows.science,
        context=rows.context,
        objective=rows.objective,
        seed=rows.seed,
        opposite=True,
    )
