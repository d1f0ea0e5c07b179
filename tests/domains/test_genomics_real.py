"""The real data sets: what their cards say of them is so."""

import time
from pathlib import Path

import numpy as np
import pytest

from seqsci import catalog
from seqsci.domains.genomics import annotations, load, split, suits
from seqsci.domains.genomics.split import GAP

GENOMES = {
    "ecoli": 4_639_675,
    "lambda": 48_502,
    "phix174": 5386,
    "sars_cov_2": 29_903,
    "mt_human": 16_569,
    "arabidopsis_chloroplast": 154_478,
}
LABELLED = {
    "promoters_ecoli": (81, {"promoter": 839, "not promoter": 3000}),
    "promoters_bacillus": (81, {"promoter": 373, "not promoter": 1000}),
    "promoters_arabidopsis": (251, {"promoter": 1497, "not promoter": 2879}),
    "uci_promoters": (57, {"+": 53, "-": 53}),
    "uci_splice": (60, {"EI": 767, "IE": 768, "N": 1655}),
}


@pytest.mark.parametrize("name", GENOMES)
def test_genomes(real_data: Path, name: str) -> None:
    start = time.process_time()
    records, origin = load(name)
    assert time.process_time() - start < 5  # E. coli takes a fifth of a second
    assert records.lengths.tolist() == [GENOMES[name]] and origin["card"] == name
    parts = split(records, "auto", (0.8, 0.1, 0.1), 0)
    assert (parts.frame["stop"] - parts.frame["start"]).sum() == GENOMES[name] - 2 * GAP
    assert all(suits(Path(path)) for path in origin["path"].split(","))


@pytest.mark.parametrize("name", LABELLED)
def test_labelled_sets(real_data: Path, name: str) -> None:
    records, origin = load(name)
    length, classes = LABELLED[name]
    assert set(records.lengths.tolist()) == {length}
    assert dict(records.frame["label"].value_counts().rows()) == classes
    assert catalog.card(name).rows == len(records) and records.frame["id"].is_unique().all()
    assert all(suits(Path(path)) for path in origin["path"].split(","))


def test_equal_splice_sites_do_not_leak(real_data: Path) -> None:
    records, _ = load("uci_splice")
    parts = split(records, "record", (0.8, 0.1, 0.1), 0)
    texts, names = records.frame["sequence"].to_numpy(), parts.frame["split"].to_numpy()
    assert not set(texts[names == "test"]) & set(texts[names != "test"])
    assert np.isclose((names == "test").mean(), 0.1, atol=0.01)


def test_features_of_a_chloroplast(real_data: Path) -> None:
    (path,) = real_data.rglob("arabidopsis_chloroplast_NC_000932.gb.gz")
    found = annotations(path)
    assert found.columns == ["record", "start", "stop", "strand", "type", "name", "feature"]
    assert found.row(0)[:5] == ("NC_000932.1", 0, 154_478, 1, "source")
    trna = found.filter((found["type"] == "tRNA") & (found["name"] == "trnH"))
    assert trna.select("start", "stop", "strand").rows() == [(3, 76, -1)]
    assert found.filter((found["type"] == "CDS") & (found["name"] == "rps12")).height > 3  # trans-spliced


def test_no_other_science_is_taken_for_dna(real_data: Path) -> None:
    others = [
        path for part in ("proteins", "smiles", "electricity", "text") for path in (real_data / part).rglob("*.*")
    ]
    assert len(others) > 20 and [path.name for path in others if path.is_file() and suits(path)] == []
