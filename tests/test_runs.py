"""A run folder's files are whole or absent, and damage is noticed."""

import json

import pytest
import torch

from seqsci import recipe
from seqsci.errors import SeqsciError
from seqsci.files import whole
from seqsci.runs import SCHEMA, Run


@pytest.fixture
def run(tmp_path):
    found, _ = recipe.resolve("forecast")
    return Run.create(tmp_path, found, "demo")


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(RuntimeError), whole(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with whole(path) as temporary:
        temporary.write_text("all")
        assert not path.exists()
    assert path.read_text() == "all"
    assert list(tmp_path.iterdir()) == [path]


def test_two_runs_of_one_second_get_two_folders(tmp_path):
    found, _ = recipe.resolve("forecast")
    assert Run.create(tmp_path, found, "a").folder != Run.create(tmp_path, found, "a").folder


def test_the_recipe_comes_back(run):
    assert run.recipe == recipe.resolve("forecast")[0]
    assert Run.open(run.folder).recipe == run.recipe


def test_every_flipped_bit_of_the_weights_is_noticed(run):
    tensors = {
        "a": torch.randn(5, 3),
        "b": torch.tensor(7),
        "c": torch.zeros(0),
        "d": torch.randn(4).bfloat16(),
    }
    run.save_weights(tensors, {"x": [1.5, "ä"]})
    back, facts = run.load_weights()
    assert facts == {"schema": SCHEMA, "x": [1.5, "ä"]}
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())
    path = run.folder / "model.safetensors"
    good = path.read_bytes()
    for position in range(len(good)):
        flipped = bytearray(good)
        flipped[position] ^= 1 << (position % 8)
        path.write_bytes(flipped)
        try:
            back, facts = run.load_weights()
        except SeqsciError as problem:
            assert "model.safetensors: damaged" in str(problem)
        else:  # a flip that changes nothing that is read, such as padding of the header
            assert facts["x"] == [1.5, "ä"] and all(torch.equal(back[n], t) for n, t in tensors.items())
    path.write_bytes(good[:-1])
    with pytest.raises(SeqsciError, match="damaged"):
        run.load_weights()


def test_a_newer_schema_is_refused(run):
    run.save_weights({"a": torch.zeros(1)}, {"schema": SCHEMA + 1})
    with pytest.raises(SeqsciError, match="newer seqsci"):
        run.load_weights()


def test_json_holds_no_nan_and_absence_says_what_to_do(run):
    run.write_json("m.json", {"a": float("nan"), "b": [float("inf"), 1]})
    assert json.loads((run.folder / "m.json").read_text()) == {"a": None, "b": [None, 1]}
    with pytest.raises(SeqsciError, match="seqsci resume"):
        run.read_json("metrics.json")
    (run.folder / "metrics.json").write_text("{")
    with pytest.raises(SeqsciError, match="damaged"):
        run.read_json("metrics.json")


def test_the_log_keeps_the_last_of_an_epoch_and_drops_a_torn_line(run):
    for epoch, loss in ((1, 0.5), (2, 0.4), (2, 0.3)):
        run.log({"epoch": epoch, "val_loss": loss})
    with open(run.folder / "log.jsonl", "a") as file:
        file.write('{"epoch": 3, "val')
    assert [record["val_loss"] for record in run.history()] == [0.5, 0.3]


def test_a_folder_that_is_no_run_is_refused(tmp_path, run):
    with pytest.raises(SeqsciError, match=r"not a run folder .*the newest there is forecast-demo"):
        Run.open(tmp_path / "nothing")
