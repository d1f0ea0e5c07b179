"""Damaged files: nothing but a SeqsciError comes out of reading one. SEQSCI_FUZZ files per format, 300 else."""

import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from seqsci import catalog
from seqsci.data.records import Records
from seqsci.data.variants import read_variants
from seqsci.domains.genomics import annotations, indexed, load, suits
from seqsci.errors import SeqsciError

FILES = int(os.environ.get("SEQSCI_FUZZ", "300"))
GENBANK = (Path(__file__).parents[1] / "fixtures" / "toy.gb").read_bytes()
FASTA = b">a first\nACGTACGTACGT\nACGTAC\n>b\nTTGRYSWKMBDHVN\n>c two\r\nGGCC\r\n"
FASTQ = b"@r1 x\nACGTAC\n+\nIIIIII\n@r2\nGGTT\n+r2\n!!@@\n@r3\nNNNN\n+\n####\n"
TABLE = b'id,seq,label,split\na,ACGTACGT,x,train\nb,"GGCC",y,test\n"c",acgu,x,val\n'
VCF = b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\na\t2\trs1\tC\tT,CG\t30\nb\t1\t.\tTT\tT\t.\n"
SUBSTITUTIONS = b"record,mutant,score\na,A1G:C2T,0.5\nb,T1C,-1e3\n"
SYMBOLS = b'\0\n\r\t ,;>@+:"-.*/ACGTN0123456789abcLOCUS\xff\xef\xbb\xbf\x80'


def parquet() -> bytes:
    buffer = io.BytesIO()
    pl.read_csv(TABLE).write_parquet(buffer)
    return buffer.getvalue()


def damaged(rng: np.random.Generator, data: bytes) -> bytes:
    """A few bytes changed, put in or taken out, stretches moved or doubled, or the end cut off."""
    for _ in range(int(rng.integers(1, 5))):
        at, end = sorted(rng.integers(0, len(data) + 1, 2).tolist())
        some = bytes(rng.choice(list(SYMBOLS), int(rng.integers(1, 6))).tolist())
        match int(rng.integers(6)):
            case 0:
                data = data[:at] + some + data[at + len(some) :]
            case 1:
                data = data[:at] + some + data[at:]
            case 2:
                data = data[:at] + data[at + int(rng.integers(1, 10)) :]
            case 3:
                data = data[:at]
            case 4:
                data = data[:end] + data[at:end] + data[end:]
            case _:
                data = (
                    data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :] if data[at:] else b""
                )
    return data


FORMATS: dict[str, tuple[bytes, str]] = {
    "fasta": (FASTA, "x.fa"),
    "indexed": (FASTA.replace(b"\r", b""), "x.fa"),
    "gzip": (gzip.compress(FASTA, mtime=0), "x.fa.gz"),
    "fastq": (FASTQ, "x.fq"),
    "genbank": (GENBANK, "x.gb"),
    "csv": (TABLE, "x.csv"),
    "tsv": (TABLE.replace(b",", b"\t"), "x.tsv"),
    "parquet": (parquet(), "x.parquet"),
}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files_of_records(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "indexed":
        monkeypatch.setattr(indexed, "LARGE", 0)
        monkeypatch.setenv("SEQSCI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(catalog, "names", lambda kind: [])  # half of the time goes into looking for cards
    data, name = FORMATS[kind]

    def read(path: Path, number: int) -> None:
        suits(path)
        try:
            records, _ = load(path, invalid=("refuse", "skip")[number % 2])
            assert len(records) and all(records.text(row) for row in range(len(records)))
            assert records.frame["id"].is_unique().all() and (records.lengths > 0).all()
        finally:
            path.with_name(f"{path.name}.fai").unlink(missing_ok=True)

    survive(data, tmp_path / name, read)
    if kind == "genbank":
        survive(data, tmp_path / name, lambda path, _: annotations(path))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("data", "name"),
    [(VCF, "x.vcf"), (gzip.compress(VCF, mtime=0), "y.vcf.gz"), (SUBSTITUTIONS, "z.csv")],
    ids=["vcf", "gzip", "mutants"],
)
def test_damaged_files_of_variants(data: bytes, name: str, tmp_path: Path) -> None:
    records = Records(frame=pl.DataFrame({"id": ["a", "b"], "sequence": ["ACGT", "TTGG"]}))
    survive(data, tmp_path / name, lambda path, _: read_variants(path, records, "base"))


def survive(data: bytes, path: Path, read: Callable[[Path, int], object]) -> None:
    path.write_bytes(data)
    read(path, 0)
    refused = 0
    for number in range(FILES):
        path.write_bytes(damaged(np.random.default_rng(number), data))
        try:
            read(path, number)
        except SeqsciError as error:
            refused += 1
            assert str(error) and "\n" not in str(error).strip()
    assert refused > FILES // 20  # damage is noticed
