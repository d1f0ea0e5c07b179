"""Columns of numbers: blanks become null, what else is no finite number is refused where it stands."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from seqsci.domains.electricity.raw import Raw
from seqsci.errors import SeqsciError

BLANK = ("", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "?")
"""Texts, in small letters, that stand for a missing value."""

LARGEST = 1e150
"""The sum of the squares of larger numbers is not finite."""

ADVICE = (
    (r"-?\d{1,3},\d{3}", "write 1234 or 1.234 without a comma, as it can mean either"),
    (r"-?\d{1,3}(,\d{3})+(\.\d*)?", "write it without the commas between thousands"),
    (r"-?[\d.]*\d,\d+", "write it with a decimal point, and without marks between thousands"),
    (r"(?i)true|false|yes|no", "write 1 and 0"),
    (r"\d{1,2}:\d{2}(:\d{2})?", "join the date and the time of day into one column"),
    (r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*", "leave the column out, or name it as the time column with data.time"),
)
"""Pattern of a refused text -> what to do about it."""


def numbers(raw: Raw, name: str, missing: Sequence[float] = ()) -> tuple[pl.Series, tuple[str, ...]]:
    """The column as Float64 with null where nothing was observed, and notes.

    Args:
        raw: the table.
        name: its column.
        missing: numbers that stand for "not observed".

    Raises:
        SeqsciError: text, an infinite value, or a type that is not numeric; with the line and the text.
    """
    column = raw.frame[name]
    notes: tuple[str, ...] = ()
    if column.dtype == pl.Boolean:
        raise SeqsciError(f"{raw.origin}, column {name}: holds true and false; write 1 and 0, or leave the column out")
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        found, notes = _from_text(raw, column.cast(pl.String))
    elif column.dtype.is_numeric() or column.dtype == pl.Null:
        found = column.cast(pl.Float64)
    else:
        raise SeqsciError(f"{raw.origin}, column {name}: holds {column.dtype}, not numbers; leave the column out")
    infinite = found.is_infinite().fill_null(False)
    if infinite.any():
        row = int(infinite.arg_max() or 0)
        raise SeqsciError(
            f"{raw.at(row, name)}: '{column[row]}' is not a finite number; correct it or leave it blank "
            "(a blank is treated as missing)"
        )
    found = found.fill_nan(None)
    if missing:
        found, more = _without_sentinels(found, missing)
        notes += more
    huge = (found.abs() > LARGEST).fill_null(False)
    if huge.any():
        row = int(huge.arg_max() or 0)
        raise SeqsciError(
            f"{raw.at(row, name)}: '{column[row]}' is too large to compute with; correct it, leave it blank, or name "
            "it in data.missing where it stands for a missing value"
        )
    return found, notes


def _from_text(raw: Raw, column: pl.Series) -> tuple[pl.Series, tuple[str, ...]]:
    text = column.str.strip_chars()
    text = text.set(text.str.to_lowercase().is_in(BLANK), None)
    found = text.cast(pl.Float64, strict=False)
    bad = found.is_null() & text.is_not_null()
    if not bad.any():
        return found, ()
    # Where ; parts the fields, a comma can only be the decimal one, unless it may part thousands.
    if raw.separator == ";" and _is_decimal_comma(text.filter(bad)):
        found = text.str.replace(",", ".", literal=True).cast(pl.Float64)
        return found, (f"column {column.name}: decimal commas read as points",)
    row = int(bad.arg_max() or 0)
    if found.null_count() == len(found):
        usual = f"leave the column out; if it names the series, set data.id to {column.name}"
        raise SeqsciError(
            f"{raw.at(row, column.name)}: '{_short(text[row])}' is not a number, nor is any other entry of "
            f"the column; {_advice(text[row], usual)}"
        )
    usual = "correct it or leave it blank (a blank is treated as missing)"
    raise SeqsciError(f"{raw.at(row, column.name)}: '{_short(text[row])}' is not a number; {_advice(text[row], usual)}")


def _is_decimal_comma(text: pl.Series) -> bool:
    decimal = bool(text.str.contains(r"^[-+]?\d*,\d+(?:[eE][-+]?\d+)?$").all())
    # 1,234 alone is ambiguous; one 0,5 or 1,25 in the column decides.
    return decimal and not text.str.contains(r"^[-+]?[1-9]\d{0,2},\d{3}$").all()


def _without_sentinels(found: pl.Series, missing: Sequence[float]) -> tuple[pl.Series, tuple[str, ...]]:
    hit = found.is_in([float(m) for m in missing]).fill_null(False)
    count = int(hit.sum())
    if not count:
        return found, ()
    which = ", ".join(f"{m:g}" for m in missing)
    return found.set(hit, None), (f"column {found.name}: {which} is treated as missing ({count} times)",)


def _advice(text: str, usual: str) -> str:
    return next((advice for pattern, advice in ADVICE if re.fullmatch(pattern, text)), usual)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:37]}..."
