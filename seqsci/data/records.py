"""Written sequences: what the domains of DNA, proteins and molecules give to training.

A domain reads files into `Records`, cuts them into `Parts` for training, validation and test, and has a `Tokenizer`.
Whatever the science, the first tokens are `SPECIALS`; a row that a model reads is

    <begin> record <end>                                  one record, or a window of it
    <begin> record <separator> record <separator> ...     a set of records, such as homologs

where a window that stops inside its record has no <end>.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.errors import SeqsciError

Tokens = NDArray[np.uint8]

SKIPPED = "left out as invalid"
"""What a note says, and no other, of records that data.invalid skip has left out."""

SPANS = tuple(f"<span-{number}>" for number in range(1, 6))
SPECIALS = ("<pad>", "<begin>", "<end>", "<separator>", "<mask>", "<fill>", *SPANS)
"""Tokens of every vocabulary, in this order from 0 on; <fill> and <span-i> are those of fill-in-the-middle."""
PAD, BEGIN, END, SEPARATOR, MASK, FILL, SPAN = range(7)


class Tokenizer(ABC):
    """Text of one record <-> tokens (L,) uint8, without loss: `decode(encode(text)) == text`.

    `symbols (V,)`: the text of each token, `SPECIALS` first. `complements (V,)`: number of the token that pairs with
    each on the other strand, specials with themselves; None where there is no other strand.
    """

    symbols: tuple[str, ...]
    complements: NDArray[np.int64] | None = None

    @abstractmethod
    def encode(self, text: str, where: str = "") -> Tokens:
        """The tokens of a record.

        Raises:
            SeqsciError: a symbol that no token stands for, with its position from 1 and `where` in front.
        """

    def decode(self, tokens: Sequence[int] | Tokens) -> str:
        """The text of tokens; special ones are written as in `SPECIALS`."""
        return "".join(self.symbols[token] for token in tokens)


class Letters(Tokenizer):
    """A token for each letter of an alphabet.

    Args:
        letters: each one character.
        pairs: letter -> its complement, for DNA.
    """

    def __init__(self, letters: str, pairs: dict[str, str] | None = None) -> None:
        self.symbols = (*SPECIALS, *letters)
        self._codes = np.zeros(128, dtype=np.uint8)
        for code, letter in enumerate(letters, len(SPECIALS)):
            self._codes[ord(letter)] = code
        if pairs is not None:
            place = {letter: code for code, letter in enumerate(self.symbols)}
            self.complements = np.array([place[pairs.get(s, s)] for s in self.symbols])

    def encode(self, text: str, where: str = "") -> Tokens:
        """See `Tokenizer.encode`."""
        raw = np.frombuffer(text.encode("ascii", "replace"), dtype=np.uint8)
        tokens: Tokens = self._codes[np.minimum(raw, 127)]
        if not tokens.all():
            at = int(np.argmin(tokens != 0))
            raise unknown(text[at], at, where)
        return tokens


def unknown(symbol: str, at: int, where: str) -> SeqsciError:
    """For a symbol that no token stands for, at this place from 0."""
    return SeqsciError(f"{where or 'sequence'}, position {at + 1}: {symbol!r} is no symbol of this alphabet")


@dataclass(frozen=True, kw_only=True)
class Records:
    """Sequences as a domain has read them.

    `frame`: a row per record with `id` (String, unique), `sequence` (String, in the letters of the domain's
    tokenizer, never empty) and, where there is one, `group` (String or null): the set that a record belongs to, such
    as an alignment, an assay or a target; `label`: what is to be predicted of it (String or Float64, null for
    unknown); `split` (String): "train", "val" or "test" where the data set says so. Other columns are the file's own.
    `notes`: what reading has found out or changed, in plain sentences.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("id", "sequence", "group", "label", "split")

    frame: pl.DataFrame
    notes: tuple[str, ...] = ()
    simulated: bool = False

    def __len__(self) -> int:
        return self.frame.height

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(R,) letters of each record."""
        return self.frame["sequence"].str.len_bytes().to_numpy().astype(np.int64)

    @property
    def skipped(self) -> str:
        """What a refusal says of records that were left out as invalid; "" where none were."""
        told = [note for note in self.notes if SKIPPED in note]
        return f" ({'; '.join(told)})" if told else ""

    def text(self, row: int, start: int = 0, stop: int | None = None) -> str:
        """Letters of a record from `start` to `stop`."""
        return self._texts[row][start:stop]

    @cached_property
    def _texts(self) -> list[str]:
        """All sequences as Python has them: to take one out of the frame copies it whole."""
        texts: list[str] = self.frame["sequence"].to_list()
        return texts


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Which letters train, which validate and which test.

    `frame`: a row per piece with `record` (Int64, row of the records), `start`, `stop` (Int64, letters from 0,
    exclusive) and `split` (String, "train", "val" or "test"), in the order of the records. `notes`: how it was
    divided and what was left out.
    """

    frame: pl.DataFrame
    notes: tuple[str, ...] = field(default_factory=tuple)

    @staticmethod
    def whole(records: Records, splits: Sequence[str], notes: tuple[str, ...] = ()) -> Parts:
        """Every record in one split as it is."""
        frame = pl.DataFrame(
            {
                "record": np.arange(len(records)),
                "start": np.zeros(len(records), dtype=np.int64),
                "stop": records.lengths,
                "split": list(splits),
            }
        )
        return Parts(frame=frame, notes=notes)
