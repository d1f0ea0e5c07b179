"""What a caller names as data: a data set of a domain, or files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqsci import catalog
from seqsci.catalog import Card
from seqsci.data.download import digest
from seqsci.errors import SeqsciError


def named_card(source: Any, domain: str, what: str) -> Card | None:
    """The card that a source names; None for anything else.

    Args:
        source: whatever was given as data.
        domain: that the card must be of.
        what: such a data set holds.

    Raises:
        SeqsciError: a data set of another domain.
    """
    if not isinstance(source, (str, Path)) or str(source) not in catalog.names("datasets"):
        return None
    card = catalog.card(str(source))
    if card.domain != domain:
        raise SeqsciError(f"data: '{card.name}' is of the domain {card.domain}; it has no {what}")
    return card


def named_paths(source: str | Path) -> list[Path]:
    """The files that a text names, with commas between.

    Raises:
        SeqsciError: one is a folder, or is neither a file nor a data set.
    """
    if Path(source).is_file():
        return [Path(source)]
    paths = [Path(part.strip()) for part in str(source).split(",")]
    for path in paths:
        if path.is_dir():
            raise SeqsciError(f"data: '{path}' is a folder; name a file in it")
        if not path.is_file():
            near = catalog.meant(path, catalog.names("datasets"))
            raise SeqsciError(f"data: '{path}' is neither a file nor a data set{near}")
    return paths


def joined(digests: Sequence[str]) -> str:
    """One file keeps its digest; of several it is the digest of theirs, one a line, in the order of reading."""
    return digests[0] if len(digests) == 1 else digest("\n".join(digests).encode())
