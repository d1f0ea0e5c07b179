"""Opens a text file that may be packed: plain, .gz, or a .zip with one member; told by content, not by name."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TextIO

from seqsci.errors import SeqsciError

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """Text of a file: UTF-8 without its byte-order mark, any kind of line end read as one newline.

    A byte that is no UTF-8 becomes U+FFFD: harmless in a name, and refused by whoever checks the letters.

    Raises:
        SeqsciError: no such file, not readable, a damaged archive (also when it shows only while reading), or a .zip
            with several members.
    """
    with opened_bytes(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace") as text:
        yield text


def unpacked(path: Path) -> bytes:
    """The whole content of a file; errors as those of `opened`."""
    try:
        with opened_bytes(path) as raw:
            return raw.read()
    except SeqsciError:
        raise  # it is a ValueError as well
    except (lzma.LZMAError, struct.error, ValueError, RuntimeError) as error:
        raise SeqsciError(f"{path}: the archive is damaged or cannot be unpacked ({error}); copy it again") from None


def whole_text(path: Path) -> str:
    """The whole text of a file, of which every byte counts: what is no UTF-8 is refused by its line."""
    raw = unpacked(path)
    try:
        return io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8-sig").read()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SeqsciError(f"{path.name}, line {line}: is not UTF-8 text; save the file as UTF-8") from None


@contextmanager
def opened_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The unpacked bytes of a file; errors as those of `opened`."""
    try:
        with path.open("rb") as raw, _unpacked(path, raw) as inner:
            yield inner
    except FileNotFoundError:
        raise SeqsciError(f"{path}: there is no such file; check the name") from None
    except IsADirectoryError:
        raise SeqsciError(f"{path}: is a folder; name a file in it") from None
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error):
        raise SeqsciError(f"{path}: the archive is cut off or damaged; copy it again") from None
    except OSError as error:
        raise SeqsciError(f"{path}: cannot be read: {error.strerror or error}") from None


@contextmanager
def _unpacked(path: Path, raw: IO[bytes]) -> Iterator[IO[bytes]]:
    start = raw.read(4)
    raw.seek(0)
    if start.startswith(GZIP):
        with gzip.GzipFile(fileobj=raw) as inner:
            yield inner  # type: ignore[misc]
    elif start.startswith(ZIP):
        with zipfile.ZipFile(raw) as archive, _member(path, archive) as inner_zip:
            yield inner_zip
    else:
        yield raw


def _member(path: Path, archive: zipfile.ZipFile) -> IO[bytes]:
    members = [name for name in archive.namelist() if not name.endswith("/")]
    if len(members) != 1:
        raise SeqsciError(f"{path}: the archive has {len(members)} members; unpack it and name the file that is meant")
    try:
        return archive.open(members[0])
    except (RuntimeError, NotImplementedError) as error:
        raise SeqsciError(f"{path}: {members[0]} cannot be unpacked ({error}); unpack it yourself") from None
