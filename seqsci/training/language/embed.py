"""Vectors of records, or of each of their letters: what a pretrained model's encoder makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from seqsci.data.records import Records, Tokens
from seqsci.data.rows import Row, ask_nothing
from seqsci.errors import SeqsciError
from seqsci.files import whole
from seqsci.training.language.likelihood import batches, cut
from seqsci.training.language.progress import Progress
from seqsci.training.language.speaker import Speaker, Tell, named
from seqsci.training.language.stream import most_rows
from seqsci.training.language.told import Told, counted, seen_note, simulated, summarised, told_of

RECORD = "the mean of the states behind a record's letters"
POSITION = "the state behind each letter"
ONE_WAY = "a causal model's state has read the letters up to its own, so that the last ones know most"

Vectors = NDArray[np.float32]


def embed(
    speaker: Speaker, data: Any = None, *, label: str | None = None, tell: Tell | None = None, say: Tell | None = None
) -> Told:
    """One vector per record.

    Args:
        speaker: the model.
        data: see `Speaker.read`.
        label: a column that is kept as `label`, for the colours of the map.
        tell: hears what reading has found out or changed.
        say: hears how far it is.

    Returns:
        A table `id, length, vector (D,)`, of DNA `gc` as well, `group` and `label` where there are such, and `split`
        where they are the run's own, in the order of the records. Of a model of both strands the mean over both.

    Raises:
        SeqsciError: whatever is wrong with the records.
    """
    records = speaker.read(data, label=label, tell=tell)
    splits = speaker.splits(records, data)
    table = described(speaker, records, splits)
    table = table.with_columns(vector=_column(vectors(speaker, records, say)))
    return Told(table=table, summary=summary(speaker, records, data, label, "record", len(table)))


def described(speaker: Speaker, records: Records, splits: pl.Series | None = None) -> pl.DataFrame:
    """`id, split, group, label, length, gc`, as far as there are such."""
    own = told_of(records, splits)
    table = pl.DataFrame({"id": records.frame["id"], **own, "length": records.lengths})
    if speaker.kind != "genomics":
        return table
    texts = (records.text(row) for row in range(len(records)))
    return table.with_columns(gc=pl.Series([(text.count("G") + text.count("C")) / len(text) for text in texts]))


def vectors(speaker: Speaker, records: Records, say: Tell | None = None) -> Vectors:
    """(R, D) one for each record."""
    lengths = records.lengths
    progress = Progress(float(lengths.sum()), "embedding", say)
    found = np.zeros((len(records), speaker.network.encoder.width), np.float32)
    longest = int(lengths.max()) + 2
    most = most_rows(speaker, longest, 256)
    for part in batches(lengths + 2, speaker.chunk if speaker.streams else longest):
        for start in range(0, len(part), most):
            rows = part[start : start + most]
            own = [speaker.encode(records, int(row)) for row in rows]
            found[rows] = means(speaker, own)
            progress.add(float(lengths[rows].sum()))
    return found


def means(speaker: Speaker, records: Sequence[Tokens]) -> Vectors:
    """(R, D) of records that are read at once."""
    one = _means(speaker, records)
    if speaker.strands != "both":
        return one
    found: Vectors = (one + _means(speaker, [speaker.opposite(own) for own in records])) / np.float32(2)
    return found


def _means(speaker: Speaker, records: Sequence[Tokens]) -> Vectors:
    sums = np.zeros((len(records), speaker.network.encoder.width))
    for states, letters in _states(speaker, records):
        sums += np.einsum("bld,bl->bd", states, letters, dtype=np.float64)
    counts = np.array([len(own) for own in records])
    means: Vectors = (sums / counts[:, None]).astype(np.float32)
    return means


@torch.inference_mode()
def _states(speaker: Speaker, records: Sequence[Tokens]) -> Iterator[tuple[Vectors, NDArray[np.bool_]]]:
    """(B, T, D) of the next tokens of each row, and (B, T) which of them are letters."""
    network = speaker.network
    if not speaker.streams:
        batch = ask_nothing([Row.of(own) for own in records], range(len(records))).to(speaker.device)
        states = network.states(batch).float()
        states = states / 2 if network.shared else states
        yield states.cpu().numpy(), _letters(records, 0, states.shape[1])
        return
    rows = [Row.of(own, ended=False) for own in records]
    state = network.initial_state(len(rows))
    for start in range(0, max(len(row) for row in rows), speaker.chunk):
        parts = [cut(row, start, start + speaker.chunk) for row in rows]
        batch = ask_nothing(parts, range(len(rows))).to(speaker.device)
        states, state = network.read(batch.tokens, batch.positions, state)
        yield states.float().cpu().numpy(), _letters(records, start, states.shape[1])


def _letters(records: Sequence[Tokens], start: int, steps: int) -> NDArray[np.bool_]:
    """(B, T) which places from `start` on are letters: those behind <begin>."""
    places = start + np.arange(steps)
    lengths = np.array([len(own) for own in records])
    return (places >= 1) & (places <= lengths[:, None])


def positions(speaker: Speaker, tokens: Tokens) -> Iterator[Vectors]:
    """(T, D) of the next letters of a record; of both strands all letters at once, since they meet from both ends."""
    parts = (states[0][letters[0]] for states, letters in _states(speaker, [tokens]))
    if speaker.strands != "both":
        yield from parts
        return
    ahead = np.concatenate(list(parts))
    back = np.concatenate([states[0][letters[0]] for states, letters in _states(speaker, [speaker.opposite(tokens)])])
    yield (ahead + back[::-1]) / 2


def write_positions(speaker: Speaker, records: Records, file: Path, say: Tell | None = None) -> int:
    """Write `id, position (from 1), letter, vector (D,)` as Parquet, a part at a time; the number of rows."""
    import pyarrow.parquet as pq

    progress, rows, writer = Progress(float(records.lengths.sum()), "embedding", say), 0, None
    with whole(file) as path:
        try:
            for row, name in enumerate(records.frame["id"]):
                tokens, at = speaker.encode(records, row), 0
                for part in positions(speaker, tokens):
                    letters = [speaker.tokenizer.symbols[token] for token in tokens[at : at + len(part)]]
                    places = np.arange(at + 1, at + len(part) + 1)
                    table = pl.DataFrame({"id": [name] * len(part), "position": places, "letter": letters})
                    arrow = table.with_columns(vector=_column(part)).to_arrow()
                    writer = writer or pq.ParquetWriter(path, arrow.schema, compression="zstd")
                    writer.write_table(arrow)
                    at += len(part)
                    progress.add(len(part))
                rows += at
        finally:
            if writer is not None:
                writer.close()
    return rows


def summary(speaker: Speaker, records: Records, data: Any, label: str | None, per: str, rows: int) -> dict[str, Any]:
    """See `summarised`.

    Raises:
        SeqsciError: no column of that label.
    """
    width = speaker.network.encoder.width
    lengths = records.lengths
    what = RECORD if per == "record" else POSITION
    facts = {**named(data, speaker.run.folder.name), "records": len(records), "simulated": records.simulated}
    strands = ", the mean over both strands" if speaker.strands in ("both", "shared") else ""
    shown = [
        ["vectors", f"{rows:,}"],
        ["numbers in each", f"{width:,}"],
        ["records", f"{len(records):,}"],
        [
            "letters of a record",
            f"{int(lengths.min()):,} to {int(lengths.max()):,}, median {int(np.median(lengths)):,}",
        ],
    ]
    return summarised(
        speaker,
        "embed",
        per=per,
        title=f"{counted(rows, 'vector')} of {width:,} numbers{simulated(facts)}",
        columns=["", ""],
        rows=shown,
        sentences=[f"{what}{strands}"],
        measure=ONE_WAY if speaker.causal else "",
        width=width,
        label=label,
        data=facts,
        notes=[*records.notes, *_longer(speaker, records), *seen_note(speaker.splits(records, data))],
    )


def _longer(speaker: Speaker, records: Records) -> list[str]:
    """About records that are longer than what the model has learnt from."""
    longer = int((records.lengths + 2 > speaker.context).sum())
    if not longer:
        return []
    how = "the model reads on past it" if speaker.recurrent else "they are read whole, and memory grows with the length"
    return [
        f"{longer:,} of {len(records):,} records are longer than a row in training ({speaker.context:,} tokens); {how}"
    ]


def _column(found: Vectors) -> pl.Series:
    return pl.Series("vector", np.ascontiguousarray(found), dtype=pl.Array(pl.Float32, found.shape[1]))


def require_per(per: str) -> None:
    """Refuse what is neither record nor position."""
    if per not in ("record", "position"):
        raise SeqsciError(f"per: no '{per}'; take record or position")
