"""report.html and its pictures, rebuilt from a run folder alone; the sentences of the command line."""

from __future__ import annotations

import base64
import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from seqsci.runs import Run, whole

Floats = NDArray[np.float64]
Metrics = dict[str, Any]

# Okabe and Ito's colours, told apart by every kind of colour vision.
BLUE, SKY, INK = "#0072B2", "#56B4E9", "#222222"
RIVALS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00")
DASHES = ("--", "-.", ":", (0, (5, 1, 1, 1)))
SERIES_DRAWN = 4
WINDOWS_DRAWN = 3
SERIES_LISTED = 20
LONG = 192  # steps of a horizon that needs the page's whole width


def verdicts(metrics: Metrics) -> list[str]:
    """One sentence for each baseline: better, worse, or no clear difference, with the 95 % interval.

    Numbers are mean squared errors in scaled units.
    """
    return [_verdict(metrics["model"], name, result) for name, result in metrics["baselines"].items()]


def score_table(metrics: Metrics) -> pl.DataFrame:
    """`method, mse, mae, difference, low, high`, the model first.

    `difference` is the model's MSE less the method's, with its 95 % interval; null in the model's own row.
    """
    rows = [(metrics["model"], metrics["test"]["mse"], metrics["test"]["mae"], None, None, None)]
    for name, result in metrics["baselines"].items():
        low, high = result["difference_interval"]
        rows.append((name, result["mse"], result["mae"], result["difference"], low, high))
    numbers = ("mse", "mae", "difference", "low", "high")
    schema = {"method": pl.String, **dict.fromkeys(numbers, pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def build_report(run: Run) -> Path:
    """Draw the pictures and write report.html of a complete run; the page holds the pictures as well.

    Raises:
        SeqsciError: the run has not ended, or a file of it is damaged.
    """
    material = Material(run, run.read_json("metrics.json"))
    draw = {
        "scores": _draw_scores,
        "error_by_step": _draw_by_step,
        "forecasts": _draw_spread,
        "worst": _draw_worst,
        "coverage": _draw_coverage,
        "learning": _draw_learning,
    }
    pictures = {}
    for name, function in draw.items():
        path = run.folder / f"{name}.png"
        figure = function(material)
        if figure is None:
            path.unlink(missing_ok=True)
        else:
            _save(figure, path)
            pictures[name] = base64.b64encode(path.read_bytes()).decode()
    home = FileSystemLoader(Path(__file__).parent)
    pages = Environment(loader=home, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters.update(figures=_figure_text, interval=_interval_text)
    page = pages.get_template("report.html.j2").render(
        run=material,
        pictures=pictures,
        metrics=material.metrics,
        data=material.metrics["data"],
        verdicts=verdicts(material.metrics),
        scores=score_table(material.metrics).to_dicts(),
        series=_series_rows(material),
        span=[_time_text(moment) for moment in material.span[:2]],
        recipe=(run.folder / "recipe.yaml").read_text(encoding="utf-8"),
    )
    run.write("report.html", page)
    return run.folder / "report.html"


class Material:
    """The files of one run, read when they are needed; predictions stay on disk."""

    def __init__(self, run: Run, metrics: Metrics) -> None:
        self.run = run
        self.metrics = metrics
        self.recipe = run.recipe
        self.model: str = metrics["model"]
        self.targets: list[str] = metrics["data"]["targets"]
        self.horizon = self.recipe.data.horizon
        self.long = self.horizon > LONG
        self.past = min(self.recipe.data.context, max(self.horizon // 2 if self.long else 2 * self.horizon, 48))
        self.rows = pl.scan_parquet(run.folder / "predictions.parquet")
        tensors, facts = run.load_weights()
        frame = facts["frame"]
        scale = dict(zip(frame["channels"], frame["scale"], strict=True))
        self.scale: Floats = np.array([scale[name] for name in self.targets])
        self.radii: dict[int, Floats] = {
            int(name.removeprefix("conformal.")): tensor.double().numpy() * self.scale
            for name, tensor in sorted(tensors.items())
            if name.startswith("conformal.")
        }

    @property
    def endless(self) -> list[int]:
        """Levels for which validation had too few windows: some of their intervals are infinite."""
        return [level for level, radius in self.radii.items() if not np.isfinite(radius).all()]

    @cached_property
    def drawn(self) -> list[str]:
        """A few series, evenly spread over the file's order: the first and the last are among them."""
        places = np.linspace(0, len(self.targets) - 1, min(SERIES_DRAWN, len(self.targets)))
        return [self.targets[i] for i in dict.fromkeys(places.round().astype(int).tolist())]

    @cached_property
    def span(self) -> tuple[Any, Any, int]:
        """First and last time of the test split's forecasts, and the number of windows."""
        ds, window = pl.col("ds"), pl.col("window")
        found = self.rows.select(ds.min().alias("first"), ds.max().alias("last"), window.max() + 1).collect()
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
        return joined.group_by("step").agg(inside).sort("step").collect()

    def forecasts(self, windows: Iterable[int], series: Iterable[str]) -> pl.DataFrame:
        """The predictions of a few windows and series."""
        chosen = pl.col("window").is_in(list(windows)) & pl.col("unique_id").is_in(list(series))
        return self.rows.filter(chosen).sort("window", "unique_id", "step").collect()

    def truth(self, series: Iterable[str]) -> pl.DataFrame:
        """`unique_id, ds, y` over the test split: the first step of each window, and all of the last."""
        once = (pl.col("step") == 1) | (pl.col("window") == self.span[2] - 1)
        chosen = self.rows.filter(once & pl.col("unique_id").is_in(list(series)))
        return chosen.select("unique_id", "ds", "y").unique(["unique_id", "ds"]).sort("ds").collect()

    def _errors(self, rows: pl.LazyFrame, *by: str) -> pl.DataFrame:
        scale = pl.LazyFrame({"unique_id": self.targets, "scale": self.scale})
        error = (((pl.col("y") - pl.col("yhat")) / pl.col("scale")) ** 2).mean().alias("error")
        return rows.drop_nulls("y").join(scale, on="unique_id").group_by(by).agg(error).collect()


@dataclass(frozen=True)
class Panel:
    """One forecast to draw: a window, a series, and what stands above it."""

    window: int
    series: str
    title: str


def _draw_scores(material: Material) -> Figure:
    metrics = material.metrics
    names = [material.model, *metrics["baselines"]]
    colours = [BLUE, *(RIVALS[i % len(RIVALS)] for i in range(len(names) - 1))]
    rows = np.arange(len(names))
    figure, (left, right) = _figure(10, 1.3 + 0.45 * len(names), columns=2, sharey=True)
    mse = _array([metrics["test"]["mse"], *(result["mse"] for result in metrics["baselines"].values())])
    left.barh(rows, mse, color=colours, height=0.62)
    own = _array(metrics["test"]["interval"])
    left.errorbar(mse[:1], rows[:1], xerr=np.abs(own - mse[0])[:, None], color=INK, capsize=4, lw=1.5)
    for row, value in enumerate(mse):
        edge = np.fmax(value, own[1]) if row == 0 else value
        if np.isfinite(edge):
            left.annotate(f"{value:.3f}", (edge, row), (4, 0), textcoords="offset points", va="center", fontsize=9)
    left.set(yticks=rows, xlabel="mean squared error, scaled units")
    left.set_yticklabels(names, parse_math=False)
    left.margins(x=0.16)
    left.invert_yaxis()
    right.axvline(0, color=INK, lw=1)
    for row, result in enumerate(metrics["baselines"].values(), start=1):
        low, high = _array(result["difference_interval"])
        right.plot([low, high], [row, row], color=colours[row], lw=3, solid_capstyle="butt")
        right.plot(_array([result["difference"]]), [row], "o", color=colours[row], ms=7)
    right.set_xlabel(f"← {material.model} better      {material.model} worse →")
    right.tick_params(axis="y", length=0)
    right.margins(x=0.12)
    left.grid(False, axis="y")
    return figure


def _draw_by_step(material: Material) -> Figure:
    figure, (axes,) = _figure(9, 3.6)
    methods = material.metrics["by_step"]
    steps = np.arange(1, material.horizon + 1)
    marker = "o" if material.horizon <= 30 else ""
    for place, (name, errors) in enumerate(methods.items()):
        own = name == material.model
        colour = BLUE if own else RIVALS[(place - 1) % len(RIVALS)]
        dashes = "-" if own else DASHES[(place - 1) % len(DASHES)]
        width = 2.2 if own else 1.5
        axes.plot(steps, _array(errors), color=colour, ls=dashes, lw=width, marker=marker, ms=3, label=name)
    axes.set_ylim(bottom=0)
    _label_steps(axes, material, "mean squared error, scaled", len(methods))
    return figure


def _draw_learning(material: Material) -> Figure | None:
    history = material.run.history()
    if not history:
        return None
    figure, (axes,) = _figure(7, 3.2)
    epochs = [record["epoch"] for record in history]
    for key, name, colour in (("train_loss", "training", RIVALS[0]), ("val_loss", "validation", BLUE)):
        axes.plot(epochs, _array([r.get(key) for r in history]), "o-", ms=4, color=colour, label=name)
    best = material.metrics["val"]["best_epoch"]
    axes.axvline(best, color=INK, lw=1, ls=":", label=f"best: epoch {best}")
    axes.set(xlabel="epoch", ylabel=f"{material.recipe.train.loss.upper()}, scaled")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend_above(axes, 3)
    return figure


def _draw_coverage(material: Material) -> Figure | None:
    if not material.radii:
        return None
    figure, (axes,) = _figure(9, 3.2)
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
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %"))
    _label_steps(axes, material, "share inside", len(material.radii))
    return figure


def _draw_spread(material: Material) -> Figure | None:
    """One series a row, windows evenly spread; the first has its past inside the split."""
    last = material.span[2] - 1
    places = np.linspace(min(material.past, last // 2), last, WINDOWS_DRAWN).round().astype(int)
    windows = list(dict.fromkeys(places.tolist()))
    panels = [[Panel(window, name, _short(name, 34)) for window in windows] for name in material.drawn]
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
        columns.append([Panel(window, name, title.format(_short(name, 22), error)) for name, error in pairs])
    depth = min((len(column) for column in columns), default=0)
    panels = columns if material.long else [[column[row] for column in columns] for row in range(depth)]
    return _draw_panels(material, panels, share=False)


def _draw_panels(material: Material, panels: list[list[Panel]], *, share: bool) -> Figure | None:
    if not panels:
        return None
    rows, columns = len(panels), len(panels[0])
    width = 11 if material.long else max(6.5, 3.9 * columns)
    figure, axes = _figure(width, 0.5 + 2.15 * rows, rows, columns, sharey="row" if share else False)
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
    locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.tick_params(labelsize=8)
    axes.xaxis.get_offset_text().set_fontsize(8)


def _figure(
    width: float, height: float, rows: int = 1, columns: int = 1, sharey: Any = False
) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, sharey=sharey, squeeze=False).flat)
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.grid(True, color="#dddddd", lw=0.6)
        each.set_axisbelow(True)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    with whole(path) as temporary, warnings.catch_warnings():
        # Names in a script that the font lacks are drawn as boxes; the page itself spells them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(temporary, format="png")


def _legend_above(axes: Axes, columns: int) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False, fontsize=9, borderaxespad=0.2)


def _series_rows(material: Material) -> list[dict[str, Any]]:
    """Errors by series in the file's order; of many, those whose error is largest beside their scale."""
    units = material.metrics["units"]
    relative = _array([units[name]["mae"] for name in material.targets]) / material.scale
    order = np.arange(len(relative))
    if len(order) > SERIES_LISTED:
        order = np.argsort(-np.nan_to_num(relative, nan=-1.0), kind="stable")[:SERIES_LISTED]
    return [{"name": material.targets[i], **units[material.targets[i]]} for i in order]


def _verdict(model: str, name: str, result: dict[str, Any]) -> str:
    gap, (low, high) = result["difference"], result["difference_interval"]
    if gap is None or low is None or high is None:
        return f"{model} and {name} cannot be compared: no test value was observed"
    if low <= 0 <= high:
        digits = _digits(high - low)
        low_to_high = f"[{low:+.{digits}f}, {high:+.{digits}f}]"
        return f"no clear difference between {model} and {name}: {gap:+.{digits}f} {low_to_high}"
    word = "worse" if low > 0 else "better"
    near, far = sorted((abs(low), abs(high)))
    digits = _digits(min(far - near, near))
    return f"{model} is {word} than {name} by {abs(gap):.{digits}f} [{near:.{digits}f}, {far:.{digits}f}]"


def _digits(size: float) -> int:
    """Decimals at which a number of that size is still seen, from 2 to 6."""
    return min(6, max(2, -math.floor(math.log10(size) + 1e-9))) if size > 0 else 2


def _figure_text(value: float | None, figures: int = 4) -> str:
    """A number with so many significant figures, never in powers of ten."""
    if value is None or not math.isfinite(value):
        return "–"
    size = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(9, max(0, figures - 1 - size))}f}"


def _interval_text(row: dict[str, Any]) -> str:
    if row["difference"] is None or row["low"] is None or row["high"] is None:
        return ""
    return f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"


def _label_steps(axes: Axes, material: Material, ylabel: str, lines: int) -> None:
    axes.set(xlabel=f"steps ahead, {material.metrics['data']['step']} each", ylabel=ylabel)
    axes.set_xlim(0.5, material.horizon + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend_above(axes, lines)


def _time_text(moment: Any) -> str:
    text = f"{moment:%Y-%m-%d %H:%M:%S}"
    return text.removesuffix(":00").removesuffix(" 00:00")


def _times(frame: pl.DataFrame) -> NDArray[Any]:
    return frame["ds"].to_numpy()


def _array(values: Iterable[float | None]) -> Floats:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _short(name: str, length: int) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"
