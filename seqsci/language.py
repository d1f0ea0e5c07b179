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
    given = as_settings(settings)
    kind = named_science(data if source is None else None, domain, given)
    short = {"data.domain": kind, "train.objective": objective}
    changes = {**{path: value for path, value in short.items() if value is not None}, **given}
    resolved, _ = plan("pretrain", data, model, recipe=recipe, settings=changes, seed=seed)
    return finish(start(resolved, runs, source), quiet=quiet)


def finetune(
    run: str | Path | Result | None = None,
    data: Any = None,
    model: str | None = None,
    *,
    label: str | None = None,
    domain: str | None = None,
    recipe: str | Recipe | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    runs: str | Path = "runs",
    quiet: bool = False,
) -> Result:
    """Learn a class or a number of each record, score it once on the test split beside its baselines, and keep it all.

    Args:
        run: a complete run of `pretrain`, or its folder: its model, domain and context are taken over, and training
            begins with its weights; None: with random ones.
        data: a data set name, a path (or several with commas between), or a polars, pandas or Arrow frame with a column
            of sequences or SMILES and one of what is to be predicted; simulated molecules by default.
        model: a name of `seqsci models`; bioxlstm by default; a pretrained run brings its own.
        label: column of what is to be predicted: a class, or a number; "file": the name of the file is the class. By
            default the data set's own, or `label`.
        domain: genomics, proteins or molecules; found out of names and first lines when not given.
        recipe, settings, seed, runs, quiet: as for `pretrain`.

    Raises:
        SeqsciError: what is wrong with the names, the settings, the data or the pretrained run.
        seqsci.training.callbacks.Interrupted: after Ctrl-C; `resume` goes on.
    """
    source = None if data is None or isinstance(data, str | Path) else data
    given = as_settings(settings)
    if run is None:
        own = {"data.domain": named_science(data if source is None else None, domain, given)}
    else:
        from seqsci.training.finetune.pretrained import starting

        own = starting(run.folder if isinstance(run, Result) else run, data, model=model, domain=domain)
        model = own["model.name"]
    short = {**own, "data.label": label}
    changes = {**{path: value for path, value in short.items() if value is not None}, **given}
    resolved, _ = plan("finetune", data, model, recipe=recipe, settings=changes, seed=seed)
    return finish(start(resolved, runs, source), quiet=quiet)


def import_published(path: str | Path, family: str, *, runs: str | Path = "runs") -> Result:
    """A run folder with the weights of a published Bio-xLSTM, for `score`, `embed`, `generate` and `finetune`.

    Args:
        path: a folder with weights (safetensors or PyTorch) and their configuration, or the file of weights.
        family: "dna", "dna-ps" or "prot".
        runs: folder that the run folder is made in.

    Raises:
        SeqsciError: a family without a known vocabulary, or names and shapes that are not those of one.
    """
    from seqsci.training.language.published import import_published as made

    return Result(made(Path(path), family, Path(runs)))
