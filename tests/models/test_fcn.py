"""FCN at its published size, beside torch's own layers, and under padding."""

import pytest
import torch
from torch import nn

from seqsci.errors import SeqsciError
from seqsci.models.fcn import FCNEncoder, StepNorm
from seqsci.models.settings import FCNSettings


def encoder(**given: object) -> FCNEncoder:
    """A small one whose running statistics are not those of the start."""
    torch.manual_seed(0)
    made = FCNEncoder(FCNSettings(width=12, **given))
    for _ in range(3):
        made.train()(torch.randn(8, 20, 12) * 2 + 1, torch.ones(8, 20, dtype=torch.bool))
    return made.eval()


def test_the_published_size() -> None:
    """Convolutions 8 x 128, 5 x 256, 3 x 128 on 128 channels with offsets, and two numbers of norm per filter."""
    convolutions = 128 * 128 * 8 + 128 + 128 * 256 * 5 + 256 + 256 * 128 * 3 + 128
    made = FCNEncoder(FCNSettings())
    assert sum(p.numel() for p in made.parameters()) == convolutions + 2 * (128 + 256 + 128)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_it_equals_torchs_own_layers() -> None:
    made, layers = encoder(), []
    for block in made.blocks:
        own = block.convolution
        same = nn.Conv1d(own.in_channels, own.out_channels, own.kernel_size, padding="same")
        norm = nn.BatchNorm1d(own.out_channels)
        same.load_state_dict(own.state_dict())
        norm.load_state_dict(block.norm.state_dict())
        layers += [same, norm, nn.ReLU()]
    x = torch.randn(4, 15, 12)
    expected = nn.Sequential(*layers).eval()(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(made(x, torch.ones(4, 15, dtype=torch.bool)), expected, rtol=1e-5, atol=1e-6)


def test_appended_padding_changes_nothing() -> None:
    made, x = encoder(), torch.randn(3, 17, 12)
    longer = torch.cat([x, torch.full((3, 40, 12), 77.0)], 1)
    mask = torch.arange(57).expand(3, 57) < 17
    padded = made(longer, mask)
    torch.testing.assert_close(padded[:, :17], made(x, mask[:, :17]), rtol=1e-5, atol=1e-6)
    assert not padded[:, 17:].any()


def test_padding_changes_nothing_in_training_either() -> None:
    short, long = encoder(), encoder()
    x = torch.randn(3, 17, 12)
    mask = torch.arange(30).expand(3, 30) < 17
    before = short.train()(x, mask[:, :17])
    after = long.train()(torch.cat([x, torch.full((3, 13, 12), 77.0)], 1), mask)
    torch.testing.assert_close(after[:, :17], before, rtol=1e-4, atol=1e-5)
    for name, value in short.state_dict().items():
        torch.testing.assert_close(long.state_dict()[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("real", [0, 1])
def test_a_batch_of_hardly_any_step(real: int) -> None:
    norm, mask = StepNorm(4).train(), torch.zeros(2, 5, dtype=torch.bool)
    mask[0, :real] = True
    assert norm(torch.randn(2, 4, 5), mask).isfinite().all()


def test_no_kernels() -> None:
    with pytest.raises(SeqsciError, match=r"model\.kernels"):
        FCNSettings(kernels=())
    assert len(encoder(kernels=(3,)).blocks) == 1
