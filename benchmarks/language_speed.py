"""Training steps of language models beside the published layers, and a stream of 100,000 tokens, on one CPU thread.

    python benchmarks/language_speed.py [--xlstm CHECKOUT --kernels CHECKOUT] [--rounds 5]

Checkouts of NX-AI/xlstm (its blocks are those of DNA-, Prot- and Chem-xLSTM) and of NX-AI/mlstm_kernels, which xlstm's
large model needs; both are run as they are, but for the build of a GPU kernel at import. All networks: width 128, 3
blocks, 4 heads, 16 symbols, one row, float32, forward, backward and AdamW. Published v1 has no other way for training
than its parallel form, whose memory grows with the square of the length.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqsci.data.batch import LanguageShape, TokenBatch
from seqsci.models.settings import BioXLSTMSettings, TransformerSettings
from seqsci.models.transformer import matched
from seqsci.nn.language import LanguageNetwork
from seqsci.nn.memory import steady_heap

sys.path.append(str(Path(__file__).parents[1] / "kernels" / "bench"))
from contest import machine, medians, table

WIDTH, LAYERS, HEADS, SYMBOLS = 128, 3, 4, 16
LENGTHS = (512, 2048, 8192)
STREAM, PIECE = 100_000, 10_000
Logits = Callable[[Tensor], Tensor]


def ours(settings: Any) -> tuple[nn.Module, Logits]:
    """A language network of ours."""
    torch.manual_seed(0)
    network = LanguageNetwork(settings, LanguageShape(symbols=SYMBOLS, context=8192))

    def logits(tokens: Tensor) -> Tensor:
        positions = torch.arange(tokens.shape[1]).expand_as(tokens)
        mask = torch.ones_like(tokens, dtype=torch.bool)
        out: Tensor = network(
            TokenBatch(tokens=tokens, mask=mask, positions=positions, index=torch.arange(len(tokens)))
        )
        return out

    return network, logits


def published_v1(checkout: Path, length: int) -> tuple[nn.Module, Logits]:
    """The blocks that Bio-xLSTM has, by NX-AI/xlstm."""
    package("xlstm", checkout / "xlstm")
    blank("xlstm.blocks.slstm.src.cuda_init")
    lm, stack = import_module("xlstm.xlstm_lm_model"), import_module("xlstm.xlstm_block_stack")
    layer = import_module("xlstm.blocks.mlstm.layer")
    mlstm = layer.mLSTMLayerConfig(conv1d_kernel_size=4, qkv_proj_blocksize=4, num_heads=HEADS)
    config = lm.xLSTMLMModelConfig(
        vocab_size=SYMBOLS,
        embedding_dim=WIDTH,
        num_blocks=LAYERS,
        context_length=length,
        mlstm_block=stack.mLSTMBlockConfig(mlstm=mlstm),
    )
    torch.manual_seed(0)
    network = lm.xLSTMLMModel(config)
    return network, network


def published_large(checkout: Path, kernels: Path) -> tuple[nn.Module, Logits]:
    """The blocks of xLSTM-7B, with its chunkwise kernel in plain PyTorch, the one that runs on a CPU."""
    package("xlstm", checkout / "xlstm")
    sys.path.append(str(kernels))
    model = import_module("xlstm.xlstm_large.model")
    config = model.xLSTMLargeConfig(
        embedding_dim=WIDTH,
        num_heads=HEADS,
        num_blocks=LAYERS,
        vocab_size=SYMBOLS,
        chunkwise_kernel="chunkwise--native_autograd",
        sequence_kernel="native_sequence__native",
        step_kernel="native",
        mode="train",
        return_last_states=True,
        chunk_size=64,
        autocast_kernel_dtype="float32",
    )
    torch.manual_seed(0)
    network = model.xLSTMLarge(config)

    def logits(tokens: Tensor) -> Tensor:
        out = network(tokens)
        found: Tensor = out[0] if isinstance(out, tuple) else out
        return found

    return network, logits


def package(name: str, folder: Path) -> None:
    """Stand in for a package, so that its __init__, which wants more than its blocks do, is not run."""
    module = ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module


def blank(name: str) -> None:
    """Stand in for the module that builds the GPU kernel."""
    module = ModuleType(name)
    module.load = None  # type: ignore[attr-defined]
    sys.modules[name] = module


def training(network: nn.Module, logits: Logits, tokens: Tensor) -> Callable[[], object]:
    """One step of training."""
    adam = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        out = logits(tokens)
        loss = F.cross_entropy(out[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()

    return step


def steps_section(given: argparse.Namespace) -> None:
    """Thousands of training tokens per CPU second."""
    later = BioXLSTMSettings(width=WIDTH, layers=LAYERS, heads=HEADS, style="later")
    own = ours(later)
    like = TransformerSettings(layers=LAYERS, heads=HEADS)
    networks: dict[str, Callable[[int], tuple[nn.Module, Logits]]] = {
        "later": lambda _: own,
        "v1": lambda _: ours(BioXLSTMSettings(width=WIDTH, layers=LAYERS, heads=HEADS)),
        "transformer": lambda _: ours(matched(like, sum(p.numel() for p in own[0].encoder.parameters()))),
    }
    if given.xlstm:
        networks["published v1"] = lambda length: published_v1(given.xlstm, length)
        if given.kernels:
            networks["published later"] = lambda _: published_large(given.xlstm, given.kernels)
    networks = {name: make for name, make in networks.items() if name not in given.without}
    rows = []
    for length in given.lengths:
        tokens = torch.randint(0, SYMBOLS, (1, length))
        made = {name: make(length) for name, make in networks.items()}
        times = medians({name: training(*pair, tokens) for name, pair in made.items()}, given.rounds, warm_up=1)
        speed = [f"{length / times[name]:.1f}" for name in networks]
        ratios = [
            f"{times[f'published {name}'] / times[name]:.2f}"
            for name in ("later", "v1")
            if {name, f"published {name}"} <= times.keys()
        ]
        rows.append([str(length), *speed, *ratios])
        sizes = {name: sum(p.numel() for p in pair[0].parameters()) for name, pair in made.items()}
    print(", ".join(f"{name} {size:,} parameters" for name, size in sizes.items()))
    told = [f"ours faster: {name}" for name in ("later", "v1") if {name, f"published {name}"} <= networks.keys()]
    print(table(["tokens of a row", *networks, *told], rows))


def stream_section() -> None:
    """Time per token and memory while 100,000 tokens are generated one by one."""
    network, _ = ours(BioXLSTMSettings(width=WIDTH, layers=LAYERS, heads=HEADS, style="later"))
    network.eval()
    rows, token, draw = [], torch.zeros(1, 1, dtype=torch.int64), torch.Generator().manual_seed(0)
    with torch.inference_mode():
        state: Any = network.initial_state(1)  # type: ignore[operator]
        for begin in range(0, STREAM, PIECE):
            start = time.process_time()
            for place in range(begin, begin + PIECE):
                logits, state = network.advance(token, torch.tensor([[place]]), state)  # type: ignore[operator]
                token = torch.multinomial(logits[:, -1].softmax(-1), 1, generator=draw)
            spent = time.process_time() - start
            rows.append([f"{begin + PIECE:,}", f"{1e6 * spent / PIECE:.0f}", f"{resident():.0f}"])
    print(table(["tokens generated", "CPU microseconds a token", "resident MB"], rows))


def resident() -> float:
    """Memory of this process now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--xlstm", type=Path)
    parser.add_argument("--kernels", type=Path)
    parser.add_argument("--without", nargs="+", default=[], metavar="NAME", help="networks that are left out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    given = parser.parse_args()
    steady_heap()
    print(f"Thousands of tokens per CPU second in training; {machine()}", flush=True)
    steps_section(given)
    stream_section()


if __name__ == "__main__":
    main()
