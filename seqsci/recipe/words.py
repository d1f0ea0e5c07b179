"""The types and values of a recipe's fields in plain words, for help texts."""

from __future__ import annotations

from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false", NoneType: "none"}
BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def kind_words(hint: Any) -> str:
    """`Annotated[float, Field(ge=0)]` -> "number >= 0"."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return " ".join([kind_words(parts[0]), " and ".join(_bounds(parts[1:]))]).strip()
    if origin is Literal:
        return _either([str(part) for part in parts])
    if origin in (Union, UnionType):
        return _either([kind_words(part) for part in parts])
    if origin is tuple:
        return f"list of: {kind_words(parts[0])}"
    if is_dataclass(hint):
        return f"settings of {getattr(hint, 'name', hint)}"
    return "mapping" if origin is dict else NAMES.get(hint, str(hint))


def value_words(value: Any) -> str:
    """A default as a flag would give it."""
    if value is None or value in ((), {}):
        return "none"
    if is_dataclass(value):
        return str(getattr(value, "name", value))
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _bounds(notes: tuple[Any, ...]) -> list[str]:
    """What the fields of pydantic demand of a number."""
    limits = [limit for note in notes for limit in getattr(note, "metadata", ())]
    return [
        f"{sign} {getattr(limit, name)}" for limit in limits for name, sign in BOUNDS.items() if hasattr(limit, name)
    ]


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
