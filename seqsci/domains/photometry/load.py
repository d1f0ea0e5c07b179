"""Light curves by the name of a data set, by path or from a frame, and where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from seqsci.catalog import Card, Curves
from seqsci.data.download import fingerprint, locate_all
from seqsci.data.sources import joined, named_card, named_paths
from seqsci.domains.photometry.columns import OBJECT_NAMES, OBSERVATION_NAMES
from seqsci.domains.photometry.read import object_table, read
from seqsci.domains.photometry.simulate import CLASSES, OPEN_CLASSES, simulate
from seqsci.domains.photometry.snana import is_fits, partner
from seqsci.domains.photometry.table import LightCurves
from seqsci.errors import SeqsciError

OPEN = "classes of the open set"


def load(
    source: Any,
    objects: Any = None,
    *,
    label: str | None = None,
    columns: Mapping[str, str] | None = None,
    band: str | None = None,
    zeropoint: float | None = None,
    mw_corrected: bool | None = None,
    difference: bool | None = None,
    parts: Sequence[str] = (),
    seed: int = 0,
    count: int | None = None,
    open_set: bool = False,
    minimum: int = 2,
) -> tuple[LightCurves, dict[str, Any]]:
    """Light curves of a data set by name, of files, or of a frame.

    What is None comes from the data set's card, or is found out as `read` does.

    Args:
        source: name of a data set, path of a file (several with commas between, or a list), or a frame.
        objects: path or frame with one row per object; not for a data set, which has its own.
        label: column of the class; given for a data set, its table of merged labels and of class names is not used.
        columns: our name to the table's, "" where a column is not to be read.
        band: the one passband of a survey whose table has no such column.
        zeropoint: of the fluxes.
        mw_corrected: whether the dust of the Milky Way was taken out.
        difference: whether a template was subtracted.
        parts: optional files of a data set, such as test_01 of plasticc.
        seed: of a simulated set.
        count: objects of a simulated set.
        open_set: keep the classes that no training set has; else they are dropped and counted.
        minimum: fewest observations of an object; others are dropped and counted.

    Returns:
        The light curves, and where they came from: `name`, `path` (several with commas between; None for frames and
        simulations), `sha256` of all content, `card` (its name or None), `class_names` (class to its name),
        `own_test` (ids of the objects of the set's own test split, or None), `open_classes` (classes of the open set).

    Raises:
        SeqsciError: no such data set or file, with the nearest name; a set of another domain; a label that a card
            merges but nothing has; or whatever is wrong in the files.
    """
    stated: dict[str, Any] = {"zeropoint": zeropoint, "mw_corrected": mw_corrected, "difference": difference}
    given = {"objects": objects, "label": label, "columns": columns or None, "band": band, **stated}
    given |= {"parts": parts or None, "count": count}
    card = named_card(source, "photometry", "light curves")
    if card is None:
        _refuse(given, ("parts", "count"), "a file or frame")
        settings = Curves()
    else:
        settings = card.curves or Curves()
        others = tuple(name for name in given if name != "count")
        _refuse(given, others if card.simulated else ("objects", "count"), f"data set {card.name}")
    if card and card.simulated:
        return _simulated(card.name, seed, settings.count or 1 if count is None else count, open_set)
    if label is not None:
        settings = replace(settings, label=(label,), labels={}, class_names={})
    settings = replace(settings, columns={**settings.columns, **(columns or {})}, band=band or settings.band)
    settings = replace(settings, **{name: value for name, value in stated.items() if value is not None})
    files = _located(card, parts) if card else _named(source, objects)
    curves, own_test = _read(files, settings, minimum)
    curves = replace(_merged(curves, settings, files.name), simulated=settings.made_up)
    opened = settings.open_classes if files.tested else ()
    curves = _without_open(curves, () if open_set else opened)
    return curves, {
        "name": files.name,
        "path": ",".join(str(path) for path in files.paths) or None,
        "sha256": files.sha256 or _content(curves),
        "card": card.name if card else None,
        "class_names": dict(settings.class_names),
        "own_test": None if own_test is None else sorted(set(own_test) & set(curves.objects["object_id"])),
        "open_classes": list(opened) if open_set else [],
    }


@dataclass(frozen=True, kw_only=True)
class _Files:
    """What is to be read: tables of observations, and those of objects, each with whether it is the test split."""

    name: str
    observations: Sequence[Any]
    objects: Sequence[tuple[Any, bool]]
    paths: Sequence[Path]
    sha256: str  # "": of the frame that is read

    @property
    def tested(self) -> bool:
        """Whether the set's own test split is among them."""
        return any(test for _, test in self.objects)


def _refuse(given: Mapping[str, Any], names: Sequence[str], what: str) -> None:
    """Stops at a setting that would have no effect."""
    for name in names:
        if given[name] is not None:
            raise SeqsciError(f"{name}: cannot be chosen for {what}; leave it out")


def _located(card: Card, parts: Sequence[str]) -> _Files:
    found = locate_all(card, parts)
    observations = [one.path for one in found if one.file.role == "observations"]
    return _Files(
        name=card.name,
        observations=observations,
        objects=[(one.path, one.file.split == "test") for one in found if one.file.role == "objects"],
        paths=observations,
        sha256=joined([one.sha256 for one in found]),
    )


def _named(source: Any, objects: Any) -> _Files:
    """Files by their path, or frames."""
    observations = named_paths(source) if isinstance(source, (str, Path)) else source
    observations = list(observations) if isinstance(observations, (list, tuple)) else [observations]
    tables = [] if objects is None else [Path(objects) if isinstance(objects, str) else objects]
    everything = [Path(one) if isinstance(one, str) else one for one in [*observations, *tables]]
    paths = [one for one in everything[: len(observations)] if isinstance(one, Path)]
    # A frame has no file that could be hashed: what was read of it is.
    whole = all(isinstance(one, Path) for one in everything)
    content = [part for path in everything for part in _with_partner(path)] if whole else []
    return _Files(
        name=paths[0].name.split(".")[0] if paths else "table",
        observations=observations,
        objects=[(table, False) for table in tables],
        paths=paths if len(paths) == len(observations) else (),
        sha256=joined([fingerprint(path).sha256 for path in content]) if content else "",
    )


def _with_partner(path: Path) -> list[Path]:
    return [path, partner(path)] if is_fits(path) else [path]


def _read(files: _Files, settings: Curves, minimum: int) -> tuple[LightCurves, list[str] | None]:
    """The curves, and the ids of the set's own test split."""
    tables: list[pl.DataFrame] = []
    said: list[str] = [f"{name} is not read" for name, theirs in settings.columns.items() if not theirs]
    own_test: list[str] | None = [] if files.tested else None
    for table, test in files.objects:
        frame, notes = object_table(table, settings.columns, settings.label)
        tables.append(frame)
        said += notes
        if test and own_test is not None:
            own_test += frame["object_id"].drop_nulls().to_list()
    # The tables of objects have our names by now.
    done = OBJECT_NAMES.keys() - OBSERVATION_NAMES.keys() if tables else set()
    columns = {ours: theirs for ours, theirs in settings.columns.items() if ours not in done}
    curves = read(
        list(files.observations),
        pl.concat(tables) if tables else None,
        columns=columns,
        band=settings.band or None,
        zeropoint=settings.zeropoint,
        mw_corrected=settings.mw_corrected,
        difference=settings.difference,
        label=settings.label[0] if settings.label and not tables else None,
        minimum=minimum,
    )
    return replace(curves, notes=(*dict.fromkeys(said), *curves.notes)), own_test


def _merged(curves: LightCurves, settings: Curves, name: str) -> LightCurves:
    """The labels that a card calls by another name."""
    if not settings.labels:
        return curves
    labels = curves.objects["label"]
    hit = sorted(set(labels.drop_nulls()) & set(settings.labels))
    if not hit:
        raise SeqsciError(
            f"{name}: labels: none of {', '.join(settings.labels)} occurs among the classes "
            f"{', '.join(sorted(set(labels.drop_nulls())))}; correct the card"
        )
    changed = curves.objects.with_columns(pl.col("label").replace(settings.labels))
    said = ", ".join(f"{theirs} counts as {settings.labels[theirs]}" for theirs in hit)
    return replace(curves, objects=changed, notes=(*curves.notes, f"labels: {said}"))


def _without_open(curves: LightCurves, classes: Sequence[str]) -> LightCurves:
    """The curves without the classes that no training set has."""
    known = curves.objects.filter(~pl.col("label").is_in(classes).fill_null(False))["object_id"]
    lost = len(curves.objects) - len(known)
    if not lost:
        return curves
    note = f"objects: {lost} of {OPEN} ({', '.join(classes)}) dropped; open_set keeps them"
    return replace(curves.take(known, OPEN), notes=(*curves.notes, note))


def _simulated(name: str, seed: int, count: int, open_set: bool) -> tuple[LightCurves, dict[str, Any]]:
    curves = simulate(seed, count, open_set=open_set)
    return curves, {
        "name": name,
        "path": None,
        "sha256": _content(curves),
        "card": name,
        "class_names": {**CLASSES, **(OPEN_CLASSES if open_set else {})},
        "own_test": None,
        "open_classes": list(OPEN_CLASSES) if open_set else [],
    }


def _content(curves: LightCurves) -> str:
    """The digest of every value, the same whatever kind of frame they came in."""
    found = hashlib.sha256()
    for frame in (curves.objects, curves.observations):
        for column in frame.iter_columns():
            if column.dtype == pl.Float64:
                values = column.fill_null(float("nan")).to_numpy().astype("<f8")
                found.update(values.tobytes())
            else:
                # Runs of one object are one line: a million rows have a few thousand ids.
                runs = column.cast(pl.String).fill_null("").rle().struct.unnest()
                found.update(runs.write_csv(include_header=False).encode())
    return found.hexdigest()
