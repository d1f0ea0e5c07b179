"""Light curves as a table of numbers, one row for each object: what a classifier of tables is fed.

Nothing tells where or when an object was seen: no position, field, MJD or place in the file, only days since the first
detection. Fluxes are in the unit of the curves. The measures are of the kind that avocado (Boone 2019,
arXiv 1907.04690) and the Kaggle entries fed to LightGBM, here straight from the observations, without a fit.
"""

from __future__ import annotations

from itertools import pairwise

import polars as pl

from seqsci.domains.photometry.cosmology import distance_modulus
from seqsci.domains.photometry.table import BANDS, LightCurves

SIGNIFICANT = 5.0
"""Flux over its error from which a row counts as a detection where the survey did not say."""
WINDOWS = {"rise": (-30.0, -8.0), "peak": (-8.0, 8.0), "fall": (8.0, 25.0), "late": (25.0, 60.0)}
"""Days from the most significant observation, the end excluded, over which fluxes are averaged."""
PAIRS = tuple(pairwise(BANDS))
"""Neighbouring bands, whose fluxes make a colour."""
HOST = ("redshift", "redshift_error", "galactic", "luminosity", "rest_rise", "rest_fall")
"""Features that need the redshift of the host."""
KEY = ["object", "band"]
FLUX, ERROR, T, SNR, SEEN = (pl.col(name) for name in ("flux", "flux_error", "t", "snr", "seen"))


def features(curves: LightCurves) -> pl.DataFrame:
    """One row for each of `curves.objects`, in their order: object_id and 119 float columns; null where not defined.

    `BAND` is a band u to y, of which those without an observation have nulls; `first` the first row that was detected
    (that the survey says is, or else flux > 5 errors; the first row of all where none was); `peak` the row with the
    largest flux over error.

    - flux_{max,min,mean,std,skew}_BAND; snr_{max,std}_BAND of flux over error; peak_time_BAND, days from first to the
      band's most significant row; detections_BAND.
    - detections, detected_share (of the rows), positive_share (of the detections), bright_share and dim_share (of the
      rows, beyond 3 errors), duration (days, first to last detection), peak_time (days from first), decline_time (days
      from peak to the last detection), spread_time (days, standard deviation over detections).
    - half_rise, half_fall: days from peak to the first and last row above half of its band's maximum and 3 errors.
    - before_mean, before_std: of flux over error more than 30 days before first.
    - chi2 (log10, per degree of freedom, each band against its own constant), neumann (mean squared step from row to
      row over variance, all bands together), jump (largest step in less than 3 days over its error).
    - level_{05,25,50,75,95}: quantiles of the flux over its band's largest, of bands with a row beyond 5 errors.
    - colour_{peak,fall,late}_AB: (f_A - f_B) / (|f_A| + |f_B|) of the mean fluxes in that window of `WINDOWS`;
      colour_max_AB of the maxima; {rise,fall,late}_BAND: the same contrast of that window with the one at the peak.
    - redshift, redshift_error, galactic (1 where the redshift is 0); luminosity (log10 of the flux at peak times the
      squared luminosity distance in Mpc), rest_rise and rest_fall (half_rise, half_fall over 1 + redshift).
    """
    rows = _rows(curves)
    bands = _by_band(rows)
    parts = [_of_band(bands, band) for band in BANDS]
    parts += [_overall(rows), _levels(rows, bands), _steps(rows, bands), _windows(rows)]
    table = curves.objects.select("object_id", "redshift", "redshift_error").with_row_index("object")
    for part in parts:
        table = table.join(part, on="object", how="left", maintain_order="left")
    names = [_contrast(f"flux_max_{a}", f"flux_max_{b}").alias(f"colour_max_{a}{b}") for a, b in PAIRS]
    table = table.with_columns(*names, *_host()).drop("object", "peak_flux")
    number = pl.col(pl.Float64)
    return table.with_columns(pl.exclude("object_id").cast(pl.Float64)).with_columns(
        pl.when(number.is_finite()).then(number)
    )


def _rows(curves: LightCurves) -> pl.DataFrame:
    """Rows by object, band, time and flux, with `t` in days since first, `snr`, and `seen` for a detection."""
    keys = curves.objects.select("object_id").with_row_index("object")
    snr = FLUX / ERROR
    rows = curves.observations.join(keys, on="object_id").with_columns(
        snr=snr, seen=pl.coalesce("detected", snr > SIGNIFICANT)
    )
    first = rows.group_by("object").agg(
        pl.coalesce(pl.col("time").filter(SEEN).min(), pl.col("time").min()).alias("first")
    )
    rows = rows.join(first, on="object").with_columns(t=pl.col("time") - pl.col("first"))
    return rows.sort(*KEY, "t", "flux").select(*KEY, "t", "flux", "flux_error", "snr", "seen")


def _by_band(rows: pl.DataFrame) -> pl.DataFrame:
    away = FLUX - FLUX.mean()
    weight = ERROR**-2
    return rows.group_by(KEY, maintain_order=True).agg(
        flux_max=FLUX.max(),
        flux_min=FLUX.min(),
        flux_mean=FLUX.mean(),
        flux_std=FLUX.std(),
        flux_skew=(away**3).mean() / (away**2).mean() ** 1.5,
        snr_max=SNR.max(),
        snr_std=SNR.std(),
        peak_time=T.get(SNR.arg_max()),
        detections=SEEN.sum(),
        n=pl.len(),
        top=FLUX.abs().max(),
        strong=SNR.abs().max() > SIGNIFICANT,
        squares=(away**2).sum(),
        chi2=(weight * (FLUX - (FLUX * weight).sum() / weight.sum()) ** 2).sum(),
    )


def _of_band(bands: pl.DataFrame, band: str) -> pl.DataFrame:
    kept = bands.filter(pl.col("band") == band).drop("band", "n", "top", "strong", "squares", "chi2")
    return kept.rename({name: f"{name}_{band}" for name in kept.columns if name != "object"})


def _overall(rows: pl.DataFrame) -> pl.DataFrame:
    seen, peak, before = T.filter(SEEN), T.get(SNR.arg_max()), SNR.filter(T < -30)
    return rows.group_by("object").agg(
        detections=SEEN.sum(),
        detected_share=SEEN.mean(),
        positive_share=(SNR > 0).filter(SEEN).mean(),
        bright_share=(SNR > 3).mean(),
        dim_share=(SNR < -3).mean(),
        duration=seen.max() - seen.min(),
        peak_time=peak,
        decline_time=seen.max() - peak,
        spread_time=seen.std(),
        before_mean=before.mean(),
        before_std=before.std(),
        peak_flux=FLUX.get(SNR.arg_max()),
    )


def _levels(rows: pl.DataFrame, bands: pl.DataFrame) -> pl.DataFrame:
    """Quantiles of the flux over its band's largest, and the days above half of that."""
    known = bands.select(*KEY, "flux_max", "top", "strong")
    rows = rows.join(known, on=KEY, maintain_order="left")
    level = (FLUX / pl.col("top")).filter(pl.col("strong"))
    since = T - T.get(SNR.arg_max())
    high = since.filter((pl.col("flux_max") < 2 * FLUX) & (SNR > 3))
    return rows.group_by("object").agg(
        *[level.quantile(q / 100, "linear").alias(f"level_{q:02d}") for q in (5, 25, 50, 75, 95)],
        half_rise=high.min(),
        half_fall=high.max(),
    )


def _steps(rows: pl.DataFrame, bands: pl.DataFrame) -> pl.DataFrame:
    """From row to row of a band, and all bands' variability together."""
    same = (pl.col("object") == pl.col("object").shift()) & (pl.col("band") == pl.col("band").shift())
    steps = rows.select(
        "object",
        step=pl.when(same).then(FLUX.diff()),
        error=(ERROR**2 + ERROR.shift() ** 2).sqrt(),
        days=T.diff(),
    )
    walked = steps.group_by("object").agg(
        walked=(pl.col("step") ** 2).sum(),
        jump=(pl.col("step").abs() / pl.col("error")).filter(pl.col("days") < 3).max(),
    )
    pooled = bands.group_by("object").agg(pl.col("chi2", "squares", "n").sum(), pl.len().alias("bands"))
    table = walked.join(pooled, on="object")
    free = pl.col("n").cast(pl.Float64) - pl.col("bands")
    return table.select(
        "object", "jump", chi2=(pl.col("chi2") / free).log10(), neumann=pl.col("walked") / pl.col("squares")
    )


def _windows(rows: pl.DataFrame) -> pl.DataFrame:
    """Colours and changes of the mean fluxes, weighted by the inverse squared error, in the windows about the peak."""
    peak = rows.group_by("object").agg(peak=T.get(SNR.arg_max()))
    since, weight = T - pl.col("peak"), ERROR**-2
    inside = {name: (since >= low) & (since < high) for name, (low, high) in WINDOWS.items()}
    means = {
        f"{name}_{band}": ((FLUX * weight).filter(keep, pl.col("band") == band).sum())
        / weight.filter(keep, pl.col("band") == band).sum()
        for name, keep in inside.items()
        for band in BANDS
    }
    table = rows.join(peak, on="object").group_by("object").agg(**means)
    colours = [
        _contrast(f"{name}_{a}", f"{name}_{b}").alias(f"colour_{name}_{a}{b}")
        for name in ("peak", "fall", "late")
        for a, b in PAIRS
    ]
    changes = [
        _contrast(f"{name}_{band}", f"peak_{band}").alias(f"{name}_{band}")
        for name in ("rise", "fall", "late")
        for band in BANDS
    ]
    return table.select("object", *colours, *changes)


def _contrast(a: str, b: str) -> pl.Expr:
    """From -1 to 1: a colour that noise cannot make infinite."""
    return (pl.col(a) - pl.col(b)) / (pl.col(a).abs() + pl.col(b).abs())


def _host() -> list[pl.Expr]:
    z = pl.col("redshift")
    modulus = z.map_batches(lambda s: pl.Series(distance_modulus(s.to_numpy())), return_dtype=pl.Float64)
    return [
        (z == 0).cast(pl.Float64).alias("galactic"),
        pl.when(pl.col("peak_flux") > 0).then(pl.col("peak_flux").log10() + 0.4 * (modulus - 25)).alias("luminosity"),
        (pl.col("half_rise") / (1 + z)).alias("rest_rise"),
        (pl.col("half_fall") / (1 + z)).alias("rest_fall"),
    ]
