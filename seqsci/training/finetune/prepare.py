"""From a recipe to labelled records of the three splits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchdata.stateful_dataloader import StatefulDataLoader

from seqsci import catalog
from seqsci.data.batch import LanguageShape
from seqsci.data.loaders import loader
from seqsci.errors import SeqsciError
from seqsci.recipe import FinetuneData, FinetuneRecipe
from seqsci.tasks.rows import RowTask
from seqsci.training.finetune.pretrained import load_start, require_start
from seqsci.training.finetune.rows import Labelled
from seqsci.training.finetune.target import Target, decide, usable
from seqsci.training.language.load import SPLITS, Corpus, corpus, language_shape
from seqsci.training.language.recognise import columns_told
from seqsci.training.language.rows import ENDS
from seqsci.training.language.science import Science
from seqsci.training.language.told import counted

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Labelled records of the three splits, and how they came about.

    `chosen`: split -> numbers of its records; `labels (R,)`: classes or standardised numbers of all records, of
    unlabelled ones without meaning.
    """

    corpus: Corpus
    chosen: dict[str, Ints]
    target: Target
    labels: Tensor
    shape: LanguageShape
    recipe: FinetuneRecipe
    notes: tuple[str, ...]

    @property
    def origin(self) -> dict[str, Any]:
        """Name, path, sha256 and card of the data."""
        return self.corpus.origin

    @property
    def science(self) -> Science:
        """Their domain."""
        return self.corpus.science

    def facts(self) -> dict[str, Any]:
        """What must be remembered to read new data."""
        symbols = list(self.science.TOKENIZER.symbols)
        return {"domain": self.corpus.kind, "symbols": symbols, "target": self.target.facts()}

    def truth(self, split: str) -> NDArray[Any]:
        """(R,) codes of classes, or numbers in their units, of a split."""
        return self.target.truth(self.corpus.records.frame["label"].gather(self.chosen[split]))

    def texts(self, split: str) -> list[str]:
        """The records of a split as they are written."""
        return [self.corpus.records.text(int(record)) for record in self.chosen[split]]

    def rows(self, split: str, *, drawn: bool = False) -> Labelled:
        """The rows of a split, as they stand or spelt anew for training."""
        chosen = self.chosen[split]
        augment = drawn and self.recipe.data.augment
        labels = self.labels[torch.from_numpy(chosen)]
        seed = self.recipe.train.seed
        return Labelled(self.corpus.records, chosen, self.science, labels, seed=seed, augment=augment)

    def loader(self, split: str, size: int, seed: int | None = None) -> StatefulDataLoader[Any]:
        """Batches of rows of similar length."""
        rows = self.rows(split, drawn=split == "train")
        return loader(rows, size, seed=seed, lengths=rows.lengths, fresh=split == "train")

    def module(self, network: nn.Module, recipe: FinetuneRecipe) -> RowTask:
        """The network with its loss."""
        train = recipe.train
        steps = -(-len(self.chosen["train"]) // train.batch)
        initial: Callable[[nn.Module], None] | None = None
        if train.start is not None:
            initial = partial(load_start, start=train.start, kind=self.corpus.kind)
        return RowTask(
            network, train, steps, self.target.kind, frozen=train.frozen, initial=initial, scale=self.target.scale
        )

    def without_test(self) -> Prepared:
        """The same with the test split closed."""
        return replace(self, chosen={name: self.chosen[name] for name in ("train", "val")})


def prepare(recipe: FinetuneRecipe, source: Any = None) -> Prepared:
    """Read, split, and decide what is predicted.

    Args:
        recipe: its data block, and the pretrained run that it begins with.
        source: a frame, or a list of texts, in place of `data.name`.

    Raises:
        SeqsciError: whatever is wrong with the files, the names, the labels or the pretrained run.
    """
    data = recipe.data
    found = corpus(data, source, label=data.label, uncut=True)
    if recipe.train.start is not None:
        require_start(recipe.train.start, found.kind, data.name)
    name, unit = _column(data, found)
    if "label" not in found.records.frame.columns:
        raise SeqsciError(_unlabelled(data))
    labels = found.records.frame["label"]
    chosen, notes = _chosen(found, name)
    every = np.sort(np.concatenate(list(chosen.values())))
    target = decide(labels.gather(every), labels.gather(chosen["train"]), data.kind, name, unit)
    prepared = Prepared(
        corpus=found,
        chosen=chosen,
        target=target,
        labels=_tensor(labels, target, every),
        shape=language_shape(found.kind, data, target.outputs),
        recipe=recipe,
        notes=(*found.notes, *notes, *_reading(found, every, data)),
    )
    _require_all(prepared)
    return prepared


def _unlabelled(data: FinetuneData) -> str:
    path = Path(data.name.split(",")[0].strip())
    told = columns_told(path) if path.is_file() else ""
    there = f" among its columns ({told})" if told else ""
    return f"data.label: nothing says what is to be predicted{there}; name its column by data.label"


def _tensor(labels: Any, target: Target, every: Ints) -> Tensor:
    known = target.tensor(labels.gather(every))
    found = torch.full((len(labels),), -1 if target.kind == "classes" else float("nan"), dtype=known.dtype)
    found[torch.from_numpy(every)] = known
    return found


def _column(data: FinetuneData, found: Corpus) -> tuple[str, str]:
    """What the label is called, and its unit where the card says it."""
    card = catalog.card(found.origin["card"]) if found.origin.get("card") else None
    usual = card.written.label[:1] if card is not None and card.written is not None else ()
    name = data.label or (usual[0] if usual else "label")
    return name, card.units.get(name, "") if card is not None else ""


def _chosen(found: Corpus, name: str) -> tuple[dict[str, Ints], list[str]]:
    """Split -> its labelled records, none of which stands in a later split as well; and what was left out."""
    frame = found.parts.frame
    cut = (frame["start"] != 0) | (frame["stop"] != found.records.lengths[frame["record"].to_numpy()])
    if cut.any():
        raise SeqsciError("data.split: this split cuts records, and a label is of a whole one; take another, or auto")
    known = usable(found.records.frame["label"]).to_numpy()
    members = {split: np.sort(frame.filter(split=split)["record"].to_numpy()) for split in SPLITS}
    notes = []
    without = sum(int((~known[rows]).sum()) for rows in members.values())
    if without:
        notes.append(f"{counted(without, 'record')} without a value of {name} left out")
    members = {split: rows[known[rows]] for split, rows in members.items()}
    seen: set[str] = set()
    for split in reversed(SPLITS):
        keys = [_key(found, int(record)) for record in members[split]]
        double = np.array([key in seen for key in keys], dtype=bool)
        if double.any():
            later = "test" if split == "val" else "validation or test"
            notes.append(f"{counted(int(double.sum()), 'record')} of {split} left out: in {later} as well")
        members[split] = members[split][~double]
        seen |= set(keys)
    for split, rows in members.items():
        if not len(rows):
            raise SeqsciError(f"data.split: no labelled record is left for {split}; change data.split or data.shares")
    return members, notes


def _key(found: Corpus, record: int) -> str:
    """The same for the same letters, on either strand where there are two."""
    text = found.records.text(record)
    tokenizer = found.science.TOKENIZER
    if tokenizer.complements is None:
        return text
    tokens = tokenizer.encode(text)
    other = tokenizer.complements[tokens[::-1]].astype(np.uint8)
    return min(tokens.tobytes(), other.tobytes()).hex()


def _reading(found: Corpus, every: Ints, data: FinetuneData) -> list[str]:
    """How records are read that are longer than the rows of pretraining."""
    long = int((found.records.lengths[every] + ENDS > data.context).sum())
    if not long:
        return []
    return [
        f"{counted(long, 'record')} longer than the {data.context} tokens of data.context; each is read "
        "whole all the same"
    ]


def _require_all(prepared: Prepared) -> None:
    """Every class must train and validate."""
    target = prepared.target
    if target.kind == "number":
        return
    for split in ("train", "val"):
        missing = np.bincount(prepared.truth(split), minlength=len(target.classes)) == 0
        if missing.any():
            name = target.classes[int(missing.argmax())]
            raise SeqsciError(
                f"data.split: no record of class {name} is left to {split}; leave such classes out of the file, or "
                f"change data.split, data.shares or data.split_seed{_as_numbers(target)}"
            )


def _as_numbers(target: Target) -> str:
    """What else can be done where the names of all classes are numbers."""
    try:
        numbers = [float(name) for name in target.classes]
    except ValueError:
        return ""
    return f"; or have {target.name} predicted as a number by data.kind number" if np.isfinite(numbers).all() else ""
