"""Informer against the authors' implementation, and what it promises beyond it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from seqsci.data.batch import Batch, Shape
from seqsci.errors import SeqsciError
from seqsci.models.informer import Informer, InformerEncoder, from_reference
from seqsci.models.settings import InformerSettings
from seqsci.nn.attention import KeySampler

NUMBERS = Path(__file__).parents[1] / "fixtures" / "informer_reference.npz"
SMALL = InformerSettings(width=16, heads=2, feedforward=32, layers=2, label_length=12, dropout=0.0)
SHAPE = Shape(context=24, horizon=8, channels=3, outputs=3, marks=4, output_index=(0, 1, 2))


def random_batch(size: int = 2, seed: int = 0, shape: Shape = SHAPE) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    return Batch(
        values=torch.randn(size, shape.context, shape.channels, generator=draw),
        mask=torch.ones(size, shape.context, dtype=torch.bool),
        times=torch.rand(size, shape.context, shape.marks, generator=draw) - 0.5,
        future_times=torch.rand(size, shape.horizon, shape.marks, generator=draw) - 0.5,
        index=torch.arange(size),
        target=torch.randn(size, shape.horizon, shape.outputs, generator=draw),
        target_mask=torch.ones(size, shape.horizon, shape.outputs, dtype=torch.bool),
    )


@pytest.mark.parametrize(("kind", "changes"), [("single", {}), ("stack", {"stack": (2, 1)})])
def test_equals_the_authors_implementation(kind, changes, monkeypatch):
    numbers = {n.removeprefix(f"{kind}/"): v for n, v in np.load(NUMBERS).items() if n.startswith(f"{kind}/")}
    settings = replace(SMALL, sampling="per-query", mix=True, factor=1, **changes)
    net = Informer(settings, SHAPE).eval()
    state = {n.removeprefix("state/"): torch.from_numpy(v) for n, v in numbers.items() if n.startswith("state/")}
    net.load_state_dict(from_reference(state))
    samples = (torch.from_numpy(numbers[f"sample/{i}"]).long() for i in range(100))
    monkeypatch.setattr(KeySampler, "forward", lambda self, queries, keys: next(samples))
    inputs = {n: torch.from_numpy(numbers[n]) for n in ("values", "times", "future_times")}
    with torch.no_grad():
        ours = net(Batch(**inputs, mask=torch.ones(2, 24, dtype=torch.bool), index=torch.arange(2)))
    torch.testing.assert_close(ours, torch.from_numpy(numbers["output"]), rtol=1e-5, atol=1e-5)


def test_a_foreign_weight_is_refused():
    with pytest.raises(SeqsciError, match="no weight of the authors' Informer"):
        from_reference({"transformer.h.0.weight": torch.zeros(2, 2)})


@pytest.mark.parametrize("decoder", ["generative"])
def test_a_large_factor_is_exact_attention(decoder):
    torch.manual_seed(0)
    sparse = Informer(replace(SMALL, factor=100), SHAPE).eval()
    exact = Informer(replace(SMALL, attention="full"), SHAPE).eval()
    exact.load_state_dict({n: t for n, t in sparse.state_dict().items() if "sampler" not in n})
    torch.testing.assert_close(sparse(random_batch()), exact(random_batch()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sampling", ["shared", "per-query"])
def test_the_same_input_gives_the_same_bits_whatever_the_global_seed(sampling):
    net = Informer(replace(SMALL, factor=1, sampling=sampling), SHAPE)
    net.train()(random_batch())
    net.eval()
    torch.manual_seed(1)
    first = net(random_batch())
    torch.manual_seed(2)
    assert torch.equal(first, net(random_batch()))


def test_training_draws_new_keys_and_goes_on_with_them_after_a_reload():
    sampler = KeySampler("shared", 1, 0).train()
    first, second = sampler(100, 100), sampler(100, 100)
    assert not torch.equal(first, second)
    resumed = KeySampler("shared", 1, 0).train()
    resumed.load_state_dict({"drawn": torch.tensor(1)})
    assert torch.equal(resumed(100, 100), second)


def test_every_parameter_gets_a_gradient():
    net = Informer(replace(SMALL, layers=3, decoder_layers=2), SHAPE)
    net(random_batch()).square().sum().backward()
    # A bias of the keys moves all scores of a query alike, and one before a batch norm all its inputs alike.
    free = ("key.bias", "conv.bias")
    silent = [n for n, p in net.named_parameters() if p.grad is None or (not p.grad.any() and not n.endswith(free))]
    assert silent == []


def test_distilling_halves_and_the_stack_reads_the_end():
    x, mask = torch.randn(2, 25, 16), torch.ones(2, 25, dtype=torch.bool)
    assert InformerEncoder(replace(SMALL, layers=3))(x, mask).shape == (2, 7, 16)
    assert InformerEncoder(replace(SMALL, distil=False))(x, mask).shape == (2, 25, 16)
    assert InformerEncoder(replace(SMALL, stack=(2, 1)))(x, mask).shape == (2, 13 + 12, 16)


def test_impossible_pairs_are_refused():
    with pytest.raises(SeqsciError, match=r"model\.label_length: 25"):
        Informer(replace(SMALL, label_length=25), SHAPE)
    with pytest.raises(SeqsciError, match=r"model\.stack: 6 encoders"):
        Informer(replace(SMALL, stack=(1,) * 6), SHAPE)
    with pytest.raises(SeqsciError, match=r"model\.heads: 3 heads do not divide"):
        replace(SMALL, heads=3)
