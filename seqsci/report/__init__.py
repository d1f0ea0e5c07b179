"""report.html and its pictures, rebuilt from a run folder alone; the sentences of the command line."""

from __future__ import annotations

import base64
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from seqsci.report.material import Material, Metrics, array, time_text
from seqsci.report.pictures import PICTURES, save
from seqsci.runs import Run

SERIES_LISTED = 20


def verdicts(metrics: Metrics) -> list[str]:
    """One sentence for each baseline: better, worse, or no clear difference, with the 95 % interval.

    Numbers are mean squared errors in scaled units.
    """
    return [_verdict(metrics["model"], name, result) for name, result in metrics["baselines"].items()]


def score_table(metrics: Metrics) -> pl.DataFrame:
    """`method, mse, mae, difference, low, high`, the model first.

    `difference` is the model's MSE less the method's, with its 95 % interval; null in the model's own row.
    """
    rows = [(metrics["model"], metrics["test"]["mse"], metrics["test"]["mae"], None, None, None)]
    for name, result in metrics["baselines"].items():
        low, high = result["difference_interval"]
        rows.append((name, result["mse"], result["mae"], result["difference"], low, high))
    numbers = ("mse", "mae", "difference", "low", "high")
    schema = {"method": pl.String, **dict.fromkeys(numbers, pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def build_report(run: Run) -> Path:
    """Draw the pictures and write report.html of a complete run; the page holds the pictures as well.

    Raises:
        SeqsciError: the run has not ended, or a file of it is damaged.
    """
    material = Material(run, run.read_json("metrics.json"))
    pictures = {}
    for name, function in PICTURES.items():
        path = run.folder / f"{name}.png"
        figure = function(material)
        if figure is None:
            path.unlink(missing_ok=True)
        else:
            save(figure, path)
            pictures[name] = base64.b64encode(path.read_bytes()).decode()
    home = FileSystemLoader(Path(__file__).parent)
    pages = Environment(loader=home, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters.update(figures=_figure_text, interval=_interval_text)
    page = pages.get_template("report.html.j2").render(
        run=material,
        pictures=pictures,
        metrics=material.metrics,
        data=material.metrics["data"],
        verdicts=verdicts(material.metrics),
        scores=score_table(material.metrics).to_dicts(),
        series=_series_rows(material),
        span=[time_text(moment) for moment in material.span[:2]],
        recipe=(run.folder / "recipe.yaml").read_text(encoding="utf-8"),
    )
    run.write("report.html", page)
    return run.folder / "report.html"


def _series_rows(material: Material) -> list[dict[str, Any]]:
    """Errors by series in the file's order; of many, those whose error is largest beside their scale."""
    units = material.metrics["units"]
    relative = array([units[name]["mae"] for name in material.targets]) / material.scale
    order = np.arange(len(relative))
    if len(order) > SERIES_LISTED:
        order = np.argsort(-np.nan_to_num(relative, nan=-1.0), kind="stable")[:SERIES_LISTED]
    return [{"name": material.targets[i], **units[material.targets[i]]} for i in order]


def _verdict(model: str, name: str, result: dict[str, Any]) -> str:
    gap, (low, high) = result["difference"], result["difference_interval"]
    if gap is None or low is None or high is None:
        return f"{model} and {name} cannot be compared: no test value was observed"
    if low <= 0 <= high:
        digits = _digits(high - low)
        low_to_high = f"[{low:+.{digits}f}, {high:+.{digits}f}]"
        return f"no clear difference between {model} and {name}: {gap:+.{digits}f} {low_to_high}"
    word = "worse" if low > 0 else "better"
    near, far = sorted((abs(low), abs(high)))
    digits = _digits(min(far - near, near))
    return f"{model} is {word} than {name} by {abs(gap):.{digits}f} [{near:.{digits}f}, {far:.{digits}f}]"


def _digits(size: float) -> int:
    """Decimals at which a number of that size is still seen, from 2 to 6."""
    return min(6, max(2, -math.floor(math.log10(size) + 1e-9))) if size > 0 else 2


def _figure_text(value: float | None, figures: int = 4) -> str:
    """A number with so many significant figures, never in powers of ten."""
    if value is None or not math.isfinite(value):
        return "–"
    size = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(9, max(0, figures - 1 - size))}f}"


def _interval_text(row: dict[str, Any]) -> str:
    if row["difference"] is None or row["low"] is None or row["high"] is None:
        return ""
    return f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
