"""SNANA's pair of FITS files: HEAD has one row per object, PHOT the observations, joined by row numbers."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from seqsci.errors import SeqsciError

SEPARATOR = -777.0
"""MJD of the rows that stand between two light curves."""


def read_pair(head: Path) -> tuple[pl.DataFrame, pl.DataFrame, bool | None]:
    """Observations (with SNID), objects, and whether the dust of the Milky Way was taken out (None: not said).

    PTROBS_MIN and PTROBS_MAX of HEAD count the rows of PHOT from 1, both included. Rows of PHOT that belong to
    no object have a null SNID (separators have MJD -777).

    Raises:
        SeqsciError: astropy is not installed, a file is missing or not FITS, or the row numbers do not fit.
    """
    phot = partner(head)
    (meta, header), (observations, _) = _open(head), _open(phot)
    for column in ("SNID", "PTROBS_MIN", "PTROBS_MAX"):
        if column not in meta.columns:
            raise SeqsciError(f"{head.name}: no column {column}; give the HEAD file of an SNANA pair")
    owner = np.full(len(observations), -1, dtype=np.int64)
    for i, (first, last) in enumerate(meta.select("PTROBS_MIN", "PTROBS_MAX").iter_rows()):
        rows = slice(first - 1, last)
        if first < 1 or last < first or last > len(owner) or (owner[rows] >= 0).any():
            raise SeqsciError(
                f"{head.name}, object {meta['SNID'][i]}, row {i + 1}: rows {first} to {last} do not fit the "
                f"{len(owner)} rows of {phot.name} or overlap those of another object; use the files of one run"
            )
        owner[rows] = i
    ids = meta["SNID"].gather(np.maximum(owner, 0)) if len(meta) else pl.Series([None] * len(owner), dtype=pl.String)
    observations = observations.with_columns(ids.alias("SNID").set(pl.Series(owner < 0), None))
    if "SIM_TYPE_NAME" in meta.columns and (meta["SIM_TYPE_NAME"] == "UNKNOWN").all():
        meta = meta.drop("SIM_TYPE_NAME")
    flag = header.get("MWEBV_APPLYFLAG")
    return observations, meta, None if flag is None else bool(flag)


def is_fits(path: Path) -> bool:
    """Whether a file is FITS by its name."""
    return path.name.lower().endswith((".fits", ".fits.gz", ".fit"))


def partner(head: Path) -> Path:
    """The PHOT file that goes with a HEAD file.

    Raises:
        SeqsciError: not a HEAD file by its name, or one of the two is missing.
    """
    if "HEAD" not in head.name:
        raise SeqsciError(f"{head.name}: is not a HEAD file of SNANA by its name; give the path of ..._HEAD.FITS")
    before, _, after = head.name.rpartition("HEAD")
    phot = head.with_name(f"{before}PHOT{after}")
    for path in (head, phot):
        if not path.is_file():
            raise SeqsciError(f"{path.name}: there is no such file beside {head.name}; HEAD and PHOT go together")
    return phot


def _open(path: Path) -> tuple[pl.DataFrame, Any]:
    try:
        fits = import_module("astropy.io.fits")
    except ImportError:
        raise SeqsciError(
            f"{path.name}: reading FITS needs astropy; install it by pip install 'seqsci[astronomy]'"
        ) from None
    try:
        with fits.open(path, memmap=False) as file:
            data, header = file[1].data, dict(file[0].header)
            frame = pl.DataFrame({name: _column(data[name]) for name in data.names if data[name].ndim == 1})
    except (OSError, IndexError, AttributeError, TypeError, ValueError):
        raise SeqsciError(f"{path.name}: is not a FITS file with a table, or it is damaged; copy it again") from None
    return frame, header


def _column(values: Any) -> pl.Series:
    """FITS is big-endian and pads text."""
    array = np.asarray(values)
    if array.dtype.kind in "US":
        return pl.Series([str(value).strip() for value in array.astype(str)], dtype=pl.String)
    return pl.Series(array.astype(array.dtype.newbyteorder("=")))
