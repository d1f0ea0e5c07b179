"""Nested mapping -> checked recipe; whatever does not fit is refused by its dotted path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from seqsci import catalog, registry
from seqsci.errors import SeqsciError, nearest
from seqsci.models.settings import HMTSettings, ModelSettings
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
)
from seqsci.recipe.trees import Tree, expand, flatten, merge, nest, number, plain
from seqsci.recipe.typed import fit_types
from seqsci.recipe.written import (
    FinetuneData,
    FinetuneEvaluate,
    FinetuneTrain,
    PretrainData,
    PretrainEvaluate,
    PretrainTrain,
    WrittenData,
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One experiment, complete: running it again on the same machine repeats it."""

    task: str
    """The job."""
    data: Data
    model: ModelSettings
    train: Train = field(default_factory=Train)
    evaluate: Evaluate = field(default_factory=Evaluate)
    search: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Space of `seqsci tune`: {train.lr: {log: [1e-5, 1e-2]}, model.layers: {int: [1, 4]}}."""

    def with_(self, changes: Mapping[str, Any]) -> Self:
        """A copy with dotted paths changed: `recipe.with_({"train.lr": 1e-3})`; what is given is searched no more.

        Raises:
            SeqsciError: unknown path, wrong type or impossible pair.
        """
        changed = build(change(as_tree(self), changes))
        if not isinstance(changed, type(self)):
            raise SeqsciError(f"task: a recipe for '{self.task}' cannot become one for '{changed.task}'")
        return changed

    def located(self) -> Tree:
        """Dotted path -> absolute path for every file or run that is named, so that a run can move."""
        found: Tree = {}
        for path, value in {"data.name": self.data.name, "data.objects": getattr(self.data, "objects", None)}.items():
            if value is None or value in catalog.names("datasets"):
                continue
            files = [Path(part) for part in ([value] if Path(value).is_file() else value.split(","))]
            if all(file.is_file() for file in files):
                found[path] = ",".join(str(file.resolve()) for file in files)
        start = getattr(self.train, "start", None)
        if start is not None and Path(start).is_dir():
            found["train.start"] = str(Path(start).resolve())
        return found

    def flat(self) -> Tree:
        """Dotted path -> value for every field."""
        return flatten(as_tree(self))

    def to_yaml(self) -> str:
        """The recipe as a file that `seqsci run` takes."""
        import yaml

        return yaml.safe_dump(as_tree(self), sort_keys=False, width=100)


@dataclass(frozen=True, kw_only=True)
class ForecastRecipe(Recipe):
    """A recipe of `seqsci forecast`."""

    task: Literal["forecast"] = "forecast"
    data: ForecastData
    train: ForecastTrain = field(default_factory=ForecastTrain)
    evaluate: ForecastEvaluate = field(default_factory=ForecastEvaluate)

    def __post_init__(self) -> None:
        label = getattr(self.model, "label_length", 0)
        if getattr(self.model, "decoder", "") == "generative" and label > self.data.context:
            raise SeqsciError(
                f"model.label_length: {label} known steps cannot start the decoder when data.context is "
                f"{self.data.context}; take at most the context"
            )
        if getattr(self.model, "decoder", "") == "channels":
            _require_channels_alone(self.data, self.model.name)


@dataclass(frozen=True, kw_only=True)
class ClassifyRecipe(Recipe):
    """A recipe of `seqsci classify`."""

    task: Literal["classify"] = "classify"
    data: ClassifyData
    train: ClassifyTrain = field(default_factory=ClassifyTrain)
    evaluate: ClassifyEvaluate = field(default_factory=ClassifyEvaluate)

    def __post_init__(self) -> None:
        if self.data.input == "gp" and self.train.cut:
            raise SeqsciError(
                "train.cut: a Gaussian process has seen the whole curve, so that cutting it would hide nothing; "
                "put train.cut to 0, or take data.input direct"
            )
        if self.data.features and self.train.cut:
            raise SeqsciError(
                "train.cut: the measures of data.features have seen the whole curve, so that cutting it would hide "
                "nothing; put one of the two off"
            )
        if self.data.input == "direct" and getattr(self.model, "embedding", "") == "published":
            raise SeqsciError("model.embedding: 'published' reads a Gaussian process; add data.input gp")
        known = [*OWN_BASELINES, *_recipes_of("classify")]
        for name in self.evaluate.baselines:
            if name not in known:
                raise SeqsciError(f"evaluate.baselines: no baseline '{name}'{nearest(name, known)}")


OWN_BASELINES = ("prior", "boosting")
"""Baselines of a classification that are no recipe of it."""


def _recipes_of(task: str) -> list[str]:
    return [name.removeprefix(f"{task}/") for name in catalog.recipes() if name.startswith(f"{task}/")]


@dataclass(frozen=True, kw_only=True)
class PretrainRecipe(Recipe):
    """A recipe of `seqsci pretrain`."""

    task: Literal["pretrain"] = "pretrain"
    data: PretrainData
    train: PretrainTrain = field(default_factory=PretrainTrain)
    evaluate: PretrainEvaluate = field(default_factory=PretrainEvaluate)

    def __post_init__(self) -> None:
        if self.data.strands == "shared" and self.train.objective != "masked":
            raise SeqsciError(
                "data.strands: 'shared' reads both strands, so that a causal model would see what it is to tell; "
                "put train.objective to masked"
            )
        _require_causal(self.model, self.train.objective)
        if self.data.sets and isinstance(self.model, HMTSettings) and not self.model.across:
            raise SeqsciError(
                "data.sets: a row then holds related records, and HMT begins each of them without memory of the "
                "others; put model.across to true"
            )
        _require_strands(self.data)


@dataclass(frozen=True, kw_only=True)
class FinetuneRecipe(Recipe):
    """A recipe of `seqsci finetune`."""

    task: Literal["finetune"] = "finetune"
    data: FinetuneData
    train: FinetuneTrain = field(default_factory=FinetuneTrain)
    evaluate: FinetuneEvaluate = field(default_factory=FinetuneEvaluate)

    def __post_init__(self) -> None:
        if self.train.frozen and self.train.start is None:
            raise SeqsciError("train.frozen: there is nothing learnt to keep; name a pretrained run by train.start")
        _require_strands(self.data)


def _require_channels_alone(data: ForecastData, name: str) -> None:
    """Refuse what a head of each series by itself would pass over."""
    if data.level != "none":
        raise SeqsciError(
            f"data.level: {name} deals with the level of a window itself, and {data.level} would hide it; put "
            f"data.level to none, or model.decoder to linear"
        )
    unread = {"data.covariates": bool(data.covariates), "data.inputs": data.inputs == "all" and data.target != "all"}
    for path, given in unread.items():
        if given:
            raise SeqsciError(
                f"{path}: {name} forecasts each series from itself alone and would not read them; leave it out, or "
                f"put model.decoder to linear"
            )


def _require_causal(model: ModelSettings, objective: str) -> None:
    """Refuse HMT as published where the next token is asked for, unless it is asked for by that name."""
    if objective != "masked" and isinstance(model, HMTSettings) and model.leaks and model.inject != "front-leaks":
        raise SeqsciError(
            f"model.inject: with front the first {model.summed} of {model.segment} steps of each segment are shown a "
            f"summary of themselves, so that a causal model sees what it is to tell; take mid, or front-leaks to "
            f"measure by how much"
        )


def _require_strands(data: WrittenData) -> None:
    if data.strands != "one" and data.domain not in (None, "genomics"):
        raise SeqsciError(f"data.strands: {data.domain} have no other strand; leave it out")


TASKS: dict[str, type[Recipe]] = {
    "forecast": ForecastRecipe,
    "classify": ClassifyRecipe,
    "pretrain": PretrainRecipe,
    "finetune": FinetuneRecipe,
}
"""Verb -> what a recipe for it may say."""
T = TypeVar("T", bound=Recipe)


def as_kind(recipe: Recipe, kind: type[T]) -> T:
    """The recipe as what it has to be.

    Raises:
        SeqsciError: it is for another task.
    """
    if not isinstance(recipe, kind):
        wanted = next(name for name, known in TASKS.items() if known is kind)
        raise SeqsciError(f"task: this needs a recipe for '{wanted}', not for '{recipe.task}'")
    return recipe


def build(tree: Tree) -> Recipe:
    """A checked recipe from a nested mapping.

    Raises:
        SeqsciError: naming the dotted path and the nearest right name.
    """
    tree = expand(tree)
    task = tree.get("task", "forecast")
    if task not in TASKS:
        raise SeqsciError(f"task: no task '{task}'{nearest(str(task), TASKS)}")
    _refuse_unknown(tree, TASKS[task], "")
    typed = fit_types({**tree, "model": {}}, TASKS[task])
    typed["model"] = _fit_model(tree.get("model") or {}, "model")
    try:
        recipe = _adapter(task).validate_python(typed)
    except ValidationError as problem:
        raise SeqsciError(_sentence(problem)) from None
    check_search(recipe)
    return recipe


def change(tree: Tree, changes: Mapping[str, Any]) -> Tree:
    """The nested mapping with dotted paths changed.

    A setting that is given leaves the space of the search, which would draw another value for it, and so does what it
    no longer lets be tried; a whole `search` takes the place of the old one.
    """
    tree = _for_encoder(tree, changes.get("model.encoder.name"))
    old = {} if "search" in changes else tree.get("search") or {}
    new = merge({**tree, "search": {}}, nest(changes))
    kept = {
        path: law
        for path, law in old.items()
        if path not in changes and (_may_try(new, path, law) or not _may_try(tree, path, law))
    }
    return merge({**tree, "search": kept}, nest(changes))


def _for_encoder(tree: Tree, name: Any) -> Tree:
    """Without what the recipe says of its own encoder, and another one in its place does not know."""
    model = tree.get("model")
    inner = model.get("encoder") if isinstance(model, dict) else None
    if (
        name not in registry.HOMES
        or not isinstance(model, dict)
        or not isinstance(inner, dict)
        or inner.get("name") == name
    ):
        return tree
    known = {field.name for field in fields(registry.settings(name))}
    kept = {key: value for key, value in inner.items() if key in known}
    return {**tree, "model": {**model, "encoder": kept}}


def _may_try(tree: Tree, path: str, law: Any) -> bool:
    """Whether every candidate of an entry of a search space fits the rest."""
    try:
        for candidate in candidates(path, law):
            build({**merge(tree, nest({path: candidate})), "search": {}})
    except SeqsciError:
        return False
    return True


def as_tree(recipe: Recipe) -> Tree:
    """Nested plain mappings and lists."""
    tree: Tree = plain(asdict(recipe))
    return tree


def check_search(recipe: Recipe) -> None:
    """Refuse a search space with an unknown path, an unknown law, or a candidate of the wrong type.

    Raises:
        SeqsciError: naming the entry.
    """
    for path, law in recipe.search.items():
        for candidate in candidates(path, law):
            tree = merge(as_tree(recipe), nest({path: candidate}))
            tree["search"] = {}
            try:
                build(tree)
            except SeqsciError as problem:
                raise SeqsciError(f"search.{path}: {problem}") from None


def candidates(path: str, law: Any) -> list[Any]:
    """Every choice of one entry of a search space, or the two ends of its range."""
    laws = {"choice", "int", "float", "log"}
    if not isinstance(law, dict) or len(law) != 1 or not set(law) <= laws:
        raise SeqsciError(f"search.{path}: give one of choice, int, float or log with a list, not {law!r}")
    ((kind, values),) = law.items()
    if not isinstance(values, list | tuple) or not values:
        raise SeqsciError(f"search.{path}.{kind}: give a list, not {values!r}")
    if kind == "choice":
        return list(values)
    if len(values) != 2:
        raise SeqsciError(f"search.{path}.{kind}: give the two ends [low, high], not {values!r}")
    low, high = (number(value, f"search.{path}.{kind}") for value in values)
    if not low < high or (kind == "log" and low <= 0):
        raise SeqsciError(f"search.{path}.{kind}: need low < high{', both above 0' if kind == 'log' else ''}")
    return [int(low), int(high)] if kind == "int" else [low, high]


@cache
def _adapter(task: str) -> TypeAdapter[Recipe]:
    return TypeAdapter(TASKS[task])


def _sentence(problem: ValidationError) -> str:
    first = problem.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, SeqsciError):
        return str(cause).replace("model.", "model.encoder.") if "encoder" in first["loc"] else str(cause)
    # In a union pydantic names the chosen model as well: ("model", "informer", "heads").
    path = ".".join(str(part) for part in first["loc"] if part not in registry.HOMES)
    message = first["msg"][:1].lower() + first["msg"][1:]
    given = "" if first["type"] == "missing" else f" (given: {first['input']!r})"
    return f"{path}: {message}{given}"


def _fit_model(tree: Any, path: str, around: str = "") -> Tree:
    """A model's block with each value as its field wants it, and so the block of an encoder that it is `around`."""
    if not isinstance(tree, dict):
        raise SeqsciError(f"{path}: give settings by name, not {tree!r}")
    name = str(tree.get("name", ""))
    if around and name not in (own := [known for known in registry.HOMES if known not in registry.AROUND]):
        raise SeqsciError(f"{path}.name: no encoder '{name}' {registry.AROUND[around]}{nearest(name, own)}")
    cls = registry.settings(name)
    _refuse_unknown(tree, cls, path)
    if "encoder" not in tree:
        return fit_types(tree, cls)
    inner = expand({"model": tree["encoder"]})["model"]
    typed = fit_types({key: value for key, value in tree.items() if key != "encoder"}, cls)
    return {**typed, "encoder": _fit_model(inner, f"{path}.encoder", name)}


def _refuse_unknown(tree: Any, cls: type, path: str) -> None:
    if not isinstance(tree, dict):
        raise SeqsciError(f"{path or 'recipe'}: give settings by name, not {tree!r}")
    known = {f.name for f in fields(cls)}
    hints = get_type_hints(cls)
    for key, value in tree.items():
        dotted = f"{path}.{key}" if path else str(key)
        if key not in known:
            raise SeqsciError(f"{dotted}: no such setting{nearest(str(key), known)}")
        if is_dataclass(hints[key]):
            _refuse_unknown(value, hints[key], dotted)
