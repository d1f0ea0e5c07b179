"""The pictures of generated sequences beside those of training."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from seqsci.report.drawing import BLUE, RIVALS, legend_above, new_figure, whole_ticks
from seqsci.report.language.material import Material as Material
from seqsci.report.language.material import draw_nats, draw_sides

PROPERTIES = {
    "qed": "QED, drug-likeness",
    "logp": "logP (Crippen)",
    "molecular_weight": "molecular weight, g/mol",
}
BASES = "ACGT"


def _draw_lengths(material: Material) -> Figure:
    sides = material.summary["beside"].get("lengths")
    figure, (axes,) = new_figure(7, 3.2)
    if sides is None:
        sides = {"generated": material.table["sequence"].str.len_chars().to_list()}
    draw_sides(axes, sides, "letters of a sequence")
    return figure


def _draw_properties(material: Material) -> Figure | None:
    """Of distinct valid molecules."""
    beside = material.summary["beside"]
    found = [name for name in PROPERTIES if beside.get(name, {}).get("generated")]
    if not found:
        return None
    figure, panels = new_figure(11, 3.3, columns=len(found))
    for axes, name in zip(panels, found, strict=True):
        draw_sides(axes, beside[name], PROPERTIES[name], "molecules")
    return figure


def _draw_molecules(material: Material) -> bytes | None:
    """Drawn where the molecules were generated, since a report knows no chemistry."""
    path = material.run.folder / "molecules.png"
    return path.read_bytes() if path.is_file() and material.summary["beside"].get("best") else None


def _draw_gc(material: Material) -> Figure | None:
    sides = material.summary["beside"].get("gc")
    if sides is None:
        return None
    figure, (axes,) = new_figure(7, 3.2)
    draw_sides(axes, sides, "share of G and C")
    return figure


def _draw_words(material: Material) -> Figure | None:
    """Shares of the 64 words of three bases."""
    spectra = material.summary["beside"].get("words")
    if spectra is None:
        return None
    names = [a + b + c for a in BASES for b in BASES for c in BASES]
    return _bars(spectra["generated"], spectra["training"], names, 12)


def _draw_residues(material: Material) -> Figure | None:
    shares = material.summary["beside"].get("residues")
    return None if shares is None else _bars(shares["generated"], shares["training"], shares["letters"], 7)


def _bars(generated: list[float], training: list[float], names: list[str], wide: float) -> Figure:
    figure, (axes,) = new_figure(wide, 3.2)
    places = np.arange(len(names))
    axes.bar(places - 0.2, generated, 0.4, color=BLUE, label="generated")
    axes.bar(places + 0.2, training, 0.4, color=RIVALS[0], label="training")
    axes.set_xticks(places, names, rotation=90 if len(names) > 30 else 0, fontfamily="monospace", fontsize=8)
    axes.set_ylabel("share")
    axes.margins(x=0.01)
    axes.grid(False, axis="x")
    legend_above(axes, 2)
    return figure


def _draw_identity(material: Material) -> Figure | None:
    """How near the nearest training sequence is."""
    found = material.summary["beside"].get("identity")
    if found is None:
        return None
    figure, (axes,) = new_figure(7, 3.2)
    axes.hist(found["generated"], [share / 40 for share in range(41)], color=BLUE)
    axes.set(xlabel="identity to the nearest training sequence", ylabel="generated sequences", xlim=(0, 1))
    whole_ticks(axes.yaxis)
    return figure


def _draw_likelihood(material: Material) -> Figure:
    return draw_nats(material, material.unit, "generated sequences")


PICTURES = {
    "molecules": _draw_molecules,
    "lengths": _draw_lengths,
    "properties": _draw_properties,
    "gc": _draw_gc,
    "words": _draw_words,
    "identity": _draw_identity,
    "residues": _draw_residues,
    "likelihood": _draw_likelihood,
}
"""File name -> what draws it."""
