"""The verbs for DNA, proteins and molecules."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from seqsci.cli import jobs
from seqsci.cli.verbs import SETTINGS, Invalid, RunFolder, Set, app


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

    kind = named_science(data, domain, jobs.changes(set, {}))
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
        own = {"data.domain": named_science(data, domain, jobs.changes(set, {}))}
    else:
        from seqsci.training.finetune.pretrained import starting

        own = starting(run, data, model=model, domain=domain)
    named = {"data.name": data, "model.name": model, "data.label": label, "train.seed": seed}
    changes = {**own, **jobs.changes(set, named)}
    resolved, note = resolve("finetune", data=data, model=own.get("model.name", model), recipe=recipe, changes=changes)
    print(f"{note}: {jobs.outline(resolved)}", flush=True)
    jobs.train(resolved, runs)


@app.command
def score(
    run: RunFolder,
    *,
    data: str | None = None,
    variants: Path | None = None,
    window: int | None = None,
    context: str | None = None,
    context_size: int | None = None,
    strands: Literal["one", "both"] | None = None,
    measured: str | None = None,
    seed: int = 0,
    invalid: Invalid = None,
    output: Path | None = None,
) -> None:
    """How probable a pretrained run finds records, or variants of records: a table, and a report.

    Parameters
    ----------
    data
        A name of `seqsci data list`, or files as for `seqsci pretrain`; by default the run's own data. With --variants
        the references that they are of.
    variants
        VCF, a list of substitutions such as A24G, or a CSV with a column mutant: each gets ln p with it less ln p
        without it.
    window
        Letters around a variant that are read; by default records of up to 4096 letters are read whole.
    context
        Records that are read before each query: homologs, or molecules of one assay.
    context_size
        How many of these, drawn with the seed; by default all.
    strands
        DNA: both takes a record and its reverse complement together; by default as the run was made.
    measured
        A column of numbers to compare with.
    seed
        Of the choice of the context, and of the intervals.
    invalid
        Refuse, or skip, records that cannot be read; by default as the run was made.
    output
        A folder, or one file that ends in .parquet or .csv; by default the next score-<number> in the run folder.
    """
    from seqsci import speech

    jobs.answer(
        speech.score(
            run,
            data,
            variants=variants,
            window=window,
            context=context,
            context_size=context_size,
            strands=strands,
            measured=measured,
            seed=seed,
            invalid=invalid,
            output=output,
        )
    )


@app.command
def embed(
    run: RunFolder,
    *,
    data: str | None = None,
    per: Literal["record", "position"] = "record",
    strands: Literal["one", "both"] | None = None,
    label: str | None = None,
    invalid: Invalid = None,
    output: Path | None = None,
) -> None:
    """Vectors of records from a pretrained run: a table for other programs, and a report with a map.

    Parameters
    ----------
    data
        A name of `seqsci data list`, or files as for `seqsci pretrain`; by default the run's own data.
    per
        One vector per record (the mean over its letters), or per position.
    strands
        DNA: both takes the mean over a record and its reverse complement; by default as the run was made.
    label
        A column for the colours of the map.
    invalid
        Refuse, or skip, records that cannot be read; by default as the run was made.
    output
        A folder, or one file that ends in .parquet (or .csv, one vector per record); by default the next
        embed-<number> in the run folder.
    """
    from seqsci import speech

    jobs.answer(speech.embed(run, data, per=per, strands=strands, label=label, invalid=invalid, output=output))


@app.command
def generate(
    run: RunFolder,
    *,
    count: int = 1000,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    prompt: str | None = None,
    fill: str | None = None,
    context: str | None = None,
    context_size: int | None = None,
    longest: int | None = None,
    invalid: Invalid = None,
    output: Path | None = None,
) -> None:
    """New sequences from a pretrained run, judged beside the training data: a table, FASTA or SMILES, and a report.

    Parameters
    ----------
    count
        Sequences.
    temperature
        1 as the model says; less is more cautious; 0 takes the likeliest token each time, which gives one sequence.
    top_k
        Draw from so many of the likeliest tokens; 0 for all.
    top_p
        Draw from the fewest likeliest tokens that have this share; 1 for all.
    seed
        Of all draws.
    prompt
        How each sequence begins.
    fill
        A protein with gaps in brackets, which are filled: MKV[12]GLA (12 residues), MKV[8-12]GLA, MKV[]GLA (some). For
        runs of --objective fim.
    context
        Records that are read before: homologs, or molecules of one assay.
    context_size
        How many of these, drawn with the seed; by default all.
    longest
        Tokens of a sequence at most; by default as many as a row in training had.
    invalid
        Refuse, or skip, records of the context that cannot be read; by default as the run was made.
    output
        A folder, or one file that ends in .parquet, .csv, .smi or .fasta; by default the next generate-<number> in
        the run folder.
    """
    from seqsci import speech

    wishes: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    wishes |= {"prompt": prompt, "fill": fill, "context": context, "context_size": context_size, "longest": longest}
    jobs.answer(speech.generate(run, count=count, invalid=invalid, output=output, **wishes))


@app.command(name="import")
def import_published(path: Path, *, family: str, runs: Path = Path("runs")) -> None:
    """Make a run folder of published Bio-xLSTM weights, for score, embed, generate and finetune.

    Parameters
    ----------
    path
        A folder with weights (safetensors or PyTorch) and their configuration, or the file of weights.
    family
        dna, dna-ps or prot.
    runs
        Folder that the run folder is made in.
    """
    from seqsci.language import import_published as made

    print(made(path, family, runs=runs).folder)
