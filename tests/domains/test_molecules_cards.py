"""The cards of molecules, and the real files where `SEQSCI_DATA` has them."""

import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from seqsci import catalog
from seqsci.data.opened import whole_text
from seqsci.domains.molecules import TOKENIZER, augment, load, split, suits
from seqsci.domains.molecules.molecule import canonical, quiet
from seqsci.errors import SeqsciError

SHARES = (0.8, 0.1, 0.1)
ALL = ("bbbp", "chembl31", "esol", "freesolv", "hiv", "icst", "tox21", "zinc250k")


def test_the_cards_say_how_they_are_read() -> None:
    for name in ALL:
        card = catalog.card(name)
        assert card.domain == "molecules" and card.written is not None and card.rows and not card.simulated
        assert all(file.url and file.sha256 for file in card.contents)
    assert "left out" in catalog.card("bbbp").notes and "salt" in catalog.card("icst").notes


@pytest.fixture
def here(real_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Real files, and no network."""
    monkeypatch.setenv("SEQSCI_CACHE", str(tmp_path))
    if not (real_data / "smiles").is_dir():
        pytest.skip("the folder SEQSCI_DATA has no molecules")
    return real_data / "smiles"


@pytest.mark.parametrize(
    ("name", "rows", "kind"),
    [("bbbp", 2039, pl.String), ("freesolv", 642, pl.Float64), ("esol", 1128, pl.Float64), ("tox21", 7823, pl.String)],
)
def test_sets_with_labels(here: Path, name: str, rows: int, kind: pl.DataType) -> None:
    records, facts = load(name)
    assert len(records) == rows and records.frame["label"].dtype == kind and facts["card"] == name
    assert records.frame["id"].is_unique().all() and not records.simulated
    card = catalog.card(name)
    assert len(records) == card.rows or "left out" in card.notes
    for text in records.frame["sequence"]:
        assert TOKENIZER.decode(TOKENIZER.encode(text)) == text
    parts = split(records, "auto", SHARES, 0)
    assert (parts.frame["split"] == "train").mean() == pytest.approx(0.8, abs=0.01)


def test_blank_labels_are_unknown(here: Path) -> None:
    records, _ = load("tox21", label="SR-p53")
    counts = dict(records.frame["label"].value_counts().iter_rows())
    assert counts.keys() == {"0", "1", None} and counts[None] > 500


def test_sets_of_a_line_are_groups(here: Path) -> None:
    """Chem-xLSTM loses the molecule behind the last dot of a set: each line's last one is here."""
    records, _ = load("icst")
    groups = records.frame["group"]
    assert groups.n_unique() == 50 and len(records) > 30_000
    first = whole_text(here / "icst_test.zip").splitlines()[0].strip().split(".")
    assert records.frame.filter(groups == "1")["sequence"].to_list() == first
    parts = split(records, "group", SHARES, 0)
    assert pl.DataFrame({"g": groups, "s": parts.frame["split"]}).unique().height == 50


def test_files_suit(here: Path) -> None:
    assert [path.name for path in sorted(here.iterdir()) if not suits(path)] == []
    others = [path for path in here.parent.rglob("*") if path.is_file() and here not in path.parents]
    assert [path.name for path in others if suits(path)] == []


def test_a_folder_without_the_file_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqsci.data import download

    def refused(*_: object) -> Path:
        raise SeqsciError("no network here")

    monkeypatch.setenv("SEQSCI_DATA", str(tmp_path))
    monkeypatch.setenv("SEQSCI_CACHE", str(tmp_path))
    monkeypatch.setattr(download, "_download", refused)
    with pytest.raises(SeqsciError, match="no network here"):
        load("esol")


def test_real_molecules_are_spelled_anew_and_come_back(here: Path) -> None:
    texts = whole_text(here / "zinc250k_valid.txt.gz").split()
    rng = np.random.default_rng(0)
    assert len(texts) == 24445
    for text in texts:
        assert TOKENIZER.decode(TOKENIZER.encode(text)) == text
    with quiet():
        for text in random.Random(0).sample(texts, 300):
            spelling = augment(text, rng)
            assert canonical(spelling) == canonical(text)
            assert TOKENIZER.decode(TOKENIZER.encode(spelling)) == spelling
