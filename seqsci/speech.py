"""What a pretrained run says: `seqsci.score`, `seqsci.embed` and `seqsci.generate`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from seqsci.api import Result
from seqsci.errors import SeqsciError
from seqsci.report.language import build_report
from seqsci.runs import Run
from seqsci.training.language.speaker import Speaker
from seqsci.training.language.told import TABLES, Place, Told, write_file, write_folder

NAMES = {"score": "scores", "embed": "embeddings", "generate": "generated", "fill": "filled"}
"""Verb -> its table's name."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a run has said: a table, its summary, and where both lie.

    `folder` holds the table, summary.json and report.html; None where one `file` was asked for.
    """

    summary: dict[str, Any]
    folder: Path | None
    file: Path
    kept: pl.DataFrame | None = field(default=None, repr=False)

    @cached_property
    def table(self) -> pl.DataFrame:
        """A row per record, variant, letter or generated sequence."""
        return pl.read_parquet(self.file) if self.kept is None else self.kept

    @property
    def report(self) -> Path | None:
        """The page, where there is a folder."""
        return None if self.folder is None else self.folder / "report.html"


def score(
    run: str | Path | Run | Result,
    data: Any = None,
    *,
    variants: Any = None,
    window: int | None = None,
    context: Any = None,
    context_size: int | None = None,
    strands: str | None = None,
    measured: str | None = None,
    seed: int = 0,
    invalid: str | None = None,
    output: str | Path | None = None,
    quiet: bool = False,
) -> Answer:
    """How probable a pretrained run finds records, or variants of records.

    Args:
        run: a complete run of `seqsci pretrain`.
        data: a data set name, a path, a frame or a list of texts; by default the run's own data. With `variants` the
            references that they are of.
        variants: a path (VCF, a list of substitutions such as A24G, or a table with a column `mutant`), a list or a
            frame.
        window: letters around a variant that are read; by default records of up to 4096 letters are read whole.
        context: records (as `data`) that are read before each query: homologs, or molecules of one assay.
        context_size: of these, drawn with `seed`; by default all.
        strands: "both" takes a DNA record and its reverse complement together; by default as the run was made.
        measured: a column of numbers to compare with (Spearman's correlation with its interval).
        seed: of the choice of the context and of the intervals.
        invalid: "refuse" or "skip" records that cannot be read; by default as the run was made.
        output: a folder, or one file that ends in .parquet or .csv; by default the next `<run>/score-<number>`.
        quiet: print no progress.

    Returns:
        `table`: `id, tokens, log_likelihood, nats_per_token`, of a masked model `pseudo_log_likelihood`; or `record,
        name, positions, reference, alternative, log_ratio`.

    Raises:
        SeqsciError: what is wrong with the run, the data or the wishes.
    """
    found = _run(run)
    place = Place.of(found, "score", output)
    speaker = Speaker(found, strands, invalid)
    wishes = {"context": context, "context_size": context_size, "seed": seed, "measured": measured}
    if variants is None:
        if window is not None:
            raise SeqsciError("window: it goes with variants; name their file as well, or leave it out")
        from seqsci.training.language.score import score as ask

        told = ask(speaker, data, **wishes, **_ears(quiet))
    else:
        from seqsci.training.language.variants import score_variants

        told = score_variants(speaker, data, variants, window=window, **wishes, **_ears(quiet))
    return _keep(told, place, "score", output is None)


def embed(
    run: str | Path | Run | Result,
    data: Any = None,
    *,
    per: str = "record",
    strands: str | None = None,
    label: str | None = None,
    invalid: str | None = None,
    output: str | Path | None = None,
    quiet: bool = False,
) -> Answer:
    """Vectors of records, or of each of their letters, from a pretrained run.

    Args:
        run: a complete run of `seqsci pretrain`.
        data: a data set name, a path, a frame or a list of texts; by default the run's own data.
        per: "record" (the mean over its letters) or "position".
        strands: "both" takes the mean over a DNA record and its reverse complement.
        label: a column for the colours of the map.
        invalid: "refuse" or "skip" records that cannot be read; by default as the run was made.
        output: a folder, or one file that ends in .parquet, or .csv (one vector per record); by default the next
            `<run>/embed-<number>`.
        quiet: print no progress.

    Returns:
        `table`: `id, length, vector` and what is known of the record; or `id, position, letter, vector`.

    Raises:
        SeqsciError: what is wrong with the run, the data or the wishes.
    """
    from seqsci.training.language import embed as road

    road.require_per(per)
    found = _run(run)
    place = Place.of(found, "embed", output, TABLES if per == "record" else TABLES[:1])
    speaker = Speaker(found, strands, invalid)
    if per == "record":
        return _keep(road.embed(speaker, data, label=label, **_ears(quiet)), place, "embed", output is None)
    return _positions(speaker, place, output is None, data, quiet)


def _positions(speaker: Speaker, place: Place, numbered: bool, data: Any, quiet: bool) -> Answer:
    """Vectors of letters are written as they come."""
    from seqsci.training.language import embed as road

    ears = _ears(quiet)
    records = speaker.read(data, tell=ears["tell"])
    for row in range(len(records)):
        speaker.encode(records, row)  # refuse what cannot be read before a folder is made
    folder = None if place.file is not None else place.make(numbered)
    file = place.file if folder is None else folder / f"{NAMES['embed']}.parquet"
    assert file is not None
    rows = road.write_positions(speaker, records, file, ears["say"])
    summary = road.summary(speaker, records, data, None, "position", rows)
    if folder is not None:
        Run(folder).write_json("summary.json", summary)
        build_report(folder)
    return Answer(summary=summary, folder=folder, file=file)


def generate(
    run: str | Path | Run | Result,
    *,
    count: int = 1000,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    prompt: str | None = None,
    fill: str | None = None,
    context: Any = None,
    context_size: int | None = None,
    longest: int | None = None,
    invalid: str | None = None,
    output: str | Path | None = None,
    quiet: bool = False,
) -> Answer:
    """New sequences from a pretrained run, and what they are worth beside those that it was trained on.

    Args:
        run: a complete run of `seqsci pretrain`, causal or fim.
        count: sequences.
        temperature: 1 as the model says; less is more cautious; 0 takes the likeliest token each time, so that there
            is one sequence.
        top_k: draw from so many of the likeliest tokens; 0 for all.
        top_p: draw from the fewest likeliest tokens that have this share; 1 for all.
        seed: of all draws. The sequences do not depend on how many are made at once.
        prompt: how each sequence begins.
        fill: a protein with gaps in brackets, such as "MKV[12]GLA" (12 residues), "MKV[8-12]GLA" or "MKV[]GLA": they
            are filled in place of a new sequence, by a model that was trained with train.objective fim.
        context: records (a data set name, a path, a frame or a list) that are read before.
        context_size: of these, drawn with `seed`; by default all.
        longest: tokens of a sequence at most; by default as many as a row in training had.
        invalid: "refuse" or "skip" records of the context that cannot be read; by default as the run was made.
        output: a folder, or one file that ends in .parquet, .csv, .smi or .fasta; by default the next
            `<run>/generate-<number>`.
        quiet: print no progress.

    Returns:
        `table`: `id, sequence, tokens, ended, log_likelihood, nats_per_token`, of molecules `valid, canonical, novel`;
        with `fill` `id, sequence, gap_1, ..., tokens, log_likelihood, nats_per_token`.

    Raises:
        SeqsciError: what is wrong with the run or the wishes.
    """
    found = _run(run)
    texts = ".smi" if _science(found) == "molecules" else ".fasta"
    place = Place.of(found, "generate", output, (*TABLES, texts))
    wishes: dict[str, Any] = {"count": count, "temperature": temperature, "top_k": top_k, "top_p": top_p}
    wishes |= {"seed": seed, "context": context, "context_size": context_size}
    speaker = Speaker(found, invalid=invalid)
    if fill is not None:
        if prompt is not None or longest is not None:
            raise SeqsciError(
                "fill: what is given says how a protein begins and how long it is; leave prompt and longest out"
            )
        from seqsci.training.language.fill import fill as ask_fill

        return _keep(ask_fill(speaker, fill, **wishes, **_ears(quiet)), place, "fill", output is None)
    from seqsci.training.language.generate import generate as ask

    told = ask(speaker, prompt=prompt, longest=longest, **wishes, **_ears(quiet))
    return _keep(told, place, "generate", output is None)


def _keep(told: Told, place: Place, verb: str, numbered: bool) -> Answer:
    """Write what was said."""
    if place.file is not None:
        write_file(told, place.file)
        return Answer(summary=told.summary, folder=None, file=place.file, kept=told.table)
    folder = place.make(numbered)
    write_folder(told, folder, NAMES[verb])
    build_report(folder)
    return Answer(summary=told.summary, folder=folder, file=folder / f"{NAMES[verb]}.parquet", kept=told.table)


def _run(run: str | Path | Run | Result) -> Run:
    if isinstance(run, Result):
        return run.run
    return run if isinstance(run, Run) else Run.open(run)


def _science(run: Run) -> str:
    """The science of a run, for the endings of its files; what is wrong with the run is told later."""
    if not run.complete:
        return ""
    return str(run.load_weights()[1].get("domain", ""))


def _ears(quiet: bool) -> dict[str, Any]:
    """Who hears notes, and how far it is."""
    return {"tell": None if quiet else _tell, "say": None if quiet else _say}


def _tell(note: str) -> None:
    print(f"note: {note}", file=sys.stderr, flush=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
