"""A survey that does not exist: light curves of 14 PLAsTiCC-like classes, and of four that a classifier never saw.

Nothing in it was measured and nothing was calibrated: a score on it says nothing about PLAsTiCC. What it has in
common with PLAsTiCC (cadence, noise, detection, photometric redshifts) is in `cadence`, the classes are in
`simulate_classes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import polars as pl

from seqsci.domains.photometry.cadence import Floats, Ints, draw_visits, observe
from seqsci.domains.photometry.simulate_classes import MODELS, ZEROPOINT
from seqsci.domains.photometry.table import BANDS, OBJECTS, OBSERVATIONS, LightCurves, Units
from seqsci.errors import SeqsciError

CLASSES: Mapping[str, str] = {
    "6": "microlensing",
    "15": "tidal disruption",
    "16": "eclipsing binary",
    "42": "SN II",
    "52": "SN Iax",
    "53": "Mira",
    "62": "SN Ibc",
    "64": "kilonova",
    "65": "M dwarf flare",
    "67": "SN Ia-91bg",
    "88": "AGN",
    "90": "SN Ia",
    "92": "RR Lyrae",
    "95": "SLSN-I",
}
"""PLAsTiCC's code of a class, which is its label here, to its name."""
OPEN_CLASSES: Mapping[str, str] = {
    "991": "binary microlensing",
    "992": "luminous red transient (ILOT)",
    "993": "calcium-rich transient (CaRT)",
    "994": "pair-instability SN (PISN)",
}
"""The same for the classes of the open set, which no training set has."""
START = 59580.0
"""MJD of the first night."""
BLOCK = 64
"""Candidates drawn together. Part of what a seed means: another size is another survey."""
DETECTIONS = 2
"""An object with fewer is not in the catalogue, and the next one takes its place. Of a class that is mostly too faint
some are there by chance detections alone: about a fifth of the kilonovae and a tenth of SN II, Iax, Ibc and 91bg."""
PHOTOZ_ERROR, PHOTOZ_OUTLIERS = 0.03, 0.08  # of (1 + z); share


@dataclass(frozen=True, kw_only=True)
class _Objects:
    """Objects of one class; (rows,) `time`, `band`, `flux`, `error`, `detected`; (n,) `counts`, `redshift`."""

    time: Floats
    band: Ints
    flux: Floats
    error: Floats
    detected: np.ndarray[tuple[int], np.dtype[np.bool_]]
    counts: Ints
    redshift: Floats


def simulate(seed: int = 0, objects: int = 3000, *, open_set: bool = False, redshift: bool = True) -> LightCurves:
    """SIMULATED light curves of 14 PLAsTiCC-like classes in equal shares, about 130 observations each.

    Object i of a class depends on the seed, the class and i alone, and so does its object_id: asking for more
    objects keeps those there were. The objects come in the order of their ids, which are numbers without meaning,
    so that the classes are mixed.

    Args:
        seed: any whole number from 0.
        objects: how many, dealt to the classes in turn.
        open_set: adds the classes of `OPEN_CLASSES`, `objects` // 14 of each (at least one).
        redshift: False leaves the photometric redshift and its error null.

    Returns:
        Light curves with `simulated` set. Times in MJD (59580 to 60675), fluxes and errors in FLUXCAL (zero point
        27.5), corrected for the Milky Way's dust and less a template; labels are the codes of `CLASSES`; the redshift
        is that of a photometric estimate with error 0.03 (1 + z) and 8 % outliers, 0 in the Galaxy.

    Raises:
        SeqsciError: a negative seed, or no objects.
    """
    if seed < 0:
        raise SeqsciError(f"seed: {seed} is negative; give a whole number from 0")
    if objects < 1:
        raise SeqsciError(f"objects: {objects} light curves cannot be simulated; ask for at least 1")
    share, rest = divmod(objects, len(CLASSES))
    wanted = {code: share + (i < rest) for i, code in enumerate(CLASSES)}
    wanted |= {code: max(share, 1) for code in OPEN_CLASSES if open_set}
    wanted = {code: n for code, n in wanted.items() if n}
    drawn = {code: _draw(seed, code, n) for code, n in wanted.items()}
    tries = sum(t for _, t in drawn.values())
    return _light_curves(seed, {code: part for code, (part, _) in drawn.items()}, tries, redshift)


def _draw(seed: int, code: str, n: int) -> tuple[_Objects, int]:
    """The first n objects of a class that were detected often enough, and the candidates it took."""
    parts: list[_Objects] = []
    accepted = last = 0
    while accepted < n:
        candidates = _block(seed, code, len(parts))
        owner = np.repeat(np.arange(BLOCK), candidates.counts)
        good = np.bincount(owner[candidates.detected], minlength=BLOCK) >= DETECTIONS
        which = np.flatnonzero(good)[: n - accepted]
        accepted += len(which)
        last = int(which[-1]) + 1 if len(which) else BLOCK
        parts.append(_keep(candidates, owner, which))
    joined = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(_Objects)}
    return _Objects(**joined), (len(parts) - 1) * BLOCK + last


def _block(seed: int, code: str, block: int) -> _Objects:
    """BLOCK candidates. Drawn whole whatever is needed of them, so that a seed always means the same objects."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, int(code), block])))
    visits = draw_visits(rng, BLOCK)
    flux, z = MODELS[code](rng, visits)
    seen = observe(rng, visits, flux)
    # Rounding hides what the last bits of sin and exp owe to the machine; an error never rounds to 0.
    return _Objects(
        time=np.round(START + visits.time, 7),
        band=visits.band,
        flux=np.round(seen.flux, 6),
        error=np.round(seen.error, 6) + 1e-6,
        detected=seen.detected,
        counts=visits.counts,
        redshift=photometric_redshift(rng, z),
    )


def _keep(all_: _Objects, owner: Ints, which: Ints) -> _Objects:
    rows = np.isin(owner, which)
    per_object = ("counts", "redshift")
    return _Objects(
        **{f.name: getattr(all_, f.name)[which if f.name in per_object else rows] for f in fields(_Objects)}
    )


def photometric_redshift(rng: np.random.Generator, z: Floats) -> Floats:
    """(n,) estimates of true redshifts: normal, 0.03 (1 + z) wide, 8 % anything from 0.05 to 3; 0 stays 0."""
    guess = z + PHOTOZ_ERROR * (1 + z) * rng.normal(size=len(z))
    wild = rng.random(len(z)) < PHOTOZ_OUTLIERS
    guess = np.where(wild, rng.uniform(0.05, 3, len(z)), guess)
    # 0 would say that the object is in the Galaxy.
    return np.where(z > 0, np.round(np.maximum(guess, 0.005), 4), 0.0)


def _ids(seed: int, code: str, n: int) -> Ints:
    """(n,) distinct numbers below 2^32 without meaning: murmur3's finaliser, which maps no two to the same."""
    place = list(MODELS).index(code)
    mixed = _mix(np.arange(n, dtype=np.uint64) * np.uint64(len(MODELS)) + np.uint64(place))
    return _mix(mixed ^ np.uint64(seed % 2**32)).astype(np.int64)


def _mix(x: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    low = np.uint64(0xFFFFFFFF)
    x = x ^ (x >> np.uint64(16))
    x = (x * np.uint64(0x85EBCA6B)) & low
    x = x ^ (x >> np.uint64(13))
    x = (x * np.uint64(0xC2B2AE35)) & low
    mixed: np.ndarray[tuple[int], np.dtype[np.uint64]] = x ^ (x >> np.uint64(16))
    return mixed


def _light_curves(seed: int, parts: Mapping[str, _Objects], tries: int, redshift: bool) -> LightCurves:
    joined = {f.name: np.concatenate([getattr(p, f.name) for p in parts.values()]) for f in fields(_Objects)}
    ids = np.concatenate([_ids(seed, code, len(p.counts)) for code, p in parts.items()])
    labels = [code for code, p in parts.items() for _ in range(len(p.counts))]
    order = np.argsort(ids)
    counts, z = joined["counts"], joined["redshift"]
    starts = np.cumsum(counts) - counts
    sizes = counts[order]
    rows = np.arange(sizes.sum()) + np.repeat(starts[order] - (np.cumsum(sizes) - sizes), sizes)
    names = pl.Series([f"{i:010d}" for i in ids[order]])
    observations = pl.DataFrame(
        {
            "object_id": names.gather(np.repeat(np.arange(len(order)), sizes)),
            "time": joined["time"][rows],
            "band": pl.Series(BANDS).gather(joined["band"][rows]),
            "flux": joined["flux"][rows],
            "flux_error": joined["error"][rows],
            "detected": joined["detected"][rows],
        },
        schema=OBSERVATIONS,
    )
    error = np.where(z > 0, PHOTOZ_ERROR * (1 + z), 0.0)
    table = pl.DataFrame(
        {
            "object_id": names,
            "label": pl.Series(labels).gather(order),
            "redshift": z[order] if redshift else [None] * len(order),
            "redshift_error": error[order] if redshift else [None] * len(order),
            "group": None,
        },
        schema=OBJECTS,
    )
    occur = set(observations["band"].unique())
    return LightCurves(
        observations=observations,
        objects=table,
        units=Units(zeropoint=ZEROPOINT, mw_corrected=True, difference=True),
        bands=tuple(band for band in BANDS if band in occur),
        counts={
            "objects in": tries,
            f"objects: fewer than {DETECTIONS} detections": tries - len(table),
            "objects out": len(table),
            "rows out": len(observations),
        },
        notes=(
            f"simulated data (seed {seed}): nothing in it was measured; PLAsTiCC-like, not calibrated",
            f"objects: {tries - len(table)} with fewer than {DETECTIONS} detections were drawn again",
        ),
        simulated=True,
    )
