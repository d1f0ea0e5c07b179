"""Opens a text file that may be packed: plain, .gz, or a .zip with one member; told by content, not by name.

Files are read as a stream, so that a large one is never whole in memory.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, TextIO, cast

from seqsci.errors import SeqsciError

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"


def opened(path: Path) -> TextIO:
    """Text of a file: UTF-8 without its byte-order mark, any kind of line end read as one newline.

    A byte that is no UTF-8 becomes U+FFFD: harmless in a name, and refused by whoever checks the letters.

    Raises:
        SeqsciError: no such file, not readable, a damaged archive (this may show only while reading), or a .zip with
            several members.
    """
    return io.TextIOWrapper(opened_bytes(path), encoding="utf-8-sig", errors="replace")


def opened_bytes(path: Path) -> io.BufferedReader:
    """The unpacked bytes of a file; errors as those of `opened`."""
    return io.BufferedReader(_Unpacked(path), 1 << 16)


def unpacked(path: Path) -> bytes:
    """All unpacked bytes of a file; errors as those of `opened`."""
    with opened_bytes(path) as file:
        return file.read()


class _Unpacked(io.RawIOBase):
    """The content of a file; what the archive or the disk refuses while it is read is told in a sentence."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = ExitStack()
        try:
            with _told(path):
                self._inner = self._open(self._files.enter_context(path.open("rb")))
        except SeqsciError:
            self.close()
            raise

    def _open(self, raw: IO[bytes]) -> IO[bytes]:
        start = raw.read(4)
        raw.seek(0)
        if start.startswith(GZIP):
            return cast(IO[bytes], self._files.enter_context(gzip.GzipFile(fileobj=raw)))
        if not start.startswith(ZIP):
            return raw
        archive = self._files.enter_context(zipfile.ZipFile(raw))
        members = [one for one in archive.infolist() if not one.is_dir()]
        if len(members) != 1:
            raise SeqsciError(
                f"{self._path}: the archive has {len(members)} members; unpack it and name the one that is meant"
            )
        return self._files.enter_context(archive.open(members[0]))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _told(self._path):
            data = self._inner.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._files.close()
        super().close()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except SeqsciError:
        raise
    except FileNotFoundError:
        raise SeqsciError(f"{path}: there is no such file; check the name") from None
    except IsADirectoryError:
        raise SeqsciError(f"{path}: is a folder; name a file in it") from None
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error):
        raise SeqsciError(f"{path}: the archive is cut off or damaged; copy it again") from None
    except OSError as error:
        raise SeqsciError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (RuntimeError, NotImplementedError, ValueError) as error:
        # A password, a kind of compression that Python lacks, or nonsense in the directory of a zip file.
        raise SeqsciError(f"{path}: cannot be unpacked ({error}); unpack it yourself") from None
