"""Class probabilities of new objects by a trained run, and its score on new labelled ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.data.collection import everything
from seqsci.domains.photometry import BANDS, LightCurves, batches
from seqsci.domains.photometry.snana import is_fits
from seqsci.errors import SeqsciError
from seqsci.files import whole
from seqsci.metrics import flat_log_loss, soften
from seqsci.recipe import ClassifyRecipe, as_kind
from seqsci.runs import Run
from seqsci.tasks import classify as task
from seqsci.training.classify.evaluate import probability_table
from seqsci.training.classify.frame import Frame, make_shape
from seqsci.training.classify.inputs import inputs, load
from seqsci.training.classify.rivals import BATCH
from seqsci.training.fit import load_network

Floats = NDArray[np.float64]
LARGE, PIECE = 256_000_000, 4000
"""Bytes from which a file of light curves is streamed, and objects of a piece of it."""


def keep(source: Any, folder: Path) -> dict[str, str]:
    """Write a caller's frames into a folder: what the recipe must say to find them."""
    frames = source if isinstance(source, tuple) else (source,)
    kept = {}
    for path, name, frame in zip(("data.name", "data.objects"), ("data", "objects"), frames, strict=False):
        with whole(folder / f"{name}.parquet") as temporary:
            nw.from_native(frame).to_polars().write_parquet(temporary)
        kept[path] = str((folder / f"{name}.parquet").resolve())
    return kept


def predict(run: Run, data: Any = None, tell: Callable[[str], None] | None = None, objects: Any = None) -> pl.DataFrame:
    """See `seqsci.api.Result.predict`."""
    judge = Judge(run)
    tables, counts, notes = [], Counter[str](), dict[str, None]()
    for curves in _pieces(judge.recipe, data, objects):
        counts.update(curves.counts)
        notes.update(dict.fromkeys(note for note in curves.notes if not _counted(note)))
        if not len(curves.objects):
            continue
        notes.update(dict.fromkeys(judge.differences(curves)))
        tables.append(probability_table(curves.objects["object_id"], judge(curves), judge.frame.classes))
    dropped = [f"{name}: {n} dropped" for name, n in counts.items() if ": " in name]
    if not tables:
        raise SeqsciError(f"data: no object is left to classify ({'; '.join(dropped)})")
    if tell is not None:
        for note in [*notes, *dropped]:
            tell(note)
    return pl.concat(tables)


def flat_log_loss_of(run: Run, data: Any, objects: Any = None) -> float:
    """Flat log loss of a run's model on labelled objects of classes that it knows.

    Raises:
        SeqsciError: there is none.
    """
    judge = Judge(run)
    curves, _ = load(replace(judge.recipe.data, objects=None), data, objects=objects)
    codes = {name: code for code, name in enumerate(judge.frame.classes)}
    truth = np.array([codes.get(name, -1) for name in curves.objects["label"]])
    if not (truth >= 0).any():
        raise SeqsciError(f"data: no object has a label that the model knows ({', '.join(codes)})")
    return flat_log_loss(judge(curves)[truth >= 0], truth[truth >= 0])


class Judge:
    """A complete run's model with all that it remembers: light curves -> (N, K) probabilities."""

    def __init__(self, run: Run) -> None:
        run.read_json("metrics.json")  # an unfinished run has no temperature yet, and says so
        self.recipe = as_kind(run.recipe, ClassifyRecipe)
        tensors, facts = run.load_weights()
        self.frame = Frame.from_facts(facts["frame"])
        self.units: dict[str, Any] = facts["units"]
        self.temperature = float(tensors["temperature"])
        self.network = load_network(self.recipe, make_shape(self.recipe.data, self.frame), run)

    def differences(self, curves: LightCurves) -> list[str]:
        """Sentences on what these curves lack, or have, that the training's did not."""
        said, here = [], set(curves.observations["band"].unique())
        missing, new = set(self.frame.bands) - here, here - set(self.frame.bands)
        if missing:
            said.append(f"no row of passband {_listed(missing)}, which the model was trained with")
        if new:
            said.append(f"rows of passband {_listed(new)}, which the model was not trained with")
        if self.frame.redshift and curves.objects["redshift"].is_null().all():
            said.append("no object has a redshift, which the model was told in training; give them by objects")
        return said

    def __call__(self, curves: LightCurves) -> Floats:
        """(N, K) in the order of `curves.objects`.

        Raises:
            SeqsciError: fluxes that were treated otherwise than those of the training.
        """
        _require_units(curves, self.units)
        rows = self.frame.rows(inputs(curves, self.recipe.data, self.frame.bands), [None] * len(curves.objects))
        logits = task.predict(self.network, everything(rows).batches(BATCH), len(self.frame.classes))
        return soften(logits, self.temperature)


def _listed(bands: Iterable[str]) -> str:
    return ", ".join(band for band in BANDS if band in set(bands))


def _pieces(recipe: ClassifyRecipe, data: Any, objects: Any) -> Iterator[LightCurves]:
    """Light curves of new data, all at once or, of a large long file, some thousands of objects at a time."""
    settings = recipe.data
    if data is not None:
        settings = replace(settings, label=None, objects=None, count=None, parts=())  # new objects need no class
    path = Path(data) if isinstance(data, str | Path) else None
    if path is None or not path.is_file() or path.stat().st_size < LARGE or is_fits(path):
        yield load(settings, data, objects=objects)[0]
        return
    pieces = batches(
        path,
        PIECE,
        objects,
        columns=settings.columns or None,
        band=settings.band,
        zeropoint=settings.zeropoint,
        minimum=settings.minimum,
    )
    for curves in pieces:
        stated = {k: getattr(settings, k) for k in ("mw_corrected", "difference")}
        units = replace(curves.units, **{k: v for k, v in stated.items() if v is not None})
        yield replace(curves, units=units)


def _counted(note: str) -> bool:
    """Whether a note only repeats an entry of `counts`, which are added up over the pieces."""
    return note.endswith(" dropped")


def _require_units(curves: LightCurves, trained: dict[str, Any]) -> None:
    """Fluxes that were treated otherwise than the training's must not be mixed in silently."""
    for name in ("mw_corrected", "difference"):  # zero points are converted
        before = trained[name]
        now = getattr(curves.units, name)
        if before is not None and now is not None and before != now:
            raise SeqsciError(
                f"data: its {name} is {now}, the model was trained on {before}; convert the fluxes, or say by "
                f"data.{name} how they are to be read"
            )
