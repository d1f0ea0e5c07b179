"""What the command line and a notebook call for DNA, proteins and molecules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqsci.api import Result, as_settings, finish, plan, start
from seqsci.recipe import Recipe
from seqsci.training.language.science import named_science


def pretrain(
    data: Any = None,
    model: str | None = None,
    *,
    domain: str | None = None,
    objective: str | None = None,
    recipe: str | Recipe | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    runs: str | Path = "runs",
    quiet: bool = False,
) -> Result:
    """Train a language model, score it once on the test split beside its baselines, and keep all in a run folder.

    Args:
        data: a data set name, a path (or several with commas between), a polars, pandas or Arrow frame with a column of
            sequences or SMILES, or a list of texts; simulated molecules by default.
        model: a name of `seqsci models`; bioxlstm by default.
        domain: genomics, proteins or molecules; found out of names and first lines when not given.
        objective: causal, masked or fim.
        recipe: a shipped recipe, a YAML file or a Recipe; chosen by model and data when not given.
        settings: any further field by its dotted path, such as {"train.epochs": 2, "model.width": 64}.
        seed: of the whole run.
        runs: folder that run folders are made in.
        quiet: print no progress.

    Raises:
        SeqsciError: what is wrong with the names, the settings or the data.
        seqsci.training.callbacks.Interrupted: after Ctrl-C; `resume` goes on.
    """
    source = None if data is None or isinstance(data, str | Path) else data
    kind = named_science(data if source is None else None, domain)
    short = {"data.domain": kind, "train.objective": objective}
    changes = {**{path: value for path, value in short.items() if value is not None}, **as_settings(settings)}
    resolved, _ = plan("pretrain", data, model, recipe=recipe, settings=changes, seed=seed)
    return finish(start(resolved, runs, source), quiet=quiet)
