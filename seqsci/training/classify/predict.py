"""Class probabilities of new objects by a trained run, and its score on new labelled ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.domains.photometry import LightCurves
from seqsci.errors import SeqsciError
from seqsci.files import whole
from seqsci.metrics import flat_log_loss, soften
from seqsci.recipe import ClassifyRecipe, as_kind
from seqsci.runs import Run
from seqsci.tasks import classify as task
from seqsci.training.classify.evaluate import probability_table
from seqsci.training.classify.prepare import Frame, everything, inputs, load, make_shape
from seqsci.training.classify.rivals import BATCH
from seqsci.training.fit import load_network

Floats = NDArray[np.float64]


def keep(source: Any, folder: Path) -> dict[str, str]:
    """Write a caller's frames into a folder: what the recipe must say to find them."""
    frames = source if isinstance(source, tuple) else (source,)
    kept = {}
    for path, name, frame in zip(("data.name", "data.objects"), ("data", "objects"), frames, strict=False):
        with whole(folder / f"{name}.parquet") as temporary:
            nw.from_native(frame).to_polars().write_parquet(temporary)
        kept[path] = str((folder / f"{name}.parquet").resolve())
    return kept


def predict(run: Run, data: Any = None, tell: Callable[[str], None] | None = None) -> pl.DataFrame:
    """See `seqsci.api.Result.predict`."""
    curves, frame, p = _judged(run, data)
    if tell is not None:
        for note in curves.notes:
            tell(note)
    return probability_table(curves.objects["object_id"], p, frame.classes)


def flat_log_loss_of(run: Run, data: Any) -> float:
    """Flat log loss of a run's model on labelled objects of classes that it knows.

    Raises:
        SeqsciError: there is none.
    """
    curves, frame, p = _judged(run, data)
    codes = {name: code for code, name in enumerate(frame.classes)}
    truth = np.array([codes.get(name, -1) for name in curves.objects["label"]])
    if not (truth >= 0).any():
        raise SeqsciError(f"data: no object has a label that the model knows ({', '.join(frame.classes)})")
    return flat_log_loss(p[truth >= 0], truth[truth >= 0])


def _judged(run: Run, data: Any) -> tuple[LightCurves, Frame, Floats]:
    """Light curves, the model's memory, and (N, K) probabilities."""
    run.read_json("metrics.json")  # an unfinished run has no temperature yet, and says so
    recipe = as_kind(run.recipe, ClassifyRecipe)
    tensors, facts = run.load_weights()
    frame = Frame.from_facts(facts["frame"])
    curves, _ = load(recipe.data, data)
    _require_units(curves, facts["units"])
    rows = frame.rows(inputs(curves, recipe.data, frame.bands), [None] * len(curves.objects))
    network = load_network(recipe, make_shape(recipe.data, frame), run)
    logits = task.predict(network, everything(rows).batches(BATCH), len(frame.classes))
    return curves, frame, soften(logits, float(tensors["temperature"]))


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
