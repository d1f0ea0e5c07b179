"""Finds what is shipped beside the code: data set cards (`datasets/*.toml`), recipes (`recipes/**/*.yaml`).

Nothing heavy is imported here: the command line's help reads names from this file.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from seqsci.errors import SeqsciError, nearest

Duplicates = Literal["refuse", "first", "mean"]
Irregular = Literal["refuse", "round"]
Layout = Literal["auto", "wide", "long"]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a file is to be read; an empty string means: find out and say so.

    `time`, `id`, `value` name columns; `missing` are numbers that stand for "not observed"; `duplicates`
    says what happens to rows that give one time different values; `irregular` what happens to a time
    between two steps; `step` is the distance of rows as polars writes it ("1h", "15m", "1mo").
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    time: str = ""
    id: str = ""
    value: str = ""
    layout: Layout = "auto"
    encoding: str = "utf-8"
    separator: str = ""
    missing: tuple[float, ...] = ()
    duplicates: Duplicates = "refuse"
    step: str = ""
    irregular: Irregular = "refuse"


@dataclass(frozen=True, kw_only=True)
class Split:
    """Train, validation and test in the order of time.

    kind "borders": numbers of rows from the first one on, later rows stay unused; kind "fraction": with N
    rows, train is int(train N), test is int(test N), and validation is the rest between them.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    kind: Literal["borders", "fraction"] = "fraction"
    train: int | float = 0.7
    val: int | float = 0.1
    test: int | float = 0.2

    def __post_init__(self) -> None:
        parts = (self.train, self.val, self.test)
        if self.kind == "borders" and not all(isinstance(p, int) and p > 0 for p in parts):
            raise ValueError("train, val and test must be numbers of rows for kind 'borders'")
        if self.kind == "fraction" and (min(parts) <= 0 or abs(sum(parts) - 1) > 1e-9):
            raise ValueError("train, val and test must be positive and add up to 1 for kind 'fraction'")


@dataclass(frozen=True, kw_only=True)
class Card:
    """One data set: where it comes from, how it is read, and how the published protocol splits it.

    `sha256` is that of the uncompressed content, "" where it is not known; `bytes` likewise (None: unknown);
    `rows` counts data rows of the file; `target` is the usual single target; `units` maps channels to units;
    `instructions` say where to get the file when there is no `url`.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    name: str
    title: str
    domain: str
    description: str
    licence: str
    file: str = ""
    url: str = ""
    sha256: str = ""
    bytes: int | None = None
    rows: int | None = None
    citation: str = ""
    instructions: str = ""
    simulated: bool = False
    target: str = ""
    units: dict[str, str] = field(default_factory=dict)
    notes: str = ""
    read: Reading = field(default_factory=Reading)
    split: Split = field(default_factory=Split)

    def __post_init__(self) -> None:
        if not self.simulated and not (self.file and (self.url or self.instructions)):
            raise ValueError("needs a file, and a url or instructions, unless it is simulated")


def folder(kind: Literal["datasets", "recipes"]) -> Path:
    """The folder that holds the cards or the recipes.

    A checkout wins over `seqsci/_share`: an editable install leaves a copy of the latter that grows stale.
    """
    package = Path(__file__).resolve().parent
    # Without pyproject.toml we are in site-packages, where `datasets` is another project's package.
    if (package.parent / "pyproject.toml").is_file() and (package.parent / kind).is_dir():
        return package.parent / kind
    return package / "_share" / kind


def names(kind: Literal["datasets", "recipes"] = "datasets") -> list[str]:
    """Sorted names: "etth1" for a data set, "forecast/informer-etth1" for a recipe."""
    pattern = {"datasets": "*.toml", "recipes": "*.yaml"}[kind]
    found = (path.relative_to(folder(kind)) for path in folder(kind).rglob(pattern))
    return sorted(path.with_suffix("").as_posix() for path in found)


def recipes() -> list[str]:
    """Sorted names of the shipped recipes."""
    return names("recipes")


def label(name: str) -> str:
    """A data set or file as it is spoken of: simulated data is always called simulated."""
    return f"{name} (simulated data)" if name in names("datasets") and card(name).simulated else name


def card(name: str) -> Card:
    """The card of the data set `name`.

    Raises:
        SeqsciError: no such data set (with the nearest name), or a card that breaks the schema.
    """
    known = names("datasets")
    if name not in known:
        raise SeqsciError(f"no data set '{name}'{nearest(name, known)}")
    return _parse(folder("datasets") / f"{name}.toml")


def describe(card: Card) -> str:
    """Some lines for a person: origin, size, licence, units, reading, split and what to beware of."""
    split = card.split
    unit = "rows" if split.kind == "borders" else "of the rows"
    size = "" if card.rows is None else f"{card.rows} rows"
    size += "" if card.bytes is None else f", {card.bytes} bytes"
    facts = {
        "file": card.file or "none: simulated",
        "size": size,
        "from": card.url or card.instructions.strip(),
        "sha256": card.sha256,
        "licence": card.licence,
        "citation": card.citation,
        "step": card.read.step,
        "target": card.target,
        "units": ", ".join(f"{name}: {what}" for name, what in card.units.items()),
        "split": f"train {split.train}, val {split.val}, test {split.test} {unit}",
        "note": card.notes.strip(),
    }
    lines = [f"{name + ':':10s}{text}" for name, text in facts.items() if text]
    return "\n".join([f"{card.name}: {card.title}", card.description.strip(), *lines])


def recipe_text(name: str) -> str:
    """The YAML text of a shipped recipe.

    Raises:
        SeqsciError: no such recipe; the sentence gives the nearest name.
    """
    known = recipes()
    if name not in known:
        raise SeqsciError(f"no recipe '{name}'{nearest(name, known)}")
    return (folder("recipes") / f"{name}.yaml").read_text(encoding="utf-8")


@cache
def _parse(path: Path) -> Card:
    from pydantic import TypeAdapter, ValidationError

    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        found = TypeAdapter(Card).validate_python(table)
    except tomllib.TOMLDecodeError as error:
        raise SeqsciError(f"datasets/{path.name}: not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SeqsciError(f"datasets/{path.name}, {where or 'card'}: {first['msg']}") from None
    if found.name != path.stem:
        raise SeqsciError(f"datasets/{path.name}, name: '{found.name}' must be the name of the file")
    return found
