"""Finds the file of a data set: in the user's folder, in the cache, or by download; always by its digest.

Environment: `SEQSCI_DATA` is a folder of the user's files (searched with its subfolders by file name, with
or without .gz); `SEQSCI_CACHE` replaces the user's cache folder.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from seqsci import catalog
from seqsci.catalog import Card
from seqsci.errors import SeqsciError

TIMEOUT = (10, 60)
"""Seconds to wait for a connection, and for the next bytes of it."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file on this machine; `sha256` is that of its uncompressed content."""

    path: Path
    sha256: str
    place: Literal["SEQSCI_DATA", "cache", "download"]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What `check_file` knows of a file: digest and size of the content, and the card it belongs to."""

    path: Path
    sha256: str
    bytes: int
    card: Card | None

    @property
    def sentence(self) -> str:
        """One line for a person."""
        what = f"is data set {self.card.name} ({self.card.title})" if self.card else "matches no known data set"
        return f"{self.path}: {what}; {self.bytes} bytes, sha256 {self.sha256}"


def content(path: Path) -> bytes:
    """The bytes of a file, uncompressed when they are gzip, whatever the file is called.

    Raises:
        SeqsciError: no such file, not readable, or a damaged gzip file.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise SeqsciError(f"{path}: there is no such file; check the name") from None
    except IsADirectoryError:
        raise SeqsciError(f"{path}: is a folder; name a file in it") from None
    except OSError as error:
        raise SeqsciError(f"{path}: cannot be read: {error.strerror}") from None
    if not raw.startswith(b"\x1f\x8b"):
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, OSError, zlib.error):
        raise SeqsciError(f"{path}: the gzip file is cut off or damaged; copy it again") from None


def digest(data: bytes) -> str:
    """sha256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def check_file(path: str | Path) -> Checked:
    """Which data set, if any, the content of a file is; names play no part.

    Raises:
        SeqsciError: the file cannot be read.
    """
    data = content(Path(path))
    sha256 = digest(data)
    cards = (catalog.card(name) for name in catalog.names("datasets"))
    match = next((card for card in cards if card.sha256 == sha256), None)
    return Checked(path=Path(path), sha256=sha256, bytes=len(data), card=match)


def cache_folder() -> Path:
    """Where downloads are kept: `SEQSCI_CACHE`, else the user's cache folder. It may not exist yet."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("SEQSCI_CACHE") or user_cache_dir("seqsci"))


def locate(card: Card) -> Found:
    """The file of a data set: from `SEQSCI_DATA`, else from the cache, else downloaded into the cache.

    Raises:
        SeqsciError: it is nowhere and cannot be had; the sentence says which file to put where.
    """
    wrong: list[Path] = []
    for place, root in (("SEQSCI_DATA", _own_folder()), ("cache", cache_folder())):
        found = _search(card, root, wrong) if root else None
        if found:
            path, sha256 = found
            return Found(path=path, sha256=sha256, place="cache" if place == "cache" else "SEQSCI_DATA")
    if not card.url:
        raise SeqsciError(_absent(card, "has no public address that a program can use", wrong))
    path = _download(card, wrong)
    return Found(path=path, sha256=digest(content(path)), place="download")


def _own_folder() -> Path | None:
    named = os.environ.get("SEQSCI_DATA")
    if not named:
        return None
    if not Path(named).is_dir():
        raise SeqsciError(f"SEQSCI_DATA: '{named}' is not a folder; set it to the folder of your data files")
    return Path(named)


def _search(card: Card, root: Path, wrong: list[Path]) -> tuple[Path, str] | None:
    """The first file of the card's name and digest under `root`; the others go to `wrong`."""
    for name in (card.file, f"{card.file}.gz"):
        for path in sorted(p for p in root.rglob(name) if p.is_file()):
            try:
                sha256 = digest(content(path))
            except SeqsciError:
                sha256 = "damaged"
            if sha256 == card.sha256 or (not card.sha256 and sha256 != "damaged"):
                return path, sha256
            wrong.append(path)
    return None


def _download(card: Card, wrong: list[Path]) -> Path:
    import pooch
    from requests.exceptions import RequestException

    if not card.sha256:
        raise SeqsciError(_absent(card, "has no known digest, so it is not downloaded", wrong))
    folder = cache_folder()
    try:
        with _quiet():
            # pooch writes beside the target, compares the digest, and only then renames.
            pooch.retrieve(card.url, f"sha256:{card.sha256}", card.file, folder, downloader=_transfer)
    except RequestException as error:
        why = f"could not be downloaded from {card.url} ({_reason(error)})"
        raise SeqsciError(_absent(card, why, wrong)) from None
    except ValueError:
        why = f"came from {card.url} with a digest that is not the card's, so it was not kept"
        raise SeqsciError(_absent(card, why, wrong)) from None
    except OSError as error:
        raise SeqsciError(
            f"{folder}: the cache folder cannot be written ({error.strerror or error}); "
            "set SEQSCI_CACHE to a folder where there is room and you may write"
        ) from None
    return folder / card.file


def _transfer(url: str, output: str | IO[bytes], _: object) -> None:
    """Write what `url` gives to `output`, with a bar on a terminal. pooch's own leaves connections open."""
    import requests
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with (
        requests.get(url, stream=True, timeout=TIMEOUT) as response,
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
        open(output, "wb") if isinstance(output, str) else nullcontext(output) as file,
    ):
        response.raise_for_status()
        size = int(response.headers.get("content-length", 0))
        bar = progress.add_task(Path(url).name, total=size or None)
        for part in response.iter_content(1 << 16):
            file.write(part)
            progress.advance(bar, len(part))


def _reason(error: Exception) -> str:
    """Some words on a failed download, from the exception of requests."""
    from requests import exceptions

    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answered {response.status_code}"
    if isinstance(error, exceptions.Timeout):
        return "no answer in time"
    if isinstance(error, exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return "no connection"


def _absent(card: Card, why: str, wrong: list[Path]) -> str:
    """The sentence for a file that cannot be had."""
    how = f"{card.instructions.strip()}, then" if card.instructions else "fetch it where there is a network,"
    seen = f" (not {wrong[0]}: its content has another digest)" if wrong else ""
    return (
        f"{card.name}: {card.file} {why}; {how} put {card.file} or {card.file}.gz{seen} into a folder and "
        f"set SEQSCI_DATA=FOLDER, or try the simulated set demo-{card.domain}"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """pooch tells about every download on its own logger; ours are told by who asked for them."""
    import pooch

    logger = pooch.get_logger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
