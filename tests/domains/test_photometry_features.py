"""The table of features: by hand on a tiny object, and blind to what it must not see."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from seqsci.domains.photometry.features import features
from seqsci.domains.photometry.simulate import simulate
from seqsci.domains.photometry.table import BANDS, OBJECTS, OBSERVATIONS, LightCurves, Units

TINY = [  # time, band, flux, flux_error, detected
    (100.0, "r", 1.0, 2.0, False),
    (140.0, "g", 6.0, 2.0, False),
    (150.0, "r", 30.0, 2.0, True),
    (152.0, "g", 20.0, 2.0, True),
    (153.0, "r", 40.0, 2.0, True),
    (153.0, "i", 10.0, 2.0, True),
    (170.0, "r", 10.0, 2.0, True),
    (260.0, "r", -9.0, 2.0, False),
]


def curves(rows: list[tuple], redshift: float | None = 0.1) -> LightCurves:
    table = pl.DataFrame([("a", *row) for row in rows], schema=OBSERVATIONS, orient="row")
    objects = pl.DataFrame([("a", "90", redshift, 0.03, None)], schema=OBJECTS, orient="row")
    bands = tuple(b for b in BANDS if b in set(table["band"]))
    return LightCurves(observations=table, objects=objects, units=Units(), bands=bands)


@pytest.fixture(scope="module")
def many() -> LightCurves:
    return simulate(3, 140)


def test_a_tiny_object_by_hand() -> None:
    row = features(curves(TINY)).row(0, named=True)
    flux = np.array([1.0, 30, 40, 10, -9])
    away = flux - flux.mean()
    assert row["object_id"] == "a"
    assert [row[f"flux_{k}_r"] for k in ("max", "min", "mean")] == pytest.approx([40, -9, 14.4])
    assert row["flux_std_r"] == pytest.approx(flux.std(ddof=1))
    assert row["flux_skew_r"] == pytest.approx((away**3).mean() / flux.std() ** 3)
    assert row["snr_max_r"] == 20 and row["snr_std_r"] == pytest.approx(flux.std(ddof=1) / 2)
    assert (row["peak_time_r"], row["peak_time_g"], row["peak_time"]) == (3, 2, 3)
    assert (row["detections_r"], row["detections"], row["duration"], row["decline_time"]) == (3, 5, 20, 17)
    assert row["detected_share"] == 5 / 8 and row["positive_share"] == 1
    assert (row["bright_share"], row["dim_share"]) == (5 / 8, 1 / 8)
    assert row["spread_time"] == pytest.approx(np.std([0, 2, 3, 3, 20], ddof=1))
    assert (row["half_rise"], row["half_fall"]) == (-3, 0)
    assert row["before_mean"] == 0.5 and row["before_std"] is None
    assert row["jump"] is None  # no two rows of a band are less than 3 days apart
    squares = (away**2).sum() + 2 * 7**2
    walked = 29**2 + 10**2 + 30**2 + 19**2 + 14**2
    assert row["neumann"] == pytest.approx(walked / squares)
    assert row["chi2"] == pytest.approx(math.log10(squares / 4 / (8 - 3)))
    assert row["level_50"] == pytest.approx(np.quantile([*flux / 40, 0.3, 1], 0.5))
    assert row["level_95"] == pytest.approx(np.quantile([*flux / 40, 0.3, 1], 0.95))
    # At the peak (days -8 to 8 of time 153): g 20, r (30 + 40) / 2, i 10; fall: r 10.
    assert row["colour_peak_gr"] == pytest.approx((20 - 35) / 55)
    assert row["colour_peak_ri"] == pytest.approx((35 - 10) / 45)
    assert row["colour_max_gr"] == pytest.approx((20 - 40) / 60)
    assert row["rise_g"] == pytest.approx((6 - 20) / 26)
    assert row["fall_r"] == pytest.approx((10 - 35) / 45) and row["fall_g"] is None
    assert (row["redshift"], row["redshift_error"], row["galactic"]) == (0.1, 0.03, 0)
    assert row["rest_rise"] == pytest.approx(-3 / 1.1)
    # 460.3 Mpc: Ned Wright's calculator for H0 70, Omega 0.3, flat, z 0.1.
    assert row["luminosity"] == pytest.approx(math.log10(40) + 2 * math.log10(460.3), abs=1e-3)


def test_bands_without_an_observation_are_null_and_all_columns_are_there() -> None:
    table = features(curves(TINY))
    assert table.width == 120 and table["flux_max_u"].item() is None and table["detections_y"].item() is None
    assert set(table.drop("object_id").dtypes) == {pl.Float64}
    assert table.columns == features(curves(TINY[:2])).columns
    assert not np.isinf(table.drop("object_id").to_numpy()).any()


def test_jump_takes_rows_of_one_band_alone() -> None:
    rows = [(0.0, "r", 0.0, 1.0, True), (1.0, "g", 90.0, 1.0, True), (2.0, "r", 3.0, 1.0, True)]
    assert features(curves(rows))["jump"].item() == pytest.approx(3 / math.sqrt(2))
    far = [(0.0, "r", 0.0, 1.0, True), (3.0, "r", 3.0, 1.0, True), (9.0, "g", 3.0, 1.0, True)]
    assert features(curves(far))["jump"].item() is None


def test_the_first_detection() -> None:
    silent = [(*row[:4], None) for row in TINY]  # more than 5 errors: times 150, 152, 153, not 140, 170 or i
    table = features(curves(silent))
    assert (table["peak_time_r"].item(), table["detections"].item(), table["duration"].item()) == (3, 3, 3)
    faint = [(10.0, "r", 1.0, 1.0, None), (14.0, "r", 2.0, 1.0, False)]
    assert features(curves(faint))["peak_time_r"].item() == 4
    assert features(curves(faint))["duration"].item() is None


def test_no_redshift_and_the_galaxy() -> None:
    unknown, here = features(curves(TINY, None)), features(curves(TINY, 0.0))
    assert [unknown[k].item() for k in ("redshift", "galactic", "luminosity", "rest_rise")] == [None] * 4
    assert here["galactic"].item() == 1 and here["luminosity"].item() is None and here["rest_rise"].item() == -3


def test_times_shifted_change_nothing(many: LightCurves) -> None:
    moved = replace(many, observations=many.observations.with_columns(pl.col("time") - 12345.678))
    assert_frame_equal(features(moved), features(many), rel_tol=1e-6, abs_tol=1e-6)


def test_the_order_of_rows_and_objects_changes_nothing(many: LightCurves) -> None:
    mixed = replace(
        many,
        observations=many.observations.sample(fraction=1, shuffle=True, seed=1),
        objects=many.objects.sample(fraction=1, shuffle=True, seed=2),
    )
    found, before = features(mixed), features(many)
    assert found["object_id"].to_list() == mixed.objects["object_id"].to_list()
    assert_frame_equal(found.sort("object_id"), before.sort("object_id"), rel_tol=1e-9, abs_tol=1e-12)


def test_labels_names_and_company_change_nothing(many: LightCurves) -> None:
    before = features(many)
    blind = replace(many, objects=many.objects.with_columns(label=pl.lit(None, pl.String)))
    assert_frame_equal(features(blind), before)
    alone = many.objects["object_id"][5]
    one = replace(
        many,
        objects=many.objects.filter(pl.col("object_id") == alone),
        observations=many.observations.filter(pl.col("object_id") == alone),
    )
    assert_frame_equal(features(one), before[5], rel_tol=1e-9, abs_tol=1e-12)
