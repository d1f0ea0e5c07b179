"""What a masked model says of hidden tokens.

Pseudo-log-likelihood (Salazar et al., ACL 2020, arXiv 1910.14659): the sum over a record of ln p(token | all others),
each hidden in turn. It is no probability of the record: the sum over all records is not 1.
Masked marginals (Meier et al., NeurIPS 2021): ln p of one letter and of another at a hidden place.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from seqsci.data.records import MASK, Tokens
from seqsci.data.rows import Row, ask_nothing
from seqsci.errors import SeqsciError
from seqsci.training.language.progress import Progress, duration
from seqsci.training.language.rows import ENDS
from seqsci.training.language.speaker import Speaker, Tell
from seqsci.training.language.strands import Conjoined

BUDGET = 8192
"""Tokens of a batch."""
LONG, TOO_LONG = 60.0, 24 * 3600.0
"""Seconds of estimated work from which it is said, and from which it is refused."""

Floats = NDArray[np.float64]


class Asked(NamedTuple):
    """A row with hidden tokens: `owner` says for what, `places` (P,) where they stand in the row."""

    owner: int
    row: Row
    places: NDArray[np.int64]


def windowed(tokens: Tokens, places: Sequence[int], context: int) -> tuple[Row, NDArray[np.int64]]:
    """A row of at most `context` tokens around some letters of a record, and where these stand in it."""
    size = context - ENDS
    start = 0
    if len(tokens) > size:
        middle = (min(places) + max(places)) // 2
        start = int(np.clip(middle - size // 2, 0, len(tokens) - size))
    part = tokens[start : start + size]
    return Row.of(part, start + len(part) == len(tokens)), np.asarray(places, np.int64) - start + 1


def hide(row: Row, places: NDArray[np.int64]) -> Row:
    """The row with <mask> at some places."""
    shown = row.tokens.copy()
    shown[places] = MASK
    return Row(shown, row.positions)


def each_letter(tokens: Tokens, context: int) -> Iterator[Asked]:
    """Every letter of a record, the owner, hidden in turn in the window around it."""
    for letter in range(len(tokens)):
        row, places = windowed(tokens, [letter], context)
        yield Asked(letter, hide(row, places), places)


@torch.inference_mode()
def answers(speaker: Speaker, asked: Iterable[Asked], width: int) -> Iterator[tuple[Asked, Floats]]:
    """(P, V) ln p at the hidden places of each row, batch by batch; `width`: tokens of the longest row."""
    network: Any = Conjoined(speaker.network) if speaker.strands == "both" else speaker.network
    waiting, most = iter(asked), max(1, BUDGET // width)
    while part := list(islice(waiting, most)):
        batch = ask_nothing([one.row for one in part], range(len(part))).to(speaker.device)
        logs = network(batch).log_softmax(-1).double().cpu().numpy()
        for one, own in zip(part, logs, strict=True):
            yield one, own[one.places]


def pseudo_log_likelihoods(speaker: Speaker, records: Sequence[Tokens], tell: Tell | None, say: Tell | None) -> Floats:
    """(R,) nats of each record.

    Raises:
        SeqsciError: it would take more than a day.
    """
    widths = [min(len(tokens) + ENDS, speaker.context) for tokens in records]
    work = [len(tokens) * width for tokens, width in zip(records, widths, strict=True)]
    order = np.argsort([len(tokens) for tokens in records], kind="stable")
    progress, watch = Progress(sum(work), "scoring", say), _Watch(float(sum(work)), tell)
    found = np.zeros(len(records))
    for number in order:
        tokens, width = records[number], widths[number]
        for one, logs in answers(speaker, each_letter(tokens, speaker.context), width):
            found[number] += logs[0, tokens[one.owner]]
            progress.add(width)
            watch.look(progress.done)
    return found


class _Watch:
    """Estimates the time of the whole from its first seconds."""

    def __init__(self, total: float, tell: Tell | None) -> None:
        self.total, self.tell, self.began, self.told = total, tell, time.monotonic(), False

    def look(self, done: float) -> None:
        """Say, once, that it is long; refuse what is far too long."""
        spent = time.monotonic() - self.began
        if self.told or spent < 1:
            return
        self.told, whole = True, spent * self.total / done
        if whole > TOO_LONG:
            raise SeqsciError(
                f"data: hiding each letter in turn would take about {duration(whole)} here; score fewer or shorter "
                f"records, or a causal model, which reads each record once"
            )
        if whole > LONG and self.tell is not None:
            self.tell(f"hiding each letter in turn takes about {duration(whole)} here; a causal model reads once")
