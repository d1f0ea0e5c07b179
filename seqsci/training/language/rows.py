"""Items of a split, and the rows of tokens that are made of them.

An item is a window of a record, or a set of records. What is drawn anew in each epoch (another spelling, the place of a
window, the members of a set, what is hidden) is a function of the seed and the number of the item, which goes on
counting from epoch to epoch: so an interrupted run goes on with the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from seqsci.data.batch import TokenBatch
from seqsci.data.records import Letters, Parts, Records, Tokens
from seqsci.data.rows import Objective, Row, ask_hidden, ask_next
from seqsci.errors import SeqsciError
from seqsci.training.language.science import Science

Ints = NDArray[np.int64]
ENDS = 2
"""Tokens around the letters of a row."""


@dataclass(frozen=True, kw_only=True)
class Items:
    """What a split is made of.

    `windows (I, 5)`: record, `start`, `stop`, and the part `from`, `to` that they are cut out of, in letters (in tokens
    where a token may be several letters); or `sets`: for each row, records. `lengths (I,)`: tokens, about.
    """

    windows: Ints
    sets: tuple[Ints, ...]
    lengths: Ints

    def __len__(self) -> int:
        return len(self.lengths)


def windows(records: Records, parts: Parts, split: str, context: int, science: Science) -> Items:
    """Each part cut into windows of at most `context` tokens with their ends."""
    size = context - ENDS
    by_letters = isinstance(science.TOKENIZER, Letters)
    rows = []
    for record, start, stop in parts.frame.filter(split=split).select("record", "start", "stop").iter_rows():
        if not by_letters and stop - start > size:
            # Places are then those of tokens, of which there are fewer than letters.
            stop = len(science.TOKENIZER.encode(records.text(record)))
        begins = np.arange(start, stop, size)
        ends = np.minimum(begins + size, stop)
        same = np.ones_like(begins)
        rows.append(np.stack([record * same, begins, ends, start * same, stop * same], 1))
    table = np.concatenate(rows) if rows else np.zeros((0, 5), np.int64)
    return Items(windows=table, sets=(), lengths=table[:, 2] - table[:, 1] + ENDS)


def sets(records: Records, parts: Parts, split: str, context: int) -> Items:
    """Each group as often as it fills a row.

    Raises:
        SeqsciError: the records have no groups.
    """
    if "group" not in records.frame.columns or records.frame["group"].null_count() == len(records):
        raise SeqsciError(
            "data.sets: a set is of records of one group, and no record here has one; name their column by "
            "data.columns {group: ...}, or leave data.sets out"
        )
    members = parts.frame.filter(split=split)["record"].to_numpy()
    groups = records.frame["group"].gather(members).fill_null("")
    order = np.argsort(groups.to_numpy(), kind="stable")
    borders = np.flatnonzero(groups.gather(order).rle_id().diff().fill_null(0).to_numpy())
    each = np.split(members[order], borders)
    letters = records.lengths
    many = [max(1, round(int(letters[own].sum() + len(own)) / context)) for own in each]
    repeated = tuple(own for own, times in zip(each, many, strict=True) for _ in range(times))
    lengths = [min(context, int(letters[own].sum() + len(own) + 1)) for own in repeated]
    return Items(windows=np.zeros((0, 5), np.int64), sets=repeated, lengths=np.array(lengths, dtype=np.int64))


class Written(Dataset[TokenBatch]):
    """Batches of some items.

    Args:
        records: what they are cut out of.
        items: see `windows` and `sets`.
        science: whose tokenizer and spellings are used.
        context: most tokens of a row.
        objective: what is asked.
        seed: of all draws.
        fresh: draw windows, spellings and members anew for each number of an item; else as they stand.
        augment: whether a spelling is drawn.
        opposite: read the other strand.
    """

    def __init__(
        self,
        records: Records,
        items: Items,
        science: Science,
        *,
        context: int,
        objective: Objective,
        seed: int = 0,
        fresh: bool = False,
        augment: bool = False,
        opposite: bool = False,
    ) -> None:
        self.records, self.items, self.science = records, items, science
        self.context, self.objective, self.seed = context, objective, seed
        self.fresh, self.augment, self.opposite = fresh, augment, opposite

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> TokenBatch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> TokenBatch:
        """The rows of these numbers; what is asked of them is drawn by number as well."""
        draws = [np.random.default_rng([self.seed, number]) for number in indices]
        places = [number % len(self) for number in indices]
        rows = [self.row(place, rng) for place, rng in zip(places, draws, strict=True)]
        if self.objective == "masked":
            return ask_hidden(rows, places, len(self.science.TOKENIZER.symbols), draws)
        return ask_next(rows, places)

    def row(self, place: int, rng: np.random.Generator) -> Row:
        """The row of an item, as drawn."""
        if self.items.sets:
            return self._set(self.items.sets[place], rng)
        record, start, stop, low, high = (int(x) for x in self.items.windows[place])
        whole = (start, stop) == (low, high)
        if self.fresh and not whole and isinstance(self.science.TOKENIZER, Letters):
            length = min(self.context - ENDS, high - low)
            start = int(rng.integers(low, high - length + 1))
            stop = start + length
        if isinstance(self.science.TOKENIZER, Letters):
            text = self.records.text(record, start, stop)
            tokens = self._encode(text, record, rng)
            ended = stop == int(self._lengths[record])
        else:
            tokens = self._encode(self.records.text(record), record, rng)
            ended = stop == high
            tokens = tokens if whole else tokens[start:stop]
        return self._dressed([tokens], ended, rng)

    def clean(self) -> Iterator[Row]:
        """Every row as it stands, nothing hidden."""
        for place in range(len(self)):
            yield self.row(place, np.random.default_rng([self.seed, place]))

    @property
    def lengths(self) -> Tensor:
        """(I,) tokens of each row, about."""
        return torch.from_numpy(self.items.lengths)

    def batches(self, size: int) -> Iterator[TokenBatch]:
        """All rows, the short ones first; `index` says which."""
        for part in torch.split(self.lengths.argsort(stable=True), size):
            yield self.__getitems__(part.tolist())

    @property
    def _lengths(self) -> Ints:
        found = getattr(self, "_kept", None)
        if found is None:
            found = self._kept = self.records.lengths
        return found

    def _encode(self, text: str, record: int, rng: np.random.Generator) -> Tokens:
        if self.augment and self.fresh and self.science.augment is not None:
            text = self.science.augment(text, rng)
        tokens = self.science.TOKENIZER.encode(text, str(self.records.frame["id"][record]))
        pairs = self.science.TOKENIZER.complements
        return tokens if pairs is None or not self.opposite else pairs[tokens[::-1]].astype(np.uint8)

    def _set(self, members: Ints, rng: np.random.Generator) -> Row:
        """As many members, in random order, as the row has room for; the first is cut if it has not."""
        left = self.context - 1
        pieces: list[Tokens] = []
        for record in rng.permutation(members):
            tokens = self._encode(self.records.text(int(record)), int(record), rng)
            if len(tokens) + 1 > left:
                if not pieces:
                    pieces.append(tokens[: left - 1])
                break
            pieces.append(tokens)
            left -= len(tokens) + 1
        return self._dressed(pieces, True, rng)

    def _dressed(self, records: Sequence[Tokens], ended: bool, rng: np.random.Generator) -> Row:
        if self.objective != "fim":
            return Row.set(records, ended)
        from seqsci.domains.proteins.homologs import fill_in_the_middle

        moved = [fill_in_the_middle(tokens, rng) for tokens in records]
        return Row.join([(tokens, places + 1) for tokens, places in moved], ended)
