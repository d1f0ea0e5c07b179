"""Names: which column of a foreign table is which of ours, and which passband is meant by what it is called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import polars as pl

from seqsci.domains.photometry.table import BANDS
from seqsci.errors import SeqsciError, nearest

OBSERVATION_NAMES = {
    "object_id": ("objectid", "snid", "id", "oid", "diaobjectid", "transientid"),
    "time": ("time", "mjd", "mjdrel", "timemjd", "mjdobs", "midpointmjdtai", "date", "jd"),
    "band": ("band", "passband", "bandpass", "filter", "flt", "fid"),
    "flux": ("flux", "fluxcal", "psfflux", "f"),
    "flux_error": ("fluxerror", "fluxerr", "fluxcalerr", "fluxcalerror", "psffluxerr"),
    "magnitude": ("magnitude", "mag", "magpsf"),
    "magnitude_error": ("magnitudeerror", "magerr", "sigmapsf"),
    "sign": ("isdiffpos",),
    "zeropoint": ("zeropoint", "zp"),
    "detected": ("detected", "detectedbool"),
    "photflag": ("photflag",),
}
"""Ours to theirs, in the order of preference; names are compared by their letters and digits in lower case."""
OBJECT_NAMES = {
    "object_id": OBSERVATION_NAMES["object_id"],
    "label": ("label", "spectype", "simtype", "simtypename", "class", "classification", "target", "sntype"),
    "redshift": ("redshift", "hostgalphotoz", "hostphotoz", "z"),
    "redshift_error": ("redshifterror", "redshifterr", "hostgalphotozerr", "hostphotozerr", "zerr"),
    "group": ("group", "groupid", "parent", "parentid", "parentobjectid"),
}
WANTED = ("object_id", "time", "flux", "flux_error")
KNOWN_ZEROPOINTS = {"fluxcal": 27.5, "psfflux": 31.4}
"""Zero points that the name of a flux column gives away: SNANA's FLUXCAL, and nJy of LSST."""
DIGITS = dict(zip("012345", BANDS, strict=True))
ZTF = {"1": "g", "2": "r", "3": "i"}
_BAND = r"^(?:lsst|des|ztf|sdss|ps1|z)?[-_: ]*([ugrizy])$"


def plain(name: str) -> str:
    """Letters and digits of a name in lower case: 'Time (MJD)' is `timemjd`."""
    return re.sub("[^a-z0-9]", "", name.lower())


def resolve(
    names: Iterable[str],
    aliases: Mapping[str, tuple[str, ...]],
    columns: Mapping[str, str] | None,
    origin: str,
) -> dict[str, str]:
    """Our column names to those of the table; `columns` of the user go before what we know.

    An empty name in `columns` means that the column is not to be read, whatever the table has.

    Raises:
        SeqsciError: `columns` names something that we do not use or that the table does not have.
    """
    names = list(names)
    found: dict[str, str] = {}
    for ours, theirs in (columns or {}).items():
        if ours not in OBSERVATION_NAMES and ours not in OBJECT_NAMES:
            raise SeqsciError(f"columns: '{ours}' is not used{nearest(ours, OBSERVATION_NAMES | OBJECT_NAMES)}")
        if ours in aliases and theirs:
            if theirs not in names:
                raise SeqsciError(f"{origin}: there is no column '{theirs}' for {ours}{nearest(theirs, names)}")
            found[ours] = theirs
    by_plain = {plain(name): name for name in reversed(names)}
    for ours, known in aliases.items():
        hit = next((by_plain[name] for name in known if name in by_plain), None)
        if ours not in found and hit is not None and (columns or {}).get(ours) != "":
            found[ours] = hit
    return found


def require(found: Mapping[str, str], names: Iterable[str], wanted: Iterable[str], origin: str) -> None:
    """Refuses a table that lacks a column, naming what it has and what is wanted."""
    missing = [name for name in wanted if name not in found]
    if missing:
        raise SeqsciError(
            f"{origin}: no column for {', '.join(missing)}; the columns are {', '.join(names)}; "
            f'name the right one by data.columns "{{{missing[0]}: ...}}", in Python by columns'
            + (", or give the one passband of all rows by data.band r" if "band" in missing else "")
        )


def band(source: str) -> pl.Expr:
    """The passband by its letter (u g r i z y), null where the name is not known; `fid` counts as ZTF does."""
    text = pl.col(source).cast(pl.String).str.strip_chars().str.to_lowercase().str.replace(r"\.0$", "")
    digits = ZTF if plain(source) == "fid" else DIGITS
    return text.replace(digits).str.extract(_BAND, 1)


def constant_band(name: str) -> str:
    """The letter of a passband that the user names for a survey in one band."""
    letter: str | None = pl.select(pl.lit(name).alias("band")).select(band("band")).item()
    if letter is None:
        raise SeqsciError(f"band: '{name}' is not a passband{nearest(name, BANDS)}")
    return letter
