"""Generated sequences: drawn as the model says, the same for a seed whatever the batch, judged and drawn."""

import itertools
import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from scipy.stats import chisquare

import seqsci
from seqsci.cli import main
from seqsci.data.records import END, SPECIALS
from seqsci.data.rows import Row, ask_nothing
from seqsci.errors import SeqsciError
from seqsci.runs import Run
from seqsci.training.language.generate import generate
from seqsci.training.language.likelihood import begin
from seqsci.training.language.sampling import Sampling, sample
from seqsci.training.language.score import score
from seqsci.training.language.speaker import Speaker
from seqsci.training.language.stream import weight

Runs = Callable[[str], Path]


def speaker(spoken: Runs, name: str = "dna") -> Speaker:
    return Speaker(Run.open(spoken(name)))


@torch.inference_mode()
def following(asked: Speaker, text: str) -> np.ndarray:
    """(V,) probability of what follows a text, other special tokens than <end> left out."""
    row = Row.of(asked.tokenizer.encode(text), ended=False)
    shares = asked.network(ask_nothing([row], [0]))[0, -1].double().softmax(-1).numpy()
    shares[[code for code in range(len(SPECIALS)) if code != END]] = 0
    return shares / shares.sum()


def firsts(asked: Speaker, prompt: str, rows: int, **how: float) -> np.ndarray:
    """(V,) how often each token came behind a prompt."""
    tokens = asked.tokenizer.encode(prompt)
    drawn = sample(asked, begin(asked), rows, Sampling(**how), longest=len(prompt) + 1, prompt=tokens, seed=4)
    counts = np.zeros(len(asked.tokenizer.symbols))
    for one in drawn:
        counts[one.tokens[-1] if len(one.tokens) > len(prompt) else END] += 1
    return counts


@pytest.mark.parametrize("prompt", ["", "GATTA"])
def test_tokens_come_as_often_as_the_model_says(spoken: Runs, prompt: str):
    asked = speaker(spoken)
    wanted, counts = following(asked, prompt), firsts(asked, prompt, 4000)
    some = wanted > 0
    assert counts[~some].sum() == 0
    rare = some & (wanted * 4000 < 5)
    common = some & ~rare
    found = np.append(counts[common], counts[rare].sum())
    ideal = np.append(wanted[common], max(wanted[rare].sum(), 1e-12)) * 4000
    keep = ideal > 1
    assert chisquare(found[keep], ideal[keep] * found[keep].sum() / ideal[keep].sum()).pvalue > 1e-3
    cool = wanted**2 / (wanted**2).sum()
    assert abs(firsts(asked, prompt, 2000, temperature=0.5) / 2000 - cool).max() < 0.05


def test_top_k_and_top_p_leave_the_others_out(spoken: Runs):
    asked = speaker(spoken)
    wanted = following(asked, "GAT")
    order = np.argsort(-wanted)
    assert set(np.flatnonzero(firsts(asked, "GAT", 600, top_k=2))) == set(order[:2])
    share = float(wanted[order[:2]].sum()) - 1e-6  # the two likeliest are just enough
    assert set(np.flatnonzero(firsts(asked, "GAT", 600, top_p=share))) == set(order[:2])
    assert set(np.flatnonzero(firsts(asked, "GAT", 50, top_p=1e-9))) == {order[0]}
    assert set(np.flatnonzero(firsts(asked, "GAT", 50, temperature=0))) == {order[0]}


def test_shares_by_brute_force():
    logits = torch.tensor([[2.0, 1.0, 0.0, -torch.inf], [0.0, 0.0, 0.0, 0.0]])
    for temperature, k, p in itertools.product((0.5, 1.0, 3.0), (0, 1, 2, 9), (0.3, 0.75, 1.0)):
        found = Sampling(temperature=temperature, top_k=k, top_p=p).shares(logits).numpy()
        for row, own in zip(logits.double().numpy(), found, strict=True):
            shares = np.exp(row / temperature) / np.exp(row / temperature).sum()
            order = sorted(range(4), key=lambda i: -shares[i])[: k or 4]
            total = shares[order].sum()
            kept, sums = [], 0.0
            for i in order:
                if sums < p:
                    kept.append(i)
                sums += shares[i] / total
            wanted = np.array([shares[i] if i in kept else 0 for i in range(4)])
            assert np.allclose(own, wanted / wanted.sum())
    assert Sampling(temperature=1e-300).shares(logits)[0, 0] == 1  # a tiny temperature does not overflow


@pytest.mark.parametrize("name", ["dna", "transformer"])
def test_a_seed_repeats_whatever_is_drawn_at_once(spoken: Runs, name: str):
    asked = speaker(spoken, name)
    drawn = [sample(asked, begin(asked), 40, Sampling(), longest=30, seed=1, rows=rows) for rows in (256, 7, 1)]
    texts = [[asked.tokenizer.decode(one.tokens) for one in some] for some in drawn]
    assert texts[0] == texts[1] == texts[2]
    fewer = sample(asked, begin(asked), 5, Sampling(), longest=30, seed=1)
    assert [asked.tokenizer.decode(one.tokens) for one in fewer] == texts[0][:5]
    other = sample(asked, begin(asked), 40, Sampling(), longest=30, seed=2)
    assert [asked.tokenizer.decode(one.tokens) for one in other] != texts[0]
    asked.streams = False
    anew = sample(asked, begin(asked), 40, Sampling(), longest=30, seed=1)
    assert [asked.tokenizer.decode(one.tokens) for one in anew] == texts[0]
    assert np.allclose([one.nats for one in anew], [one.nats for one in drawn[0]], atol=1e-4)


@pytest.mark.parametrize("prompt", [None, "GA"])
def test_a_likelihood_is_that_of_the_score(spoken: Runs, prompt: str | None):
    asked = speaker(spoken)
    told = generate(asked, count=60, seed=3, prompt=prompt, longest=60, temperature=0.8)
    table = told.table.filter("ended")
    assert len(table) > 10 and table["sequence"].str.starts_with(prompt or "").all()
    assert not told.table["sequence"].str.contains("<").any()
    table = table.filter(pl.col("sequence") != "")
    scored = score(asked, table["sequence"].to_list()).table
    assert np.allclose(scored["log_likelihood"], table["log_likelihood"], atol=1e-3)
    assert np.allclose(scored["nats_per_token"], table["nats_per_token"], atol=1e-4)
    cut = told.table.filter(~pl.col("ended"))
    assert cut["tokens"].to_list() == [60] * len(cut)


def test_the_state_does_not_grow(spoken: Runs):
    asked = speaker(spoken)
    with torch.inference_mode():
        state = asked.network.initial_state(3)
        sizes = set()
        for place in range(5):
            token = torch.full((3, 1), 12)
            _, state = asked.network.advance(token, torch.full_like(token, place), state)
            sizes.add(weight(state))
    assert len(sizes) == 1


def test_a_context_is_read_before(spoken: Runs):
    asked = speaker(spoken)
    context = ["GGGG", "CCCC"]
    told = generate(asked, count=20, seed=3, context=context, longest=20)
    plain = generate(asked, count=20, seed=3, longest=20)
    ended = told.table.filter(pl.col("ended") & (pl.col("sequence") != ""))
    scored = score(asked, ended["sequence"].to_list(), context=context, seed=3).table
    assert np.allclose(scored["log_likelihood"], ended["log_likelihood"], atol=1e-3)
    assert told.table["log_likelihood"].to_list() != plain.table["log_likelihood"].to_list()
    assert told.summary["context"]["records"] == 2 and any("data.sets" in note for note in told.summary["notes"])


def test_molecules_are_judged_and_drawn(spoken: Runs, tmp_path: Path, capsys):
    run = spoken("molecules")
    command = ["generate", str(run), "--count", "60", "--prompt", "CCO", "--top-k", "5"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--output", str(tmp_path / "o")])
    said = capsys.readouterr().out
    assert ended.value.code == 0 and "validity" in said and "novelty" in said
    names = {path.name for path in (tmp_path / "o").iterdir()}
    assert {
        "generated.parquet",
        "generated.csv",
        "generated.smi",
        "summary.json",
        "report.html",
        "lengths.png",
    } <= names
    table = pl.read_parquet(tmp_path / "o" / "generated.parquet")
    summary = json.loads((tmp_path / "o" / "summary.json").read_text())
    assert table["valid"].mean() == pytest.approx(summary["assessed"]["validity"]["value"])
    assert len((tmp_path / "o" / "generated.smi").read_text().splitlines()) == table["valid"].sum()
    assert table.filter(pl.col("valid") != pl.col("novel").is_not_null()).is_empty()
    assert len(summary["beside"]["lengths"]["training"]) == 120
    assert "simulated data" in (tmp_path / "o" / "report.html").read_text()
    best = summary["beside"].get("best", [])
    assert ("molecules.png" in names) == bool(best)
    assert [one["nats_per_token"] for one in best] == sorted(one["nats_per_token"] for one in best)


def test_the_likeliest_new_molecules(spoken: Runs):
    from seqsci.training.language.beside import beside

    asked = speaker(spoken, "molecules")
    known = asked.training_texts()[0]
    texts = ["C1CC", "CCCCCCCC(=O)N", "C(CCCCCCC)(=O)N", known, "CCCCCCCCCCCCCCCN"]
    table = pl.DataFrame({"id": list("abcde"), "sequence": texts, "nats_per_token": [0.1, 0.3, 0.2, 0.1, 0.9]})
    found = beside(asked, table, 0)
    assert found.columns["valid"].to_list() == [False, True, True, True, True]
    assert found.columns["novel"].to_list() == [None, True, True, False, True]
    best = found.facts["best"]
    assert found.pictures["molecules"].startswith(b"\x89PNG") and [one["id"] for one in best] == ["c", "e"]
    assert len(found.facts["qed"]["generated"]) == 3
    assert any(row[0] == "validity" and row[1] == "0.800" for row in found.rows)


def test_dna_from_python_beside_the_training_data(spoken: Runs, tmp_path: Path):
    answer = seqsci.generate(spoken("dna"), count=50, seed=1, output=tmp_path / "o", quiet=True)
    names = {path.name for path in answer.folder.iterdir()}
    assert {"generated.fasta", "gc.png", "words.png", "lengths.png", "likelihood.png", "report.html"} <= names
    spectra = answer.summary["beside"]["words"]
    assert math.isclose(sum(spectra["generated"]), 1) and math.isclose(sum(spectra["training"]), 1)
    texts = Speaker(Run.open(spoken("dna"))).training_texts()
    assert math.isclose(
        spectra["training"][0], sum(_words(t).count("AAA") for t in texts) / sum(map(len, map(_words, texts)))
    )
    fasta = (answer.folder / "generated.fasta").read_text()
    assert fasta.count(">") == int((answer.table["sequence"] != "").sum())
    only = seqsci.generate(spoken("dna"), count=5, seed=1, output=tmp_path / "x.fasta", quiet=True)
    assert only.folder is None and (tmp_path / "x.fasta").is_file()
    assert only.table["sequence"].to_list() == answer.table["sequence"].to_list()[:5]


def _words(text: str) -> list[str]:
    return [text[i : i + 3] for i in range(len(text) - 2)]


def test_greedy_makes_one_sequence(spoken: Runs):
    told = generate(speaker(spoken), count=10, temperature=0, longest=12)
    assert len(told.table) == 1 and any("temperature 0" in note for note in told.summary["notes"])


def test_without_its_data_a_run_still_writes(spoken: Runs, monkeypatch):
    asked, heard = speaker(spoken), []

    def gone() -> list[str]:
        raise SeqsciError("data: gone")

    monkeypatch.setattr(asked, "training_texts", gone)
    told = generate(asked, count=3, longest=10, tell=heard.append)
    assert len(told.table) == 3 and any("gone" in note for note in heard)


@pytest.mark.parametrize(
    ("name", "flags", "sentence"),
    [
        ("dna", ["--count", "0"], "count"),
        ("dna", ["--temperature", "-1"], "temperature"),
        ("dna", ["--temperature", "nan"], "temperature"),
        ("dna", ["--top-k", "-1"], "top-k"),
        ("dna", ["--top-p", "0"], "top-p"),
        ("dna", ["--top-p", "1.1"], "top-p"),
        ("dna", ["--longest", "0"], "longest"),
        ("dna", ["--prompt", "AC!"], "prompt, position 3"),
        ("dna", ["--prompt", "ACGT" * 20], "no room"),
        ("dna", ["--context-size", "3"], "there is no context"),
        ("dna", ["--output", "x.smi"], "name a folder"),
        ("molecules", ["--output", "x.fasta"], "name a folder"),
        ("masked", [], "masked"),
        ("molecules", ["--prompt", "CCQ"], "position 3"),
    ],
)
def test_refusals(spoken: Runs, tmp_path: Path, monkeypatch, capsys, name: str, flags: list[str], sentence: str):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["generate", str(spoken(name)), *flags])
    assert ended.value.code == 2 and sentence in capsys.readouterr().err


def test_imported_weights_have_no_data(spoken: Runs, tmp_path: Path):
    folder = tmp_path / "imported"
    shutil.copytree(spoken("dna"), folder, ignore=shutil.ignore_patterns("generate-*", "score-*", "embed-*"))
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["data"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    recipe = (folder / "recipe.yaml").read_text()
    (folder / "recipe.yaml").write_text(re.sub(r"(?m)^  name: .*data\.parquet$", f"  name: {tmp_path}", recipe))
    answer = seqsci.generate(folder, count=3, longest=10, quiet=True)
    assert len(answer.table) == 3 and answer.report.is_file()
    assert any("not compared" in note for note in answer.summary["notes"])
