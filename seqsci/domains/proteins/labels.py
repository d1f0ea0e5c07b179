"""What is to be predicted of proteins: names of classes, or measured numbers."""

from __future__ import annotations

import polars as pl

from seqsci.data.words import counted
from seqsci.domains.proteins.letters import shown
from seqsci.errors import SeqsciError

MISSING = ("", "na", "n/a", "nan", "null", "none")
"""What a table writes for a label that nobody knows, in lower case."""
CLASSES = 20
"""Most distinct whole numbers that count as classes; more of them, or others, are measured."""


def typed(values: pl.Series, origin: str) -> tuple[pl.Series, str]:
    """A label as classes (String) or as measured numbers (Float64), and which of the two in words.

    Whole numbers of at most `CLASSES` kinds are classes, and 1 and 1.0 are the same one. Text is classes too, unless
    most of more than that many different values are numbers.

    Raises:
        SeqsciError: no value at all, a number that is not finite, or text among measured numbers, with its record.
    """
    text = values.cast(pl.String, strict=False).str.strip_chars().alias("label")
    text = text.set(text.str.to_lowercase().is_in(MISSING).fill_null(True), None)
    known = text.drop_nulls()
    if known.is_empty():
        raise SeqsciError(f"{origin}, column {shown(values.name)}: there is no value in it; name another with label")
    numbers = text.cast(pl.Float64, strict=False)
    numbers = numbers.set(~numbers.is_finite().fill_null(True), None)
    odd = text.is_not_null() & numbers.is_null()
    measured = numbers.drop_nulls()
    if odd.any():
        more = f" (and {int(odd.sum()) - 1} more)" if odd.sum() > 1 else ""
        if measured.n_unique() <= max(known.n_unique() / 2, CLASSES):
            return text, f"{counted(known.n_unique(), 'class', 'classes')}"
        row = int(odd.arg_max() or 0)
        raise SeqsciError(
            f"{origin}, record {row + 1}, column {shown(values.name)}: '{shown(text[row])}' among measured "
            f"numbers{more}; correct it, or leave the place empty where nothing is known"
        )
    if measured.n_unique() <= CLASSES and bool((measured == measured.round(0)).all()) and measured.abs().max() < 1e15:  # type: ignore[operator]
        classes = numbers.cast(pl.Int64).cast(pl.String)
        return classes, f"{counted(measured.n_unique(), 'class', 'classes')}"
    return numbers, "a measured number"
