"""The files of a run folder, as the page and its pictures read them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.recipe import ClassifyRecipe, as_kind
from seqsci.report.drawing import shorten
from seqsci.report.probabilities import NAME
from seqsci.report.tables import read_table, table_path
from seqsci.runs import Run

Floats = NDArray[np.float64]
Metrics = dict[str, Any]
UNITS = {27.5: "FLUXCAL", 31.4: "nJy"}
"""Zero point -> what a flux with it is called."""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """One object to draw, in the days since its first detection.

    `curve`: `days, band, flux, flux_error`, only what is near its detections; `states`: `days, activation`; `host`:
    what the static features add, None where nothing is known of the states; `grid`: `days, band, mean, std` or None.
    """

    title: str
    curve: pl.DataFrame
    states: pl.DataFrame
    host: float | None
    grid: pl.DataFrame | None


class Material:
    """The files of one run, read when they are needed.

    Raises:
        SeqsciError: one of them is absent.
    """

    def __init__(self, run: Run, metrics: Metrics) -> None:
        self.run = run
        self.metrics = metrics
        self.recipe = as_kind(run.recipe, ClassifyRecipe)
        self.model: str = metrics["model"]
        self.labels: list[str] = list(metrics["classes"])
        for name in ("predictions", "drawn", "curves", "states", *(["grid"] if self.recipe.data.input == "gp" else [])):
            table_path(run, name)  # what is absent is said before anything is drawn
        self.names: dict[str, str] = {label: facts["name"] for label, facts in metrics["classes"].items()}
        """Label -> what the class is called."""

    @property
    def sizes(self) -> dict[str, int]:
        """Label -> objects of the test split."""
        return {label: facts["test"] for label, facts in self.metrics["classes"].items()}

    @property
    def rivals(self) -> dict[str, Metrics]:
        """The baselines' results."""
        found: dict[str, Metrics] = self.metrics["baselines"]
        return found

    @property
    def flux_unit(self) -> str:
        """What the fluxes are measured in."""
        zeropoint = self.metrics["data"]["units"]["zeropoint"]
        return UNITS.get(zeropoint, f"zero point {zeropoint:g}")

    @cached_property
    def predictions(self) -> tuple[Floats, NDArray[np.int64]]:
        """(N, K) probabilities of the test objects and (N,) codes of their classes."""
        table = read_table(self.run, "predictions", ["label", *(f"p_{label}" for label in self.labels)])
        codes = {label: code for code, label in enumerate(self.labels)}
        truth = table["label"].replace_strict(codes, return_dtype=pl.Int64).to_numpy()
        return table.drop("label").to_numpy().astype(np.float64), truth

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """(K, K) objects: row the true class, column the predicted one."""
        p, truth = self.predictions
        size = len(self.labels)
        return np.bincount(truth * size + p.argmax(1), minlength=size * size).reshape(size, size)

    def sights(self, *, right: bool) -> list[Sight]:
        """The drawn objects that were classified rightly, or those that were not, the surest first."""
        columns = ["object_id", "label", "predicted", "probability", "right"]
        table = read_table(self.run, "drawn", columns).filter(pl.col("right") == right)
        return [self._sight(row) for row in table.sort("probability", descending=True).iter_rows(named=True)]

    def _sight(self, row: dict[str, Any]) -> Sight:
        own = pl.col("object_id") == row["object_id"]
        curve = self._near(self._curves.filter(own))
        states = self._states.filter(own).drop_nulls("activation")
        host = states.filter(pl.col("days").is_null())["activation"]
        grid = None if self._grid is None else self._grid.filter(own)
        steps = states.drop_nulls("days").sort("days")
        true, guess = (shorten(self.names[row[key]], NAME) for key in ("label", "predicted"))
        said = true if row["right"] else f"{true} taken for {guess}"
        return Sight(
            title=f"{said}, p {row['probability']:.2f}, object {row['object_id']}",
            curve=curve,
            states=steps,
            host=host[0] if len(host) else None,
            grid=grid,
        )

    def _near(self, curve: pl.DataFrame) -> pl.DataFrame:
        """What the model may look at: `data.margin` days around the detections."""
        seen = pl.col("detected").fill_null(pl.col("flux") > 5 * pl.col("flux_error"))
        last, margin = curve.filter(seen)["days"].max(), self.recipe.data.margin
        if isinstance(last, float):
            curve = curve.filter((pl.col("days") > -margin) & (pl.col("days") < last + margin))
        return curve.drop("detected")

    @cached_property
    def _curves(self) -> pl.DataFrame:
        columns = ["object_id", "days", "band", "flux", "flux_error", "detected"]
        return read_table(self.run, "curves", columns)

    @cached_property
    def _states(self) -> pl.DataFrame:
        return read_table(self.run, "states", ["object_id", "days", "activation", "truth"])

    @cached_property
    def _grid(self) -> pl.DataFrame | None:
        if self.recipe.data.input != "gp":
            return None
        return read_table(self.run, "grid", ["object_id", "days", "band", "mean", "std"])
