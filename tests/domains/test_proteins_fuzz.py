"""Damaged protein files: whatever is in them, only a sentence comes out. SEQSCI_FUZZ raises the number of files."""

import gzip
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from seqsci import catalog
from seqsci.domains import proteins
from seqsci.errors import SeqsciError

ROUNDS = int(os.environ.get("SEQSCI_FUZZ", "300"))
FASTA = b">sp|P1|A_B first\nMKVLAWDEFGHIKLMNPQRST\nWYV\n>x\nMKVLAC*\n>y y\nmkvlac\n"
A3M = b"#A3M#\n>q\nMKV-LAWDE\n>h1 some\nM-VaaLAWDE\n>h2\nMK--LcA.WD-E\n".replace(b"WD-E", b"WDE")
STOCKHOLM = (
    b"# STOCKHOLM 1.0\n#=GF ID Fam\n#=GF AC PF1\n#=GS a/1-9 AC P1\na/1-9   MKV-LAWDE\nb/3-10  MKVLL.WDE\n"
    b"#=GR b/3-10 SS HHHH..EEE\n#=GC seq_cons xxxxxxxxx\n//\n# STOCKHOLM 1.0\nc MKV\nd MRV\n//\n"
)
TABLE = b'id,sequence,y,split\na,MKVLAW,1.5,train\nb,MKVLAC,2,val\nc,"MKV",,test\nd,WWW,NA,test\n'
SCAN = b"mutant,y\nM5A,1\nK6R,2\nV7A:M5A,3\nWT,0\n"
SEEDS = {"f.fasta": FASTA, "f.a3m": A3M, "f.sto": STOCKHOLM, "f.csv": TABLE, "g.csv": SCAN}
BITS = (
    b">",
    b"\n",
    b"\r\n",
    b",",
    b"\t",
    b'"',
    b"-",
    b".",
    b"*",
    b"//",
    b"#=GC ",
    b"#=GR ",
    b"# STOCKHOLM 1.0\n",
    b"\xff",
    b"\x00",
    b"\xef\xbb\xbf",
    b"MKV",
    b"9" * 30,
    b" ",
    b"A24G",
    b":",
    b"\x85",
    "é".encode(),
    b"\xe2\x80\xa8",
    b"nan",
    b"(",
)


@pytest.fixture(autouse=True)
def few_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """No data sets, whose cards are sought at every load: two thirds of the time."""
    monkeypatch.setattr(catalog, "names", lambda kind="datasets": [])


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        place = int(rng.integers(0, len(out) + 1))
        stop = min(len(out), place + int(rng.integers(0, 12)))
        kind = int(rng.integers(0, 5))
        if kind == 0:
            del out[place:stop]
        elif kind == 1:
            out[place:place] = BITS[int(rng.integers(len(BITS)))]
        elif kind == 2 and place < len(out):
            out[place] = int(rng.integers(0, 256))
        elif kind == 3:
            out[place:place] = out[place : min(len(out), place + 40)]
        else:
            out[place:stop] = bytes(rng.permutation(list(out[place:stop])).astype(np.uint8))
    return bytes(out) if rng.random() < 0.97 else bytes(out[: int(rng.integers(0, len(out) + 1))])


def survives(path: Path, label: str | None) -> bool:
    """Whether the file was read; everything that can be asked of it is asked."""
    assert proteins.suits(path) in (True, False)
    good = False
    for invalid in ("refuse", "skip"):
        try:
            records, _ = proteins.load(path, invalid=invalid, label=label)  # type: ignore[arg-type]
        except SeqsciError as error:
            assert str(error) and "\n" not in str(error).strip()
            continue
        good = True
        assert records.frame["id"].n_unique() == len(records) > 0 and records.lengths.min() > 0
        for text in records.frame["sequence"]:
            proteins.TOKENIZER.encode(text)
    for more in (proteins.alignment, proteins.deep_scan):
        with suppress(SeqsciError):
            more(path)
    return good


@pytest.mark.timeout(0 if ROUNDS > 300 else 300)
@pytest.mark.parametrize("name", SEEDS)
def test_damaged_files(tmp_path: Path, name: str) -> None:
    label = "y" if name.endswith("csv") else None
    path = tmp_path / name
    path.write_bytes(SEEDS[name])
    assert survives(path, label)
    rng = np.random.default_rng(len(name))
    read = 0
    for _ in range(ROUNDS):
        path.write_bytes(damaged(SEEDS[name], rng))
        read += survives(path, label)
    assert 0.05 * ROUNDS < read < 0.98 * ROUNDS  # neither harmless nor hopeless


@pytest.mark.timeout(0 if ROUNDS > 300 else 300)
def test_damaged_binary_files(tmp_path: Path) -> None:
    pl.DataFrame({"id": ["a", "b"], "sequence": ["MKVLAW", "MKVLAC"], "y": [1.0, 2.0]}).write_parquet(tmp_path / "p")
    seeds = {"p.parquet": (tmp_path / "p").read_bytes(), "p.fasta.gz": gzip.compress(FASTA)}
    rng = np.random.default_rng(0)
    for name, data in seeds.items():
        for _ in range(ROUNDS):
            (tmp_path / name).write_bytes(damaged(data, rng))
            survives(tmp_path / name, None)
