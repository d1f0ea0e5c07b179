"""What the pictures of all reports share: colours, axes, legends, files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seqsci.files import whole

# Okabe and Ito's colours, told apart by every kind of colour vision.
BLUE, SKY, INK = "#0072B2", "#56B4E9", "#222222"
RIVALS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00")
DASHES = ("--", "-.", ":", (0, (5, 1, 1, 1)))


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, sharey: Any = False
) -> tuple[Figure, list[Axes]]:
    """A figure (width and height in inches) and its axes, row by row, with a light grid."""
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, sharey=sharey, squeeze=False).flat)
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.grid(True, color="#dddddd", lw=0.6)
        each.set_axisbelow(True)
    return figure, axes


def save(figure: Figure, path: Path) -> None:
    """Write a picture, whole."""
    with whole(path) as temporary, warnings.catch_warnings():
        # Names in a script that the font lacks are drawn as boxes; the page itself spells them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(temporary, format="png")


def legend_above(axes: Axes, columns: int) -> None:
    """A legend above the axes, at the left."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False, fontsize=9, borderaxespad=0.2)
