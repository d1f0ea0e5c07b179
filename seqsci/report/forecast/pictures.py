"""The pictures of a report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, num2date
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from seqsci.report.drawing import (
    BLUE,
    INK,
    PERCENT,
    RIVALS,
    SKY,
    array,
    draw_learning,
    draw_scores,
    legend_above,
    method_style,
    new_figure,
    shorten,
)
from seqsci.report.forecast.material import WINDOWS_DRAWN, Material


@dataclass(frozen=True)
class Panel:
    """One forecast to draw: a window, a series, and what stands above it."""

    window: int
    series: str
    title: str


def _draw_scores(material: Material) -> Figure:
    metrics = material.metrics
    rivals = metrics["baselines"]
    scores = {material.model: metrics["test"]["mse"], **{name: result["mse"] for name, result in rivals.items()}}
    return draw_scores(scores, metrics["test"]["interval"], list(rivals.values()), "mean squared error, scaled units")


def _draw_by_step(material: Material) -> Figure:
    figure, (axes,) = new_figure(9, 3.6)
    methods = material.metrics["by_step"]
    steps = np.arange(1, material.horizon + 1)
    marker = "o" if material.horizon <= 30 else ""
    for place, (name, errors) in enumerate(methods.items()):
        axes.plot(steps, array(errors), **method_style(place), marker=marker, ms=3, label=name)
    axes.set_ylim(bottom=0)
    _label_steps(axes, material, "mean squared error, scaled", len(methods))
    return figure


def _draw_learning(material: Material) -> Figure | None:
    best = material.metrics["val"]["best_epoch"]
    return draw_learning(material.run.history(), best, f"{material.recipe.train.loss.upper()}, scaled")


def _draw_coverage(material: Material) -> Figure | None:
    if not material.radii:
        return None
    figure, (axes,) = new_figure(9, 3.2)
    for place, level in enumerate(sorted(material.radii)):
        found = material.coverage_by_step(level)
        colour = (BLUE, *RIVALS)[place % (1 + len(RIVALS))]
        axes.plot(
            found["step"],
            found["share"],
            "-" if material.long else ".-",
            color=colour,
            ms=4,
            lw=1.5,
            label=f"{level} % interval",
        )
        axes.axhline(level / 100, color=colour, lw=1, ls="--")
    axes.set_ylim(top=1.02)
    axes.yaxis.set_major_formatter(PERCENT)
    _label_steps(axes, material, "share inside", len(material.radii))
    return figure


def _draw_spread(material: Material) -> Figure | None:
    """One series a row, windows evenly spread; the first has its past inside the split."""
    last = material.span[2] - 1
    places = np.linspace(min(material.past, last // 2), last, WINDOWS_DRAWN).round().astype(int)
    windows = list(dict.fromkeys(places.tolist()))
    panels = [[Panel(window, name, shorten(name, 34)) for window in windows] for name in material.drawn]
    if material.long:
        panels = [[panels[i % len(panels)][i % len(windows)]] for i in range(max(len(panels), len(windows)))]
    return _draw_panels(material, panels, share=not material.long)


def _draw_worst(material: Material) -> Figure | None:
    """A window a column, and in it the series with the largest errors; when long, only the worst one."""
    windows = material.worst
    ranked = material.errors_by_series(windows)
    columns = []
    for window in windows:
        top = ranked.filter(pl.col("window") == window).head(1 if material.long else WINDOWS_DRAWN)
        pairs = zip(top["unique_id"], top["error"], strict=True)
        title = "{}: scaled MSE {:.3g}"
        columns.append([Panel(window, name, title.format(shorten(name, 22), error)) for name, error in pairs])
    depth = min((len(column) for column in columns), default=0)
    panels = columns if material.long else [[column[row] for column in columns] for row in range(depth)]
    return _draw_panels(material, panels, share=False)


def _draw_panels(material: Material, panels: list[list[Panel]], *, share: bool) -> Figure | None:
    if not panels:
        return None
    rows, columns = len(panels), len(panels[0])
    width = 11 if material.long else max(6.5, 3.9 * columns)
    figure, axes = new_figure(width, 0.5 + 2.15 * rows, rows, columns, sharey="row" if share else False)
    flat = [panel for row in panels for panel in row]
    series = {panel.series for panel in flat}
    forecasts = material.forecasts({panel.window for panel in flat}, series)
    truth = material.truth(series)
    for place, panel in enumerate(flat):
        mine = pl.col("unique_id") == panel.series
        window = forecasts.filter(mine & (pl.col("window") == panel.window))
        _draw_window(axes[place], material, panel, window, truth.filter(mine))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9)
    return figure


def _draw_window(axes: Axes, material: Material, panel: Panel, window: pl.DataFrame, truth: pl.DataFrame) -> None:
    begin, times = window["ds"][0], _times(window)
    past = truth.filter(pl.col("ds") < begin).tail(material.past)
    observed = pl.concat([past.select("ds", "y"), window.select("ds", "y")])
    middle = window["yhat"].to_numpy()
    column = material.targets.index(panel.series)
    for level, colour in zip(sorted(material.radii, reverse=True), cycle((SKY, BLUE)), strict=False):
        radius = material.radii[level][:, column]
        radius = np.where(np.isfinite(radius), radius, np.nan)
        low, high, label = middle - radius, middle + radius, f"{level} % interval"
        if len(middle) == 1:
            axes.vlines(times, low, high, color=colour, alpha=0.4, lw=7, label=label)
        else:
            axes.fill_between(times, low, high, color=colour, alpha=0.25, lw=0, label=label)
    thin = 0.6 if material.long else 1.0
    dots = "." if observed["y"].null_count() or material.horizon <= 3 else ""
    name = f"{material.model} forecast"
    axes.plot(times, middle, color=BLUE, lw=1.8 * thin, marker="." if len(times) <= 3 else "", label=name)
    y = observed["y"].to_numpy()
    axes.plot(_times(observed), y, color=INK, lw=1.1 * thin, marker=dots, ms=3, label="observed")
    axes.axvline(times[0], color=INK, lw=0.8, ls=":")
    axes.set_title(panel.title, fontsize=9, loc="left", parse_math=False)
    axes.margins(x=0.01)
    if len(observed) == 1:
        axes.set_xlim(begin - timedelta(hours=12), begin + timedelta(hours=12))
    locator = AutoDateLocator(minticks=2, maxticks=5)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    # One month for all days, as matplotlib would write it beside the axis, is wrong of those of the month before.
    formats = ["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%S"]
    starts = ["", "%Y", "%b", "%d %b", "%H:%M", "%H:%M"]
    written = ConciseDateFormatter(locator, formats=formats, zero_formats=starts, show_offset=False)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(written)
    axes.tick_params(labelsize=8)
    years = [num2date(end).year for end in axes.get_xlim()]  # type: ignore[no-untyped-call]
    axes.set_xlabel("–".join(str(year) for year in dict.fromkeys(years)), fontsize=8, loc="right", labelpad=1)


def _label_steps(axes: Axes, material: Material, ylabel: str, lines: int) -> None:
    axes.set(xlabel=f"steps ahead, {material.metrics['data']['step']} each", ylabel=ylabel)
    axes.set_xlim(0.5, material.horizon + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(axes, lines)


def _times(frame: pl.DataFrame) -> NDArray[Any]:
    return frame["ds"].to_numpy()


PICTURES = {
    "scores": _draw_scores,
    "error_by_step": _draw_by_step,
    "forecasts": _draw_spread,
    "worst": _draw_worst,
    "coverage": _draw_coverage,
    "learning": _draw_learning,
}
"""File name -> what draws it, in the order of the page; None where there is nothing to draw."""
