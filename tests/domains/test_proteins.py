"""Proteins after reading: splits, sets of homologs, scores, features, assessment and the simulated set."""

import json
from collections import Counter

import numpy as np
import polars as pl
import pytest
from Bio.Align import PairwiseAligner
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsci.data.records import BEGIN, FILL, SPAN, SPECIALS, Records
from seqsci.domains import proteins
from seqsci.domains.proteins import neighbours
from seqsci.domains.proteins.alignment import aligned
from seqsci.domains.proteins.assess import nearest_identity
from seqsci.domains.proteins.homologs import fill_in_the_middle, filled, weights
from seqsci.domains.proteins.letters import RESIDUES
from seqsci.domains.proteins.neighbours import clusters
from seqsci.domains.proteins.pssm import BACKGROUND
from seqsci.errors import SeqsciError

SHARES = (0.7, 0.15, 0.15)


def random_text(rng: np.random.Generator, length: int) -> str:
    return "".join(rng.choice(list(RESIDUES), length))


def mutated(text: str, share: float, rng: np.random.Generator) -> str:
    return "".join(rng.choice(list(RESIDUES)) if rng.random() < share else letter for letter in text)


def records(texts: list[str], **columns: list[object]) -> Records:
    ids = [str(i) for i in range(len(texts))]
    return Records(frame=pl.DataFrame({"id": ids, "sequence": texts, **columns}))


@pytest.fixture(scope="module")
def demo() -> Records:
    return proteins.load("demo-proteins")[0]


# --- splits


def test_relatives_are_found_and_strangers_are_not() -> None:
    rng = np.random.default_rng(0)
    ancestors = [random_text(rng, 200) for _ in range(60)]
    texts = [mutated(one, share, rng) for one in ancestors for share in (0.0, 0.2, 0.3)]
    names, exact = clusters(texts)
    assert exact and names.tolist() == [i // 3 for i in range(180)]
    assert clusters(["MKV", "MKV", "MKA", "W" * 50, "W" * 50])[0].tolist() == [0, 0, 1, 2, 2]


def test_chains_are_followed() -> None:
    rng = np.random.default_rng(1)
    first = random_text(rng, 300)
    # The two ends have nothing in common but what each shares with the middle.
    texts = [first[:150] + random_text(rng, 150), first, random_text(rng, 150) + first[150:]]
    assert clusters(texts)[0].tolist() == [0, 0, 0] and clusters([texts[0], texts[2]])[0].tolist() == [0, 1]


def test_many_copies_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    wild = [random_text(rng, 150) for _ in range(5)]
    texts = [one[:i] + "A" + one[i + 1 :] for one in wild for i in range(100)]
    whole = clusters(texts)
    monkeypatch.setattr(neighbours, "BUDGET", 0)
    short = clusters(texts)
    assert whole[1] and not short[1] and whole[0].tolist() == short[0].tolist() == [i // 100 for i in range(500)]


def test_no_relatives_on_two_sides(demo: Records) -> None:
    parts = proteins.split(demo, "auto", SHARES, 0).frame
    assert parts["record"].to_list() == list(range(len(demo))) and parts["stop"].to_list() == demo.lengths.tolist()
    names, _ = clusters(demo.frame["sequence"].to_list())
    assert parts.with_columns(k=pl.Series(names)).group_by("k").agg(pl.col("split").n_unique())["split"].max() == 1
    counts = Counter(parts["split"])
    for name, share in zip(("train", "val", "test"), SHARES, strict=True):
        assert abs(counts[name] / len(demo) - share) < 0.05
    # Nearly every family trains, and most are in the test: the class can be told from relatives.
    with_family = parts.with_columns(demo.frame["family"])
    assert with_family.filter(pl.col("split") == "train")["family"].n_unique() > 35
    assert with_family.filter(pl.col("split") == "test")["family"].n_unique() > 20
    again = proteins.split(demo, "identity", SHARES, 0).frame
    assert again.equals(parts) and not proteins.split(demo, "auto", SHARES, 1).frame.equals(parts)


def test_splits_by_group_and_record(demo: Records) -> None:
    parts = proteins.split(demo, "group", SHARES, 0).frame.with_columns(demo.frame["group"])
    assert parts.group_by("group").agg(pl.col("split").n_unique())["split"].max() == 1
    assert parts.group_by("split").agg(pl.col("group").n_unique()).sort("split")["group"].to_list() == [6, 28, 6]
    by_record = proteins.split(demo, "record", SHARES, 0)
    shares = (
        by_record.frame.with_columns(demo.frame["family"]).group_by("family").agg((pl.col("split") == "train").mean())
    )
    assert shares["split"].is_between(0.65, 0.75).all() and "flatters" in by_record.notes[0]
    three = records(["MKV", "MKA", "WWW"], group=["a", "b", "c"])
    assert sorted(proteins.split(three, "group", SHARES, 0).frame["split"]) == ["test", "train", "val"]


def test_own_split_wins_and_lacks_are_told() -> None:
    rng = np.random.default_rng(0)
    texts = [random_text(rng, 50) for _ in range(40)]
    own = ["train"] * 20 + ["val"] * 10 + ["test"] * 10
    assert proteins.split(records(texts, split=own), "auto", SHARES, 0).frame["split"].to_list() == own
    without = ["train"] * 30 + ["test"] * 10
    parts = proteins.split(records(texts, split=without), "auto", SHARES, 0)
    assert Counter(parts.frame["split"]) == {"train": 25, "val": 5, "test": 10} and "val is 5 records" in parts.notes[1]
    assert parts.frame["split"][30:].to_list() == ["test"] * 10
    with pytest.raises(SeqsciError, match="own split has no test"):
        proteins.split(records(texts, split=["train"] * 40), "auto", SHARES, 0)


def changed(wild: str, *places: tuple[int, str]) -> str:
    letters = list(wild)
    for place, letter in places:
        letters[place] = letter
    return "".join(letters)


def scan(length: int = 60, doubles: int = 0) -> tuple[str, list[str]]:
    """A wild type without A and V, itself, all its substitutions by these, and some doubles."""
    rng = np.random.default_rng(0)
    wild = "".join(rng.choice(list("CDEFGHIKLMNPQRSTWY"), length))
    texts = [wild, *(changed(wild, (i, letter)) for i in range(length) for letter in "AV")]
    for _ in range(doubles):
        i, j = rng.choice(length, 2, replace=False)
        texts.append(changed(wild, (int(i), "A"), (int(j), "V")))
    return wild, texts


def places(wild: str, text: str) -> set[int]:
    return {place for place, (a, b) in enumerate(zip(wild, text, strict=True)) if a != b}


def test_single_variants_of_one_protein_are_split_by_position() -> None:
    wild, texts = scan()
    parts = proteins.split(records(texts), "auto", SHARES, 0)
    sides = {name: set() for name in ("train", "val", "test")}
    for text, split in zip(texts, parts.frame["split"], strict=True):
        sides[split] |= places(wild, text)
    assert sum(map(len, sides.values())) == len(set.union(*sides.values())) == 60
    assert Counter(parts.frame["split"]) == {"train": 85, "val": 18, "test": 18} and "by position" in parts.notes[0]
    assert parts.frame["split"][0] == "train"
    with pytest.raises(
        SeqsciError, match=r"121 records are 1 unit, the largest of 121, and nothing is left for val; .* take position"
    ):
        proteins.split(records(texts), "identity", SHARES, 0)


def test_a_variant_of_two_parts_is_left_out() -> None:
    wild, texts = scan(doubles=80)
    parts = proteins.split(records(texts), "position", SHARES, 1)
    sides = {"train": set(), "val": set(), "test": set()}
    for record, split in parts.frame.select("record", "split").iter_rows():
        sides[split] |= places(wild, texts[record])
    assert not sides["train"] & sides["test"] and not sides["train"] & sides["val"] and not sides["val"] & sides["test"]
    left = set(range(len(texts))) - set(parts.frame["record"])
    assert left and all(len(places(wild, texts[record])) == 2 for record in left)
    assert any(note.startswith(f"split: {len(left)} variants left out") for note in parts.notes)
    doubles = proteins.split(records(texts), "auto", SHARES, 1)
    assert len(doubles.frame) == len(texts) and "data.split position or mutations" in doubles.notes[0]


def test_few_substitutions_train_and_more_test() -> None:
    wild, texts = scan(doubles=30)
    parts = proteins.split(records(texts), "mutations", SHARES, 0)
    for text, split in zip(texts, parts.frame["split"], strict=True):
        assert (split == "test") == (len(places(wild, text)) > 1)
    assert Counter(parts.frame["split"])["val"] == pytest.approx(121 * SHARES[1] / (SHARES[0] + SHARES[1]), abs=1)
    assert "1 with 0, 120 with 1, 30 with 2" in parts.notes[0]
    with pytest.raises(SeqsciError, match=r"by mutations-2, nothing is left for test .* take position or record"):
        proteins.split(records(texts), "mutations-2", SHARES, 0)


def test_a_wild_type_that_is_not_clear_is_asked_for() -> None:
    letters = "ACDEFGHIKL"
    texts = [f"MKTWYIA{a}{b}GSE" for a in letters for b in letters]
    with pytest.raises(SeqsciError, match=r"not clear: at position 8 no residue .* a column mutant"):
        proteins.split(records(texts), "mutations", SHARES, 0)
    named = [":".join([f"A8{a}"] * (a != "A") + [f"A9{b}"] * (b != "A")) or "WT" for a in letters for b in letters]
    parts = proteins.split(records(texts, mutant=named), "mutations", SHARES, 0).frame["split"].to_list()
    assert Counter(parts)["test"] == 81 and "test" not in parts[:10]
    with pytest.raises(SeqsciError, match="only 2 positions vary; take mutations"):
        proteins.split(records(texts, mutant=named), "position", SHARES, 0)
    with pytest.raises(SeqsciError, match="no variants of one protein by substitution"):
        proteins.split(records(["MKV", "WWWW"]), "position", SHARES, 0)


@pytest.mark.parametrize(
    ("by", "shares", "part"),
    [
        ("identty", SHARES, "no split by 'identty'; did you mean 'identity'"),
        ("record", (0.5, 0.5, 0.5), "not three positive numbers with sum 1"),
        ("record", (1.0, 0.0, 0.0), "not three positive numbers with sum 1"),
        ("group", SHARES, "have no column group"),
        ("record", SHARES, "2 records are 2 units"),
    ],
)
def test_impossible_splits(by: str, shares: tuple[float, float, float], part: str) -> None:
    with pytest.raises(SeqsciError, match=part):
        proteins.split(records(["MKV", "WWW"]), by, shares, 0)


# --- homologs


residues = st.lists(st.integers(len(SPECIALS), len(SPECIALS) + 25), max_size=60)


@given(tokens=residues, begin=st.booleans(), least=st.integers(0, 5), seed=st.integers(0, 10_000))
@settings(max_examples=400, deadline=None)
def test_fill_in_the_middle_has_an_inverse(tokens: list[int], begin: bool, least: int, seed: int) -> None:
    whole = np.array([BEGIN] * begin + tokens, dtype=np.uint8)
    moved, positions = fill_in_the_middle(whole, np.random.default_rng(seed), least)
    assert moved.dtype == np.uint8 and filled(moved).tolist() == whole.tolist() and len(moved) == len(positions)
    kept = moved >= len(SPECIALS)
    assert moved[kept].tolist() == whole[positions[kept]].tolist()  # each residue keeps its place
    assert sorted(positions[kept].tolist()) == list(range(int(begin), len(whole)))
    spans = int(np.sum((moved >= SPAN) & (moved < SPAN + 5)))
    assert spans % 2 == 0 and min(least, len(tokens)) <= spans // 2 <= min(5, len(tokens))
    assert int(np.sum(moved == FILL)) == (spans > 0)
    if begin:
        assert moved[0] == BEGIN and positions[0] == 0


def test_one_span_in_every_sequence_and_the_layout() -> None:
    """The published code indexes positions of one span from the batch's start and breaks after the first sequence."""
    seen: set[int] = set()
    for seed in range(300):
        whole = np.arange(len(SPECIALS), len(SPECIALS) + 20, dtype=np.uint8)
        moved, positions = fill_in_the_middle(whole, np.random.default_rng(seed))
        count = int(np.sum(moved >= SPAN)) - 20
        seen.add(count // 2)
        if count != 2:
            continue
        first, second = np.flatnonzero(moved == SPAN)
        place = int(np.flatnonzero(moved == FILL)[0])
        length = len(moved) - second - 1
        assert place == second - 1 and positions[place] == 0
        assert positions[first] == positions[second] == positions[second + 1] == first
        assert 1 <= length < max(0.2 * (20 - first), 2)
        assert moved[second + 1 :].tolist() == whole[first : first + length].tolist()
    assert {0, 1, 2, 3} <= seen <= {0, 1, 2, 3, 4, 5}


def test_number_of_spans_is_poisson() -> None:
    whole = np.full(100, len(SPECIALS), dtype=np.uint8)
    rng = np.random.default_rng(0)
    spans = []
    for _ in range(3000):
        moved, _ = fill_in_the_middle(whole, rng)
        spans.append(int(np.sum((moved >= SPAN) & (moved < len(SPECIALS)))) // 2)
    assert abs(np.mean(np.array(spans) == 0) - np.exp(-1)) < 0.03 and abs(np.mean(spans) - 1) < 0.07


@pytest.mark.parametrize(
    ("tokens", "part"),
    [
        ([11, SPAN, FILL], "residues behind <fill> must follow"),
        ([11, SPAN, FILL, 12], "residues behind <fill> must follow"),
        ([11, SPAN, FILL, SPAN + 1, 12], "<span-1> has no residues behind <fill>"),
        ([11, FILL, SPAN, 12], "<span-1> behind <fill> has no place"),
        ([11, SPAN, FILL, SPAN, 12, SPAN, 12], "<span-1> a second time"),
        ([11, FILL, FILL], "token 3: a second <fill>"),
        ([11, SPAN], "token 2: <span-1> is no residue"),
        ([11, 0], "token 2: <pad> is no residue"),
    ],
)
def test_what_cannot_be_filled(tokens: list[int], part: str) -> None:
    with pytest.raises(SeqsciError, match=part):
        filled(np.array(tokens, dtype=np.uint8))
    with pytest.raises(SeqsciError, match="is no residue"):
        fill_in_the_middle(np.array(tokens, dtype=np.uint8), np.random.default_rng(0))


def test_sequence_weights_count_neighbours() -> None:
    rows = ["AAAAAAAAAA", "AAAAAAAACC", "AAAAAAACCC", "WWWWWWWWWW", "AA--------", "----------"]
    found = weights(aligned(list("abcdef"), rows, "x").rows)
    # a: itself and b (8 of 10); b: a, b, c (9 of 10); c: b, c; e covers two columns, which a, b and c share.
    assert found.tolist() == [1 / 2, 1 / 3, 1 / 2, 1.0, 1 / 4, 0.0]


# --- scores


def test_pssm_is_the_log_odds_of_weighted_counts() -> None:
    found = aligned(["q", "b", "c"], ["MK", "MK", "W-"], "x")
    matrix = proteins.pssm(found, pseudocount=0.5)
    share = BACKGROUND / BACKGROUND.sum()
    # The first two are neighbours and count half each.
    m, w, k = (RESIDUES.index(letter) for letter in "MWK")
    assert np.isclose(matrix[0, m], np.log((1.0 + 0.5 * BACKGROUND[m]) / (2.0 + 0.5 * BACKGROUND.sum()) / share[m]))
    assert np.allclose(np.exp(matrix) @ share, 1.0) and matrix[1].argmax() == k
    variants = pl.DataFrame(
        {
            "position": [[0], [0, 1], [2], [0], []],
            "reference": [["M"], ["M", "K"], ["K"], ["M"], []],
            "alternative": [["W"], ["W", "R"], ["A"], ["X"], []],
        },
        schema_overrides={"position": pl.List(pl.Int64)},
    )
    scores = proteins.pssm_scores(matrix, variants, "MK")
    r = RESIDUES.index("R")
    assert np.isclose(scores[0], matrix[0, w] - matrix[0, m])
    assert np.isclose(scores[1], scores[0] + matrix[1, r] - matrix[1, k]) and scores[4] == 0
    assert np.isnan(scores[2]) and np.isnan(scores[3])
    with pytest.raises(SeqsciError, match="its reference is M at position 1, where the query has K"):
        proteins.pssm_scores(matrix, variants, "KM")
    with pytest.raises(SeqsciError, match="pseudocount: 0 is not above 0"):
        proteins.pssm(found, pseudocount=0)


def test_pssm_of_a_real_family_prefers_what_homologs_have(real_data: object) -> None:
    found = proteins.alignment(f"{real_data}/proteins/A0A1C5UJ41.a3m.gz")
    assert found.rows.shape == (1776, 422) and len(found.query) == 422
    matrix = proteins.pssm(found)
    own = np.array([matrix[i, RESIDUES.index(letter)] for i, letter in enumerate(found.query)])
    assert own.mean() > 0.5 and np.mean(matrix.argmax(axis=1) == [RESIDUES.index(x) for x in found.query]) > 0.3


# --- features


def test_features_of_different_proteins() -> None:
    found = proteins.features(["MKVLAWDE", "AAC", "X", "AAAAAAAAAAKD"])
    assert found.shape == (4, 370) and found.dtype == np.float32 and np.isfinite(found).all()
    assert np.isclose(found[1, 0], 2 / 3) and np.isclose(found[1, 1], 1 / 3) and found[2, 20] == 1
    assert np.isclose(found[1, 21:364].sum(), 1) and found[2, 21:364].sum() == 0
    assert np.isclose(found[1, 364], (2 * 1.8 + 2.5) / 3) and np.isclose(found[3, -1], np.log(12))
    assert proteins.features([]).shape[0] == 0


def test_features_of_a_landscape_are_one_hot_and_of_its_substitutions() -> None:
    found = proteins.features(["MKVLAWDE", "MKVLAWDA", "MKALAWDE"])
    assert found[:, :4].tolist() == [[0, 1, 0, 1], [0, 1, 1, 0], [1, 0, 0, 1]] and found.shape == (3, 49)
    lost, won, sums = np.split(found[:, 4:], [20, 40], axis=1)
    assert not lost[0].any() and "ACDEFGHIKLMNPQRSTVWY"[lost[1].argmax()] == "E" and lost[1].sum() == 1
    assert won[1].argmax() == won[2].argmax() == 0 and won.sum() == 2
    # BLOSUM62: E-A -1, V-A 0; hydropathy of Kyte and Doolittle: E -3.5, V 4.2, A 1.8.
    assert np.allclose(sums, [[0] * 5, [1, -1, 5.3, 1, -0.5804], [1, 0, -2.4, 0, -0.2805]], atol=1e-4)
    assert proteins.features(["MKVU", "MKVA"]).shape == (2, 47) and not proteins.features(["MKV", "MKV"]).any()


def test_the_simulated_labels_can_be_learned(demo: Records) -> None:
    from sklearn.linear_model import Ridge, RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parts = proteins.split(demo, "auto", SHARES, 0).frame["split"].to_numpy()
    table = proteins.features(demo.frame["sequence"].to_list())
    train, test = parts == "train", parts == "test"
    family = demo.frame["family"].to_numpy()
    model = make_pipeline(StandardScaler(), RidgeClassifier(100.0)).fit(table[train], family[train])
    assert model.score(table[test], family[test]) > 0.2  # chance is 0.025
    stability = demo.frame["stability"].to_numpy()
    line = make_pipeline(StandardScaler(), Ridge(1000.0)).fit(table[train], stability[train])
    assert np.corrcoef(line.predict(table[test]), stability[test])[0, 1] > 0.1


# --- assessment


def test_assessment() -> None:
    rng = np.random.default_rng(0)
    training = [random_text(rng, 100) for _ in range(50)]
    near = mutated(training[0], 0.05, rng)
    generated = [training[3], near, near, random_text(rng, 100), "MK<mask>", ""]
    found = proteins.assess(generated, training)
    assert (found["generated"], found["valid_count"], found["aligned"], found["training"]) == (6, 4, 4, 50)
    assert found["valid"]["value"] == 4 / 6 and found["unique"]["value"] == 3 / 4 and found["novel"]["value"] == 3 / 4
    assert found["near_copies"]["value"] == 3 / 4 and found["length"]["value"] == found["training_length"] == 100
    for value in found.values():
        if isinstance(value, dict) and value["low"] is not None:
            assert value["low"] <= value["value"] + 1e-12 <= value["high"] + 2e-12
    # Of four sequences only what is counted has an interval.
    assert {name for name, value in found.items() if isinstance(value, dict) and value["low"] is None} == {
        "unique", "composition", "length", "identity",
    }  # fmt: skip
    ten = proteins.assess([random_text(rng, 90 + n) for n in range(10)], training)["length"]
    assert ten["low"] < ten["value"] < ten["high"]
    assert json.loads(json.dumps(found)) == found == proteins.assess(generated, training)
    copies = proteins.assess(training, training)
    assert copies["novel"]["value"] == 0 and copies["identity"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert copies["composition"]["value"] < 1e-12
    assert copies["novel"]["low"] == 0 and 0.05 < copies["novel"]["high"] < 0.1
    composition = proteins.assess([random_text(rng, 30) for _ in range(40)], training)["composition"]
    assert composition["low"] < composition["value"] < composition["high"]
    assert composition["value"] - composition["low"] > 0.2 * (composition["high"] - composition["low"])
    nothing = proteins.assess(["", "1"], training)
    assert (
        nothing["valid"]["value"] == 0
        and nothing["identity"]["value"] is None
        and nothing["composition"]["low"] is None
    )
    with pytest.raises(SeqsciError, match="0 generated and 1 training"):
        proteins.assess([], ["MKV"])


def test_nearest_identity_is_that_of_all_alignments() -> None:
    rng = np.random.default_rng(4)
    training = [random_text(rng, int(rng.integers(60, 90))) for _ in range(30)]
    texts = [mutated(training[i], share, rng)[5:] for i, share in enumerate((0.1, 0.3, 0.5, 0.6))]
    found = nearest_identity(texts, training)
    aligner = PairwiseAligner(mode="global", match_score=1, mismatch_score=0, open_gap_score=0, extend_gap_score=0)
    for i, text in enumerate(texts):
        most = max(len(text), len(training[i]))
        # Never more than the longest common subsequence, and the relative is found.
        assert 0.3 < found[i] <= max(aligner.score(text, one) / max(len(text), len(one)) for one in training)
        same = sum(a == b for a, b in zip(text, training[i][5:], strict=True)) / most
        assert found[i] >= same - 0.05
    assert nearest_identity(["UOJX", "MK"], ["UOJA", "MK"]).tolist() == [0.75, 1.0]


# --- simulated


def test_the_simulated_set(demo: Records) -> None:
    assert demo.simulated and len(demo) == 2000 and demo.frame["family"].n_unique() == 40
    assert demo.frame.columns == ["id", "sequence", "group", "label", "family", "stability"]
    assert demo.frame["stability"].dtype == pl.Float64 and demo.frame["label"].equals(
        demo.frame["family"].alias("label")
    )
    assert demo.lengths.min() >= 30 and demo.frame["sequence"].n_unique() > 1900
    assert set("".join(demo.frame["sequence"])) == set(RESIDUES)
    small = proteins.simulate(1, 3)
    assert len(small) == 3 and small.equals(proteins.simulate(1, 3)) and not small.equals(proteins.simulate(2, 3))
    assert len(proteins.load("demo-proteins", count=60, seed=3)[0]) == 60
    within = demo.frame.group_by("family").agg(pl.col("stability").std())["stability"].mean()
    assert within is not None and 0.5 < float(within) < 2  # type: ignore[arg-type]
    with pytest.raises(SeqsciError, match="count: 0 is below 1"):
        proteins.simulate(0, 0)


def test_the_contract() -> None:
    assert proteins.SPLITS[0] == "auto" and proteins.UNIT == "residue" and proteins.augment is None
    assert len(proteins.TOKENIZER.symbols) == len(SPECIALS) + 26 and proteins.TOKENIZER.complements is None
