"""Files are found by digest, downloaded whole or not at all, missed with advice; on this machine alone."""

import gzip
import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from seqsci import catalog
from seqsci.catalog import Card, Curves, File
from seqsci.data import download
from seqsci.errors import SeqsciError

DATA = b"date,OT\n2020-01-01,1\n2020-01-02,2\n" * 50
SHA = hashlib.sha256(DATA).hexdigest()
PACKED = gzip.compress(DATA, mtime=0)
MD5 = hashlib.md5(PACKED).hexdigest()
asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing.csv":
            self.send_error(404)
            return
        asked.append(self.path)
        body = {"/wrong.csv": b"something else", "/packed.csv.gz": PACKED}.get(self.path.partition("?")[0], DATA)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:100] if self.path == "/cut.csv" else body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SEQSCI_DATA", raising=False)
    monkeypatch.setenv("SEQSCI_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


def card(url: str = "", sha256: str = SHA, instructions: str = "") -> Card:
    return Card(
        name="mine", title="t", domain="electricity", description="d", licence="l", file="mine.csv",
        url=url, sha256=sha256, instructions=instructions or ("" if url else "ask the owner"),
    )  # fmt: skip


def _message(asked: Card) -> str:
    with pytest.raises(SeqsciError) as error:
        download.locate(asked)
    text = str(error.value)
    assert "SEQSCI_DATA=FOLDER" in text and "demo-electricity" in text and "mine.csv" in text
    assert "\n" not in text
    return text


def test_a_good_file_comes_into_the_cache_once(server: str, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first = download.locate(card(f"{server}/good.csv"))
    assert (first.place, first.sha256, first.path) == ("download", SHA, cache / "mine.csv")
    assert first.path.read_bytes() == DATA
    again = download.locate(card("http://127.0.0.1:1/gone.csv"))
    assert (again.place, again.path) == ("cache", first.path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("wrong", "digest that is not the card's"),
        ("cut", "broke off"),
        ("missing", "the server answered 404"),
    ],
)
def test_a_bad_download_leaves_nothing(server: str, cache: Path, path: str, why: str) -> None:
    text = _message(card(f"{server}/{path}.csv"))
    assert why in text and f"{server}/{path}.csv" in text
    assert list(cache.iterdir()) == []


def test_offline_says_what_to_put_where(cache: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/mine.csv"
        text = _message(card(url))
    assert f"could not be downloaded from {url} (no connection)" in text
    assert not cache.exists() or list(cache.iterdir()) == []


def test_a_damaged_cache_is_replaced(server: str, cache: Path) -> None:
    cache.mkdir()
    (cache / "mine.csv").write_bytes(DATA[:-1])
    assert download.locate(card(f"{server}/good.csv")).place == "download"
    assert (cache / "mine.csv").read_bytes() == DATA


def test_without_address_or_digest_nothing_is_downloaded(server: str) -> None:
    assert "ask the owner, then put mine.csv" in _message(card())
    assert "no known digest" in _message(card(f"{server}/good.csv", sha256=""))


def test_own_folder_is_searched_first_and_by_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQSCI_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "b" / "c").mkdir(parents=True)
    (tmp_path / "data" / "a" / "mine.csv").write_bytes(b"an older version")
    assert "its content has another digest" in _message(card())
    packed = tmp_path / "data" / "b" / "c" / "mine.csv.gz"
    packed.write_bytes(gzip.compress(DATA)[:-9])
    assert "not" in _message(card())
    packed.write_bytes(gzip.compress(DATA))
    found = download.locate(card())
    assert (found.place, found.path, found.sha256) == ("SEQSCI_DATA", packed, SHA)
    assert download.content(found.path) == DATA
    assert download.locate(card(sha256="")).path.name == "mine.csv"


def test_own_folder_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQSCI_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(SeqsciError, match=r"SEQSCI_DATA: .* is not a folder"):
        download.locate(card())


def test_a_cache_that_cannot_be_written(server: str, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(SeqsciError, match="set SEQSCI_CACHE"):
        download.locate(card(f"{server}/good.csv"))


def test_check_file_goes_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "whatever.bin"
    path.write_bytes(gzip.compress(DATA))
    checked = download.check_file(path)
    assert (checked.card, checked.sha256, checked.bytes) == (None, SHA, len(DATA))
    assert "matches no known data set" in checked.sentence
    known = replace(catalog.card("etth1"), sha256=SHA)
    monkeypatch.setattr(catalog, "card", lambda name: known)
    assert "is data set etth1" in download.check_file(path).sentence
    with pytest.raises(SeqsciError, match="there is no such file"):
        download.check_file(tmp_path / "nope.csv")
    with pytest.raises(SeqsciError, match="is a folder"):
        download.check_file(tmp_path)


def several(server: str, *files: File, instructions: str = "") -> Card:
    """A set of a packed file of which the md5 is known, a plain one, and those of a part."""
    always = (
        File(name="packed.csv.gz", url=f"{server}/packed.csv.gz?download=1", md5=MD5),
        File(name="plain.csv", url=f"{server}/plain.csv", sha256=SHA, role="objects"),
    )
    return Card(
        name="many", title="t", domain="photometry", description="d", licence="l", curves=Curves(),
        files=(*always, *files), instructions=instructions,
    )  # fmt: skip


def test_every_file_comes_into_a_folder_of_the_cache_once(server: str, cache: Path) -> None:
    part = File(name="more.csv", url=f"{server}/more.csv", sha256=SHA, part="more")
    card = several(server, part)
    asked.clear()
    found = download.locate_all(card)
    assert [(one.path, one.sha256, one.place) for one in found] == [
        (cache / "many" / "packed.csv.gz", SHA, "download"),
        (cache / "many" / "plain.csv", SHA, "download"),
    ]
    assert found[0].path.read_bytes() == PACKED and found[1].file.role == "objects"
    assert [one.place for one in download.locate_all(card, ["more"])] == ["cache", "cache", "download"]
    assert {one.place for one in download.locate_all(card, ["more"])} == {"cache"}
    assert asked == ["/packed.csv.gz?download=1", "/plain.csv", "/more.csv"]


@pytest.mark.parametrize(("path", "why"), [("wrong", "digest that is not the card's"), ("missing", "answered 404")])
def test_one_bad_file_of_several_is_named_and_not_kept(server: str, cache: Path, path: str, why: str) -> None:
    bad = File(name="bad.csv.gz", url=f"{server}/{path}.csv", md5=MD5)
    with pytest.raises(SeqsciError) as error:
        download.locate_all(several(server, bad))
    text = str(error.value)
    assert text.startswith("many: bad.csv.gz ") and why in text and "put bad.csv.gz into a folder" in text
    # The good ones stay, so that a second try goes on.
    assert sorted(file.name for file in (cache / "many").iterdir()) == ["packed.csv.gz", "plain.csv"]


def test_nothing_is_downloaded_while_another_file_cannot_be_had(server: str, cache: Path) -> None:
    asked.clear()
    with pytest.raises(
        SeqsciError, match="many: mine.csv has no public address .*; ask the owner, then put mine.csv or"
    ):
        download.locate_all(several(server, File(name="mine.csv", sha256=SHA), instructions="ask the owner"))
    assert asked == [] and not cache.exists()


def test_several_files_offline(cache: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(SeqsciError, match=r"many: packed.csv.gz could not be downloaded from .* \(no connection\)"):
            download.locate_all(several(f"http://127.0.0.1:{free.getsockname()[1]}"))


def test_own_files_of_a_set_of_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    own = tmp_path / "own"
    for folder in ("a", "b/c"):
        (own / folder).mkdir(parents=True)
    monkeypatch.setenv("SEQSCI_DATA", str(own))
    (own / "a" / "packed.csv.gz").write_bytes(gzip.compress(DATA, mtime=1))  # the content is right, the md5 is not
    (own / "b/c" / "packed.csv.gz").write_bytes(PACKED)
    (own / "b" / "plain.csv.gz").write_bytes(gzip.compress(DATA))
    found = download.locate_all(several(server))
    assert [(one.path, one.place) for one in found] == [
        (own / "b/c" / "packed.csv.gz", "SEQSCI_DATA"),
        (own / "b" / "plain.csv.gz", "SEQSCI_DATA"),
    ]
    (own / "b/c" / "packed.csv.gz").unlink()
    (own / "b" / "packed.csv").write_bytes(DATA)
    assert [one.place for one in download.locate_all(several(server))] == ["download", "SEQSCI_DATA"]


def test_a_file_is_hashed_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "CHUNK", 7)
    for name, content in (("plain", DATA), ("packed", PACKED), ("two", PACKED + PACKED), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
        inside = download.content(tmp_path / name)
        assert download.fingerprint(tmp_path / name) == download.Fingerprint(
            sha256=hashlib.sha256(inside).hexdigest(), md5=hashlib.md5(content).hexdigest(), bytes=len(inside)
        )
    (tmp_path / "cut").write_bytes(PACKED[:-9])
    for read in (download.fingerprint, download.content):
        with pytest.raises(SeqsciError, match="cut off or damaged"):
            read(tmp_path / "cut")


def test_check_file_knows_a_file_of_a_set_of_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "card", lambda name: several("http://127.0.0.1"))
    (tmp_path / "x").write_bytes(PACKED)
    assert "is packed.csv.gz of data set many (t)" in download.check_file(tmp_path / "x").sentence
    (tmp_path / "x").write_bytes(DATA)
    assert "is plain.csv of data set many (t)" in download.check_file(tmp_path / "x").sentence


@pytest.mark.parametrize("name", [name for name in catalog.names() if not catalog.card(name).simulated])
def test_the_simulated_set_that_is_advised_exists(name):
    from seqsci.data.download import _absent

    card = catalog.card(name)
    told = _absent(card, card.wanted()[:1], "is not here", {})
    advised = catalog.card(told.rsplit(" ", 1)[1])
    assert advised.simulated and advised.domain == card.domain
