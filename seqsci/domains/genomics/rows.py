"""Collects the records of one file: each is checked, named, and kept or skipped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from seqsci.data.records import SKIPPED
from seqsci.data.words import counted
from seqsci.domains.genomics.alphabet import Counts, cleaned
from seqsci.errors import SeqsciError

Invalid = Literal["refuse", "skip"]


@dataclass(kw_only=True)
class Rows:
    """Records as they are read; `unit` is what their numbers count, a record of a file or a row of a table."""

    origin: str
    invalid: Invalid
    unit: str = "record"
    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    unnamed: int = 0
    skipped: int = 0
    first_skipped: str = ""

    def add(self, number: int, name: str, text: str, column: str = "") -> bool:
        """Takes the record of this number (from 1 on); whether it was kept.

        Raises:
            SeqsciError: a letter that is none, unless such records are skipped.
        """
        name = " ".join(name.split())  # a quoted field of a table may hold line ends
        named = f" ({name})" if name else ""
        where = f"{self.origin}, {self.unit} {number}{named}{f', column {column}' if column else ''}"
        try:
            text = cleaned(text, where, self.counts)
        except SeqsciError as error:
            if self.invalid == "refuse":
                raise
            self.skipped += 1
            self.first_skipped = self.first_skipped or str(error)
            return False
        self.unnamed += not name
        self.ids.append(name or f"{self.unit} {number}")
        self.texts.append(text)
        self.kept.append(number)
        return True

    def frame(self) -> pl.DataFrame:
        """`id` and `sequence` of what was kept.

        Raises:
            SeqsciError: nothing was.
        """
        if not self.texts:
            raise SeqsciError(self.first_skipped or f"{self.origin}: there are no records; give a file with some")
        return pl.DataFrame({"id": self.ids, "sequence": self.texts}, schema={"id": pl.String, "sequence": pl.String})

    def notes(self) -> tuple[str, ...]:
        """What reading changed, in sentences."""
        said = list(self.counts.notes())
        if self.unnamed and self.unit == "record":
            have = counted(self.unnamed, "record has", "records have")
            said.append(f"{have} no name and {'is' if self.unnamed == 1 else 'are'} called by number")
        if self.skipped:
            were = counted(self.skipped, f"{self.unit} was", f"{self.unit}s were")
            said.append(f"{were} {SKIPPED}, the first: {self.first_skipped}")
        return tuple(f"{self.origin}: {sentence}" for sentence in said)


def unique(names: pl.Series) -> tuple[pl.Series, tuple[str, ...]]:
    """Names of which none occurs twice: the second `gene` becomes `gene-2`; with a note where there was any."""
    if not names.is_duplicated().any():
        return names, ()
    # A name that a counted one would take away from its owner is passed over.
    original, taken, seen = set(names), set[str](), dict[str, int]()
    found, changed = [], 0
    for name in names:
        new = name
        while new in taken or (new != name and new in original):
            seen[name] = seen.get(name, 1) + 1
            new = f"{name}-{seen[name]}"
        changed += new != name
        taken.add(new)
        found.append(new)
    have = counted(changed, "record has", "records have")
    note = f"{have} a name that another has, and got a number, such as {_example(names, found)}"
    return pl.Series(names.name, found, dtype=pl.String), (note,)


def _example(names: pl.Series, found: list[str]) -> str:
    return next(new for name, new in zip(names, found, strict=True) if name != new)
