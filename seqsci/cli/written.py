"""The verbs for DNA, proteins and molecules."""

from __future__ import annotations

from pathlib import Path

from seqsci.cli import jobs
from seqsci.cli.verbs import SETTINGS, Set, app


@app.command(help_epilogue=SETTINGS)
def pretrain(
    *,
    data: str | None = None,
    model: str | None = None,
    domain: str | None = None,
    objective: str | None = None,
    recipe: str | None = None,
    seed: int | None = None,
    runs: Path = Path("runs"),
    set: Set = (),
) -> None:
    """Train a language model of DNA, proteins or molecules, score it beside its baselines, and write a report.

    Parameters
    ----------
    data
        A name of `seqsci data list`, or files (several with commas between): FASTA, FASTQ, GenBank, A3M, Stockholm,
        SMILES, SDF, CSV or Parquet, compressed or not. Without it: simulated molecules.
    model
        A name of `seqsci models`; bioxlstm by default.
    domain
        genomics, proteins or molecules; found out of the files when not given.
    objective
        causal (tell each token from those before it), masked, or fim (fill-in-the-middle, proteins).
    recipe
        A name of `seqsci recipes` or a YAML file; by default the one made for this model and data.
    seed
        Seed of everything random in the run.
    runs
        Folder that the run folder is made in.
    """
    from seqsci.recipe import resolve
    from seqsci.training.language.science import named_science

    kind = named_science(data, domain)
    named = {"data.name": data, "model.name": model, "data.domain": kind, "train.objective": objective}
    changes = jobs.changes(set, {**named, "train.seed": seed})
    resolved, note = resolve("pretrain", data=data, model=model, recipe=recipe, changes=changes)
    print(f"{note}: {jobs.outline(resolved)}", flush=True)
    jobs.train(resolved, runs)


@app.command(help_epilogue=SETTINGS)
def finetune(
    run: Path | None = None,
    /,
    *,
    data: str | None = None,
    label: str | None = None,
    model: str | None = None,
    domain: str | None = None,
    recipe: str | None = None,
    seed: int | None = None,
    runs: Path = Path("runs"),
    set: Set = (),
) -> None:
    """Learn a class or a number of each record, from a pretrained model or from nothing, and write a report.

    Parameters
    ----------
    run
        A run folder of `seqsci pretrain` whose model training begins with; without it random weights.
    data
        A name of `seqsci data list`, or files (several with commas between) with a column to predict. Without it:
        simulated molecules.
    label
        Column of what is to be predicted; "file" makes the names of the files classes. By default the data set's own.
    model
        A name of `seqsci models`; bioxlstm by default. A pretrained run brings its own.
    domain
        genomics, proteins or molecules; found out of the files when not given.
    recipe
        A name of `seqsci recipes` or a YAML file; by default the one made for this model and data.
    seed
        Seed of everything random in the run.
    runs
        Folder that the run folder is made in.
    """
    from seqsci.recipe import resolve
    from seqsci.training.language.science import named_science

    if run is None:
        own = {"data.domain": named_science(data, domain)}
    else:
        from seqsci.training.finetune.pretrained import starting

        own = starting(run, data, model=model, domain=domain)
    named = {"data.name": data, "model.name": model, "data.label": label, "train.seed": seed}
    changes = {**own, **jobs.changes(set, named)}
    resolved, note = resolve("finetune", data=data, model=own.get("model.name", model), recipe=recipe, changes=changes)
    print(f"{note}: {jobs.outline(resolved)}", flush=True)
    jobs.train(resolved, runs)
