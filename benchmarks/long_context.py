"""What a memory is worth, and what it costs.

    python benchmarks/long_context.py passkey [--trained 4] [--steps 600] [--seeds 0,1,2] [--methods "HMT mid"]
    python benchmarks/long_context.py floor
    python benchmarks/long_context.py speed
    python benchmarks/long_context.py memory

`passkey`: one value of 8 is told in one of the first S - 1 segments of 12 tokens and asked for at the end. Trained at S = 4,
or at several (`--trained 3,4,5,6`: each step at one of them), and tested at more without training again: HMT beside the same
network with recurrence alone (memory 1) and with none (memory 0). Only the answer is asked for, and it stands behind all
else, so that `front` sees nothing it should not. Trained at S = 3, `mid` looked the value up in one seed of three; trained
at several, recurrence alone learns to pass it on. The encoder has no positions: with rotary ones it learns to pass on the
last memory instead of looking the right one up.
`floor`: tokens of which the past tells nothing; `front` could tell them from the summary that holds them.
`speed`: training and reading beside the encoder alone on segments of 990 (token arithmetic 1.54). `memory`: peak memory and
time per token of a stream of 2 k to 100 k tokens. One CPU thread. Texts and a genome are in long_text.py.
"""

from __future__ import annotations

import argparse
import copy
import math
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqsci.data.long_range import passkey
from seqsci.models.hmt import HMTEncoder
from seqsci.models.settings import BioXLSTMSettings, HMTSettings, TransformerSettings
from seqsci.training.fit import peak_rss_mb

FILLERS, LENGTH, TESTED = 22, 12, (3, 8, 16, 64)
SYMBOLS = 10 + FILLERS
INNER: dict[str, Any] = {
    "transformer": TransformerSettings(width=32, heads=2, layers=2, feedforward=128, rotary=0.0),
    "bioxlstm": BioXLSTMSettings(width=32, heads=2, layers=2),
}


class Model(nn.Module):
    """Tokens to logits, by HMT."""

    def __init__(self, settings: HMTSettings) -> None:
        super().__init__()
        self.encoder = HMTEncoder(settings)
        self.table, self.head = nn.Embedding(SYMBOLS, settings.width), nn.Linear(settings.width, SYMBOLS)
        for name, weight in self.encoder.named_parameters():
            if name in ("first", "topic"):
                nn.init.normal_(weight)  # as the table, among which they stand
            elif settings.encoder.name == "transformer" and weight.ndim > 1 and name.startswith("encoder."):
                # As torch's own linear maps: the transformer's deviation of .02 is for widths that are not this small.
                nn.init.kaiming_uniform_(weight, a=math.sqrt(5))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens)
        return self.head(self.encoder(x, torch.ones(tokens.shape, dtype=torch.bool)))


def rows(seed: int, count: int, segments: int) -> tuple[Tensor, Tensor]:
    """Tokens read and the one answer of each row."""
    tokens, _ = passkey(seed, count, segments=segments, length=LENGTH, fillers=FILLERS)
    return torch.from_numpy(tokens[:, :-1]), torch.from_numpy(tokens[:, -1])


@torch.no_grad()
def accuracy(model: nn.Module, seed: int, count: int, segments: int) -> float:
    model.eval()
    tokens, answer = rows(seed, count, segments)
    right = [
        (model(t)[:, -1].argmax(-1) == a).float() for t, a in zip(tokens.split(250), answer.split(250), strict=True)
    ]
    model.train()
    return float(torch.cat(right).mean())


def trained(settings: HMTSettings, steps: int, seed: int, lengths: tuple[int, ...] = (4,)) -> tuple[nn.Module, str]:
    """The best by validation at the trained numbers of segments each 50 steps, of equal ones the last."""
    torch.manual_seed(seed)
    model, began = Model(settings), time.process_time()
    optimizer, draw = torch.optim.AdamW(model.parameters(), 3e-3), np.random.default_rng(seed)
    best, state = -1.0, {}
    for step in range(1, steps + 1):
        tokens, answer = rows(10_000 * (seed + 1) + step, 32, int(draw.choice(lengths)))
        optimizer.zero_grad()
        F.cross_entropy(model(tokens)[:, -1], answer).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            found = sum(accuracy(model, 1, 250, segments) for segments in lengths) / len(lengths)
            if found >= best:
                best, state = found, copy.deepcopy(model.state_dict())
    model.load_state_dict(state)
    return model, f"{step} steps, {time.process_time() - began:.0f} CPU s, validation {best:.3f}"


def run_passkey(steps: int, seeds: list[int], inner: str, names: list[str], lengths: tuple[int, ...]) -> None:
    base = HMTSettings(encoder=INNER[inner], segment=LENGTH, memory=300, sensory=0, keys=64)
    methods = {
        "HMT front": replace(base, inject="front"),
        "HMT mid": replace(base, inject="mid"),
        "recurrence alone": replace(base, memory=1, inject="front"),
        "no memory": replace(base, memory=0),
    }
    print(
        f"passkey around {inner}; accuracy on 1000 rows, chance .125, at {TESTED} segments, trained at {lengths}",
        flush=True,
    )
    for seed in seeds:
        for name, settings in methods.items():
            if name not in (names or methods):
                continue
            model, told = trained(settings, steps, seed, lengths)
            found = [accuracy(model, 2, 1000, segments) for segments in TESTED]
            print(f"seed {seed}  {name:18s} {'  '.join(f'{x:.3f}' for x in found)}   {told}", flush=True)


def run_floor(steps: int) -> None:
    """Uniform tokens of 4: who tells them in less than ln 4 nats has seen them."""
    print(
        f"uniform tokens, ln 4 = {math.log(4):.4f}; nats in the first and second half of segments of 8, {steps} steps"
    )
    for inject in ("front", "mid"):
        torch.manual_seed(0)
        encoder = TransformerSettings(width=32, heads=2, layers=2, feedforward=128)
        model = Model(HMTSettings(encoder=encoder, segment=8, memory=16, sensory=0, inject=inject))  # type: ignore[arg-type]
        optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
        for _ in range(steps):
            optimizer.zero_grad()
            uniform(model, 32).mean().backward()
            optimizer.step()
        with torch.no_grad():
            found = uniform(model, 2000).view(2000, 8, 8).mean((0, 1))
        print(f"{inject:6s} {found[:4].mean():.4f}  {found[4:].mean():.4f}", flush=True)


def uniform(model: nn.Module, rows: int) -> Tensor:
    """(rows, 64) nats of new uniform tokens."""
    tokens = torch.randint(4, (rows, 65))
    return F.cross_entropy(model(tokens[:, :-1]).transpose(1, 2), tokens[:, 1:], reduction="none")


SEGMENT, SENSORY, SUMMARY = 990, 32, 495
ARITHMETIC = (SEGMENT + SENSORY + 2 + SUMMARY + 2) / SEGMENT
"""Steps that the encoder reads for each of the sequence's, with `front`; `mid` has one more in a segment."""
SPEEDED: dict[str, Any] = {
    "transformer": TransformerSettings(width=128, heads=4, layers=2),
    "bioxlstm": BioXLSTMSettings(width=128, heads=4, layers=2, style="later"),
}


def run_speed(rounds: int) -> None:
    """HMT on four segments beside its encoder on the same four, one by one; the median of alternate rounds."""
    print(
        f"CPU time of HMT over that of its encoder alone, {SEGMENT} steps a segment; token arithmetic {ARITHMETIC:.3f}"
    )
    for name, inner in SPEEDED.items():
        for inject in ("front", "mid"):
            sizes: dict[str, Any] = {"segment": SEGMENT, "sensory": SENSORY, "summary": SUMMARY, "inject": inject}
            model = HMTEncoder(HMTSettings(encoder=inner, **sizes))
            forward, both = (overhead(model, rounds, backward) for backward in (False, True))
            print(f"{name:12s} {inject:5s}  forward {forward:.3f}  with backward {both:.3f}", flush=True)


def overhead(model: HMTEncoder, rounds: int, backward: bool) -> float:
    x = torch.randn(1, 4 * SEGMENT, model.width)

    def apart() -> Tensor:
        return torch.cat([model.encoder(h, real(h)) for h in x.split(SEGMENT, 1)], 1)

    ratios = []
    for _ in range(rounds):
        alone = seconds(apart, backward)
        ratios.append(seconds(lambda: model(x, real(x)), backward) / alone)
    return sorted(ratios)[rounds // 2]


def seconds(read: Any, backward: bool) -> float:
    began = time.process_time()
    with torch.set_grad_enabled(backward):
        y = read()
        if backward:
            y.square().sum().backward()
    return time.process_time() - began


def real(x: Tensor) -> Tensor:
    return torch.ones(x.shape[:2], dtype=torch.bool)


STREAMED = (2_000, 10_000, 30_000, 100_000)


def run_memory(inner: str) -> None:
    """Each length in a process of its own: tokens come and logits go in pieces of 1000."""
    for steps in STREAMED:
        subprocess.run([sys.executable, __file__, "stream", "--steps", str(steps), "--inner", inner], check=True)


@torch.no_grad()
def run_stream(steps: int, inner: str) -> None:
    settings = HMTSettings(encoder=SPEEDED[inner], segment=500, sensory=32, memory=300)
    model = HMTEncoder(settings).eval()
    table, head = nn.Embedding(256, settings.width), nn.Linear(settings.width, 256)
    draw, state, total = torch.Generator().manual_seed(0), model.initial_state(1), 0.0
    began = time.process_time()
    for _ in range(steps // 1000):
        tokens = torch.randint(256, (1, 1000), generator=draw)
        y, state = model.advance(table(tokens), state)
        total += float(head(y).logsumexp(-1).sum())
    spent = 1e6 * (time.process_time() - began) / steps
    print(f"{inner:12s} {steps:8,d} tokens  {spent:7.1f} us/token  peak {peak_rss_mb():7.1f} MB", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["passkey", "floor", "speed", "memory", "stream"])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--inner", default="transformer", choices=list(INNER))
    parser.add_argument("--methods", default="")
    parser.add_argument("--trained", default="4")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    if given.what == "passkey":
        seeds = [int(seed) for seed in given.seeds.split(",")]
        lengths = tuple(int(segments) for segments in given.trained.split(","))
        run_passkey(given.steps, seeds, given.inner, [name for name in given.methods.split(",") if name], lengths)
    elif given.what == "floor":
        run_floor(given.steps)
    elif given.what == "speed":
        run_speed(given.rounds)
    elif given.what == "memory":
        run_memory(given.inner)
    else:
        run_stream(given.steps, given.inner)
