"""What flags and files write, as the fields of a recipe want it: text by the field's type, one value for a list."""

from __future__ import annotations

from dataclasses import is_dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from seqsci.recipe.trees import Tree


class Text(str):
    """A value as it was typed on the command line: what it means, its field decides."""

    __slots__ = ()


def fit_types(tree: Tree, cls: type) -> Tree:
    """The nested mapping with each value as its field wants it; what fits no type is left for the check to refuse."""
    hints = get_type_hints(cls)
    return {key: _fit(value, hints[key]) if key in hints else value for key, value in tree.items()}


def _fit(value: Any, hint: Any) -> Any:
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if isinstance(value, dict) and is_dataclass(hint):
        return fit_types(value, hint)  # type: ignore[arg-type] # mypy sees instances here as well
    if isinstance(value, Text) and type(None) in kinds and value in ("", "null", "~"):
        return None
    for kind in kinds:
        if get_origin(kind) is tuple and value is not None:
            return [_fit(item, get_args(kind)[0]) for item in _items(value)]
        if get_origin(kind) is dict and isinstance(_plain(value), dict):
            return {key: _fit(item, get_args(kind)[1]) for key, item in _plain(value).items()}
    if isinstance(value, Text):
        return str(value) if any(_is_text(kind) for kind in kinds) else _plain(value)
    return value


def _items(value: Any) -> list[Any]:
    """`[80, 95]`, `80,95` and `80` alone are all lists."""
    if not isinstance(value, str):
        return list(value) if isinstance(value, list | tuple) else [value]
    if value.lstrip().startswith("["):
        found = _yaml(value, texts=True)
        if isinstance(found, list):
            return [Text(item) if isinstance(item, str) else item for item in found]
    return [Text(part.strip()) for part in value.split(",") if part.strip()]


def _is_text(kind: Any) -> bool:
    return kind is str or (get_origin(kind) is Literal and all(isinstance(word, str) for word in get_args(kind)))


def _plain(value: Any) -> Any:
    """What YAML makes of a text."""
    return _yaml(value) if isinstance(value, Text) else value


def _yaml(text: str, *, texts: bool = False) -> Any:
    """The text itself where it is no YAML; with `texts`, what stands in a list stays text."""
    import yaml

    try:
        return yaml.load(text, yaml.BaseLoader if texts else yaml.SafeLoader)
    except yaml.YAMLError:
        return str(text)
