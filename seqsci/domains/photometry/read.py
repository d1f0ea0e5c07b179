"""Reads light curves from files of many conventions, and streams those that are larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from seqsci.domains.photometry.check import light_curves
from seqsci.domains.photometry.chunks import chunks
from seqsci.domains.photometry.columns import OBJECT_NAMES, plain, require, resolve
from seqsci.domains.photometry.metadata import canonical_objects
from seqsci.domains.photometry.source import (
    COMMON,
    Source,
    canonical,
    first_line,
    known_columns,
    open_source,
    open_table,
)
from seqsci.domains.photometry.table import OBJECTS, OBSERVATIONS, LightCurves, Units
from seqsci.errors import SeqsciError, nearest


def read(
    observations: Any,
    objects: Any = None,
    *,
    layout: str = "auto",
    columns: Mapping[str, str] | None = None,
    band: str | None = None,
    zeropoint: float | None = None,
    mw_corrected: bool | None = None,
    difference: bool | None = None,
    label: str | None = None,
    minimum: int = 2,
) -> LightCurves:
    """Checked light curves of a survey.

    Args:
        observations: a path (CSV, CSV.gz, Parquet, HEAD of an SNANA pair), several paths, or a polars, pandas or
            Arrow table; one row per observation, or one row per object with list columns (nested).
        objects: a path or table with one row per object. Without it, those columns are sought in `observations`.
        layout: auto, long, nested or snana.
        columns: our name to the table's, where it is not one of the known aliases (see `columns.py`); an empty name
            where a column is not to be read.
        band: the one passband of a survey whose table has no such column.
        zeropoint: of the fluxes where the source does not say; of the result where magnitudes or rows of several
            zero points are converted. Without it 27.5, which is noted.
        mw_corrected: whether the dust of the Milky Way was taken out, where the source does not say.
        difference: whether a template was subtracted, where the source does not say.
        label: the column of the class among the objects.
        minimum: fewest observations of an object; others are dropped and counted.

    Returns:
        Light curves with `counts` of every row and object, and `notes` of what was guessed or changed.

    Raises:
        SeqsciError: not readable, or not to be understood; names file, object, row and column.
    """
    many = observations if isinstance(observations, (list, tuple)) else [observations]
    if not many:
        raise SeqsciError("observations: the list of files is empty; give at least one")
    sources = [open_source(one, layout, columns, band, zeropoint, label, objects is None) for one in many]
    stated = {"mw_corrected": mw_corrected, "difference": difference}
    units = _units(sources, zeropoint, stated)
    frames = [_collect(source) for source in sources]
    table, said = _metadata(objects, columns, label, sources)
    notes = list(dict.fromkeys(note for source in sources for note in source.notes)) + said
    separators = sum(source.separators for source in sources)
    rows = pl.concat(frames)
    return light_curves(rows, table, units=units, notes=tuple(notes), minimum=minimum, separators=separators)


def object_table(
    objects: Any, columns: Mapping[str, str] | None = None, label: Sequence[str] = ()
) -> tuple[pl.DataFrame, list[str]]:
    """The columns of `OBJECTS` out of a path or table, and sentences about what was guessed.

    `label` names columns of the class, of which the first that is there is taken.

    Raises:
        SeqsciError: not readable, or not to be understood; names file, object, row and column.
    """
    frame, origin = open_table(objects)
    names = frame.collect_schema().names()
    # A name of the user may be meant for the observations alone.
    known = known_columns(columns, names, origin)
    chosen = next((name for name in label if name in names), None)
    if label and chosen is None:
        raise SeqsciError(f"{origin}: there is no column '{label[0]}' for the label{nearest(label[0], names)}")
    found = resolve(names, OBJECT_NAMES, known, origin)
    require(found, names, ["object_id"], origin)
    # The test set of PLAsTiCC has 3.5 million objects and 26 columns: only what is needed goes into memory.
    needed = {*found.values(), chosen, *(name for name in names if plain(name) == "truetarget")}
    try:
        table = frame.select(name for name in names if name in needed).collect()
    except pl.exceptions.PolarsError as error:
        raise SeqsciError(f"{origin}: cannot be read ({first_line(error)}); write the file again") from None
    return canonical_objects(table, origin, known, chosen)


def scan(
    path: Any,
    *,
    layout: str = "auto",
    columns: Mapping[str, str] | None = None,
    band: str | None = None,
    zeropoint: float | None = None,
) -> pl.LazyFrame:
    """The columns of `OBSERVATIONS` of one file, unread and UNCHECKED: what is not a number or band is null."""
    return open_source(path, layout, columns, band, zeropoint, None, False).rows.select(list(OBSERVATIONS))


def batches(
    path: Any,
    objects_per_batch: int,
    objects: Any = None,
    *,
    columns: Mapping[str, str] | None = None,
    band: str | None = None,
    zeropoint: float | None = None,
    label: str | None = None,
    minimum: int = 2,
    chunk_bytes: int = 4_000_000,
) -> Iterator[LightCurves]:
    """Light curves of `objects_per_batch` objects at a time, out of a long file whose objects are not interleaved.

    Memory holds one batch and one chunk of rows, the metadata, and 8 bytes for each object seen.

    Raises:
        SeqsciError: as `read`; also an object whose rows come back after those of another.
    """
    if not isinstance(path, (str, Path)):
        raise SeqsciError("batches: give the path of a CSV or Parquet file; a table in memory is for read()")
    if label is not None and objects is None:
        raise SeqsciError("batches: the label comes from a table of objects; give objects, or leave label out")
    if objects_per_batch < 1:
        raise SeqsciError(f"objects_per_batch is {objects_per_batch}; give 1 or more")
    source = open_source(path, "long", columns, band, zeropoint, label, False)
    units = _units([source], zeropoint, {"mw_corrected": None, "difference": None})
    table, said = _metadata(objects, columns, label, [])
    pieces = (
        canonical(frame.lazy(), source.origin, columns, band, zeropoint).rows.collect()
        for frame in chunks(Path(path), chunk_bytes)
    )
    seen = np.empty(0, dtype=np.uint64)
    for rows in _whole_objects(pieces, source.origin, objects_per_batch):
        seen = _once(rows, seen, source.origin)
        own = None if table is None else table.filter(pl.col("object_id").is_in(rows["object_id"].unique().implode()))
        yield light_curves(rows, own, units=units, notes=(*source.notes, *said), minimum=minimum)


def _whole_objects(pieces: Iterator[pl.DataFrame], origin: str, size: int) -> Iterator[pl.DataFrame]:
    """Rows of `size` objects; the last object of a chunk waits, as its rows may go on in the next."""
    kept: pl.DataFrame | None = None
    for chunk in pieces:
        kept = chunk if kept is None else pl.concat([kept, chunk])
        while True:
            # object_id may be null in a bad file; it is refused with its row by the checks.
            place = kept.select(pl.col("object_id").rle_id())["object_id"]
            if len(place) == 0 or place[-1] < size:
                break
            end = int(place.search_sorted(size, side="left"))
            yield kept[:end]
            kept = kept[end:]
    if kept is None or kept.is_empty():
        raise SeqsciError(f"{origin}: there are no rows below the header; give a file with observations")
    yield kept


def _once(rows: pl.DataFrame, seen: Any, origin: str) -> Any:
    """`seen` with the hashes of these objects; 64 bits: a false alarm among 10^7 objects has odds of 10^-6."""
    runs = rows.filter(pl.col("object_id").rle_id().diff().fill_null(1) != 0)["object_id"]
    hashes = runs.hash().to_numpy()
    place = np.searchsorted(seen, hashes)
    again = (place < len(seen)) & (seen[np.minimum(place, len(seen) - 1)] == hashes) if len(seen) else hashes != hashes
    again = again | ~runs.is_first_distinct().to_numpy()
    if again.any():
        row = rows.filter(pl.col("object_id") == runs[int(np.argmax(again))])["_row"][-1]
        raise SeqsciError(
            f"{origin}, object {runs[int(np.argmax(again))]}, row {row}: its rows come back after those of another "
            "object; sort the file by object"
        )
    return np.sort(np.concatenate([seen, hashes]))


def _collect(source: Source) -> pl.DataFrame:
    try:
        frame = source.rows.collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        raise SeqsciError(f"{source.origin}: cannot be read ({first_line(error)}); write the file again") from None
    if frame.is_empty():
        raise SeqsciError(f"{source.origin}: there are no rows below the header; give a file with observations")
    return frame


def _units(sources: Sequence[Source], zeropoint: float | None, stated: Mapping[str, bool | None]) -> Units:
    """What all files agree on; the user's word stands where they do not say."""
    common = zeropoint if zeropoint is not None else COMMON
    # Pairs, not a mapping: files of two folders may share their name.
    zeros = [(s.origin, common if s.zeropoint is None else s.zeropoint) for s in sources]
    if len({zero for _, zero in zeros}) > 1:
        told = ", ".join(f"{origin}: {zero}" for origin, zero in zeros)
        raise SeqsciError(f"the files have different zero points ({told}); read them apart, or add a column zeropoint")
    flags = dict(stated)
    for name in flags:
        said = {getattr(source, name) for source in sources}
        if len(said) > 1:
            raise SeqsciError(f"the files differ in {name} ({said}); read them apart")
        value = said.pop()
        if value is not None and flags[name] is not None and flags[name] != value:
            raise SeqsciError(f"{sources[0].origin}: says {name}={value}, not {flags[name]}; leave {name} out")
        flags[name] = value if flags[name] is None else flags[name]
    return Units(zeropoint=zeros[0][1], **flags)


def _metadata(
    objects: Any, columns: Mapping[str, str] | None, label: str | None, sources: Sequence[Source]
) -> tuple[pl.DataFrame | None, list[str]]:
    if objects is not None:
        return object_table(objects, columns, () if label is None else (label,))
    own = [source.objects for source in sources if source.objects is not None]
    if not own:
        return None, []
    table = pl.concat(own).unique(maintain_order=True).select(list(OBJECTS))
    if table["object_id"].is_duplicated().any():
        raise SeqsciError("the files disagree about the label or redshift of an object; keep one row per object")
    return table, []
