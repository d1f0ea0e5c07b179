"""Whole records as rows of tokens, with what is to be said of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from seqsci.data.batch import TokenBatch
from seqsci.data.records import Records, Tokens
from seqsci.data.rows import Row, ask_nothing
from seqsci.training.language.rows import ENDS
from seqsci.training.language.science import Science

MOST = 1 << 16
"""Tokens of a batch that is only read, padding included, so that long records do not fill the memory."""


class Labelled(Dataset[TokenBatch]):
    """Batches of records, each whole: an encoder reads any length.

    Args:
        records: what they are taken from.
        chosen: (R,) their numbers.
        science: whose tokenizer and spellings are used.
        targets: (R,) classes or standardised numbers; None for new records.
        seed: of all spellings.
        augment: spell each record anew for each number of an item, which goes on counting from epoch to epoch.
        opposite: read the other strand.
    """

    def __init__(
        self,
        records: Records,
        chosen: NDArray[np.int64],
        science: Science,
        targets: Tensor | None = None,
        *,
        seed: int = 0,
        augment: bool = False,
        opposite: bool = False,
    ) -> None:
        self.records, self.chosen, self.science, self.targets = records, chosen, science, targets
        self.seed, self.opposite = seed, opposite
        self.augment = science.augment if augment else None
        self.lengths = torch.from_numpy(records.lengths[chosen] + ENDS)
        """(R,) tokens of each row; where a token may be several letters, somewhat more than there are."""

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> TokenBatch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> TokenBatch:
        """The rows of these numbers."""
        places = [number % len(self) for number in indices]
        rows = [Row.of(self._tokens(place, number)) for place, number in zip(places, indices, strict=True)]
        batch = ask_nothing(rows, places)
        return batch if self.targets is None else replace(batch, label=self.targets[batch.index])

    def batches(self, size: int) -> Iterator[TokenBatch]:
        """All rows, the short ones first, at most `size` and `MOST` tokens at a time; `index` says which."""
        part: list[int] = []
        for place in self.lengths.argsort(stable=True).tolist():
            if part and (len(part) == size or (len(part) + 1) * int(self.lengths[place]) > MOST):
                yield self.__getitems__(part)
                part = []
            part.append(place)
        if part:
            yield self.__getitems__(part)

    def other_strand(self) -> Labelled:
        """The same records, read from the other strand."""
        return Labelled(self.records, self.chosen, self.science, self.targets, seed=self.seed, opposite=True)

    def _tokens(self, place: int, number: int) -> Tokens:
        record = int(self.chosen[place])
        text = self.records.text(record)
        if self.augment is not None:
            text = self.augment(text, np.random.default_rng([self.seed, number]))
        tokens = self.science.TOKENIZER.encode(text, str(self.records.frame["id"][record]))
        pairs = self.science.TOKENIZER.complements
        return tokens if pairs is None or not self.opposite else pairs[tokens[::-1]].astype(np.uint8)
