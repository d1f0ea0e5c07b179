"""The pictures of embeddings: a map of the two directions in which they differ most."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from numpy.typing import NDArray

from seqsci.report.drawing import BLUE, PERCENT, RIVALS, SKY, legend_above, new_figure, shorten, whole_ticks
from seqsci.report.language.material import Material as Rows
from seqsci.report.tables import damage_told

DRAWN = 10000
"""Vectors of the map at most."""
CLASSES = 7
COMPONENTS = 20
COLOURS = (BLUE, *RIVALS, SKY, "#999999", "#222222")

Floats = NDArray[np.float64]


class Material(Rows):
    """A table of vectors, some of them where there are too many."""

    @cached_property
    def some(self) -> pl.DataFrame:
        """At most `DRAWN` rows, evenly through the table."""
        with damage_told(self.run, "embeddings"):
            rows = int(self.lazy.select(pl.len()).collect().item())
            return self.lazy.gather_every(-(-rows // DRAWN)).collect()

    @cached_property
    def found(self) -> tuple[Floats, Floats]:
        """(R, 2) places on the map, and the share of the variance of each principal component."""
        from sklearn.decomposition import PCA

        vectors = self.some["vector"].to_numpy().astype(np.float64)
        components = min(COMPONENTS, *vectors.shape)
        if len(vectors) < 3 or components < 2 or not np.ptp(vectors, axis=0).any():
            return np.zeros((len(vectors), 2)), np.zeros(0)
        pca = PCA(components, random_state=0)
        places = pca.fit_transform(vectors)
        return places[:, :2], pca.explained_variance_ratio_


def _draw_map(material: Material) -> Figure | None:
    places, shares = material.found
    if not len(shares):
        return None
    figure, (axes,) = new_figure(8, 6)
    size = 16 if len(places) < 2000 else 5
    column, values = _colours(material.some)
    if values is None:
        axes.scatter(places[:, 0], places[:, 1], s=size, color=BLUE, alpha=0.6, lw=0)
    elif values.dtype == pl.String:
        names = values.drop_nulls().value_counts(sort=True)[values.name].to_list()
        for name, colour in zip(names, COLOURS, strict=False):
            own = places[(values == name).fill_null(False).to_numpy()]
            label = f"{shorten(name, 24)}, {len(own):,}"
            axes.scatter(own[:, 0], own[:, 1], s=size, color=colour, alpha=0.65, lw=0, label=label)
        legend_above(axes, 3)
    else:
        colours = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        drawn = axes.scatter(places[:, 0], places[:, 1], s=size, c=colours, cmap="viridis", alpha=0.75, lw=0)
        figure.colorbar(drawn, ax=axes, fraction=0.04, pad=0.02).set_label(column)
    axes.set(xlabel=f"component 1, {shares[0]:.1%} of the variance", ylabel=f"component 2, {shares[1]:.1%}")
    return figure


def _colours(table: pl.DataFrame) -> tuple[str, pl.Series | None]:
    """What the points are coloured by: label, letter, group, share of G and C, or length."""
    for column in ("label", "letter", "group", "gc", "length"):
        if column not in table.columns or table[column].drop_nulls().n_unique() < 2:
            continue
        values = table[column]
        if values.dtype != pl.String or values.drop_nulls().n_unique() <= CLASSES:
            return {"gc": "share of G and C", "length": "letters"}.get(column, column), values
        if column in ("label", "letter"):
            kept = values.value_counts(sort=True)[column].head(CLASSES - 1)
            others = pl.when(values.is_in(kept.implode())).then(values).otherwise(pl.lit("others")).alias(column)
            return column, table.select(others)[column]
    return "", None


def _draw_components(material: Material) -> Figure | None:
    """How many directions the vectors differ in."""
    _, shares = material.found
    if not len(shares):
        return None
    figure, (axes,) = new_figure(7, 2.8)
    numbers = np.arange(1, len(shares) + 1)
    axes.bar(numbers, shares, color=SKY)
    axes.plot(numbers, shares.cumsum(), "o-", ms=3, color=BLUE, label="up to this one")
    axes.set(xlabel="principal component", ylabel="share of the variance", ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PERCENT)
    whole_ticks(axes.xaxis)
    legend_above(axes, 1)
    return figure


PICTURES: dict[str, Any] = {"map": _draw_map, "components": _draw_components}
"""File name -> what draws it."""
