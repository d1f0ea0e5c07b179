"""Tables of objects: label and redshift, and nothing that could leak the class."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from seqsci.domains.photometry.columns import OBJECT_NAMES, plain, require, resolve
from seqsci.domains.photometry.table import OBJECTS
from seqsci.errors import SeqsciError, nearest


def canonical_objects(
    frame: pl.DataFrame, origin: str, columns: Mapping[str, str] | None = None, label: str | None = None
) -> tuple[pl.DataFrame, list[str]]:
    """The columns of `OBJECTS` and sentences about what was guessed. Negative redshifts (-9) count as unknown.

    Raises:
        SeqsciError: no column of objects, an object with two different rows, text among redshifts, or `target`
            of the PLAsTiCC test set, which is a blinded placeholder.
    """
    found = resolve(frame.columns, OBJECT_NAMES, columns, origin)
    require(found, frame.columns, ["object_id"], origin)
    if label is not None:
        if label not in frame.columns:
            known = [name for name in frame.columns if name != "_row"]
            raise SeqsciError(f"{origin}: there is no column '{label}' for the label{nearest(label, known)}")
        found["label"] = label
    if plain(found.get("label", "")) == "target" and "truetarget" in map(plain, frame.columns):
        raise SeqsciError(
            f"{origin}: 'target' is a blinded placeholder where 'true_target' stands beside it; "
            "take label='true_target'"
        )
    said = [f"{ours} of the objects is '{found[ours]}'" for ours in OBJECTS if found.get(ours, ours) != ours]
    table = frame.select(
        identity(frame, found["object_id"]).alias("object_id"),
        _label(frame, found.get("label")).alias("label"),
        *(_redshift(frame, found, name, origin).alias(name) for name in ("redshift", "redshift_error")),
        _label(frame, found.get("group")).alias("group"),
    )
    if plain(found["object_id"]) == "transientid":  # CRTS writes TranID1234 in its light curves, 1234 in its labels
        table = table.with_columns(object_id="TranID" + pl.col("object_id").str.strip_prefix("TranID"))
        said.append("'TranID' was put before the TransientID of the objects, as in the light curves")
    table = table.unique(maintain_order=True)
    twice = table.filter(pl.col("object_id").is_duplicated())
    if len(twice):
        raise SeqsciError(f"{origin}, object {twice['object_id'][0]}: two rows that differ; keep one row per object")
    return table, said


def identity(frame: pl.DataFrame | pl.LazyFrame, name: str) -> pl.Expr:
    """Objects as text; whole numbers that were read as floats lose their point."""
    column = pl.col(name)
    text = column.cast(pl.String)
    if frame.collect_schema()[name].is_float():
        whole = column.cast(pl.Int64, strict=False)
        text = pl.when(whole == column).then(whole.cast(pl.String)).otherwise(text)
    text = text.str.strip_chars()
    return pl.when(text != "").then(text)


def _label(frame: pl.DataFrame, name: str | None) -> pl.Expr:
    return identity(frame, name) if name else pl.lit(None, dtype=pl.String)


def _redshift(frame: pl.DataFrame, found: Mapping[str, str], name: str, origin: str) -> pl.Expr:
    if name not in found:
        return pl.lit(None, dtype=pl.Float64)
    text = pl.col(found[name])
    value = text.cast(pl.Float64, strict=False)
    wrong = frame.with_row_index("_row", 1).filter(text.is_not_null() & value.is_null())
    if len(wrong):
        raise SeqsciError(
            f"{origin}, row {wrong['_row'][0]}, column {found[name]}: '{wrong[found[name]][0]}' is not a number; "
            "correct it or leave it blank"
        )
    return pl.when(value.is_finite() & (value >= 0)).then(value)
