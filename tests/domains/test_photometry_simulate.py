"""The simulated survey: its formulas, its figures beside those of PLAsTiCC, and that a seed means the same objects."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from seqsci.domains.photometry import simulate_classes as classes
from seqsci.domains.photometry.cadence import Visits, draw_visits, observe
from seqsci.domains.photometry.cosmology import distance_modulus
from seqsci.domains.photometry.simulate import CLASSES, OPEN_CLASSES, photometric_redshift, simulate
from seqsci.domains.photometry.table import BANDS, OBJECTS, OBSERVATIONS, LightCurves, Units
from seqsci.errors import SeqsciError

GALACTIC = {"6", "16", "53", "65", "92"}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@pytest.fixture(scope="module")
def curves() -> LightCurves:
    return simulate(0, 1400, open_set=True)


@pytest.fixture(scope="module")
def summary(curves: LightCurves) -> pl.DataFrame:
    """One row for each object: label, redshift, observations n, detections, median error, brightest magnitude."""
    brightest = 27.5 - 2.5 * pl.col("flux").abs().filter(pl.col("detected")).max().log10()
    each = curves.observations.group_by("object_id").agg(
        pl.len().alias("n"),
        pl.col("detected").sum().alias("detections"),
        pl.col("flux_error").median().alias("error"),
        brightest.alias("magnitude"),
    )
    return curves.objects.join(each, on="object_id", how="left")


def grid(time: np.ndarray, band: int = 2, n: int = 1) -> Visits:
    """The same times for each of n objects."""
    size = len(time)
    return Visits(
        time=np.tile(time, n),
        band=np.full(n * size, band),
        owner=np.repeat(np.arange(n), size),
        counts=np.full(n, size),
        deep=np.zeros(n, dtype=bool),
    )


def test_contract(curves: LightCurves):
    table, objects = curves.observations, curves.objects
    assert dict(table.schema) == OBSERVATIONS and dict(objects.schema) == OBJECTS
    assert curves.units == Units(zeropoint=27.5, mw_corrected=True, difference=True)
    assert curves.bands == BANDS and curves.simulated
    assert "simulated data (seed 0): nothing in it was measured" in curves.notes[0]
    assert objects["object_id"].is_unique().all()
    assert table["object_id"].unique(maintain_order=True).equals(objects["object_id"])
    assert table.group_by("object_id").agg((pl.col("time").diff().drop_nulls() > 0).all())["time"].all()
    assert table.null_count().sum_horizontal().item() == 0
    assert table.select(pl.col("time", "flux", "flux_error").is_finite().all()).row(0) == (True, True, True)
    assert table["flux_error"].min() > 0
    assert table["time"].min() >= 59580 and table["time"].max() <= 60675
    counts = curves.counts
    assert counts["objects out"] == len(objects) and counts["rows out"] == len(table)
    assert counts["objects in"] - counts["objects: fewer than 2 detections"] == len(objects)


def test_shares_and_order(curves: LightCurves):
    counts = dict(curves.objects["label"].value_counts().rows())
    assert counts == dict.fromkeys([*CLASSES, *OPEN_CLASSES], 100)
    assert curves.objects["label"].rle_id().max() > 1500  # 17/18 of 1,800 neighbours differ when well mixed
    few = simulate(0, 17)
    assert sorted(few.objects["label"], key=int) == sorted([*CLASSES, "6", "15", "16"], key=int)
    assert len(simulate(0, 5, open_set=True).objects) == 5 + 4


def test_figures_beside_plasticc(summary: pl.DataFrame):
    known = summary.filter(pl.col("label").is_in(list(CLASSES)))
    # Real medians, training set: WFD 130 observations, 8 detections, error 9.7; DDF 350, 39, 2.0 (it is brighter).
    wide = known.filter(pl.col("n") <= 180)
    deep = known.filter(pl.col("n") > 180)
    assert 120 <= wide["n"].median() <= 140 and 310 <= deep["n"].median() <= 350
    assert 6 <= wide["detections"].median() <= 15 and 9 <= deep["detections"].median() <= 40
    assert 6 <= wide["error"].median() <= 12 and 1.4 <= deep["error"].median() <= 2.8
    assert 0.1 < len(deep) / len(known) < 0.3
    assert summary["detections"].min() >= 2
    magnitudes = dict(summary.group_by("label").agg(pl.col("magnitude").median()).rows())
    assert all(16.5 < magnitudes[label] < 24.3 for label in magnitudes), magnitudes


def test_redshift(summary: pl.DataFrame):
    galactic = pl.col("label").is_in([*GALACTIC, "991"])
    assert summary.filter(galactic).select(pl.col("redshift", "redshift_error").max()).row(0) == (0, 0)
    far = summary.filter(~galactic)
    assert far["redshift"].min() > 0
    assert np.allclose(far["redshift_error"], 0.03 * (1 + far["redshift"]))
    blind = simulate(0, 28, redshift=False).objects
    assert blind["redshift"].is_null().all() and blind["redshift_error"].is_null().all()


def test_photometric_redshift_errors_and_outliers():
    z = np.full(20000, 0.5)
    off = (photometric_redshift(rng(), z) - z) / 1.5
    assert 0.06 < (np.abs(off) > 0.15).mean() < 0.08  # 8 % less those that fall near by chance
    assert np.isclose(np.median(np.abs(off)) * 1.4826, 0.03, rtol=0.15)
    assert (photometric_redshift(rng(), np.zeros(9)) == 0).all()


def test_a_seed_means_the_same_objects():
    few, again, more = simulate(3, 28), simulate(3, 28), simulate(3, 14 * 70)
    assert_frame_equal(few.observations, again.observations)
    assert_frame_equal(few.objects, again.objects)
    same = more.objects.filter(pl.col("object_id").is_in(few.objects["object_id"].implode()))
    assert_frame_equal(same, few.objects)
    rows = more.observations.filter(pl.col("object_id").is_in(few.objects["object_id"].implode()))
    assert_frame_equal(rows, few.observations)
    assert not simulate(4, 28).observations["flux"].equals(few.observations["flux"])


def test_refusals():
    with pytest.raises(SeqsciError, match="seed: -1 is negative"):
        simulate(-1)
    with pytest.raises(SeqsciError, match="objects: 0 light curves"):
        simulate(0, 0)


def test_explosion_formulas():
    rise, fall, t = np.array([4.0]), np.array([24.0]), np.linspace(-50, 100, 150001)
    assert np.isclose(classes.bazin_peak(rise, fall)[0], 4 * np.log(5))
    assert np.isclose(t[classes.bazin(t, rise, fall).argmax()], 4 * np.log(5), atol=1e-3)
    assert np.isclose(classes.bazin(np.zeros(1), rise, fall)[0], 0.5)
    # Long before and long after there is nothing to see, whatever overflows on the way.
    far = np.array([-3000.0, -1000, -400, -100, 1000, 3000])
    assert classes.bazin(far, np.array([3.2]), np.array([11.0])).max() < 1e-8
    plateau = [np.array([x]) for x in (2.0, 10.0, 80.0, 0.005)]
    assert np.abs(classes.villar(far, *plateau)).max() < 1e-8
    at = classes.villar(np.array([0.0, 60.0, 80.0, 90.0]), *plateau)
    assert np.allclose(at, [0.5, 0.7, 0.6, 0.6 / np.e], rtol=1e-6)


def test_black_body():
    # Wien's law for F_nu: the highest at 0.50994 cm K, which is 5.0994e7 Angstrom K.
    lam = np.linspace(2000, 20000, 180001)
    assert np.isclose(lam[classes.planck(lam, np.array([6000.0])).argmax()], 5.0994e7 / 6000, rtol=1e-3)
    h_c_over_k = 6.62607015e-34 * 299792458 / 1.380649e-23 * 1e10
    x, y = h_c_over_k / (4000 * 9000), h_c_over_k / (8000 * 9000)
    ratio = classes.planck(4000.0, np.array([9000.0])) / classes.planck(8000.0, np.array([9000.0]))
    assert np.isclose(ratio[0], 8 * np.expm1(y) / np.expm1(x), rtol=1e-5)


def test_star_formulas():
    assert np.isclose(classes.paczynski(np.array(1.0)), 3 / np.sqrt(5))
    assert np.isclose(classes.paczynski(np.array(0.01)), 100, rtol=1e-3)
    x = np.array([-1.5, -0.5, 0.0, 1.0, 1e4])
    half = 1 - 1.941 / 2 - 0.175 / 4 + 2.246 / 8 - 1.125 / 16
    late = 0.689 * np.exp(-1.6) + 0.303 * np.exp(-0.2783)
    assert np.allclose(classes.flare(x), [0, half, 1, late, 0])


def test_distances():
    # Astropy's FlatLambdaCDM(70, 0.3).distmod.
    assert np.allclose(distance_modulus(np.array([0.1, 0.5, 1.0])), [38.3154, 42.2616, 44.1002], atol=2e-3)
    edges = distance_modulus(np.array([0.0, np.nan]))
    assert edges[0] == -np.inf and np.isnan(edges[1])


def test_the_walk_of_an_agn_is_an_ornstein_uhlenbeck_process():
    v = grid(np.array([0.0, 1.0, 11.0, 61.0]), n=20000)
    walk = classes.random_walk(rng(), v, np.full(20000, 30.0)).reshape(20000, 4)
    cov = np.cov(walk.T)
    lag = np.abs(np.subtract.outer(v.time[:4], v.time[:4]))
    assert np.allclose(cov, np.exp(-lag / 30), atol=0.03)


def test_a_nearby_ia_peaks_at_its_magnitude():
    v = grid(np.arange(0, 1095, 2.0), n=1000)
    flux, z = classes.MODELS["90"](rng(1), v)
    peak = 27.5 - 2.5 * np.log10(flux.reshape(1000, -1).max(1)) - distance_modulus(z)
    near = (z > 0.05) & (z < 0.25)  # where r sees the rest frame near 5500 Angstrom
    assert near.sum() > 5 and np.abs(np.median(peak[near]) + 19.3) < 0.15


@pytest.mark.parametrize("code", ["42", "52", "62", "64", "67", "90", "15", "993"])
def test_an_explosion_is_dark_before_it_and_seen_for_a_while(code: str):
    v = grid(np.arange(0, 1095, 3.0), n=300)
    flux, _ = classes.MODELS[code](rng(2), v)
    flux = np.abs(flux.reshape(300, -1))
    peak = flux.argmax(1)
    for one, top in zip(flux, peak, strict=True):
        early = one[: max(top - 100, 0)]  # 300 days before the peak; only superluminous ones rise for longer
        assert early.size == 0 or early.max() < 1e-3 * one[top]


def test_cadence():
    v = draw_visits(rng(), 400)
    assert len(v.time) == v.counts.sum() and (np.diff(v.owner) >= 0).all()
    assert 0.05 < v.deep.mean() < 0.16
    assert v.counts[v.deep].min() >= 200 and v.counts[~v.deep].max() <= 161
    wide = v.band[~v.deep[v.owner]]
    share = np.bincount(wide, minlength=6) / len(wide)
    assert np.allclose(share, [0.07, 0.10, 0.22, 0.22, 0.20, 0.19], atol=0.01)
    gaps = [np.diff(v.time[v.owner == i]).max() for i in range(20)]
    assert min(gaps) > 150  # a year less the season


def test_observation_is_unbiased_and_detects_half_at_the_threshold():
    v = draw_visits(rng(), 500)
    seen = observe(rng(1), v, np.zeros(len(v.time)))
    pull = seen.flux / seen.error
    assert abs(pull.mean()) < 0.02 and np.isclose(pull.std(), 1, atol=0.02)
    bright = observe(rng(1), v, np.full(len(v.time), 60.0))
    at = np.abs(np.abs(bright.flux) / bright.error - 5.5) < 0.5
    assert at.sum() > 1000 and np.isclose(bright.detected[at].mean(), 0.5, atol=0.06)
