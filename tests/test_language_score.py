"""Scores of a pretrained run: what they are by brute force, by streams, with a context, of variants."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import seqsci
from seqsci.cli import main
from seqsci.data.records import MASK, SEPARATOR, Records
from seqsci.data.rows import Row, ask_next, ask_nothing
from seqsci.errors import SeqsciError
from seqsci.metrics.ranks import spearman
from seqsci.runs import Run
from seqsci.training.language import hidden
from seqsci.training.language.context import read_context
from seqsci.training.language.hidden import windowed
from seqsci.training.language.likelihood import batches, begin, behind, token_logs
from seqsci.training.language.score import log_likelihoods, measured_numbers, require_numbers
from seqsci.training.language.score import score as score_records
from seqsci.training.language.speaker import Speaker
from seqsci.training.language.stream import most_rows
from seqsci.training.language.variants import score_variants

TEXTS = ["ACGTACGTAA", "TTTT", "GATTACA" * 3, "A", "CGCGCGCGCGCGCGCG"]
Runs = Callable[[str], Path]


def speaker(spoken: Runs, name: str = "dna", strands: str | None = None) -> Speaker:
    return Speaker(Run.open(spoken(name)), strands)


@torch.inference_mode()
def by_hand(asked: Speaker, row: Row) -> np.ndarray:
    """ln p of each token of a row but the first, by one pass over the whole."""
    batch = ask_next([row], [0])
    logs = asked.network(batch).double().log_softmax(-1)[0]
    return logs[torch.arange(len(row) - 1), batch.target[0]].numpy()


def test_continuations_have_probability_one(spoken: Runs):
    asked = speaker(spoken)
    symbols = range(len(asked.tokenizer.symbols))
    before = begin(asked, asked.tokenizer.encode("GAT")[None])
    rows = [behind(before, np.array(pair, np.uint8), ended=False) for pair in itertools.product(symbols, symbols)]
    total = sum(math.exp(logs.sum()) for logs in token_logs(asked, before, rows))
    assert math.isclose(total, 1, abs_tol=1e-5)


@pytest.mark.parametrize("name", ["dna", "transformer"])
@pytest.mark.parametrize("chunk", [3, 7, 4096])
def test_streams_equal_one_pass(spoken: Runs, name: str, chunk: int):
    asked = speaker(spoken, name)
    wanted = [by_hand(asked, Row.of(asked.tokenizer.encode(text))) for text in TEXTS]
    asked.chunk = chunk
    told = score_records(asked, TEXTS).table
    assert np.allclose(told["log_likelihood"], [logs.sum() for logs in wanted], atol=1e-4)
    assert told["tokens"].to_list() == [len(text) + 1 for text in TEXTS]
    assert np.allclose(told["nats_per_token"], -told["log_likelihood"] / told["tokens"])
    asked.streams = False
    assert np.allclose(score_records(asked, TEXTS).table["log_likelihood"], told["log_likelihood"], atol=1e-4)


def test_records_longer_than_any_row_are_scored_in_flat_memory(spoken: Runs):
    asked = speaker(spoken)
    rng = np.random.default_rng(0)
    long = ["".join(rng.choice(list("ACGT"), n)) for n in (20_000, 200_000)]
    (exact,) = score_records(asked, [long[0][:5000]]).table["log_likelihood"]
    wanted = by_hand(asked, Row.of(asked.tokenizer.encode(long[0][:5000]))).sum()
    assert math.isclose(exact, wanted, rel_tol=1e-5)
    score_records(asked, [long[0]])
    peaks = []
    for text in long:
        clear = Path("/proc/self/clear_refs")
        if not clear.exists():
            pytest.skip("the peak of the memory cannot be reset here")
        try:
            clear.write_text("5")
        except OSError:
            pytest.skip("the peak of the memory cannot be reset here")
        start = _memory("VmRSS")
        told = score_records(asked, [text])
        peaks.append(_memory("VmHWM") - start)
        assert any("longer than a row in training" in note for note in told.summary["notes"])
    assert peaks[1] - peaks[0] < 25, peaks


def _memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def test_batches_hold_every_row_once_and_keep_their_budget():
    lengths = np.random.default_rng(0).integers(1, 9000, 500)
    found = list(batches(lengths, 4096, 16384))
    assert sorted(np.concatenate(found)) == list(range(500))
    assert all(len(part) * min(lengths[part].max(), 4096) <= 16384 or len(part) == 1 for part in found)


@pytest.mark.parametrize("name", ["dna", "transformer"])
def test_a_context_is_as_if_read_together(spoken: Runs, name: str):
    asked = speaker(spoken, name)
    told = read_context(asked, ["ACCA", "GGT", "TATA"], 2, 5, None)
    chosen = [["ACCA", "GGT", "TATA"][i] for i in np.random.default_rng(5).permutation(3)[:2]]
    own = [asked.tokenizer.encode(text) for text in TEXTS]
    found = log_likelihoods(asked, told.before, own)
    for value, tokens in zip(found, own, strict=True):
        whole = Row.set([*(asked.tokenizer.encode(text) for text in chosen), tokens])
        assert int((whole.tokens == SEPARATOR).sum()) == 2
        assert math.isclose(value, by_hand(asked, whole)[-len(tokens) - 1 :].sum(), abs_tol=1e-4)
    again = log_likelihoods(asked, told.before, own)
    assert np.array_equal(found, again)  # the state that is reused has not changed
    asked.streams = False
    assert np.allclose(
        log_likelihoods(asked, begin(asked, [asked.tokenizer.encode(text) for text in chosen]), own), found, atol=1e-4
    )
    table = score_records(speaker(spoken, name), TEXTS, context=["ACCA", "GGT", "TATA"], context_size=2, seed=5)
    assert np.allclose(table.table["log_likelihood"], found, atol=1e-5)
    assert table.summary["context"]["records"] == 2


def test_both_strands_are_a_mean_of_probabilities(spoken: Runs):
    one, both = speaker(spoken), speaker(spoken, strands="both")
    turned = [text[::-1].translate(str.maketrans("ACGT", "TGCA")) for text in TEXTS]
    first, second = (score_records(one, texts).table["log_likelihood"].to_numpy() for texts in (TEXTS, turned))
    found = score_records(both, TEXTS).table["log_likelihood"].to_numpy()
    assert np.allclose(found, np.log((np.exp(first) + np.exp(second)) / 2), atol=1e-4)


@pytest.mark.parametrize("name", ["masked", "shared"])
def test_a_masked_model_hides_each_letter_in_turn(spoken: Runs, name: str):
    asked = speaker(spoken, name)
    told = score_records(asked, [*TEXTS, "ACGTTGCA" * 8])
    with torch.inference_mode():
        for text, value in zip(TEXTS, told.table["pseudo_log_likelihood"], strict=False):
            row, total = Row.of(asked.tokenizer.encode(text)), 0.0
            for place in range(1, len(text) + 1):
                shown = row.tokens.copy()
                shown[place] = MASK
                logs = asked.network(ask_nothing([Row(shown, row.positions)], [0])).log_softmax(-1)[0, place]
                assert math.isclose(float(logs.exp().sum()), 1, abs_tol=1e-5)
                total += float(logs[row.tokens[place]])
            assert math.isclose(value, total, abs_tol=1e-4)
    assert told.table["tokens"].to_list() == [*map(len, TEXTS), 64]
    assert any("a window of that length" in note for note in told.summary["notes"])


def test_windows_hold_their_letters():
    tokens = np.arange(11, 111, dtype=np.uint8)
    for places in ([0], [99], [50], [3, 12]):
        row, at = windowed(tokens, places, 22)
        assert len(row) <= 22 and [int(row.tokens[i]) for i in at] == [int(tokens[i]) for i in places]


WILD = "GATTACAGATTACAGGCC"


def vcf(tmp_path: Path) -> Path:
    path = tmp_path / "some.vcf"
    lines = [("1", "G", "A"), ("3", "TTA", "T"), ("5", "A", "ACC"), ("18", "C", "G,T"), ("17", "CC", "C")]
    path.write_text(
        "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n" + "".join(f"w\t{p}\t.\t{a}\t{b}\n" for p, a, b in lines)
    )
    return path


@pytest.mark.parametrize(("name", "strands"), [("dna", None), ("dna", "both"), ("transformer", None)])
def test_variants_are_ratios_of_whole_records(spoken: Runs, tmp_path: Path, name: str, strands: str | None):
    asked = speaker(spoken, name, strands)
    (tmp_path / "w.fa").write_text(f">w\n{WILD}\n")
    mutants = [
        "A" + WILD[1:],
        "GAT" + WILD[5:],
        WILD[:4] + "ACC" + WILD[5:],
        WILD[:-1] + "G",
        WILD[:-1] + "T",
        WILD[:-1],
    ]
    wild, *others = score_records(asked, [WILD, *mutants]).table["log_likelihood"]
    for chunk, streams in ((5, asked.streams), (4096, asked.streams), (4096, False)):
        asked.chunk, asked.streams = chunk, streams
        told = score_variants(asked, tmp_path / "w.fa", vcf(tmp_path))
        assert np.allclose(told.table["log_ratio"], np.array(others) - wild, atol=1e-4)
    assert told.table["positions"].to_list() == [[1], [3], [5], [18], [18], [17]]
    alike = told.table.filter(kind="substitution")
    assert told.table["kind"].to_list() == ["substitution", "deletion", "insertion", *["substitution"] * 2, "deletion"]
    first, second = told.summary["sentences"]
    assert (
        f"{(alike['log_ratio'] < 0).sum()} of 3 substitutions are" in first
        and "of 3 insertions and deletions" in second
    )
    assert [row[0] for row in told.summary["rows"]] == ["substitution"] * 3 + ["insertion or deletion"] * 3
    assert any("not with substitutions" in note for note in told.summary["notes"])


def test_substitutions_and_indels_are_compared_apart_with_what_was_measured(spoken: Runs, tmp_path: Path):
    frame = pl.DataFrame(
        {
            "CHROM": ["record 1"] * 8,
            "POS": [1, 2, 3, 4, 5, 3, 5, 9],
            "REF": ["G", "A", "T", "T", "A", "TTA", "A", "A"],
            "ALT": ["A", "C", "G", "C", "T", "T", "ACC", "ATT"],
            "fitness": [0.3, 0.1, 0.7, 0.2, None, 0.5, 0.9, 0.4],
        }
    )
    asked = seqsci.score(spoken("dna"), [WILD], variants=frame, measured="fitness", output=tmp_path / "o", quiet=True)
    found, told = asked.summary["measured"], asked.table
    for name, own in (
        ("substitutions", told.filter(kind="substitution")),
        ("insertions and deletions", told.filter(pl.col("kind") != "substitution")),
    ):
        own = own.drop_nulls("fitness")
        wanted = spearman(own["fitness"].to_numpy(), own["log_ratio"].to_numpy())
        assert found["apart"][name]["n"] == wanted["n"] == {"substitutions": 4}.get(name, 3)
        assert math.isclose(found["apart"][name]["value"], wanted["value"], abs_tol=1e-9)
        assert any(line.startswith(f"{name}: Spearman") for line in asked.summary["sentences"])
    assert found["n"] == 4 and (tmp_path / "o" / "measured.png").is_file()
    alone = seqsci.score(
        spoken("dna"), [WILD], variants=frame[:4], measured="fitness", output=tmp_path / "x.csv", quiet=True
    )
    assert "apart" not in alone.summary["measured"] and alone.summary["measured"]["n"] == 4


def test_a_window_reads_what_is_around_a_variant(spoken: Runs):
    asked = speaker(spoken)
    long = "ACGTTGCAAT" * 10
    told = score_variants(asked, [long], ["A51G", "T5C", "T100C:A99G"], window=10)
    parts = [(45, 55, {50: "G"}), (0, 10, {4: "C"}), (90, 100, {98: "G", 99: "C"})]
    for value, (start, stop, changes) in zip(told.table["log_ratio"], parts, strict=True):
        mutant = "".join(changes.get(place, letter) for place, letter in enumerate(long))
        rows = [Row.of(asked.tokenizer.encode(text[start:stop]), stop == 100) for text in (long, mutant)]
        wild, other = (by_hand(asked, row).sum() for row in rows)
        assert math.isclose(value, other - wild, abs_tol=1e-4)


def test_masked_marginals(spoken: Runs):
    asked = speaker(spoken, "masked")
    told = score_variants(asked, [WILD], ["G1A", "T3C:A5G", "T3A"])
    row = Row.of(asked.tokenizer.encode(WILD))
    for value, changes in zip(told.table["log_ratio"], ([(1, "G", "A")], [(3, "T", "C"), (5, "A", "G")]), strict=False):
        shown = row.tokens.copy()
        shown[[place for place, _, _ in changes]] = MASK
        with torch.inference_mode():
            logs = asked.network(ask_nothing([Row(shown, row.positions)], [0]))[0].log_softmax(-1)
        encode = asked.tokenizer.encode
        wanted = sum(float(logs[p, encode(b)[0]] - logs[p, encode(a)[0]]) for p, a, b in changes)
        assert math.isclose(value, wanted, abs_tol=1e-4)


def test_the_command_writes_a_report_with_the_map_and_the_correlation(spoken: Runs, tmp_path: Path, capsys):
    (tmp_path / "w.fa").write_text(f">w\n{WILD}\n")
    rows = [f"{a}{i}{b},{i + ord(b) / 100}" for i, a in enumerate(WILD, 1) for b in "ACGT" if a != b]
    (tmp_path / "v.csv").write_text("mutant,fitness\n" + "\n".join(rows))
    command = ["score", str(spoken("dna")), "--data", str(tmp_path / "w.fa"), "--variants", str(tmp_path / "v.csv")]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--measured", "fitness", "--output", str(tmp_path / "out")])
    assert ended.value.code == 0
    folder, said = tmp_path / "out", capsys.readouterr().out
    assert "Spearman" in said and "report.html" in said
    assert {path.name for path in folder.iterdir()} == {
        "scores.parquet", "scores.csv", "summary.json", "report.html", "scores.png", "effects.png", "measured.png",
    }  # fmt: skip
    table = pl.read_csv(folder / "scores.csv")
    assert table.columns == ["record", "name", "positions", "reference", "alternative", "kind", "log_ratio", "fitness"]
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png") == 3 and "Effects by place" in page
    summary = Run(folder).read_json("summary.json")
    wanted = spearman(table["fitness"].to_numpy(), table["log_ratio"].to_numpy(), seed=0)
    assert math.isclose(summary["measured"]["value"], wanted["value"], abs_tol=1e-6)


def test_from_python_and_into_one_file(spoken: Runs, tmp_path: Path):
    answer = seqsci.score(spoken("dna"), TEXTS, output=tmp_path / "t.csv", quiet=True)
    assert answer.folder is None and pl.read_csv(tmp_path / "t.csv")["tokens"].to_list() == [len(t) + 1 for t in TEXTS]
    frame = pl.DataFrame({"sequence": TEXTS, "id": list("abcde"), "activity": [1.0, 2.0, None, 4.0, 5.0]})
    first = seqsci.score(spoken("dna"), frame, measured="activity", quiet=True)
    second = seqsci.score(seqsci.open_run(spoken("dna")), frame, quiet=True)
    assert int(second.folder.name.split("-")[1]) == int(first.folder.name.split("-")[1]) + 1
    assert first.summary["measured"]["n"] == 4 and first.table["id"].to_list() == list("abcde")
    assert pl.read_parquet(first.file).equals(first.table)
    assert "lengths.png" in {path.name for path in first.folder.iterdir()}
    predicted = seqsci.open_run(spoken("dna")).predict(frame)
    assert predicted["log_likelihood"].to_list() == second.table["log_likelihood"].to_list()


def test_spearman_by_hand():
    found = spearman(np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4]))
    assert math.isclose(found["value"], 0.8) and math.isnan(found["low"]) and math.isnan(found["high"])
    more = spearman(np.arange(12.0), np.append(np.arange(1, 12.0), 0))
    assert math.isclose(more["value"], 1 - 6 * (11 + 121) / (12 * 143)) and more["low"] <= more["value"] <= more["high"]
    assert math.isnan(spearman(np.ones(5), np.arange(5.0))["value"])
    assert spearman(np.array([1.0, np.nan]), np.array([1.0, 2]))["n"] == 1


def test_blanks_and_na_are_unknown_measurements() -> None:
    frame = pl.DataFrame({"activity": ["1.5", " NA ", "", "nan", None, "2", "-1e3"], "note": ["1", "x"] + [None] * 5})
    require_numbers(frame, "activity")
    numbers = measured_numbers(Records(frame=frame), "activity")
    assert numbers is not None and numbers.to_list() == [1.5, None, None, None, None, 2.0, -1000.0]
    with pytest.raises(SeqsciError, match="column 'note' holds no numbers but such as 'x'; name another"):
        require_numbers(frame, "note")
    with pytest.raises(SeqsciError, match="holds no numbers; name another"):
        require_numbers(frame.select(activity=pl.lit("NA")), "activity")


@pytest.mark.parametrize(
    ("name", "flags", "sentence"),
    [
        ("dna", ["--data", "nowhere.fa"], "neither a file nor a data set"),
        ("dna", ["--data", "bad.fa"], "position 3"),
        ("dna", ["--data", "demo-molecules"], "reads genomics"),
        ("dna", ["--data", "drugs.smi"], "reads genomics"),
        ("dna", ["--data", "w.fa", "--variants", "wrong.txt"], "at position 1 of record w stands G"),
        ("dna", ["--data", "w.fa", "--window", "5"], "window"),
        ("dna", ["--data", "w.fa", "--context-size", "5"], "there is no context"),
        ("dna", ["--data", "w.fa", "--context", "w.fa", "--context-size", "5"], "take 1 to 1"),
        ("dna", ["--data", "w.fa", "--context", "w.fa", "--context-size", "0"], "take 1 to 1"),
        ("dna", ["--data", "w.fa", "--measured", "length"], "length"),
        ("dna", ["--data", "m.csv", "--measured", "colour"], "holds no numbers"),
        ("dna", ["--data", "w.fa", "--variants", "right.txt", "--measured", "fitness"], "no column 'fitness'"),
        ("dna", ["--data", "w.fa", "--output", "w.fa"], "name a folder"),
        ("dna", ["--data", "w.fa", "--output", "x.txt"], "name a folder"),
        ("dna", ["--data", "w.fa", "--output", "full"], "not empty"),
        ("masked", ["--data", "w.fa", "--context", "w.fa"], "masked"),
        ("masked", ["--data", "w.fa", "--variants", "indel.vcf"], "inserts, deletes"),
        ("shared", ["--data", "w.fa", "--strands", "one"], "both strands"),
        ("molecules", ["--strands", "both"], "no other strand"),
        ("molecules", ["--variants", "wrong.txt"], "SMILES"),
    ],
)
def test_refusals(spoken: Runs, tmp_path: Path, monkeypatch, capsys, name: str, flags: list[str], sentence: str):
    monkeypatch.chdir(tmp_path)
    Path("w.fa").write_text(f">w\n{WILD}\n")
    Path("bad.fa").write_text(">b\nAC!T\n")
    Path("drugs.smi").write_text("CCO a\nc1ccccc1 b\n")
    Path("wrong.txt").write_text("A1G\n")
    Path("right.txt").write_text("G1A\n")
    Path("m.csv").write_text("id,sequence,colour\na,ACGT,red\nb,ACGTT,blue\n")
    Path("indel.vcf").write_text("#CHROM\tPOS\tID\tREF\tALT\nw\t3\t.\tTT\tT\n")
    Path("full").mkdir()
    Path("full/x").touch()
    with pytest.raises(SystemExit) as ended:
        main(["score", str(spoken(name)), *flags])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and sentence in said and "Traceback" not in said


def test_what_is_no_finished_run_of_pretrain_is_refused(spoken: Runs, tmp_path: Path, capsys):
    (tmp_path / "begun").mkdir()
    recipe = (spoken("dna") / "recipe.yaml").read_text()
    (tmp_path / "begun" / "recipe.yaml").write_text(recipe)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "recipe.yaml").write_text(
        "task: forecast\ndata: {name: demo-electricity}\nmodel: {name: informer}\n"
    )
    for folder, sentence in (("begun", "resume"), ("other", "pretrain"), ("nothing", "not a run folder")):
        for verb in ("score", "embed", "generate"):
            with pytest.raises(SystemExit) as ended:
                main([verb, str(tmp_path / folder)])
            assert ended.value.code == 2 and sentence in capsys.readouterr().err


def test_long_work_is_told_and_refused(spoken: Runs, monkeypatch):
    asked, told = speaker(spoken, "masked"), []
    clock = itertools.count(0, 100.0)
    monkeypatch.setattr(hidden.time, "monotonic", lambda: next(clock))
    score_records(asked, TEXTS, tell=told.append)
    assert any("hiding each letter" in note for note in told)
    monkeypatch.setattr(hidden, "TOO_LONG", 50.0)
    with pytest.raises(seqsci.SeqsciError, match="fewer or shorter"):
        score_records(asked, TEXTS)


def test_a_context_beyond_the_memory_is_refused(spoken: Runs, monkeypatch):
    from seqsci.training.language import stream

    monkeypatch.setattr(stream, "_free", lambda device: 100_000)
    assert most_rows(speaker(spoken), 10**9, 64) == 64  # a state that does not grow
    with pytest.raises(seqsci.SeqsciError, match="smaller context"):
        read_context(speaker(spoken, "transformer"), ["ACGT" * 1000], None, 0, None)
