"""What cannot be read is refused in one sentence that says where, and nothing else ever escapes."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "my.csv: the file is empty"),
    "blank": (" \n\n", "my.csv: the file is empty"),
    "separators only": (",,\n,,\n", "my.csv: no line holds anything"),
    "header only": ("date,a\n", "my.csv: there are no rows below the header"),
    "no header": (BODY, "my.csv, line 1: holds values where the column names should be"),
    "one column": ("date\n2020-01-01\n", "my.csv, line 1: only one column ('date')"),
    "time alone": ("date,\n2020-01-01,\n2020-01-02,\n", "there is no series beside the time column 'date'"),
    "no time": ("a,b\n1,2\n3,4\n", "my.csv: no column looks like a time; name it with data.time"),
    "same name": ("date,a,a\n2020-01-01,1,2\n", "my.csv, line 1: two columns are called 'a'"),
    "time twice": ("time,time,a\n2020,2020,1\n", "my.csv, line 1: two columns are called 'time'"),
    "series called time": ("date,time\n2020-01-01,1\n2020-01-02,2\n", "a series is called 'time'"),
    "text": (
        GOOD.replace(",3,6", ",abc,6"),
        "my.csv, line 5, column a: 'abc' is not a number; correct it or leave it blank (a",
    ),
    "text after a blank line": (
        column(1, 2).replace("\n", "\n\n") + "2020-01-03,x\n",
        "my.csv, line 7, column a: 'x'",
    ),
    "text in quotes": ('date,a\n2020-01-01,"1"\n2020-01-02,"x\ny"\n', "my.csv, line 3, column a: 'x y'"),
    "text column": ("date,city,a\n2020-01-01,Berlin,1\n2020-01-02,Berlin,1\n", "set data.id to city"),
    "booleans": (
        column("true", "false"),
        "line 2, column a: 'true' is not a number, nor is any other entry of the column; write 1 and 0",
    ),
    "decimal comma": (
        'date,a\n2020-01-01,"1,5"\n',
        "'1,5' is not a number, nor is any other entry of the column; write it with a decimal",
    ),
    "thousands": ('date,a\n2020-01-01,"1,234.5"\n', "write it without the commas between thousands"),
    "comma of either kind": ("date;a\n2020-01-01;1,234\n2020-01-02;2,345\n", "it can mean either"),
    "infinite": (column(1, "-inf"), "my.csv, line 3, column a: '-inf' is not a finite number"),
    "too large": (column(1, "1e400"), "my.csv, line 3, column a: '1e400' is not a finite number"),
    "time of day apart": ("date,time,a\n2020-01-01,10:00,1\n", "join the date and the time of day"),
    "too few fields": (
        GOOD + "2020-01-01 05:00:00,1",
        "my.csv, line 7: 2 fields where the header has 3 (is the file cut off?)",
    ),
    "too many fields": (GOOD.replace(",1,2", ",1,2,3"), "my.csv, line 3: 4 fields where the header has 3;"),
    "open quote": ('date,a\n2020-01-01,1\n2020-01-02,"2\n', "my.csv, line 3: the quotation marks are broken"),
    "not utf-8": (
        "date,T (°C)\n2020-01-01,1\n".encode("latin-1"),
        "my.csv, line 1: is not utf-8 text; if this is a table, give its encoding",
    ),
    "binary": (b"a,b\n1,\0\n", "my.csv, line 2: holds binary data"),
    "zip": (b"PK\x03\x04xxxx", "is a zip archive or an Excel file; save the table as CSV"),
    "damaged gzip": (gzip.compress(GOOD.encode())[:-12], "the gzip file is cut off or damaged"),
    "damaged parquet": (b"PAR1xxxx", "my.csv: the Parquet file is cut off or damaged"),
    "empty gzip": (gzip.compress(b""), "my.csv: the file is empty"),
    "no date": (
        dated(*HOURS[:3], "yesterday"),
        "my.csv, line 5, column date: 'yesterday' is not a date of the same form as",
    ),
    "blank time": ("date,a\n2020-01-01,1\n,2\n", "my.csv, line 3, column date: the time is blank"),
    "ambiguous order": (
        dated("01/02/2020", "02/02/2020"),
        "line 2, column date: '01/02/2020' can be day/month or month/day",
    ),
    "both orders": (
        dated("13/02/2020", "02/14/2020"),
        "line 3, column date: '02/14/2020' has day and month in another order than '13/02/2020' in line 2",
    ),
    "30 February": (
        dated("2020-02-30", "2020-03-01"),
        "line 2, column date: '2020-02-30' is not in the calendar",
    ),
    "24 o'clock": (dated("2020-02-01 24:00"), "24:00 is 00:00 of the next day"),
    "some zones": (
        dated("2020-01-01 00:00", "2020-01-01 01:00Z"),
        "line 2, column date: '2020-01-01 00:00' has no time zone",
    ),
    "spreadsheet": (
        dated(43831, 43832),
        "line 2, column date: '43831' is a number, not a date (serial dates of a spreadsheet?",
    ),
    "contradiction": (
        GOOD + HOURS[4] + ",4,9\n",
        "my.csv, lines 6 and 7, series b: 2020-01-01 04:00:00 stands twice, with 8 and 9; correct it, set data.duplicates",
    ),
    "change of the clock": (
        dated("2020-10-25 01:00", "2020-10-25 02:00", "2020-10-25 02:00"),
        "lines 3 and 4, series a: 2020-10-25 02:00:00 stands twice",
    ),
    "long contradiction": ("unique_id,ds,y\nA,2020-01-01,1\nA,2020-01-01,2\n", "lines 2 and 3, series A"),
    "long without id": (
        "unique_id,ds,y\nA,2020-01-01,1\n,2020-01-02,2\n",
        "line 3, column unique_id: the name of the series is blank",
    ),
    "off the grid": (
        dated(*HOURS[:5], "2020-01-01 05:07:00"),
        "my.csv, line 7: 2020-01-01 05:07:00 lies off the regular times, which come every 1h",
    ),
    "no grid": (
        dated("2020-01-01", "2020-01-02", "2020-01-05", "2020-01-10", "2020-01-17"),
        "my.csv: its times keep no regular distance",
    ),
    "far away": (
        dated(*HOURS[:5], "2090-01-01 05:00:00"),
        "my.csv, line 7: in steps of 1h the table would have 613638 rows, not 6; correct the time (2090",
    ),
    "one row": (column(1), "my.csv: one row gives no step in time"),
    "empty channel": (
        "date,a,b\n2020-01-01,1,\n2020-01-02,2,NA\n",
        "my.csv, column b: holds no value at all",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_files_are_refused_in_one_located_sentence(tmp_path: Path, case: str) -> None:
    text, part = REFUSED[case]
    with pytest.raises(SeqsciError) as error:
        load(tmp_path, text)
    assert part in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"time": "dat"}, "there is no time column 'dat'; did you mean 'date'?"),
        ({"covariates": ("bb",)}, "there is no covariate 'bb'"),
        ({"channels": ("c",)}, "there is no series column 'c'"),
        ({"id": "idd"}, "there is no id column 'idd'"),
        ({"covariates": ("a", "b")}, "none is left to forecast"),
        ({"covariates": ("a",), "channels": ("a",)}, "cannot be a series and a covariate at once"),
        ({"step": "15min"}, "step: '15min' is not a step in time; write it like 15m"),
        ({"step": "1d"}, "lies off the regular times"),
        ({"step": "7m"}, "lies off the regular times"),
        ({"encoding": "klingon"}, "there is no encoding 'klingon'"),
        ({"separator": ";;"}, "must be one character"),
        ({"layout": "wide", "id": "a"}, "leave them out, or set data.layout to long"),
    ],
)
def test_wrong_names_and_options(tmp_path: Path, options: dict[str, Any], part: str) -> None:
    with pytest.raises(SeqsciError) as error:
        load(tmp_path, GOOD, **options)
    assert part in str(error.value)


@pytest.mark.parametrize(
    "source",
    [5, None, {"a": [1]}, np.ones((3, 2)), pl.LazyFrame({"a": [1]}), pl.DataFrame({"ds": [], "a": []})],
)
def test_things_that_are_no_tables(source: object) -> None:
    with pytest.raises(SeqsciError, match="table"):
        electricity.load(source)


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SeqsciError, match=r"'etth11' is neither a file nor a data set; did you mean 'etth1'\?"):
        electricity.load("etth11")
    with pytest.raises(SeqsciError, match="is a folder; name a file in it"):
        electricity.load(tmp_path)


cells = st.one_of(
    st.sampled_from(["", "1", "-2.5", "1,5", "inf", "NA", "abc", "1e400", '"', '"x"', "2020-01-01", "\u0660", "1_0"]),
    st.sampled_from(
        [
            "2020-01-02 03:04",
            "1/2/2020",
            "13.1.2020",
            "Jan 5, 2020",
            "2020Q3",
            "0000-00-00",
            "12",
            "1600000000",
        ]
    ),
    st.text(max_size=5),
)
headers = st.lists(
    st.sampled_from(["date", "ds", "y", "unique_id", "a", "b", "", "time", "1", " "]), min_size=1, max_size=4
)


@settings(
    derandomize=True,
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    header=headers,
    rows=st.lists(st.lists(cells, min_size=1, max_size=4), max_size=6),
    mark=st.sampled_from(",;\t"),
)
def test_whatever_the_text_only_our_error_escapes(
    tmp_path: Path, header: list[str], rows: list[list[str]], mark: str
) -> None:
    width = len(header)
    fitted = [(row * width)[:width] for row in rows]
    text = "\n".join(mark.join(line) for line in [header, *fitted])
    try:
        load(tmp_path, text.encode("utf-8", "surrogatepass"))
    except SeqsciError as error:
        assert str(error)


@settings(
    derandomize=True,
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.binary(max_size=200))
def test_whatever_the_bytes_only_our_error_escapes(tmp_path: Path, data: bytes) -> None:
    for start in (b"", b"PAR1", b"\x1f\x8b", b"date,a\n", b"\xff\xfe"):
        try:
            load(tmp_path, start + data)
        except SeqsciError as error:
            assert str(error)


@settings(
    derandomize=True,
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    times=st.lists(
        st.one_of(st.datetimes().map(str), st.dates().map(str), st.integers(-5, 10**13).map(str)),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_the_times_only_our_error_escapes(tmp_path: Path, times: list[str]) -> None:
    for step in (None, "1bd", "1mo", "1h"):
        try:
            found = load(tmp_path, dated(*times), step=step, irregular="round")
            assert np.all(np.diff(found.times).astype(int) > 0)
        except SeqsciError as error:
            assert str(error)
