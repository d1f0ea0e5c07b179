"""Text out of plain, gzip and zip files."""

import gzip
import zipfile
from pathlib import Path

import pytest

from seqsci.data.opened import opened
from seqsci.errors import SeqsciError

TEXT = "\ufeffone\r\ntwo\rthree é"


def read(path: Path) -> str:
    with opened(path) as file:
        return file.read()


def test_packed_or_not_it_is_the_same_text(tmp_path: Path) -> None:
    raw = TEXT.encode()
    (tmp_path / "plain").write_bytes(raw)
    (tmp_path / "packed").write_bytes(gzip.compress(raw[:5]) + gzip.compress(raw[5:]))
    with zipfile.ZipFile(tmp_path / "zipped", "w") as archive:
        archive.mkdir("folder")
        archive.writestr("folder/x", raw)
    for name in ("plain", "packed", "zipped"):
        assert read(tmp_path / name) == "one\ntwo\nthree é"
    (tmp_path / "latin").write_bytes("é\n".encode("latin-1"))
    assert read(tmp_path / "latin") == "\ufffd\n"


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a", "a" * 1000)
        archive.writestr("b", "b")
    packed = gzip.compress(b"ACGT" * 1000)
    (tmp_path / "cut.gz").write_bytes(packed[:-10])
    (tmp_path / "sum.gz").write_bytes(packed[:-8] + b"00000000")
    (tmp_path / "cut.zip").write_bytes((tmp_path / "two.zip").read_bytes()[:60])
    for name, part in {
        "two.zip": "two.zip: the archive has 2 members",
        "cut.gz": "cut.gz: the archive is cut off or damaged",
        "sum.gz": "the archive is cut off or damaged",
        "cut.zip": "the archive is cut off or damaged",
        "absent": "absent: there is no such file",
        ".": "is a folder; name a file in it",
    }.items():
        with pytest.raises(SeqsciError, match=part):
            read(tmp_path / name)
