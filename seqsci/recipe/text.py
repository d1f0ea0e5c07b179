"""Recipes and flags as text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from seqsci import catalog
from seqsci.errors import SeqsciError
from seqsci.recipe.trees import Tree, expand
from seqsci.recipe.typed import Text


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
    tree = expand(_yaml(text, name))
    for horizon, entry in (tree.get("horizons") or {}).items():
        if not isinstance(horizon, int) or not isinstance(entry, dict):
            raise SeqsciError(f"{name}: horizons must map a number of steps to dotted settings, not {horizon!r}")
    return tree


def parse_changes(pairs: Iterable[str]) -> Tree:
    """["train.lr=1e-4", ...] as flags give them -> {"train.lr": "1e-4"}; what the text means, its field decides.

    Raises:
        SeqsciError: no path, or one that stands twice.
    """
    changes: Tree = {}
    for pair in pairs:
        path, equals, text = pair.partition("=")
        if not equals or not path:
            raise SeqsciError(f"--set {pair}: write it as path=value, such as --set train.lr=1e-4")
        if path in changes:
            raise SeqsciError(f"--{path}: stands twice, with {changes[path]} and {text}; keep one of them")
        changes[path] = Text(text)
    return changes


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
