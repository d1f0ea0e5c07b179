"""Patched: the linear path is in closed form, each channel is by itself, and training adds only what validation likes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import seqsci
from seqsci.data.batch import Batch, Shape
from seqsci.errors import SeqsciError
from seqsci.models import slopes
from seqsci.models.baselines import Span
from seqsci.models.patched import Patched, PatchedEncoder, patches
from seqsci.models.settings import InformerSettings, PatchedSettings, T2Settings, TransformerSettings
from seqsci.nn.head import build
from seqsci.recipe import ForecastData, ForecastRecipe, resolve

CONTEXT, HORIZON = 48, 6
SHAPE = Shape(context=CONTEXT, horizon=HORIZON, channels=3, outputs=2, marks=4, output_index=(2, 0))
ENCODER = TransformerSettings(width=16, heads=2, layers=1, feedforward=16, direction="both")
SETTINGS = PatchedSettings(encoder=ENCODER, patch=8, stride=5)


def network(settings: PatchedSettings = SETTINGS, shape: Shape = SHAPE, awake: bool = True) -> Patched:
    """Awake: the head of the encoder is not 0."""
    torch.manual_seed(0)
    made = build("forecast", settings, shape)
    assert isinstance(made, Patched)
    if awake:
        torch.nn.init.normal_(made.head.weight, std=0.1)
    return made.eval()


def batch(rows: int = 4, channels: int = 3) -> Batch:
    draw = torch.Generator().manual_seed(1)
    return Batch(
        values=torch.randn(rows, CONTEXT, channels, generator=draw).cumsum(1),
        mask=torch.ones(rows, CONTEXT, dtype=torch.bool),
        times=torch.rand(rows, CONTEXT, 4, generator=draw) - 0.5,
        future_times=torch.rand(rows, HORIZON, 4, generator=draw) - 0.5,
        index=torch.arange(rows),
    )


def spans(rows: int = 900) -> tuple[np.ndarray, Span, Span]:
    draw = np.random.default_rng(0)
    values = np.sin(np.arange(rows) * 2 * np.pi / 24)[:, None] + draw.normal(size=(rows, 2)) * 0.3
    seen = np.ones_like(values, dtype=bool)
    return values, Span(values, seen, np.arange(CONTEXT, 600)), Span(values, seen, np.arange(600, 890))


def test_the_linear_path_alone_is_the_one_in_closed_form() -> None:
    values, train, val = spans()
    made = network(shape=replace(SHAPE, channels=2, output_index=(0, 1), season=4), awake=False)
    found = made.solve(train, val)
    assert made.own.shape == (2, 28, HORIZON) and made.own.any() and made.shared.any() and made.offset.any()
    rows = val.origins[:, None] + np.arange(-CONTEXT, 0)
    x = values[rows] - values[val.origins - 1][:, None]
    expected = np.einsum("wlc,lh->whc", x, found.shared) + np.einsum("wnc,cnh->whc", x[:, -28:], found.own)
    expected += found.offset.T + values[val.origins - 1][:, None]
    given = replace(batch(len(rows), 2), values=torch.from_numpy(values[rows]).float())
    np.testing.assert_allclose(made(given).detach().numpy(), expected, atol=1e-5)


def test_it_repeats_the_last_value_before_anything_is_solved() -> None:
    given = batch()
    expected = given.values[:, -1:, [2, 0]].expand(-1, HORIZON, -1)
    torch.testing.assert_close(network(awake=False)(given), expected)


def test_channels_do_not_know_each_other() -> None:
    made, given = network(), batch()
    for weights in (made.shared, made.own):
        torch.nn.init.normal_(weights, std=0.1)
    turned = network(shape=replace(SHAPE, output_index=(0, 2)))
    state = made.state_dict()
    turned.load_state_dict({**state, **{name: state[name].flip(0) for name in ("own", "offset")}})
    torch.testing.assert_close(turned(given), made(given)[..., [1, 0]])
    other = given.values.clone()
    other[..., 1:] += 3 * torch.randn_like(other[..., 1:])
    torch.testing.assert_close(made(replace(given, values=other))[..., 1], made(given)[..., 1])


def test_a_window_that_is_shifted_and_stretched_has_such_a_forecast() -> None:
    made, given = network(), batch()
    for weights in (made.shared, made.own):
        torch.nn.init.normal_(weights, std=0.1)
    shift, scale = torch.tensor([5.0, -3.0, 20.0]), torch.tensor([0.5, 3.0, 10.0])
    moved = made(replace(given, values=given.values * scale + shift))
    torch.testing.assert_close(moved, made(given) * scale[[2, 0]] + shift[[2, 0]], rtol=1e-3, atol=1e-3)


def test_the_linear_path_is_not_trained() -> None:
    made = network().train()
    made(batch()).square().sum().backward()
    trained = {name for name, _ in made.named_parameters()}
    solved = {"shared", "own", "offset"}
    assert not trained & solved and solved <= set(made.state_dict())
    assert all(p.grad is not None for p in made.parameters())


@pytest.mark.parametrize("encoder", [ENCODER, T2Settings(width=16, heads=2), InformerSettings(width=16, heads=2)])
def test_patches_are_read_in_order_and_to_the_last_step(encoder: object) -> None:
    torch.manual_seed(0)
    made = PatchedEncoder(PatchedSettings(encoder=encoder, patch=8, stride=5)).eval()  # type: ignore[arg-type]
    x, mask = torch.randn(2, 21, 16), torch.ones(2, 21, dtype=torch.bool)
    states, real = made.encode(x, mask)
    assert real is None and states.shape[1] in (patches(21, 8, 5), (patches(21, 8, 5) + 1) // 2)
    assert patches(21, 8, 5) == 4 and patches(8, 8, 8) == 1 and patches(9, 8, 8) == 2
    for step in (0, 20):
        changed = x.clone()
        changed[:, step] += 1
        assert not torch.allclose(made(changed, mask), states)
    swapped = torch.cat([x[:, 8:16], x[:, :8], x[:, 16:]], 1)
    assert not torch.allclose(made(swapped, mask).mean(1), states.mean(1), atol=1e-4)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(SeqsciError, match=r"model\.stride: 9 steps"):
        PatchedSettings(patch=8, stride=9)
    with pytest.raises(SeqsciError, match=r"data\.level"):
        ForecastRecipe(data=ForecastData(name="etth1", level="mean"), model=SETTINGS)
    with pytest.raises(SeqsciError, match=r"data\.covariates: .* model\.decoder to linear"):
        ForecastRecipe(data=ForecastData(name="etth1", covariates=("holiday",)), model=SETTINGS)
    with pytest.raises(SeqsciError, match=r"data\.inputs"):
        ForecastRecipe(data=ForecastData(name="etth1", target="OT", inputs="all"), model=SETTINGS)
    with pytest.raises(SeqsciError, match=r"model\.encoder\.name: no encoder 'hmt' that reads patches"):
        resolve("forecast", recipe="forecast/best", changes={"model.encoder.name": "hmt"})
    deep = PatchedSettings(encoder=InformerSettings(width=16, heads=2, layers=5), patch=8)
    with pytest.raises(SeqsciError, match=r"model\.encoder\.layers: .* model\.patch 8 makes 6 of a context of 48"):
        build("forecast", deep, SHAPE)


@pytest.mark.parametrize("name", ["informer", "t2", "bioxlstm"])
def test_another_encoder_takes_of_the_recipe_what_it_knows(name: str) -> None:
    changes = {"model.encoder.name": name, "model.encoder.heads": 2}
    found = resolve("forecast", recipe="forecast/best", changes=changes)[0].model
    assert isinstance(found, PatchedSettings) and found.encoder.name == name
    assert (found.encoder.width, found.encoder.heads) == (16, 2)
    with pytest.raises(SeqsciError, match=r"model\.encoder\.rate: no such setting"):
        resolve("forecast", recipe="forecast/best", changes={**changes, "model.encoder.rate": 2})


def test_training_that_validation_does_not_like_is_not_kept(tmp_path) -> None:
    harm = {"data.context": CONTEXT, "train.lr": 3.0, "train.epochs": 1, "model.patch": 12}
    made = seqsci.forecast(
        "demo-electricity", recipe="forecast/best", horizon=HORIZON, settings=harm, runs=tmp_path, quiet=True
    )
    assert made.metrics["val"]["best_epoch"] == 0
    assert made.metrics["val"]["mse"] == pytest.approx(made.metrics["val"]["best_loss"], rel=1e-4)
    assert made.metrics["ridge_context"] in (CONTEXT, 96, 336, 512, 720) and made.metrics["ridge_penalty"] > 0
    solved = made.metrics["solved"]
    assert solved["penalty"] in slopes.PENALTIES and solved["width"] == 0
    assert solved["own_penalty"] in (*slopes.OWN_PENALTIES[:-1], None)
    page = (made.folder / "report.html").read_text()
    assert "Of the linear path, slopes that all series share" in page and "there is no mean over days" in page
    assert f"Ridge reads {made.metrics['ridge_context']} steps" in page and "solved in closed form" in page
