"""Numbers and verdicts as sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Metrics = dict[str, Any]
"""The content of metrics.json."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the command line shows of a result: a table, then sentences."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    sentences: list[str]


def verdicts(metrics: Metrics, missing: str, few: str = "without an interval") -> list[str]:
    """One sentence for each baseline: better, worse, or no clear difference, with the 95 % interval.

    `missing` says why there may be nothing to compare, `few` why a difference may have no interval.
    """
    return [_verdict(metrics["model"], name, result, missing, few) for name, result in metrics["baselines"].items()]


def outcome(result: Metrics) -> tuple[str, str] | None:
    """ "better", "worse" or "no clear difference", and the number with its interval; None where there is none.

    `result` has `difference` (above 0: the model is worse) and `difference_interval`.
    """
    gap, (low, high) = result["difference"], result["difference_interval"]
    if gap is None or low is None or high is None:
        return None
    if low <= 0 <= high:
        places = digits(high - low)
        return "no clear difference", f"{gap:+.{places}f} [{low:+.{places}f}, {high:+.{places}f}]"
    near, far = sorted((abs(low), abs(high)))
    places = digits(min(far - near, near))
    return "worse" if low > 0 else "better", f"{abs(gap):.{places}f} [{near:.{places}f}, {far:.{places}f}]"


def _verdict(model: str, name: str, result: Metrics, missing: str, few: str) -> str:
    found = outcome(result)
    if found is None and result["difference"] is not None:
        gap = result["difference"]
        return f"{model} less {name} is {gap:+.{digits(abs(gap))}f}, {few}"
    if found is None:
        return f"{model} and {name} cannot be compared: {missing}"
    word, number = found
    if word in ("better", "worse"):
        return f"{model} is {word} than {name} by {number}"
    return f"{word} between {model} and {name}: {number}"


def digits(size: float) -> int:
    """Decimals at which a number of that size is still seen, from 2 to 6."""
    return min(6, max(2, -math.floor(math.log10(size) + 1e-9))) if size > 0 else 2


def figure_text(value: float | None, figures: int = 4) -> str:
    """A number with so many significant figures, never in powers of ten."""
    if value is None or not math.isfinite(value):
        return "–"
    size = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(9, max(0, figures - 1 - size))}f}"


def fixed_text(value: float | None, places: int = 4) -> str:
    """A number with so many decimals, for columns of shares and losses."""
    return "–" if value is None or not math.isfinite(value) else f"{value:,.{places}f}"


def ends_text(ends: Sequence[float | None], places: int = 4) -> str:
    """An interval in brackets; "[–]" where too few cases were scored for one."""
    low, high = ends
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return "[–]"
    return f"[{low:,.{places}f}, {high:,.{places}f}]"


def interval_text(row: Metrics) -> str:
    """A difference, with its interval where it has one; nothing where there is none."""
    if row["difference"] is None:
        return ""
    if row["low"] is None or row["high"] is None:
        return f"{row['difference']:+.4f} [–]"
    return f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
