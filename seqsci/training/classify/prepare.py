"""From a recipe's data block to light curves that are read, split, made sequences and scaled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import nn
from torchdata.stateful_dataloader import StatefulDataLoader

from seqsci.data.batch import Batch, SequenceShape
from seqsci.data.collection import Collection, Rows
from seqsci.data.loaders import loader
from seqsci.data.splits import parse_shares, stratified
from seqsci.domains.photometry import LightCurves
from seqsci.errors import SeqsciError
from seqsci.recipe import ClassifyData, ClassifyRecipe
from seqsci.tasks.classify import ClassifyTask
from seqsci.training.classify.frame import Frame, fit_frame, make_shape
from seqsci.training.classify.inputs import inputs, load

Ints = NDArray[np.int64]
SHARES, OWN_SHARES = (0.7, 0.15, 0.15), (0.85, 0.15)
"""Of training, validation and test; of training and validation where the data set has a test split of its own."""


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
    sequences = inputs(curves, data)
    frame = fit_frame(data, sequences, splits["train"], classes, curves.bands)
    return Prepared(
        curves=curves,
        strangers=strangers,
        origin=origin,
        frame=frame,
        rows=frame.rows(sequences, curves.objects["label"].to_list()),
        splits=splits,
        shape=make_shape(data, frame),
        notes=(*curves.notes, *notes, *said),
    )


def _known(
    curves: LightCurves, origin: Mapping[str, Any], data: ClassifyData
) -> tuple[LightCurves, LightCurves | None, tuple[str, ...], list[str]]:
    """Objects of the classes that are learnt, those of the open set, the classes, and what became of the others."""
    objects = curves.objects
    if curves.counts.get("without metadata, kept") == len(objects) > 0:
        raise SeqsciError(
            f"data.objects: none of its objects stands among the observations, where the first is "
            f"'{objects['object_id'][0]}'; compare the ids (zeros in front count)"
        )
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
            f"data: {len(classes) or 'no'} class with at least {data.least} objects to learn from, and two are needed; "
            f"give more objects, or lower data.least"
        )
    small = ~objects["label"].is_in(list(classes)).fill_null(True) & ~strange
    kept = curves
    for why, gone in (
        ("no label", objects["label"].is_null()),
        ("of the open set, not trained on", strange),
        (f"of classes with fewer than {data.least}", small),
    ):
        here = kept.objects["object_id"].is_in(objects.filter(~gone)["object_id"].implode())
        kept = kept.take(kept.objects.filter(here)["object_id"], why)
    new = [name for name in kept.counts if name.startswith("objects: ") and name not in curves.counts]
    notes = [f"{name}: {kept.counts[name]} left out" for name in new]
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
    if _shifted(data.split):
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
    if data.split != "auto" and not _shifted(data.split):
        shares = parse_shares(data.split)
    rest, labels = np.flatnonzero(~test), objects["label"].to_list()
    groups = objects["group"].to_list()
    parts = stratified([labels[i] for i in rest], [groups[i] for i in rest], shares, data.split_seed)
    places = [rest[part] for part in parts] + ([np.flatnonzero(test)] if test.any() else [])
    splits = dict(zip(("train", "val", "test"), places, strict=True))
    _require_classes(labels, splits)
    sizes = ", ".join(f"{name} {len(part)}" for name, part in splits.items())
    return splits, [f"split ({said}): {sizes} objects"]


def _shifted(text: str) -> bool:
    return text.replace(" ", "").startswith("redshift<")


def _limit(text: str) -> float:
    try:
        return float(text.partition("<")[2])
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
