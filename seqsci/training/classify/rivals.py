"""What stands beside a classifier: class shares, boosting on features, and other recipes on the same split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqsci import recipe as recipes
from seqsci.data.collection import everything
from seqsci.domains.photometry import LightCurves
from seqsci.metrics import soften, temperature
from seqsci.models.boosting import Boosting, class_prior
from seqsci.recipe import ClassifyRecipe, as_kind
from seqsci.runs import Run
from seqsci.tasks.classify import predict
from seqsci.training.classify.inputs import feature_table, inputs
from seqsci.training.classify.prepare import Prepared, prepare
from seqsci.training.fit import Fitted, fit, load_network

Floats = NDArray[np.float64]
BATCH, HAIR = 256, 1e-9

INPUT = ("input", "context", "margin", "steps", "deviation", "flux", "features")
"""Fields of the data block that a recipe keeps for itself when it is a baseline."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A classifier that is ready: its probabilities of objects on which nothing is chosen any more.

    `val` and `test` (W, K): of these splits; `judge`: of any light curves; `cost`: what fitting it took.
    """

    val: Floats
    test: Floats
    judge: Callable[[LightCurves], Floats]
    facts: dict[str, object]


def network_method(recipe: ClassifyRecipe, prepared: Prepared, run: Run, fitted: Fitted) -> Method:
    """A trained network, its temperature chosen on validation (Guo et al. 2017, arXiv 1706.04599)."""
    network = load_network(recipe, prepared.shape, run)
    classes = len(prepared.frame.classes)

    def logits(split: str) -> Floats:
        return predict(network, prepared.collection(split).batches(BATCH), classes)

    val = logits("val")
    warmth = temperature(val, prepared.truth("val"), recipe.train.loss == "balanced")

    def judge(curves: LightCurves) -> Floats:
        rows = prepared.frame.rows(inputs(curves, recipe.data, prepared.frame.bands), [None] * len(curves.objects))
        return soften(predict(network, everything(rows).batches(BATCH), classes), warmth)

    facts = {"temperature": warmth, "best_epoch": fitted.best_epoch, **fitted.cost}
    return Method(val=soften(val, warmth), test=soften(logits("test"), warmth), judge=judge, facts=facts)


def rival(name: str, recipe: ClassifyRecipe, prepared: Prepared, run: Run, *, quiet: bool) -> Method:
    """The baseline of that name.

    Raises:
        SeqsciError: no such recipe.
    """
    if name == "prior":
        return _prior(recipe, prepared)
    if name == "boosting":
        return _boosting(recipe, prepared)
    own = as_kind(recipes.build(recipes.read(f"classify/{name}")), ClassifyRecipe)
    # The same objects in the same splits, by a recipe of its own; its seed and number format are the run's.
    shared = {f"data.{k}": v for k, v in vars(recipe.data).items() if k not in INPUT}
    shared |= {f"evaluate.{k}": v for k, v in vars(recipe.evaluate).items()}
    own = own.with_({**shared, "train.seed": recipe.train.seed, "train.precision": recipe.train.precision})
    data = prepared if own.data == recipe.data else prepare(own)
    folder = run.folder / name
    folder.mkdir(exist_ok=True)
    inner = Run(folder)
    inner.write("recipe.yaml", own.to_yaml())
    return network_method(own, data, inner, fit(own, data, inner, quiet=quiet))


def _prior(recipe: ClassifyRecipe, prepared: Prepared) -> Method:
    """The share of each class among the training objects; all alike where every class weighs the same."""
    classes = len(prepared.frame.classes)
    share = class_prior(prepared.truth("train"), classes)
    if recipe.train.loss == "balanced":
        # All alike, but for a hair that makes the answer the largest class and not the first by name.
        share = (1 - HAIR) / classes + HAIR * share

    def judge(curves: LightCurves) -> Floats:
        return np.tile(share, (len(curves.objects), 1))

    return Method(val=judge(prepared.members("val")), test=judge(prepared.members("test")), judge=judge, facts={})


def _boosting(recipe: ClassifyRecipe, prepared: Prepared) -> Method:
    """Gradient boosting on features of the light curves."""

    def table(curves: LightCurves) -> Floats:
        return feature_table(curves, recipe.data)[1]

    every = table(prepared.curves)
    train, val, test = (every[prepared.splits[name]] for name in ("train", "val", "test"))
    model = Boosting(balanced=recipe.train.loss == "balanced")
    model.fit(train, prepared.truth("train"), val, prepared.truth("val"), prepared.frame.classes)
    return Method(
        val=model.predict(val),
        test=model.predict(test),
        judge=lambda curves: model.predict(table(curves)),
        facts={"rounds": model.rounds_used, **vars(model.trees)},
    )
