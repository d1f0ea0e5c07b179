"""A table -> `Sequences` on a regular grid: absent rows are put in as unobserved, off-grid ones refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqsci.catalog import Irregular
from seqsci.data.batch import Sequences
from seqsci.domains.electricity.read import Table, named
from seqsci.domains.electricity.steps import Times, future_times, grid, grid_length, infer_step, parse_step
from seqsci.errors import SeqsciError, nearest

Floats = NDArray[np.float64]
MOST_INSERTED = 10
"""A grid that is longer than so many times the rows comes from a wrong time or step."""


def sequences(
    table: Table,
    *,
    channels: Sequence[str] | None = None,
    covariates: Sequence[str] = (),
    step: str | None = None,
    irregular: Irregular = "refuse",
) -> Sequences:
    """One sequence with a row at every step, in the units of the file.

    Args:
        table: from `read`.
        channels: series to keep, in this order; None: all that are not covariates.
        covariates: columns that are known for the future as well. Rows at the end that give them and leave
            every channel blank become the `tail`; without covariates such rows are dropped.
        step: such as "1h"; None: inferred, and noted.
        irregular: a time between two steps: "refuse", or "round" it to the nearest one.

    Raises:
        SeqsciError: unknown or empty channels, blank covariates, irregular times; located.
    """
    channels, covariates = _choose(table, channels, covariates)
    values = table.frame.select(channels).to_numpy().reshape(-1, len(channels))
    known = table.frame.select(covariates).to_numpy().reshape(len(values), -1)
    for j, name in enumerate(channels):
        if np.isnan(values[:, j]).all():
            raise SeqsciError(f"{table.origin}, column {name}: holds no value at all; leave it out or fill it")
    _require_complete(table, known, covariates)
    end = int(np.flatnonzero(~np.isnan(values).all(axis=1))[-1]) + 1
    notes = list(table.notes)
    if end < len(values) and not covariates:
        notes.append(f"rows at the end without any value: {len(values) - end}, left out")
        values, known = values[:end], known[:end]
    times = table.frame["time"].to_numpy().astype("datetime64[us]")[: len(values)]
    notes += _blanks(values, times, channels)
    step = step or _infer(table, times, notes)
    regular, place = _place(table, times, step, irregular, notes)
    missing = len(regular) - len(times)
    if missing:
        absent = np.setdiff1d(np.arange(len(regular)), place)
        when = str(regular[absent[0]]).replace("T", " ")[:19]
        if covariates:
            raise SeqsciError(f"{table.origin}: there is no row for {when}; covariates must be given at every step")
        notes.append(f"absent steps of {step}: {missing} (the first at {when}), put in as unobserved")
    return Sequences(
        values=_spread(values, place, len(regular)),
        times=regular,
        offsets=np.array([0, len(regular)], dtype=np.int64),
        ids=("all",),
        channels=tuple(channels),
        known=_spread(known, place, len(regular)),
        known_names=tuple(covariates),
        step=step,
        tail=int(len(regular) - 1 - place[end - 1]),
        notes=tuple(notes),
        simulated=table.simulated,
        zone=table.zone,
    )


def _blanks(values: Floats, times: Times, channels: Sequence[str]) -> list[str]:
    """A sentence on values that are missing in rows that are there."""
    blank = np.isnan(values)
    if not blank.any():
        return []
    row = int(np.flatnonzero(blank.any(axis=1))[0])
    most = sorted(range(len(channels)), key=lambda j: -blank[:, j].sum())[:5]
    counts = ", ".join(f"{channels[j]} {blank[:, j].sum()}" for j in most if blank[:, j].any())
    more = int(blank.any(axis=0).sum()) - 5
    tail = f" and {more} series more" if more > 0 else ""
    return [f"missing values: {counts}{tail} (the first at {_shown(times[row])}), masked: never scored, never a target"]


def _choose(table: Table, channels: Sequence[str] | None, covariates: Sequence[str]) -> tuple[list[str], list[str]]:
    """Channels and covariates by name."""
    channels = None if channels is None else named(channels, table.series)
    for role, names in (("covariate", covariates), ("series", channels or ())):
        for i, name in enumerate(names):
            if name not in table.series:
                raise SeqsciError(f"{table.origin}: there is no {role} '{name}'{nearest(name, table.series)}")
            if name in names[:i]:
                raise SeqsciError(f"{table.origin}: the {role} '{name}' is named twice; name it once")
    chosen = [name for name in table.series if name not in covariates] if channels is None else list(channels)
    both = [name for name in chosen if name in covariates]
    if both:
        raise SeqsciError(f"{table.origin}: '{both[0]}' cannot be a series and a covariate at once; name it once")
    if not chosen:
        raise SeqsciError(f"{table.origin}: every column is a covariate, none is left to forecast; name fewer")
    return chosen, list(covariates)


def _require_complete(table: Table, known: Floats, names: Sequence[str]) -> None:
    blank = np.isnan(known)
    if blank.any():
        row, j = (int(i[0]) for i in np.nonzero(blank))
        raise SeqsciError(
            f"{table.at(row, names[j])}: is blank; a covariate is known in advance, so give it in every row"
        )


def _infer(table: Table, times: Times, notes: list[str]) -> str:
    try:
        step = infer_step(times)
    except SeqsciError as error:
        raise SeqsciError(f"{table.origin}: {error}") from None
    notes.append(f"step: {step} (inferred)")
    return step


def _place(
    table: Table, times: Times, step: str, irregular: Irregular, notes: list[str]
) -> tuple[Times, NDArray[np.int64]]:
    """The regular times, and the index of each row in them."""
    parse_step(step)
    length = grid_length(times, step)
    if length > MOST_INSERTED * len(times) + 1000:
        row = int(np.argmax(np.diff(times))) + 1
        raise SeqsciError(
            f"{table.at(row)}: in steps of {step} the table would have {length} rows, not {len(times)}; "
            f"correct the time ({_shown(times[row])}, after {_shown(times[row - 1])}) or give another data.step"
        )
    regular = grid(times, step)
    if not len(regular):
        raise SeqsciError(f"{table.origin}: no time lies on a step of {step}; give another data.step")
    place = np.minimum(np.searchsorted(regular, times), len(regular) - 1)
    off = regular[place] != times
    if off.any() and irregular == "round":
        return _round(table, times, regular, step, notes)
    if off.any():
        row = int(np.argmax(off))
        raise SeqsciError(
            f"{table.at(row)}: {_shown(times[row])} lies off the regular times, which come every {step} "
            f"(such as {_shown(regular[place[row]])}); correct it, remove the row, "
            "set data.irregular to round, or give another data.step"
        )
    return regular, place


def _round(table: Table, times: Times, regular: Times, step: str, notes: list[str]) -> tuple[Times, NDArray[np.int64]]:
    """Each row to its nearest regular time."""
    # The last row may be nearest to the step behind the grid.
    regular = np.concatenate([regular, future_times(regular, step, 1)])
    middle = regular[:-1] + np.diff(regular) // 2
    place = np.searchsorted(middle, times, side="right")
    clash = np.flatnonzero(np.diff(place) == 0)
    if len(clash):
        row = int(clash[0]) + 1
        raise SeqsciError(f"{table.at(row)}: rounds to the same step as the row before it; remove one of the two")
    count = int(np.sum(regular[place] != times))
    notes.append(f"times between two steps: {count}, rounded to the nearest")
    used = regular[: place[-1] + 1]
    return used[place[0] :], place - place[0]


def _spread(rows: Floats, place: NDArray[np.int64], length: int) -> Floats:
    """(N, C) rows at their places among `length`, NaN elsewhere."""
    out = np.full((length, rows.shape[1]), np.nan)
    out[place] = rows
    return out


def _shown(time: np.datetime64) -> str:
    """2020-01-31 05:00:00, with a fraction where there is one."""
    return str(time).replace("T", " ").removesuffix(".000000")
