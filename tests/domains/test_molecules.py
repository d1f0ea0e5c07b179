"""Splits, respelling, features, assessment, pictures and the simulated set of molecules."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from rdkit import Chem

from seqsci.data.records import Parts, Records
from seqsci.domains.molecules import SPLITS, assess, augment, draw, features, load, simulate, split
from seqsci.domains.molecules.features import BITS, DESCRIPTORS
from seqsci.domains.molecules.molecule import canonical, parse, quiet, scaffold
from seqsci.errors import SeqsciError

SHARES = (0.8, 0.1, 0.1)


@pytest.fixture(scope="module")
def demo() -> Records:
    return load("demo-molecules", count=400)[0]


def divided(parts: Parts, values: pl.Series) -> dict[str, set[Any]]:
    """The values of each part."""
    return {name: set(values.filter(parts.frame["split"] == name)) for name in ("train", "val", "test")}


def apart(found: dict[str, set[Any]]) -> bool:
    return not (found["train"] & found["val"] | found["train"] & found["test"] | found["val"] & found["test"])


@pytest.mark.parametrize("by", SPLITS)
def test_splits_are_whole_deterministic_and_of_their_shares(demo: Records, by: str) -> None:
    parts = split(demo, by, SHARES, 3)
    assert parts.frame.equals(split(demo, by, SHARES, 3).frame)
    assert not parts.frame.equals(split(demo, by, SHARES, 4).frame)
    assert parts.frame["record"].to_list() == list(range(400)) and parts.notes
    assert (parts.frame["stop"] - parts.frame["start"]).to_list() == demo.lengths.tolist()
    counts = dict(parts.frame["split"].value_counts().iter_rows())
    slack = 25 if by == "group" else 1
    assert counts == pytest.approx({"train": 320, "val": 40, "test": 40}, abs=slack)


def test_no_scaffold_and_no_group_is_in_two_parts(demo: Records) -> None:
    with quiet():
        molecules = [parse(text) for text in demo.frame["sequence"]]
        scaffolds = pl.Series([scaffold(one) or f"chain {row}" for row, one in enumerate(molecules) if one is not None])
    parts = split(demo, "scaffold", SHARES, 0)
    found = divided(parts, scaffolds)
    assert apart(found)
    common = scaffolds.value_counts(sort=True)[:, 0].to_list()[:10]
    assert set(common) <= found["train"]
    assert apart(divided(split(demo, "group", SHARES, 0), demo.frame["group"]))
    assert split(demo, "auto", SHARES, 0).frame.equals(parts.frame)


def test_spellings_and_stereoisomers_stay_together() -> None:
    chains = [f"{'C' * n}O" for n in range(1, 31)]
    texts = [*chains, *(f"O{'C' * n}" for n in range(1, 31)), "C[C@H](F)O", "C[C@@H](F)O"]
    records, _ = load(texts)
    with quiet():
        names = pl.Series([canonical(text, stereo=False) for text in texts])
    for by in ("random", "scaffold"):
        parts = split(records, by, SHARES, 1)
        assert apart(divided(Parts(frame=parts.frame[:60]), names[:60])), by
    assert parts.frame["split"][60] == parts.frame["split"][61]
    assert "62 molecules without rings went by themselves" in parts.notes[0]


def test_a_sets_own_split_wins_and_what_it_lacks_is_divided_off() -> None:
    frame = pl.DataFrame({"smiles": ["C" * n for n in range(1, 41)], "split": ["train"] * 20 + ["val"] * 20})
    parts = split(load(frame)[0], "auto", SHARES, 0)
    assert parts.frame["split"][:20].to_list() == ["train"] * 20
    assert sorted(parts.frame["split"][20:]) == ["test"] * 10 + ["val"] * 10
    assert parts.notes == ("the set's own split", "it has no test: 50% of its val, at random, became test")
    frame = frame.with_columns(split=pl.Series(["train"] * 36 + ["test"] * 4))
    parts = split(load(frame)[0], "auto", SHARES, 0)
    assert parts.frame["split"][36:].to_list() == ["test"] * 4
    assert parts.frame["split"].to_list().count("val") == 4
    frame = frame.with_columns(split=pl.lit("train"))
    counts = dict(split(load(frame)[0], "auto", SHARES, 0).frame["split"].value_counts().iter_rows())
    assert counts == {"train": 32, "val": 4, "test": 4}
    frame = pl.DataFrame({"smiles": ["C", "CC", "C"], "split": ["train", "val", "test"]})
    assert "1 of 1 record of test with the SMILES of one of train" in split(load(frame)[0], "auto", SHARES, 0).notes


@pytest.mark.parametrize(
    ("texts", "by", "shares", "part"),
    [
        (["C", "CC"], "stratified", SHARES, "split: there is no 'stratified'"),
        (["C", "CC", "CCC"], "random", (0.5, 0.1, 0.1), "must add up to 1"),
        (["C", "CC"], "random", SHARES, "2 records cannot be divided by random so that"),
        (["c1ccccc1"] * 9, "scaffold", SHARES, "9 records cannot be divided by scaffold"),
        (["C", "CC", "CCC"], "group", SHARES, "group needs a column of groups"),
    ],
)
def test_impossible_splits(texts: list[str], by: str, shares: tuple[float, float, float], part: str) -> None:
    with pytest.raises(SeqsciError) as error:
        split(load(texts)[0], by, shares, 0)
    assert part in str(error.value)


def test_a_refusal_tells_what_was_skipped() -> None:
    found, _ = load(["C", "CC", "C1", "C2"], invalid="skip")
    with pytest.raises(SeqsciError, match=r"2 records cannot be .*\(2 without a valid SMILES left out as invalid"):
        split(found, "random", SHARES, 0)


def test_groups_that_are_unknown_and_few() -> None:
    frame = pl.DataFrame({"smiles": ["C", "CC", "CCC"], "group": ["a", "b", None]})
    with pytest.raises(SeqsciError, match="1 record has no group"):
        split(load(frame)[0], "group", SHARES, 0)
    parts = split(load(frame.with_columns(group=pl.Series(["a", "b", "c"])))[0], "group", SHARES, 0)
    assert sorted(parts.frame["split"]) == ["test", "train", "val"]


def test_augment_gives_many_spellings_of_the_same_molecule() -> None:
    """Chem-xLSTM's augmentation never asks for a random order: 50 calls, 1 spelling."""
    text = "CC(C)Cc1ccc(/C=C\\[C@@H](N)C(=O)[O-])cc1.[Na+]"
    rng = np.random.default_rng(0)
    found = {augment(text, rng) for _ in range(50)}
    assert len(found) > 40
    with quiet():
        assert {canonical(one) for one in found} == {canonical(text)}
    again = np.random.default_rng(0)
    assert augment(text, again) == augment(text, np.random.default_rng(0)) != augment(text, again)
    with pytest.raises(SeqsciError, match=r"'C1CC' is no valid SMILES \(a ring is not closed\)"):
        augment("C1CC", rng)


def test_augment_never_changes_a_molecule(demo: Records) -> None:
    rng = np.random.default_rng(1)
    odd = ["C->[Cu]", "[13CH3:5]C", "C[Fe@SP1](F)(Cl)Br", "*C", "[2H]C", "[H][H]", "C~C", "F[C@](Cl)(Br)I", "[Og]"]
    with quiet():
        for text in [*demo.frame["sequence"], *odd]:
            assert canonical(augment(text, rng)) == canonical(text) is not None, text


def test_features_are_counts_and_descriptors() -> None:
    found = features(["c1ccccc1", "CC(=O)[O-].[Na+]"])
    assert found.dtype == np.float32 and found.shape == (2, BITS + len(DESCRIPTORS))
    benzene = dict(zip(DESCRIPTORS, found[0, BITS:].tolist(), strict=True))
    assert benzene["molecular weight"] == pytest.approx(78.11, abs=0.01) and benzene["aromatic rings"] == 1
    assert benzene["logP"] == pytest.approx(1.687, abs=0.01) and benzene["heavy atoms"] == 6
    # All six atoms of benzene are alike at every radius: three environments, six of each.
    assert sorted(found[0, :BITS][found[0, :BITS] > 0].tolist()) == [6.0, 6.0, 6.0]
    with pytest.raises(SeqsciError, match="molecule 2: 'C1' is no valid SMILES"):
        features(["C", "C1"])
    assert features([]).shape == (0, BITS + len(DESCRIPTORS))


def test_assess_counts_what_can_be_counted_by_hand() -> None:
    training = ["CCO", "c1ccccc1C", "CCN"]
    generated = ["OCC", "C(O)C", "c1ccccc1", "C1CC", "", "CCCl", "C1CCCCC1", "<pad>", "C\udcff", "Cé"]
    found = assess(generated, training)
    assert found["counts"] == {
        "generated": 10,
        "valid": 5,
        "unique": 4,
        "novel": 3,  # ethanol is in training, spelled otherwise
        "training": 3,
        "scaffolds": 2,
        "novel_scaffolds": 1,  # benzene is toluene's
    }
    shares = {name: found[name]["value"] for name in ("validity", "uniqueness", "novelty", "novel_scaffolds")}
    assert shares == {"validity": 0.5, "uniqueness": 0.8, "novelty": 0.75, "novel_scaffolds": 0.5}
    assert found["uniqueness"]["low"] is None and found["uniqueness"]["high"] is None
    for name in set(shares) - {"uniqueness"}:
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]
    assert 0.5 < found["diversity"]["value"] <= 1
    # Of four molecules only what is counted has an interval.
    assert found["diversity"]["low"] is None and found["properties"]["qed"]["low"] is None
    ten = assess([f"{'C' * n}O" for n in range(1, 11)], ["C"])
    for measure in (ten["diversity"], ten["properties"]["logp"]):
        assert measure["low"] < measure["value"] < measure["high"]
    weight = found["properties"]["molecular_weight"]
    assert weight["value"] == pytest.approx(np.mean([46.07, 78.11, 64.51, 84.16]), abs=0.01)
    assert weight["training"] == pytest.approx(np.mean([46.07, 92.14, 45.08]), abs=0.01)
    assert assess(generated, training) == found


def test_novelty_is_against_training() -> None:
    """Chem-xLSTM calls novel whatever its test set lacks."""
    training = simulate(0, 60)["smiles"].to_list()
    found = assess(training[:20], training)["novelty"]
    assert found["value"] == found["low"] == 0 and 0.1 < found["high"] < 0.2
    assert assess(training[:20], training[20:])["novelty"]["value"] == 1


def test_diversity_is_the_mean_of_all_pairs() -> None:
    from rdkit import DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    texts = simulate(1, 30)["smiles"].to_list()
    make = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    prints = [make.GetFingerprint(Chem.MolFromSmiles(text)) for text in texts]
    pairs = [DataStructs.TanimotoSimilarity(a, b) for i, a in enumerate(prints) for b in prints[:i]]
    found = assess(texts, texts)["diversity"]
    assert found != assess(texts, texts, seed=1)["diversity"]
    assert found["value"] == pytest.approx(1 - np.mean(pairs), abs=1e-6)
    assert found["low"] < found["value"] < found["high"]


def test_assess_of_nothing_valid_and_nothing_at_all() -> None:
    found = assess(["C1", "x"], ["C"])
    assert found["validity"]["value"] == 0
    assert found["novelty"] == found["diversity"] == {"value": None, "low": None, "high": None}
    with pytest.raises(SeqsciError, match="no sequences were generated"):
        assess([], ["C"])
    with pytest.raises(SeqsciError, match="training set has no valid molecule"):
        assess(["C"], ["C1"])


def test_draw_is_a_picture() -> None:
    found = draw(["CCO", "C1CC", "c1ccccc1"], ["ethanol", "broken", "benzene"])
    assert found.startswith(b"\x89PNG") and len(found) > 3000
    assert draw(["CCO"], []) != draw(["CCN"], [])
    for smiles, legends in (([], []), (["C"], ["a", "b"])):
        with pytest.raises(SeqsciError, match="give each molecule one"):
            draw(smiles, legends)


def test_every_simulated_molecule_is_valid_and_another() -> None:
    frame = simulate(0, 1500)
    assert frame.columns == ["id", "smiles", "group", "active", "logp"] and frame["id"].is_unique().all()
    with quiet():
        names = [canonical(text) for text in frame["smiles"]]
    assert names == frame["smiles"].to_list() and len(set(names)) == 1500
    text = frame["smiles"].str
    for mark, least in {"@": 150, "/": 80, "\\": 30, ".": 60, "+": 80, "-]": 80, "s": 150, "Br": 20}.items():
        assert text.contains(mark, literal=True).sum() >= least, mark
    assert frame["group"].n_unique() == 12
    assert 0.2 < (frame["active"] == "1").mean() < 0.6  # type: ignore[operator]
    assert not text.contains("*", literal=True).any()


def test_the_simulation_keeps_its_first_molecules() -> None:
    assert simulate(5, 20).equals(simulate(5, 60)[:20])
    assert not simulate(5, 20).equals(simulate(6, 20))
    for options in ((-1, 5), (0, 0)):
        with pytest.raises(SeqsciError):
            simulate(*options)


def test_what_the_simulation_measures_can_be_learned(demo: Records) -> None:
    from sklearn.ensemble import RandomForestClassifier

    numbers = features(demo.frame["sequence"].to_list())
    label = (demo.frame["label"] == "1").to_numpy()
    forest = RandomForestClassifier(50, random_state=0).fit(numbers[:300, BITS:], label[:300])
    assert forest.score(numbers[300:, BITS:], label[300:]) > 0.75
