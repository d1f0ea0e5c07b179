"""The pictures of filled gaps: which residues stand at each place, and how likely the candidates are."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from seqsci.report.drawing import new_figure
from seqsci.report.language.material import Material as Material
from seqsci.report.language.material import draw_nats

PLACES = 80
"""Of a gap, that are drawn at most."""


def _draw_places(material: Material) -> Figure | None:
    """Shares of the letters at each place of the first gap, among candidates of its commonest length."""
    texts = material.table["gap_1"]
    lengths = texts.str.len_chars()
    usual = int(lengths.value_counts(sort=True).sort("count", "gap_1", descending=[True, False])["gap_1"][0])
    some = texts.filter(lengths == usual).to_list()
    if len(some) < 2:
        return None
    codes = np.array([list(text[:PLACES]) for text in some])
    letters = sorted(set(codes.ravel()))
    shares = np.array([(codes == letter).mean(0) for letter in letters])
    figure, (axes,) = new_figure(min(12.0, 3 + 0.28 * codes.shape[1]), 1.2 + 0.19 * max(len(letters), 6))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=max(1e-9, float(shares.max())), aspect="auto")
    every = max(1, codes.shape[1] // 20)
    places = list(range(0, codes.shape[1], every))
    axes.set_xticks(places, [f"{place + 1}" for place in places], fontsize=8)
    axes.set_yticks(range(len(letters)), letters, fontsize=8, fontfamily="monospace")
    axes.grid(False)
    axes.set_title(f"{len(some):,} candidates of {usual:,} residues", fontsize=10, loc="left")
    axes.set_xlabel("place in the first gap")
    figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02).set_label("share", fontsize=8)
    return figure


def _draw_likelihood(material: Material) -> Figure:
    return draw_nats(material, "token of the gaps", "candidates")


PICTURES = {"places": _draw_places, "likelihood": _draw_likelihood}
"""File name -> what draws it."""
