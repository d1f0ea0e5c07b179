"""A file is whole or absent, and what the disk refuses is told with its path."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place, synced to disk, when the block ends well.

    Raises:
        OSError: naming `path`, whatever the writer in the block raised for it.
    """
    with located(path), _replaced(path) as temporary:
        yield temporary


@contextmanager
def located(path: Path) -> Iterator[None]:
    """What the disk refuses in the block is an OSError that names `path`.

    A write to a full disk names no file, and libraries in Rust have errors of their own that end in "(os error 28)".
    """
    try:
        yield
    except Exception as problem:
        found = re.search(r"\(os error (\d+)\)", str(problem))
        number = (problem.errno if isinstance(problem, OSError) else None) or (int(found[1]) if found else None)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from problem


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        # mkstemp makes the file private; results are as readable as the folder's other files.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def short_name(data: str) -> str:
    """What data are called in tables and in a folder's name: "Pkinase" of a file, "Pkinase+2" of it and two more."""
    first, *others = (Path(part.strip()).name.split(".")[0] for part in data.split(","))
    return f"{first}+{len(others)}" if others else first
