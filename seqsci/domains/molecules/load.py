"""Molecules by the name of a data set, by path, from a table or a list, and where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from seqsci.catalog import Card, File, Written
from seqsci.data.download import fingerprint, locate_all
from seqsci.data.records import Records
from seqsci.data.sources import joined, named_card, named_paths
from seqsci.domains.molecules.check import checked, records
from seqsci.domains.molecules.read import LABEL, Rows, read
from seqsci.domains.molecules.simulate import simulate
from seqsci.errors import SeqsciError

BY_FILE = "file"
"""As `label`: the class of a molecule is the name of the file it stands in."""


def load(
    source: Any,
    *,
    columns: Mapping[str, str] | None = None,
    label: str | None = None,
    invalid: Literal["refuse", "skip"] = "refuse",
    count: int | None = None,
    seed: int = 0,
) -> tuple[Records, dict[str, Any]]:
    """Molecules of a data set by name, of files, of a table or of a list of SMILES.

    Args:
        source: name of a data set, path (several with commas between, or a list of them), polars, pandas or Arrow
            table, or list of SMILES.
        columns: our name (sequence, id, group, split) to the table's, "" where a column is not to be read.
        label: column that is to be predicted; "file" makes the names of the files classes. Without it, what a data
            set's card states first.
        invalid: what happens to a SMILES that RDKit does not read: an error that names its line, or it is left out
            and counted. A card may state that its set has some; they are then left out.
        count: molecules of a simulated set.
        seed: of a simulated set.

    Returns:
        The records (their `sequence` is the SMILES exactly as it is written), and where they came from: `name`,
        `path` (several with commas between; None for tables, lists and simulations), `sha256` of all content and
        `card` (its name or None).

    Raises:
        SeqsciError: no such data set or file, with the nearest name; a set of another domain; no SMILES in it; or
            whatever is wrong in the files.
    """
    if invalid not in ("refuse", "skip"):
        raise SeqsciError(f"invalid: there is no '{invalid}'; take refuse or skip")
    card = named_card(source, "molecules", "molecules")
    if count is not None and not (card and card.simulated):
        raise SeqsciError("count: only simulated sets have as many molecules as one likes; leave it out")
    written = (card.written if card else None) or Written()
    if label is None and written.label:
        label = written.label[0]
    columns = {**written.columns, **(columns or {})}
    skip = "skip" in (invalid, written.invalid)
    if card and card.simulated:
        frame = simulate(seed, written.count or 1 if count is None else count)
        found = records([checked(read(frame, columns, label), skip)], label, simulated=True)
        return found, {"name": card.name, "path": None, "sha256": _content(frame), "card": card.name}
    files = _located(card) if card else _named(source)
    rows = [_read(part, columns, label, written.separator) for part in files.parts]
    found = records([checked(one, skip) for one in rows], label)
    return found, {
        "name": files.name,
        "path": ",".join(str(path) for path in files.paths) or None,
        "sha256": files.sha256 or _content(found.frame),
        "card": card.name if card else None,
    }


@dataclass(frozen=True, kw_only=True)
class _Files:
    """What is to be read, each with what the card says of it."""

    name: str
    parts: Sequence[tuple[Any, File | None]]
    paths: Sequence[Path]
    sha256: str  # "": of the table that is read


def _located(card: Card) -> _Files:
    found = locate_all(card)
    return _Files(
        name=card.name,
        parts=[(one.path, one.file) for one in found],
        paths=[one.path for one in found],
        sha256=joined([one.sha256 for one in found]),
    )


def _named(source: Any) -> _Files:
    """Files by their path, or a table or list."""
    if isinstance(source, (str, Path)):
        paths = named_paths(source)
    elif isinstance(source, Sequence) and source and all(isinstance(one, Path) for one in source):
        paths = [path for one in source for path in named_paths(one)]
    else:
        return _Files(name="table", parts=[(source, None)], paths=(), sha256="")
    return _Files(
        name=paths[0].name.split(".")[0],
        parts=[(path, None) for path in paths],
        paths=paths,
        sha256=joined([fingerprint(path).sha256 for path in paths]),
    )


def _read(part: tuple[Any, File | None], columns: Mapping[str, str], label: str | None, separator: str) -> Rows:
    """The rows of one source, with the split and label that its card gives to the whole file."""
    source, file = part
    own = file.label if file else ""
    by_file = label == BY_FILE and isinstance(source, Path)
    rows = read(source, columns, None if own or by_file else label, separator)
    more: dict[str, str] = {"split": file.split} if file and file.split else {}
    if own or by_file:
        more[LABEL] = own or str(source.name).split(".")[0]
    frame = rows.frame.with_columns(pl.lit(value).alias(name) for name, value in more.items())
    return Rows(frame=frame, origin=rows.origin, unit=rows.unit, column=rows.column, notes=rows.notes)


def _content(frame: pl.DataFrame) -> str:
    """The digest of every value, the same whatever kind of table they came in."""
    found = hashlib.sha256()
    for column in frame.iter_columns():
        if column.dtype.is_numeric() or column.dtype in (pl.String, pl.Boolean):
            found.update("\n".join([column.name, *column.cast(pl.String).fill_null("")]).encode())
    return found.hexdigest()
