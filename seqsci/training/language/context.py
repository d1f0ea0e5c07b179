"""Records that are read before each query: homologs of a protein, or molecules of one assay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from seqsci.data.records import Tokens
from seqsci.errors import SeqsciError
from seqsci.training.language.likelihood import Before, begin
from seqsci.training.language.speaker import Speaker, Tell, named
from seqsci.training.language.stream import most_rows


@dataclass(frozen=True)
class Context:
    """What is read before each query, its size and what is to be said of it."""

    before: Before
    records: int
    name: str | None
    notes: tuple[str, ...]

    def facts(self) -> dict[str, Any] | None:
        """For a summary; None without a context."""
        if self.name is None:
            return None
        return {"name": self.name, "records": self.records, "tokens": len(self.before.row)}


def read_context(speaker: Speaker, source: Any, size: int | None, seed: int, tell: Tell | None) -> Context:
    """Choose records and read them, once.

    Args:
        speaker: causal where there is a source.
        source: as `Speaker.read` takes it; None for no context.
        size: of the records, drawn at random; None for all, in random order.
        seed: of the draw.
        tell: hears what reading has found out or changed.

    Raises:
        SeqsciError: a masked model, a size beyond the records, or more than there is memory for.
    """
    if source is None:
        if size is not None:
            raise SeqsciError("context-size: there is no context; name its records with context as well")
        return Context(begin(speaker), 0, None, ())
    speaker.require_causal("reads no context before a query", "leave the context out, or take a causal model")
    records = speaker.read(source, tell=tell)
    if size is not None and not 1 <= size <= len(records):
        raise SeqsciError(
            f"context-size: {size} of the {len(records)} records of the context; take 1 to {len(records)}"
        )
    chosen = np.random.default_rng(seed).permutation(len(records))[:size]
    tokens: list[Tokens] = [speaker.encode(records, int(row)) for row in chosen]
    total = sum(len(one) + 1 for one in tokens) + 1
    most_rows(speaker, total + speaker.context, 1)
    notes = []
    if not speaker.recipe.data.sets:
        notes.append("the model was trained on single records (data.sets false): a context is new to it")
    if total > speaker.context:
        notes.append(f"the context has {total:,} tokens, more than a row in training had ({speaker.context:,})")
    if not speaker.streams:
        notes.append("the model does not stream: the context is read anew with each query")
    return Context(begin(speaker, tokens), len(tokens), named(source, speaker.run.folder.name)["name"], tuple(notes))
