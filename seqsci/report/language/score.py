"""The pictures of scores: of records, or of variants."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from seqsci.report.drawing import BLUE, INK, RIVALS, legend_above, new_figure, shorten, whole_ticks
from seqsci.report.language.material import Material as Material
from seqsci.report.language.material import draw_scatter, edges

ACROSS, STRIPS = 90, 8
"""Columns of a strip of the map, and strips at most."""
CLASSES = 6
"""Labels or groups that are told apart."""

Floats = NDArray[np.float64]


def _draw_scores(material: Material) -> Figure:
    """How the scores are spread; by label or group where there are a few."""
    scored = material.summary["scored"]
    variants = material.summary["kind"] == "variants"
    values = material.table["log_ratio" if variants else "nats_per_token"].to_numpy()
    figure, (axes,) = new_figure(7, 3.2)
    borders, classes = edges([values], at_zero=variants), _classes(material.table)
    inside = np.clip(values, borders[0], borders[-1])
    if classes:
        column, names = classes[0], classes[1:]
        for name, colour in zip(names, (BLUE, *RIVALS, INK), strict=False):
            own = inside[(material.table[column] == name).fill_null(False).to_numpy()]
            weights = np.full(len(own), 1 / max(len(own), 1))
            called = f"{column} {name}" if column in ("label", "group") else name
            label = f"{shorten(called, 24)}: {len(own):,}"
            axes.hist(own, borders, weights=weights, histtype="step", lw=1.7, color=colour, label=label)
        legend_above(axes, 3)
        axes.set_ylabel(f"share of a {column}'s {'variants' if variants else 'records'}")
    else:
        axes.hist(inside, borders, color=BLUE)
        axes.set_ylabel("variants" if variants else "records")
        whole_ticks(axes.yaxis)
    if variants:
        axes.axvline(0, color=INK, lw=1)
        axes.set_xlabel(f"← less probable      {scored}, nats      more probable →")
    else:
        axes.set_xlabel(f"nats per {material.unit} (lower: more probable)")
    return figure


def _classes(table: pl.DataFrame) -> list[str]:
    """A column of a few classes, and these, the commonest first."""
    for column in ("kind", "split", "label", "group"):
        if column in table.columns and table[column].dtype == pl.String:
            counts = table[column].drop_nulls().value_counts(sort=True)
            if 2 <= len(counts) <= CLASSES:
                return [column, *counts[column].to_list()]
    return []


def _draw_lengths(material: Material) -> Figure | None:
    """Scores by length, which is what a likelihood depends on most."""
    if material.summary["kind"] == "variants" or material.table["tokens"].n_unique() < 2:
        return None
    figure, (axes,) = new_figure(7, 3.4)
    tokens, values = material.table["tokens"].to_numpy(), material.table["nats_per_token"].to_numpy()
    axes.plot(tokens, values, "o", ms=4 if len(values) < 2000 else 2, alpha=0.4, color=BLUE, mew=0)
    if tokens.max() > 20 * tokens.min():
        axes.set_xscale("log")
    context = material.summary["model"]["context"]
    if tokens.min() < context < tokens.max():
        axes.axvline(context, color=INK, lw=1, ls=":", label="longest row in training")
        legend_above(axes, 1)
    if axes.get_xscale() == "linear":
        whole_ticks(axes.xaxis)
    axes.set(xlabel="tokens of a record", ylabel=f"nats per {material.unit}")
    return figure


def _draw_effects(material: Material) -> Figure | None:
    """Places by letters of the record with most single substitutions; the reference has a dot."""
    if material.summary["kind"] != "variants":
        return None
    single = material.table.filter(
        (pl.col("positions").list.len() == 1)
        & (pl.col("reference").list.first().str.len_chars() == 1)
        & (pl.col("alternative").list.first().str.len_chars() == 1)
    )
    if len(single) < 3:
        return None
    record = single["record"].value_counts(sort=True)["record"][0]
    single = single.filter(pl.col("record") == record).with_columns(
        pl.col("positions").list.first(), pl.col("reference").list.first(), pl.col("alternative").list.first()
    )
    places = single["positions"].unique().sort().to_list()
    letters = sorted(set(single["reference"]) | set(single["alternative"]))
    columns = {place: i for i, place in enumerate(places)}
    lines = {letter: i for i, letter in enumerate(letters)}
    effects = np.full((len(letters), len(places)), np.nan)
    own = {
        columns[place]: lines[letter] for place, letter in zip(single["positions"], single["reference"], strict=True)
    }
    for row in single.iter_rows(named=True):
        effects[lines[row["alternative"]], columns[row["positions"]]] = row["log_ratio"]
    return _strips(material, effects, own, letters, places, record)


def _strips(
    material: Material, effects: Floats, own: dict[int, int], letters: list[str], places: list[int], record: str
) -> Figure:
    strips = min(STRIPS, -(-len(places) // ACROSS))
    across = -(-min(len(places), STRIPS * ACROSS) // strips)
    tall = 0.16 * max(len(letters), 4) + 0.55
    figure, panels = new_figure(min(12.5, max(5.5, 0.125 * across + 2)), tall * strips + 0.5, strips)
    most = float(np.nanquantile(np.abs(effects), 0.98)) or 1.0
    image = None
    for strip, axes in enumerate(panels):
        start, stop = strip * across, min((strip + 1) * across, len(places))
        part = np.full((len(letters), across), np.nan)
        part[:, : stop - start] = effects[:, start:stop]
        axes.set_facecolor("#eeeeee")
        image = axes.imshow(part, cmap="RdBu", vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
        known = [column for column in own if start <= column < stop]
        axes.plot([c - start for c in known], [own[c] for c in known], "o", color=INK, ms=2.2, mew=0)
        _name_places(axes, places[start:stop], letters)
    shown = "" if strips * across >= len(places) else f", the first {strips * across:,} of {len(places):,} places"
    panels[0].set_title(f"{shorten(record, 60)}{shown}", fontsize=10, loc="left", parse_math=False)
    # Two short lines, since the label of a few places is wider than their panel.
    panels[-1].set_xlabel(f"{material.unit}\n● what stands there; red: less, blue: more probable", fontsize=9)
    assert image is not None
    bar = figure.colorbar(image, ax=panels, extend="both", fraction=0.025, pad=0.01)
    bar.set_label("log_ratio, nats", fontsize=8)
    return figure


def _name_places(axes: Axes, places: list[int], letters: list[str]) -> None:
    every = max(1, len(places) // 12)
    ticks = list(range(0, len(places), every))
    axes.set_xticks(ticks, [f"{places[tick]}" for tick in ticks], fontsize=7)
    axes.set_yticks(range(len(letters)), letters, fontsize=6, fontfamily="monospace")
    axes.grid(False)
    axes.tick_params(length=2)


def _draw_measured(material: Material) -> Figure | None:
    """Scores against what was measured."""
    found = material.summary["measured"]
    if found is None:
        return None
    scored = material.summary["scored"]
    x = material.table[scored].to_numpy()
    y = material.table[found["column"]].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    if "apart" not in found:
        return draw_scatter(x, y, found, f"{scored}, nats", found["column"])
    kind = material.table["kind"] == "substitution"
    sides = {"substitutions": kind.to_numpy(), "insertions and deletions": (~kind).to_numpy()}
    figure, (axes,) = new_figure(6, 4.6)
    for (name, own), colour in zip(sides.items(), (BLUE, RIVALS[0]), strict=True):
        told = found["apart"][name]
        label = name if told["value"] is None else f"{name}: Spearman {told['value']:.3f}, {told['n']:,} pairs"
        axes.plot(x[own], y[own], "o", ms=4 if len(x) < 2000 else 2, color=colour, alpha=0.5, mew=0, label=label)
    legend_above(axes, 1)
    axes.set_xlabel(f"{scored}, nats", parse_math=False)
    axes.set_ylabel(found["column"], parse_math=False)
    return figure


PICTURES = {
    "scores": _draw_scores,
    "effects": _draw_effects,
    "measured": _draw_measured,
    "lengths": _draw_lengths,
}
"""File name -> what draws it."""
