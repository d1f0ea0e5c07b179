"""New sequences from a pretrained model, and what they are worth beside those that it was trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from seqsci.data.records import Letters, Tokens
from seqsci.errors import SeqsciError
from seqsci.training.language.beside import Beside, beside
from seqsci.training.language.context import Context, read_context
from seqsci.training.language.progress import Progress
from seqsci.training.language.sampling import ROWS, Drawn, Sampling, sample
from seqsci.training.language.speaker import Speaker, Tell
from seqsci.training.language.told import Told, counted, summarised

MEASURE = (
    "log_likelihood: ln p of the sequence and of its end under the model itself, whatever the temperature, in nats"
)
LINE = 60
"""Letters of a line of FASTA."""


def generate(
    speaker: Speaker,
    *,
    count: int = 1000,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    prompt: str | None = None,
    context: Any = None,
    context_size: int | None = None,
    longest: int | None = None,
    rows: int = ROWS,
    tell: Tell | None = None,
    say: Tell | None = None,
) -> Told:
    """Draw sequences and assess them.

    Args:
        speaker: causal.
        count: sequences; at temperature 0 all would be the same, and one is made.
        temperature: 1 as the model says, less is more cautious, 0 takes the likeliest token each time.
        top_k: of the likeliest tokens alone; 0 for all.
        top_p: of the fewest likeliest tokens that have this share; 1 for all.
        seed: of all draws, the choice of the context and the intervals.
        prompt: how each sequence begins.
        context: records that are read before, and `context_size` of them.
        context_size: see `context`.
        longest: tokens of a sequence at most; by default as many as a row in training had.
        rows: drawn at once; the sequences do not depend on it.
        tell: hears what is worth knowing.
        say: hears how far it is.

    Returns:
        A table `id, sequence, tokens, ended, log_likelihood, nats_per_token` and what the science adds (of molecules
        `valid`, `canonical`, `novel`), in the order of their generation. `tokens` counts as `score` does: the letters,
        and the end of those that have one.

    Raises:
        SeqsciError: a masked model, or a wish outside its range.
    """
    speaker.require_causal("cannot go on with a sequence", "take a run with train.objective causal (or fim)")
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    longest, notes = _longest(speaker, longest), []
    if count < 1:
        raise SeqsciError(f"count: {count}; ask for at least one sequence")
    if temperature == 0 and count > 1:
        notes.append(f"at temperature 0 all {count:,} sequences are the same; one is made")
        count = 1
    start = _prompt(speaker, prompt, longest)
    before = read_context(speaker, context, context_size, seed, tell)
    if not speaker.streams:
        notes.append("the model does not stream: each token costs reading the sequence anew")
    progress = Progress(float(count), "generating", say)
    drawn = sample(
        speaker, before.before, count, sampling, longest=longest, prompt=start, seed=seed, rows=rows, done=progress.add
    )
    cut = sum(not one.ended for one in drawn)
    if cut:
        notes.append(f"{cut:,} of {count:,} sequences had no end after {longest:,} tokens and were cut there")
    table = _table(speaker, drawn)
    found = beside(speaker, table, seed)
    if "valid" in found.columns.columns and not found.columns["valid"].any():
        notes.append("none of them is valid, so that the .smi file is empty; the table has them all (.csv or .parquet)")
    notes = [*before.notes, *notes, *found.notes]
    for note in notes:
        if tell is not None:
            tell(note)
    asked: dict[str, Any] = {"count": count, "temperature": temperature, "top_k": top_k, "top_p": top_p}
    asked |= {"seed": seed, "longest": longest, "prompt": prompt}
    table = table.hstack(found.columns) if found.columns.width else table
    return Told(
        table=table,
        summary=_summary(speaker, table, found, asked, before, notes),
        texts=as_files(speaker, table),
        pictures=found.pictures,
    )


def _longest(speaker: Speaker, wanted: int | None) -> int:
    if wanted is not None and wanted < 1:
        raise SeqsciError(f"longest: {wanted} tokens; give at least 1")
    return speaker.context if wanted is None else wanted


def _prompt(speaker: Speaker, prompt: str | None, longest: int) -> Tokens | None:
    if not prompt:
        return None
    if isinstance(speaker.tokenizer, Letters):  # as files are read
        prompt = prompt.strip().upper()
        prompt = prompt.replace("U", "T") if speaker.tokenizer.complements is not None else prompt
    tokens = speaker.tokenizer.encode(prompt, "prompt")
    if len(tokens) >= longest:
        raise SeqsciError(f"prompt: its {len(tokens)} tokens leave no room in {longest}; give a larger longest")
    return tokens


def _table(speaker: Speaker, drawn: list[Drawn]) -> pl.DataFrame:
    tokens = np.array([len(one.tokens) for one in drawn])
    asked = tokens + np.array([one.ended for one in drawn])
    nats = np.array([one.nats for one in drawn])
    return pl.DataFrame(
        {
            "id": [f"generated-{number}" for number in range(1, len(drawn) + 1)],
            "sequence": [speaker.tokenizer.decode(one.tokens) for one in drawn],
            "tokens": asked,
            "ended": [one.ended for one in drawn],
            "log_likelihood": nats,
            "nats_per_token": -nats / np.maximum(asked, 1),
        }
    )


def as_files(speaker: Speaker, table: pl.DataFrame) -> dict[str, str]:
    """The sequences as other programs read them: of molecules the valid ones, of others those that have letters."""
    pairs = table.select("id", "sequence").rows()
    if speaker.kind == "molecules":
        some = pairs if "valid" not in table.columns else table.filter("valid").select("id", "sequence").rows()
        return {".smi": "".join(f"{text}\t{name}\n" for name, text in some)}
    lines = []
    for name, text in pairs:
        if text:
            lines += [f">{name}", *(text[start : start + LINE] for start in range(0, len(text), LINE))]
    return {".fasta": "\n".join(lines) + "\n" if lines else ""}


def _summary(
    speaker: Speaker, table: pl.DataFrame, found: Beside, asked: dict[str, Any], told: Context, notes: list[str]
) -> dict[str, Any]:
    letters = int(table["tokens"].sum()) - int(table["ended"].sum())  # an end is drawn, and is no letter
    return summarised(
        speaker,
        "generate",
        title=f"{counted(len(table), 'generated sequence')}, {counted(letters, speaker.science.UNIT)}",
        columns=["measure", "value", "95 %", "training"],
        rows=found.rows,
        sentences=[found.sentence],
        measure=MEASURE,
        asked=asked,
        context=told.facts(),
        assessed=found.assessed,
        beside=found.facts,
        data={"name": f"the data of {speaker.run.folder.name}", "simulated": speaker.simulated},
        notes=notes,
    )
