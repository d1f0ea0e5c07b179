"""What a run is: frozen dataclasses <-> YAML.

Precedence: field defaults < recipe file < its entry for the chosen horizon < flags. A recipe names things
from closed sets and never an import path, so that opening a stranger's recipe cannot run code.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from seqsci import catalog, registry
from seqsci.errors import SeqsciError, nearest
from seqsci.models.settings import ModelSettings, Positive

Count = Annotated[int, Field(ge=0, strict=True)]
Level = Annotated[int, Field(gt=0, lt=100, strict=True)]
Rate = Annotated[float, Field(gt=0)]
Tree = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ForecastData:
    """Which series are read and forecast, and how they are split."""

    name: str
    """A data set of `seqsci data list`, or the path of a CSV or Parquet file."""
    target: str = "all"
    """Series to forecast: "all", one name, or names with commas between."""
    inputs: Literal["target", "all"] = "target"
    """Series the model reads: those it forecasts, or every one (multivariate-to-one)."""
    covariates: tuple[str, ...] = ()
    """Columns that are known for the horizon as well, such as a weather forecast or a holiday flag."""
    context: Positive = 96
    """Steps the model sees."""
    horizon: Positive = 24
    """Steps it forecasts."""
    split: str = "auto"
    """"auto" (the data set's own, else 0.7,0.1,0.2), three fractions "0.7,0.1,0.2" for training, validation
    and test, or two dates "2018-01-01,2018-04-01" at which validation and test begin."""
    time: str | None = None
    """Time column; guessed when not given."""
    layout: Literal["auto", "wide", "long"] = "auto"
    """One column per series (wide), or one row per series and time (long)."""
    id: str | None = None
    """Long layout: column that names the series."""
    value: str | None = None
    """Long layout: column that holds the values."""
    step: str | None = None
    """Distance between two rows ("1h", "15m", "1d", "1mo"); inferred when not given."""
    duplicates: Literal["refuse", "first", "mean"] | None = None
    """What to do with two different values for one time."""
    irregular: Literal["refuse", "round"] | None = None
    """What to do with a time between two steps: refuse it, or round it to the nearest."""
    missing: tuple[float, ...] | None = None
    """Numbers that stand for "not observed", such as -9999."""
    encoding: str | None = None
    """Character set of a text file; UTF-8 when not given."""
    separator: str | None = None
    """Character between two columns of a text file; found out when not given."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """How the model is trained."""

    epochs: Positive = 6
    """Passes over the training windows, at most."""
    batch: Positive = 32
    """Windows per step."""
    lr: Rate = 1e-4
    """Learning rate of Adam."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay (AdamW when above 0)."""
    schedule: Literal["halve", "cosine", "constant"] = "halve"
    """Learning rate by epoch: halved after each from the second on (the published one), a cosine, or constant."""
    patience: Positive = 3
    """Epochs without a better validation loss after which training stops."""
    loss: Literal["mse", "mae"] = "mse"
    """What is minimised, in scaled units."""
    clip: Annotated[float, Field(ge=0)] = 0.0
    """Largest norm of the gradient; 0 for no limit."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16 where the hardware multiplies it fast (auto), always, or never."""
    seed: Count = 0
    """Seed of the weights, the order of windows, dropout and key samples."""
    save_minutes: Annotated[float, Field(ge=0)] = 2.0
    """Minutes between two resume points."""


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """How the result is judged."""

    levels: tuple[Level, ...] = (80, 95)
    """Coverage in per cent that the forecast intervals aim at."""
    season: Count = 0
    """Steps in a season for the seasonal naive; 0 to take it from the time step."""
    resamples: Positive = 2000
    """Bootstrap resamples behind each confidence interval."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One experiment, complete: running it again on the same machine repeats it."""

    task: Literal["forecast"] = "forecast"
    """The job."""
    data: ForecastData
    model: ModelSettings
    train: Train = field(default_factory=Train)
    evaluate: Evaluate = field(default_factory=Evaluate)
    search: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Space of `seqsci tune`: {train.lr: {log: [1e-5, 1e-2]}, model.layers: {int: [1, 4]}}."""

    def __post_init__(self) -> None:
        label = getattr(self.model, "label_length", 0)
        if getattr(self.model, "decoder", "") == "generative" and label > self.data.context:
            raise SeqsciError(
                f"model.label_length: {label} known steps cannot start the decoder when data.context is "
                f"{self.data.context}; take at most the context"
            )

    def with_(self, changes: Mapping[str, Any]) -> Recipe:
        """A copy with dotted paths changed: `recipe.with_({"train.lr": 1e-3})`.

        Raises:
            SeqsciError: unknown path, wrong type or impossible pair.
        """
        return build(_merge(as_tree(self), _nest(changes)))

    def flat(self) -> Tree:
        """Dotted path -> value for every field."""
        return _flatten(as_tree(self))

    def to_yaml(self) -> str:
        """The recipe as a file that `seqsci run` takes."""
        import yaml

        return yaml.safe_dump(as_tree(self), sort_keys=False, width=100)


def build(tree: Tree) -> Recipe:
    """A checked recipe from a nested mapping.

    Raises:
        SeqsciError: naming the dotted path and the nearest right name.
    """
    tree = _expand(tree)
    _refuse_unknown(tree, Recipe, "")
    name = (tree.get("model") or {}).get("name", "")
    if name not in registry.HOMES:
        raise SeqsciError(f"model.name: no model '{name}'{nearest(str(name), registry.HOMES)}")
    try:
        recipe = _adapter().validate_python(tree)
    except ValidationError as problem:
        raise SeqsciError(_sentence(problem)) from None
    check_search(recipe)
    return recipe


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
        task: the verb.
        data: data set name or file path; changes `data.name`.
        model: model name; changes `model.name`.
        recipe: shipped recipe name or path of a YAML file.
        changes: dotted path -> value, strongest of all.
    """
    changes = dict(changes or {})
    if data is not None or recipe is None:
        changes["data.name"] = data or "demo-electricity"
    if recipe is None:
        recipe = _choose(task, model or "informer", changes)
    elif model is not None:
        changes["model.name"] = model
    tree = read(recipe)
    if tree.get("task", task) != task:
        raise SeqsciError(f"{recipe}: it is a recipe for '{tree['task']}', not for '{task}'")
    published = tree.pop("horizons", {})
    note = f"recipe {recipe}"
    if published:
        horizon = _whole(changes.get("data.horizon", tree["data"].get("horizon")), "data.horizon")
        chosen = min(published, key=lambda known: (abs(known - horizon), known))
        tree = _merge(tree, _nest(published[chosen]))
        exact = chosen == horizon
        note += f", settings for horizon {chosen}" + ("" if exact else f" (nearest to {horizon})")
        tree["data"]["horizon"] = horizon
    return build(_merge(tree, _nest(changes))), note


def read(name: str) -> Tree:
    """The nested mapping of a shipped recipe or of a YAML file; `horizons` may stand in it.

    Raises:
        SeqsciError: no such recipe, not YAML, or a key that stands twice.
    """
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise SeqsciError(f"{name}: no such recipe file; `seqsci recipes` lists those that are shipped")
        text = path.read_text(encoding="utf-8", errors="replace")
    else:
        text = catalog.recipe_text(name)
    tree = _expand(_yaml(text, name))
    for horizon, entry in (tree.get("horizons") or {}).items():
        if not isinstance(horizon, int) or not isinstance(entry, dict):
            raise SeqsciError(f"{name}: horizons must map a number of steps to dotted settings, not {horizon!r}")
    return tree


def as_tree(recipe: Recipe) -> Tree:
    """Nested plain mappings and lists."""
    plain: Tree = _plain(asdict(recipe))
    return plain


def describe(cls: type) -> list[tuple[str, str, Any, str]]:
    """(field, type, default, help) of a settings class, for help texts; help is the string below the field."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    helps = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
            helps[ast.unparse(statement.target)] = " ".join(str(ast.literal_eval(following.value)).split())
    return [(f.name, str(f.type), f.default, helps.get(f.name, "")) for f in fields(cls)]


def check_search(recipe: Recipe) -> None:
    """Refuse a search space with an unknown path, an unknown law, or a candidate of the wrong type.

    Raises:
        SeqsciError: naming the entry.
    """
    for path, law in recipe.search.items():
        for candidate in candidates(path, law):
            tree = _merge(as_tree(recipe), _nest({path: candidate}))
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
    low, high = (_number(value, f"search.{path}.{kind}") for value in values)
    if not low < high or (kind == "log" and low <= 0):
        raise SeqsciError(f"search.{path}.{kind}: need low < high{', both above 0' if kind == 'log' else ''}")
    return [int(low), int(high)] if kind == "int" else [low, high]


@cache
def _adapter() -> TypeAdapter[Recipe]:
    return TypeAdapter(Recipe)


def _choose(task: str, model: str, changes: Mapping[str, Any]) -> str:
    if model not in registry.HOMES:
        raise SeqsciError(f"model.name: no model '{model}'{nearest(model, registry.HOMES)}")
    target = str(changes.get("data.target", "all"))
    univariate = target != "all" and "," not in target and changes.get("data.inputs") != "all"
    special = f"{task}/{model}-{changes['data.name']}{'-univariate' if univariate else ''}"
    return special if special in catalog.recipes() else f"{task}/{model}"


def _sentence(problem: ValidationError) -> str:
    first = problem.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, SeqsciError):
        return str(cause)
    path = ".".join(str(part) for part in first["loc"])
    message = first["msg"][:1].lower() + first["msg"][1:]
    given = "" if first["type"] == "missing" else f" (given: {first['input']!r})"
    return f"{path}: {message}{given}"


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


def _expand(tree: Tree) -> Tree:
    """`data: etth1` is short for `data: {name: etth1}`, and so is `model: informer`."""
    return {
        key: {"name": value} if key in {"data", "model"} and isinstance(value, str) else value
        for key, value in tree.items()
    }


def _nest(flat: Mapping[str, Any]) -> Tree:
    tree: Tree = {}
    for path, value in flat.items():
        head, _, rest = path.partition(".")
        if rest and head != "search":
            tree[head] = _merge(tree.get(head, {}), _nest({rest: value}))
        elif rest:
            tree.setdefault(head, {})[rest] = value
        else:
            tree[head] = value
    return tree


def _merge(base: Tree, over: Tree) -> Tree:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _flatten(tree: Tree, path: str = "") -> Tree:
    flat: Tree = {}
    for key, value in tree.items():
        dotted = f"{path}.{key}" if path else key
        flat.update(_flatten(value, dotted) if isinstance(value, dict) and key != "search" else {dotted: value})
    return flat


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _number(value: Any, path: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise SeqsciError(f"{path}: {value!r} is not a number") from None


def _whole(value: Any, path: str) -> int:
    number = _number(value, path)
    if number != int(number):
        raise SeqsciError(f"{path}: {value!r} is not a whole number")
    return int(number)


def _yaml(text: str, name: str) -> Tree:
    """YAML in which a key that stands twice is refused: PyYAML would silently keep the last."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    def mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> Tree:
        seen: Tree = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise SeqsciError(f"{name}, line {line}: '{key}' stands twice; keep one of them")
            seen[key] = loader.construct_object(value_node, deep=True)
        return seen

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        tree = yaml.load(text, Loader)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise SeqsciError(f"{name}{where}: not a YAML recipe; see `seqsci recipes` for examples") from None
    if not isinstance(tree, dict):
        raise SeqsciError(f"{name}: a recipe is a mapping with data, model and train; see `seqsci recipes`")
    return tree


def parse_changes(pairs: Iterable[str]) -> Tree:
    """["train.lr=1e-4", ...] as flags give them -> {"train.lr": 1e-4}; values are read as YAML."""
    import yaml

    changes: Tree = {}
    for pair in pairs:
        path, equals, text = pair.partition("=")
        if not equals or not path:
            raise SeqsciError(f"--set {pair}: write it as path=value, such as --set train.lr=1e-4")
        try:
            changes[path] = yaml.safe_load(text)
        except yaml.YAMLError:
            changes[path] = text
    return changes
