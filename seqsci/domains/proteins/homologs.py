"""Weights of homologs, and fill-in-the-middle over the residues of one protein.

After ProtMamba (Sgarbossa et al., 2024) and Prot-xLSTM (Schmidinger et al., arXiv:2411.04165): of the homologs that a
model reads one behind the other, stretches may stand at the end instead of in their place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqsci.data.records import BEGIN, FILL, SPAN, SPANS, SPECIALS, Tokens
from seqsci.domains.proteins.letters import RESIDUES
from seqsci.errors import SeqsciError

ALIKE = 0.8
"""Identity from which members of an alignment count as neighbours (theta = 0.2 of ProteinGym and EVcouplings)."""
LONGEST = 0.2
"""Longest span as a share of the residues up to the next one."""
BLOCK = 256


def weights(rows: NDArray[np.uint8], alike: float = ALIKE) -> NDArray[np.float64]:
    """(N,) 1 / number of members that are neighbours of each, itself among them.

    As ProteinGym's protocol (Notin et al., 2023; EVcouplings): a member is a neighbour of row i where it has the same
    residue in at least `alike` of the columns in which row i has one. A row without residues has weight 0.

    Args:
        rows: (N, L) of `Alignment.rows`.
        alike: 0 to 1.
    """
    amino = len(RESIDUES)
    hot = (rows[:, :, None] == np.arange(amino, dtype=np.uint8)).reshape(len(rows), -1).astype(np.float32)
    own = (rows < amino).sum(axis=1)
    out = np.zeros(len(rows))
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        # Counts of equal residues are whole numbers below 2^24, so that float32 holds them exactly.
        equal = hot[block] @ hot.T
        near = (equal >= alike * own[block, None] - 1e-6).sum(axis=1)
        out[block] = np.where(own[block] > 0, 1.0 / np.maximum(near, 1), 0.0)
    return out


def fill_in_the_middle(tokens: Tokens, rng: np.random.Generator, least: int = 0) -> tuple[Tokens, NDArray[np.int64]]:
    """A protein with spans moved behind it, and where each token was.

        A B <span-1> E F <span-2> H <fill> <span-1> C D <span-2> G

    The number of spans is Poisson with mean 1, drawn again while it is above 5; their starts are distinct places in
    the protein, drawn uniformly, and the length of each is uniform on 1 ... 0.2 n - 1 (at least 1), n being the
    residues from its start to that of the next span or the end. Without a span the tokens stay as they are. (The
    published code indexes positions from the start of the whole batch when it has one span, and so breaks for every
    sequence but the first; its spans of several do as here.)

    Args:
        tokens: (L,) of one protein, with <begin> in front or without.
        rng: draws the spans.
        least: spans at least, 1 where a span is wanted in any case.

    Returns:
        Tokens (L',) and positions (L',): of a residue its place in `tokens`; of a <span-i>, both times, that of the
        span's first residue; of <fill> 0.

    Raises:
        SeqsciError: a token other than <begin> in front that is no residue.
    """
    _refuse_specials(tokens)
    first = int(len(tokens) > 0 and tokens[0] == BEGIN)
    count = int(rng.poisson(1.0))
    while count > len(SPANS):
        count = int(rng.poisson(1.0))
    count = min(max(count, least), len(tokens) - first, len(SPANS))
    drawn = rng.choice(np.arange(first, len(tokens)), size=count, replace=False) if count else np.zeros(0, np.int64)
    starts = sorted(drawn.tolist())
    rooms = np.diff([*starts, len(tokens)]).tolist()
    lengths = [int(rng.integers(1, max(int(room * LONGEST), 2))) for room in rooms]
    return _moved(tokens, [(start, start + length) for start, length in zip(starts, lengths, strict=True)])


def _moved(tokens: Tokens, spans: Sequence[tuple[int, int]]) -> tuple[Tokens, NDArray[np.int64]]:
    """The tokens with these spans, sorted and apart, behind them."""
    places = np.arange(len(tokens))
    if not spans:
        return tokens.copy(), places
    head: list[NDArray[np.int64]] = []
    tail: list[NDArray[np.int64]] = []
    # A negative entry -(2 + i) stands for <span-i+1>; -1 for <fill>.
    done = 0
    for number, (start, stop) in enumerate(spans):
        mark = np.array([-(2 + number)])
        head += [places[done:start], mark]
        tail += [mark, places[start:stop]]
        done = stop
    order = np.concatenate([*head, places[done:], np.array([-1]), *tail])
    special = order < 0
    marks = np.where(order == -1, FILL, SPAN - order - 2)
    firsts = np.array([0, *(start for start, _ in spans)])
    out = np.where(special, marks, tokens[np.maximum(order, 0)]).astype(np.uint8)
    positions = np.where(special, firsts[np.where(special, -order - 1, 0)], order)
    return out, positions.astype(np.int64)


def filled(tokens: Tokens) -> Tokens:
    """The protein whose spans stand behind <fill>, with each back in its place; the inverse of `fill_in_the_middle`.

    Raises:
        SeqsciError: a <span-i> without its residues behind <fill>, or residues that belong to no span.
    """
    fills = np.flatnonzero(tokens == FILL)
    if len(fills) == 0:
        _refuse_specials(tokens)
        return tokens.copy()
    if len(fills) > 1:
        raise SeqsciError(f"token {fills[1] + 1}: a second <fill>; a protein has one")
    head, tail = tokens[: fills[0]], tokens[fills[0] + 1 :]
    found: dict[int, Tokens] = {}
    marks = np.flatnonzero(_is_span(tail))
    if len(marks) == 0 or marks[0] != 0:
        raise SeqsciError(f"token {fills[0] + 2}: residues behind <fill> must follow a <span-i>")
    for start, stop in zip(marks, [*marks[1:], len(tail)], strict=True):
        if int(tail[start]) in found:
            raise SeqsciError(f"token {fills[0] + 2 + start}: {SPECIALS[tail[start]]} a second time behind <fill>")
        found[int(tail[start])] = tail[start + 1 : stop]
    parts: list[Tokens] = []
    done = 0
    for place in np.flatnonzero(_is_span(head)):
        mark = int(head[place])
        if mark not in found:
            raise SeqsciError(f"token {place + 1}: {SPECIALS[mark]} has no residues behind <fill>")
        parts += [head[done:place], found.pop(mark)]
        done = int(place) + 1
    if found:
        raise SeqsciError(f"{SPECIALS[next(iter(found))]} behind <fill> has no place in front of it")
    out: Tokens = np.concatenate([*parts, head[done:]]).astype(np.uint8)
    _refuse_specials(out)
    return out


def _is_span(tokens: Tokens) -> NDArray[np.bool_]:
    return (tokens >= SPAN) & (tokens < SPAN + len(SPANS))


def _refuse_specials(tokens: Tokens) -> None:
    """Only residues, but for <begin> in front."""
    wrong = tokens < len(SPECIALS)
    wrong[:1] &= tokens[:1] != BEGIN
    if wrong.any():
        place = int(np.argmax(wrong))
        raise SeqsciError(f"token {place + 1}: {SPECIALS[tokens[place]]} is no residue; give one protein's residues")
