"""The files of a run folder, as the page and its pictures read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.recipe import ForecastRecipe, as_kind
from seqsci.report.tables import damage_told, table_path
from seqsci.runs import Run

Floats = NDArray[np.float64]
Metrics = dict[str, Any]

SERIES_DRAWN = 4
WINDOWS_DRAWN = 3
LONG = 192  # steps of a horizon that needs the page's whole width


class Material:
    """The files of one run, read when they are needed; predictions stay on disk."""

    def __init__(self, run: Run, metrics: Metrics) -> None:
        self.run = run
        self.metrics = metrics
        self.recipe = as_kind(run.recipe, ForecastRecipe)
        self.model: str = metrics["model"]
        self.targets: list[str] = metrics["data"]["targets"]
        self.horizon = self.recipe.data.horizon
        self.long = self.horizon > LONG
        self.past = min(self.recipe.data.context, max(self.horizon // 2 if self.long else 2 * self.horizon, 48))
        self.rows, self.clock = self._scan()
        tensors, facts = run.load_weights()
        frame = facts["frame"]
        scale = dict(zip(frame["channels"], frame["scale"], strict=True))
        self.scale: Floats = np.array([scale[name] for name in self.targets])
        self.radii: dict[int, Floats] = {
            int(name.removeprefix("conformal.")): tensor.double().numpy() * self.scale
            for name, tensor in sorted(tensors.items())
            if name.startswith("conformal.")
        }

    def _scan(self) -> tuple[pl.LazyFrame, str]:
        """The predictions, and what stands behind their times: those with a zone are shown in UTC."""
        path = table_path(self.run, "predictions")
        with damage_told(self.run, "predictions"):
            rows = pl.scan_parquet(path)
            kind = rows.collect_schema()["ds"]
        if getattr(kind, "time_zone", None) is None:
            return rows, ""
        return rows.with_columns(pl.col("ds").dt.convert_time_zone("UTC").dt.replace_time_zone(None)), " UTC"

    def _collect(self, rows: pl.LazyFrame) -> pl.DataFrame:
        with damage_told(self.run, "predictions"):
            return rows.collect()

    @cached_property
    def drawn(self) -> list[str]:
        """A few series, evenly spread over the file's order: the first and the last are among them."""
        places = np.linspace(0, len(self.targets) - 1, min(SERIES_DRAWN, len(self.targets)))
        return [self.targets[i] for i in dict.fromkeys(places.round().astype(int).tolist())]

    @cached_property
    def span(self) -> tuple[Any, Any, int]:
        """First and last time of the test split's forecasts, and the number of windows."""
        ds, window = pl.col("ds"), pl.col("window")
        found = self._collect(self.rows.select(ds.min().alias("first"), ds.max().alias("last"), window.max() + 1))
        first, last, count = found.row(0)
        return first, last, int(count)

    @cached_property
    def worst(self) -> list[int]:
        """The windows with the largest mean squared error in scaled units, at least a horizon apart."""
        found: list[int] = []
        errors = self._errors(self.rows, "window").sort("error", "window", descending=[True, False])
        for window in errors["window"]:
            if all(abs(window - other) >= self.horizon for other in found):
                found.append(window)
            if len(found) == WINDOWS_DRAWN:
                break
        return found

    def errors_by_series(self, windows: Sequence[int]) -> pl.DataFrame:
        """`window, unique_id, error` of a few windows, the largest error first."""
        few = self.rows.filter(pl.col("window").is_in(list(windows)))
        return self._errors(few, "window", "unique_id").sort("error", "unique_id", descending=[True, False])

    def coverage_by_step(self, level: int) -> pl.DataFrame:
        """`step, share` of the observed values that lie within the interval."""
        radius = pl.LazyFrame(
            {
                "unique_id": np.tile(self.targets, self.horizon).tolist(),
                "step": np.repeat(np.arange(1, self.horizon + 1, dtype=np.int16), len(self.targets)),
                "radius": self.radii[level].reshape(-1),
            },
        )
        inside = ((pl.col("y") - pl.col("yhat")).abs() <= pl.col("radius")).mean().alias("share")
        joined = self.rows.drop_nulls("y").join(radius, on=["unique_id", "step"])
        return self._collect(joined.group_by("step").agg(inside).sort("step"))

    def forecasts(self, windows: Iterable[int], series: Iterable[str]) -> pl.DataFrame:
        """The predictions of a few windows and series."""
        chosen = pl.col("window").is_in(list(windows)) & pl.col("unique_id").is_in(list(series))
        return self._collect(self.rows.filter(chosen).sort("window", "unique_id", "step"))

    def truth(self, series: Iterable[str]) -> pl.DataFrame:
        """`unique_id, ds, y` over the test split: the first step of each window, and all of the last."""
        once = (pl.col("step") == 1) | (pl.col("window") == self.span[2] - 1)
        chosen = self.rows.filter(once & pl.col("unique_id").is_in(list(series)))
        return self._collect(chosen.select("unique_id", "ds", "y").unique(["unique_id", "ds"]).sort("ds"))

    def _errors(self, rows: pl.LazyFrame, *by: str) -> pl.DataFrame:
        scale = pl.LazyFrame({"unique_id": self.targets, "scale": self.scale})
        error = (((pl.col("y") - pl.col("yhat")) / pl.col("scale")) ** 2).mean().alias("error")
        return self._collect(rows.drop_nulls("y").join(scale, on="unique_id").group_by(by).agg(error))


def time_text(moment: Any) -> str:
    """A time without the zeros that it ends in."""
    text = f"{moment:%Y-%m-%d %H:%M:%S}"
    return text.removesuffix(":00").removesuffix(" 00:00")
