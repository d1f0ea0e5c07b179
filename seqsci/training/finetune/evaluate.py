"""The one look at the test split: scores beside the mean, features and the same network from random weights."""

from __future__ import annotations

import sys
import time
from importlib.metadata import version
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from seqsci import metrics as measures
from seqsci.files import whole
from seqsci.metrics.records import Statistic
from seqsci.recipe import FinetuneRecipe
from seqsci.runs import Run
from seqsci.training.finetune.prepare import Prepared
from seqsci.training.finetune.rivals import Method, network_method, rival
from seqsci.training.finetune.target import Target, as_text
from seqsci.training.fit import Fitted, load_network, machine, peak_rss_mb, save_network

Floats = NDArray[np.float64]
MAIN = {"classes": "log_loss", "number": "rmse"}
"""The score that decides."""
SECOND = {"classes": "roc_auc", "number": "mae"}
"""A score whose difference is told as well."""
WORST = 12
"""Records that are drawn in the report."""


def evaluate(
    recipe: FinetuneRecipe, prepared: Prepared, run: Run, fitted: Fitted, *, quiet: bool = False
) -> dict[str, Any]:
    """Score the best weights on the test split, once, and write metrics.json and predictions.parquet.

    Everything that is chosen here (temperature, what is fitted to the features) is chosen on validation.

    Returns:
        The content of metrics.json.
    """
    began = time.process_time()
    rivals = {}
    for name in baselines(recipe):
        _say(f"baseline {name}, on the same split", quiet)
        rivals[name] = rival(name, recipe, prepared, run, quiet=quiet)
    _say("scoring the test split", quiet)
    model = network_method(recipe, prepared, run, fitted)
    warmth = torch.tensor([model.facts["temperature"]], dtype=torch.float64)
    save_network(run, prepared, load_network(recipe, prepared.shape, run), {"temperature": warmth})
    target = prepared.target
    _write_predictions(run, prepared, model)
    metrics = {
        "seqsci": version("seqsci"),
        "task": recipe.task,
        "model": recipe.model.name,
        "kind": target.kind,
        "main": MAIN[target.kind],
        "second": SECOND[target.kind],
        "label": target.name,
        "unit": target.unit,
        "token": prepared.science.UNIT,
        "start": recipe.train.start,
        "frozen": recipe.train.frozen,
        "strands": recipe.data.strands,
        "data": _data_facts(prepared),
        "records": {split: len(rows) for split, rows in prepared.chosen.items()},
        "classes": _class_facts(prepared),
        "val": {**_main(model.val, prepared, "val"), "best_epoch": fitted.best_epoch, "best_loss": fitted.best_val},
        "temperature": model.facts["temperature"],
        "test": {**_scores(model, prepared), **_intervals(model, recipe, prepared)},
        "baselines": {name: _compare(model, other, recipe, prepared) for name, other in rivals.items()},
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


def baselines(recipe: FinetuneRecipe) -> list[str]:
    """Those of the recipe; a model that itself begins with random weights does not stand beside itself."""
    return [name for name in recipe.evaluate.baselines if name != "scratch" or recipe.train.start is not None]


def prediction_table(ids: pl.Series, said: Floats, target: Target) -> pl.DataFrame:
    """`id, predicted` in the units of the label; of classes `p_<class>` for each as well."""
    if target.kind == "number":
        return pl.DataFrame({"id": ids, "predicted": said})
    names = pl.Series(target.classes, dtype=pl.String)
    shares = {f"p_{name}": said[:, code] for code, name in enumerate(target.classes)}
    return pl.DataFrame({"id": ids, "predicted": names.gather(said.argmax(1)), **shares})


def _say(sentence: str, quiet: bool) -> None:
    if not quiet:
        print(sentence, file=sys.stderr, flush=True)


def _statistics(said: Floats, prepared: Prepared, split: str = "test") -> dict[str, Statistic]:
    truth = prepared.truth(split)
    if prepared.target.kind == "classes":
        return measures.class_statistics(said, truth)
    return measures.number_statistics(said, truth)


def _main(said: Floats, prepared: Prepared, split: str) -> dict[str, float]:
    name = MAIN[prepared.target.kind]
    return {name: float(_statistics(said, prepared, split)[name](np.ones((1, len(said))))[0])}


def _scores(method: Method, prepared: Prepared) -> dict[str, Any]:
    truth, target = prepared.truth("test"), prepared.target
    if target.kind == "number":
        return dict(measures.number_scores(method.test, truth))
    found = measures.class_scores(method.test, truth, target.classes)
    table = measures.reliability(method.test, truth)
    columns = {name: getattr(table, name).tolist() for name in ("confidence", "accuracy", "count")}
    return {**found, "reliability": columns}


def _intervals(method: Method, recipe: FinetuneRecipe, prepared: Prepared) -> dict[str, Any]:
    own = _statistics(method.test, prepared)
    records = len(method.test)
    found = measures.intervals(own, records, resamples=recipe.evaluate.resamples, seed=recipe.train.seed)
    return {"interval": found[MAIN[prepared.target.kind]], "intervals": found}


def _compare(model: Method, other: Method, recipe: FinetuneRecipe, prepared: Prepared) -> dict[str, Any]:
    """`difference` is the model's main score less the baseline's, above 0 it is worse; `differences`: of every score
    that has an interval; `val`: the main score's there."""
    found: dict[str, Any] = {}
    for split in ("test", "val"):
        own, theirs = (_statistics(getattr(method, split), prepared, split) for method in (model, other))
        gaps = {name: measures.less(own[name], theirs[name]) for name in own}
        once = np.ones((1, len(prepared.chosen[split])))
        records, resamples, seed = once.shape[1], recipe.evaluate.resamples, recipe.train.seed
        ends = measures.intervals(gaps, records, resamples=resamples, seed=seed)
        found[split] = {
            name: {"difference": float(gap(once)[0]), "difference_interval": ends[name]} for name, gap in gaps.items()
        }
    main = MAIN[prepared.target.kind]
    return {
        **_scores(other, prepared),
        **found["test"][main],
        "differences": found["test"],
        "val": {**_main(other.val, prepared, "val"), **found["val"][main]},
        "facts": other.facts,
    }


def _data_facts(prepared: Prepared) -> dict[str, Any]:
    corpus = prepared.corpus
    return {
        **{key: corpus.origin.get(key) for key in ("name", "sha256")},
        "domain": corpus.kind,
        "simulated": corpus.records.simulated,
        "read": len(corpus.records),
        "notes": list(prepared.notes),
    }


def _class_facts(prepared: Prepared) -> dict[str, Any]:
    """Class -> its name and its records in each split; of a number its mean and deviation in training."""
    target = prepared.target
    if target.kind == "number":
        return {}
    counts = {split: np.bincount(prepared.truth(split), minlength=len(target.classes)) for split in prepared.chosen}
    return {
        label: {"name": label, **{split: int(n[code]) for split, n in counts.items()}}
        for code, label in enumerate(target.classes)
    }


def _write_predictions(run: Run, prepared: Prepared, model: Method) -> None:
    """predictions.parquet: a row per test record with its `label`; worst.parquet: those of the largest losses, with
    their sequences; formulas.png: their drawings, where the domain draws its records."""
    target, chosen = prepared.target, prepared.chosen["test"]
    frame = prepared.corpus.records.frame
    labels = frame["label"].gather(chosen)
    labels = as_text(labels) if target.kind == "classes" else labels.cast(pl.Float64)
    table = prediction_table(frame["id"].gather(chosen), model.test, target)
    table = table.insert_column(1, labels.alias("label"))
    truth = prepared.truth("test")
    classes = target.kind == "classes"
    loss = measures.losses_by_object(model.test, truth) if classes else np.abs(model.test - truth)
    worst = np.argsort(-loss, kind="stable")[:WORST]
    texts = [prepared.corpus.records.text(int(chosen[place])) for place in worst]
    own = pl.DataFrame({"sequence": texts, "loss": loss[worst]})
    own = table[worst.tolist()].select("id", "label", "predicted").hstack(own)
    for name, content in (("predictions", table), ("worst", own)):
        with whole(run.folder / f"{name}.parquet") as path:
            content.write_parquet(path, compression="zstd")
    draw = getattr(prepared.science, "draw", None)
    if draw is not None:
        legends = [f"{_short(row[1])}, said {_short(row[2])}" for row in own.iter_rows()]
        with whole(run.folder / "formulas.png") as path:
            path.write_bytes(draw(texts, legends))


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
