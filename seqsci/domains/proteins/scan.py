"""Deep mutational scans: the wild type and the measured variants of one protein."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from seqsci.data.records import Records
from seqsci.domains.proteins.load import load
from seqsci.domains.proteins.mutants import substitutions, wild_type
from seqsci.domains.proteins.table import NAMES
from seqsci.errors import SeqsciError


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What was measured of one protein.

    `wild_type`: one record, the stretch that the file's references spell. `first`: number of its first residue as
    the file counts. `variants`: a row per measured variant with `record` (String, id of the wild type), `position`
    (Int64, from 1 on in the wild type's record), `reference` and `alternative` (String, the letters from the first to
    the last that changes), `variant` (String, as the file writes it), `sequence` (String, all of it) and `label`
    (Float64, the measured value, null where there is none).
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
    if records.frame["group"].n_unique() > 1 if "group" in records.frame.columns else False:
        raise SeqsciError(f"{name}: the variants are of several proteins; give the file of one")
    texts = records.frame[column].cast(pl.String).to_list()
    wild, first = wild_type(texts, name)
    identity = f"{name}/{first}-{first + len(wild) - 1}"
    rows = [_row(text, sequence, wild, first) for text, sequence in zip(texts, records.frame["sequence"], strict=True)]
    variants = pl.DataFrame(
        rows,
        schema={"position": pl.Int64, "reference": pl.String, "alternative": pl.String, "variant": pl.String},
        orient="row",
    )
    measured = records.frame["label"] if "label" in records.frame.columns else pl.Series([None] * len(rows))
    if measured.dtype == pl.String:
        raise SeqsciError(f"{name}: the label has text in it; name a column of measured numbers with label")
    variants = variants.with_columns(
        pl.lit(identity).alias("record"), records.frame["sequence"], measured.cast(pl.Float64).alias("label")
    ).select("record", "position", "reference", "alternative", "variant", "sequence", "label")
    record = Records(frame=pl.DataFrame({"id": [identity], "sequence": [wild]}), notes=records.notes)
    return Scan(wild_type=record, first=first, variants=variants), origin


def _row(text: str, sequence: str, wild: str, first: int) -> tuple[int | None, str, str, str]:
    """Position in the wild type, letters before and after, from the first to the last that a variant names."""
    found = substitutions(text)
    if not found:
        return None, "", "", text
    start, stop = found[0][0] - first, found[-1][0] - first + 1
    return start + 1, wild[start:stop], sequence[start:stop], text
