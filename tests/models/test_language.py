"""Every encoder as a language model: causality, padding, streams, and the other strand."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch

from seqsci import registry
from seqsci.data.batch import LanguageShape, TokenBatch
from seqsci.data.records import SPECIALS, Letters
from seqsci.data.rows import Row, ask_hidden, ask_next, ask_nothing
from seqsci.errors import SeqsciError
from seqsci.models import settings as known_settings
from seqsci.nn.language import LanguageNetwork, RowNetwork, mirrored, other_strand
from seqsci.tasks.language import LanguageTask, row_losses, token_losses
from seqsci.training.language.strands import Conjoined

DNA = Letters("ACGT", {"A": "T", "T": "A", "C": "G", "G": "C"})
SHAPE = LanguageShape(symbols=len(DNA.symbols), context=32, complements=tuple(DNA.complements.tolist()))
SMALL: dict[str, Any] = {"width": 32, "heads": 4, "feedforward": 48, "layers": 2, "dropout": 0.0, "distil": False}


def settings_of(name: str, **further: Any) -> Any:
    for value in vars(known_settings).values():
        if isinstance(value, type) and getattr(value, "name", None) == name:
            sizes = {**SMALL, **further}
            return value(**{f.name: sizes[f.name] for f in fields(value) if f.name in sizes})
    raise AssertionError(f"no settings for {name}")


def network_of(name: str, shape: LanguageShape = SHAPE, **further: Any) -> LanguageNetwork:
    torch.manual_seed(0)
    return LanguageNetwork(settings_of(name, **further), shape).eval()


def texts(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), rng.integers(5, 30))) for _ in range(count)]


def rows(count: int, seed: int = 0) -> list[Row]:
    return [Row.of(DNA.encode(text)) for text in texts(count, seed)]


def single(batch: TokenBatch, number: int) -> TokenBatch:
    """One row without its padding."""
    length = int(batch.mask[number].sum())
    cut = {
        f.name: getattr(batch, f.name)[number : number + 1, :length]
        for f in fields(batch)
        if f.name != "index" and getattr(batch, f.name) is not None
    }
    return replace(batch, **cut, index=batch.index[number : number + 1])


def readable() -> list[str]:
    """Encoders that say something of each token."""
    return [name for name in registry.names() if network_or_none(name) is not None]


def network_or_none(name: str) -> LanguageNetwork | None:
    try:
        return network_of(name)
    except SeqsciError:
        return None


every = pytest.mark.parametrize("name", readable())


@pytest.mark.parametrize("distil", [True, False])
def test_an_encoder_that_shortens_or_reads_padding_is_refused_by_name(distil):
    with pytest.raises(SeqsciError, match="'informer' says nothing of each single token"):
        network_of("informer", distil=distil)


@every
def test_padding_and_neighbours_change_nothing(name):
    network = network_of(name)
    asked = ask_next(rows(5), range(5))
    whole = network(asked)
    for number in range(5):
        alone = network(single(asked, number))[0]
        torch.testing.assert_close(whole[number, : len(alone)], alone, atol=2e-5, rtol=1e-4)


@every
def test_a_causal_model_sees_no_future_and_another_does(name):
    network = network_of(name)
    asked = ask_next([Row.of(DNA.encode("ACGTACGTAC"))], [0])
    changed = asked.tokens.clone()
    changed[0, 6] = (changed[0, 6] - len(SPECIALS) + 1) % 4 + len(SPECIALS)
    gap = (network(asked) - network(replace(asked, tokens=changed))).abs().amax(-1)[0]
    assert gap[6:].max() > 1e-6
    if network.encoder.causal:
        assert gap[:6].max() == 0
    else:
        assert gap[:6].max() > 1e-7


@every
def test_the_loss_falls_and_is_that_of_the_rows(name):
    torch.manual_seed(0)
    network = network_of(name)
    causal = network.encoder.causal
    given = rows(16)
    draws = [np.random.default_rng(i) for i in range(16)]
    batch = ask_next(given, range(16)) if causal else ask_hidden(given, range(16), SHAPE.symbols, draws)
    with torch.no_grad():
        before = float(token_losses(network, batch).sum())
    np.testing.assert_allclose(row_losses(network, [batch], 16)[:, 0].sum(), before, rtol=1e-5)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    task = LanguageTask(network.train(), None, 1)  # type: ignore[arg-type] # the loss reads no optimisation
    for _ in range(8):
        loss = task.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert float(token_losses(network.eval(), batch).sum()) < 0.95 * before


@pytest.mark.parametrize("name", ["bioxlstm", "transformer"])
def test_a_stream_is_the_whole(name):
    network = network_of(name)
    asked = ask_next([Row.set([DNA.encode("ACGTTGCA"), DNA.encode("GGAT")])], [0])
    whole, state, parts = network(asked), network.initial_state(1), []
    for begin, end in ((0, 3), (3, 4), (4, 11), (11, asked.tokens.shape[1])):
        logits, state = network.advance(asked.tokens[:, begin:end], asked.positions[:, begin:end], state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-4)


SHARED = {
    "mLSTM": ("bioxlstm", {"direction": "both"}),
    "mLSTM later": ("bioxlstm", {"direction": "both", "style": "later"}),
    "sLSTM": ("bioxlstm", {"direction": "both", "slstm_at": (0, 1)}),
    "rotary": ("bioxlstm", {"direction": "both", "rotary": 1e4}),
    "transformer": ("transformer", {"direction": "both"}),
    "t2": ("t2", {}),
}


def turn(x: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
    """(B, L, ...) with the letters' places in the opposite order; <begin> and <end> stay."""
    return x.gather(1, mirrored(batch).unsqueeze(-1).expand_as(x))


def test_the_other_strand_is_the_row_of_the_reverse_complement():
    ahead = DNA.encode("ACGTTTGCA")
    for ended in (True, False):
        batch = ask_nothing([Row.of(ahead, ended), Row.of(ahead[:3], ended)], range(2))
        other = other_strand(batch, torch.tensor(DNA.complements))
        back = [DNA.complements[tokens[::-1]].astype(np.uint8) for tokens in (ahead, ahead[:3])]
        wanted = ask_nothing([Row.of(tokens, ended) for tokens in back], range(2))
        assert torch.equal(other.tokens, wanted.tokens) and torch.equal(other.positions, wanted.positions)


@pytest.mark.parametrize("kind", SHARED)
def test_shared_strands_say_the_same_of_both(kind):
    """f(rc(x)) = rc(f(x)) to 1e-6, as no other code has it for mLSTM."""
    name, further = SHARED[kind]
    network = network_of(name, replace(SHAPE, shared=True), **further).double()
    given = [Row.of(DNA.encode(text)) for text in texts(4)]
    batch = ask_hidden(given, range(4), SHAPE.symbols, [np.random.default_rng(i) for i in range(4)])
    other = other_strand(batch, network.complements)
    ahead, back = network(batch), network(other)
    turned = turn(back, batch)[..., network.complements]
    real = batch.mask.unsqueeze(-1)
    assert (ahead * real - turned * real).abs().max() < 1e-6
    torch.testing.assert_close(
        network.states(batch) * real, turn(network.states(other), batch) * real, atol=1e-6, rtol=0
    )


def test_strands_that_are_not_shared_differ():
    network = network_of("bioxlstm", direction="both").double()
    batch = ask_hidden(rows(2), range(2), SHAPE.symbols, [np.random.default_rng(i) for i in range(2)])
    other = other_strand(batch, network.complements)
    turned = turn(network(other), batch)[..., network.complements]
    assert ((network(batch) - turned) * batch.mask.unsqueeze(-1)).abs().max() > 1e-4


def test_a_causal_model_cannot_share_strands():
    with pytest.raises(SeqsciError, match="would see what it is to tell"):
        network_of("bioxlstm", replace(SHAPE, shared=True))


def test_conjoined_strands_say_the_same_of_both():
    """<begin> and <end> stay where they are, the letters between them are turned."""
    network = Conjoined(network_of("bioxlstm", direction="both").double())
    text = "ACGTTTGCA"
    pairs = DNA.complements
    ahead = DNA.encode(text)
    back = pairs[ahead[::-1]].astype(np.uint8)
    for ended in (True, False):
        batches = [ask_next([Row.of(tokens, ended)], [0]) for tokens in (ahead, back)]
        whole = [
            replace(
                batch,
                tokens=torch.tensor([row.tokens.tolist()]),
                positions=torch.tensor([row.positions.tolist()]),
                mask=torch.ones(1, len(row), dtype=torch.bool),
            )
            for batch, row in zip(batches, [Row.of(ahead, ended), Row.of(back, ended)], strict=True)
        ]
        first, second = (network(batch)[0, 1 : 1 + len(text)] for batch in whole)
        torch.testing.assert_close(first, second.flip(0)[:, network.network.complements], atol=1e-9, rtol=0)


def test_a_model_of_whole_rows_reads_padding_as_nothing():
    torch.manual_seed(0)
    network = RowNetwork(settings_of("bioxlstm"), replace(SHAPE, outputs=3)).eval()
    asked = ask_next(rows(4), range(4))
    whole = network(asked)
    assert whole.shape == (4, 3)
    for number in range(4):
        torch.testing.assert_close(network(single(asked, number))[0], whole[number], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_a_model_of_whole_rows_with_shared_strands_says_the_same_of_both(direction):
    """A causal encoder may share them as well: of a whole row nothing is hidden."""
    torch.manual_seed(0)
    network = RowNetwork(settings_of("bioxlstm", direction=direction), replace(SHAPE, outputs=3, shared=True)).eval()
    given = [DNA.encode(text) for text in texts(4)]
    back = [DNA.complements[tokens[::-1]].astype(np.uint8) for tokens in given]
    said = [network(ask_nothing([Row.of(tokens) for tokens in one], range(4))) for one in (given, back)]
    torch.testing.assert_close(said[0], said[1], atol=1e-5, rtol=1e-4)
    assert (said[0] - said[0][:1]).abs().max() > 1e-3
