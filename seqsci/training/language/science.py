"""Which science written sequences are of, and what a domain gives to training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from seqsci import catalog
from seqsci.catalog import SCIENCES, Card
from seqsci.data.records import Parts, Records, Tokenizer
from seqsci.errors import SeqsciError
from seqsci.recipe import WrittenData
from seqsci.recipe.typed import fit_types
from seqsci.training.language.recognise import recognised, stray_told


class Science(Protocol):
    """What each of the domains genomics, proteins and molecules exports."""

    TOKENIZER: Tokenizer
    UNIT: str
    """What a token is called: base, residue, token."""
    SPLITS: tuple[str, ...]
    augment: Callable[[str, np.random.Generator], str] | None
    """Another spelling of the same record."""

    def suits(self, path: Path) -> bool:
        """Whether a file is of this science, by its name and first lines."""
        ...

    def load(
        self,
        source: Any,
        *,
        columns: Mapping[str, str] | None = None,
        label: str | None = None,
        invalid: str = "refuse",
        count: int | None = None,
        seed: int = 0,
    ) -> tuple[Records, dict[str, Any]]:
        """Records of a data set by name, of files, of a frame or of texts; and where they came from."""
        ...

    def split(self, records: Records, by: str, shares: tuple[float, float, float], seed: int) -> Parts:
        """Which letters train, validate and test."""
        ...

    def features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(R, F) for baselines that read no sequences."""
        ...

    def assess(self, generated: Sequence[str], training: Sequence[str], seed: int = 0) -> dict[str, Any]:
        """What generated sequences are worth."""
        ...


def science(name: str) -> Science:
    """The domain of that name."""
    return cast(Science, import_module(f"seqsci.domains.{name}"))


def science_of(data: WrittenData, source: Any = None) -> str:
    """The name of the domain that a recipe's data, or a frame in its place, is of.

    Raises:
        SeqsciError: no such data set or file, one of another domain, or one that is not recognised.
    """
    if source is not None:
        return data.domain or _by_columns(source)
    try:
        found = catalog.find(data.name.split(",")[0].strip())
    except SeqsciError:
        raise catalog_problem(data.name) from None
    if isinstance(found, Card):
        if found.domain not in SCIENCES:
            raise SeqsciError(f"data: '{found.name}' is of the domain {found.domain}; it has no written sequences")
        if data.domain not in (None, found.domain):
            raise SeqsciError(f"data.domain: '{found.name}' is of the domain {found.domain}; leave it out")
        return found.domain
    return data.domain or recognised(found, data.columns, lambda name, path: science(name).suits(path))


def catalog_problem(name: str) -> SeqsciError:
    """For a name that is neither a data set nor a file: only data sets of written sequences are proposed."""

    known = [one for one in catalog.names("datasets") if catalog.card(one).domain in SCIENCES]
    if Path(name).is_dir():
        return SeqsciError(f"data: '{name}' is a folder; name a file in it")
    return SeqsciError(f"data: '{name}' is neither a file nor a data set{catalog.meant(Path(name), known)}")


def _by_columns(source: Any) -> str:
    """A table with SMILES is of molecules; nothing else has a name of its own."""
    names = [str(name).lower() for name in getattr(source, "columns", ())]
    if any("smiles" in name for name in names):
        return "molecules"
    raise SeqsciError(f"data.domain: a table does not say what is written in it; give one of {', '.join(SCIENCES)}")


def named_science(data: str | Path | None, domain: str | None, settings: Mapping[str, Any] | None = None) -> str | None:
    """The domain to write into a recipe: as given, or of a user's files; None for data sets, whose cards say it.

    `settings`: further ones by their dotted paths, of which the names of columns help, and `data.domain` says it.
    """
    given = settings or {}
    if domain is not None or "data.domain" in given or data is None or str(data) in catalog.names("datasets"):
        return domain
    known = fit_types({"columns": given.get("data.columns", {})}, WrittenData)["columns"]
    columns = dict(known) if isinstance(known, Mapping) else {}
    columns |= {path.rpartition(".")[2]: name for path, name in given.items() if path.startswith("data.columns.")}
    return science_of(WrittenData(name=str(data), columns={str(ours): str(name) for ours, name in columns.items()}))


def require_kind(data: str, kind: str, reader: str) -> None:
    """Refuse a data set, or a file, of another science than `reader` reads; a file may suit several.

    Raises:
        SeqsciError: see above, or no such data set or file.
    """
    path = Path(data.split(",")[0].strip())
    if data in catalog.names("datasets") or not path.is_file():
        found = science_of(WrittenData(name=data))  # or says what is wrong with the name
    else:
        suited = [name for name in SCIENCES if science(name).suits(path)]
        found = kind if not suited or kind in suited else suited[0]
        if found != kind == "genomics" and (stray := stray_told(path, suited)):
            raise SeqsciError(
                f"data: {data}: nearly all of its letters are bases, which the model of {reader} reads, but {stray}, "
                f"which no DNA has; correct that"
            )
    if found != kind:
        raise SeqsciError(
            f"data: {data} is of {found}, and the model of {reader} reads {kind}; take a run of {found}, or other data"
        )
