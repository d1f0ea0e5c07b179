"""What a pretrained model says of variants: how much more probable than what stood there before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqsci.data.records import Records, Tokens
from seqsci.data.rows import Row
from seqsci.data.variants import mutate, read_variants
from seqsci.errors import SeqsciError
from seqsci.training.language.context import Context, read_context
from seqsci.training.language.hidden import Asked, answers, hide, windowed
from seqsci.training.language.likelihood import Before, batches, behind, both, cut, followed, token_logs
from seqsci.training.language.progress import Progress
from seqsci.training.language.rows import ENDS
from seqsci.training.language.score import agreement, measurement, require_numbers
from seqsci.training.language.speaker import CHUNK, Speaker, Tell, named
from seqsci.training.language.stream import join, listen, most_rows, repeat, sizes
from seqsci.training.language.told import Told, counted, simulated, summarised

CAUSAL = (
    "log_ratio: ln p(with the variant) - ln p(without it), in nats, of the whole record or of the window around the "
    "variant; below 0 the model finds the variant less probable"
)
MASKED = (
    "log_ratio: ln p(alternative) - ln p(reference) at the hidden places, in nats, summed over a variant's places "
    "(masked marginals, Meier et al. 2021); below 0 the model finds the variant less probable"
)
INDELS = (
    "an insertion or a deletion changes the number of letters, and each letter more costs probability whatever it is: "
    "its log_ratio follows the length first of all; compare it with those that insert or delete as many letters, and "
    "not with substitutions"
)
EXTREMES = 5
WAITING = 64
"""Variants of one window whose states are held at once."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """Letters `start` to `stop` of a record, and the numbers of the variants that lie in them."""

    record: int
    start: int
    stop: int
    variants: list[int]


def score_variants(
    speaker: Speaker,
    data: Any,
    variants: Any,
    *,
    window: int | None = None,
    context: Any = None,
    context_size: int | None = None,
    seed: int = 0,
    measured: str | None = None,
    tell: Tell | None = None,
    say: Tell | None = None,
) -> Told:
    """Score each variant against the record that it is of.

    Args:
        speaker: causal, or masked.
        data: the reference records, see `Speaker.read`.
        variants: see `read_variants`.
        window: letters around a variant that are read; by default a causal model reads records of at most 4096
            letters whole, and of longer ones as many as a row in training had. A masked model always reads as many.
        context, context_size, seed, measured, tell, say: as for `score`; `measured` is a column of the variants.

    Returns:
        A table `record, name, positions (from 1), reference, alternative, kind, log_ratio` (kind: "substitution",
        "insertion" or "deletion") and the variants' own columns of
        numbers, in the order of the variants.

    Raises:
        SeqsciError: whatever is wrong with records, variants or wishes.
    """
    if speaker.kind == "molecules":
        raise SeqsciError("variants: a letter of a SMILES is no place of a molecule; score whole molecules")
    if window is not None and window < 1:
        raise SeqsciError(f"window: {window} letters; give at least 1")
    records = speaker.read(data, tell=tell)
    frame = read_variants(variants, records, speaker.science.UNIT)
    if measured is not None:
        require_numbers(frame, measured)
    told = read_context(speaker, context, context_size, seed, tell)
    progress = Progress(float(len(frame)), "scoring variants", say)
    if speaker.causal:
        ratios = _causal(speaker, records, frame, told, window, progress)
    else:
        ratios = _masked(speaker, records, frame, window, progress)
    ids = records.frame["id"]
    table = pl.DataFrame(
        {
            "record": ids.gather(frame["record"]),
            "name": frame["name"],
            "positions": frame["position"].list.eval(pl.element() + 1),
            "reference": frame["reference"],
            "alternative": frame["alternative"],
            "kind": [_kind(row) for row in frame.select("reference", "alternative").iter_rows()],
            "log_ratio": ratios,
        }
    )
    own = [c for c in frame.columns if c not in ("record", "name", "position", "reference", "alternative")]
    table = table.hstack(frame.select(c for c in own if c not in table.columns))
    return Told(table=table, summary=_summary(speaker, table, data, variants, told, measured, records, seed))


def _kind(alleles: tuple[list[str], list[str]]) -> str:
    """Whether as many letters stand there as before, more or fewer."""
    before, after = (sum(map(len, side)) for side in alleles)
    return "substitution" if before == after else "insertion" if after > before else "deletion"


def _causal(
    speaker: Speaker, records: Records, frame: pl.DataFrame, told: Context, window: int | None, progress: Progress
) -> Floats:
    found = np.zeros(len(frame))
    rows = frame.rows(named=True)
    for one in _windows(speaker, records, rows, window):
        text = records.text(one.record, one.start, one.stop)
        wild = speaker.tokenizer.encode(text, str(records.frame["id"][one.record]))
        ended = one.stop == int(records.lengths[one.record])
        mutants = [_mutant(speaker, text, rows[number], one.start) for number in one.variants]
        pair = _pair(speaker, told.before, wild, mutants, ended)
        if speaker.strands == "both":
            # The other strand of a window ends where this one begins.
            opposite = [speaker.opposite(tokens) for tokens in mutants]
            other = _pair(speaker, told.before, speaker.opposite(wild), opposite, one.start == 0)
            pair = both(pair[0], other[0]), both(pair[1], other[1])
        found[one.variants] = pair[1] - pair[0]
        progress.add(len(one.variants))
    return found


def _mutant(speaker: Speaker, text: str, row: dict[str, Any], start: int) -> Tokens:
    """Tokens of a window with a variant."""
    moved = {**row, "position": [place - start for place in row["position"]]}
    return speaker.tokenizer.encode(mutate(text, moved), f"variant {row['name']}")


def _windows(speaker: Speaker, records: Records, rows: list[dict[str, Any]], window: int | None) -> Iterator[Window]:
    """Variants that are read in the same letters."""
    lengths, found = records.lengths, dict[tuple[int, int, int], list[int]]()
    for number, row in enumerate(rows):
        length = int(lengths[row["record"]])
        size = window or (length if length <= CHUNK else speaker.context - ENDS)
        first, last = row["position"][0], row["position"][-1] + len(row["reference"][-1])
        if last - first > size:
            raise SeqsciError(
                f"variant {row['name']}: it reaches over {last - first} letters, more than the window of {size}; give "
                f"a larger window"
            )
        start = max(0, min((first + last) // 2 - size // 2, length - size))
        found.setdefault((row["record"], start, min(start + size, length)), []).append(number)
    for key, numbers in found.items():
        yield Window(*key, numbers)


def _pair(
    speaker: Speaker, before: Before, wild: Tokens, mutants: Sequence[Tokens], ended: bool
) -> tuple[float, Floats]:
    """ln p of a text, and of it with each variant."""
    row, others = behind(before, wild, ended), [behind(before, tokens, ended) for tokens in mutants]
    (logs,) = token_logs(speaker, before, [row])
    sums = np.concatenate([[0.0], np.cumsum(logs)])
    found = np.zeros(len(mutants))
    if not speaker.streams:
        for part in batches(np.array([len(other) for other in others]), 1 << 62):
            found[part] = [own.sum() for own in token_logs(speaker, before, [others[i] for i in part])]
        return float(sums[-1]), found
    # Up to its first other token a variant reads what the text reads: that state is made once.
    agreed = np.array([_agreed(row.tokens, other.tokens) for other in others])
    order = np.argsort(agreed, kind="stable")
    most = most_rows(speaker, len(before.row) + len(row), WAITING)
    state, at = repeat(before.state, 1), 0
    for first in range(0, len(order), most):
        part = order[first : first + most]
        states = []
        for number in part:
            stop = int(agreed[number]) - 1
            state, at = listen(speaker, state, cut(row, at, stop)), stop
            states.append(state)
        found[part] = _ends(speaker, states, [others[i] for i in part], agreed[part], sums)
    return float(sums[-1]), found


def _ends(speaker: Speaker, states: list[Any], rows: list[Row], agreed: NDArray[np.int64], sums: Floats) -> Floats:
    """ln p of rows of which the first `agreed` tokens are known."""
    rest = [cut(row, int(start) - 1, len(row)) for row, start in zip(rows, agreed, strict=True)]
    found = np.zeros(len(rows))
    for group in _alike(states):
        lengths = np.array([len(rest[i]) for i in group])
        for part in batches(lengths, speaker.chunk):
            chosen = [group[i] for i in part]
            logs = followed(speaker, join([states[i] for i in chosen]), [rest[i] for i in chosen])
            found[chosen] = [sums[agreed[i] - 1] + own.sum() for i, own in zip(chosen, logs, strict=True)]
    return found


def _alike(states: list[Any]) -> list[list[int]]:
    """States of streams that grow, or that stand at different places of a segment, do not go into one batch."""
    groups: dict[Any, list[int]] = {}
    for number, state in enumerate(states):
        groups.setdefault(sizes(state), []).append(number)
    return list(groups.values())


def _agreed(one: Tokens, other: Tokens) -> int:
    """Tokens from the first on that are the same; the first, of what was read before, always is."""
    length = min(len(one), len(other))
    different = np.flatnonzero(one[:length] != other[:length])
    return int(different[0]) if len(different) else length


def _masked(speaker: Speaker, records: Records, frame: pl.DataFrame, window: int | None, progress: Progress) -> Floats:
    """Each set of places is hidden once for all variants that have it."""
    rows, context = frame.rows(named=True), speaker.context if window is None else window + ENDS
    if context > speaker.context:
        raise SeqsciError(f"window: a masked model was trained on {speaker.context - ENDS} letters; take at most these")
    users = dict[tuple[int, tuple[int, ...]], list[int]]()
    for number, row in enumerate(rows):
        if any(len(a) != 1 or len(b) != 1 for a, b in zip(row["reference"], row["alternative"], strict=True)):
            raise SeqsciError(
                f"variant {row['name']}: it inserts, deletes or replaces several letters at once, and a masked model "
                f"compares single letters; leave it out, or score it with a causal model"
            )
        if row["position"][-1] - row["position"][0] >= context - ENDS:
            raise SeqsciError(
                f"variant {row['name']}: its places do not fit into a window of {context - ENDS} letters; leave it out"
            )
        users.setdefault((row["record"], tuple(row["position"])), []).append(number)
    keys = sorted(users)
    encode, found, width = speaker.tokenizer.encode, np.zeros(len(rows)), context

    def asked() -> Iterator[Asked]:
        last, tokens = -1, np.zeros(0, np.uint8)
        for owner, (record, places) in enumerate(keys):
            if record != last:
                last, tokens = record, speaker.encode(records, record)
            row, at = windowed(tokens, places, context)
            yield Asked(owner, hide(row, at), at)

    for one, logs in answers(speaker, asked(), width):
        numbers = users[keys[one.owner]]
        for number in numbers:
            old, new = (encode("".join(rows[number][side])) for side in ("reference", "alternative"))
            steps = np.arange(len(old))
            found[number] = (logs[steps, new] - logs[steps, old]).sum()
        progress.add(len(numbers))
    return found


def _summary(
    speaker: Speaker,
    table: pl.DataFrame,
    data: Any,
    variants: Any,
    told: Context,
    measured: str | None,
    records: Records,
    seed: int,
) -> dict[str, Any]:
    alike, indels = table.filter(kind="substitution"), table.filter(pl.col("kind") != "substitution")
    found, agreed = _measured(table, alike, indels, measured, seed)
    facts = {**named(data, speaker.run.folder.name), "records": len(records), "simulated": records.simulated}
    rows = [
        [what, row["record"], row["name"], f"{row['log_ratio']:+,.3f}"]
        for what, part in [*_ends_of(alike, "substitution"), *_ends_of(indels, "insertion or deletion")]
        for row in part.iter_rows(named=True)
    ]
    notes = [] if indels.is_empty() else [INDELS]
    return summarised(
        speaker,
        "score",
        kind="variants",
        title=f"{counted(len(table), 'variant')} of {counted(table['record'].n_unique(), 'record')}{simulated(facts)}",
        columns=["", "record", "variant", "log_ratio"],
        rows=rows,
        sentences=[*_below(alike, "substitution"), *_below(indels, "insertions and deletion"), *agreed],
        measure=CAUSAL if speaker.causal else MASKED,
        scored="log_ratio",
        data={**facts, "variants": named(variants, "")["name"]},
        context=told.facts(),
        measured=found,
        notes=[*records.notes, *told.notes, *notes],
    )


def _measured(
    table: pl.DataFrame, alike: pl.DataFrame, indels: pl.DataFrame, column: str | None, seed: int
) -> tuple[dict[str, Any] | None, list[str]]:
    """The correlation with a measured column, and sentences on it.

    Where there are variants of both kinds, whose scores cannot be compared, it is that of the substitutions, and
    `apart` holds it for each kind.
    """
    found = measurement(alike if len(alike) else table, column, "log_ratio", seed)
    if found is None or alike.is_empty() or indels.is_empty():
        return found, agreement(found)
    other = measurement(indels, column, "log_ratio", seed)
    assert other is not None
    apart = {"substitutions": found, "insertions and deletions": other}
    told = [f"{kind}: {sentence}" for kind, own in apart.items() for sentence in agreement(own)]
    return {**found, "apart": apart}, told


def _ends_of(table: pl.DataFrame, what: str) -> list[tuple[str, pl.DataFrame]]:
    """The most and the least favoured of variants that can be compared, or all where they are few."""
    order = table.sort("log_ratio", descending=True, maintain_order=True)
    if len(table) <= 2 * EXTREMES:
        return [(what, table)]
    return [
        (f"most favoured {what}", order.head(EXTREMES)),
        (f"least favoured {what}", order.tail(EXTREMES).reverse()),
    ]


def _below(table: pl.DataFrame, what: str) -> list[str]:
    """How many are less probable than what stood there before."""
    if table.is_empty():
        return []
    ratios = table["log_ratio"].to_numpy()
    count = f"{int((ratios < 0).sum()):,} of {counted(len(ratios), what)}"
    return [f"{count} are less probable than what stood there before; median {np.median(ratios):+.3f} nats"]
