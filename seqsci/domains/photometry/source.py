"""Opens one source of light curves, whatever its layout, as lazy rows in our columns and units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from seqsci.domains.photometry import columns as names
from seqsci.domains.photometry.columns import OBJECT_NAMES, OBSERVATION_NAMES
from seqsci.domains.photometry.metadata import canonical_objects, identity
from seqsci.domains.photometry.snana import SEPARATOR, is_fits, read_pair
from seqsci.errors import SeqsciError, nearest

BLANKS = ["", "NA", "N/A", "null", "None", "NULL"]
LAYOUTS = ("auto", "long", "nested", "snana")
MJD_1970 = 40587.0
COMMON = 27.5
"""The zero point of FLUXCAL: magnitudes and rows of several zero points become fluxes on it."""
TRUE, FALSE = ["1", "1.0", "true", "t", "+"], ["0", "0.0", "false", "f", "-"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Canonical rows of one file, lazily, with what its names and header say of it."""

    rows: pl.LazyFrame
    origin: str
    zeropoint: float | None  # None: every row states its own, and was converted to the common one
    notes: tuple[str, ...]
    mw_corrected: bool | None = None
    difference: bool | None = None
    objects: pl.DataFrame | None = None
    separators: int = 0


def open_source(
    what: Any,
    layout: str,
    columns: Mapping[str, str] | None,
    band: str | None,
    zeropoint: float | None,
    label: str | None,
    want_objects: bool,
) -> Source:
    """Canonical rows of a path or table, and its objects where `want_objects` or the file of SNANA has them."""
    if layout not in LAYOUTS:
        raise SeqsciError(f"layout: there is no '{layout}'; known: {', '.join(LAYOUTS)}")
    path = Path(what) if isinstance(what, (str, Path)) else None
    objects, mw, separators = None, None, 0
    if path is not None and (layout == "snana" or is_fits(path)):
        observations, meta, mw = read_pair(path)
        # Trailing rows of no object are separators; others would be a fault and keep their null.
        apart = observations["SNID"].is_null() & (observations["MJD"] == SEPARATOR)
        separators = int(apart.sum())
        frame, origin = observations.with_row_index("_row", 1).filter(~apart).lazy(), path.name
        rows = frame
        objects = canonical_objects(meta, path.name, known_columns(columns, meta.columns, path.name), label)[0]
        want_objects = False
    else:
        frame, origin = open_table(what)
        frame, lists = _opened(frame, layout, origin)
        # An object without exposures has no row; it is counted where its label or redshift makes it known.
        rows = frame.explode(lists, empty_as_null=False, keep_nulls=False) if lists else frame
        frame = frame.drop(lists)
    found = canonical(rows, origin, columns, band, zeropoint)
    if want_objects:
        objects = _joined(frame, origin, columns, label)
    mw = found.mw_corrected if mw is None else mw
    return replace(found, objects=objects, separators=separators, mw_corrected=mw)


def known_columns(columns: Mapping[str, str] | None, there: Sequence[str], origin: str) -> dict[str, str]:
    """Those names of the user that a table of objects has; the others may be meant for the observations.

    Raises:
        SeqsciError: a column of the label or redshift that is not there, as it can be meant for nothing else.
    """
    for ours, theirs in (columns or {}).items():
        if theirs and ours in OBJECT_NAMES and ours not in OBSERVATION_NAMES and theirs not in there:
            raise SeqsciError(f"{origin}: there is no column '{theirs}' for {ours}{nearest(theirs, there)}")
    return {ours: theirs for ours, theirs in (columns or {}).items() if not theirs or theirs in there}


def open_table(what: Any) -> tuple[pl.LazyFrame, str]:
    """A table of text (CSV) or typed columns (Parquet, frame), lazily."""
    if not isinstance(what, (str, Path)):
        import narwhals as nw

        try:
            frame = nw.from_native(what, eager_only=True).to_polars()
        except TypeError:
            kind = type(what).__name__
            raise SeqsciError(f"data: neither a path nor a table (type {kind}); give polars, pandas or Arrow") from None
        return frame.lazy(), "the table"
    path = Path(what)
    if not path.is_file():
        raise SeqsciError(f"{path}: there is no such file; check the name")
    if path.stat().st_size == 0:
        raise SeqsciError(f"{path.name}: the file is empty; it needs a header and rows below it")
    try:
        with path.open("rb") as file:
            parquet = file.read(4) == b"PAR1"
        lazy = (
            pl.scan_parquet(path, glob=False)
            if parquet
            else pl.scan_csv(path, infer_schema=False, null_values=BLANKS, glob=False)
        )
        lazy.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SeqsciError(f"{path.name}: not a CSV or Parquet table ({first_line(error)}); write it again") from None
    return lazy, path.name


def first_line(error: Exception) -> str:
    """What a library says, without its advice."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _opened(frame: pl.LazyFrame, layout: str, origin: str) -> tuple[pl.LazyFrame, list[str]]:
    """The table with `_row` from 1 on and structs of lists opened, and the columns that hold lists of one length."""
    frame = frame.with_row_index("_row", 1)
    schema = frame.collect_schema()
    structs = [n for n, t in schema.items() if isinstance(t, pl.Struct) and any(f.dtype == pl.List for f in t.fields)]
    if structs:
        frame = frame.unnest(structs)
        schema = frame.collect_schema()
    lists = [name for name, kind in schema.items() if isinstance(kind, pl.List)]
    if layout == "nested" and not lists:
        raise SeqsciError(f"{origin}: layout is nested, but no column holds lists; take layout='long'")
    if layout == "long" and lists:
        raise SeqsciError(f"{origin}: column {lists[0]} holds lists; take layout='nested'")
    if not lists:
        return frame, []
    lengths = [pl.col(name).list.len() for name in lists]
    uneven = frame.filter(pl.any_horizontal(n != lengths[0] for n in lengths)).head(1).collect()
    if len(uneven):
        raise SeqsciError(f"{origin}, row {uneven['_row'][0]}: its lists differ in length; give one entry per exposure")
    return frame, lists


def canonical(
    frame: pl.LazyFrame, origin: str, columns: Mapping[str, str] | None, band: str | None, zeropoint: float | None
) -> Source:
    """Our columns, and what the checks need to name a fault: `_file`, `_row`, `_band` and `_bad`."""
    theirs = [name for name in frame.collect_schema().names() if name != "_row"]
    found = names.resolve(theirs, names.OBSERVATION_NAMES, columns, origin)
    magnitudes = "flux" not in found and "magnitude" in found
    wanted = ["object_id", "time", *(["magnitude", "magnitude_error"] if magnitudes else ["flux", "flux_error"])]
    names.require(found, theirs, wanted if band else [*wanted, "band"], origin)
    if band and "band" in found:
        raise SeqsciError(
            f"{origin}: every row is to be of passband {band}, and column '{found['band']}' says which each is; leave "
            f"band out, or keep the rows of one passband alone"
        )
    said = [f"{ours} is column '{found[ours]}'" for ours in found if found[ours] != ours]
    if magnitudes:
        numbers = ["time", "magnitude", "magnitude_error"]
    else:
        numbers = ["time", "flux", "flux_error", *(["zeropoint"] if "zeropoint" in found else [])]
    value = {name: pl.col(found[name]).cast(pl.Float64, strict=False) for name in numbers}
    scale = pl.lit(1.0)
    zero: float | None = zeropoint if zeropoint is not None else COMMON
    kind = names.plain(found.get("flux", ""))
    if magnitudes:
        said.append(f"magnitudes were made fluxes of zero point {zero}")
        flux = 10 ** (0.4 * (zero - value["magnitude"])) if zero is not None else value["magnitude"]
        error = 0.4 * math.log(10) * flux * value["magnitude_error"]
        if "sign" in found:
            sign = pl.col(found["sign"]).cast(pl.String).str.to_lowercase()
            flux = flux * pl.when(sign.is_in(TRUE)).then(1.0).when(sign.is_in(FALSE)).then(-1.0)
    else:
        flux, error = value["flux"], value["flux_error"]
        if "zeropoint" in found:
            said.append(f"each row was rescaled from the zero point in '{found['zeropoint']}' to {zero}")
            scale = 10 ** (0.4 * (zero - value["zeropoint"])) if zero is not None else scale
            zero = None
        elif kind in names.KNOWN_ZEROPOINTS:
            zero = names.KNOWN_ZEROPOINTS[kind]
            if zeropoint is not None and zeropoint != zero:
                raise SeqsciError(
                    f"{origin}: column '{found['flux']}' has zero point {zero}, not {zeropoint}; leave zeropoint out"
                )
        elif zeropoint is None:
            said.append(f"the zero point of '{found['flux']}' is not stated: taken as {zero}")
    time = value["time"]
    kind_of_time = frame.collect_schema()[found["time"]]
    if kind_of_time in (pl.Date, pl.Datetime):
        since_1970 = pl.col(found["time"]).cast(pl.Datetime("us")).dt.epoch("us").cast(pl.Float64)
        time, said = since_1970 / 86_400e6 + MJD_1970, [*said, f"dates of '{found['time']}' were made MJD"]
    elif kind_of_time.is_temporal():
        raise SeqsciError(f"{origin}: column '{found['time']}' holds no dates but {kind_of_time}; give days or dates")
    if names.plain(found["time"]) == "jd":
        time, said = time - 2400000.5, [*said, "Julian dates were made MJD"]
    plasticc = "detected" in found and names.plain(found.get("band", "")) == "passband"
    if plasticc:
        said.append("by its columns a PLAsTiCC table: taken as differences of images, Milky Way dust taken out")
    letter = pl.lit(names.constant_band(band)) if band else names.band(found["band"])
    if band:
        said.append(f"every row is of passband {band}, as given")
    bad = pl.coalesce(
        pl.when(pl.col(found[n]).is_not_null() & value[n].is_null()).then(
            pl.format("column " + found[n].replace("{", "").replace("}", "") + ": '{}'", pl.col(found[n]))
        )
        for n in numbers
    )
    rows = frame.select(
        identity(frame, found["object_id"]).alias("object_id"),
        time.alias("time"),
        letter.alias("band"),
        (flux * scale).alias("flux"),
        (error * scale).alias("flux_error"),
        _detected(found).alias("detected"),
        pl.lit(origin).alias("_file"),
        pl.col("_row"),
        (pl.lit(band) if band else pl.col(found["band"]).cast(pl.String)).alias("_band"),
        bad.alias("_bad"),
    )
    differs = True if plasticc or "sign" in found else None
    mw = True if plasticc else None
    return Source(rows=rows, origin=origin, zeropoint=zero, notes=tuple(said), mw_corrected=mw, difference=differs)


def _detected(found: Mapping[str, str]) -> pl.Expr:
    if "detected" in found:
        text = pl.col(found["detected"]).cast(pl.String).str.to_lowercase()
        return pl.when(text.is_in(TRUE)).then(True).when(text.is_in(FALSE)).then(False)
    if "photflag" in found:
        return (pl.col(found["photflag"]).cast(pl.Int64) & 4096) != 0
    return pl.lit(None, dtype=pl.Boolean)


def _joined(
    frame: pl.LazyFrame, origin: str, columns: Mapping[str, str] | None, label: str | None
) -> pl.DataFrame | None:
    """Metadata that stand in the table of observations itself."""
    theirs = [name for name in frame.collect_schema().names() if name != "_row"]
    found = names.resolve(theirs, names.OBJECT_NAMES, columns, origin)
    if label is not None and label not in theirs:
        raise SeqsciError(f"{origin}: there is no column '{label}' for the label{nearest(label, theirs)}")
    wanted = set(found.values()) | {name for name in theirs if label in (name,) or names.plain(name) == "truetarget"}
    if "object_id" not in found or len(wanted) < 2:
        return None
    return canonical_objects(
        frame.select(sorted(wanted)).unique(maintain_order=True).collect(), origin, columns, label
    )[0]
