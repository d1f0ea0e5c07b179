"""Opens a text file that may be packed: plain, gzip, or a zip archive with one member."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from typing import TextIO

from seqsci.data.download import content
from seqsci.errors import SeqsciError

ZIP = b"PK\x03\x04"


def opened(path: Path) -> TextIO:
    """The text (UTF-8) of a file, unpacked, to be read line by line; every kind of line end becomes a newline.

    Raises:
        SeqsciError: no such file, a damaged archive, a zip archive of several files, or text that is not UTF-8.
    """
    raw = unpacked(path)
    try:
        return io.StringIO(raw.decode("utf-8-sig"), newline=None)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SeqsciError(f"{path.name}, line {line}: is not UTF-8 text; save the file as UTF-8") from None


def unpacked(path: Path) -> bytes:
    """The content of a file, unpacked when it is gzip or zip, whatever the file is called.

    Raises:
        SeqsciError: no such file, a damaged archive, or a zip archive that does not hold exactly one file.
    """
    raw = content(path)
    return _member(raw, path) if raw.startswith(ZIP) else raw


def _member(raw: bytes, path: Path) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = [one for one in archive.infolist() if not one.is_dir()]
            if len(members) == 1:
                return archive.read(members[0])
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        struct.error,
        EOFError,
        OSError,
        ValueError,
        RuntimeError,  # an encrypted member, or a compression that Python lacks
    ) as error:
        raise SeqsciError(f"{path}: the zip file is damaged or cannot be unpacked ({error}); copy it again") from None
    raise SeqsciError(f"{path}: the zip file holds {len(members)} files; unpack it and name the one to read")
