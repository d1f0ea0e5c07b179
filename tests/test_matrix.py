"""Every encoder, and HMT around each, in each of its forms, at every task, on simulated data of every science: the list
that `seqsci models` prints. One step lowers the loss, what is saved is what is read, and it predicts; or it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqsci import catalog, matrix, registry
from seqsci.cli import main
from seqsci.errors import SeqsciError
from seqsci.matrix import Cell
from seqsci.nn.head import build
from seqsci.recipe import TASKS, Recipe
from seqsci.runs import Run
from seqsci.tasks import classify, forecast
from seqsci.tasks.language import token_losses
from seqsci.training.finetune.rivals import answer, said
from seqsci.training.fit import load_network, save_network
from seqsci.training.prepared import job

BATCH = 8
TRAIN = {"train.batch": BATCH, "train.lr": 1e-3, "train.schedule": "constant", "train.precision": "fp32"}
FEW: dict[str, dict[str, Any]] = {
    "demo-photometry": {"data.count": 140, "data.least": 3},
    "demo-dna": {"data.count": 2},
    "demo-proteins": {"data.count": 80},
    "demo-molecules": {"data.count": 80},
    "demo-promoters": {"data.count": 80},
}
NUMBER = {"data.label": "stability"}
"""Of proteins a number is predicted, of DNA and molecules a class."""


def recipe_of(cell: Cell) -> Recipe:
    own = NUMBER if (cell.task, cell.data) == ("finetune", "demo-proteins") else {}
    return cell.recipe.with_({**TRAIN, **FEW.get(cell.data, {}), **own})


@pytest.fixture(scope="module")
def prepare() -> Any:
    """`prepare` of each task, which reads each data set once."""
    patch, whole = pytest.MonkeyPatch(), {}

    def once(name: str, read: Callable[..., Any]) -> Callable[..., Any]:
        def kept(data: Any, *further: Any, **named: Any) -> Any:
            key = (name, data.name, str(further), str(named))
            if key not in whole:
                whole[key] = read(data, *further, **named)
            return whole[key]

        return kept

    for task, reader in {"forecast": "load", "classify": "load", "pretrain": "corpus", "finetune": "corpus"}.items():
        room = import_module(f"seqsci.training.{task}.prepare")
        patch.setattr(room, reader, once(task, getattr(room, reader)))
    yield lambda recipe: job(recipe).prepare(recipe)
    patch.undo()


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("cell", [cell for cell in matrix.walk() if not cell.refused], ids=str)
def test_a_step_lowers_the_loss_and_what_is_saved_predicts(cell: Cell, prepare: Any, tmp_path: Path) -> None:
    recipe = recipe_of(cell)
    prepared = prepare(recipe)
    torch.manual_seed(0)
    network = build(recipe.task, recipe.model, prepared.shape)
    assert getattr(network, "encoder", None) is None or type(network.encoder) is registry.encoder(recipe.model.name)
    task = prepared.module(network, recipe)
    batch = next(iter(prepared.loader("train", BATCH, 0)))
    (optimizer,), _ = task.configure_optimizers()
    before = task.train().loss(batch)
    before.backward()
    optimizer.step()
    with torch.no_grad():
        assert float(task.loss(batch)) < float(before)

    run = Run.create(tmp_path, recipe, "tiny")
    save_network(run, prepared, network)
    again = load_network(run.recipe, prepared.shape, run).cpu()
    assert again is not network
    assert torch.equal(again(batch), network.eval()(batch))
    PREDICTED[cell.task](again, prepared, batch)


def forecasts(network: Any, prepared: Any, batch: Any) -> None:
    found = forecast.predict(network, [batch])
    assert found.shape == (BATCH, matrix.HORIZON, prepared.shape.outputs) and np.isfinite(found).all()
    assert found.std(0).max() > 0


def probabilities(network: Any, prepared: Any, batch: Any) -> None:
    rows, classes = prepared.collection("val"), len(prepared.frame.classes)
    found = classify.predict(network, rows.batches(64), classes)
    assert found.shape == (len(rows), classes) and np.isfinite(found).all() and found.std(0).max() > 0


def likelihoods(network: Any, prepared: Any, batch: Any) -> None:
    asked = next(iter(prepared.rows("val").batches(BATCH)))
    with torch.no_grad():
        logits, nats = network(asked), token_losses(network, asked)
    assert logits.shape == (*asked.tokens.shape, prepared.shape.symbols) and nats.shape == asked.tokens.shape
    told = nats[asked.target_mask]
    assert len(told) and bool(told.isfinite().all()) and float(told.min()) > 0 and float(told.std()) > 0


def answers(network: Any, prepared: Any, batch: Any) -> None:
    rows, target = prepared.rows("val"), prepared.target
    found = answer(said(network, rows, target, "one"), target, 1.0)
    assert np.isfinite(found).all() and found.std(0).max() > 0
    if target.kind == "number":
        assert found.shape == (len(rows),)
    else:
        assert found.shape == (len(rows), len(target.classes))
        np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)


PREDICTED = {"forecast": forecasts, "classify": probabilities, "pretrain": likelihoods, "finetune": answers}


@pytest.mark.parametrize("cell", [cell for cell in matrix.walk() if cell.refused], ids=str)
def test_what_cannot_be_is_refused_on_data_in_the_same_words(cell: Cell, prepare: Any) -> None:
    with pytest.raises(SeqsciError, match=re.escape(cell.refused)):
        recipe = recipe_of(cell)
        build(recipe.task, recipe.model, prepare(recipe).shape)


def test_the_walk_has_every_encoder_alone_and_within_others_at_every_task_and_form() -> None:
    plain = set(registry.names()) - registry.AROUND.keys()
    assert {"hmt", "patched"} == registry.AROUND.keys() and {"t2", "informer"} < plain
    walked = {(cell.encoder, cell.task) for cell in matrix.walk()}
    assert walked == {(name, task) for one in plain for name in (one, f"hmt/{one}", f"patched/{one}") for task in TASKS}
    assert {cell.data for cell in matrix.walk()} == {
        "demo-electricity", "demo-photometry", "demo-dna", "demo-proteins", "demo-molecules", "demo-promoters",
    }  # fmt: skip
    told = {(c.encoder, c.objective, c.direction) for c in matrix.walk() if c.task == "pretrain" and not c.refused}
    for name in ("bioxlstm", "transformer", "hmt/bioxlstm", "hmt/transformer"):
        forms = {("causal", "forward"), ("masked", "forward"), ("masked", "both"), ("fim", "forward")}
        assert {(o, d) for encoder, o, d in told if encoder == name} == forms
    for name in ("t2", "fcn", "hmt/t2", "hmt/fcn"):
        assert {(o, d) for encoder, o, d in told if encoder == name} == {("masked", "")}
    for task in ("pretrain", "finetune"):
        for name in ("informer", "hmt/informer"):
            assert "says nothing of each single token" in matrix.refused(name, task)


def test_the_table_is_the_walk(capsys: pytest.CaptureFixture[str]) -> None:
    head, *lines = printed(capsys, "models").splitlines()
    assert head.split() == list(TASKS)
    starts = [head.index(task) for task in TASKS]
    rows = dict(zip(matrix.encoders(), lines, strict=False))
    for encoder, line in rows.items():
        assert line[: starts[0]].strip() == matrix.words(encoder)
        for task, begin, end in zip(TASKS, starts, [*starts[1:], None], strict=True):
            cells = [cell for cell in matrix.walk() if (cell.encoder, cell.task) == (encoder, task)]
            forms = {cell.objective or "x" for cell in cells if not cell.refused} or {"-"}
            marks = set(line[begin:end].split())
            assert marks - {"*"} == forms
            assert ("*" in marks) == ((encoder, task) in matrix.shipped())


def test_a_recipe_is_starred_only_where_it_works() -> None:
    assert all(not matrix.refused(encoder, task) for encoder, task in matrix.shipped())


@pytest.mark.parametrize("name", [*registry.names(), "hmt/t2", "patched/t2"])
def test_one_encoder_is_told_with_its_settings_recipes_and_reasons(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, "models", name)
    own = {"hmt": "segment", "patched": "patch"}.get(name.partition("/")[0], "width")
    assert f"--model.{own}" in text and "arXiv" in text
    told = " ".join(text.split())
    for cell in matrix.walk():
        if name in (cell.encoder, cell.encoder.partition("/")[0]):
            both = cell.refused.replace(f"not for {catalog.card(cell.data).domain}", "not for genomics or molecules")
            assert cell.refused in told or both in told
    for (encoder, _), recipes in matrix.shipped().items():
        if name in (encoder, encoder.partition("/")[0]):
            assert all(recipe in told for recipe in recipes)


@pytest.mark.parametrize("name", ["hmt", "patched", "t2", "hmt/t2"])
def test_what_is_said_of_one_encoder_is_said_once(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "models", name)
    assert "--model.name" not in text
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    abouts = [part.split(" ", 1)[1] for part in paragraphs if part.startswith("[")]
    assert abouts and [" ".join(text.split()).count(reason) for reason in abouts] == [1] * len(abouts)
    assert sum("fim is for proteins" in reason for reason in abouts) <= 1
    does = [tuple(part.splitlines()[1:]) for part in text.split("\n\n") if "\n  forecast" in part]
    assert len(set(does)) == len(does)
    numbers = {int(number) for found in re.findall(r"\[([\d, ]+)\]$", text, re.M) for number in found.split(", ")}
    assert numbers == set(range(1, len(abouts) + 1))


def test_lines_of_models_fit_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert max(map(len, printed(capsys, "models").splitlines())) <= 100


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert end.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "told"), [("infomer", "did you mean 'informer'"), ("hmt/hmt", "hmt goes around no 'hmt'")]
)
def test_an_unknown_model_is_refused(name: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["models", name])
    assert end.value.code == 2 and told in capsys.readouterr().err
