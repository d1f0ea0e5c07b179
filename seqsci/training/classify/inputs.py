"""Light curves by a recipe's data block, and the sequences that go into the model."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqsci.data.batch import Sequences
from seqsci.data.download import cache_folder
from seqsci.domains import photometry
from seqsci.domains.photometry import LightCurves
from seqsci.domains.photometry.features import HOST, features
from seqsci.domains.photometry.sequences import interpolated, observed
from seqsci.recipe import ClassifyData

Floats = NDArray[np.float64]
SECONDS = 10.0
"""Between two lines of progress while Gaussian processes are fitted."""


def load(
    data: ClassifyData, source: Any = None, *, objects: Any = None, open_set: bool = False
) -> tuple[LightCurves, dict[str, Any]]:
    """Read what the recipe names, or a card, paths or frames in its place, by the recipe's reading options."""
    if isinstance(source, tuple):
        source, objects = source
    elif source is None:
        source, objects = data.name, data.objects
    elif objects is None:
        objects = data.objects
    return photometry.load(
        source,
        objects,
        label=data.label,
        columns=data.columns or None,
        band=data.band,
        zeropoint=data.zeropoint,
        mw_corrected=data.mw_corrected,
        difference=data.difference,
        parts=data.parts,
        count=data.count,
        open_set=open_set,
        minimum=data.minimum,
    )


def inputs(curves: LightCurves, data: ClassifyData, bands: tuple[str, ...] | None = None) -> Sequences:
    """The sequences that a recipe asks for; `bands` of the grid, by default those of the curves."""
    found = _steps(curves, data, bands)
    if not data.features:
        return found
    names, table = feature_table(curves, data)
    assert found.static is not None
    static = np.concatenate([found.static, table], 1)
    return replace(found, static=static, static_names=(*found.static_names, *names))


def feature_table(curves: LightCurves, data: ClassifyData) -> tuple[list[str], Floats]:
    """Names and values (S, F) of the measures of whole light curves, NaN where not defined."""
    found = features(curves).drop("object_id")
    found = found if data.redshift else found.drop(name for name in HOST if name in found.columns)
    return found.columns, found.to_numpy()


def _steps(curves: LightCurves, data: ClassifyData, bands: tuple[str, ...] | None) -> Sequences:
    """The observations, or the points of the Gaussian processes."""
    if data.input == "direct":
        return observed(curves, margin=data.margin, most=data.context, redshift=data.redshift, survey=data.survey)
    from seqsci.domains.photometry.gp import GPSettings
    from seqsci.domains.photometry.gp_cache import cached

    settings = GPSettings(survey=data.survey, bands=bands or curves.bands, steps=data.steps, margin=data.margin)
    grid = cached(curves, settings, cache_folder() / "gp", _Tell())
    return interpolated(curves, grid, margin=data.margin, deviation=data.deviation, compressed=data.flux == "arsinh")


class _Tell:
    """A line now and then while many Gaussian processes are fitted; nothing where it is quickly done."""

    def __init__(self) -> None:
        self.spoke = time.monotonic()

    def __call__(self, done: int, count: int) -> None:
        """So many objects of all are fitted."""
        if time.monotonic() - self.spoke > SECONDS:
            self.spoke = time.monotonic()
            print(f"Gaussian processes: {done} of {count} objects fitted", file=sys.stderr, flush=True)
