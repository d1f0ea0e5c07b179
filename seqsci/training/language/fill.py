"""Gaps of a protein, filled by a model that was trained to fill gaps (train.objective fim)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqsci.data.batch import TokenBatch
from seqsci.data.records import END, SEPARATOR, SPAN, SPECIALS, Tokens
from seqsci.data.rows import Row
from seqsci.domains.proteins.gaps import Gapped, read_gaps
from seqsci.domains.proteins.homologs import LONGEST
from seqsci.errors import SeqsciError
from seqsci.training.language.context import Context, read_context
from seqsci.training.language.generate import as_files
from seqsci.training.language.likelihood import Before, cut, last_logits
from seqsci.training.language.progress import Progress
from seqsci.training.language.rows import ENDS
from seqsci.training.language.sampling import ROWS, Sampling, draw
from seqsci.training.language.speaker import Speaker, Tell
from seqsci.training.language.stream import listen, most_rows, repeat
from seqsci.training.language.told import Told, counted, summarised

MEASURE = (
    "log_likelihood: ln p of the residues of the gaps, and that each gap ends behind its last one, given all that "
    "stands around and how long the gaps are, under the model itself, whatever the temperature, in nats. Compare "
    "candidates of one length, or nats_per_token"
)
SHOWN = 10
"""Candidates that the summary names."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Filled:
    """`fillings (G,)`: the letters of each gap; `nats`: ln p of them and of the ends of the gaps."""

    fillings: tuple[str, ...]
    nats: float


def fill(
    speaker: Speaker,
    text: str,
    *,
    count: int = 1000,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    context: Any = None,
    context_size: int | None = None,
    rows: int = ROWS,
    tell: Tell | None = None,
    say: Tell | None = None,
) -> Told:
    """Draw candidates for the gaps of a protein.

    A model has learnt gaps by proteins whose residues keep their positions, so that it is told how long a gap is: of a
    range each candidate has a length of its own, drawn evenly, and exactly so many residues.

    Args:
        speaker: trained with train.objective fim.
        text: the protein, see `proteins.gaps`.
        count: candidates; at temperature 0 one of each length that was drawn.
        temperature, top_k, top_p: see `generate`.
        seed: of all draws, and the choice of the context.
        context: homologs that are read before, and `context_size` of them.
        context_size: see `context`.
        rows: drawn at once; the candidates do not depend on it.
        tell: hears what is worth knowing.
        say: hears how far it is.

    Returns:
        A table `id, sequence` (all of the protein)`, gap_1, ... (the residues of each gap), tokens, log_likelihood,
        nats_per_token` in the order they were drawn. `tokens` counts the residues of the gaps and an end of each.

    Raises:
        SeqsciError: a model that was not trained so, or a wish outside its range.
    """
    if speaker.objective != "fim":
        raise SeqsciError(
            f"fill: the model of {speaker.run.folder} was trained with train.objective {speaker.objective} and knows "
            f"no gaps; take one of proteins that was trained with `seqsci pretrain --objective fim`"
        )
    gapped, sampling = read_gaps(text), Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    if count < 1:
        raise SeqsciError(f"count: {count}; ask for at least one candidate")
    before = read_context(speaker, context, context_size, seed, tell)
    progress = Progress(float(count), "filling", say)
    found = candidates(speaker, before.before, gapped, count, sampling, seed=seed, rows=rows, done=progress)
    notes = [*before.notes, *_notes(speaker, gapped)]
    if len(found) < count:
        notes.append(f"at temperature 0 candidates of one length are all the same; {len(found):,} of {count:,} made")
    for note in notes:
        if tell is not None:
            tell(note)
    asked: dict[str, Any] = {"count": count, "temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    asked |= {"fill": "".join(text.split()), "gaps": [list(ends) for ends in gapped.ranges]}
    table = _table(gapped, found)
    return Told(
        table=table,
        summary=_summary(speaker, table, asked, before, notes),
        texts=as_files(speaker, table),
    )


def candidates(
    speaker: Speaker,
    before: Before,
    gapped: Gapped,
    count: int,
    sampling: Sampling,
    *,
    seed: int = 0,
    rows: int = ROWS,
    done: Progress | None = None,
) -> list[Filled]:
    """Candidates; number r is drawn from the seed and r alone, its lengths first.

    At temperature 0 one of each length.
    """
    draws = [np.random.default_rng([seed, number]) for number in range(count)]
    lengths = [tuple(int(rng.integers(low, high + 1)) for low, high in gapped.ranges) for rng in draws]
    alike: dict[tuple[int, ...], list[int]] = {}
    for number, own in enumerate(lengths):
        alike.setdefault(own, []).append(number)
    found: dict[int, Filled] = {}
    for own, every in alike.items():
        numbers = every[:1] if sampling.temperature == 0 else every
        row, state = _asked(speaker, before, gapped, own)
        most = most_rows(speaker, len(row) + sum(own) + len(own), rows)
        for first in range(0, len(numbers), most):
            part = numbers[first : first + most]
            writer = _Writer(speaker, row, state, len(part))
            made = _written(writer, gapped.spans(own), sampling, [draws[number] for number in part])
            found |= dict(zip(part, made, strict=True))
            if done is not None:
                done.add(len(part))
    return [found[number] for number in sorted(found)]


def _asked(speaker: Speaker, before: Before, gapped: Gapped, lengths: Sequence[int]) -> tuple[Row, Any]:
    """All that is read before the gaps are filled, <fill> in the end; and the state after it."""
    tokens, places = gapped.asked(lengths)
    # As `Row.join` has them: positions count from 1 behind <begin> or <separator>.
    row = Row(np.concatenate([before.row.tokens, tokens]), np.concatenate([before.row.positions, places + 1]))
    if not speaker.streams:
        return row, None
    return row, listen(speaker, before.state, cut(row, len(before.row) - 1, len(row)))


class _Writer:
    """Rows of one form that are written together: told a token and its position, it says what may follow."""

    def __init__(self, speaker: Speaker, row: Row, state: Any, rows: int) -> None:
        self.speaker = speaker
        self.state = None if state is None else repeat(state, rows)
        self.tokens = np.broadcast_to(row.tokens, (rows, len(row)))
        self.positions = row.positions

    @torch.inference_mode()
    def read(self, tokens: Tokens, position: int) -> Tensor:
        """(B,) the next token of each -> (B, V) logits of what follows it."""
        device = self.speaker.device
        if self.state is not None:
            own = torch.from_numpy(tokens.astype(np.int64))[:, None].to(device)
            logits, self.state = self.speaker.network.advance(own, torch.full_like(own, position), self.state)
            return logits[:, -1]
        self.tokens = np.concatenate([self.tokens, tokens[:, None]], 1)
        self.positions = np.append(self.positions, position)
        whole = torch.from_numpy(self.tokens.astype(np.int64))
        batch = TokenBatch(
            tokens=whole,
            mask=torch.ones_like(whole, dtype=torch.bool),
            positions=torch.from_numpy(self.positions).expand_as(whole),
            index=torch.arange(len(whole)),
        )
        return last_logits(self.speaker, batch.to(device))


def _written(
    writer: _Writer, spans: Sequence[tuple[int, int]], sampling: Sampling, draws: Sequence[np.random.Generator]
) -> list[Filled]:
    """Every gap filled with as many residues as it is long, one gap after the other."""
    speaker, nats = writer.speaker, np.zeros(len(draws))
    letters: list[list[Tokens]] = [[] for _ in spans]
    for gap, (start, stop) in enumerate(spans):
        last = np.full(len(draws), SPAN + gap, np.uint8)
        uniform = np.stack([rng.random(stop - start) for rng in draws])
        logits = writer.read(last, start + 1)
        for place in range(start, stop):
            barred = logits.clone()
            barred[:, : len(SPECIALS)] = -torch.inf
            chosen = draw(sampling, barred, uniform[:, place - start])
            logs = logits.log_softmax(-1).gather(-1, torch.from_numpy(chosen)[:, None].to(logits.device))[:, 0]
            nats += logs.double().cpu().numpy()
            last = chosen.astype(np.uint8)
            letters[gap].append(last)
            logits = writer.read(last, place + 1)
        nats += logits.log_softmax(-1)[:, _ends(speaker, gap, len(spans))].double().logsumexp(-1).cpu().numpy()
    texts = [[speaker.tokenizer.decode(row) for row in np.stack(own, 1)] for own in letters]
    return [Filled(fillings=row, nats=float(own)) for row, own in zip(zip(*texts, strict=True), nats, strict=True)]


def _ends(speaker: Speaker, gap: int, gaps: int) -> list[int]:
    """Tokens that end a gap: the mark of the next one, or what stands behind a protein."""
    if gap + 1 < gaps:
        return [SPAN + gap + 1]
    return [END, SEPARATOR] if speaker.recipe.data.sets else [END]


def _notes(speaker: Speaker, gapped: Gapped) -> list[str]:
    """About gaps that are unlike those of training."""
    notes = []
    longest = [high for _, high in gapped.ranges]
    total = gapped.known() + sum(longest)
    if max(longest) > LONGEST * total:
        notes.append(
            f"a gap of {max(longest):,} residues is {max(longest) / total:.0%} of a protein of {total:,}; in training "
            f"none was more than {LONGEST:.0%}"
        )
    if total + 2 * len(longest) + 1 + ENDS > speaker.context:
        notes.append(
            f"with its gaps the protein has {total:,} residues, more than a row in training ({speaker.context:,} "
            "tokens)"
        )
    return notes


def _table(gapped: Gapped, found: Sequence[Filled]) -> pl.DataFrame:
    gaps = {f"gap_{gap + 1}": [one.fillings[gap] for one in found] for gap in range(len(gapped.ranges))}
    tokens = np.array([sum(map(len, one.fillings)) + len(one.fillings) for one in found])
    nats = np.array([one.nats for one in found])
    return pl.DataFrame(
        {
            "id": [f"filled-{number}" for number in range(1, len(found) + 1)],
            "sequence": [gapped.whole(one.fillings) for one in found],
            **gaps,
            "tokens": tokens,
            "log_likelihood": nats,
            "nats_per_token": -nats / tokens,
        }
    )


def _summary(
    speaker: Speaker, table: pl.DataFrame, asked: dict[str, Any], told: Context, notes: list[str]
) -> dict[str, Any]:
    gaps = [name for name in table.columns if name.startswith("gap_")]
    distinct = table.group_by(gaps, maintain_order=True).agg(
        pl.len().alias("drawn"), pl.col("log_likelihood", "nats_per_token").first()
    )
    best = distinct.sort("nats_per_token", maintain_order=True).head(SHOWN)
    rows = [
        [" … ".join(row[gap] for gap in gaps), f"{row['drawn']:,}", f"{row['log_likelihood']:,.3f}",
         f"{row['nats_per_token']:.4f}"]
        for row in best.iter_rows(named=True)
    ]  # fmt: skip
    mean = -float(table["log_likelihood"].sum()) / int(table["tokens"].sum())
    sentences = [
        f"{counted(len(distinct), 'distinct candidate')} of {len(table):,}; above, the likeliest by token",
        f"mean {mean:.4f} nats per token, perplexity {math.exp(mean):.3f}",
    ]
    return summarised(
        speaker,
        "fill",
        title=f"{counted(len(table), 'candidate')} for {counted(len(gaps), 'gap')} of a protein",
        columns=["in the gap" if len(gaps) == 1 else "in the gaps", "drawn", "log_likelihood", "nats per token"],
        rows=rows,
        sentences=sentences,
        measure=MEASURE,
        asked=asked,
        context=told.facts(),
        data={"name": f"the data of {speaker.run.folder.name}", "simulated": speaker.simulated},
        notes=notes,
    )
