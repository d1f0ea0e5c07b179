"""From a recipe to rows of tokens of the three splits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import nn
from torchdata.stateful_dataloader import StatefulDataLoader

from seqsci.data.batch import LanguageShape
from seqsci.data.loaders import loader
from seqsci.errors import SeqsciError
from seqsci.nn.language import LanguageNetwork
from seqsci.recipe import PretrainRecipe
from seqsci.tasks.language import LanguageTask
from seqsci.training.language.load import Corpus, corpus, language_shape
from seqsci.training.language.rows import Items, Written, sets, windows
from seqsci.training.pretrain.start import load_start, require_start

DRAWN_FOR_SCORES = 0
"""Seed of what is hidden in, and of the sets drawn for, validation and test: the same for every run."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Rows of the three splits, and how they came about."""

    corpus: Corpus
    items: dict[str, Items]
    shape: LanguageShape
    recipe: PretrainRecipe

    @property
    def origin(self) -> dict[str, Any]:
        """Name, path, sha256 and card of the data."""
        return self.corpus.origin

    @property
    def notes(self) -> tuple[str, ...]:
        """What reading has found out or changed."""
        return self.corpus.notes

    def facts(self) -> dict[str, Any]:
        """What must be remembered to read new data."""
        return {"domain": self.corpus.kind, "symbols": list(self.corpus.science.TOKENIZER.symbols)}

    def rows(self, split: str, *, fresh: bool = False) -> Written:
        """The rows of a split, as they stand or as they are drawn for training."""
        data, train = self.recipe.data, self.recipe.train
        return Written(
            self.corpus.records,
            self.items[split],
            self.corpus.science,
            context=data.context,
            objective=train.objective,
            seed=train.seed if fresh else DRAWN_FOR_SCORES,
            fresh=fresh,
            augment=data.augment,
        )

    def loader(self, split: str, size: int, seed: int | None = None) -> StatefulDataLoader[Any]:
        """Batches of rows of similar length."""
        training = split == "train"
        rows = self.rows(split, fresh=training)
        most = self.recipe.train.rows if training else None
        return loader(rows, size, seed=seed, lengths=rows.lengths, fresh=training, most=most)

    @property
    def shown(self) -> int:
        """Training rows of an epoch."""
        count = len(self.items["train"])
        return min(count, self.recipe.train.rows or count)

    def module(self, network: nn.Module, recipe: PretrainRecipe) -> LanguageTask:
        """The network with its loss."""
        steps = -(-self.shown // recipe.train.batch)
        begin = recipe.train.start
        initial = None if begin is None else partial(load_start, start=begin, kind=self.corpus.kind)
        return LanguageTask(network, recipe.train, steps, initial)

    def without_test(self) -> Prepared:
        """The same with the test split closed."""
        return replace(self, items={name: self.items[name] for name in ("train", "val")})


def prepare(recipe: PretrainRecipe, source: Any = None) -> Prepared:
    """Read, split and cut into rows.

    Args:
        recipe: its data block, and what is asked of a row.
        source: a frame, or a list of texts, in place of `data.name`.

    Raises:
        SeqsciError: whatever is wrong with the files or the names.
    """
    data = recipe.data
    found = corpus(data, source, by="group" if data.sets else None)
    shape = language_shape(found.kind, data)
    require(recipe, found.kind, LanguageNetwork(recipe.model, shape).encoder)
    if recipe.train.start is not None:
        require_start(recipe.train.start, found.kind)
    items = {split: _items(found, split, recipe) for split in ("train", "val", "test")}
    return Prepared(corpus=found, items=items, shape=shape, recipe=recipe)


def require(recipe: PretrainRecipe, kind: str, encoder: Any) -> None:
    """Refuse what the recipe's encoder, or the science `kind`, cannot be asked, before anything is trained.

    Raises:
        SeqsciError: gaps in something else than a protein; or an encoder that reads both ways is to tell what comes
            next.
    """
    if recipe.train.objective == "fim" and kind != "proteins":
        raise SeqsciError(f"train.objective: fim is for proteins, not for {kind}; take causal or masked")
    known = getattr(encoder, "leaks", False) and getattr(recipe.model, "inject", "") == "front-leaks"
    if recipe.train.objective != "masked" and not encoder.causal and not known:
        raise SeqsciError(
            f"train.objective: a model that reads both ways, as '{recipe.model.name}' here, sees what it is to tell; "
            f"take masked, or a model that reads forward (bioxlstm or transformer with model.direction forward)"
        )


def _items(found: Corpus, split: str, recipe: PretrainRecipe) -> Items:
    data = recipe.data
    if data.sets:
        return sets(found.records, found.parts, split, data.context)
    return windows(found.records, found.parts, split, data.context, found.science)
