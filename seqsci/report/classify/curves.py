"""Light curves with what the model made of them."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from seqsci.report.classify.material import Material, Sight
from seqsci.report.drawing import BLUE, INK, RIVALS, new_figure, shorten

BANDS = {
    "u": ("#CC79A7", "o"),
    "g": ("#0072B2", "^"),
    "r": ("#009E73", "v"),
    "i": ("#E69F00", "s"),
    "z": ("#D55E00", "D"),
    "y": ("#222222", "p"),
}
"""Passband -> its colour (Okabe and Ito's) and marker, the same in every report."""
FOR, AGAINST = BLUE, RIVALS[0]
COLUMNS = 2
NOISY = 3.0  # errors: in units of the usual one, and of the flux


def draw_mistakes(material: Material) -> Figure | None:
    """The surest wrong answers."""
    return _draw(material, material.sights(right=False))


def draw_right(material: Material) -> Figure | None:
    """The surest right answers of some classes."""
    return _draw(material, material.sights(right=True))


def _draw(material: Material, sights: list[Sight]) -> Figure | None:
    """Flux above, and below it, on the same axis of time, the class activation map where there is one."""
    if not sights:
        return None
    columns = min(COLUMNS, len(sights))
    depth = -(-len(sights) // columns)
    mapped = any(len(sight.states) for sight in sights)
    heights = (3, 1) if mapped else (3,)
    rows = depth * len(heights)
    height = 0.6 + depth * (3.1 if mapped else 2.4)
    figure, axes = new_figure(6.0 * columns, height, rows, columns, heights=heights * depth)
    for place in range(depth * columns):
        row, column = divmod(place, columns)
        panels = [axes[(row * len(heights) + part) * columns + column] for part in range(len(heights))]
        if place < len(sights):
            _draw_sight(panels, sights[place])
            if column == 0:
                panels[0].set_ylabel(f"flux, {material.flux_unit}", fontsize=9)
            if column == 0 and mapped:
                panels[1].set_ylabel("adds to logit", fontsize=8)
            if place + columns >= len(sights):
                panels[-1].set_xlabel("days since the first detection", fontsize=9)
        else:
            for panel in panels:
                panel.set_visible(False)
    bands = [name for name in BANDS if name in material.metrics["data"]["bands"]]
    handles = [Line2D([], [], color=BANDS[b][0], marker=BANDS[b][1], ls="", label=b) for b in bands]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), frameon=False, fontsize=10)
    return figure


def _draw_sight(panels: list[Axes], sight: Sight) -> None:
    top = panels[0]
    top.axhline(0, color=INK, lw=0.6)
    for band, (colour, marker) in BANDS.items():
        rows = sight.curve.filter(pl.col("band") == band)
        if sight.grid is not None:
            _draw_process(top, sight.grid.filter(pl.col("band") == band), colour)
        if len(rows):
            top.errorbar(
                rows["days"],
                rows["flux"],
                yerr=rows["flux_error"],
                fmt=marker,
                color=colour,
                ms=3.5,
                lw=0,
                elinewidth=0.7,
                alpha=0.85,
            )
    top.axvline(0, color=INK, lw=0.8, ls=":")
    top.set_title(shorten(sight.title, 84), fontsize=9, loc="left", parse_math=False)
    if sight.host is not None:
        top.set_title(f"host {sight.host:+.2f}", fontsize=8, loc="right", color="#555555")
    top.set_ylim(*_limits(sight))
    for panel in panels:
        panel.tick_params(labelsize=8)
        panel.margins(x=0.02)
    if len(panels) > 1:
        _draw_map(panels[1], sight)
        panels[1].sharex(top)
        top.tick_params(labelbottom=False)


def _draw_process(axes: Axes, grid: pl.DataFrame, colour: str) -> None:
    days, mean, std = (grid[name].to_numpy() for name in ("days", "mean", "std"))
    axes.plot(days, mean, color=colour, lw=1.0)
    axes.fill_between(days, mean - std, mean + std, color=colour, alpha=0.09, lw=0)


def _draw_map(axes: Axes, sight: Sight) -> None:
    days, adds, truth = (sight.states[name].to_numpy() for name in ("days", "activation", "truth"))
    axes.axhline(0, color=INK, lw=0.6)
    axes.vlines(days, 0, adds, color=np.where(adds >= 0, FOR, AGAINST).tolist(), lw=1.4)
    if (truth != adds).any():
        axes.plot(days, truth, ".", ms=2.5, color=INK)
    axes.yaxis.set_major_locator(MaxNLocator(3))


def _limits(sight: Sight) -> tuple[float, float]:
    """Of the fluxes with their errors, and of the process where it stays near them.

    A flux that is all noise, or an error as large as the picture, would hide everything else.
    """
    flux, error = sight.curve["flux"].to_numpy(), sight.curve["flux_error"].to_numpy()
    usual = NOISY * np.median(error) if len(error) else 0.0
    told = (error <= usual) | (np.abs(flux) > NOISY * error)
    flux, error = flux[told], np.minimum(error[told], usual)
    low, high = min(0.0, *(flux - error)), max(0.0, *(flux + error))
    room = (high - low) or 1.0
    if sight.grid is not None and len(sight.grid):
        mean = sight.grid["mean"].to_numpy()
        low, high = max(min(low, mean.min()), low - room / 2), min(max(high, mean.max()), high + room / 2)
    return low - 0.06 * room, high + 0.06 * room
