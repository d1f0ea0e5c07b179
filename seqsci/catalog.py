"""Finds what is shipped beside the code: data set cards (`datasets/*.toml`), recipes (`recipes/**/*.yaml`).

Nothing heavy is imported here: the command line's help reads names from this file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from seqsci.errors import SeqsciError, nearest

Duplicates = Literal["refuse", "first", "mean"]
Irregular = Literal["refuse", "round"]
Layout = Literal["auto", "wide", "long"]
Role = Literal["observations", "objects", "records"]


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
class File:
    """One file of a data set.

    `sha256` and `bytes` are those of the uncompressed content, found as `name` or `name`.gz; where the source gives
    only an `md5`, it and `bytes` are those of the file exactly as it is called, compressed as it is. `part`: "" is
    always read, others only when asked for, and "test" goes along with "test_01". `split`: the objects in a table
    of role "objects" are the set's own test split; the records of a file of role "records" are all of that split,
    and `label` is the class of them all.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    name: str
    url: str = ""
    sha256: str = ""
    md5: str = ""
    bytes: int | None = None
    role: Role = "observations"
    part: str = ""
    split: Literal["", "train", "val", "test"] = ""
    label: str = ""

    def __post_init__(self) -> None:
        if self.sha256 and self.md5:
            raise ValueError(f"{self.name}: give sha256 or md5, not both")
        if self.sha256 and self.name.endswith(".gz"):
            raise ValueError(f"{self.name}: sha256 is of uncompressed content; drop .gz from the name or give md5")
        for digest, length in ((self.sha256, 64), (self.md5, 32)):
            if digest and not re.fullmatch(f"[0-9a-f]{{{length}}}", digest):
                raise ValueError(f"{self.name}: a digest is not {length} digits of 0-9 a-f")
        allowed = {"records": ("", "train", "val", "test"), "objects": ("", "test"), "observations": ("",)}[self.role]
        if self.split not in allowed:
            raise ValueError(f"{self.name}: split {self.split} is not for a file of role '{self.role}'")
        if self.label and self.role != "records":
            raise ValueError(f"{self.name}: label is for a file of role 'records'")


@dataclass(frozen=True, kw_only=True)
class Curves:
    """How light curves are to be read; what is None or empty, the files say or nobody knows.

    `label`: columns of the class, the first that a table of objects has; `columns`: our name to the set's, "" where
    a column must not be read though it has the right name; `band`: the only passband; `zeropoint`, `mw_corrected`,
    `difference`: of the fluxes; `labels`: class in the file to the one it counts as; `class_names`: code of a class
    to its name; `open_classes`: codes that no training set has; `count`: objects of a set that seqsci simulates;
    `made_up`: the curves in the files are themselves simulated, by whoever made the set.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    label: tuple[str, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)
    band: str = ""
    zeropoint: float | None = None
    mw_corrected: bool | None = None
    difference: bool | None = None
    labels: dict[str, str] = field(default_factory=dict)
    class_names: dict[str, str] = field(default_factory=dict)
    open_classes: tuple[str, ...] = ()
    count: int | None = None
    made_up: bool = False


@dataclass(frozen=True, kw_only=True)
class Written:
    """How written sequences (DNA, proteins, molecules) are to be read.

    `columns`: of a table, our name (id, sequence, group, split) to the set's; `label`: columns that can be predicted,
    the usual one first; `separator`: between the members of a set where a line holds a whole one; `invalid`: "skip"
    where a set is known to hold records that cannot be read, which are then left out and counted; `count`: records of
    a set that seqsci simulates.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    columns: dict[str, str] = field(default_factory=dict)
    label: tuple[str, ...] = ()
    separator: str = ""
    invalid: Literal["refuse", "skip"] = "refuse"
    count: int | None = None


SCIENCES = ("genomics", "proteins", "molecules")
"""Domains of written sequences."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """One data set: where it comes from, how it is read, and how the published protocol splits it.

    A set of one file has `file`, `url`, `sha256` and `bytes`, one of several has `files`; `contents` gives both.
    `sha256` is that of the uncompressed content, "" where it is not known; `bytes` likewise (None: unknown);
    `rows` counts data rows of what is always read; `target` is the usual single target; `units` maps channels to
    units; `instructions` say where to get the files when there is no `url`. `read` and `split` are for tables of
    regular series, `curves` for light curves, `written` for DNA, proteins and molecules.
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
    files: tuple[File, ...] = ()
    curves: Curves | None = None
    written: Written | None = None

    def __post_init__(self) -> None:
        if self.file and self.files:
            raise ValueError("give file or files, not both")
        found = all(self.instructions or file.url for file in self.contents)
        if not self.simulated and not (self.contents and found):
            raise ValueError("needs a file, and a url or instructions, unless it is simulated")
        if len({file.name for file in self.files}) < len(self.files):
            raise ValueError("files: two have the same name")
        if (self.curves is not None) != (self.domain == "photometry"):
            raise ValueError("curves are for the domain photometry, and it needs them")
        if (self.written is not None) != (self.domain in SCIENCES):
            raise ValueError(f"written is for the domains {', '.join(SCIENCES)}, and they need it")

    @property
    def contents(self) -> tuple[File, ...]:
        """Every file of the set, optional ones too; none of a simulated set."""
        if self.files or not self.file:
            return self.files
        return (File(name=self.file, url=self.url, sha256=self.sha256, bytes=self.bytes),)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of what is only read when asked for."""
        return tuple(dict.fromkeys(file.part for file in self.contents if file.part))

    def wanted(self, parts: Sequence[str] = ()) -> tuple[File, ...]:
        """What is always read, and the files of some parts; "test" asks for "test_01" and all its sisters.

        Raises:
            SeqsciError: no such part, with the nearest name.
        """
        for part in parts:
            if part not in self.parts:
                known = nearest(part, self.parts) if self.parts else "; it has none, leave part out"
                raise SeqsciError(f"part: data set {self.name} has no part '{part}'{known}")
        return tuple(
            file
            for file in self.contents
            if not file.part or any(_related(file.part, part) or _related(part, file.part) for part in parts)
        )


def _related(parent: str, child: str) -> bool:
    return child == parent or child.startswith(f"{parent}_")


MOST = 5
"""Names of files that a description lists in full."""


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


def find(source: str) -> Card | Path:
    """The data set or the file that a name means.

    Raises:
        SeqsciError: neither, with the nearest name of a data set.
    """
    known, path = names("datasets"), Path(source)
    if source in known:
        return card(source)
    if path.is_dir():
        raise SeqsciError(f"data: '{source}' is a folder; name a file in it")
    if not path.is_file():
        raise SeqsciError(f"data: '{source}' is neither a file nor a data set{meant(path, known)}")
    return path


def meant(path: Path, known: Sequence[str]) -> str:
    """The nearest name of a data set, in words; of what has an ending, or stands in a folder, only a file was meant."""
    return "; check the path" if path.suffix or len(path.parts) > 1 else nearest(path.stem, known)


def describe(card: Card) -> str:
    """Some lines for a person: origin, size, licence, units, reading, split and what to beware of."""
    size = "" if card.rows is None else f"{card.rows} rows"
    size += "" if card.bytes is None else f", {card.bytes} bytes"
    facts = {
        "file": card.file or ("" if card.files else "none: simulated"),
        **_files(card),
        "size": size,
        "from": card.url or _address(card) or card.instructions.strip(),
        "sha256": card.sha256,
        "licence": card.licence,
        "citation": card.citation,
        "step": card.read.step,
        "target": card.target,
        "units": ", ".join(f"{name}: {what}" for name, what in card.units.items()),
        **_reading(card),
        "note": card.notes.strip(),
    }
    lines = [f"{name + ':':10s}{text}" for name, text in facts.items() if text]
    return "\n".join([f"{card.name}: {card.title}", card.description.strip(), *lines])


def _files(card: Card) -> dict[str, str]:
    """Names of the files of a set of several, those that are always read and those of the parts."""
    always = [file.name + f" ({file.split} split)" * bool(file.split) for file in card.files if not file.part]
    if len(always) > MOST:
        always = [*always[: MOST - 2], f"{len(always) - MOST + 1} more", always[-1]]
    parts = ", ".join(f"{file.part} ({file.name})" for file in card.files if file.part)
    return {"files": ", ".join(always), "parts": parts}


def _address(card: Card) -> str:
    return card.files[0].url.rpartition("/")[0] if card.files else ""


def _reading(card: Card) -> dict[str, str]:
    if card.curves is not None:
        return _curves(card.curves)
    return _split(card.split) if card.written is None else _written(card.written)


def _written(written: Written) -> dict[str, str]:
    """How the sequences are read, in words."""
    return {
        "columns": ", ".join(f"{ours} is {theirs}" for ours, theirs in written.columns.items()),
        "label": " or ".join(written.label),
        "records": "" if written.count is None else f"{written.count} unless asked otherwise",
    }


def _split(split: Split) -> dict[str, str]:
    unit = "rows" if split.kind == "borders" else "of the rows"
    return {"split": f"train {split.train}, val {split.val}, test {split.test} {unit}"}


def _curves(curves: Curves) -> dict[str, str]:
    """How the light curves are read, in words."""
    told = {True: "yes", False: "no", None: "not stated by the source"}
    merged = ", ".join(f"{theirs} is {ours}" for theirs, ours in curves.labels.items())
    not_read = ", ".join(ours for ours, theirs in curves.columns.items() if not theirs)
    zero = "" if curves.zeropoint is None else f"zero point {curves.zeropoint}, "
    dust, template = told[curves.mw_corrected], told[curves.difference]
    flux = f"{zero}Milky Way dust taken out: {dust}, template subtracted: {template}"
    return {
        "label": " or ".join(curves.label),
        "merged": merged,
        "classes": ", ".join(f"{code} {name}" for code, name in curves.class_names.items()),
        "open set": ", ".join(curves.open_classes),
        "not read": not_read,
        "flux": "" if curves.count is not None else flux,
        "objects": "" if curves.count is None else f"{curves.count} unless asked otherwise",
    }


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
