"""Proteins by the name of a data set, by path, from a table or from texts, and where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import polars as pl

from seqsci.catalog import Card, Written
from seqsci.data.download import fingerprint, locate_all
from seqsci.data.records import Records
from seqsci.data.sources import joined, named_card, named_paths
from seqsci.data.words import counted
from seqsci.domains.proteins.labels import typed
from seqsci.domains.proteins.letters import Raw, checked, refuse_dna, unique
from seqsci.domains.proteins.read import read, stem
from seqsci.domains.proteins.simulate import simulate
from seqsci.domains.proteins.table import as_polars, from_frame
from seqsci.errors import SeqsciError, nearest


@dataclass(frozen=True, kw_only=True)
class _File:
    path: Path
    sha256: str
    split: str = ""
    label: str = ""


def load(
    source: Any,
    *,
    columns: Mapping[str, str] | None = None,
    label: str | None = None,
    invalid: Literal["refuse", "skip"] = "refuse",
    count: int | None = None,
    seed: int = 0,
) -> tuple[Records, dict[str, Any]]:
    """Records of a data set by name, of files, of a table, or of texts.

    Files are FASTA, A3M, aligned FASTA, Stockholm (see `read`) or tables (see `table`), each plain, .gz, or .zip with
    one member. The members of an alignment are a `group` of its name, in file order, the query first; alignments of
    one query are one group. A table without sequences may have variants such as A24G of one protein that they spell
    out themselves.

    Args:
        source: name of a data set, path of a file (several with commas between, or a list of Path), a polars, pandas
            or Arrow table, or a list of texts.
        columns: of a table, our name (id, sequence, group, split, mutant) to its own.
        label: column to predict; "file" is the name of the file that a record is from, "group" its alignment.
            `labels.typed` tells classes from measured numbers. None: the data set's usual one, else a column "label".
        invalid: what happens to a record that is no protein: refuse the file, or skip it and count it.
        count: records of a simulated set.
        seed: of a simulated set.

    Returns:
        The records, and where they came from: `name`, `path` (several with commas between; None for tables, texts and
        simulations), `sha256` of all content, `card` (its name or None).

    Raises:
        SeqsciError: no such data set, file or column, with the nearest name; or what is wrong in a file.
    """
    card = named_card(source, "proteins", "proteins")
    if count is not None and (card is None or not card.simulated):
        raise SeqsciError("data.count: only a simulated set has as many records as one likes; leave it out")
    written = card.written or Written() if card else Written()
    columns = {**written.columns, **(columns or {})}
    files: list[_File] = []
    if card is not None and card.simulated:
        frame = simulate(seed, written.count or 1 if count is None else count)
        name, raws = card.name, [from_frame(frame, card.name, card.name, columns)]
    elif isinstance(source, (str, Path)) or _are_paths(source):
        files = _located(card) if card else _named(source)
        name = card.name if card else stem(files[0].path)
        raws = [raw for file in files for raw in _of_file(file, columns)]
    else:
        name, raws = "table", [_in_memory(source, columns)]
    usual = next(iter(written.label), None) if label is None else label
    frame, notes = _joined(raws, invalid, name)
    frame, more = _labelled(frame, usual, name)
    simulated = card is not None and card.simulated
    records = Records(frame=frame, notes=(*notes, *more), simulated=simulated)
    return records, {
        "name": name,
        "path": ",".join(str(file.path) for file in files) or None,
        "sha256": joined([file.sha256 for file in files]) if files else _content(frame),
        "card": card.name if card else None,
    }


def _are_paths(source: Any) -> bool:
    return isinstance(source, (list, tuple)) and bool(source) and all(isinstance(one, Path) for one in source)


def _located(card: Card) -> list[_File]:
    found = locate_all(card)
    return [_File(path=f.path, sha256=f.sha256, split=f.file.split, label=f.file.label) for f in found]


def _named(source: Any) -> list[_File]:
    """The files that a path, a text with commas or a list names."""
    named = list(source) if isinstance(source, (list, tuple)) else [source]
    paths = [path for one in named for path in named_paths(one)]
    return [_File(path=path, sha256=fingerprint(path).sha256) for path in paths]


def _of_file(file: _File, columns: Mapping[str, str]) -> list[Raw]:
    """What a file says, with the split and the class that a card states for all of it."""
    stated = {"split": file.split, "label": file.label}
    extra = [pl.lit(value).alias(name) for name, value in stated.items() if value]
    return [
        replace(raw, frame=raw.frame.with_columns(pl.lit(stem(file.path)).alias("file"), *extra))
        for raw in read(file.path, columns)
    ]


def _in_memory(source: Any, columns: Mapping[str, str]) -> Raw:
    """A frame, or a list of texts."""
    if not isinstance(source, (list, tuple)):
        return from_frame(as_polars(source), "the table", "table", columns)
    for number, text in enumerate(source, 1):
        if not isinstance(text, str):
            raise SeqsciError(f"data, record {number}: not a text (type {type(text).__name__}); give a list of str")
    if not source:
        raise SeqsciError("data: the list has no sequence; give at least one")
    frame = pl.DataFrame({"id": [str(number) for number in range(1, len(source) + 1)], "sequence": list(source)})
    return from_frame(frame, "the list", "list", {})


def _joined(raws: Sequence[Raw], invalid: Literal["refuse", "skip"], name: str) -> tuple[pl.DataFrame, list[str]]:
    """Checked rows of all files, with unique ids."""
    if invalid not in ("refuse", "skip"):
        raise SeqsciError(f"data.invalid: '{invalid}' is neither refuse nor skip")
    frames: list[pl.DataFrame] = []
    raws, notes = _families(raws)
    for raw in raws:
        frame, more = checked(raw, invalid)
        frames.append(frame.with_columns(id=_ids(frame["id"], name if raw.unit == "row" else Path(raw.origin).stem)))
        notes += [*more, *refuse_dna(frame["sequence"].to_list(), raw.origin)]
    frame = _concatenated(frames, name)
    ids, changed = unique(frame["id"].to_list())
    if changed:
        notes.append(f"{name}: {counted(changed, 'id was', 'ids were')} there before and got .2, .3, ... behind")
    return frame.with_columns(id=pl.Series(ids, dtype=pl.String)), notes


def _ids(values: pl.Series, name: str) -> pl.Series:
    """Ids, where there is none the name with a number."""
    base = name.removesuffix(".a3m").removesuffix(".fasta")
    filled = [value or f"{base}-{number}" for number, value in enumerate(values.to_list(), 1)]
    return pl.Series("id", filled, dtype=pl.String)


def _concatenated(frames: Sequence[pl.DataFrame], name: str) -> pl.DataFrame:
    try:
        frame = pl.concat(frames, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        detail = str(error).strip().splitlines()[0]
        raise SeqsciError(f"{name}: the files' columns do not go together ({detail}); read them one by one") from None
    if "split" in frame.columns and frame["split"].null_count():
        raise SeqsciError(f"{name}: some records have a split and others have none; read those files apart")
    first = [column for column in Records.COLUMNS if column in frame.columns]
    return frame.select(*first, *(column for column in frame.columns if column not in first))


def _families(raws: Sequence[Raw]) -> tuple[list[Raw], list[str]]:
    """Alignments of one query are one group; those of other queries are other groups, whatever they are called."""
    names: dict[str, str] = {}
    out: list[Raw] = []
    notes: list[str] = []
    for raw in raws:
        if raw.aligned and raw.frame.height:
            query, name = str(raw.frame["sequence"][0]), str(raw.frame["group"][0])
            if query in names:
                notes.append(f"{raw.origin}: has the query of {names[query]}, so its members are of that group")
            else:
                names[query] = unique([*names.values(), name])[0][-1]
            raw = replace(raw, frame=raw.frame.with_columns(group=pl.lit(names[query])))
        out.append(raw)
    return out, notes


def _labelled(frame: pl.DataFrame, label: str | None, name: str) -> tuple[pl.DataFrame, list[str]]:
    """The column `label` as classes or numbers."""
    chosen = label or ("label" if "label" in frame.columns else None)
    if chosen is None:
        return frame, []
    if chosen not in frame.columns:
        known = [column for column in frame.columns if column not in ("sequence", "split")]
        raise SeqsciError(f"{name}: there is no column '{chosen}' for label{nearest(chosen, known)}")
    values, kind = typed(frame[chosen], name)
    notes = [f"{name}: the label is column {chosen}, {kind}"]
    if values.null_count():
        notes.append(f"{name}: {counted(values.null_count(), 'record has', 'records have')} no label")
    frame = frame.with_columns(values.alias("label"))
    first = [column for column in Records.COLUMNS if column in frame.columns]
    return frame.select(*first, *(column for column in frame.columns if column not in first)), notes


def _content(frame: pl.DataFrame) -> str:
    """The digest of ids, sequences and what is to be predicted, whatever kind of table they came in."""
    found = hashlib.sha256()
    for column in (name for name in Records.COLUMNS if name in frame.columns):
        values = frame[column].cast(pl.String).fill_null("").to_list()
        found.update("\n".join([column, *values, ""]).encode())
    return found.hexdigest()
