"""A fine-tuned network's answers, and what stands beside them: the mean, features, the same network from nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from seqsci.metrics import soften, temperature
from seqsci.models.boosting import class_prior
from seqsci.models.tabular import Tabular
from seqsci.recipe import FinetuneRecipe
from seqsci.runs import Run
from seqsci.tasks.rows import say
from seqsci.training.finetune.prepare import Prepared
from seqsci.training.finetune.rows import Labelled
from seqsci.training.finetune.target import Target
from seqsci.training.fit import Fitted, fit, load_network

Floats = NDArray[np.float64]
BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Method:
    """`val` and `test`: (R, K) probabilities, or (R,) numbers in their units, of these splits."""

    val: Floats
    test: Floats
    facts: dict[str, Any]


def said(network: nn.Module, rows: Labelled, target: Target, strands: str) -> Floats:
    """(R, K) logits, or standardised numbers; "both": the mean over the two strands."""
    found = say(network, rows.batches(BATCH), len(rows), target.outputs)
    if strands == "both":
        other = rows.other_strand()
        found = (found + say(network, other.batches(BATCH), len(rows), target.outputs)) / 2
    return found


def answer(raw: Floats, target: Target, warmth: float) -> Floats:
    """Probabilities at that temperature, or numbers in their units."""
    if target.kind == "classes":
        return soften(raw, warmth)
    numbers: Floats = raw[:, 0] * target.scale + target.mean
    return numbers


def network_method(recipe: FinetuneRecipe, prepared: Prepared, run: Run, fitted: Fitted) -> Method:
    """A trained network; of classes its temperature is chosen on validation (Guo et al. 2017, arXiv 1706.04599)."""
    network = load_network(recipe, prepared.shape, run)
    target, strands = prepared.target, recipe.data.strands
    val, test = (said(network, prepared.rows(split), target, strands) for split in ("val", "test"))
    warmth = temperature(val, prepared.truth("val"), balanced=False) if target.kind == "classes" else 1.0
    facts = {"temperature": warmth, "best_epoch": fitted.best_epoch, **fitted.cost}
    return Method(val=answer(val, target, warmth), test=answer(test, target, warmth), facts=facts)


def rival(name: str, recipe: FinetuneRecipe, prepared: Prepared, run: Run, *, quiet: bool) -> Method:
    """The baseline of that name."""
    if name == "mean":
        return _mean(prepared)
    if name == "features":
        return _features(prepared)
    return _scratch(recipe, prepared, run, quiet=quiet)


def _mean(prepared: Prepared) -> Method:
    """The share of each class among the training records, or their mean."""
    target, truth = prepared.target, prepared.truth("train")

    def always(split: str) -> Floats:
        records = len(prepared.chosen[split])
        if target.kind == "number":
            return np.full(records, target.mean)
        return np.tile(class_prior(truth, len(target.classes)), (records, 1))

    return Method(val=always("val"), test=always("test"), facts={})


def _features(prepared: Prepared) -> Method:
    """The better on validation of a linear model and boosting, on the domain's features."""
    splits = ("train", "val", "test")
    sizes = [len(prepared.chosen[split]) for split in splits]
    texts = [text for split in splits for text in prepared.texts(split)]
    # Together, since what the features are may depend on the records that they are of.
    table = prepared.science.features(texts).astype(np.float64)
    train, val, test = np.split(table, np.cumsum(sizes)[:-1])
    model = Tabular(prepared.target.classes)
    model.fit(train, prepared.truth("train"), val, prepared.truth("val"))
    facts = {**model.facts, "features": table.shape[1]}
    return Method(val=model.predict(val), test=model.predict(test), facts=facts)


def _scratch(recipe: FinetuneRecipe, prepared: Prepared, run: Run, *, quiet: bool) -> Method:
    """The same network, trained in the same way but from random weights, all of it."""
    train = replace(recipe.train, start=None, frozen=False)
    own = replace(recipe, train=train, evaluate=replace(recipe.evaluate, baselines=()), search={})
    folder = run.folder / "scratch"
    folder.mkdir(exist_ok=True)
    inner = Run(folder)
    inner.write("recipe.yaml", own.to_yaml())
    data = replace(prepared, recipe=own)
    return network_method(own, data, inner, fit(own, data, inner, quiet=quiet))
