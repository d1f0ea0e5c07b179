"""Checks canonical rows and makes light curves of them; says where every row and object went."""

from __future__ import annotations

import polars as pl

from seqsci.domains.photometry.table import BANDS, OBJECTS, OBSERVATIONS, LightCurves, Units
from seqsci.errors import SeqsciError

KEYS = ["object_id", "time", "band"]


def light_curves(
    rows: pl.DataFrame,
    objects: pl.DataFrame | None,
    *,
    units: Units,
    notes: tuple[str, ...] = (),
    minimum: int = 2,
    separators: int = 0,
) -> LightCurves:
    """Light curves out of canonical rows (see `read.canonical`) and a table of objects in our columns.

    Raises:
        SeqsciError: text among numbers, a row without object, or an unknown passband, with file, object and row.
    """
    _refuse(rows)
    counts = {"rows in": len(rows) + separators}
    said = list(notes)
    _drop(counts, "rows: separators", separators)
    ids = rows["object_id"].unique(maintain_order=True)
    rows = _usable(rows, counts).select(list(OBSERVATIONS))
    rows = _distinct(rows, counts, said)
    rows = _ordered(rows, ids, said)
    enough = rows.group_by("object_id", maintain_order=True).len().filter(pl.col("len") >= minimum)["object_id"]
    kept = rows.filter(pl.col("object_id").is_in(enough.implode()))
    _drop(counts, f"rows: of objects with fewer than {minimum} observations", len(rows) - len(kept))
    counts["rows out"] = len(kept)
    table = _objects(enough, ids, objects, counts, said)
    _drop(counts, f"objects: fewer than {minimum} observations", len(ids) - len(enough))
    counts["objects out"] = len(table)
    said += [f"{name}: {n} dropped" for name, n in counts.items() if ": " in name]
    occur = set(kept["band"].unique())
    return LightCurves(
        observations=kept,
        objects=table,
        units=units,
        bands=tuple(band for band in BANDS if band in occur),
        counts=counts,
        notes=tuple(said),
    )


def _drop(counts: dict[str, int], name: str, n: int) -> None:
    if n:
        counts[name] = n


def _refuse(rows: pl.DataFrame) -> None:
    """Stops at the first row that cannot be understood."""
    faults = {
        "object_id": pl.col("object_id").is_null(),
        "text": pl.col("_bad").is_not_null(),
        "band": pl.col("band").is_null(),
    }
    for kind, fault in faults.items():
        for row in rows.filter(fault).head(1).iter_rows(named=True):
            where = f"{row['_file']}, object {row['object_id']}, row {row['_row']}"
            if kind == "object_id":
                raise SeqsciError(f"{row['_file']}, row {row['_row']}: no object; give every row its object_id")
            if kind == "text":
                raise SeqsciError(f"{where}, {row['_bad']} is not a number; correct it or leave it blank")
            known = ", ".join(BANDS)
            if row["_band"] is None or not row["_band"].strip():
                raise SeqsciError(f"{where}: no passband; give one of {known} (or 0 to 5)")
            raise SeqsciError(f"{where}: unknown passband '{row['_band']}'; known: {known} (or 0 to 5); rename it")


def _usable(rows: pl.DataFrame, counts: dict[str, int]) -> pl.DataFrame:
    """Rows with a time, a flux and a positive error, all finite."""
    error = pl.col("flux_error")
    tests = {
        "rows: no finite time": pl.col("time").is_finite(),
        "rows: no finite flux": pl.col("flux").is_finite(),
        "rows: no positive flux error": error.is_finite() & (error > 0),
    }
    for name, test in tests.items():
        good = rows.filter(test)
        _drop(counts, name, len(rows) - len(good))
        rows = good
    return rows


def _distinct(rows: pl.DataFrame, counts: dict[str, int], said: list[str]) -> pl.DataFrame:
    once = rows.unique(maintain_order=True)
    _drop(counts, "rows: exact duplicates", len(rows) - len(once))
    repeated = len(once) - once.select(KEYS).n_unique() if len(once) else 0
    if repeated:
        counts["same object, time and band, kept"] = repeated
        said.append(f"{repeated} rows share object, time and band with another of different flux; all were kept")
    return once


def _ordered(rows: pl.DataFrame, ids: pl.Series, said: list[str]) -> pl.DataFrame:
    """Objects in the order in which they first occur, times ascending."""
    order = pl.DataFrame({"object_id": ids}).with_row_index("_object")
    rows = rows.join(order, on="object_id", how="left", maintain_order="left").with_row_index("_place")
    rows = rows.sort("_object", "time", maintain_order=True)
    if not rows["_place"].is_sorted():
        said.append("the rows were not sorted by object and time; they were sorted")
    return rows.drop("_object", "_place")


def _objects(
    enough: pl.Series, ids: pl.Series, objects: pl.DataFrame | None, counts: dict[str, int], said: list[str]
) -> pl.DataFrame:
    """One row for each light curve, with nulls where the metadata do not know it."""
    known = pl.DataFrame(schema=OBJECTS) if objects is None else objects
    alone = known.filter(~pl.col("object_id").is_in(ids.implode()))
    counts["objects in"] = len(ids) + len(alone)
    _drop(counts, "objects: no light curve", len(alone))
    table = pl.DataFrame({"object_id": enough}).join(known, on="object_id", how="left", maintain_order="left")
    unknown = len(enough) - int(enough.is_in(known["object_id"].implode()).sum())
    if objects is not None and unknown:
        counts["without metadata, kept"] = unknown
        said.append(f"{unknown} light curves have no metadata; their label and redshift are null")
    return table.select(list(OBJECTS))
