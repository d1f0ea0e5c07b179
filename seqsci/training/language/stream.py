"""States of streams, whatever encoder they are of: nested tuples of tensors whose first axis is that of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqsci.data.rows import Row
from seqsci.errors import SeqsciError
from seqsci.nn.state import each
from seqsci.training.language.speaker import Speaker

SPARE = 0.8
"""Share of the free memory that states may take."""


def take(state: Any, rows: Tensor) -> Any:
    """The states of some rows, in that order."""
    return each(lambda x: x.index_select(0, rows), state)


def repeat(state: Any, rows: int) -> Any:
    """The state of one row, for so many."""
    return each(lambda x: x.expand(rows, *x.shape[1:]).contiguous(), state)


def join(states: Sequence[Any]) -> Any:
    """The states of rows that were apart."""
    return each(lambda *x: torch.cat(x), *states)


def sizes(state: Any) -> tuple[torch.Size, ...]:
    """Of a state's tensors."""
    found: list[torch.Size] = []
    each(lambda x: found.append(x.shape) or x, state)  # type: ignore[func-returns-value]
    return tuple(found)


def weight(state: Any) -> int:
    """Bytes of a state."""
    found = 0

    def add(x: Tensor) -> Tensor:
        nonlocal found
        found += x.numel() * x.element_size()
        return x

    each(add, state)
    return found


@torch.inference_mode()
def listen(speaker: Speaker, state: Any, row: Row) -> Any:
    """The state after the tokens of a row."""
    for start in range(0, len(row), speaker.chunk):
        part = slice(start, start + speaker.chunk)
        tokens = torch.from_numpy(row.tokens[part].astype("int64")).to(speaker.device)
        positions = torch.from_numpy(row.positions[part]).to(speaker.device)
        _, state = speaker.network.read(tokens[None], positions[None], state)
    return state


def most_rows(speaker: Speaker, tokens: int, wanted: int) -> int:
    """How many rows of so many tokens may be read at once, at most `wanted`.

    Raises:
        SeqsciError: not even one fits into the memory.
    """
    free = _free(speaker.device)
    if speaker.recurrent or not speaker.streams or free is None:
        return wanted
    each = _growth(speaker) * tokens
    fit = int(SPARE * free / max(each, 1))
    if fit < 1:
        raise SeqsciError(
            f"context: the model of {speaker.run.folder} keeps {each / 1e9:,.1f} GB for {tokens:,} tokens, and "
            f"{free / 1e9:,.1f} GB are free; take a smaller context, or a model whose state does not grow"
        )
    return min(wanted, fit)


@torch.inference_mode()
def _growth(speaker: Speaker) -> int:
    """Bytes that a state grows by with a token."""
    step = torch.zeros(1, 1, dtype=torch.int64, device=speaker.device)
    _, once = speaker.network.read(step, step, speaker.network.initial_state(1))
    _, twice = speaker.network.read(step, step + 1, once)
    return weight(twice) - weight(once)


def _free(device: str) -> int | None:
    """Bytes of memory that are free; None where it is not told."""
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    told = Path("/proc/meminfo")
    if not told.is_file():
        return None
    lines = dict(line.split(":", 1) for line in told.read_text().splitlines() if ":" in line)
    return int(lines["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in lines else None
