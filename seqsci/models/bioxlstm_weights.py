"""Published weights of Bio-xLSTM and of xLSTM-7B as weights of `LanguageNetwork` (`embedding`, `encoder`, `head`).

Whose they are is read from the names of the tensors, sizes from their shapes; how they are read (one way or both,
positions) from the configuration beside them. Weights of DNA-xLSTM without one are refused: its scripts differ.

    family        published by                               blocks
    dna           ml-jku/DNA-xLSTM                           v1, mLSTM or sLSTM, forward or both ways
    dna-ps        the same, weights shared by both strands   v1, sLSTM
    prot          ml-jku/Prot-xLSTM                          v1, mLSTM, turned over the whole width
    chem          ml-jku/Chem-xLSTM                          v1 of NX-AI/xlstm
    xlstm         NX-AI/xlstm, xlstm_lm_model                the same
    xlstm-large   NX-AI/xlstm, xlstm_large (xLSTM-7B)        later

What is not copied as it stands: norms of the v1 families hold a weight less 1; the map called fgate of an sLSTM is
that of gate i, and igate that of f; a GPU and a CPU order of the recurrent weights, both read; input and forget
gates, and the maps of a gated network, are one matrix here. The 1e-6 that published code adds to what an mLSTM's head
divides by is left out: a norm follows, and in float64 no state of a network of four blocks moved by more than 1e-8 of
itself. In float32 both round by more. Published angles of rotary positions are float32, which is off by 0.01 near
position 131,072; these are not. sLSTM was published in bfloat16.

The other strand of "dna-ps": the published code puts the heads of each sLSTM in opposite order there, so that with
more than one head what it says of a sequence and of its reverse complement differs. That is not imitated: the states of
the strand that is read are the published ones, the sum over both strands is so with one head alone. Hence the family
must be named. Logits of xlstm-large are published as 30 tanh(logits / 30).
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from seqsci.errors import SeqsciError, nearest
from seqsci.models.bioxlstm import BLOCK
from seqsci.models.bioxlstm_files import READINGS, Configuration, Reading, Weights, read_configuration, read_tensors
from seqsci.models.settings import BioXLSTMSettings

FAMILIES = (*READINGS, "xlstm-large")
STACK = "xlstm_block_stack."
STRANDS = "submodule."
"""Stands in the names of what reads both strands."""


def load_published(path: Path | str, family: str | None = None) -> tuple[BioXLSTMSettings, dict[str, Tensor]]:
    """Settings and float32 tensors of a `LanguageNetwork` that computes what a published network does.

    Args:
        path: a folder with weights and their configuration; or the file of weights, the configuration beside it.
            Weights are *.safetensors, or a state dict that torch.load reads with weights_only.
        family: one of `FAMILIES`; by default told from the names of the tensors.

    Returns:
        Settings, with no dropout; and `embedding.weight (V, D)`, `encoder.*`, `head.weight (V, D)`, whose rows are in
        the order of the published vocabulary (`bioxlstm_tokens`).

    Raises:
        SeqsciError: another family, a tensor that is missing, unknown or of another shape, a configuration that is
            missing or wants what these blocks do not do; naming the file and the tensor or the key.
    """
    if family is not None and family not in FAMILIES:
        raise SeqsciError(f"family: no family '{family}'{nearest(family, FAMILIES)}")
    where, tensors = read_tensors(Path(path))
    family = family or _told(where, tensors)
    weights = Weights(where, tensors, family)
    configuration = read_configuration(Path(path))
    if family == "xlstm-large":
        settings, found = _later(weights, configuration)
    else:
        settings, found = _v1(weights, family, configuration)
    weights.finish()
    return settings, {name: value.detach().float().contiguous().clone() for name, value in found.items()}


def _told(where: str, tensors: dict[str, Tensor]) -> str:
    """The family, from the names."""
    if any(".mlstm_layer." in name for name in tensors):
        return "xlstm-large"
    prefix, embedding = _prefix(where, tensors)
    if any(STRANDS in name for name in tensors):
        raise SeqsciError(
            f"{where}: these weights read both strands of DNA, and with more than one head the published sum over them "
            f"depends on which strand is given; name the family 'dna-ps' to take the network that reads one strand"
        )
    if prefix.endswith("backbone."):
        return "prot" if len(embedding) == 38 else "dna"
    found = {"model.": "chem", "": "xlstm"}.get(prefix)
    if found is None:
        raise SeqsciError(f"{where}: tensors are called '{prefix}...', as in no known family; name the family")
    return found


def _prefix(where: str, tensors: dict[str, Tensor]) -> tuple[str, Tensor]:
    """What stands before every name, and the embedding."""
    for name, value in tensors.items():
        found = re.fullmatch(r"(.*)token_embedding\.(?:embedding\.)?weight", name)
        if found and value.dim() == 2:
            return found[1], value
    raise SeqsciError(
        f"{where}: no tensor 'token_embedding.weight', so that these are no weights of a Bio-xLSTM language model"
    )


# v1


def _v1(weights: Weights, family: str, configuration: Configuration) -> tuple[BioXLSTMSettings, dict[str, Tensor]]:
    prefix, embedding = _prefix(weights.where, weights.left)
    weights.under(prefix)
    if family == "dna-ps":
        weights.renamed(lambda name: name.replace(STRANDS, "").replace("embedding.embedding", "embedding"))
        weights.renamed(lambda name: name.replace("lm_head.lm_head", "lm_head"))
        weights.drop(r".*\.complement_map")
    weights.drop(r".*\.causal_mask")
    settings = _v1_settings(weights, embedding.shape[1], READINGS[family](configuration))
    width = settings.width
    found = {
        "embedding.weight": weights.take("token_embedding.weight", -1, width),
        "encoder.norm.weight": 1 + weights.take(f"{STACK}post_blocks_norm.weight", width),
        "head.weight": weights.take("lm_head.weight", len(embedding), width),
    }
    for number in range(settings.layers):
        name = f"{STACK}blocks.{number}."
        block = {"norm1.weight": 1 + weights.take(f"{name}xlstm_norm.weight", width)}
        if number in settings.slstm_at:
            block |= _scalar(weights, f"{name}xlstm.", settings) | _network(weights, name, settings)
        else:
            block |= _matrix(weights, f"{name}xlstm.", settings)
        found |= {f"encoder.blocks.{number}.{own}": value for own, value in block.items()}
    return settings, found


def _v1_settings(weights: Weights, width: int, reading: Reading) -> BioXLSTMSettings:
    layers = weights.count(rf"{re.escape(STACK)}blocks\.(\d+)\.")
    blocks = [f"{STACK}blocks.{number}." for number in range(layers)]
    slstm_at = tuple(n for n, block in enumerate(blocks) if weights.has(f"{block}xlstm.slstm_cell._bias_"))
    first = f"{blocks[0]}xlstm."
    if 0 in slstm_at:
        heads = weights.shape(f"{first}igate.weight", 3)[0]
    else:
        heads = weights.shape(f"{first}mlstm_cell.igate.bias", 1)[0]
    inner = weights.shape(f"{blocks[slstm_at[0]]}ffn.proj_up.weight", 2)[0] // 2 if slstm_at else None
    return BioXLSTMSettings(
        width=width,
        layers=layers,
        heads=heads,
        slstm_at=slstm_at,
        feedforward=inner,
        bias=any(weights.has(f"{block}xlstm.proj_up.bias") for block in blocks),
        direction=reading.direction,
        rotary=reading.rotary if len(slstm_at) < layers else 0.0,
        rotary_over=reading.rotary_over,
    )


def _matrix(weights: Weights, name: str, settings: BioXLSTMSettings) -> dict[str, Tensor]:
    width, inner, heads = settings.width, settings.keys, settings.heads
    groups = inner // BLOCK
    up, gate = weights.take(f"{name}proj_up.weight", 2 * inner, width).chunk(2)
    qkv = [weights.take(f"{name}{x}_proj.weight", groups, BLOCK, BLOCK).transpose(1, 2) for x in "qkv"]
    gates = [weights.take(f"{name}mlstm_cell.{x}gate.weight", heads, 3 * inner) for x in "if"]
    offsets = [weights.take(f"{name}mlstm_cell.{x}gate.bias", heads) for x in "if"]
    found = {
        "up.weight": up,
        "gate.weight": gate,
        "qkv": torch.stack(qkv),
        "gates.weight": torch.cat(gates),
        "gates.bias": torch.cat(offsets),
        "norm": 1 + weights.take(f"{name}mlstm_cell.outnorm.weight", inner),
        "skip": weights.take(f"{name}learnable_skip", inner),
        "down.weight": weights.take(f"{name}proj_down.weight", width, inner),
    }
    if settings.bias:
        found["up.bias"], found["gate.bias"] = weights.take(f"{name}proj_up.bias", 2 * inner).chunk(2)
        found["qkv_bias"] = torch.stack([weights.take(f"{name}{x}_proj.bias", inner) for x in "qkv"])
        found["down.bias"] = weights.take(f"{name}proj_down.bias", width)
    found |= _convolution(weights, name, inner)
    return {f"memory.{own}": value for own, value in found.items()}


def _convolution(weights: Weights, name: str, channels: int) -> dict[str, Tensor]:
    return {
        "conv.weight": weights.take(f"{name}conv1d.conv.weight", channels, 1, 4).squeeze(1).T,
        "conv.bias": weights.take(f"{name}conv1d.conv.bias", channels),
    }


def _scalar(weights: Weights, name: str, settings: BioXLSTMSettings) -> dict[str, Tensor]:
    width, heads = settings.width, settings.heads
    each = width // heads
    # In the order of the gates i, f, z, o: the published names of the first two are exchanged.
    maps = [weights.take(f"{name}{x}gate.weight", heads, each, each).transpose(1, 2) for x in "fizo"]
    recurrent = weights.take(f"{name}slstm_cell._recurrent_kernel_", heads, -1, -1)
    bias = weights.take(f"{name}slstm_cell._bias_", 4 * width)
    if recurrent.shape[1:] == (each, 4 * each):
        recurrent, bias = recurrent.view(heads, each, 4, each), bias.view(heads, 4, each)
    elif recurrent.shape[1:] == (4 * each, each):
        recurrent = recurrent.view(heads, 4, each, each).permute(0, 3, 1, 2)
        bias = bias.view(4, heads, each).transpose(0, 1)
    else:
        raise weights.misfit(f"{name}slstm_cell._recurrent_kernel_", recurrent, (heads, each, 4 * each))
    found = {
        "input": torch.stack(maps, 2),
        "recurrent": recurrent,
        "bias": bias,
        "norm.weight": 1 + weights.take(f"{name}group_norm.weight", width),
    }
    return {f"memory.{own}": value for own, value in (found | _convolution(weights, name, width)).items()}


def _network(weights: Weights, name: str, settings: BioXLSTMSettings) -> dict[str, Tensor]:
    width, inner = settings.width, settings.feedforward or 0
    return {
        "norm2.weight": 1 + weights.take(f"{name}ffn_norm.weight", width),
        "feedforward.expand.weight": weights.take(f"{name}ffn.proj_up.weight", 2 * inner, width),
        "feedforward.contract.weight": weights.take(f"{name}ffn.proj_down.weight", width, inner),
    }


# later


def _later(weights: Weights, configuration: Configuration) -> tuple[BioXLSTMSettings, dict[str, Tensor]]:
    for key, wanted in (
        ("use_bias", False),
        ("add_out_norm", True),
        ("norm_eps", 1e-6),
        ("gate_soft_cap", 15.0),
        ("qk_dim_factor", 0.5),
        ("v_dim_factor", 1.0),
    ):
        configuration.require(key, wanted)
    table = "embedding.weight" if weights.has("embedding.weight") else "backbone.embeddings.weight"
    symbols, width = weights.shape(table, 2)
    settings = BioXLSTMSettings(
        width=width,
        layers=weights.count(r"backbone\.blocks\.(\d+)\."),
        heads=weights.shape("backbone.blocks.0.mlstm_layer.igate_preact.bias", 1)[0],
        style="later",
        feedforward=weights.shape("backbone.blocks.0.ffn.proj_up.weight", 2)[0],
    )
    found = {
        "embedding.weight": weights.take(table, symbols, width),
        "encoder.norm.weight": weights.take("backbone.out_norm.weight", width),
        "head.weight": weights.take("lm_head.weight", symbols, width),
    }
    for number in range(settings.layers):
        block = _later_block(weights, f"backbone.blocks.{number}.", settings)
        found |= {f"encoder.blocks.{number}.{own}": value for own, value in block.items()}
    return settings, found


def _later_block(weights: Weights, name: str, settings: BioXLSTMSettings) -> dict[str, Tensor]:
    width, keys, heads, inner = settings.width, settings.keys, settings.heads, settings.feedforward or 0
    layer = f"{name}mlstm_layer."
    gates = [weights.take(f"{layer}{x}gate_preact.weight", heads, width) for x in "if"]
    offsets = [weights.take(f"{layer}{x}gate_preact.bias", heads) for x in "if"]
    maps = [weights.take(f"{name}ffn.{x}.weight", inner, width) for x in ("proj_up_gate", "proj_up")]
    return {
        "norm1.weight": weights.take(f"{name}norm_mlstm.weight", width),
        "memory.query.weight": weights.take(f"{layer}q.weight", keys, width),
        "memory.key.weight": weights.take(f"{layer}k.weight", keys, width),
        "memory.value.weight": weights.take(f"{layer}v.weight", width, width),
        "memory.open.weight": weights.take(f"{layer}ogate_preact.weight", width, width),
        "memory.gates.weight": torch.cat(gates),
        "memory.gates.bias": torch.cat(offsets),
        "memory.norm": weights.take(f"{layer}multihead_norm.weight", width),
        "memory.out.weight": weights.take(f"{layer}out_proj.weight", width, width),
        "norm2.weight": weights.take(f"{name}norm_ffn.weight", width),
        "feedforward.expand.weight": torch.cat(maps),
        "feedforward.contract.weight": weights.take(f"{name}ffn.proj_down.weight", width, inner),
    }
