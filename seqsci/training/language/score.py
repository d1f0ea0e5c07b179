"""The log-likelihood of records: how probable a pretrained model finds each of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.data.records import Records, Tokens
from seqsci.data.variants import MISSING
from seqsci.errors import SeqsciError
from seqsci.metrics import bootstrap_ratio
from seqsci.metrics.ranks import spearman
from seqsci.training.language.context import Context, read_context
from seqsci.training.language.hidden import pseudo_log_likelihoods
from seqsci.training.language.likelihood import Before, batches, behind, both, token_logs
from seqsci.training.language.progress import Progress
from seqsci.training.language.speaker import Speaker, Tell, named
from seqsci.training.language.stream import most_rows
from seqsci.training.language.told import Told, counted, order, seen_note, simulated, summarised, told_of

CAUSAL = (
    "log_likelihood: ln p of the record and of its end, in nats, each token from those before it. Compare "
    "records of like length, or nats_per_token"
)
MASKED = (
    "pseudo_log_likelihood: the sum of ln p of each letter from all others, hidden in turn (Salazar et al. 2020); it "
    "ranks records of like length, and is no probability of the record"
)
RESAMPLES = 1000
EXTREMES = 5
"""Records at each end that the summary names."""

Floats = NDArray[np.float64]


def score(
    speaker: Speaker,
    data: Any = None,
    *,
    context: Any = None,
    context_size: int | None = None,
    seed: int = 0,
    measured: str | None = None,
    tell: Tell | None = None,
    say: Tell | None = None,
) -> Told:
    """Score each record.

    Args:
        speaker: causal, or masked.
        data: see `Speaker.read`.
        context: records that are read before each, and `context_size` of them, drawn with `seed`.
        context_size: see `context`.
        seed: see `context`, and of the intervals.
        measured: a column of numbers to compare the scores with.
        tell: hears what reading has found out or changed.
        say: hears how far it is.

    Returns:
        A table `id, tokens, log_likelihood, nats_per_token` (of a masked model `pseudo_log_likelihood`) in the order
        of the records, `split` where they are the run's own, `group`, `label` and the measured column where there is
        one. `tokens` counts those that were scored: the letters, and of a causal model the end.

    Raises:
        SeqsciError: whatever is wrong with the records or the wishes.
    """
    records = speaker.read(data, label=measured, tell=tell)
    numbers = measured_numbers(records, measured)
    told = read_context(speaker, context, context_size, seed, tell)
    splits = speaker.splits(records, data)
    notes = [*records.notes, *told.notes, *_length_notes(speaker, records), *seen_note(splits)]
    for note in notes[len(records.notes) :]:
        if tell is not None:
            tell(note)
    name = "log_likelihood" if speaker.causal else "pseudo_log_likelihood"
    if speaker.causal:
        nats, tokens = causal(speaker, records, told, say)
    else:
        encoded = [speaker.encode(records, row) for row in range(len(records))]
        nats = pseudo_log_likelihoods(speaker, encoded, tell, say)
        tokens = np.array([len(one) for one in encoded])
    own = told_of(records, splits)
    scores: dict[str, Any] = {"tokens": tokens, name: nats, "nats_per_token": -nats / tokens}
    table = pl.DataFrame({"id": records.frame["id"], **own, **scores})
    if numbers is not None:
        table = table.drop("label", strict=False).with_columns(numbers)
    facts = {**named(data, speaker.run.folder.name), "records": len(table), "simulated": records.simulated}
    return Told(table=table, summary=_summary(speaker, table, name, facts, told, measured, notes, seed))


def measured_numbers(records: Records, column: str | None) -> pl.Series | None:
    """What was measured of each record; None where nothing is asked for.

    Raises:
        SeqsciError: see `require_numbers`.
    """
    if column is None:
        return None
    frame = records.frame
    if column not in frame.columns and "label" in frame.columns:
        frame = frame.rename({"label": column})
    require_numbers(frame, column)
    return _as_numbers(frame[column])


def require_numbers(frame: pl.DataFrame, column: str) -> None:
    """Refuse what cannot be compared with scores, before these are computed.

    Raises:
        SeqsciError: no such column, or one that holds no numbers.
    """
    if column not in frame.columns:
        raise SeqsciError(f"measured: no column '{column}'; there are {', '.join(frame.columns)}")
    values, numbers = frame[column], _as_numbers(frame[column])
    odd = values.filter(numbers.is_null() & _known(values))
    if len(odd) or numbers.null_count() == len(numbers):
        why = f" but such as '{odd[0]}'" if len(odd) else ""
        raise SeqsciError(f"measured: column '{column}' holds no numbers{why}; name another")


def _known(values: pl.Series) -> pl.Series:
    """(R,) whether something stands there, as the domains understand labels."""
    text = values.cast(pl.String, strict=False).str.strip_chars().str.to_lowercase()
    return ~text.is_in([word.lower() for word in MISSING]).fill_null(True)


def _as_numbers(values: pl.Series) -> pl.Series:
    """(R,) Float64, null for what is unknown or no number."""
    if values.dtype == pl.String:
        values = values.set(~_known(values), None).str.strip_chars()
    return values.cast(pl.Float64, strict=False)


def causal(speaker: Speaker, records: Records, told: Context, say: Tell | None) -> tuple[Floats, NDArray[np.int64]]:
    """(R,) nats and scored tokens of each record; both strands taken together where that is asked for."""
    lengths = records.lengths
    progress = Progress(float(lengths.sum()), "scoring", say)
    nats, tokens = np.zeros(len(records)), np.zeros(len(records), np.int64)
    longest = len(told.before.row) + int(lengths.max())
    most = most_rows(speaker, longest, 256)
    chunk = speaker.chunk if speaker.streams else longest
    for part in batches(lengths + 2, chunk):
        for start in range(0, len(part), most):
            rows = part[start : start + most]
            own = [speaker.encode(records, int(row)) for row in rows]
            nats[rows] = log_likelihoods(speaker, told.before, own)
            tokens[rows] = [len(one) + 1 for one in own]
            progress.add(float(lengths[rows].sum()))
    return nats, tokens


def log_likelihoods(speaker: Speaker, before: Before, records: list[Tokens]) -> Floats:
    """(R,) ln p of records with their ends, behind what was read before."""
    one = np.array([logs.sum() for logs in token_logs(speaker, before, [behind(before, own) for own in records])])
    if speaker.strands != "both":
        return one
    turned = [behind(before, speaker.opposite(own)) for own in records]
    other = np.array([logs.sum() for logs in token_logs(speaker, before, turned)])
    found: Floats = both(one, other)
    return found


def _length_notes(speaker: Speaker, records: Records) -> list[str]:
    """About records that are longer than what the model has learnt from."""
    longer = int((records.lengths + 2 > speaker.context).sum())
    if not longer:
        return []
    what = f"{longer:,} of {len(records):,} records are longer than a row in training ({speaker.context:,} tokens)"
    if not speaker.causal:
        return [f"{what}; each letter is told from a window of that length around it"]
    if speaker.recurrent:
        return [f"{what}; the model reads on past it"]
    return [f"{what}; the model reads on past it, and its memory grows with the length"]


def measurement(table: pl.DataFrame, column: str | None, scored: str, seed: int) -> dict[str, Any] | None:
    """Spearman's correlation of a measured column with the scores."""
    if column is None:
        return None
    x = table[column].cast(pl.Float64).fill_null(math.nan).to_numpy()
    return {"column": column, **spearman(x, table[scored].to_numpy(), resamples=RESAMPLES, seed=seed)}


def agreement(found: dict[str, Any] | None) -> list[str]:
    """The correlation in a sentence."""
    if found is None:
        return []
    if not math.isfinite(found["value"]):
        return [f"no rank correlation with {found['column']}: {found['n']} pairs of numbers, or one side is constant"]
    told = "95 % bootstrap interval" if math.isfinite(found["low"]) else "too few for an interval"
    return [
        f"Spearman correlation with {found['column']}: {found['value']:.3f} {_ends(found['low'], found['high'], 3)} "
        f"over {found['n']:,} pairs, {told}"
    ]


def _ends(low: float, high: float, places: int) -> str:
    """An interval in brackets; "[–]" of too few cases, as in reports."""
    return f"[{low:.{places}f}, {high:.{places}f}]" if math.isfinite(low) and math.isfinite(high) else "[–]"


def _means(table: pl.DataFrame, name: str, unit: str, seed: int) -> list[str]:
    """Nats per token, apart for each split of a run's own records, of which the model has seen some."""
    if "split" not in table.columns:
        return [_mean(table, name, unit, seed)]
    parts = table.with_columns(pl.col("split").fill_null("left out")).partition_by("split", as_dict=True)
    seen = {"train": "; it was trained on these", "val": "; its best epoch was chosen on these"}
    return [
        f"{split}, {counted(len(part), 'record')}: {_mean(part, name, unit, seed)}{seen.get(split, '')}"
        for split, part in sorted(((str(key[0]), part) for key, part in parts.items()), key=lambda pair: order(pair[0]))
    ]


def _mean(table: pl.DataFrame, name: str, unit: str, seed: int) -> str:
    nats, tokens = -table[name].to_numpy(), table["tokens"].to_numpy()
    low, high = bootstrap_ratio(nats, tokens, resamples=RESAMPLES, seed=seed)
    mean = float(nats.sum() / tokens.sum())
    return f"{mean:.4f} {_ends(low, high, 4)} nats per {unit}, perplexity {math.exp(mean):.3f}"


def _summary(
    speaker: Speaker,
    table: pl.DataFrame,
    name: str,
    data: dict[str, Any],
    told: Context,
    measured: str | None,
    notes: list[str],
    seed: int,
) -> dict[str, Any]:
    nats, tokens = -table[name].to_numpy(), table["tokens"].to_numpy()
    low, high = bootstrap_ratio(nats, tokens, resamples=RESAMPLES, seed=seed)
    mean, found = float(nats.sum() / tokens.sum()), measurement(table, measured, name, seed)
    unit = speaker.science.UNIT
    letters = int(tokens.sum()) - (len(table) if speaker.causal else 0)  # an end is scored, and is no letter
    ranked = table.sort("nats_per_token", "id")
    ends = [("most probable", ranked.head(EXTREMES)), ("least probable", ranked.tail(EXTREMES).reverse())]
    divided = ["split"] if "split" in table.columns else []
    rows = [
        [
            *(what, row["id"], *(row[column] or "" for column in divided)),
            *(f"{row['tokens']:,}", f"{row[name]:,.3f}", f"{row['nats_per_token']:.4f}"),
        ]
        for what, part in (ends if len(table) > 2 * EXTREMES else [("record", table)])
        for row in part.iter_rows(named=True)
    ]
    return summarised(
        speaker,
        "score",
        kind="records",
        title=f"{counted(len(table), 'record')}, {counted(letters, unit)}{simulated(data)}",
        columns=["", "record", *divided, "tokens", name, "nats per token"],
        rows=rows,
        sentences=[*_means(table, name, unit, seed), *agreement(found)],
        measure=CAUSAL if speaker.causal else MASKED,
        scored=name,
        mean={"value": mean, "low": low, "high": high},
        data=data,
        context=told.facts(),
        measured=found,
        notes=notes,
    )
