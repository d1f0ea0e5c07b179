"""Numbers and verdicts as sentences."""

from __future__ import annotations

import math
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


def verdicts(metrics: Metrics, missing: str) -> list[str]:
    """One sentence for each baseline: better, worse, or no clear difference, with the 95 % interval.

    `missing` says why there may be nothing to compare.
    """
    return [_verdict(metrics["model"], name, result, missing) for name, result in metrics["baselines"].items()]


def _verdict(model: str, name: str, result: Metrics, missing: str) -> str:
    gap, (low, high) = result["difference"], result["difference_interval"]
    if gap is None or low is None or high is None:
        return f"{model} and {name} cannot be compared: {missing}"
    if low <= 0 <= high:
        places = digits(high - low)
        low_to_high = f"[{low:+.{places}f}, {high:+.{places}f}]"
        return f"no clear difference between {model} and {name}: {gap:+.{places}f} {low_to_high}"
    word = "worse" if low > 0 else "better"
    near, far = sorted((abs(low), abs(high)))
    places = digits(min(far - near, near))
    return f"{model} is {word} than {name} by {abs(gap):.{places}f} [{near:.{places}f}, {far:.{places}f}]"


def digits(size: float) -> int:
    """Decimals at which a number of that size is still seen, from 2 to 6."""
    return min(6, max(2, -math.floor(math.log10(size) + 1e-9))) if size > 0 else 2


def figure_text(value: float | None, figures: int = 4) -> str:
    """A number with so many significant figures, never in powers of ten."""
    if value is None or not math.isfinite(value):
        return "–"
    size = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(9, max(0, figures - 1 - size))}f}"


def interval_text(row: Metrics) -> str:
    """A difference with its interval; nothing where there is none."""
    if row["difference"] is None or row["low"] is None or row["high"] is None:
        return ""
    return f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
