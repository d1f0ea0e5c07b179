"""The search: drawing, pruning, joining, refusing, and what comes out; most with a fake training."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from seqsci import recipe as recipes
from seqsci.errors import SeqsciError
from seqsci.recipe import Recipe
from seqsci.runs import Run
from seqsci.tuning import Listen, Sweep, tune

SPACE: dict[str, Any] = {
    "train.lr": {"log": ["1e-5", "1e-1"]},
    "model.layers": {"int": [1, 4]},
    "model.dropout": {"float": [0.0, 0.3]},
    "model.heads": {"choice": [2, 4]},
}
SMALL = {"model.width": 16, "model.heads": 2, "model.feedforward": 16, "model.layers": 1}


def make(search: dict[str, Any] = SPACE, **changes: Any) -> Recipe:
    tree = recipes.read("forecast/informer-demo-electricity")
    tree["search"] = {}
    base = recipes.build(tree).with_({**SMALL, **changes})
    return recipes.build({**recipes.as_tree(base), "search": search})


def fake(recipe: Recipe, run: Run, listen: Listen) -> float:
    """A bowl in log10(lr), lowest at 1e-3, that sinks from epoch to epoch."""
    final = (np.log10(recipe.train.lr) + 3) ** 2 + 0.1 * recipe.model.layers
    for epoch in range(1, recipe.train.epochs + 1):
        listen(epoch, float(final + 1 / epoch))
    return float(final + 1 / recipe.train.epochs)


def sweep(root: Path, trials: int, recipe: Recipe | None = None, **options: Any) -> Sweep:
    options = {"train": fake, "quiet": True, **options}
    return tune(recipe or make(), trials=trials, root=root, **options)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return sweep(tmp_path_factory.mktemp("sweep"), 30)


def test_every_value_is_of_its_law(done: Sweep) -> None:
    table = done.leaderboard
    assert table["number"].sort().to_list() == list(range(30))
    assert table["train.lr"].is_between(1e-5, 1e-1).all()
    assert table["model.dropout"].is_between(0.0, 0.3).all()
    assert set(table["model.layers"]) <= {1, 2, 3, 4}
    assert table["model.layers"].dtype == pl.Int64
    assert set(table["model.heads"]) == {2, 4}


def test_search_closes_in_on_the_minimum(done: Sweep) -> None:
    assert done.best_value is not None
    assert done.best_value < 0.1 + 1 / 3 + 0.15
    assert abs(np.log10(done.best_params["train.lr"]) + 3) < 0.5


def test_best_yaml_is_the_best_trials_recipe_without_the_space(done: Sweep) -> None:
    number = done.leaderboard["number"][0]
    trial = Run.open(done.folder / f"trial-{number:04d}").recipe
    assert done.recipe == trial
    assert done.recipe.search == {}
    assert done.recipe.train.lr == done.best_params["train.lr"] == done.leaderboard["train.lr"][0]
    assert done.recipe.train.precision in {"bf16", "fp32"}
    assert str(done.best) in done.summary()


def test_leaderboard_lists_every_trial_the_best_first(done: Sweep) -> None:
    table = pl.read_csv(done.folder / "leaderboard.csv")
    assert table.columns == ["number", "value", "state", *SPACE, "seconds", "note"]
    completed = table.filter(pl.col("state") == "complete")["value"]
    assert completed.is_sorted()
    assert completed[0] == table["value"][0] == done.best_value


def test_hopeless_trials_stop_after_the_second_epoch(done: Sweep) -> None:
    pruned = done.leaderboard.filter(pl.col("state") == "pruned")
    assert len(pruned) > 3
    assert set(pruned["note"]) == {"stopped after epoch 2 of 3: worse than the median"}


def test_report_holds_two_pictures_and_the_leaderboard(done: Sweep) -> None:
    page = done.report.read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2
    assert page.count("<tr") >= 30
    assert "logarithmic" in page


def test_report_of_few_trials_says_why_importance_is_left_out(tmp_path: Path) -> None:
    page = sweep(tmp_path, 3).report.read_text(encoding="utf-8")
    assert "demo-electricity (simulated data)" in page
    assert page.count("data:image/png;base64,") == 1
    assert "it takes at least 8 completed trials" in page


def test_same_seed_repeats_and_another_differs(tmp_path: Path) -> None:
    first, again = (sweep(tmp_path / name, 6).leaderboard.drop("seconds") for name in ("a", "b"))
    assert first.equals(again)
    assert not first.equals(sweep(tmp_path / "c", 6, seed=1).leaderboard.drop("seconds"))


def test_sweep_in_pieces_is_the_same_sweep(tmp_path: Path) -> None:
    whole = sweep(tmp_path / "whole", 15).leaderboard.drop("seconds")
    for trials in (4, 4, 15):
        pieces = sweep(tmp_path / "pieces", trials).leaderboard.drop("seconds")
    assert whole.equals(pieces)


def test_list_and_text_choices_reach_the_recipe(tmp_path: Path) -> None:
    space = {"model.stack": {"choice": [[2], [2, 1]]}, "train.lr": {"choice": ["1e-4", "1e-3"]}}
    found = sweep(tmp_path, 6, make(space))
    assert found.recipe.model.stack in {(2,), (2, 1)}
    assert found.recipe.train.lr in {1e-4, 1e-3}
    assert found.best_params["model.stack"] == list(found.recipe.model.stack)


def test_impossible_pair_is_pruned_with_its_reason(tmp_path: Path) -> None:
    space = {"model.width": {"choice": [16, 24]}, "model.heads": {"choice": [2, 8, 16]}}
    table = sweep(tmp_path, 12, make(space)).leaderboard
    bad = table.filter((pl.col("model.width") == 24) & (pl.col("model.heads") == 16))
    assert len(bad) > 0
    assert bad["state"].unique().to_list() == ["pruned"]
    assert bad["note"].str.contains("16 heads do not divide").all()
    assert bad["value"].is_null().all()


def test_loss_that_is_not_finite_is_pruned(tmp_path: Path) -> None:
    found = sweep(tmp_path, 2, train=lambda recipe, run, listen: float("nan"))
    assert found.leaderboard["state"].to_list() == ["pruned"] * 2
    assert found.best_value is None
    assert not found.best.exists()
    assert "0 trials completed, 2 pruned" in found.summary()
    assert "No trial was completed" in found.report.read_text(encoding="utf-8")


def test_total_is_shared_by_calls(tmp_path: Path) -> None:
    sweep(tmp_path, 4)
    assert len(sweep(tmp_path, 7).leaderboard) == 7
    assert len(sweep(tmp_path, 5).leaderboard) == 7


def test_progress_is_one_line_per_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(tmp_path, 3, quiet=False)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("0 of 3 trials done; more workers may join: ")
    assert lines[3].startswith("trial 2: validation loss ")
    assert "; best " in lines[3]
    assert lines[3].endswith("3 of 3 done, 0 s left")
    sweep(tmp_path, 5)
    assert capsys.readouterr().err == ""


def test_ctrl_c_keeps_what_there_is_and_the_same_call_goes_on(tmp_path: Path) -> None:
    calls = []

    def tired(recipe: Recipe, run: Run, listen: Listen) -> float:
        calls.append(run)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return fake(recipe, run, listen)

    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, 6, train=tired)
    (board,) = tmp_path.glob("*/leaderboard.csv")
    assert pl.read_csv(board)["state"].to_list() == ["complete"] * 3 + ["fail"]
    states = sweep(tmp_path, 6).leaderboard["state"].to_list()
    assert states.count("complete") + states.count("pruned") == 6
    assert states.count("fail") == 1


def test_removed_journal_leaves_old_trials_alone(tmp_path: Path) -> None:
    first = sweep(tmp_path, 1)
    before = Run.open(first.folder / "trial-0000").recipe
    first.storage.unlink()
    sweep(tmp_path, 1, seed=5)
    assert Run.open(first.folder / "trial-0000").recipe == before
    assert Run.open(first.folder / "trial-0000-2").recipe != before


def test_storage_elsewhere_has_a_folder_of_its_own(tmp_path: Path) -> None:
    found = sweep(tmp_path / "runs", 2, storage=tmp_path / "shared" / "wide.log")
    assert (tmp_path / "shared" / "wide.log").is_file()
    assert found.folder == tmp_path / "runs" / "tune-forecast-demo-electricity-informer-wide"


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (make(**{"train.epochs": 4}), r"train\.epochs: the sweep in .* was begun with 3, this call has 4"),
        (
            make({"train.lr": {"log": [1e-5, 1e-1]}}),
            r"search\.model\.dropout: .* begun with .*float.*nothing",
        ),
        (
            make({**SPACE, "train.lr": {"log": [1e-5, 1e-2]}}),
            r"search\.train\.lr: .*0\.1.*0\.01.*--storage FILE",
        ),
    ],
)
def test_join_of_another_sweep_is_refused(done: Sweep, other: Recipe, sentence: str) -> None:
    with pytest.raises(SeqsciError, match=sentence):
        sweep(done.folder.parent, 40, other)
    assert sweep(done.folder.parent, 30).leaderboard.equals(done.leaderboard)


def test_same_space_in_other_words_may_join(tmp_path: Path) -> None:
    sweep(tmp_path, 1)
    assert len(sweep(tmp_path, 2, make({**SPACE, "train.lr": {"log": [0.00001, 0.1]}})).leaderboard) == 2


@pytest.mark.parametrize(
    ("recipe", "trials", "sentence"),
    [(make({}), 3, "search: the recipe has no such block"), (make(), 0, "trials: need at least 1, not 0")],
)
def test_nothing_to_do_is_refused_before_anything_is_made(
    tmp_path: Path, recipe: Recipe, trials: int, sentence: str
) -> None:
    with pytest.raises(SeqsciError, match=sentence):
        sweep(tmp_path / "runs", trials, recipe)
    assert not (tmp_path / "runs").exists()


def test_bad_data_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    recipe = make(**{"data.name": str(tmp_path / "absent.csv")})
    with pytest.raises(SeqsciError, match=r"absent\.csv"):
        tune(recipe, trials=1, root=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("content", ["date,load\n2020-01-01,3", '{"a": 1}\n', '["op_code"]\n[1]'])
def test_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(content)
    with pytest.raises(SeqsciError, match=r"mine\.csv: cannot be used as the journal"):
        sweep(tmp_path, 1, storage=path)
    assert path.read_text() == content


def test_torn_last_line_of_a_journal_is_cut_off(tmp_path: Path) -> None:
    journal = sweep(tmp_path, 3).storage
    with open(journal, "ab") as file:
        file.write(b'{"op_code":5,"wor')
    assert len(sweep(tmp_path, 5).leaderboard) == 5
    assert all(json.loads(line) for line in journal.read_text().splitlines())


WORKER = """
    import sys, time
    from pathlib import Path
    from seqsci import recipe as recipes
    from seqsci.tuning import tune

    root, name, trials, hang = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

    def train(recipe, run, listen):
        listen(1, 1.0)
        if int(run.folder.name.removeprefix("trial-")) == hang:
            (root / "hangs").touch()
            time.sleep(60)
        (root / name).touch()
        while not all((root / each).exists() for each in ("one", "two")) and hang < 0:
            time.sleep(0.01)
        time.sleep(0.02)
        return 1 / recipe.train.lr

    recipe = recipes.build(recipes.read(str(root / "recipe.yaml")))
    print(len(tune(recipe, trials=trials, root=root, quiet=True, train=train).leaderboard))
"""


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    (tmp_path / "recipe.yaml").write_text(make(**{"train.precision": "fp32"}).to_yaml())
    (tmp_path / "worker.py").write_text(textwrap.dedent(WORKER))
    started = []

    def start(name: str, trials: int, hang: int = -1) -> subprocess.Popen[str]:
        words = [sys.executable, str(tmp_path / "worker.py"), str(tmp_path), name, str(trials), str(hang)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_two_processes_share_one_sweep(tmp_path: Path, worker: Callable[..., subprocess.Popen[str]]) -> None:
    processes = [worker("one", 8), worker("two", 8)]
    assert [process.wait(60) for process in processes] == [0, 0]
    table = sweep(tmp_path, 8, recipes.build(recipes.read(str(tmp_path / "recipe.yaml")))).leaderboard
    assert table["number"].sort().to_list() == list(range(len(table)))
    assert 8 <= len(table) <= 9, "each worker ends the trial it is in"
    assert table["train.lr"].n_unique() == len(table), "two workers with one seed must not draw the same"


def test_sweep_goes_on_after_a_worker_was_killed(tmp_path: Path, worker: Callable[..., subprocess.Popen[str]]) -> None:
    process = worker("one", 12, hang=3)
    until = time.monotonic() + 60
    while not (tmp_path / "hangs").exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    table = sweep(tmp_path, 6, recipes.build(recipes.read(str(tmp_path / "recipe.yaml")))).leaderboard
    assert table["number"].sort().to_list() == list(range(7))
    assert table.filter(pl.col("number") == 3)["state"].item() == "running"
    assert sum(state in {"complete", "pruned"} for state in table["state"]) == 6


REAL = {
    "data.context": 24, "data.horizon": 4, "model.label_length": 12, "train.epochs": 2, "train.batch": 128,
    "data.split": "0.2,0.1,0.7",
}  # fmt: skip
REAL_SPACE = {"train.lr": {"log": [1e-3, 1e-1]}, "model.heads": {"choice": [2, 4]}}


def test_best_recipe_reruns_to_the_same_validation_loss(tmp_path: Path) -> None:
    from seqsci.training.fit import fit
    from seqsci.training.forecast import prepare

    found = tune(make(REAL_SPACE, **REAL), trials=3, root=tmp_path, quiet=True)
    assert "complete" in set(found.leaderboard["state"])
    recipe = found.recipe
    run = Run.create(tmp_path / "again", recipe, "demo-electricity")
    again = fit(recipe, prepare(recipe), run, quiet=True)
    assert again.best_val == found.best_value
    assert not list(found.folder.glob("trial-*/metrics.json"))


def hourly(rows: int, test_rows: int, factor: float) -> pl.DataFrame:
    generator = np.random.default_rng(3)
    hours = np.arange(rows)
    load = 10 + np.sin(hours * 2 * np.pi / 24) + 0.1 * generator.standard_normal(rows)
    load[rows - test_rows :] *= factor
    times = np.datetime64("2020-01-01T00", "us") + hours * np.timedelta64(1, "h")
    return pl.DataFrame({"date": times, "load": load})


def test_no_trial_sees_the_test_split(tmp_path: Path) -> None:
    """Another test split changes no loss, and the windows of that split are not there to be scored."""
    recipe = make({"train.lr": {"log": [1e-3, 1e-1]}}, **REAL).with_({"data.split": "0.7,0.1,0.2"})
    values = []
    for name, factor in (("plain", 1.0), ("wild", -1e3)):
        frame = hourly(1000, 200, factor)
        found = tune(recipe, trials=2, root=tmp_path / name, quiet=True, source=frame)
        values.append(found.leaderboard["value"].to_list())
    assert values[0] == values[1]
    assert len(set(values[0])) == 2


def test_frame_is_kept_so_that_the_best_recipe_finds_it(tmp_path: Path) -> None:
    frame = hourly(1000, 200, 1.0)
    found = sweep(tmp_path, 1, source=frame)
    assert pl.read_parquet(found.recipe.data.name).equals(frame)
    assert len(sweep(tmp_path, 2, source=frame).leaderboard) == 2
    with pytest.raises(SeqsciError, match="begun with another frame"):
        sweep(tmp_path, 3, source=hourly(1000, 200, 2.0))


def test_join_on_changed_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqsci.training.fit.fit", lambda *_, **__: SimpleNamespace(best_val=1.0))
    path = tmp_path / "load.csv"
    hourly(1000, 200, 1.0).write_csv(path)
    recipe = make(**{"data.name": str(path), "data.target": "all"})
    assert len(tune(recipe, trials=1, root=tmp_path, quiet=True).leaderboard) == 1
    assert len(tune(recipe, trials=2, root=tmp_path, quiet=True).leaderboard) == 2
    hourly(1000, 200, 2.0).write_csv(path)
    with pytest.raises(SeqsciError, match=r"data: it has changed since the sweep in .* begin another sweep"):
        tune(recipe, trials=3, root=tmp_path, quiet=True)
