"""The one look at the test split: scores beside baselines, early and open-set classification, what is drawn."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from seqsci.files import whole
from seqsci.metrics import bootstrap, bootstrap_difference, flat_log_loss, open_set_auroc, reliability, scores
from seqsci.recipe import ClassifyRecipe
from seqsci.runs import Run
from seqsci.training.classify.drawn import write_drawn
from seqsci.training.classify.prepare import Prepared
from seqsci.training.classify.rivals import Method, network_method, rival
from seqsci.training.fit import Fitted, load_network, machine, peak_rss_mb, save_network

Floats = NDArray[np.float64]


def evaluate(
    recipe: ClassifyRecipe, prepared: Prepared, run: Run, fitted: Fitted, *, quiet: bool = False
) -> dict[str, Any]:
    """Score the best weights on the test split, once, and write metrics.json and predictions.parquet.

    Everything that is chosen here (temperature, boosting's settings, the baselines' weights) is chosen on validation.

    Returns:
        The content of metrics.json.
    """
    began = time.process_time()
    rivals = {}
    for name in recipe.evaluate.baselines:
        _say(f"baseline {name}, on the same split", quiet)
        rivals[name] = rival(name, recipe, prepared, run, quiet=quiet)
    _say("scoring the test split, whole and cut short", quiet)
    model = network_method(recipe, prepared, run, fitted)
    network = load_network(recipe, prepared.shape, run)
    warmth = torch.tensor([model.facts["temperature"]], dtype=torch.float64)
    save_network(run, prepared, network, {"temperature": warmth})

    classes, truth = prepared.frame.classes, prepared.truth("test")
    methods = {recipe.model.name: model, **rivals}
    _write_predictions(run, prepared, model)
    write_drawn(run, recipe, prepared, network, model.test)
    metrics = {
        "seqsci": version("seqsci"),
        "task": recipe.task,
        "model": recipe.model.name,
        "data": _data_facts(prepared),
        "objects": {name: len(part) for name, part in prepared.splits.items()},
        "classes": _class_facts(prepared),
        "val": {
            "flat_log_loss": flat_log_loss(model.val, prepared.truth("val")),
            "best_epoch": fitted.best_epoch,
            "best_loss": fitted.best_val,
        },
        "temperature": model.facts["temperature"],
        "test": {
            **scores(model.test, truth, classes),
            "interval": _interval(model.test, truth, recipe),
            "reliability": _columns(reliability(model.test, truth)),
        },
        "baselines": {name: _compare(model, other, recipe, prepared) for name, other in rivals.items()},
        "early": _early(methods, recipe, prepared),
        "open_set": _open_set(methods, recipe, prepared),
        "cost": {
            **fitted.cost,
            "evaluate_cpu_s": round(time.process_time() - began, 2),
            "peak_rss_mb": round(max(fitted.cost["peak_rss_mb"], peak_rss_mb()), 1),
        },
        "machine": machine(),
    }
    run.write_json("metrics.json", metrics)
    run.resume_point.unlink(missing_ok=True)
    return run.read_json("metrics.json")


def _say(sentence: str, quiet: bool) -> None:
    if not quiet:
        print(sentence, file=sys.stderr, flush=True)


def _interval(p: Floats, y: NDArray[np.int64], recipe: ClassifyRecipe) -> list[float]:
    return list(bootstrap(p, y, flat_log_loss, resamples=recipe.evaluate.resamples, seed=recipe.train.seed))


def _compare(model: Method, other: Method, recipe: ClassifyRecipe, prepared: Prepared) -> dict[str, Any]:
    """`difference` is the model's flat log loss less the baseline's: above 0 it is worse; `val`: the same there."""
    found: dict[str, Any] = {}
    for split in ("test", "val"):
        own, theirs, truth = getattr(model, split), getattr(other, split), prepared.truth(split)
        seed = recipe.train.seed
        interval = bootstrap_difference(own, theirs, truth, resamples=recipe.evaluate.resamples, seed=seed)
        gap = flat_log_loss(own, truth) - flat_log_loss(theirs, truth)
        found[split] = {"difference": gap, "difference_interval": list(interval)}
    return {
        **scores(other.test, prepared.truth("test"), prepared.frame.classes),
        **found["test"],
        "val": {"flat_log_loss": flat_log_loss(other.val, prepared.truth("val")), **found["val"]},
        "facts": other.facts,
    }


def _early(methods: Mapping[str, Method], recipe: ClassifyRecipe, prepared: Prepared) -> dict[str, Any]:
    """Scores from what was seen so many days after the first detection: the later rows are gone before anything."""
    found: dict[str, Any] = {"days": list(recipe.evaluate.days), "by_method": {}}
    test, truth = prepared.members("test"), prepared.truth("test")
    for days in recipe.evaluate.days:
        seen = test.until(days)
        for name, method in methods.items():
            if name == "prior":
                continue
            p = method.judge(seen)
            line = found["by_method"].setdefault(name, {"flat_log_loss": [], "accuracy": [], "by_class": {}})
            line["flat_log_loss"].append(flat_log_loss(p, truth))
            line["accuracy"].append(float((p.argmax(1) == truth).mean()))
            for code, label in enumerate(prepared.frame.classes):
                own = p[truth == code, code]
                line["by_class"].setdefault(label, []).append(float(own.mean()) if len(own) else None)
    return found


def _open_set(methods: Mapping[str, Method], recipe: ClassifyRecipe, prepared: Prepared) -> dict[str, Any] | None:
    """How well 1 less the largest probability tells objects of unknown classes from those of the test split."""
    if prepared.strangers is None:
        return None
    found: dict[str, Any] = {"objects": len(prepared.strangers.objects), "by_method": {}}
    for name, method in methods.items():
        if name == "prior":
            continue
        known, unknown = 1 - method.test.max(1), 1 - method.judge(prepared.strangers).max(1)
        area, interval = open_set_auroc(known, unknown, resamples=recipe.evaluate.resamples, seed=recipe.train.seed)
        found["by_method"][name] = {"auroc": area, "interval": list(interval)}
    return found


def _data_facts(prepared: Prepared) -> dict[str, Any]:
    units = vars(prepared.curves.units)
    return {
        **{key: prepared.origin.get(key) for key in ("name", "sha256")},
        "simulated": prepared.curves.simulated,
        "classes": list(prepared.frame.classes),
        "bands": list(prepared.frame.bands),
        "units": units,
        "counts": prepared.curves.counts,
        "notes": list(prepared.notes),
    }


def _class_facts(prepared: Prepared) -> dict[str, Any]:
    """Class -> its name and its objects in each split."""
    names = prepared.origin.get("class_names") or {}
    counts = {
        split: np.bincount(prepared.truth(split), minlength=len(prepared.frame.classes)) for split in prepared.splits
    }
    return {
        label: {"name": names.get(label, label), **{split: int(n[code]) for split, n in counts.items()}}
        for code, label in enumerate(prepared.frame.classes)
    }


def _columns(table: Any) -> dict[str, Any]:
    return {name: getattr(table, name).tolist() for name in ("confidence", "accuracy", "count")}


def probability_table(ids: pl.Series, p: Floats, classes: tuple[str, ...]) -> pl.DataFrame:
    """`object_id, predicted, novelty` and `p_<class>` for each class; novelty is 1 less the largest probability."""
    names = pl.Series(classes, dtype=pl.String)
    return pl.DataFrame(
        {
            "object_id": ids,
            "predicted": names.gather(p.argmax(1)) if len(p) else pl.Series([], dtype=pl.String),
            "novelty": 1 - p.max(1, initial=0.0),
            **{f"p_{name}": p[:, code] for code, name in enumerate(classes)},
        }
    )


def _write_predictions(run: Run, prepared: Prepared, model: Method) -> None:
    """One row per test object: its class, what was predicted, and every probability."""
    objects = prepared.members("test").objects
    table = probability_table(objects["object_id"], model.test, prepared.frame.classes)
    with whole(run.folder / "predictions.parquet") as path:
        table.insert_column(1, objects["label"]).write_parquet(path, compression="zstd")
