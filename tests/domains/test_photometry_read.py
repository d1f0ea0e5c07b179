"""Light curves from real files of four surveys, and from small files in which something is wrong."""

import gzip
import math
from datetime import UTC
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqsci.domains.photometry.read import batches, read, scan
from seqsci.errors import SeqsciError

HEAD = "object_id,mjd,passband,flux,flux_err,detected\n"
GOOD = "7,1.0,0,5.0,1.0,1\n7,2.0,Y,-3.0,1.0,0\n8,1.0,lsstg,2.0,0.5,1\n8,3.0,DES-r,2.5,0.5,1\n"


def write(folder: Path, text: str, name: str = "lc.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def balanced(counts: dict[str, int]) -> bool:
    def lost(kind: str) -> int:
        return sum(n for name, n in counts.items() if name.startswith(f"{kind}: "))

    return all(counts[f"{kind} in"] == counts[f"{kind} out"] + lost(kind) for kind in ("rows", "objects"))


def test_plasticc_real(real_data: Path) -> None:
    folder = real_data / "photometry/plasticc"
    files = [folder / f"plasticc_real_{n}_lightcurves.csv" for n in (5, 90)]
    curves = read(files, folder / "training_set_metadata.csv")
    assert (len(curves.objects), len(curves.observations)) == (95, 17579)
    assert curves.counts["objects: no light curve"] == 7848 - 95 and balanced(curves.counts)
    first = curves.observations.row(0, named=True)
    assert (first["object_id"], first["band"], first["flux"]) == ("615", "r", -544.810303)
    assert curves.objects.row(0)[:2] == ("615", "92")
    assert curves.objects.columns == ["object_id", "label", "redshift", "redshift_error", "group"]


def test_snana_real(real_data: Path) -> None:
    pytest.importorskip("astropy", reason="SNANA's FITS files need astropy")
    curves = read(real_data / "photometry/plasticc/LSST_WFD_alt_sched_MODEL11_NONIa-0004_HEAD.FITS")
    assert (len(curves.objects), len(curves.observations)) == (111, 17947 - 110)
    assert curves.counts["rows: separators"] == 110 and balanced(curves.counts)
    assert curves.units.mw_corrected is True
    assert curves.observations.filter(pl.col("object_id") == "17470927").height == 191


def test_mallorn_spcc_crts_real(real_data: Path) -> None:
    folder = real_data / "photometry"
    files = sorted((folder / "mallorn").glob("split_*"))
    mallorn = read(files, folder / "mallorn/train_log.csv")
    blank = sum(line.split(b",")[2] == b"" for f in files for line in gzip.decompress(f.read_bytes()).splitlines())
    assert mallorn.counts["rows: no finite flux"] == blank > 0 and balanced(mallorn.counts)
    assert "TDE" in set(mallorn.objects["label"])
    spcc = read(folder / "spcc/spcc_spectroscopic_lightcurves.csv.gz", folder / "spcc/spcc_spectroscopic_metadata.csv")
    assert len(spcc.objects) == 1103 and spcc.bands == ("g", "r", "i", "z") and balanced(spcc.counts)
    crts = read(folder / "crts/CRTS_subset_500.csv.gz", folder / "crts/transient_labels.csv", band="g")
    assert balanced(crts.counts) and crts.objects["label"].null_count() == 0
    assert crts.counts["objects out"] + crts.counts.get("objects: fewer than 2 observations", 0) == 500


def test_names_of_bands_and_guesses(tmp_path: Path) -> None:
    curves = read(write(tmp_path, HEAD + GOOD))
    assert curves.bands == ("u", "g", "r", "y")
    assert curves.observations["detected"].to_list() == [True, False, True, True]
    assert any("zero point" in note for note in curves.notes)


def test_magnitudes_of_ztf() -> None:
    frame = pl.DataFrame(
        {"oid": [1, 1], "jd": [2460000.5, 2460001.5], "fid": [1, 2], "magpsf": [20.0, 22.5], "sigmapsf": [0.1, 0.2]}
    )
    curves = read(frame.with_columns(isdiffpos=pl.Series(["t", "f"])))
    assert curves.observations["flux"].to_list() == pytest.approx([1000, -100])
    assert curves.observations["flux_error"].to_list() == pytest.approx([40 * math.log(10), 8 * math.log(10)])
    assert curves.observations["time"].to_list() == [60000, 60001] and curves.units.difference


def test_rows_dropped_and_counted(tmp_path: Path) -> None:
    bad = "7,2.0,y,-3.0,1.0,0\n7,1.0,u,9.0,1.0,1\n8,4,r,,1,0\n8,5,r,inf,1,0\n8,6,r,NaN,1,0\n8,6,r,1,0,0\n8,6,r,1,-1,0\n8,,r,1,1,0\n9,1,r,1,1,1\n"
    objects = pl.DataFrame({"object_id": [8, 99], "target": [90, 42], "hostgal_photoz": [-9.0, 0.1], "ra": [1.0, 2.0]})
    curves = read(write(tmp_path, HEAD + GOOD + bad), objects)
    assert balanced(curves.counts)
    expected = {
        "rows: exact duplicates": 1,
        "rows: no finite flux": 3,
        "rows: no positive flux error": 2,
        "rows: no finite time": 1,
        "same object, time and band, kept": 1,
        "objects: no light curve": 1,
        "objects: fewer than 2 observations": 1,
        "without metadata, kept": 1,
        "rows out": 5,
    }
    assert {name: curves.counts.get(name) for name in expected} == expected
    assert curves.objects.rows() == [("7", None, None, None, None), ("8", "90", None, None, None)]
    assert any("sorted" in note for note in curves.notes)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + GOOD + "8,1,w,1,1,0\n", "object 8, row 5: unknown passband 'w'.*u, g, r"),
        (HEAD + GOOD + "8,1,u,abc,1,0\n", "object 8, row 5, column flux: 'abc' is not a number"),
        (HEAD + GOOD + ",1,u,1,1,0\n", "row 5: no object"),
        ("object_id,mjd,flux,flux_err\n7,1,1,1\n", "no column for band; the columns are object_id, mjd"),
        ("", "empty"),
        (HEAD, "no rows"),
    ],
)
def test_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SeqsciError, match=says):
        read(write(tmp_path, text))


def test_missing_file_unknown_layout_and_a_wrong_type(tmp_path: Path) -> None:
    with pytest.raises(SeqsciError, match="no such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(SeqsciError, match="no 'wide'"):
        read(write(tmp_path, HEAD + GOOD), layout="wide")
    with pytest.raises(SeqsciError, match="type int"):
        read(3)


def test_blinded_target_is_refused(tmp_path: Path) -> None:
    objects = pl.DataFrame({"object_id": [7, 8], "target": [0, 0], "true_target": [90, 42], "true_z": [1.0, 2.0]})
    path = write(tmp_path, HEAD + GOOD)
    for label in (None, "target"):
        with pytest.raises(SeqsciError, match="true_target"):
            read(path, objects, label=label)
    curves = read(path, objects, label="true_target")
    assert curves.objects["label"].to_list() == ["90", "42"] and curves.objects["redshift"].null_count() == 2


def test_zero_points(tmp_path: Path) -> None:
    frame = read(write(tmp_path, HEAD + GOOD)).observations.drop("detected")
    rows = read(frame.with_columns(zp=pl.Series([27.5, 30.0, 27.5, 27.5])))
    assert rows.observations["flux"].to_list() == pytest.approx([5, -0.3, 2, 2.5])
    assert any("rescaled" in note for note in rows.notes)
    nano = frame.rename({"flux": "psfFlux"})
    assert read(nano).units.zeropoint == 31.4
    with pytest.raises(SeqsciError, match="different zero points"):
        read([nano, frame])
    with pytest.raises(SeqsciError, match="not 25"):
        read(nano, zeropoint=25.0)


def test_batches_are_the_whole(tmp_path: Path) -> None:
    rows = "".join(f"{i},{t},{t % 6},{i + t},1,0\n" for i in range(30) for t in range(7))
    path = write(tmp_path, HEAD + rows)
    whole = read(path)
    parts = list(batches(path, 4, chunk_bytes=99))
    assert [len(part.objects) for part in parts] == [4] * 7 + [2]
    assert pl.concat([part.observations for part in parts]).equals(whole.observations)
    assert scan(path).collect().equals(whole.observations)
    with pytest.raises(SeqsciError, match="object 3, row 211: .*come back"):
        list(batches(write(tmp_path, HEAD + rows + "3,99,0,1,1,0\n"), 4, chunk_bytes=99))


NUMBER = st.floats(-1e6, 1e6, allow_nan=False)
EXPOSURE = st.tuples(NUMBER, st.sampled_from("ugrizy"), NUMBER, st.floats(1e-3, 1e3), st.sampled_from([True, False]))
CURVES = st.lists(st.lists(EXPOSURE, min_size=2, max_size=5, unique_by=lambda e: e[0]), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CURVES)
def test_round_trip(tmp_path: Path, curves: list[list[tuple[float, str, float, float, bool]]]) -> None:
    names = ["object_id", "time", "band", "flux", "flux_error", "detected"]
    frame = pl.DataFrame([(f"o{i}", *e) for i, c in enumerate(curves) for e in sorted(c)], names, orient="row")
    first = read(frame)
    frame.write_csv(tmp_path / "a.csv")
    frame.write_parquet(tmp_path / "a.parquet")
    frame.group_by("object_id", maintain_order=True).all().write_parquet(tmp_path / "nested.parquet")
    assert first.observations.equals(frame)
    for name in ("a.csv", "a.parquet", "nested.parquet"):
        assert read(tmp_path / name).observations.equals(frame), name
    assert read(frame.to_pandas()).observations.equals(frame)
    assert read(frame.to_arrow()).observations.equals(frame)


def shuffled_counts(rows: list[tuple[str, float, str, float, float]]) -> dict[str, int]:
    """What must happen to each row, told one row at a time."""
    seen: set[tuple[object, ...]] = set()
    told = {"time": 0, "flux": 0, "error": 0, "twice": 0}
    for row in rows:
        _, time, _, flux, error = row
        if not math.isfinite(time):
            told["time"] += 1
        elif not math.isfinite(flux):
            told["flux"] += 1
        elif not (math.isfinite(error) and error > 0):
            told["error"] += 1
        else:
            told["twice"] += row in seen
            seen.add(row)
    return told


ANY = st.sampled_from([0.0, 1.0, 2.0, -1.0, math.nan, math.inf, -math.inf])
MESSY = st.lists(st.tuples(st.sampled_from("abc"), ANY, st.sampled_from("ugrizy"), ANY, ANY), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(MESSY, st.integers(1, 4))
def test_every_row_and_object_is_accounted_for(rows: list[tuple[str, float, str, float, float]], minimum: int) -> None:
    frame = pl.DataFrame(rows, ["object_id", "time", "band", "flux", "flux_error"], orient="row")
    objects = pl.DataFrame({"object_id": ["a", "z"], "label": ["A", "Z"]})
    curves = read(frame, objects, minimum=minimum)
    told = shuffled_counts(rows)
    names = {
        "time": "no finite time",
        "flux": "no finite flux",
        "error": "no positive flux error",
        "twice": "exact duplicates",
    }
    assert {kind: curves.counts.get(f"rows: {name}", 0) for kind, name in names.items()} == told
    assert balanced(curves.counts) and curves.counts["objects: no light curve"] >= 1
    kept = curves.observations
    assert set(kept["object_id"]) == set(curves.objects["object_id"]) <= set("abc")
    assert all(part["time"].is_sorted() and len(part) >= minimum for part in kept.partition_by("object_id"))
    assert kept.select(pl.all_horizontal(pl.col("time", "flux", "flux_error").is_finite()).all()).item()


def test_objects_without_exposures_in_a_nested_table() -> None:
    frame = pl.DataFrame({
        "object_id": ["7", "8", "9"], "label": ["A", "B", "C"], "time": [[1.0, 2.0], [], None], "band": [["u", "g"], [], None],
        "flux": [[1.0, 2.0], [], None], "flux_error": [[1.0, 1.0], [], None],
    })  # fmt: skip
    curves = read(frame)
    assert curves.objects.rows() == [("7", "A", None, None, None)]
    assert curves.counts["objects: no light curve"] == 2 and balanced(curves.counts)
    with pytest.raises(SeqsciError, match="row 2: its lists differ in length"):
        read(frame.with_columns(flux=pl.Series([[1.0, 2.0], [3.0], None])))


def snana(folder: Path, **changes: object) -> Path:
    """A small pair of SNANA: objects A and B of two and one exposures, a separator after each."""
    fits = pytest.importorskip("astropy.io.fits", reason="SNANA's FITS files need astropy")
    head = {"SNID": ["A", "B"], "PTROBS_MIN": [1, 4], "PTROBS_MAX": [2, 4], "SNTYPE": [1, 2], **changes}
    phot = {"MJD": [1.0, 2, -777, 3, -777], "FLT": ["g", "r", "-", "i", "-"], "FLUXCAL": [5.0, 6, -777, 7, -777]}
    phot |= {"FLUXCALERR": [1.0, 1, -777, 1, -777], "PHOTFLAG": [4096, 0, 0, 6144, 0]}
    formats = {str: "8A", int: "J", float: "D"}
    for name, table in (("HEAD", head), ("PHOT", phot)):
        columns = [fits.Column(key, formats[type(values[0])], array=values) for key, values in table.items()]  # type: ignore[index]
        primary = fits.PrimaryHDU()
        fits.HDUList([primary, fits.BinTableHDU.from_columns(columns)]).writeto(
            folder / f"x_{name}.FITS", overwrite=True
        )
    return folder / "x_HEAD.FITS"


def test_separators_of_snana(tmp_path: Path) -> None:
    curves = read(snana(tmp_path))
    assert curves.objects["object_id"].to_list() == ["A"] and curves.observations["detected"].to_list() == [True, False]
    expected = {
        "rows: separators": 2,
        "rows: of objects with fewer than 2 observations": 1,
        "rows in": 5,
        "rows out": 2,
    }
    assert {name: curves.counts[name] for name in expected} == expected and balanced(curves.counts)
    assert read(snana(tmp_path), minimum=1).observations["time"].to_list() == [1, 2, 3]
    with pytest.raises(SeqsciError, match="x_HEAD.FITS, object B, row 2: rows 2 to 4 do not fit"):
        read(snana(tmp_path, PTROBS_MIN=[1, 2]))
    with pytest.raises(SeqsciError, match="x_HEAD.FITS, object B, row 2: rows 5 to 4 do not fit"):
        read(snana(tmp_path, PTROBS_MIN=[1, 5]))
    with pytest.raises(SeqsciError, match="x_HEAD.FITS, row 2: no object"):
        read(snana(tmp_path, PTROBS_MAX=[1, 4]))


def test_columns_of_the_user(tmp_path: Path) -> None:
    objects = pl.DataFrame({"object_id": [7, 8], "Z": [0.5, 0.6], "label": ["A", "B"]})
    path = write(tmp_path, HEAD + GOOD)
    assert read(path, objects).objects["redshift"].to_list() == [0.5, 0.6]
    assert read(path, objects, columns={"redshift": ""}).objects["redshift"].null_count() == 2
    with pytest.raises(SeqsciError, match="there is no column 'zed' for redshift; known: Z"):
        read(path, objects, columns={"redshift": "zed"})
    with pytest.raises(SeqsciError, match="no column for flux"):
        read(path, objects, columns={"flux": ""})
    with pytest.raises(SeqsciError, match="there is no column 'kind' for the label"):
        read(path, label="kind")
    with pytest.raises(SeqsciError, match="object 8: two rows that differ"):
        read(path, pl.concat([objects, objects.with_columns(label=pl.lit("C"))])[1:])


def test_units_that_differ_between_files(tmp_path: Path) -> None:
    first = write(tmp_path, HEAD + GOOD)
    frame = read(first).observations.with_columns(object_id="x" + pl.col("object_id"))
    with pytest.raises(SeqsciError, match="differ in mw_corrected"):
        read([first, frame])
    with pytest.raises(SeqsciError, match="says mw_corrected=True, not False"):
        read(first, mw_corrected=False)
    rows = frame.drop("detected").with_columns(zp=pl.Series([27.5, None, 27.5, 27.5]))
    assert read(rows, minimum=1).counts["rows: no finite flux"] == 1
    with pytest.raises(SeqsciError, match="lc.csv, object 7, row 1, column zp: 'high' is not a number"):
        read(write(tmp_path, "object_id,mjd,band,flux,flux_err,zp\n7,1,u,1,1,high\n"))


def test_dates_become_mjd_and_durations_do_not() -> None:
    from datetime import datetime, timedelta

    rows = {"object_id": ["a", "a"], "band": ["r", "g"], "flux": [1.0, 2.0], "flux_error": [1.0, 1.0]}
    when = datetime(2000, 1, 1, 12, tzinfo=UTC)
    frame = pl.DataFrame({**rows, "time": [when, when + timedelta(days=1)]})
    for dates in (frame, frame.with_columns(pl.col("time").dt.replace_time_zone(None))):
        curves = read(dates)
        assert curves.observations["time"].to_list() == [51544.5, 51545.5]  # MJD of 2000-01-01 12:00
        assert any("made MJD" in note for note in curves.notes)
    assert read(frame.with_columns(pl.col("time").dt.date())).observations["time"].to_list() == [51544.0, 51545.0]
    with pytest.raises(SeqsciError, match="holds no dates but Duration"):
        read(frame.with_columns(pl.col("time") - pl.col("time").min()))


def test_one_passband_for_all_is_refused_where_each_row_has_its_own(tmp_path: Path) -> None:
    with pytest.raises(SeqsciError, match="every row is to be of passband r, and column 'passband' says"):
        read(write(tmp_path, HEAD + GOOD), band="r")


def test_ids_that_are_no_whole_numbers_stay_apart() -> None:
    rows = {"time": [1.0, 2.0] * 2, "band": ["r"] * 4, "flux": [1.0] * 4, "flux_error": [1.0] * 4}
    ids = read(pl.DataFrame({"object_id": [0.25, 0.25, 0.5, 0.5], **rows})).objects["object_id"].to_list()
    assert ids == ["0.25", "0.5"]
    assert read(pl.DataFrame({"object_id": [7.0, 7.0, 8.0, 8.0], **rows})).objects["object_id"].to_list() == ["7", "8"]


def test_a_table_in_one_band_is_told_how_to_name_it(tmp_path: Path) -> None:
    path = write(tmp_path, "id,mjd,flux,flux_err\n1,1,1,1\n1,2,1,1\n")
    with pytest.raises(SeqsciError, match=r"data\.columns .*data\.band r"):
        read(path)
    path = write(tmp_path, HEAD + "7,1.0,,5.0,1.0,1\n")
    with pytest.raises(SeqsciError, match="no passband; give one of"):
        read(path)
