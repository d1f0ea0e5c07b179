"""From a recipe's data block to light curves that are read, split, made sequences and scaled."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import nn
from torchdata.stateful_dataloader import StatefulDataLoader

from seqsci.data.batch import Batch, Sequences, SequenceShape
from seqsci.data.collection import Collection, Rows
from seqsci.data.download import cache_folder
from seqsci.data.loaders import loader
from seqsci.data.splits import parse_shares, stratified
from seqsci.domains import photometry
from seqsci.domains.photometry import LightCurves
from seqsci.domains.photometry.features import HOST, features
from seqsci.domains.photometry.sequences import STATIC, interpolated, observed
from seqsci.errors import SeqsciError
from seqsci.recipe import ClassifyData, ClassifyRecipe
from seqsci.tasks.classify import ClassifyTask

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SECONDS = 10.0
"""Between two lines of progress while Gaussian processes are fitted."""
SHARES, OWN_SHARES = (0.7, 0.15, 0.15), (0.85, 0.15)
"""Of training, validation and test; of training and validation where the data set has a test split of its own."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What a trained model must remember of its data to read new objects: stored beside the weights.

    `classes (K,)`; `bands` of the grid (gp) or of the training objects; `mean, scale (C,)` of the training rows,
    `static_mean, static_scale (S,)` of the training objects.
    """

    classes: tuple[str, ...]
    bands: tuple[str, ...]
    mean: Floats
    scale: Floats
    static_mean: Floats
    static_scale: Floats
    redshift: bool

    def rows(self, sequences: Sequences, labels: Sequence[str | None]) -> Rows:
        """Scaled tensors; a label that no training object has becomes -1."""
        codes = {name: code for code, name in enumerate(self.classes)}
        first = _static(sequences).shape[1] - len(self.static_mean)  # without redshift its columns are left out
        static = (_static(sequences)[:, first:] - self.static_mean) / self.static_scale
        # Measures of light curves have long tails.
        plain = len(STATIC) - first
        static = np.concatenate([static[:, :plain], np.arcsinh(static[:, plain:])], 1)
        return Rows(
            values=torch.from_numpy(((sequences.values - self.mean) / self.scale).astype(np.float32)),
            times=torch.from_numpy(self._times(sequences)),
            kinds=None if sequences.kinds is None else torch.from_numpy(sequences.kinds.copy()),
            offsets=torch.from_numpy(sequences.offsets),
            # What is not known of an object is the mean of the others.
            static=torch.from_numpy(np.nan_to_num(static).astype(np.float32)),
            target=torch.tensor([-1 if name is None else codes.get(name, -1) for name in labels]),
        )

    def _times(self, sequences: Sequences) -> NDArray[np.float32]:
        """(N, T) days, and days in the rest frame of the host where the model is told the redshift."""
        days = np.asarray(sequences.times, dtype=np.float32)
        if not self.redshift:
            return days[:, None]
        z = np.repeat(np.nan_to_num(_static(sequences)[:, 0]), np.diff(sequences.offsets))
        return np.stack([days, days / (1 + z)], 1).astype(np.float32)

    def facts(self) -> dict[str, Any]:
        """Plain values for the weights' metadata."""
        return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in vars(self).items()}

    @staticmethod
    def from_facts(facts: Mapping[str, Any]) -> Frame:
        """The inverse of `facts`."""
        arrays = {key: np.asarray(facts[key], dtype=np.float64) for key in ("mean", "scale")}
        arrays |= {key: np.asarray(facts[key], dtype=np.float64) for key in ("static_mean", "static_scale")}
        classes, bands = tuple(facts["classes"]), tuple(facts["bands"])
        return Frame(classes=classes, bands=bands, redshift=facts["redshift"], **arrays)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Scaled sequences of the three splits, and how they came about."""

    curves: LightCurves
    """The objects that are split, in the order of the sequences."""
    strangers: LightCurves | None
    """Objects of classes that no training object has."""
    origin: dict[str, Any]
    """Name, path, sha256 and card of the data."""
    frame: Frame
    rows: Rows
    splits: dict[str, Ints]
    """Split -> the sorted numbers of its objects."""
    shape: SequenceShape
    notes: tuple[str, ...]

    @property
    def counts(self) -> Ints:
        """(K,) training objects of each class."""
        return np.bincount(self.truth("train"), minlength=len(self.frame.classes))

    def truth(self, split: str) -> Ints:
        """(W,) classes of a split."""
        codes: Ints = self.rows.target.numpy()[self.splits[split]]
        return codes

    def members(self, split: str) -> LightCurves:
        """The light curves of a split."""
        return self.curves.take(self.curves.objects["object_id"].gather(self.splits[split]))

    def collection(self, split: str) -> Collection:
        """The sequences of a split."""
        return Collection(self.rows, self.splits[split])

    def facts(self) -> dict[str, Any]:
        """What must be remembered to read new data."""
        return {"frame": self.frame.facts(), "units": vars(self.curves.units)}

    def loader(self, split: str, size: int, seed: int | None = None) -> StatefulDataLoader[Batch]:
        """Batches of sequences of similar length."""
        part = self.collection(split)
        return loader(part, size, seed=seed, lengths=part.lengths)

    def module(self, network: nn.Module, recipe: ClassifyRecipe) -> ClassifyTask:
        """The network with its loss."""
        train = recipe.train
        steps = -(-len(self.splits["train"]) // train.batch)
        return ClassifyTask(network, train, steps, torch.from_numpy(self.counts), train.cut, train.thin)

    def without_test(self) -> Prepared:
        """The same with the test split closed."""
        return replace(self, splits={name: self.splits[name] for name in ("train", "val")})


def prepare(recipe: ClassifyRecipe, source: Any = None) -> Prepared:
    """Read, split class by class, make sequences and scale them with the training objects alone.

    Args:
        recipe: its data block, and whether an open set is read for its evaluation.
        source: a frame of observations, or a pair of frames (observations, objects), in place of `data.name`.

    Raises:
        SeqsciError: whatever is wrong with the files, the names, or the number of objects in a class.
    """
    data = recipe.data
    curves, origin = load(data, source, open_set=recipe.evaluate.open_set)
    curves, strangers, classes, notes = _known(curves, origin, data)
    splits, said = _split(curves, origin, data)
    labels = curves.objects["label"].to_list()
    sequences = inputs(curves, data)
    train = np.isin(np.arange(len(labels)), splits["train"])
    row = np.repeat(train, np.diff(sequences.offsets))
    fit = _fit_robust if data.input == "gp" and data.flux == "linear" else _fit_scaler
    mean, scale = fit(sequences.values[row])
    static_mean, static_scale = _fit_static(_static(sequences)[train], data)
    frame = Frame(
        classes=classes,
        bands=curves.bands,
        mean=mean,
        scale=scale,
        static_mean=static_mean,
        static_scale=static_scale,
        redshift=data.redshift,
    )
    return Prepared(
        curves=curves,
        strangers=strangers,
        origin=origin,
        frame=frame,
        rows=frame.rows(sequences, labels),
        splits=splits,
        shape=make_shape(data, frame),
        notes=(*curves.notes, *notes, *said),
    )


def load(
    data: ClassifyData, source: Any = None, *, objects: Any = None, open_set: bool = False
) -> tuple[LightCurves, dict[str, Any]]:
    """Read what the recipe names, or a card, paths or frames in its place, by the recipe's reading options."""
    if isinstance(source, tuple):
        source, objects = source
    elif source is None:
        source, objects = data.name, data.objects
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
    static = np.concatenate([_static(found), table], 1)
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


def everything(rows: Rows) -> Collection:
    """All sequences."""
    return Collection(rows, np.arange(len(rows)))


class _Tell:
    """A line now and then while many Gaussian processes are fitted; nothing where it is quickly done."""

    def __init__(self) -> None:
        self.spoke = time.monotonic()

    def __call__(self, done: int, count: int) -> None:
        """So many objects of all are fitted."""
        if time.monotonic() - self.spoke > SECONDS:
            self.spoke = time.monotonic()
            print(f"Gaussian processes: {done} of {count} objects fitted", file=sys.stderr, flush=True)


def make_shape(data: ClassifyData, frame: Frame) -> SequenceShape:
    """What the network must know."""
    direct = data.input == "direct"
    return SequenceShape(
        context=data.context if direct else data.steps,
        channels=len(frame.mean),
        times=2 if frame.redshift else 1,
        kinds=len(photometry.BANDS) if direct else 0,
        static=len(frame.static_mean),
        classes=len(frame.classes),
    )


def _known(
    curves: LightCurves, origin: Mapping[str, Any], data: ClassifyData
) -> tuple[LightCurves, LightCurves | None, tuple[str, ...], list[str]]:
    """Objects of the classes that are learnt, those of the open set, the classes, and what became of the others."""
    objects = curves.objects
    if objects["label"].null_count() == len(objects):
        raise SeqsciError(
            "data.label: no object has a label; name the table of objects by data.objects and its column of the class "
            "by data.label"
        )
    strange = objects["label"].is_in(list(origin.get("open_classes") or ())).fill_null(False)
    learnt = objects.filter(~strange & ~_tested(objects, origin, data)[0])["label"].drop_nulls()
    sizes = dict(learnt.value_counts().sort("label").iter_rows())
    classes = tuple(sorted((name for name, n in sizes.items() if n >= data.least), key=_by_number))
    if len(classes) < 2:
        raise SeqsciError(
            f"data: {len(classes)} class with at least {data.least} objects is not enough to classify; "
            f"give more objects, or lower data.least"
        )
    small = ~objects["label"].is_in(list(classes)).fill_null(True) & ~strange
    kept = curves
    for why, gone in (
        ("no label", objects["label"].is_null()),
        ("of the open set, not trained on", strange),
        (f"of classes with fewer than {data.least} to train on", small),
    ):
        here = kept.objects["object_id"].is_in(objects.filter(~gone)["object_id"].implode())
        kept = kept.take(kept.objects.filter(here)["object_id"], why)
    notes = [f"{name}: {n} left out" for name, n in kept.counts.items() if name.startswith("objects: of classes")]
    if small.any():
        rare = dict(objects.filter(small)["label"].value_counts().sort("label").iter_rows())
        notes[-1] += ": " + ", ".join(f"{name} ({n})" for name, n in rare.items())
    return kept, curves.take(objects.filter(strange)["object_id"]) if strange.any() else None, classes, notes


def _by_number(label: str) -> tuple[int, str]:
    """Codes in the order of their numbers, then names."""
    return (int(label), label) if label.isdigit() else (1 << 62, label)


def _tested(objects: pl.DataFrame, origin: Mapping[str, Any], data: ClassifyData) -> tuple[pl.Series, str]:
    """(S,) which objects a split names as its test split, none where it is dealt; and a sentence on it."""
    if data.split == "auto" and origin.get("own_test") is not None:
        return objects["object_id"].is_in(list(origin["own_test"])), "test: the data set's own"
    if data.split.startswith("redshift<"):
        limit = _limit(data.split)
        said = f"a shift: test are the objects with redshift {limit:g} and more, all others train and validate"
        return (objects["redshift"] >= limit).fill_null(False), said
    return pl.repeat(False, len(objects), eager=True), "dealt at random class by class"


def _split(curves: LightCurves, origin: Mapping[str, Any], data: ClassifyData) -> tuple[dict[str, Ints], list[str]]:
    """Numbers of the objects of each split, and a sentence on how it was made."""
    objects = curves.objects
    marked, said = _tested(objects, origin, data)
    test = marked.to_numpy()
    shares: tuple[float, ...] = OWN_SHARES if test.any() else SHARES
    if data.split not in ("auto",) and not data.split.startswith("redshift<"):
        shares = parse_shares(data.split)
    rest, labels = np.flatnonzero(~test), objects["label"].to_list()
    groups = objects["group"].to_list()
    parts = stratified([labels[i] for i in rest], [groups[i] for i in rest], shares, data.split_seed)
    places = [rest[part] for part in parts] + ([np.flatnonzero(test)] if test.any() else [])
    splits = dict(zip(("train", "val", "test"), places, strict=True))
    _require_classes(labels, splits)
    sizes = ", ".join(f"{name} {len(part)}" for name, part in splits.items())
    return splits, [f"split ({said}): {sizes} objects"]


def _limit(text: str) -> float:
    try:
        return float(text.removeprefix("redshift<"))
    except ValueError:
        raise SeqsciError(f"data.split: '{text}' has no number behind '<'; write it as redshift<0.4") from None


def _require_classes(labels: Sequence[str], splits: Mapping[str, Ints]) -> None:
    """Every class must train and validate; a test split must hold something."""
    for name in ("train", "val"):
        missing = set(labels) - {labels[i] for i in splits[name]}
        if missing:
            raise SeqsciError(
                f"data.split: no object of class {sorted(missing)[0]} is left to {name}; raise data.least to leave "
                f"such classes out, or change data.split"
            )
    if not len(splits["test"]):
        raise SeqsciError("data.split: no object is left for the test split; change data.split")


def _static(sequences: Sequences) -> Floats:
    assert sequences.static is not None
    return sequences.static


def _fit_scaler(rows: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of what is known; a constant or unknown column is only shifted."""
    known = np.isfinite(rows)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, rows, 0).sum(0) / count
    spread = np.sqrt((np.where(known, rows - mean, 0) ** 2).sum(0) / count)
    return mean, np.where(spread > 1e-9, spread, 1.0)


def _fit_static(rows: Floats, data: ClassifyData) -> tuple[Floats, Floats]:
    """What is known of the host, where the model is told, and then the measures of the light curve."""
    host, measures = rows[:, : len(STATIC)], rows[:, len(STATIC) :]
    fits = [_fit_scaler(host)] if data.redshift else []
    if data.features:
        fits.append(_fit_robust(measures))
    if not fits:
        return np.zeros(0), np.ones(0)
    mean, scale = zip(*fits, strict=True)
    return np.concatenate(mean), np.concatenate(scale)


def _fit_robust(rows: Floats) -> tuple[Floats, Floats]:
    """Median and interquartile range, for fluxes of which a few are a million times the others."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        low, middle, high = np.nan_to_num(np.nanquantile(rows, [0.25, 0.5, 0.75], axis=0))
    return middle, np.where(high > low, high - low, 1.0)
