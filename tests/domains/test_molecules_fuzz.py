"""Damaged files of molecules: every format, cut, flipped and stuffed, gives records or a sentence, and never hangs.

`SEQSCI_FUZZ` raises the number of damaged files of each format.
"""

import gzip
import io
import os
import random
import time
import zipfile
from pathlib import Path

import pytest
from rdkit import Chem

from seqsci.domains.molecules import TOKENIZER, load, simulate, suits
from seqsci.errors import SeqsciError

FILES = int(os.environ.get("SEQSCI_FUZZ", "300"))
LONGEST = 20  # seconds of one file
PIECES = [
    *(
        b"\x00",
        b"\xff",
        b"\n",
        b"\r",
        b"\t",
        b",",
        b'"',
        b";",
        b" ",
        b"$$$$\n",
        b"M  END\n",
        b"#",
        b"smiles",
        b"999",
        b"-1",
    ),
    *(
        b"C1CC",
        b"[",
        b"]",
        b"%(99999)",
        b"(" * 50,
        b"->",
        b"[13C@@H+:99999999999]",
        "é".encode(),
        b"nan",
        b"inf",
        b"1e400",
    ),
    *(b"V3000", b"  0  0  0  0  0  0", b">  <", b"PAR1", b"\x1f\x8b", b"PK\x03\x04", b"C" * 300, b"*", b"\xef\xbb\xbf"),
]


def smi() -> bytes:
    frame = simulate(1, 12)
    return "".join(f"{smiles} {name}\n" for smiles, name in frame.select("smiles", "id").iter_rows()).encode()


def csv() -> bytes:
    return simulate(1, 12).write_csv().encode()


def sdf() -> bytes:
    molecules = [Chem.MolFromSmiles(text) for text in simulate(1, 4)["smiles"]]
    return "".join(f"{Chem.MolToMolBlock(one)}>  <y>\n{n}\n\n$$$$\n" for n, one in enumerate(molecules)).encode()


def parquet() -> bytes:
    made = io.BytesIO()
    simulate(1, 12).write_parquet(made)
    return made.getvalue()


def packed() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", smi())
    return made.getvalue()


def gzipped() -> bytes:
    return gzip.compress(csv(), mtime=0)


def damaged(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at, length = rng.randrange(len(data) + 1), rng.choice([1, 1, 4, 40])
        match rng.randrange(5):
            case 0:
                data[at : at + length] = rng.randbytes(length)
            case 1:
                data[at : at + length] = b""
            case 2:
                data[at:at] = rng.choice(PIECES)
            case 3:
                data[at:at] = data[at : at + length] * rng.choice([1, 3])
            case _:
                data[at : at + 1] = rng.choice(PIECES)
    return bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.1 else data)


@pytest.mark.timeout(36000)
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.smi", smi),
        ("a.csv", csv),
        ("a.sdf", sdf),
        ("a.parquet", parquet),
        ("a.zip", packed),
        ("a.csv.gz", gzipped),
    ],
)
def test_a_damaged_file_gives_records_or_a_sentence(tmp_path: Path, name: str, make: object) -> None:
    assert callable(make)
    whole, rng, path = make(), random.Random(7), tmp_path / name
    labels = [None, "active", "y"]
    read = 0
    for number in range(FILES):
        path.write_bytes(damaged(whole, rng))
        start = time.monotonic()
        try:
            records, _ = load(path, label=labels[number % 3], invalid=("refuse", "skip")[number % 2])  # type: ignore[arg-type]
        except SeqsciError as error:
            assert str(error)
        else:
            read += 1
            assert records.frame["id"].is_unique().all() and records.frame["sequence"].null_count() == 0
            for text in records.frame["sequence"]:
                assert TOKENIZER.decode(TOKENIZER.encode(text)) == text
        suits(path)
        assert time.monotonic() - start < LONGEST, path.read_bytes()
    path.write_bytes(whole)
    assert load(path)[0].frame.height > 3
    assert read or name in ("a.zip", "a.csv.gz", "a.parquet")  # these notice the least change
