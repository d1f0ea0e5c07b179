"""Records of a recipe, their split, and the facts that a trained model keeps of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from seqsci.data.batch import LanguageShape
from seqsci.data.records import Parts, Records
from seqsci.errors import SeqsciError
from seqsci.files import short_name, whole
from seqsci.recipe import WrittenData
from seqsci.training.language.science import Science, science, science_of

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Records, and which of their letters train, validate and test.

    `kind`: the name of their domain; `origin`: name, path, sha256 and card of the data.
    """

    records: Records
    parts: Parts
    kind: str
    origin: dict[str, Any]

    @property
    def science(self) -> Science:
        """Their domain."""
        return science(self.kind)

    @property
    def notes(self) -> tuple[str, ...]:
        """What reading and dividing have found out or changed."""
        return (*self.records.notes, *self.parts.notes, self._sizes())

    def pieces(self, split: str) -> list[tuple[int, int, int]]:
        """Record, start and stop of each piece of a split."""
        return self.parts.frame.filter(split=split).select("record", "start", "stop").rows()

    def texts(self, split: str) -> list[str]:
        """The letters of a split, a text for each piece."""
        return [self.records.text(*piece) for piece in self.pieces(split)]

    def _sizes(self) -> str:
        sizes = self.parts.frame.group_by("split").agg(pl.len(), (pl.col("stop") - pl.col("start")).sum().alias("n"))
        known = {split: (count, letters) for split, count, letters in sizes.iter_rows()}
        told = [f"{split} {known[split][0]:,} ({known[split][1]:,} letters)" for split in SPLITS if split in known]
        return "split: " + ", ".join(told)


def corpus(
    data: WrittenData, source: Any = None, *, label: str | None = None, by: str | None = None, uncut: bool = False
) -> Corpus:
    """Read and split.

    Args:
        data: the recipe's block.
        source: a frame, or a list of texts, in place of `data.name`.
        label: column of what is to be predicted.
        by: how to split, in place of "auto", where the data set has no split of its own.
        uncut: records are not to be cut into regions.

    Raises:
        SeqsciError: whatever is wrong with the files or names, or nothing is left for a split.
    """
    kind = science_of(data, source)
    domain = science(kind)
    require_strands(data, kind)
    records, origin = domain.load(
        data.name if source is None else source,
        columns=data.columns or None,
        label=label,
        invalid=data.invalid,
        count=data.count,
        seed=0,
    )
    if source is None and origin["card"] is None and "," in data.name:
        origin = {**origin, "name": short_name(data.name)}
    parts = divided(data, records, kind, "record" if uncut and kind == "genomics" else by)
    left = set(parts.frame["split"])
    for split in SPLITS:
        if split not in left:
            raise SeqsciError(f"data.split: no record is left for {split}; change data.split or data.shares")
    return Corpus(records=records, parts=parts, kind=kind, origin=origin)


def divided(data: WrittenData, records: Records, kind: str, by: str | None = None) -> Parts:
    """The split of records that a recipe asks for; `by` as of `corpus`.

    Raises:
        SeqsciError: the science has no such split, or there are too few records for it.
    """
    domain = science(kind)
    own = "split" in records.frame.columns
    if by is not None and by not in domain.SPLITS:
        by = "record"  # which keeps the records of a group together
    wanted = by if data.split == "auto" and by is not None and not own else data.split
    if wanted not in (*domain.SPLITS, "auto"):
        raise SeqsciError(f"data.split: {kind} are not split by '{wanted}'; take one of {', '.join(domain.SPLITS)}")
    return domain.split(records, wanted, data.shares, data.split_seed)


def require_strands(data: WrittenData, kind: str) -> None:
    """Refuse a second strand where there is none."""
    if data.strands != "one" and kind != "genomics":
        raise SeqsciError(f"data.strands: {kind} have no other strand; leave it out")


def language_shape(kind: str, data: WrittenData, outputs: int = 0) -> LanguageShape:
    """What the network must know."""
    tokenizer = science(kind).TOKENIZER
    pairs = tokenizer.complements
    return LanguageShape(
        symbols=len(tokenizer.symbols),
        context=data.context,
        complements=() if pairs is None else tuple(np.asarray(pairs).tolist()),
        shared=data.strands == "shared",
        outputs=outputs,
    )


def keep(source: Any, folder: Path) -> Mapping[str, str]:
    """Write a caller's frame, or list of texts, into a folder; what the recipe must say to find it."""
    frame = pl.DataFrame({"sequence": list(source)}) if isinstance(source, list | tuple) else nw.from_native(source)
    table = frame if isinstance(frame, pl.DataFrame) else frame.to_polars()
    with whole(folder / "data.parquet") as path:
        table.write_parquet(path)
    return {"data.name": str((folder / "data.parquet").resolve())}
