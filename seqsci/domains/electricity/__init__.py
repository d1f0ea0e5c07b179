"""Regularly sampled series: electricity first, and whatever else comes as a table with a time column.

file or frame -> `read` -> `Table` -> `sequences` -> `Sequences`; `load` does both for a name, path or frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from seqsci import catalog
from seqsci.catalog import Card, Duplicates, Irregular, Layout, Reading
from seqsci.data.batch import Sequences
from seqsci.data.download import content, digest, locate
from seqsci.domains.electricity.dates import give_zone, on_the_clock, spoken
from seqsci.domains.electricity.raw import as_polars
from seqsci.domains.electricity.read import Table, named, read
from seqsci.domains.electricity.sequences import sequences
from seqsci.domains.electricity.simulate import simulate
from seqsci.domains.electricity.steps import calendar_marks, future_times, infer_step, season
from seqsci.errors import SeqsciError

__all__ = [
    "Table",
    "as_polars",
    "calendar_marks",
    "future_times",
    "give_zone",
    "infer_step",
    "load",
    "named",
    "on_the_clock",
    "read",
    "season",
    "sequences",
    "simulate",
    "spoken",
]


def load(
    source: Any,
    *,
    channels: Sequence[str] | None = None,
    covariates: Sequence[str] = (),
    time: str | None = None,
    layout: Layout | None = None,
    id: str | None = None,
    value: str | None = None,
    encoding: str | None = None,
    missing: Sequence[float] | None = None,
    duplicates: Duplicates | None = None,
    separator: str | None = None,
    step: str | None = None,
    irregular: Irregular | None = None,
    seed: int = 0,
) -> tuple[Sequences, dict[str, Any]]:
    """Read a data set by name, a file by path, or a frame.

    What is None comes from the data set's card, or is found out. `channels`: these series only (all when None), each
    as in `named`; `covariates`: columns known for the future; `seed` of a simulated set; the others as in `read` and
    `sequences`.

    Returns:
        The sequences, and where they came from: `name`, `path` (None for frames and simulations), `sha256` of
        the content, `card` (its name or None), `split` (the card's, as a dict, or None), `target` (or None).

    Raises:
        SeqsciError: no such data set or file, with the nearest name; or whatever is wrong in the file.
    """
    card, path = _resolve(source)
    given: dict[str, Any] = {
        "time": time,
        "layout": layout,
        "id": id,
        "value": value,
        "encoding": encoding,
        "missing": missing,
    }
    given |= {"duplicates": duplicates, "separator": separator, "step": step, "irregular": irregular}
    options = replace(card.read if card else Reading(), **{k: v for k, v in given.items() if v is not None})
    wanted = None if channels is None else [*channels, *covariates]
    simulated = card is not None and card.simulated
    table = _simulated(seed, wanted) if simulated else _read(path or source, options, wanted)
    found = sequences(
        table,
        channels=channels,
        covariates=covariates,
        step=options.step or None,
        irregular=options.irregular,
    )
    return found, _origin(card, path, table)


def _resolve(source: Any) -> tuple[Card | None, Path | None]:
    """The card and the file that a source names; neither for a frame."""
    if not isinstance(source, (str, Path)):
        return None, None
    found = catalog.find(str(source))
    if isinstance(found, Path):
        return None, found
    if found.domain != "electricity":
        raise SeqsciError(f"data: '{found.name}' is a {found.domain} set, not a table of regular series")
    return found, None if found.simulated else locate(found).path


def _read(source: Any, options: Reading, columns: Sequence[str] | None) -> Table:
    return read(
        source,
        time=options.time or None,
        layout=options.layout,
        id=options.id or None,
        value=options.value or None,
        columns=columns,
        encoding=options.encoding,
        missing=options.missing,
        duplicates=options.duplicates,
        separator=options.separator,
    )


def _simulated(seed: int, columns: Sequence[str] | None) -> Table:
    table = read(simulate(seed), time="time", columns=columns)
    note = f"simulated data (seed {seed}): nothing in it was measured"
    return replace(table, origin="demo-electricity", simulated=True, notes=(note, *table.notes))


def _origin(card: Card | None, path: Path | None, table: Table) -> dict[str, Any]:
    """What a run records of its data; frames are known by the digest of what was read."""
    sha256 = digest(content(path) if path else _bytes(table))
    return {
        "name": card.name if card else path.stem if path else "table",
        "path": str(path) if path else None,
        "sha256": sha256,
        "card": card.name if card else None,
        "split": asdict(card.split) if card else None,
        "target": card.target or None if card else None,
    }


def _bytes(table: Table) -> bytes:
    """Names, times and values, the same whatever kind of frame they came in."""
    times = table.frame["time"].to_numpy().astype("<M8[us]").tobytes()
    values = table.frame.select(table.series).to_numpy().astype("<f8")
    # A frame may hold its values row by row or column by column, and NaN in more than one way.
    return "\n".join(table.series).encode() + times + np.where(np.isnan(values), np.nan, values).tobytes("C")
