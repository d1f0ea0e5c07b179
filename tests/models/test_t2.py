"""t2 at its published setting, and beside torch's own transformer layer."""

import torch
from torch import Tensor, nn

from seqsci.models.settings import T2Settings
from seqsci.models.t2 import EPSILON, T2Encoder


def test_the_published_block_has_12704_parameters() -> None:
    """Of the 13,390 of the whole network: attention 4224, position-wise 8352, two norms 128."""
    encoder = T2Encoder(T2Settings())
    assert sum(p.numel() for p in encoder.parameters()) == 4224 + 8352 + 128


def test_it_equals_torchs_own_layer() -> None:
    torch.manual_seed(0)
    settings = T2Settings(width=12, heads=3, feedforward=20, layers=2)
    encoder = T2Encoder(settings).eval()
    x, mask = torch.randn(4, 9, 12), torch.ones(4, 9, dtype=torch.bool)
    mask[1, 5:] = False
    expected = x
    for block in encoder.blocks:
        expected = torch_layer(block, settings)(expected, src_key_padding_mask=~mask)
    torch.testing.assert_close(encoder(x, mask)[mask], expected[mask], rtol=1e-5, atol=1e-5)


def torch_layer(block: nn.Module, settings: T2Settings) -> nn.Module:
    """torch.nn.TransformerEncoderLayer with the weights of a block."""
    layer = nn.TransformerEncoderLayer(
        settings.width, settings.heads, settings.feedforward, 0.0, layer_norm_eps=EPSILON, batch_first=True
    )
    own = dict(block.named_parameters())
    with torch.no_grad():
        for kind in ("weight", "bias"):
            joined: list[Tensor] = [own[f"attention.{name}.{kind}"] for name in ("query", "key", "value")]
            getattr(layer.self_attn, f"in_proj_{kind}").copy_(torch.cat(joined))
            getattr(layer.self_attn.out_proj, kind).copy_(own[f"attention.out.{kind}"])
            getattr(layer.linear1, kind).copy_(own[f"feedforward.0.{kind}"])
            getattr(layer.linear2, kind).copy_(own[f"feedforward.2.{kind}"])
            getattr(layer.norm1, kind).copy_(own[f"norm1.{kind}"])
            getattr(layer.norm2, kind).copy_(own[f"norm2.{kind}"])
    return layer.train()  # in evaluation torch takes another path, with zeros at masked steps
