"""Vectors of records and letters: the same in any company, by streams, on both strands; the files and the map."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import seqsci
from seqsci.cli import main
from seqsci.data.rows import Row, ask_nothing
from seqsci.runs import Run
from seqsci.training.language import embed as road
from seqsci.training.language.speaker import Speaker

TEXTS = ["ACGTACGTAA", "TTTT", "GATTACA" * 3, "A", "CGCGCGCGCGCGCGCG"]
MODELS = ("dna", "transformer", "masked", "shared")
Runs = Callable[[str], Path]


def turned(text: str) -> str:
    return text[::-1].translate(str.maketrans("ACGT", "TGCA"))


@torch.inference_mode()
def by_hand(asked: Speaker, text: str) -> np.ndarray:
    """(L, D) states behind the letters, by one pass over the whole."""
    row = Row.of(asked.tokenizer.encode(text))
    return asked.network.states(ask_nothing([row], [0]))[0, 1 : 1 + len(text)].numpy()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("chunk", [4, 4096])
def test_a_vector_is_the_mean_over_letters_in_any_company(spoken: Runs, name: str, chunk: int):
    asked = Speaker(Run.open(spoken(name)))
    asked.chunk = chunk
    found = road.embed(asked, TEXTS).table
    half = 2 if name == "shared" else 1
    for text, vector in zip(TEXTS, found["vector"].to_numpy(), strict=True):
        assert np.allclose(vector, by_hand(asked, text).mean(0) / half, atol=1e-5)
        alone = road.embed(asked, [text]).table["vector"].to_numpy()[0]
        assert np.allclose(vector, alone, atol=1e-5)
    assert found["vector"].dtype == pl.Array(pl.Float32, 16)
    assert np.allclose(found["gc"], [(t.count("G") + t.count("C")) / len(t) for t in TEXTS])


@pytest.mark.parametrize("name", ["dna", "masked", "shared"])
def test_strands(spoken: Runs, name: str):
    asked = Speaker(Run.open(spoken(name)), None if name == "shared" else "both")
    first, second = (road.embed(asked, texts).table["vector"].to_numpy() for texts in (TEXTS, [*map(turned, TEXTS)]))
    assert np.allclose(first, second, atol=1e-5)
    if name != "shared":
        wanted = [(by_hand(asked, text).mean(0) + by_hand(asked, turned(text)).mean(0)) / 2 for text in TEXTS]
        assert np.allclose(first, wanted, atol=1e-5)
        one = road.embed(Speaker(Run.open(spoken(name))), TEXTS).table["vector"].to_numpy()
        assert not np.allclose(first, one, atol=1e-3)


@pytest.mark.parametrize("strands", [None, "both"])
def test_positions_are_written_as_they_come(spoken: Runs, tmp_path: Path, monkeypatch, strands: str | None):
    monkeypatch.setattr("seqsci.training.language.speaker.CHUNK", 6)
    answer = seqsci.embed(spoken("dna"), TEXTS, per="position", strands=strands, output=tmp_path / "out", quiet=True)
    asked, table = Speaker(Run.open(spoken("dna"))), answer.table
    assert table.columns == ["id", "position", "letter", "vector"]
    assert "".join(table["letter"]) == "".join(TEXTS)
    assert table["position"].to_list() == [i for text in TEXTS for i in range(1, len(text) + 1)]
    for text, (_, part) in zip(TEXTS, table.group_by("id", maintain_order=True), strict=True):
        wanted = by_hand(asked, text)
        if strands == "both":
            wanted = (wanted + by_hand(asked, turned(text))[::-1]) / 2
        assert np.allclose(part["vector"].to_numpy(), wanted, atol=1e-5)
    names = {path.name for path in answer.folder.iterdir()}
    assert names == {"embeddings.parquet", "summary.json", "report.html", "map.png", "components.png"}


def test_the_command_draws_a_map_coloured_by_a_label(spoken: Runs, tmp_path: Path, capsys):
    rng = np.random.default_rng(0)
    kinds = ["AAAT", "GCGC"]
    frame = pl.DataFrame({"sequence": [kinds[i % 2] * int(rng.integers(2, 6)) for i in range(30)]})
    frame = frame.with_columns(id=pl.Series([f"r{i}" for i in range(30)]), kind=pl.Series(["low", "high"] * 15))
    frame.write_csv(tmp_path / "d.csv")
    command = ["embed", str(spoken("dna")), "--data", str(tmp_path / "d.csv"), "--label", "kind"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--output", str(tmp_path / "out")])
    assert ended.value.code == 0 and "30 vectors of 16 numbers" in capsys.readouterr().out
    table = pl.read_csv(tmp_path / "out" / "embeddings.csv")
    assert table.columns[:4] == ["id", "label", "length", "gc"] and table.width == 4 + 16
    vectors = table.select(f"vector_{i}" for i in range(16)).to_numpy()
    means = [vectors[(table["label"] == kind).to_numpy()].mean(0) for kind in ("low", "high")]
    assert np.linalg.norm(means[0] - means[1]) > 0.1  # the two kinds stand apart
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/png") == 2


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--data", "nowhere.fa"], "neither a file nor a data set"),
        (["--data", "bad.fa"], "position 3"),
        (["--data", "drugs.smi"], "reads genomics"),
        (["--data", "w.fa", "--label", "kind"], "kind"),
        (["--data", "w.fa", "--per", "position", "--output", "x.csv"], ".parquet"),
        (["--data", "w.fa", "--per", "letter"], "record"),
        (["--data", "w.fa", "--output", "x.smi"], "name a folder"),
    ],
)
def test_refusals(spoken: Runs, tmp_path: Path, monkeypatch, capsys, flags: list[str], sentence: str):
    monkeypatch.chdir(tmp_path)
    Path("w.fa").write_text(">w\nACGT\n")
    Path("bad.fa").write_text(">b\nAC!T\n")
    Path("drugs.smi").write_text("CCO a\nc1ccccc1 b\n")
    before = sorted(spoken("dna").iterdir())
    with pytest.raises(SystemExit) as ended:
        main(["embed", str(spoken("dna")), *flags])
    assert ended.value.code == 2 and sentence in capsys.readouterr().err
    assert sorted(spoken("dna").iterdir()) == before
