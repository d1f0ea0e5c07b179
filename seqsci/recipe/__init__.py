"""What a run is: frozen dataclasses <-> YAML.

Precedence: field defaults < recipe file < its entry for the chosen horizon < flags. A recipe names things
from closed sets and never an import path, so that opening a stranger's recipe cannot run code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqsci import catalog, registry
from seqsci.errors import SeqsciError, nearest
from seqsci.recipe.blocks import (
    ClassifyData,
    ClassifyEvaluate,
    ClassifyTrain,
    Data,
    Evaluate,
    ForecastData,
    ForecastEvaluate,
    ForecastTrain,
    Train,
    describe,
)
from seqsci.recipe.build import (
    TASKS,
    ClassifyRecipe,
    FinetuneRecipe,
    ForecastRecipe,
    PretrainRecipe,
    Recipe,
    as_kind,
    as_tree,
    build,
    candidates,
    change,
    check_search,
)
from seqsci.recipe.text import parse_changes, read
from seqsci.recipe.trees import merge, nest, whole_number
from seqsci.recipe.written import FinetuneData, PretrainData, WrittenData

__all__ = [
    "TASKS",
    "ClassifyData",
    "ClassifyEvaluate",
    "ClassifyRecipe",
    "ClassifyTrain",
    "Data",
    "Evaluate",
    "FinetuneData",
    "FinetuneRecipe",
    "ForecastData",
    "ForecastEvaluate",
    "ForecastRecipe",
    "ForecastTrain",
    "PretrainData",
    "PretrainRecipe",
    "Recipe",
    "Train",
    "WrittenData",
    "as_kind",
    "as_tree",
    "build",
    "candidates",
    "check_search",
    "describe",
    "parse_changes",
    "read",
    "resolve",
]


FIRST = {
    "forecast": ("demo-electricity", "informer"),
    "classify": ("demo-photometry", "t2"),
    "pretrain": ("demo-molecules", "bioxlstm"),
    "finetune": ("demo-molecules", "bioxlstm"),
}
"""Verb -> the data set and the model that are taken when none is named."""


def resolve(
    task: str,
    *,
    data: str | None = None,
    model: str | None = None,
    recipe: str | None = None,
    changes: Mapping[str, Any] | None = None,
) -> tuple[Recipe, str]:
    """The recipe of a command, and one sentence that says where it came from.

    A recipe that is not named is the shipped one for that model and data set (`forecast/informer-etth1`;
    with a single target `forecast/informer-etth1-univariate`), else the model's general one.

    Args:
        task: the verb; "" for that of the named recipe.
        data: data set name or file path; changes `data.name`.
        model: model name; changes `model.name`.
        recipe: shipped recipe name or path of a YAML file.
        changes: dotted path -> value, strongest of all.
    """
    changes = dict(changes or {})
    if data is not None or recipe is None:
        changes["data.name"] = data or FIRST[task][0]
    if recipe is None:
        recipe = _choose(task, model or FIRST[task][1], changes)
    elif model is not None:
        changes["model.name"] = model
    tree = read(recipe)
    task = task or tree.get("task", "forecast")
    if tree.get("task", task) != task:
        raise SeqsciError(f"{recipe}: it is a recipe for '{tree['task']}', not for '{task}'")
    published = tree.pop("horizons", {})
    note = f"recipe {recipe}"
    if published:
        horizon = whole_number(changes.get("data.horizon", tree["data"].get("horizon")), "data.horizon")
        chosen = min(published, key=lambda known: (abs(known - horizon), known))
        tree = merge(tree, nest(published[chosen]))
        exact = chosen == horizon
        note += f", settings for horizon {chosen}" + ("" if exact else f" (nearest to {horizon})")
        tree["data"]["horizon"] = horizon
    return build(change({"task": task, **tree}, changes)), note


def _choose(task: str, model: str, changes: Mapping[str, Any]) -> str:
    if model not in registry.HOMES:
        raise SeqsciError(f"model.name: no model '{model}'{nearest(str(model), registry.HOMES)}")
    target = str(changes.get("data.target", "all"))
    univariate = target != "all" and "," not in target and changes.get("data.inputs") != "all"
    name = str(changes["data.name"])
    special = f"{task}/{model}-{name}{'-univariate' if univariate else ''}"
    if special in catalog.recipes():
        return special
    domain = catalog.card(name).domain if name in catalog.names("datasets") else changes.get("data.domain")
    by_domain, general = f"{task}/{model}-{domain}", f"{task}/{model}"
    if by_domain not in catalog.recipes() and general not in catalog.recipes():
        known = ", ".join(name for name in catalog.recipes() if name.startswith(f"{task}/"))
        raise SeqsciError(
            f"model.name: there is no recipe of '{model}' for {task}; there are {known} "
            f"(`seqsci models {model}` says what it is for)"
        )
    return by_domain if by_domain in catalog.recipes() else general
