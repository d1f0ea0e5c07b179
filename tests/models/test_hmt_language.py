"""HMT as a language model: streams, strands, sets, what is refused, and the two stages of its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import seqsci
from seqsci.data.batch import LanguageShape, TokenBatch
from seqsci.data.records import BEGIN
from seqsci.errors import SeqsciError
from seqsci.models.settings import BioXLSTMSettings, HMTSettings, T2Settings, TransformerSettings
from seqsci.nn.language import LanguageNetwork
from seqsci.recipe import build, resolve
from seqsci.recipe.text import parse_changes
from seqsci.runs import Run
from seqsci.tasks.sliding import sliding_losses
from seqsci.training.fit import load_network
from seqsci.training.language.load import language_shape
from seqsci.training.pretrain.start import load_start

INNER: list[Any] = [
    BioXLSTMSettings(width=16, heads=2, layers=1),
    TransformerSettings(width=16, heads=2, layers=1),
    T2Settings(width=16, heads=2, dropout=0.0),
]
inner = pytest.mark.parametrize("encoder", INNER, ids=lambda one: one.name)


def batch(rows: int, steps: int, restarts: int = 0) -> TokenBatch:
    draw = torch.Generator().manual_seed(0)
    positions = torch.arange(steps).expand(rows, -1)
    return TokenBatch(
        tokens=torch.randint(5, 9, (rows, steps), generator=draw),
        mask=torch.ones(rows, steps, dtype=torch.bool),
        positions=positions % restarts if restarts else positions,
        index=torch.arange(rows),
    )


def network(encoder: Any, shared: bool = False, **wanted: Any) -> LanguageNetwork:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"segment": 8, "memory": 4, "sensory": 2, "summary": 4} | wanted
    complements = (0, 1, 2, 3, 4, 8, 7, 6, 5) if shared else ()
    shape = LanguageShape(symbols=9, context=40, complements=complements, shared=shared)
    return LanguageNetwork(HMTSettings(encoder=encoder, **sizes), shape).eval()


@pytest.mark.parametrize("restarts", [0, 13])
@pytest.mark.parametrize("encoder", INNER[:2], ids=lambda one: one.name)
def test_a_stream_of_tokens_is_the_row(encoder: Any, restarts: int) -> None:
    made, given = network(encoder), batch(3, 40, restarts)
    whole, state, out = made(given), made.initial_state(3), []
    for part in torch.arange(40).split([1, 1, 11, 20, 7]):
        logits, state = made.advance(given.tokens[:, part], given.positions[:, part], state)
        out.append(logits)
    torch.testing.assert_close(torch.cat(out, 1), whole, rtol=1e-4, atol=1e-5)


@inner
def test_order_is_seen_within_a_segment(encoder: Any) -> None:
    """Also by an encoder that takes no positions, which HMT gives a code."""
    made, given = network(encoder, memory=0, sensory=0), batch(1, 8)
    turned = TokenBatch(**{**vars(given), "tokens": given.tokens.flip(1)})
    assert (made(turned).flip(1) - made(given)).abs().max() > 1e-3


def test_both_strands_with_the_same_weights() -> None:
    made = network(INNER[2], shared=True)
    given = batch(2, 40)
    given.tokens[:, 0] = BEGIN
    other = TokenBatch(
        **{**vars(given), "tokens": torch.cat([given.tokens[:, :1], made.complements[given.tokens[:, 1:].flip(1)]], 1)}
    )
    turned = made(other)[:, 1:].flip(1)[..., made.complements]
    torch.testing.assert_close(turned, made(given)[:, 1:], rtol=1e-4, atol=1e-5)


def recipe(**changes: str) -> Any:
    tree = {
        "task": "pretrain",
        "data": {"name": "demo-dna", "context": 64},
        "model": {"name": "hmt", "encoder": {"name": "bioxlstm", "width": 64}, "segment": 16, "sensory": 4},
    }
    given = parse_changes([f"{path.replace('__', '.')}={value}" for path, value in changes.items()])
    return build(tree).with_(given)  # type: ignore[arg-type]


def test_flags_reach_the_encoder_and_files_keep_it() -> None:
    made = recipe(model__encoder__width="32", model__encoder__slstm_at="1,2", model__memory="5")
    assert made.model.encoder == BioXLSTMSettings(width=32, slstm_at=(1, 2)) and made.model.memory == 5
    assert (made.model.width, made.model.dropout, made.model.direction) == (32, 0.0, "forward")
    assert build(yaml.safe_load(made.to_yaml())) == made
    assert made.flat()["model.encoder.width"] == 32


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("model__encoder__widht", "3", r"model\.encoder\.widht: no such setting; did you mean 'width'"),
        ("model__encoder__heads", "5", r"model\.encoder\.heads: 5 heads do not divide model\.encoder\.width 64"),
        ("model__encoder__heads", "x", r"model\.encoder\.heads: input should be a valid integer"),
        ("model__encoder__name", "hmt", r"model\.encoder\.name: no encoder 'hmt' to put a memory around"),
        ("model__summary", "40", r"model\.segment: 16 steps are fewer than the 40"),
        ("model__sensory", "20", r"model\.sensory: 20 steps are more than the 16"),
        ("model__carry_state", "true", r"model\.carry_state: .* 4 sensory steps"),
        ("model__inject", "front", r"model\.inject: with front the first 8 of 16 steps .* front-leaks"),
    ],
)
def test_settings_that_do_not_fit(path: str, value: str, told: str) -> None:
    with pytest.raises(SeqsciError, match=told):
        recipe(**{path: value})


def test_front_may_be_asked_for_by_name_or_where_nothing_is_hidden() -> None:
    assert recipe(model__inject="front-leaks").model.leaks
    assert recipe(model__inject="front", train__objective="masked").model.leaks
    assert not recipe(model__inject="front", model__memory="1").model.leaks


TINY = {
    "data.count": 2, "train.rows": 16, "train.epochs": 1, "train.batch": 8, "model.encoder.width": 16,
    "model.encoder.heads": 2, "model.encoder.layers": 1, "evaluate.resamples": 100, "evaluate.baselines": ["markov"],
    "data.context": 64, "model.segment": 16, "model.sensory": 4,
}  # fmt: skip


def test_two_stages(tmp_path: Path) -> None:
    """The second begins with the first's weights, and with a retrieval of its own."""
    first = seqsci.pretrain("demo-dna", "hmt", recipe="pretrain/hmt-stage1", settings=TINY, runs=tmp_path, quiet=True)
    settings = {**TINY, "train.start": str(first.folder), "train.lr": 1e-9}
    second = seqsci.pretrain("demo-dna", "hmt", settings=settings, runs=tmp_path, quiet=True)
    shape = language_shape("genomics", second.run.recipe.data)  # type: ignore[arg-type]
    old, new = (dict(load_network(run.recipe, shape, run).named_parameters()) for run in (first.run, second.run))
    assert {name for name in new if name not in old} == {
        "encoder.topic", "encoder.retrieval.query.weight", "encoder.retrieval.key.weight",
    }  # fmt: skip
    for name, weight in old.items():
        torch.testing.assert_close(new[name], weight, rtol=1e-4, atol=1e-5)
    other, _ = resolve("pretrain", data="demo-dna", model="hmt", changes={**settings, "model.encoder.width": 32})
    with pytest.raises(SeqsciError, match=r"train\.start: the network of .* is another one"):
        load_start(LanguageNetwork(other.model, shape), str(first.folder), "genomics")
    with pytest.raises(SeqsciError, match="reads genomics"):
        load_start(LanguageNetwork(first.run.recipe.model, shape), str(first.folder), "proteins")
    assert Run(second.folder).recipe.model.memory == 300  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["pretrain/hmt-t2", "pretrain/hmt-transformer"])
def test_recipes_around_other_encoders(name: str, tmp_path: Path) -> None:
    result = seqsci.pretrain("demo-dna", "hmt", recipe=name, settings=TINY, runs=tmp_path, quiet=True)
    assert result.metrics["test"]["nats"] < 5


def test_a_sliding_window_tells_each_token_once_by_what_stands_before_it() -> None:
    torch.manual_seed(0)
    made = LanguageNetwork(INNER[1], LanguageShape(symbols=9, context=16)).eval()
    tokens = batch(1, 30).tokens[0]
    slid = sliding_losses(made, tokens, window=8, stride=1)
    assert slid.shape == (29,)
    for t in (0, 3, 7, 8, 20, 28):
        first = max(0, t - 7)
        part = tokens[first : t + 1][None]
        ones = torch.ones_like(part, dtype=torch.bool)
        logits = made(TokenBatch(tokens=part, mask=ones, positions=torch.arange(part.shape[1])[None], index=part[:, 0]))
        expected = -logits[0, -1].log_softmax(-1)[tokens[t + 1]]
        torch.testing.assert_close(slid[t], expected, rtol=1e-4, atol=1e-5)
    apart = sliding_losses(made, tokens, window=8, stride=8)
    torch.testing.assert_close(apart[:8], slid[:8], rtol=1e-4, atol=1e-5)
    assert sliding_losses(made, tokens[:5], window=8, stride=4).shape == (4,)
    with pytest.raises(SeqsciError, match="stride"):
        sliding_losses(made, tokens, window=8, stride=9)
