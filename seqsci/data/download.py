"""Finds the files of a data set: in the user's folder, in the cache, or by download; always by its digest.

Environment: `SEQSCI_DATA` is a folder of the user's files (searched with its subfolders by file name, with
or without .gz); `SEQSCI_CACHE` replaces the user's cache folder.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

from seqsci import catalog
from seqsci.catalog import Card, File
from seqsci.errors import SeqsciError

TIMEOUT = (10, 60)
"""Seconds to wait for a connection, and for the next bytes of it."""
GZIP = b"\x1f\x8b"


CHUNK = 1 << 20  # bytes of a file that are in memory at once while it is hashed
Place = Literal["SEQSCI_DATA", "cache", "download"]


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """`sha256` and `bytes` of the uncompressed content of a file, and the `md5` of the file as it stands."""

    sha256: str
    md5: str
    bytes: int

    def fits(self, file: File) -> bool:
        """Whether this is that file of a card; any content does where the card knows no digest."""
        return self.md5 == file.md5 if file.md5 else file.sha256 in ("", self.sha256)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file on this machine; `sha256` is that of its uncompressed content, `file` what the card says of it."""

    path: Path
    sha256: str
    place: Place
    file: File


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What `check_file` knows of a file: digest and size of the content, and the card and file it is."""

    path: Path
    sha256: str
    bytes: int
    card: Card | None
    file: File | None = None

    @property
    def sentence(self) -> str:
        """One line for a person."""
        what = f"is data set {self.card.name} ({self.card.title})" if self.card else "matches no known data set"
        if self.card and self.card.files and self.file:
            what = f"is {self.file.name} of data set {self.card.name} ({self.card.title})"
        return f"{self.path}: {what}; {self.bytes} bytes, sha256 {self.sha256}"


def content(path: Path) -> bytes:
    """The bytes of a file, uncompressed when they are gzip, whatever the file is called.

    Raises:
        SeqsciError: no such file, not readable, or a damaged gzip file.
    """
    with _reading(path):
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw.startswith(GZIP) else raw


def fingerprint(path: Path) -> Fingerprint:
    """Digests and size of a file, read once and never whole in memory.

    Raises:
        SeqsciError: as `content`.
    """
    sha256, size = hashlib.sha256(), 0
    with _reading(path), path.open("rb") as raw:
        tap = _Tap(raw)
        packed = raw.peek(len(GZIP)).startswith(GZIP)
        # What is read through the tap passes the md5, so the two digests cost one reading.
        inner = cast(IO[bytes], gzip.GzipFile(fileobj=cast(IO[bytes], tap)) if packed else tap)
        while block := inner.read(CHUNK):
            sha256.update(block)
            size += len(block)
    return Fingerprint(sha256=sha256.hexdigest(), md5=tap.md5.hexdigest(), bytes=size)


class _Tap:
    """A file of which the md5 is taken while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.md5 = file, hashlib.md5(usedforsecurity=False)

    def read(self, size: int = -1) -> bytes:
        block = self.file.read(size)
        self.md5.update(block)
        return block


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What can go wrong with a file, in sentences."""
    try:
        yield
    except FileNotFoundError:
        raise SeqsciError(f"{path}: there is no such file; check the name") from None
    except IsADirectoryError:
        raise SeqsciError(f"{path}: is a folder; name a file in it") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise SeqsciError(f"{path}: the gzip file is cut off or damaged; copy it again") from None
    except OSError as error:
        raise SeqsciError(f"{path}: cannot be read: {error.strerror}") from None


def digest(data: bytes) -> str:
    """sha256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def check_file(path: str | Path) -> Checked:
    """Which data set, if any, the content of a file is; names play no part.

    Raises:
        SeqsciError: the file cannot be read.
    """
    seen = fingerprint(Path(path))
    cards = [catalog.card(name) for name in catalog.names("datasets")]
    known = ((card, file) for card in cards for file in card.contents if file.md5 or file.sha256)
    card, file = next(((card, file) for card, file in known if seen.fits(file)), (None, None))
    return Checked(path=Path(path), sha256=seen.sha256, bytes=seen.bytes, card=card, file=file)


def cache_folder() -> Path:
    """Where downloads are kept: `SEQSCI_CACHE`, else the user's cache folder. It may not exist yet."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("SEQSCI_CACHE") or user_cache_dir("seqsci"))


def locate(card: Card) -> Found:
    """The file of a data set: from `SEQSCI_DATA`, else from the cache, else downloaded into the cache.

    Raises:
        SeqsciError: it is nowhere and cannot be had; the sentence says which file to put where.
    """
    return locate_all(card)[0]


def locate_all(card: Card, parts: Sequence[str] = ()) -> list[Found]:
    """Every file of a data set that is always read, and those of some parts, in the order of the card.

    Each is sought as `locate` does; nothing is downloaded while another file cannot be had at all.

    Raises:
        SeqsciError: no such part, or files that are nowhere and cannot be had; says which to put where.
    """
    files = card.wanted(parts)
    found: dict[str, Found] = {}
    wrong: dict[str, Path] = {}
    roots: list[tuple[Place, Path | None]] = [("SEQSCI_DATA", _own_folder()), ("cache", cache_folder())]
    for place, root in roots:
        absent = [file for file in files if file.name not in found]
        found |= _search(absent, root, place, wrong) if root and absent else {}
    absent = [file for file in files if file.name not in found]
    closed = [file for file in absent if not file.url]
    if closed:
        verb = "has" if len(closed) == 1 else "have"
        raise SeqsciError(_absent(card, closed, f"{verb} no public address that a program can use", wrong))
    for file in absent:
        path = _download(card, file, wrong)
        # pooch has just compared the digest; only where it was an md5 is the other one still unknown.
        sha256 = file.sha256 or fingerprint(path).sha256
        found[file.name] = Found(path=path, sha256=sha256, place="download", file=file)
    return [found[file.name] for file in files]


def _own_folder() -> Path | None:
    named = os.environ.get("SEQSCI_DATA")
    if not named:
        return None
    if not Path(named).is_dir():
        raise SeqsciError(f"SEQSCI_DATA: '{named}' is not a folder; set it to the folder of your data files")
    return Path(named)


def _search(files: Sequence[File], root: Path, place: Place, wrong: dict[str, Path]) -> dict[str, Found]:
    """The first file of each name and digest under `root`; of the others one goes to `wrong`."""
    there = _paths(root, {name for file in files for name in _names(file)})
    found: dict[str, Found] = {}
    for file in files:
        for path in (path for name in _names(file) for path in there.get(name, [])):
            try:
                seen = fingerprint(path)
            except SeqsciError:
                seen = None
            if seen and seen.fits(file):
                found[file.name] = Found(path=path, sha256=seen.sha256, place=place, file=file)
                break
            wrong.setdefault(file.name, path)
    return found


def _names(file: File) -> tuple[str, ...]:
    # An md5 is that of the compressed file: nothing else can be compared with it.
    return (file.name,) if file.md5 else (file.name, f"{file.name}.gz")


def _paths(root: Path, names: Iterable[str]) -> dict[str, list[Path]]:
    """Sorted files of these names under `root`; one walk for all of them."""
    wanted = set(names)
    there: dict[str, list[Path]] = {}
    for folder, _, files in os.walk(root):
        for name in wanted.intersection(files):
            there.setdefault(name, []).append(Path(folder) / name)
    return {name: sorted(paths) for name, paths in there.items()}


def _download(card: Card, file: File, wrong: dict[str, Path]) -> Path:
    import pooch
    from requests.exceptions import RequestException

    if not (file.sha256 or file.md5):
        raise SeqsciError(_absent(card, [file], "has no known digest, so it is not downloaded", wrong))
    known = f"md5:{file.md5}" if file.md5 else f"sha256:{file.sha256}"
    folder = cache_folder() / card.name if card.files else cache_folder()
    try:
        with _quiet():
            # pooch writes beside the target, compares the digest, and only then renames.
            pooch.retrieve(file.url, known, file.name, folder, downloader=_transfer)
    except RequestException as error:
        why = f"could not be downloaded from {file.url} ({_reason(error)})"
        raise SeqsciError(_absent(card, [file], why, wrong)) from None
    except ValueError:
        why = f"came from {file.url} with a digest that is not the card's, so it was not kept"
        raise SeqsciError(_absent(card, [file], why, wrong)) from None
    except OSError as error:
        raise SeqsciError(
            f"{folder}: the cache folder cannot be written ({error.strerror or error}); "
            "set SEQSCI_CACHE to a folder where there is room and you may write"
        ) from None
    return folder / file.name


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
        bar = progress.add_task(Path(url.partition("?")[0]).name, total=size or None)
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


def _absent(card: Card, files: Sequence[File], why: str, wrong: dict[str, Path]) -> str:
    """The sentence for files that cannot be had."""
    name, more = files[0].name, len(files) - 1
    which = f"{name} and {more} more ({files[-1].name} the last)" if more else name
    how = f"{card.instructions.strip()}, then" if card.instructions else "fetch it where there is a network,"
    seen = next((f" (not {wrong[f.name]}: its content has another digest)" for f in files if f.name in wrong), "")
    put = "them" if more else name if files[0].md5 else f"{name} or {name}.gz"
    cards = (catalog.card(name) for name in catalog.names("datasets"))
    simulated = next((other.name for other in cards if other.simulated and other.domain == card.domain), None)
    instead = f", or try the simulated set {simulated}" if simulated else ""
    return f"{card.name}: {which} {why}; {how} put {put}{seen} into a folder and set SEQSCI_DATA=FOLDER{instead}"


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
