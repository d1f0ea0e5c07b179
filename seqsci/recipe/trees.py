"""Nested mappings as YAML gives them, and the dotted paths that name their leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqsci.errors import SeqsciError

Tree = dict[str, Any]


def expand(tree: Tree) -> Tree:
    """`data: etth1` is short for `data: {name: etth1}`, and so is `model: informer`."""
    return {
        key: {"name": value} if key in {"data", "model"} and isinstance(value, str) else value
        for key, value in tree.items()
    }


def nest(flat: Mapping[str, Any]) -> Tree:
    """{"train.lr": 1} to {"train": {"lr": 1}}; what stands below `search` stays dotted."""
    tree: Tree = {}
    for path, value in flat.items():
        head, _, rest = path.partition(".")
        if rest and head != "search":
            tree[head] = merge(tree.get(head, {}), nest({rest: value}))
        elif rest:
            tree.setdefault(head, {})[rest] = value
        else:
            tree[head] = value
    return tree


def merge(base: Tree, over: Tree) -> Tree:
    """Both trees in one; where they differ, `over` wins."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def flatten(tree: Tree, path: str = "") -> Tree:
    """The inverse of `nest`."""
    flat: Tree = {}
    for key, value in tree.items():
        dotted = f"{path}.{key}" if path else key
        flat.update(flatten(value, dotted) if isinstance(value, dict) and key != "search" else {dotted: value})
    return flat


def plain(value: Any) -> Any:
    """Tuples as lists, all the way down."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def number(value: Any, path: str) -> float:
    """A number, or a refusal that names the path."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise SeqsciError(f"{path}: {value!r} is not a number") from None


def whole_number(value: Any, path: str) -> int:
    """A whole number, or a refusal that names the path."""
    found = number(value, path)
    if found != int(found):
        raise SeqsciError(f"{path}: {value!r} is not a whole number")
    return int(found)
