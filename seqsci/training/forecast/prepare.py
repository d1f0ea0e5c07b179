"""From a recipe's data block to scaled windows, and from a network's output back to the file's units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchdata.stateful_dataloader import StatefulDataLoader

from seqsci.data import splits as split_rules
from seqsci.data.batch import Batch, Sequences, Shape
from seqsci.data.loaders import loader
from seqsci.data.splits import Splits
from seqsci.data.windows import Table, Windows, fill_gaps, last_window, require_windows
from seqsci.domains import electricity
from seqsci.errors import SeqsciError, nearest
from seqsci.models.baselines import Span
from seqsci.recipe import ForecastData, ForecastRecipe
from seqsci.recipe.trees import plain
from seqsci.tasks.forecast import ForecastTask

Floats = NDArray[np.float64]

FARTHEST = 1e15
"""Largest scaled value: the network and its loss are computed in single precision."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What a trained model must remember of its data to read new files: stored beside the weights.

    `channels` are read and `targets` forecast; `zone` is that of the times, "" for none; `mean (C,)` and `scale (C,)`
    are those of the training rows.
    """

    channels: tuple[str, ...]
    targets: tuple[str, ...]
    covariates: tuple[str, ...]
    step: str
    zone: str
    season: int
    mean: Floats
    scale: Floats
    known_mean: Floats
    known_scale: Floats

    @property
    def output_index(self) -> tuple[int, ...]:
        """Positions of the targets among the channels."""
        return tuple(self.channels.index(name) for name in self.targets)

    def table(self, sequences: Sequences) -> Table:
        """Scale, fill and add calendar marks."""
        scaled = (self._pick(sequences) - self.mean) / self.scale
        _require_near(scaled, self.channels, sequences.times)
        return Table(
            values=torch.from_numpy(fill_gaps(scaled, electricity.season(self.step))),
            observed=torch.from_numpy(~np.isnan(scaled)),
            marks=self.marks(sequences.times, sequences.known),
            outputs=torch.tensor(self.output_index),
        )

    def marks(self, times: NDArray[np.generic], known: Floats) -> torch.Tensor:
        """(N, T) calendar marks, then scaled covariates."""
        calendar = electricity.calendar_marks(times, self.step)
        covariates = (known - self.known_mean) / self.known_scale
        _require_near(covariates, self.covariates, times)
        return torch.from_numpy(np.concatenate([calendar, covariates], axis=1).astype(np.float32))

    def raw(self, scaled: NDArray[Any]) -> NDArray[Any]:
        """(..., C_out) scaled -> the units of the file."""
        index = list(self.output_index)
        return scaled * self.scale[index] + self.mean[index]

    def facts(self) -> dict[str, Any]:
        """Plain values for the weights' metadata."""
        return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in vars(self).items()}

    @staticmethod
    def from_facts(facts: dict[str, Any]) -> Frame:
        """The inverse of `facts`."""

        def array(name: str) -> Floats:
            return np.asarray(facts[name], dtype=np.float64)

        return Frame(
            channels=tuple(facts["channels"]),
            targets=tuple(facts["targets"]),
            covariates=tuple(facts["covariates"]),
            step=facts["step"],
            zone=facts.get("zone", ""),
            season=facts["season"],
            mean=array("mean"),
            scale=array("scale"),
            known_mean=array("known_mean"),
            known_scale=array("known_scale"),
        )

    def _pick(self, sequences: Sequences) -> Floats:
        return sequences.values[:, [sequences.channels.index(name) for name in self.channels]]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Scaled windows of the three splits, and how they came about."""

    sequences: Sequences
    origin: dict[str, Any]
    """Name, path and sha256 of the data."""
    frame: Frame
    table: Table
    splits: Splits
    windows: dict[str, Windows]
    shape: Shape

    @property
    def notes(self) -> tuple[str, ...]:
        """What reading has found out or changed."""
        return self.sequences.notes

    def facts(self) -> dict[str, Any]:
        """What must be remembered to read new data."""
        return {"frame": self.frame.facts(), "shape": shape_facts(self.shape)}

    def loader(self, split: str, size: int, seed: int | None = None) -> StatefulDataLoader[Batch]:
        """Batches of windows."""
        return loader(self.windows[split], size, seed=seed)

    def module(self, network: nn.Module, recipe: ForecastRecipe) -> ForecastTask:
        """The network with its loss; what of it has a closed form is solved."""
        solve = getattr(network, "solve", None)
        if solve is not None:
            solve(self.span("train"), self.span("val"))
        return ForecastTask(network, recipe.train, -(-len(self.windows["train"]) // recipe.train.batch))

    def without_test(self) -> Prepared:
        """The same with the test windows closed."""
        return replace(self, windows={name: self.windows[name] for name in ("train", "val")})

    def span(self, split: str) -> Span:
        """The target series and window origins of a split, for the baselines."""
        outputs = self.table.outputs
        return Span(
            values=self.table.values[:, outputs].double().numpy(),
            observed=self.table.observed[:, outputs].numpy(),
            origins=self.windows[split].origins,
        )

    def truth(self, split: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """(W, H, C_out) scaled targets of a split, and which of them were observed."""
        rows = torch.from_numpy(self.windows[split].origins)[:, None] + torch.arange(self.shape.horizon)
        outputs = self.table.outputs
        return self.table.values[:, outputs][rows].numpy(), self.table.observed[:, outputs][rows].numpy()


def prepare(recipe: ForecastRecipe, source: Any = None) -> Prepared:
    """Read, split, scale with the training rows alone, and cut windows.

    Args:
        recipe: its data block, and the season of its evaluation (0: by the time step).
        source: a frame in place of `data.name`.

    Raises:
        SeqsciError: whatever is wrong with the file, the names or the lengths.
    """
    data = recipe.data
    named = data.inputs == "target" and data.target != "all"
    wanted = [data.target] if named else None
    sequences, origin = load(data, data.name if source is None else source, wanted)
    targets = _targets(data.target, sequences.channels)
    channels = sequences.channels if data.inputs == "all" else targets
    observed_rows = len(sequences.values) - sequences.tail
    rows = _split(data, origin, electricity.on_the_clock(sequences.times[:observed_rows], sequences.zone))
    train = slice(*rows.train)
    mean, scale = _fit_scaler(sequences.values[train][:, [sequences.channels.index(c) for c in channels]], channels)
    known_mean, known_scale = _fit_scaler(sequences.known[train], sequences.known_names)
    frame = Frame(
        channels=channels,
        targets=targets,
        covariates=sequences.known_names,
        step=sequences.step,
        zone=sequences.zone,
        season=recipe.evaluate.season or electricity.season(sequences.step),
        mean=mean,
        scale=scale,
        known_mean=known_mean,
        known_scale=known_scale,
    )
    table = frame.table(sequences)
    windows = {
        name: Windows(table, getattr(rows, name), data.context, data.horizon) for name in ("train", "val", "test")
    }
    require_windows({k: w.count for k, w in windows.items()}, observed_rows, data.context, data.horizon)
    notes = (*sequences.notes, *_never_observed(frame, table, rows), *_constant(frame, table, rows))
    shape = make_shape(data, frame, table.marks.shape[1])
    return Prepared(
        sequences=replace(sequences, notes=notes),
        origin=origin,
        frame=frame,
        table=table,
        splits=rows,
        windows=windows,
        shape=shape,
    )


def make_shape(data: ForecastData, frame: Frame, marks: int) -> Shape:
    """What the network must know."""
    return Shape(
        context=data.context,
        horizon=data.horizon,
        channels=len(frame.channels),
        outputs=len(frame.targets),
        marks=marks,
        output_index=frame.output_index,
        level=data.level,
        season=electricity.season(frame.step),
    )


def shape_facts(shape: Shape) -> dict[str, Any]:
    """Plain values for the weights' metadata."""
    facts: dict[str, Any] = plain(vars(shape))
    return facts


def future_window(frame: Frame, sequences: Sequences, data: ForecastData) -> tuple[Batch, NDArray[np.generic]]:
    """The window past the last observation of a new file, and the H times that it forecasts.

    Raises:
        SeqsciError: too few rows, a series without a value in them, or covariates that do not reach over the horizon.
    """
    end = len(sequences.values) - sequences.tail
    if end < data.context:
        raise SeqsciError(f"data: {end} rows are too few, the model needs the last {data.context}")
    table = frame.table(sequences)
    seen = table.observed[end - data.context : end].any(0).tolist()
    blank = [name for name, known in zip(frame.channels, seen, strict=True) if not known]
    if blank:
        raise SeqsciError(
            f"data: the last {data.context} rows hold no value of series {', '.join(blank)}, and a forecast reads no "
            f"others; fill it in"
        )
    times = electricity.future_times(sequences.times[end - 1], frame.step, data.horizon)
    known = sequences.known[end : end + data.horizon]
    if frame.covariates and len(known) < data.horizon:
        raise SeqsciError(
            f"data: the covariates {', '.join(frame.covariates)} must be given for all {data.horizon} steps to "
            f"forecast: add rows with the series blank; {len(known)} are there"
        )
    known = known if frame.covariates else np.zeros((data.horizon, 0))
    return last_window(table, end, data.context, frame.marks(times, known)), times


def load_new(data: ForecastData, source: Any, frame: Frame) -> Sequences:
    """Read new data for a trained model.

    Raises:
        SeqsciError: another time step, or times with a zone beside times without.
    """
    sequences, _ = load(data, source, frame.channels)
    if sequences.step != frame.step:
        raise SeqsciError(
            f"data: its time step is {sequences.step}, the model was trained on {frame.step}; resample the file"
        )
    if bool(sequences.zone) != bool(frame.zone):
        zones = (sequences.zone, frame.zone)
        now, before = (f"are in {electricity.spoken(zone)}" if zone else "have no time zone" for zone in zones)
        raise SeqsciError(f"data: its times {now}, those of the training {before}; give them in the same way")
    return sequences


def load(data: ForecastData, source: Any, channels: Sequence[str] | None = None) -> tuple[Sequences, dict[str, Any]]:
    """Read a card, a path or a frame by the recipe's reading options; the columns not asked for may hold anything."""
    return electricity.load(
        source,
        channels=channels,
        time=data.time,
        layout=data.layout,
        id=data.id,
        value=data.value,
        duplicates=data.duplicates,
        irregular=data.irregular,
        missing=data.missing,
        encoding=data.encoding,
        separator=data.separator,
        step=data.step,
        covariates=data.covariates,
    )


def _targets(target: str, channels: Sequence[str]) -> tuple[str, ...]:
    if target == "all":
        return tuple(channels)
    names = tuple(electricity.named([target], channels))
    for name in names:
        if name not in channels:
            raise SeqsciError(f"data.target: no series '{name}'{nearest(name, channels)}")
    if len(set(names)) < len(names):
        raise SeqsciError(f"data.target: a series stands twice in '{target}'")
    return names


def _split(data: ForecastData, origin: dict[str, Any], times: NDArray[np.generic]) -> Splits:
    if data.split != "auto":
        return split_rules.parse(data.split, times)
    rule = origin.get("split")
    if rule is not None and rule["kind"] == "borders":
        return split_rules.borders(rule["train"], rule["val"], rule["test"], len(times))
    if rule is not None:
        return split_rules.fractions(rule["train"], rule["val"], rule["test"], len(times))
    return split_rules.fractions(0.7, 0.1, 0.2, len(times))


def _require_near(scaled: Floats, names: Sequence[str], times: NDArray[np.generic]) -> None:
    """Refuse what single precision could not square and add up."""
    far = np.abs(scaled) > FARTHEST
    if far.any():
        row, j = (int(i[0]) for i in np.nonzero(far))
        when = str(times[row]).replace("T", " ")[:19]
        raise SeqsciError(
            f"data, series {names[j]}: its value at {when} lies {abs(scaled[row, j]):.1g} standard deviations of the "
            f"training rows from their mean; correct it, or leave it blank"
        )


def _never_observed(frame: Frame, table: Table, rows: Splits) -> list[str]:
    """A sentence on each series of which a later split holds no value.

    Raises:
        SeqsciError: validation holds none at all, so that nothing could be chosen on it.
    """
    notes = []
    effects = {"validation": "its intervals are without end", "test": "it has no score"}
    for split, (first, end) in {"validation": rows.val, "test": rows.test}.items():
        blank = (~table.observed[first:end, table.outputs].any(0)).tolist()
        if split == "validation" and all(blank):
            raise SeqsciError("data: no validation row holds a value of the series to forecast; move data.split")
        names = [name for name, never in zip(frame.targets, blank, strict=True) if never]
        notes += [f"series {name}: never observed in the {split} rows, {effects[split]}" for name in names]
    return notes


def _constant(frame: Frame, table: Table, rows: Splits) -> list[str]:
    """A sentence on each series that has but one value in the training rows."""
    first, end = rows.train
    values, seen = (part[first:end, table.outputs] for part in (table.values, table.observed))
    low, high = (torch.where(seen, values, end_of_all).T for end_of_all in (torch.inf, -torch.inf))
    same = (low.amin(1) >= high.amax(1)).tolist()
    return [
        f"series {name}: constant in the training rows, so that there is nothing to learn of it"
        for name, constant in zip(frame.targets, same, strict=True)
        if constant
    ]


def _fit_scaler(rows: Floats, names: Sequence[str]) -> tuple[Floats, Floats]:
    """Mean and standard deviation (ddof 0) of the observed entries; a constant channel keeps its scale."""
    if rows.shape[1] == 0:
        return np.zeros(0), np.ones(0)
    from sklearn.preprocessing import StandardScaler

    empty = np.isnan(rows).all(axis=0)
    if empty.any():
        raise SeqsciError(
            f"data: series {names[int(np.argmax(empty))]} has no value in the training rows; "
            f"leave it out with data.target, or move data.split"
        )
    scaler = StandardScaler().fit(rows)
    return scaler.mean_, scaler.scale_
