"""Tables become regular sequences, whatever they come in."""

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from seqsci.catalog import Card
from seqsci.data import download
from seqsci.domains import electricity
from seqsci.errors import SeqsciError

HOURS = [f"2020-01-01 {hour:02d}:00:00" for hour in range(24)]
BODY = "".join(f"{time},{i},{2 * i}\n" for i, time in enumerate(HOURS[:5]))
GOOD = "date,a,b\n" + BODY


def write(tmp_path: Path, text: str | bytes, name: str = "my.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def load(tmp_path: Path, text: str | bytes, name: str = "my.csv", **options: Any) -> Any:
    return electricity.load(write(tmp_path, text, name), **options)[0]


def column(*cells: object, name: str = "a") -> str:
    """A daily file with one series."""
    return f"date,{name}\n" + "".join(f"2020-01-{i:02d},{cell}\n" for i, cell in enumerate(cells, 1))


def dated(*times: object) -> str:
    """A file with these times."""
    return "date,a\n" + "".join(f"{time},{i}\n" for i, time in enumerate(times))


READ: dict[str, str | bytes] = {
    "bom": b"\xef\xbb\xbf" + GOOD.encode(),
    "crlf": GOOD.replace("\n", "\r\n"),
    "old line ends": GOOD.replace("\n", "\r"),
    "blank lines": GOOD.replace("\n", "\n\n"),
    "semicolons, decimal commas": GOOD.replace(",", ";").replace(";4;8", ";4,0;8,00"),
    "tabs": GOOD.replace(",", "\t"),
    "bars": GOOD.replace(",", "|"),
    "spaces": GOOD.replace(",", " , "),
    "quotes": "".join('"' + line.replace(",", '","') + '"\n' for line in GOOD.splitlines()),
    "index": "".join(f"{i - 1 if i else ''},{line}\n" for i, line in enumerate(GOOD.splitlines())),
    "trailing separator": GOOD.replace("\n", ",\n"),
    "utf-16": GOOD.encode("utf-16"),
    "gzip": gzip.compress(GOOD.encode()),
    "iso": GOOD.replace(" 0", "T0"),
    "zulu": GOOD.replace(":00:00", ":00Z"),
    "zone": GOOD.replace("2020-01-01 0", "2020-01-01T1").replace(":00:00", ":00:00.000+10:00"),
    "day first": GOOD.replace("2020-01-01", "1.1.2020"),
    "names of months": GOOD.replace("2020-01-01", "1 January 2020"),
    "half days": "date,a,b\n" + "".join(f"2020/1/1 {(i - 1) % 12 + 1}:00 AM,{i},{2 * i}\n" for i in range(5)),
    "epoch": "date,a,b\n" + "".join(f"{1577836800 + 3600 * i},{i},{2 * i}\n" for i in range(5)),
    "epoch in ms": "date,a,b\n" + "".join(f"{1577836800000 + 3600000 * i},{i},{2 * i}\n" for i in range(5)),
    "unsorted": "date,a,b\n" + "".join(reversed(BODY.splitlines(keepends=True))),
    "equal duplicate": GOOD + f"{HOURS[4]},4,8\n",
    "filled duplicate": GOOD.replace(",4,8", ",4,") + f"{HOURS[4]},,8\n",
    "long": "unique_id,ds,y\n"
    + "".join(f"{s},{HOURS[i]},{k * i}\n" for s, k in (("a", 1), ("b", 2)) for i in range(5)),
}


@pytest.mark.parametrize("case", READ)
def test_the_same_table_in_many_clothes(tmp_path: Path, case: str) -> None:
    found = load(tmp_path, READ[case])
    assert_array_equal(found.values, [[i, 2 * i] for i in range(5)])
    assert_array_equal(found.times, np.array(HOURS[:5], dtype="datetime64[us]"))
    assert (found.channels, found.step, found.tail) == (("a", "b"), "1h", 0)
    assert_array_equal(found.offsets, [0, 5])


def test_every_container_gives_the_same_sequences(tmp_path: Path) -> None:
    every_third = pl.when(pl.int_range(pl.len()) % 3 == 0).then("zone_east")
    wide = electricity.simulate(hours=100).with_columns(zone_east=every_third)
    names = wide.columns[1:]
    long = wide.unpivot(names, index="time", variable_name="unique_id", value_name="y").rename({"time": "ds"})
    wide.write_csv(tmp_path / "wide.csv")
    wide.write_parquet(tmp_path / "wide.parquet")
    wide.write_parquet(tmp_path / "parquet.csv")
    long.write_csv(tmp_path / "long.csv")
    sources = [
        wide,
        wide.to_arrow(),
        wide.to_pandas(),
        wide.to_pandas().set_index("time"),
        long,
        long.to_pandas(),
    ]
    files = [tmp_path / name for name in ("wide.csv", "wide.parquet", "parquet.csv", "long.csv")]
    want = electricity.load(wide)[0]
    assert np.isnan(want.values).sum() == 66
    for source in [*sources, *files]:
        found = electricity.load(source)[0]
        assert_array_equal(found.values, want.values)
        assert_array_equal(found.times, want.times)
        assert (found.channels, found.step) == (tuple(names), "1h")


def test_a_caller_keeps_his_frame() -> None:
    frame = pl.DataFrame({"": [1.0, 2.0], "ds": ["2020-01-01", "2020-01-02"]})
    assert electricity.load(frame)[0].channels == ("column 1",)
    assert frame.columns == ["", "ds"]


def test_notes_say_what_was_guessed_and_changed(tmp_path: Path) -> None:
    text = dated(HOURS[0], HOURS[1], HOURS[4], HOURS[3], HOURS[5]) + f"{HOURS[5]},4\n{HOURS[6]},\n"
    notes = " / ".join(load(tmp_path, text).notes)
    for part in (
        "time column: 'date' (guessed)",
        "rows that repeat a time: 1 (the first at 2020-01-01 05:00:00), merged",
        "not in the order of time: sorted",
        "rows at the end without any value: 1, left out",
        "step: 1h (inferred)",
        "absent steps of 1h: 1 (the first at 2020-01-01 02:00:00), put in as unobserved",
    ):
        assert part in notes


def test_missing_entries_are_nan(tmp_path: Path) -> None:
    found = load(tmp_path, column(1, "", "NA", "nan", "null", " ", -9999, 2), missing=(-9999,))
    assert_array_equal(np.isnan(found.values[:, 0]), [0, 1, 1, 1, 1, 1, 1, 0])
    assert "column a: -9999 is treated as missing (1 times)" in found.notes


@pytest.mark.parametrize(("rule", "value"), [("first", 8), ("mean", 8.5)])
def test_contradictions_are_settled_on_request(tmp_path: Path, rule: str, value: float) -> None:
    found = load(tmp_path, GOOD + HOURS[4] + ",4,9\n", duplicates=rule)
    assert found.values[4].tolist() == [4, value]
    assert f"times with different values: 1, the {rule} taken" in found.notes


def test_rounding_of_irregular_times(tmp_path: Path) -> None:
    text = dated(*HOURS[:4], "2020-01-01 04:03:00", "2020-01-01 04:58:00")
    found = load(tmp_path, text, irregular="round")
    assert_array_equal(found.times, np.array(HOURS[:6], dtype="datetime64[us]"))
    assert "times between two steps: 2, rounded to the nearest" in found.notes
    with pytest.raises(SeqsciError, match="line 7: rounds to the same step as the row before it"):
        load(tmp_path, dated(*HOURS[:5], "2020-01-01 04:03:00"), irregular="round")


def test_covariates_and_the_tail(tmp_path: Path) -> None:
    text = "date,a,t\n2020-01-01,1,5\n2020-01-02,,6\n2020-01-03,3,7\n2020-01-04,,8\n2020-01-05,,9\n"
    found = load(tmp_path, text, covariates=("t",))
    assert (found.channels, found.known_names, found.tail) == (("a",), ("t",), 2)
    assert_array_equal(found.known[:, 0], [5, 6, 7, 8, 9])
    assert_array_equal(found.values[:, 0], [1, np.nan, 3, np.nan, np.nan])
    with pytest.raises(SeqsciError, match=r"my\.csv, line 4, column t: is blank"):
        load(tmp_path, text.replace(",7", ","), covariates=("t",))
    with pytest.raises(SeqsciError, match="there is no row for 2020-01-03 00:00:00; covariates must be given"):
        load(tmp_path, text.replace("2020-01-03,3,7\n", ""), covariates=("t",))


def test_other_columns_may_hold_anything_when_channels_are_named(tmp_path: Path) -> None:
    found = load(tmp_path, "date,city,b,a\n2020-01-01,X,1,2\n2020-01-02,Y,3,4\n", channels=("a", "b"))
    assert found.channels == ("a", "b")
    assert found.values.tolist() == [[2, 1], [4, 3]]


def test_whole_numbers_as_times(tmp_path: Path) -> None:
    years = load(tmp_path, dated(1990, 1991, 1993))
    assert (years.step, len(years.times), str(years.times[-1])[:10]) == ("1y", 4, "1993-01-01")
    counted = load(tmp_path, dated(0, 1, 2))
    assert (counted.step, str(counted.times[0])[:10]) == ("1d", "2000-01-01")
    assert any("counts rows and holds no dates" in note for note in counted.notes)
    assert str(load(tmp_path, dated(20200131, 20200201)).times[0])[:10] == "2020-01-31"


@pytest.mark.parametrize(
    ("times", "step"),
    [
        (pd.date_range("2020", periods=50, freq="15min"), "15m"),
        (pd.date_range("2020", periods=50, freq="30s"), "30s"),
        (pd.date_range("2020", periods=50, freq="6h"), "6h"),
        (pd.date_range("2020", periods=50, freq="D"), "1d"),
        (pd.bdate_range("2020", periods=50), "1bd"),
        (pd.date_range("2020", periods=50, freq="W"), "1w"),
        (pd.date_range("2020", periods=50, freq="MS"), "1mo"),
        (pd.date_range("2020", periods=50, freq="ME"), "1mo"),
        (pd.date_range("2020", periods=50, freq="QE"), "1q"),
        (pd.date_range("1950", periods=50, freq="YS"), "1y"),
    ],
)
def test_steps_are_inferred_filled_and_continued(times: pd.DatetimeIndex, step: str) -> None:
    stamps = times.to_numpy().astype("datetime64[us]")
    kept = np.delete(stamps, [7, 20, 21])
    frame = pl.DataFrame({"ds": kept, "a": np.arange(len(kept), dtype=float)})
    found = electricity.load(frame)[0]
    assert found.step == step
    assert_array_equal(found.times, stamps)
    assert_array_equal(np.flatnonzero(np.isnan(found.values[:, 0])), [7, 20, 21])
    assert_array_equal(electricity.future_times(stamps[:30], step, 20), stamps[30:])
    assert_array_equal(electricity.future_times(stamps[29], step, 20), stamps[30:])


def test_months_keep_their_day() -> None:
    days = np.array(["2021-01-30", "2021-02-28", "2021-03-30", "2021-04-30"], dtype="datetime64[us]")
    ahead = electricity.future_times(days, "1mo", 2)
    assert [str(day)[:10] for day in ahead] == ["2021-05-30", "2021-06-30"]
    end = electricity.future_times(np.datetime64("2021-02-28"), "1mo", 2)
    assert [str(day)[:10] for day in end] == ["2021-03-31", "2021-04-30"]


@pytest.mark.parametrize(
    ("step", "period"),
    [
        *[("1h", 24), ("15m", 96), ("10m", 144), ("2h", 12), ("30s", 2880), ("1d", 7), ("1bd", 5)],
        *[("1w", 52), ("1mo", 12), ("1q", 4), ("1y", 1), ("6mo", 2), ("2w", 26), ("2d", 4)],
    ],
)
def test_season(step: str, period: int) -> None:
    assert electricity.season(step) == period


def test_marks_by_hand() -> None:
    # Wednesday 30 December 2020, 18:45:30: day 365 of the year, ISO week 53.
    time = np.array(["2020-12-30T18:45:30"], dtype="datetime64[us]")
    second, minute, hour = 30 / 59 - 0.5, 45 / 59 - 0.5, 18 / 23 - 0.5
    days = [2 / 6 - 0.5, 29 / 30 - 0.5, 364 / 365 - 0.5]
    want = {
        "30s": [second, minute, hour, *days],
        "15m": [minute, hour, *days],
        "1h": [hour, *days],
        "1d": days,
        "1bd": days,
        "1w": [29 / 30 - 0.5, 52 / 52 - 0.5],
        "1mo": [0.5],
        "1q": [0.5],
        "1y": [0.2],
    }
    for step, marks in want.items():
        found = electricity.calendar_marks(time, step)
        assert found.dtype == np.float32
        assert_allclose(found, [marks], atol=1e-6)


def test_weeks_are_iso_weeks() -> None:
    days = pd.date_range("1999-12-20", "2033-01-10", freq="D")
    found = electricity.calendar_marks(days.to_numpy(), "1w")[:, 1]
    assert_allclose(found, (days.isocalendar().week.to_numpy(dtype=float) - 1) / 52 - 0.5, atol=1e-6)


def test_the_simulation_is_the_same_everywhere() -> None:
    sequences, origin = electricity.load("demo-electricity")
    assert sequences.simulated and origin["path"] is None and origin["card"] == "demo-electricity"
    assert sequences.channels == ("zone_north", "zone_south", "zone_east", "zone_west", "temperature")
    assert (len(sequences.times), sequences.step) == (5000, "1h")
    assert any("simulated data (seed 0)" in note for note in sequences.notes)
    assert origin["sha256"] == "9a6c73883f3680bc9ff301b7ad1ac137faeb79e4fa7323cf07955bcc827f4ce9"
    assert electricity.load("demo-electricity", seed=1)[1]["sha256"] != origin["sha256"]


def test_the_simulation_looks_like_load() -> None:
    frame = electricity.simulate()
    load = frame["zone_north"].to_numpy()
    lag = {k: np.corrcoef(load[:-k], load[k:])[0, 1] for k in (12, 24, 168)}
    assert lag[24] > 0.8 and lag[168] > 0.8 > lag[12]
    assert load.min() > 0 and load.max() < 1000
    cold = frame.filter(pl.col("time").dt.month() == 1)["zone_north"].mean()
    mild = frame.filter(pl.col("time").dt.month() == 5)["zone_north"].mean()
    assert float(str(cold)) > 1.1 * float(str(mild))


def test_where_a_frame_came_from() -> None:
    frame = pl.DataFrame({"ds": ["2020-01-01", "2020-01-02"], "a": [1.0, 2.0]})
    origin = electricity.load(frame)[1]
    assert origin["sha256"] == electricity.load(frame.to_pandas())[1]["sha256"]
    assert (origin["name"], origin["path"], origin["card"], origin["split"]) == ("table", None, None, None)


REAL = {
    "etth1": ("f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066", 17420, 7, "1h", 0),
    "ettm1": ("6ce1759b1a18e3328421d5d75fadcb316c449fcd7cec32820c8dafda71986c9e", 69680, 7, "15m", 0),
    "exchange_rate": ("d55e7aa2641009814a18ba3279431b13f6d413b0eab195b9ff21988d8cf94e97", 7588, 8, "1d", 0),
    "national_illness": ("8594cecb98c6f2f9dc014eca11c4d5d1e38ad5ce6ed0592d4abe65b146fce395", 966, 7, "1w", 0),
    # 81 readings of -9999, and nine absent rows of 21 series.
    "weather": (
        "34ee981d07313e51da2a50bb600072c8ae4a69cb4b0651f4cb93a069d7a2ba63",
        52704,
        21,
        "10m",
        81 + 189,
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_real_data(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256, rows, channels, step, missing = REAL[name]
    found, origin = _real(name, monkeypatch)
    assert origin["sha256"] == sha256
    assert found.values.shape == (rows, channels)
    assert np.isnan(found.values).sum() == missing
    assert found.channels[-1] == origin["target"] == "OT"
    # What the card says of the step is what the rows say.
    assert (found.step, electricity.infer_step(found.times)) == (step, step)


def _real(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, dict[str, Any]]:
    if not os.environ.get("SEQSCI_DATA"):
        pytest.skip("set SEQSCI_DATA to the folder of the real data sets to run this")

    def stay_here(card: Card, wrong: list[Path]) -> Path:
        pytest.skip(f"the folder SEQSCI_DATA has no {card.file} of the right digest")

    monkeypatch.setattr(download, "_download", stay_here)
    return electricity.load(name)
