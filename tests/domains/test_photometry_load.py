"""Light curves by the name of a data set, by path or from a frame; and what a survey had seen by some day."""

import gzip
import hashlib
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsci import catalog
from seqsci.data import download
from seqsci.domains import electricity
from seqsci.domains.photometry import LightCurves, Units, first_and_last_detection, load, read
from seqsci.domains.photometry.simulate import CLASSES, OPEN_CLASSES
from seqsci.domains.photometry.table import OBJECTS, OBSERVATIONS
from seqsci.errors import SeqsciError

TRAIN = "object_id,mjd,passband,flux,flux_err,detected_bool\n1,1,0,5,1,1\n1,2,1,6,1,0\n2,1,2,7,1,1\n2,3,3,8,1,1\n"
TRAIN_OBJECTS = "object_id,hostgal_photoz,hostgal_photoz_err,hostgal_specz,target\n1,0.5,0.1,0.4,90\n2,0,0,0,92\n"
TEST = "object_id,mjd,passband,flux,flux_err,detected_bool\n3,1,0,5,1,1\n3,2,1,6,1,0\n4,1,2,7,1,1\n4,3,3,8,1,1\n4,4,3,9,1,1\n"
TEST_OBJECTS = "object_id,hostgal_photoz,target,true_target\n3,0.7,0,90\n4,0.9,0,991\n5,0.9,0,42\n"
CARD = """
name = "small"
title = "t"
domain = "photometry"
description = "d"
licence = "l"
instructions = "ask the owner"
[curves]
label = ["true_target", "target"]
open_classes = ["991"]
[curves.columns]
redshift_error = ""
[curves.labels]
92 = "RR"
[curves.class_names]
90 = "SN Ia"
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of two files that are always read and two of a part, in the manner of PLAsTiCC."""
    parts = {
        "lc.csv": (TRAIN, ""),
        "objects.csv": (TRAIN_OBJECTS, 'role = "objects"\n'),
        "test_1.csv": (TEST, 'part = "test_1"\n'),
        "test.csv": (TEST_OBJECTS, 'role = "objects"\nsplit = "test"\npart = "test"\n'),
    }
    text = CARD
    (tmp_path / "data" / "deep").mkdir(parents=True)
    for name, (content, more) in parts.items():
        packed = gzip.compress(content.encode(), mtime=0)
        (tmp_path / "data" / "deep" / f"{name}.gz").write_bytes(packed)
        md5 = hashlib.md5(packed).hexdigest()
        text += f'[[files]]\nname = "{name}.gz"\nmd5 = "{md5}"\n{more}'
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "small.toml").write_text(text)
    monkeypatch.setattr(catalog, "folder", lambda kind: tmp_path / kind)
    monkeypatch.setenv("SEQSCI_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SEQSCI_CACHE", str(tmp_path / "cache"))
    return tmp_path


def balanced(counts: dict[str, int]) -> bool:
    def lost(kind: str) -> int:
        return sum(n for name, n in counts.items() if name.startswith(f"{kind}: "))

    return all(counts[f"{kind} in"] == counts[f"{kind} out"] + lost(kind) for kind in ("rows", "objects"))


def test_a_card_is_read_as_it_says(small: Path) -> None:
    curves, origin = load("small")
    assert curves.objects.rows() == [("1", "90", 0.5, None, None), ("2", "RR", 0.0, None, None)]
    assert (curves.units.mw_corrected, curves.units.difference) == (True, True)
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in (TRAIN, TRAIN_OBJECTS)]
    assert origin == {
        "name": "small",
        "path": str(small / "data" / "deep" / "lc.csv.gz"),
        "sha256": hashlib.sha256("\n".join(digests).encode()).hexdigest(),
        "card": "small",
        "class_names": {"90": "SN Ia"},
        "own_test": None,
        "open_classes": [],
    }
    assert "labels: 92 counts as RR" in curves.notes and "redshift_error is not read" in curves.notes
    assert "label of the objects is 'target'" in curves.notes and balanced(curves.counts)


def test_a_part_brings_the_test_split_and_its_open_classes(small: Path) -> None:
    for part in ("test_1", "test"):
        curves, origin = load("small", parts=[part], open_set=True)
        assert curves.objects["label"].to_list() == ["90", "RR", "90", "991"]
        assert (origin["own_test"], origin["open_classes"]) == (["3", "4"], ["991"])
        assert curves.counts["objects: no light curve"] == 1 and balanced(curves.counts)
    curves, origin = load("small", parts=["test_1"])
    assert curves.objects["object_id"].to_list() == ["1", "2", "3"]
    assert (origin["own_test"], origin["open_classes"]) == (["3"], [])
    assert curves.counts["objects: classes of the open set"] == 1
    assert curves.counts["rows: classes of the open set"] == 3 and balanced(curves.counts)
    assert any("open_set keeps them" in note for note in curves.notes)
    assert load("small", open_set=True)[1]["open_classes"] == []


def test_what_is_asked_for_goes_before_the_card(small: Path) -> None:
    curves, origin = load("small", label="hostgal_specz", columns={"redshift": "hostgal_specz"}, zeropoint=25)
    assert curves.objects["label"].to_list() == ["0.4", "0"] and curves.objects["redshift"].to_list() == [0.4, 0]
    assert curves.units.zeropoint == 25 and origin["class_names"] == {}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"parts": ["test_9"]}, "part: data set small has no part 'test_9'; did you mean 'test_1'"),
        ({"label": "kind"}, "objects.csv.gz: there is no column 'kind' for the label"),
        ({"columns": {"redshift": "z"}}, "objects.csv.gz: there is no column 'z' for redshift"),
        ({"columns": {"colour": "z"}}, "columns: 'colour' is not used"),
        ({"objects": "mine.csv"}, "objects: cannot be chosen for data set small; leave it out"),
        ({"count": 5}, "count: cannot be chosen for data set small"),
    ],
)
def test_choices_that_hit_nothing_are_refused(small: Path, changes: dict[str, object], says: str) -> None:
    with pytest.raises(SeqsciError) as error:
        load("small", **changes)  # type: ignore[arg-type]
    assert says in str(error.value)


def test_merged_labels_that_hit_nothing_are_refused(small: Path) -> None:
    path = small / "datasets" / "small.toml"
    path.write_text(path.read_text().replace('92 = "RR"', '93 = "RR"'))
    catalog._parse.cache_clear()
    with pytest.raises(SeqsciError, match="small: labels: none of 93 occurs among the classes 90, 92"):
        load("small")


def test_files_that_are_not_there_are_told_at_once(small: Path) -> None:
    for name in ("lc.csv.gz", "objects.csv.gz"):
        (small / "data" / "deep" / name).write_bytes(b"an older version")
    with pytest.raises(SeqsciError) as error:
        load("small")
    text = str(error.value)
    assert text.startswith("small: lc.csv.gz and 1 more (objects.csv.gz the last) have no public address")
    assert "ask the owner, then put them (not " in text and text.endswith("set SEQSCI_DATA=FOLDER")


def test_a_simulated_set_is_offered_where_the_files_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SEQSCI_DATA", "SEQSCI_CACHE"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(SeqsciError, match="or try the simulated set demo-photometry"):
        load("plasticc")


def test_each_file_is_hashed_once(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = download.fingerprint
    monkeypatch.setattr(download, "fingerprint", lambda path: seen.append(path.name) or original(path))
    load("small", parts=["test"])
    assert sorted(seen) == ["lc.csv.gz", "objects.csv.gz", "test.csv.gz", "test_1.csv.gz"]


def test_paths_and_frames(tmp_path: Path) -> None:
    for name, text in (("a.csv", TRAIN), ("b.csv", TEST), ("objects.csv", TRAIN_OBJECTS)):
        (tmp_path / name).write_text(text)
    one, origin = load(str(tmp_path / "a.csv"))
    assert (origin["name"], origin["card"], origin["path"]) == ("a", None, str(tmp_path / "a.csv"))
    assert origin["sha256"] == hashlib.sha256(TRAIN.encode()).hexdigest() and origin["own_test"] is None
    both = f"{tmp_path / 'a.csv'}, {tmp_path / 'b.csv'}"
    two, origin = load(both, tmp_path / "objects.csv")
    assert len(two.objects) == 4 and two.objects["label"].to_list() == ["90", "92", None, None]
    assert load(origin["path"], str(tmp_path / "objects.csv"))[1] == origin
    assert load([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "objects.csv")[1] == origin
    assert load(both)[1]["sha256"] != origin["sha256"]
    frame, objects = pl.read_csv(tmp_path / "a.csv"), pl.read_csv(tmp_path / "objects.csv")
    curves, found = load(frame, objects)
    assert (found["name"], found["path"]) == ("table", None)
    for other in (frame.to_pandas(), frame.to_arrow()):
        again, same = load(other, objects)
        assert again.observations.equals(curves.observations) and same == found
    changed = load(frame.with_columns(flux=pl.col("flux") + 1.0), objects)[1]
    assert changed["sha256"] != found["sha256"] and load(frame)[1]["sha256"] != found["sha256"]
    (tmp_path / "comma,in.csv").write_text(TRAIN)
    assert load(tmp_path / "comma,in.csv")[0].observations.equals(one.observations)


def test_sources_that_are_not_light_curves_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SeqsciError, match="data: 'etth1' is of the domain electricity; it has no light curves"):
        load("etth1")
    with pytest.raises(SeqsciError, match="data: 'spcc' is a photometry set, not a table of regular series"):
        electricity.load("spcc")
    with pytest.raises(SeqsciError, match="'mallor' is neither a file nor a data set; did you mean 'mallorn'"):
        load("mallor")
    with pytest.raises(SeqsciError, match="is a folder"):
        load(tmp_path)
    (tmp_path / "a.csv").write_text(TRAIN)
    with pytest.raises(SeqsciError, match="nope' is neither a file"):
        load(f"{tmp_path / 'a.csv'},nope")
    with pytest.raises(SeqsciError, match="parts: cannot be chosen for a file or frame"):
        load(tmp_path / "a.csv", parts=["test"])
    with pytest.raises(SeqsciError, match="a.csv: there is no column 'kind' for the label"):
        load(tmp_path / "a.csv", label="kind")


def test_the_simulated_set() -> None:
    curves, origin = load("demo-photometry", count=28)
    assert curves.simulated and len(curves.objects) == 28 and origin["class_names"] == dict(CLASSES)
    assert (origin["name"], origin["card"], origin["path"], origin["open_classes"]) == ("demo-photometry",) * 2 + (
        None,
        [],
    )
    assert load("demo-photometry", count=28)[1] == origin != load("demo-photometry", count=28, seed=1)[1]
    curves, origin = load("demo-photometry", count=28, open_set=True)
    assert origin["open_classes"] == list(OPEN_CLASSES) and "992" in set(curves.objects["label"])
    assert origin["class_names"]["992"] == OPEN_CLASSES["992"]
    with pytest.raises(SeqsciError, match="band: cannot be chosen for data set demo-photometry"):
        load("demo-photometry", band="g")
    with pytest.raises(SeqsciError, match="0 light curves"):
        load("demo-photometry", count=0)
    card = catalog.card("demo-photometry")
    assert card.curves and card.curves.count == 7000


def test_names_of_the_classes_of_plasticc_are_those_of_the_simulator() -> None:
    card = catalog.card("plasticc")
    assert card.curves and card.curves.class_names == {
        **CLASSES,
        **OPEN_CLASSES,
        "995": "microlensing by cosmic strings",
    }
    assert card.curves.open_classes == ("991", "992", "993", "994", "995")
    assert [file.name for file in card.wanted()] == [
        "plasticc_train_lightcurves.csv.gz",
        "plasticc_train_metadata.csv.gz",
    ]
    assert [file.part for file in card.wanted(["test_03"])] == ["", "", "test_03", "test"]
    assert len(card.wanted(["test"])) == len(card.files) == 14


def test_mallorn_real(real_data: Path) -> None:
    curves, origin = load("mallorn")
    assert (len(curves.objects), curves.counts["rows in"]) == (2283, 364364) and balanced(curves.counts)
    assert curves.units == Units(zeropoint=23.9, mw_corrected=False, difference=None)
    assert curves.objects["redshift"].null_count() == 2283 and origin["own_test"] is None
    assert curves.objects["label"].value_counts().sort("count")[-1].row(0) == ("AGN", 1316)
    assert load("mallorn", columns={"redshift": "Z"})[0].objects["redshift"].null_count() == 0


def test_spcc_real(real_data: Path) -> None:
    curves, origin = load("spcc")
    assert len(curves.objects) == 4473 and len(origin["own_test"]) == 3370 and balanced(curves.counts)
    assert dict(curves.objects["label"].value_counts().iter_rows()) == {"II": 2605, "Ia": 1266, "Ibc": 602}
    pool = curves.objects.filter(~pl.col("object_id").is_in(origin["own_test"]))
    assert len(pool) == 1103 and pool["redshift"][0] == 0.3071
    assert load("spcc", label="sim_model")[0].objects["label"].n_unique() > 10


def curves_of(*parts: list[tuple[float, float, bool | None]]) -> LightCurves:
    """Light curves of (time, flux, detected), errors 1."""
    rows = [(f"o{i}", t, "r", f, 1.0, d) for i, part in enumerate(parts) for t, f, d in part]
    ids = [f"o{i}" for i in range(len(parts))]
    return LightCurves(
        observations=pl.DataFrame(rows, OBSERVATIONS, orient="row"),
        objects=pl.DataFrame([(name, "A", None, None, None) for name in ids], OBJECTS, orient="row"),
        units=Units(),
        bands=("g", "r"),
        counts={"objects in": len(ids), "objects out": len(ids), "rows in": len(rows), "rows out": len(rows)},
    )


def test_take_keeps_the_order_and_the_bands() -> None:
    curves = curves_of([(1, 1, True)], [(2, 1, True), (3, 1, True)], [(4, 1, None)])
    part = curves.take(["o2", "o0", "o2"])
    assert part.objects["object_id"].to_list() == ["o0", "o2"] and part.observations["time"].to_list() == [1, 4]
    assert part.bands == curves.bands and balanced(part.counts) and part.counts["rows: not taken"] == 2
    assert balanced(part.take(["o0"]).counts) and part.take(["o0"]).counts["objects: not taken"] == 2
    assert len(curves.take([]).objects) == 0
    assert curves.take(curves.objects["object_id"]).observations.equals(curves.observations)
    with pytest.raises(SeqsciError, match="object o7: there is no light curve of it"):
        curves.take(["o0", "o7"])


def test_first_and_last_detection() -> None:
    curves = curves_of(
        [(1, 9, False), (2, 1, True), (3, 9, False), (4, 1, True)],
        [(1, 5, None), (2, 5.1, None), (3, -9, None), (4, 6, None), (5, 0, None)],
        [(1, 9, False), (2, 9, False)],
    )
    assert first_and_last_detection(curves).rows() == [("o0", 2, 4), ("o1", 2, 4), ("o2", None, None)]


def test_until_ends_at_the_day() -> None:
    days = [59580.1 + i for i in range(9)]
    early = [(t, 0, i == 3) for i, t in enumerate(days)]
    never = [(t, 0, False) for t in days]
    cut = curves_of(early, never).until(2)
    assert cut.observations.filter(pl.col("object_id") == "o0")["time"].to_list() == days[:6]
    assert cut.observations.filter(pl.col("object_id") == "o1")["time"].to_list() == days[:3]
    assert balanced(cut.counts) and "until 2 days" in cut.notes[-1] and len(cut.objects) == 2
    assert curves_of(early).until(0).observations["time"].to_list() == days[:4]
    for wrong in (-1, float("nan")):
        with pytest.raises(SeqsciError, match="give 0 or more"):
            curves_of(early).until(wrong)


PART = st.lists(
    st.tuples(st.integers(0, 60), st.integers(-9, 9), st.sampled_from([True, False, None])), min_size=1, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(st.lists(PART, min_size=1, max_size=3), st.integers(0, 30))
def test_until_never_looks_ahead(parts: list[list[tuple[int, int, bool | None]]], days: int) -> None:
    curves = curves_of(*([(float(t), float(f), d) for t, f, d in sorted(p, key=lambda row: row[0])] for p in parts))
    cut = curves.until(days)
    assert balanced(cut.counts) and cut.objects.equals(curves.objects)
    borders = first_and_last_detection(curves)
    for name, first, _ in borders.rows():
        whole = curves.observations.filter(pl.col("object_id") == name)
        start = whole["time"].min() if first is None else first
        assert cut.observations.filter(pl.col("object_id") == name).equals(whole.filter(pl.col("time") <= start + days))
        # What came later can be anything: the cut is the same.
        later = curves.observations.with_columns(
            flux=pl.when(pl.col("time") > start + days, pl.col("object_id") == name).then(99.0).otherwise("flux")
        )
        if first is not None:
            other = LightCurves(observations=later, objects=curves.objects, units=Units(), bands=curves.bands)
            seen = other.until(days).observations.filter(pl.col("object_id") == name)
            assert seen.equals(cut.observations.filter(pl.col("object_id") == name))


def test_a_loaded_set_is_that_of_read(real_data: Path) -> None:
    folder = real_data / "photometry/plasticc"
    path, objects = folder / "plasticc_real_90_lightcurves.csv", folder / "training_set_metadata.csv"
    loaded, origin = load(path, objects)
    assert loaded.observations.equals(read(path, objects).observations)
    assert loaded.objects.equals(read(path, objects).objects) and origin["name"] == "plasticc_real_90_lightcurves"
