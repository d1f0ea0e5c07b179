"""Gaps of proteins: read as training lays them out, filled as the model says, refused where a model knows none."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import seqsci
from seqsci.cli import main
from seqsci.data.records import FILL, SPAN, SPECIALS
from seqsci.data.rows import Row, ask_next
from seqsci.domains.proteins.gaps import Gapped, read_gaps
from seqsci.domains.proteins.homologs import _moved
from seqsci.domains.proteins.letters import RESIDUES, TOKENIZER
from seqsci.errors import SeqsciError
from seqsci.runs import Run
from seqsci.training.language.fill import candidates, fill
from seqsci.training.language.likelihood import begin
from seqsci.training.language.sampling import Sampling
from seqsci.training.language.speaker import Speaker

Runs = Callable[[str], Path]
PROTEIN = "MKVLA[3]GIVGDS[2-4]FEEKLRD"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    texts = ["".join(rng.choice(list(RESIDUES), rng.integers(12, 30))) for _ in range(80)]
    settings = {
        "model.width": 16, "model.heads": 2, "model.layers": 2, "model.rotary": 10000.0, "data.context": 48,
        "data.split": "record", "train.epochs": 2, "train.batch": 16, "train.lr": 1e-2, "evaluate.baselines": [],
        "evaluate.resamples": 10,
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("fim")
    return seqsci.pretrain(
        texts, domain="proteins", objective="fim", settings=settings, runs=folder, quiet=True
    ).folder  # fmt: skip


def speaker(run: Path) -> Speaker:
    return Speaker(Run.open(run))


@st.composite
def gapped(draw: st.DrawFn) -> tuple[Gapped, list[int], list[str]]:
    gaps = draw(st.integers(1, 5))
    letters = st.text(RESIDUES, min_size=1, max_size=6)
    pieces = [draw(letters) for _ in range(gaps + 1)]
    if draw(st.booleans()):
        pieces[0] = ""
    lengths = [draw(st.integers(1, 5)) for _ in range(gaps)]
    fillings = [draw(st.text(RESIDUES, min_size=length, max_size=length)) for length in lengths]
    text = "".join(f"{piece}[{length}]" for piece, length in zip(pieces, lengths, strict=False)) + pieces[-1]
    return read_gaps(text), lengths, fillings


@given(gapped())
def test_gaps_are_laid_out_as_in_training(drawn: tuple[Gapped, list[int], list[str]]):
    found, lengths, fillings = drawn
    tokens, places = found.asked(lengths)
    wanted, positions = _moved(TOKENIZER.encode(found.whole(fillings)), found.spans(lengths))
    head = int(np.argmax(wanted == FILL)) + 1
    assert tokens.tolist() == wanted[:head].tolist() and places.tolist() == positions[:head].tolist()
    assert TOKENIZER.decode(wanted[head:]) == "".join(f"<span-{i}>{text}" for i, text in enumerate(fillings, 1))


def test_forms_of_gaps():
    assert read_gaps(" mkv[12]\nGLA ").pieces == ("MKV", "GLA")
    assert read_gaps("MKV[8-12]GLA[]").ranges == ((8, 12), (1, 1)) and read_gaps("A" * 50 + "[]").ranges == ((1, 10),)
    assert read_gaps("[2]MKV").spans([2]) == [(0, 2)]


@torch.inference_mode()
def by_hand(asked: Speaker, before: Row, gaps: Gapped, fillings: tuple[str, ...]) -> float:
    """ln p of all behind the first <span-1> that stands behind <fill>, by one pass over the whole row."""
    lengths = [len(text) for text in fillings]
    tokens, places = _moved(asked.tokenizer.encode(gaps.whole(fillings)), gaps.spans(lengths))
    one = Row.join([(tokens, places + 1)])
    row = Row(
        np.concatenate([before.tokens, one.tokens[1:]]),
        np.concatenate([before.positions, one.positions[1:]]),
    )
    batch = ask_next([row], [0])
    logs = asked.network(batch).double().log_softmax(-1)[0, torch.arange(len(row) - 1), batch.target[0]]
    return float(logs[int(np.argmax(row.tokens == FILL)) + 1 :].sum())


@pytest.mark.parametrize("context", [[], ["MKVLAGGA", "WWCC"]])
def test_a_likelihood_is_that_of_the_row_of_training(run: Path, context: list[str]):
    asked, gaps = speaker(run), read_gaps(PROTEIN)
    before = begin(asked, [asked.tokenizer.encode(text) for text in context])
    found = candidates(asked, before, gaps, 12, Sampling(), seed=2)
    wanted = [by_hand(asked, before.row, gaps, one.fillings) for one in found]
    assert np.allclose([one.nats for one in found], wanted, atol=1e-4)
    assert {len(one.fillings[1]) for one in found} == {2, 3, 4} and {len(one.fillings[0]) for one in found} == {3}
    for rows in (1, 5):
        assert [o.fillings for o in candidates(asked, before, gaps, 12, Sampling(), seed=2, rows=rows)] == [
            one.fillings for one in found
        ]
    assert candidates(asked, before, gaps, 3, Sampling(), seed=2) != found[3:6]
    asked.streams = False
    anew = candidates(asked, begin(asked, [asked.tokenizer.encode(x) for x in context]), gaps, 12, Sampling(), seed=2)
    assert [one.fillings for one in anew] == [one.fillings for one in found]


def test_residues_come_as_often_as_the_model_says(run: Path):
    asked, gaps = speaker(run), read_gaps("MKVLA[1]GIVGDSFEE")
    found = [one.fillings[0] for one in candidates(asked, begin(asked), gaps, 1500, Sampling(), seed=0)]
    before = begin(asked).row
    tokens, places = gaps.asked([1])
    row = Row(
        np.concatenate([before.tokens, tokens, [SPAN]]).astype(np.uint8),
        np.concatenate([before.positions, places + 1, [6]]),
    )
    with torch.inference_mode():
        batch = ask_next([Row(np.append(row.tokens, 0).astype(np.uint8), np.append(row.positions, 0))], [0])
        shares = asked.network(batch)[0, -1].double().softmax(-1)[len(SPECIALS) :].numpy()
    counts = np.array([found.count(letter) for letter in asked.tokenizer.symbols[len(SPECIALS) :]]) / len(found)
    assert abs(counts - shares / shares.sum()).max() < 0.035


def test_greedy_makes_one_of_each_length(run: Path):
    told = fill(speaker(run), PROTEIN, count=40, temperature=0)
    assert len(told.table) == 3 and any("temperature 0" in note for note in told.summary["notes"])
    assert told.table["gap_2"].str.len_chars().sort().to_list() == [2, 3, 4]


def test_from_the_command_line_and_python(run: Path, tmp_path: Path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["generate", str(run), "--fill", PROTEIN, "--count", "30", "--output", str(tmp_path / "o")])
    assert ended.value.code == 0 and "30 candidates for 2 gaps" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "o").iterdir()}
    assert {"filled.parquet", "filled.csv", "filled.fasta", "summary.json", "report.html", "places.png"} <= names
    table = pl.read_parquet(tmp_path / "o" / "filled.parquet")
    assert table.columns == ["id", "sequence", "gap_1", "gap_2", "tokens", "log_likelihood", "nats_per_token"]
    for row in table.iter_rows(named=True):
        assert row["sequence"] == f"MKVLA{row['gap_1']}GIVGDS{row['gap_2']}FEEKLRD"
    assert PROTEIN in (tmp_path / "o" / "report.html").read_text()
    assert json.loads((tmp_path / "o" / "summary.json").read_text())["asked"]["gaps"] == [[3, 3], [2, 4]]
    again = seqsci.generate(run, fill=PROTEIN, count=5, output=tmp_path / "x.fasta", quiet=True)
    assert again.table["sequence"].to_list() == table["sequence"].to_list()[:5]
    assert (tmp_path / "x.fasta").read_text().startswith(">filled-1\nMKVLA")


def test_what_is_unlike_training_is_told(run: Path):
    told = fill(speaker(run), "MKV[30]GLAGLAGLAGLAGLAGLA", count=2)
    assert any("in training none was more than" in note for note in told.summary["notes"])
    assert any("more than a row in training" in note for note in told.summary["notes"])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("MKVGLA", "there is no gap"),
        ("MKV[3GLA", "a bracket stands alone"),
        ("MKV3]GLA", "a bracket stands alone"),
        ("MKV[x]GLA", "'\\[x\\]' is no gap"),
        ("MKV[0]GLA", "give 1 or more"),
        ("MKV[5-2]GLA", "the smaller one first"),
        ("MKV[2][3]GLA", "side by side"),
        ("[4]", "no residue is given"),
        ("A[1]" * 6, "6 gaps"),
        ("MKV[2]G!A", "behind gap 1, position 2: '!'"),
    ],
)
def test_what_is_no_gap_is_refused(text: str, sentence: str):
    with pytest.raises(SeqsciError, match=sentence):
        read_gaps(text)


def test_a_model_that_knows_no_gaps_is_refused(spoken: Runs, run: Path, capsys):
    for folder, flags, sentence in (
        (spoken("dna"), [], "--objective fim"),
        (spoken("masked"), [], "train.objective masked"),
        (run, ["--prompt", "MK"], "leave prompt and longest out"),
        (run, ["--count", "0"], "at least one candidate"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["generate", str(folder), "--fill", "MKV[3]GLA", *flags])
        assert ended.value.code == 2 and sentence in " ".join(capsys.readouterr().err.split())
