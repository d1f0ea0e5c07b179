"""Every encoder of the registry on real data under equal budgets, beside what costs next to nothing: one table.

    SEQSCI_DATA=FOLDER python benchmarks/matrix.py --out FOLDER --seeds 1

The budget of a data set is the same for each encoder: the same rows, epochs and batches (no early stopping; validation
picks the epoch), and as many parameters, by the width that comes nearest to `PARAMETERS`. All else is that of the
encoder's shipped recipe, which was not tuned to these sets. A test split is scored once by each. What is complete in
the folder is not repeated, so a benchmark that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

import seqsci
from seqsci import catalog, matrix, registry
from seqsci.errors import SeqsciError
from seqsci.metrics import block_bootstrap, losses_by_object
from seqsci.models.baselines import seasonal_naive
from seqsci.models.ridge import CONTEXTS, Ridge
from seqsci.nn.head import build
from seqsci.nn.sized import nearest_in_size, parameters
from seqsci.recipe import Recipe, as_tree, read
from seqsci.recipe import build as checked
from seqsci.runs import Run
from seqsci.training.classify.rivals import rival as classify_rival
from seqsci.training.finetune.rivals import rival as finetune_rival
from seqsci.training.prepared import job

Floats = NDArray[np.float64]
Settings = Mapping[str, Any]

PARAMETERS = 50_000
"""Of a whole network, embedding and head counted, nearly."""
WIDTHS = range(16, 257, 8)
AROUND = ("t2",)
"""Encoders that HMT is put around; around Bio-xLSTM it costs about twice as much."""
RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Column:
    """A data set: what is asked of it, and what every network is given there."""

    title: str
    task: str
    data: str
    settings: Settings
    baselines: tuple[str, ...]
    second: str
    """A score that is told beside the main one."""
    context: int

    @property
    def flat(self) -> bool:
        """Whether each class weighs the same."""
        return self.task == "classify"


COMMON: Settings = {"data.input": "direct", "data.context": 64, "data.features": True, "train.epochs": 10,
                    "train.batch": 64, "evaluate.baselines": [], "evaluate.days": [8], "evaluate.open_set": False}  # fmt: skip
"""Light curves as classify/t2-direct reads them, with the measures that boosting reads."""
LABELLED: Settings = {"train.batch": 32, "evaluate.baselines": []}
"""From random weights."""
COLUMNS = (
    Column(
        title="ETTh1, horizon 96: MSE", task="forecast", data="etth1", context=96, second="MAE",
        settings={"data.target": "all", "data.context": 96, "data.horizon": 96, "data.level": "mean",
                  "train.epochs": 2, "train.batch": 32},
        baselines=("ridge", "seasonal naive"),
    ),
    Column(
        title="SPCC: flat log loss", task="classify", data="spcc", context=64, second="accuracy",
        settings=COMMON, baselines=("boosting", "prior"),
    ),
    Column(
        title="E. coli promoters: log loss", task="finetune", data="promoters_ecoli", context=96, second="ROC-AUC",
        settings={**LABELLED, "data.context": 96, "train.epochs": 4}, baselines=("features", "mean"),
    ),
    Column(
        title="BBBP, scaffold split: log loss", task="finetune", data="bbbp", context=128, second="ROC-AUC",
        settings={**LABELLED, "data.context": 128, "train.epochs": 8}, baselines=("features", "mean"),
    ),
    Column(
        title="MALLORN, 4 classes: flat log loss", task="classify", data="mallorn", context=64, second="accuracy",
        settings={**COMMON, "data.least": 100}, baselines=("boosting", "prior"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """`losses (W,)` of the items of a test split, and the second score of all of them."""

    losses: Floats
    second: float


# The networks.


def rows() -> list[str]:
    """Every encoder, and HMT around some."""
    plain = [name for name in registry.names() if name != "hmt"]  # patches as their recipes have them
    return [*plain, *(f"hmt/{name}" for name in AROUND)]


def planned(row: str, column: Column, seed: int) -> Recipe:
    """The shipped recipe of the row's encoder, in the column's budget and as wide as comes nearest to `PARAMETERS`."""
    name = row.removeprefix("hmt/")
    tree = read(f"{column.task}/{name}")
    tree = {**{key: tree[key] for key in ("task", "model", "train")}, "data": {"name": column.data}}
    patience = {"train.patience": column.settings["train.epochs"]}
    # Patches normalise each window themselves.
    level = {"data.level": "none"} if (name, column.task) == ("patched", "forecast") else {}
    made = checked(tree).with_({**column.settings, **level, **patience, "train.seed": seed})
    tree = as_tree(made)
    return nearest_in_size(_widths(tree, row, column), PARAMETERS, lambda one: size(one, column))


def _widths(tree: dict[str, Any], row: str, column: Column) -> Iterator[Recipe]:
    for width in WIDTHS:
        with suppress(SeqsciError):  # heads do not divide every width
            yield checked({**tree, "model": widened(tree["model"], row, width, column.context)})


def widened(model: Settings, row: str, width: int, context: int) -> dict[str, Any]:
    """A model's block at a width, with HMT around it if the row says so; an inner width that is given stays as many
    times the width."""
    if "encoder" in model:
        return {**model, "encoder": widened(model["encoder"], row, width, context)}
    own = {**model, "width": width}
    if model.get("feedforward") is not None:
        own["feedforward"] = model["feedforward"] * width // model["width"]
    if not row.startswith("hmt/"):
        return own
    segment = context // 4
    return {"name": "hmt", "encoder": own, "segment": segment, "memory": 8, "sensory": segment // 4}


def size(recipe: Recipe, column: Column) -> int:
    """Parameters of the network."""
    sizes = prepared(column.data)[1].shape
    with torch.random.fork_rng(devices=[]):
        network = build(recipe.task, recipe.model, sizes)
    return parameters(network)


@cache
def prepared(data: str) -> tuple[Recipe, Any]:
    """A data set as every network of its column reads it, and a recipe that reads it so."""
    column = next(one for one in COLUMNS if one.data == data)
    first = {"forecast": "informer", "classify": "t2", "finetune": "bioxlstm"}[column.task]
    tree = read(f"{column.task}/{first}")
    recipe = checked({**tree, "data": {"name": data}, "search": {}}).with_(column.settings)
    return recipe, job(recipe).prepare(recipe)


def trained(out: Path, row: str, column: Column, seed: int) -> Any:
    """The complete run, trained unless it is there."""
    told = out / f"{column.data}-{row.replace('/', '-')}-{seed}.json"
    if told.is_file():
        return seqsci.open_run(json.loads(told.read_text())["folder"])
    recipe = planned(row, column, seed)
    print(f"{column.data}, {row}, seed {seed}: width {recipe.model.width}", flush=True)
    began = time.process_time()
    further: dict[str, Any] = {"recipe": recipe, "runs": out / "runs", "quiet": True}
    if column.task == "finetune":
        result = seqsci.finetune(None, column.data, **further)
    else:
        result = {"forecast": seqsci.forecast, "classify": seqsci.classify}[column.task](column.data, **further)
    spent = time.process_time() - began
    told.write_text(json.dumps({"folder": str(result.folder.resolve()), "cpu_s": spent}))
    print(f"  {spent:.0f} CPU s", flush=True)
    return result


def answered(result: Any, column: Column) -> Answer:
    """What a run has said of its test split, judged."""
    found = pl.read_parquet(result.folder / "predictions.parquet")
    data = prepared(column.data)[1]
    if column.task == "forecast":
        scale = data.frame.scale[list(data.frame.output_index)]
        truth, _ = data.truth("test")
        said = found["yhat"].to_numpy().reshape(truth.shape)
        return judged_forecast((said - data.frame.mean[list(data.frame.output_index)]) / scale, column)
    return judged(found.select(pl.col("^p_.*$")).to_numpy(), column)


# What stands beside them.


def beside(out: Path, name: str, column: Column) -> Answer:
    """A baseline, computed once."""
    kept = out / f"{column.data}-{name.replace(' ', '-')}.npz"
    if not kept.is_file():
        recipe, data = prepared(column.data)
        if column.task == "forecast":
            answer = judged_forecast(_forecasts(name, data), column)
        else:
            rival: Callable[..., Any] = {"classify": classify_rival, "finetune": finetune_rival}[column.task]
            answer = judged(rival(name, recipe, data, Run(out), quiet=True).test, column)
        np.savez(kept, losses=answer.losses, second=answer.second)
    with np.load(kept) as found:
        return Answer(found["losses"], float(found["second"]))


def _forecasts(name: str, data: Any) -> Floats:
    test, horizon = data.span("test"), data.shape.horizon
    if name == "seasonal naive":
        return np.asarray(seasonal_naive(test, horizon, data.frame.season), np.float64)
    ridge = Ridge(data.shape.context, horizon, CONTEXTS).fit(data.span("train"), data.span("val"))
    return np.asarray(ridge.predict(test), np.float64)


def judged_forecast(said: Floats, column: Column) -> Answer:
    """(W, H, C) forecasts in scaled units."""
    truth, seen = prepared(column.data)[1].truth("test")
    assert seen.all()
    error = said - truth
    return Answer(np.square(error).mean((1, 2)), float(np.abs(error).mean()))


def judged(p: Floats, column: Column) -> Answer:
    """(W, K) probabilities."""
    truth = prepared(column.data)[1].truth("test")
    second = float((p.argmax(1) == truth).mean()) if column.flat else float(roc_auc_score(truth, p[:, 1]))
    return Answer(losses_by_object(p, truth), second)


# The table.


def mean(losses: Floats, column: Column) -> float:
    """Over the items, or over the classes of the mean of each."""
    return float(np.mean([losses[part].mean() for part in parts(column)]))


def parts(column: Column) -> list[NDArray[np.int64]]:
    """Items that are averaged, and drawn, apart: those of each class where classes weigh the same."""
    truth = prepared(column.data)[1].truth("test")
    if not column.flat:
        return [np.arange(len(truth if column.task == "finetune" else truth[0]))]
    return [np.flatnonzero(truth == code) for code in np.unique(truth)]


def interval(losses: Floats, column: Column) -> tuple[float, float]:
    """95 % of the mean, by the bootstrap over items: in blocks of a horizon in time, class by class where they weigh
    the same."""
    if column.task == "forecast":
        return block_bootstrap(losses, 96, resamples=RESAMPLES, seed=0)
    rng, draws = np.random.default_rng(0), np.zeros(RESAMPLES)
    for part in parts(column):
        drawn = rng.multinomial(len(part), np.full(len(part), 1 / len(part)), RESAMPLES)
        draws += drawn @ losses[part] / len(part) / len(parts(column))
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def answers(out: Path, column: Column, seeds: int) -> dict[str, Answer]:
    """Row -> the mean over its seeds."""
    found = {}
    for row in rows():
        if missing(row, column):
            continue
        every = [answered(trained(out, row, column, seed), column) for seed in range(seeds)]
        found[row] = Answer(np.mean([one.losses for one in every], 0), float(np.mean([one.second for one in every])))
    return found | {name: beside(out, name, column) for name in column.baselines}


def missing(row: str, column: Column) -> str:
    """Why a row has nothing to say here, in a word or two."""
    if matrix.refused(row, column.task):
        return "refused"
    return "" if f"{column.task}/{row.removeprefix('hmt/')}" in catalog.recipes() else "no recipe"


def cell(row: str, found: Mapping[str, Answer], column: Column) -> str:
    """Mean, interval and the second score; the best mean is bold."""
    if row not in found:
        return missing(row, column) if row in rows() else ""
    scores = {name: mean(answer.losses, column) for name, answer in found.items()}
    score = f"{scores[row]:.3f}"
    low, high = interval(found[row].losses, column)
    best = f"**{score}**" if scores[row] == min(scores.values()) else score
    return f"{best} [{low:.3f}, {high:.3f}]; {found[row].second:.3f}"


def verdict(found: Mapping[str, Answer], column: Column) -> str:
    """Which wins, or that there is no clear difference; and the best network beside each baseline."""
    order = sorted(found, key=lambda name: mean(found[name].losses, column))
    best = order[0]
    near = [name for name in order[1:] if interval(found[best].losses - found[name].losses, column)[1] >= 0]
    network = next(name for name in order if name not in column.baselines)
    said = f"no clear difference between {words(best)} and {_listed(near)}" if near else f"the winner is {words(best)}"
    gaps = []
    for name in column.baselines:
        gap = found[network].losses - found[name].losses
        low, high = interval(gap, column)
        gaps.append(f"{name} {mean(gap, column):+.3f} [{low:+.3f}, {high:+.3f}]")
    title, less = column.title.split(":")[0], "; less ".join(gaps)
    return f"{title}: **{said}**. The best network, {words(network)}, less {less}.{other(found, best, column)}"


def other(found: Mapping[str, Answer], best: str, column: Column) -> str:
    """What is ahead by the second score, where it is not the same."""
    choose = min if column.second == "MAE" else max
    first = choose(found, key=lambda name: found[name].second)
    gap = f"{found[first].second:.3f} to {found[best].second:.3f}"
    return "" if first == best else f" By {column.second} {words(first)} is ahead, {gap}."


def _listed(names: list[str]) -> str:
    return ", ".join(map(words, names[:-1])) + (" and " if len(names) > 1 else "") + words(names[-1])


def words(row: str) -> str:
    """A row as it is spoken of."""
    return f"HMT around {row.removeprefix('hmt/')}" if row.startswith("hmt/") else row


def table(every: Mapping[str, Mapping[str, Answer]]) -> str:
    """Markdown."""
    columns = [column for column in COLUMNS if column.data in every]
    others = list(dict.fromkeys(name for column in columns for name in column.baselines))
    lines = [["", *(f"{column.title}; {column.second}" for column in columns)], ["---"] * (1 + len(columns))]
    lines += [[words(row), *(cell(row, every[c.data], c) for c in columns)] for row in [*rows(), *others]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def budget(out: Path, column: Column, seeds: int) -> str:
    """Parameters and CPU seconds of each network of a column."""
    told = []
    for row in rows():
        costs = [out / f"{column.data}-{row.replace('/', '-')}-{seed}.json" for seed in range(seeds)]
        if all(path.is_file() for path in costs):
            kept = [json.loads(path.read_text()) for path in costs]
            result = seqsci.open_run(kept[0]["folder"])
            size, spent = result.metrics["cost"]["parameters"], np.median([one["cpu_s"] for one in kept])
            told.append(f"{words(row)} {size / 1000:.0f}k (width {result.recipe.model.width}), {spent:.0f} s")
    return f"{column.data}: " + "; ".join(told)


def main() -> None:
    """Fill the table, a data set at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=[column.data for column in COLUMNS], help="some data sets alone")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    wanted = given.only or [column.data for column in COLUMNS]
    columns = [column for name in wanted for column in COLUMNS if column.data == name]
    every = {}
    for column in columns:
        began = time.process_time()
        every[column.data] = answers(given.out, column, given.seeds)
        print(f"{column.data}: {(time.process_time() - began) / 60:.1f} CPU minutes", flush=True)
    print("", table(every), "", sep="\n")
    print("\n".join(f"- {verdict(every[column.data], column)}" for column in columns))
    print("\n".join(["", *(budget(given.out, column, given.seeds) for column in columns)]))


if __name__ == "__main__":
    main()
