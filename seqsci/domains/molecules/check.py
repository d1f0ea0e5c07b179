"""Rows that were read -> records: every SMILES valid, every id unique, the label understood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from seqsci.data.records import SKIPPED, Records
from seqsci.data.words import counted
from seqsci.domains.molecules.columns import labels
from seqsci.domains.molecules.molecule import canonical, parse, quiet, reason
from seqsci.domains.molecules.read import LABEL, Rows
from seqsci.errors import SeqsciError

CHEAP = 5_000
"""Records of which the same molecule in two spellings is sought; it takes 0.2 ms each."""
SHOWN = 3
"""Rows that a note names."""


def checked(rows: Rows, skip: bool) -> Rows:
    """The rows whose SMILES are valid.

    Raises:
        SeqsciError: one that is not, with its line and the reason, unless `skip`.
    """
    with quiet():
        good = [parse(text or "") is not None for text in rows.frame["sequence"]]
    bad = rows.frame.filter(~pl.Series(good, dtype=pl.Boolean))
    if bad.is_empty():
        return rows
    if not skip:
        raise SeqsciError(
            f"{rows.where(bad['_row'][0])}: {_why(rows, bad['sequence'][0] or '')}{_more(bad.height)}; correct it, or "
            "skip such ones with data.invalid skip"
        )
    first = bad.select("_row", "sequence").head(SHOWN).iter_rows()
    shown = "; ".join(f"{rows.unit} {row}: {_why(rows, text or '')}" for row, text in first)
    note = f"{bad.height} without a valid SMILES {SKIPPED} ({shown}{'; ...' * (bad.height > SHOWN)})"
    return replace(rows, frame=rows.frame.filter(pl.Series(good)), notes=(*rows.notes, note))


def _why(rows: Rows, text: str) -> str:
    if not text:
        return "RDKit cannot read the structure" if rows.unit == "structure" else "there is no SMILES"
    short = text if len(text) <= 80 else f"{text[:77]}..."
    return f"'{short}' is no valid SMILES ({reason(text)})"


def _more(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""


def records(parts: Sequence[Rows], label: str | None, simulated: bool = False) -> Records:
    """The records of checked rows of one or several files.

    Raises:
        SeqsciError: there is none, or a label that is neither a class nor a number.
    """
    several = len(parts) > 1
    notes = [f"{rows.origin}: {note}" if several else note for rows in parts for note in rows.notes]
    ids = [name for rows in parts for name in _ids(rows, several)]
    places = [rows.where(row, label) for rows in parts for row in rows.frame["_row"]] if label is not None else []
    try:
        frame = pl.concat([rows.frame.drop("_row", "id", strict=False) for rows in parts], how="diagonal_relaxed")
    except pl.exceptions.PolarsError:
        raise SeqsciError("data: the files have columns of one name and different kinds; give them alike") from None
    if frame.is_empty():
        raise SeqsciError(f"{', '.join(rows.origin for rows in parts)}: no molecule is left; there is nothing to learn")
    unique, renamed = _unique(ids)
    if renamed:
        notes.append(f"{counted(renamed, 'id that occurs', 'ids that occur')} again got a number behind")
    frame = frame.with_columns(pl.Series("id", unique, dtype=pl.String))
    if label is not None:
        frame, note = _labelled(frame, label, places)
        notes.append(note)
    notes += _repeated(frame["sequence"].to_list())
    first = [name for name in Records.COLUMNS if name in frame.columns]
    others = [name for name in frame.columns if name not in first]
    return Records(frame=frame.select(first + others), notes=tuple(notes), simulated=simulated)


def _ids(rows: Rows, several: bool) -> list[str]:
    """The ids of the source, and the number of the row where it has none."""
    stem = f"{rows.origin.split('.')[0]}:" if several else ""
    numbers: list[int] = rows.frame["_row"].to_list()
    if "id" not in rows.frame.columns:
        return [f"{stem}{row}" for row in numbers]
    given = rows.frame["id"].str.strip_chars().to_list()
    return [name or f"{stem}{row}" for name, row in zip(given, numbers, strict=True)]


def _unique(ids: Sequence[str]) -> tuple[list[str], int]:
    """Every id once: the second `x` becomes `x-2`; and how many changed."""
    taken, seen, found, changed = set(ids), Counter[str](), list[str](), 0
    for name in ids:
        seen[name] += 1
        new = name
        if seen[name] > 1:
            changed += 1
            while (new := f"{name}-{seen[name]}") in taken:
                seen[name] += 1
            taken.add(new)
        found.append(new)
    return found, changed


def _labelled(frame: pl.DataFrame, label: str, places: Sequence[str]) -> tuple[pl.DataFrame, str]:
    values, odd, note = labels(frame[LABEL].rename(label))
    if odd.any():
        at = int(odd.arg_true()[0])
        raise SeqsciError(
            f"{places[at]}: '{frame[LABEL][at]}' is no number as the others are{_more(int(odd.sum()))}; correct it, or "
            "leave it blank if it is unknown (rows count from 1, without the header)"
        )
    known = values.count()
    if not known:
        raise SeqsciError(f"label: column '{label}' is blank everywhere; choose another")
    blank = f", {len(values) - known} unknown" if known < len(values) else ""
    return frame.drop(LABEL).with_columns(values.alias("label")), note + blank


def _repeated(texts: Sequence[str]) -> list[str]:
    """How many records are the molecule of an earlier one; they are kept."""
    again = len(texts) - len(set(texts))
    if len(texts) <= CHEAP:
        with quiet():
            same = len(texts) - len({canonical(text) for text in set(texts)})
        told = counted(same, "record is a molecule that occurs", "records are molecules that occur")
        return [f"{told} before, {again} of them spelled alike; kept"] if same else []
    return [f"{counted(again, 'record has', 'records have')} the SMILES of an earlier one; kept"] if again else []
