"""Deep mutational scans: the wild type and the measured variants of one protein."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from seqsci.data.records import Records
from seqsci.domains.proteins.load import load
from seqsci.domains.proteins.mutants import reverted, substitutions
from seqsci.domains.proteins.table import NAMES
from seqsci.errors import SeqsciError

VARIANTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "record": pl.Int64,
    "name": pl.String,
    "position": pl.List(pl.Int64),
    "reference": pl.List(pl.String),
    "alternative": pl.List(pl.String),
}


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What was measured of one protein.

    `wild_type`: one record, what all variants are without their substitutions. `first`: number of its first residue as
    the file counts. `variants`: a row per measured variant with `record` (Int64, 0: the wild type's row), `name`
    (String, as the file writes it), `position` (List of Int64, from 0 on in the wild type's record), `reference` and
    `alternative` (Lists of String; an element per substitution, sorted by position), `sequence` (String, all of the
    variant) and `label` (Float64, the measured value, null where there is none).
    """

    wild_type: Records
    first: int
    variants: pl.DataFrame


def deep_scan(
    source: Any,
    *,
    columns: Mapping[str, str] | None = None,
    label: str | None = None,
    invalid: Literal["refuse", "skip"] = "refuse",
) -> tuple[Scan, dict[str, Any]]:
    """The scan of a data set such as blat_ecolx, of a file or of a table, and where it came from (see `load`).

    Raises:
        SeqsciError: no column of variants such as A24G, or whatever `load` refuses.
    """
    records, origin = load(source, columns=columns, label=label, invalid=invalid)
    name = origin["name"]
    lower = {column.lower(): column for column in records.frame.columns}
    known = [(columns or {}).get("mutant", ""), *(lower.get(alias, "") for alias in NAMES["mutant"])]
    column = next((one for one in known if one in records.frame.columns), None)
    if column is None:
        raise SeqsciError(f"{name}: no column of variants such as A24G; name it with data.columns.mutant")
    if "group" in records.frame.columns and records.frame["group"].n_unique() > 1:
        raise SeqsciError(f"{name}: the variants are of several proteins; give the file of one")
    texts = records.frame[column].cast(pl.String).fill_null("").to_list()
    wild, first = reverted(texts, records.frame["sequence"].to_list(), name)
    identity = f"{name}/{first}-{first + len(wild) - 1}"
    changes = [substitutions(text) or [] for text in texts]
    variants = pl.DataFrame(
        {
            "record": [0] * len(texts),
            "name": texts,
            "position": [[position - first for position, _, _ in row] for row in changes],
            "reference": [[reference for _, reference, _ in row] for row in changes],
            "alternative": [[alternative for _, _, alternative in row] for row in changes],
        },
        schema=VARIANTS,
    )
    given = records.frame["label"] if "label" in records.frame.columns else pl.Series("label", [None] * len(texts))
    # Few whole numbers are read as names of classes; here they can only be measured.
    measured = given.cast(pl.Float64, strict=False)
    if measured.null_count() > given.null_count():
        raise SeqsciError(f"{name}: the label has text in it; name a column of measured numbers with label")
    variants = variants.with_columns(records.frame["sequence"], measured)
    record = Records(frame=pl.DataFrame({"id": [identity], "sequence": [wild]}), notes=records.notes)
    return Scan(wild_type=record, first=first, variants=variants), origin
