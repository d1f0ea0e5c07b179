"""The one look at the test split: nats per token beside a Markov model and a transformer."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.data.records import SPECIALS
from seqsci.files import whole
from seqsci.metrics import bootstrap_ratio
from seqsci.recipe import PretrainRecipe
from seqsci.runs import Run
from seqsci.training.fit import Fitted, machine, peak_rss_mb
from seqsci.training.language.load import SPLITS, Corpus
from seqsci.training.pretrain.prepare import Prepared
from seqsci.training.pretrain.rivals import Method, network_method, rival

Floats = NDArray[np.float64]
MOST_LETTERS = 2_000_000
"""Of a split, that are counted for the composition."""


def evaluate(
    recipe: PretrainRecipe, prepared: Prepared, run: Run, fitted: Fitted, *, quiet: bool = False
) -> dict[str, Any]:
    """Score the best weights on the test split, once, and write metrics.json and predictions.parquet.

    Returns:
        The content of metrics.json.
    """
    began = time.process_time()
    rivals = {}
    for name in recipe.evaluate.baselines:
        _say(f"baseline {name}, on the same rows", quiet)
        rivals[name] = rival(name, recipe, prepared, run, quiet=quiet)
    _say("scoring the test split", quiet)
    model = network_method(recipe, prepared, run, fitted)
    _write_predictions(run, prepared, model)
    metrics = {
        "seqsci": version("seqsci"),
        "task": recipe.task,
        "model": recipe.model.name,
        "objective": recipe.train.objective,
        "strands": recipe.data.strands,
        "unit": prepared.corpus.science.UNIT,
        "data": _data_facts(prepared),
        "test": {**_score(model.test, recipe), "facts": model.facts},
        "val": {"nats": _mean(model.val)},
        "baselines": {name: _compare(model, other, recipe) for name, other in rivals.items()},
        "cost": {
            **fitted.cost,
            "tokens_per_cpu_s": model.facts["tokens_per_cpu_s"],
            "evaluate_cpu_s": round(time.process_time() - began, 2),
            "peak_rss_mb": round(max(fitted.cost["peak_rss_mb"], peak_rss_mb()), 1),
        },
        "machine": machine(),
    }
    run.write_json("metrics.json", metrics)
    run.resume_point.unlink(missing_ok=True)
    return run.read_json("metrics.json")


def predict(
    run: Run, data: Any = None, tell: Callable[[str], None] | None = None, invalid: str | None = None, **further: Any
) -> pl.DataFrame:
    """See `seqsci.api.Result.predict`: the log-likelihood of each record."""
    from seqsci.training.language.score import score
    from seqsci.training.language.speaker import Speaker

    return score(Speaker(run, invalid=invalid), data, tell=tell).table


def _say(sentence: str, quiet: bool) -> None:
    if not quiet:
        print(sentence, file=sys.stderr, flush=True)


def _mean(losses: Floats) -> float:
    return float(losses[:, 0].sum() / losses[:, 1].sum())


def _score(losses: Floats, recipe: PretrainRecipe) -> dict[str, Any]:
    """Nats per token that was asked for, with the interval over rows."""
    seed, resamples = recipe.train.seed, recipe.evaluate.resamples
    interval = bootstrap_ratio(losses[:, 0], losses[:, 1], resamples=resamples, seed=seed)
    return {"nats": _mean(losses), "interval": list(interval), "tokens": int(losses[:, 1].sum()), "rows": len(losses)}


def _compare(model: Method, other: Method, recipe: PretrainRecipe) -> dict[str, Any]:
    """`difference` is the model's nats less the baseline's: above 0 it is worse."""
    seed, resamples = recipe.train.seed, recipe.evaluate.resamples
    gap = model.test[:, 0] - other.test[:, 0]
    interval = bootstrap_ratio(gap, model.test[:, 1], resamples=resamples, seed=seed)
    return {
        **_score(other.test, recipe),
        "difference": float(gap.sum() / model.test[:, 1].sum()),
        "difference_interval": list(interval),
        "val": {"nats": _mean(other.val)},
        "facts": other.facts,
    }


def _data_facts(prepared: Prepared) -> dict[str, Any]:
    corpus = prepared.corpus
    pieces = corpus.parts.frame
    lengths = (pieces["stop"] - pieces["start"]).to_numpy()
    counts = {split: int((pieces["split"] == split).sum()) for split in SPLITS}
    return {
        **{key: corpus.origin.get(key) for key in ("name", "sha256")},
        "domain": corpus.kind,
        "simulated": corpus.records.simulated,
        "records": len(corpus.records),
        "pieces": counts,
        # Lengths that pieces have: what is interpolated between two of them would be none.
        "lengths": [int(x) for x in np.quantile(lengths, np.linspace(0, 1, 51), method="inverted_cdf")],
        "composition": {split: composition(corpus, split) for split in SPLITS},
        "notes": list(corpus.notes),
    }


def composition(corpus: Corpus, split: str) -> dict[str, float]:
    """Share of each token among the first letters of a split, the commonest first."""
    tokenizer, left = corpus.science.TOKENIZER, MOST_LETTERS
    counts: Counter[str] = Counter()
    for record, start, stop in corpus.pieces(split):
        # A token of several letters must not be cut; a genome need not be read whole.
        text = corpus.records.text(record, start, min(stop, start + left) if start or stop > MOST_LETTERS else stop)
        tokens = tokenizer.encode(text)
        for token, n in enumerate(np.bincount(tokens, minlength=len(tokenizer.symbols))):
            if n and token >= len(SPECIALS):
                counts[tokenizer.symbols[token]] += int(n)
        left -= len(text)
        if left <= 0:
            break
    total = max(sum(counts.values()), 1)
    return {symbol: n / total for symbol, n in counts.most_common()}


def _write_predictions(run: Run, prepared: Prepared, model: Method) -> None:
    """One row per test row: where it was cut out, its nats and tokens."""
    items = prepared.items["test"]
    table = pl.DataFrame({"nats": model.test[:, 0], "tokens": model.test[:, 1].astype(np.int64)})
    if not items.sets:
        ids = prepared.corpus.records.frame["id"].gather(items.windows[:, 0])
        place = {"id": ids, "start": items.windows[:, 1], "stop": items.windows[:, 2]}
        table = pl.DataFrame(place).hstack(table)
    with whole(run.folder / "predictions.parquet") as path:
        table.write_parquet(path, compression="zstd")
