"""Nats per token of long texts and of a genome, by what is known of the segments before; all at equal training.

    SEQSCI_DATA=FOLDER python benchmarks/long_text.py texts --out FOLDER     bytes of a novel and of encyclopedia articles
    SEQSCI_DATA=FOLDER python benchmarks/long_text.py genome --out FOLDER    nucleotides of E. coli

One transformer, in the same steps on the same tokens, reads segments of 128: each apart; with 32 sensory steps of the
segment before; with these and recurrence (RMT); with these and memories (HMT). `front`, the published form, sees its own
first 64 tokens in a summary: what it gains there is the leak. A sliding window has the weights of the segments read apart,
and tells each token from the 97 to 128 before it. What recurs is trained in two stages, as in recipes/pretrain. The rate is
that of two by which the segments apart do best on validation; all have it. The test part is streamed once from its start.
What is finished is kept in the folder and not done again. `--times 4` trains four times as long (in a folder of its own),
`--rates` and `--methods` try fewer. One CPU thread.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from seqsci.metrics.intervals import block_bootstrap
from seqsci.models.hmt import HMTEncoder
from seqsci.models.settings import HMTSettings, TransformerSettings
from seqsci.training.fit import peak_rss_mb

LENGTH, SENSORY, MEMORIES, STRIDE = 128, 32, 300, 32
SEGMENTS, ROWS = 8, 4
"""Of a step of training."""
LENGTHS = (2_000, 10_000, 30_000, 100_000)
RATES = (2e-3, 6e-3)
BLOCK = 5
"""Segments in a block of the bootstrap."""
APART, WINDOW, RMT, MID = "independent segments", "sliding window", "RMT", "HMT mid"
COSTED = (APART, WINDOW, RMT, MID)
METHODS: dict[str, dict[str, Any]] = {
    APART: {"memory": 0, "sensory": 0},
    MID: {"inject": "mid"},
    RMT: {"memory": 1, "inject": "front"},
    "HMT front (leaks)": {"inject": "front-leaks"},
    "sensory steps alone": {"memory": 0},
}
Codes = NDArray[np.int64]
Losses = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """Parts of the data, and the network's size."""

    train: list[Codes]
    validation: list[Codes]
    test: dict[str, Codes]
    vocabulary: int
    width: int
    steps: int

    def settings(self, method: str) -> HMTSettings:
        encoder = TransformerSettings(width=self.width, heads=4, layers=3)
        base = HMTSettings(encoder=encoder, segment=LENGTH, memory=MEMORIES, sensory=SENSORY)
        return replace(base, **METHODS[method])


def texts() -> Case:
    """Trained on the beginnings of both; what is tested stands at their ends."""
    folder = Path(os.environ["SEQSCI_DATA"]) / "text"
    novel = _codes(gzip.decompress((folder / "war_and_peace.txt.gz").read_bytes()))
    articles = _codes((folder / "wikitext-2_valid.txt").read_bytes())
    return Case(
        train=[novel[:2_800_000], articles[:850_000]],
        validation=[novel[2_850_000:2_870_000], articles[900_000:920_000]],
        test={"novel": novel[-102_000:], "articles": articles[-102_000:]},
        vocabulary=256,
        width=96,
        steps=400,
    )


def genome() -> Case:
    path = Path(os.environ["SEQSCI_DATA"]) / "genomics" / "ecoli_K12.fa.gz"
    letters = b"".join(line for line in gzip.decompress(path.read_bytes()).splitlines() if not line.startswith(b">"))
    found = np.searchsorted(list(b"ACGT"), _codes(letters.upper()))
    return Case(
        train=[found[:3_700_000]],
        validation=[found[3_900_000:3_940_000]],
        test={"genome": found[-202_000:-100_000]},  # a circle: its end is the beginning's neighbour
        vocabulary=4,
        width=64,
        steps=300,
    )


CASES = {"texts": texts, "genome": genome}


def _codes(data: bytes) -> Codes:
    return np.frombuffer(data, np.uint8).astype(np.int64)


class Model(nn.Module):
    """Tokens to logits, by HMT."""

    def __init__(self, settings: HMTSettings, vocabulary: int) -> None:
        super().__init__()
        self.encoder = HMTEncoder(settings)
        self.table = nn.Embedding(vocabulary, settings.width)
        self.head = nn.Linear(settings.width, vocabulary, bias=False)
        nn.init.normal_(self.table.weight, std=math.sqrt(2 / (5 * settings.width)))
        nn.init.normal_(self.head.weight, std=0.02)

    def losses(self, tokens: Tensor) -> Tensor:
        """(B, T + 1) -> (B, T) nats of each token but the first."""
        x = self.table(tokens[:, :-1])
        y = self.head(self.encoder(x, torch.ones(x.shape[:2], dtype=torch.bool)))
        return F.cross_entropy(y.transpose(1, 2), tokens[:, 1:], reduction="none")


def drawn(parts: list[Codes], seed: int, rows: int = ROWS, segments: int = SEGMENTS) -> Tensor:
    """(rows, segments L + 1) tokens from anywhere in the parts."""
    draw, long = np.random.default_rng(seed), segments * LENGTH + 1
    sizes = np.array([len(part) - long for part in parts])
    chosen = draw.choice(len(parts), rows, p=sizes / sizes.sum())
    starts = draw.integers(sizes[chosen])
    return torch.from_numpy(np.stack([parts[p][s : s + long] for p, s in zip(chosen, starts, strict=True)]))


def fit(model: Model, case: Case, rate: float, first: int, last: int, segments: int) -> float:
    """Steps `first` to `last` of the one course of all methods; the best weights by validation, and their nats."""
    optimizer = torch.optim.AdamW(model.parameters(), rate, betas=(0.9, 0.95), weight_decay=0.1)
    validation = drawn(case.validation, 1, 16)
    best, state = math.inf, {}
    for step in range(first, last):
        warm = min(1.0, (step + 1 - first) / 40)
        optimizer.param_groups[0]["lr"] = rate * warm * (0.55 + 0.45 * math.cos(math.pi * step / case.steps))
        tokens = drawn(case.train, 1000 + step)
        tokens = torch.cat([part[:, : segments * LENGTH + 1] for part in _cut(tokens, segments)])
        optimizer.zero_grad()
        model.losses(tokens).mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 100 == 0 or step + 1 == last:
            with torch.no_grad():
                found = float(model.losses(validation).mean())
            print(f"  step {step + 1}: validation {found:.4f}", flush=True)
            if found < best:
                best, state = found, copy.deepcopy(model.state_dict())
    model.load_state_dict(state)
    return best


def _cut(tokens: Tensor, segments: int) -> list[Tensor]:
    """Rows of so many segments each, of which one ends with the token that the next begins with."""
    long = segments * LENGTH
    return [tokens[:, start : start + long + 1] for start in range(0, tokens.shape[1] - 1, long)]


def trained(out: Path, name: str, case: Case, method: str, rate: float) -> tuple[Model, dict[str, Any]]:
    """The finished model, and its rate, validation and CPU seconds; trained unless it is there."""
    torch.manual_seed(0)
    settings = case.settings(method)
    model, told, file = Model(settings, case.vocabulary), out / f"{name}.json", out / f"{name}.pt"
    if not told.is_file():
        print(f"{name} at rate {rate}", flush=True)
        began, first = time.process_time(), 0
        if settings.memory:
            first = case.steps // 4
            stage = Model(replace(settings, memory=1, inject=settings.inject.removesuffix("-leaks")), case.vocabulary)
            fit(stage, case, rate, 0, first, 2)
            model.load_state_dict(stage.state_dict(), strict=False)
        found = fit(model, case, rate, first, case.steps, SEGMENTS)
        torch.save(model.state_dict(), file)
        told.write_text(json.dumps({"rate": rate, "validation": found, "cpu_s": time.process_time() - began}))
    model.load_state_dict(torch.load(file))
    return model.eval(), json.loads(told.read_text())


@torch.no_grad()
def streamed(model: Model, codes: Codes, steps: int) -> Losses:
    """(steps,) nats of each token of a stream but the first, segment by segment."""
    tokens, state, found = torch.from_numpy(codes[: steps + 1]).unsqueeze(0), model.encoder.initial_state(1), []
    for part in _cut(tokens, 1):
        y, state = model.encoder.advance(model.table(part[:, :-1]), state)
        found.append(y)
        if len(y[0]) < part.shape[1] - 1:  # the last, of which `front` can say nothing before it is complete
            found.append(model.encoder.finish(state)[0])
        found[-1] = F.cross_entropy(model.head(found[-1])[0], part[0, 1:], reduction="none")
    return torch.cat([one for one in found if one.ndim == 1]).numpy()


@torch.no_grad()
def windowed(model: Model, codes: Codes, steps: int) -> Losses:
    """As `streamed`, each token from the L - STRIDE + 1 to L before it: windows that overlap, their ends scored."""
    tokens, found = torch.from_numpy(codes), []
    for start in range(0, steps - LENGTH + STRIDE, STRIDE):
        losses = model.losses(tokens[None, start : start + LENGTH + 1])[0]
        found.append(losses if start == 0 else losses[-STRIDE:])
    return torch.cat(found)[:steps].numpy()


def run_case(out: Path, section: str, times: int, rates: Sequence[float], methods: Sequence[str]) -> None:
    case = CASES[section]()
    case = replace(case, steps=times * case.steps)
    apart = [trained(out, f"{section}-apart-{rate}", case, APART, rate) for rate in rates]
    model, told = min(apart, key=lambda one: one[1]["validation"])
    losses: dict[str, dict[str, Losses]] = {part: {} for part in case.test}
    facts: dict[str, dict[str, Any]] = {}
    for method in (APART, WINDOW, *(name for name in methods if name != APART)):
        slug = f"{section}-{method.replace(' ', '-').replace('(', '').replace(')', '')}"
        facts[method] = told
        if method not in (APART, WINDOW):
            model, facts[method] = trained(out, slug, case, method, told["rate"])
        for part, codes in case.test.items():
            file = out / f"{slug}-{part}.npy"
            if not file.is_file():
                np.save(file, (windowed if method == WINDOW else streamed)(model, codes, LENGTHS[-1]))
            losses[part][method] = np.load(file)
            print(f"{method}, {part}: {losses[part][method].mean():.4f}", flush=True)
    print(f"\n{section}: {case.steps * ROWS * SEGMENTS * LENGTH:,} tokens of training, rate {told['rate']}")
    for method, one in facts.items():
        print(f"{method:22s} validation {one['validation']:.4f}  training {one['cpu_s']:.0f} CPU s")
    for part, found in losses.items():
        print_table(part, found)
    if section == "texts" and times == 1:
        print_costs(out, section)


def print_table(part: str, found: dict[str, Losses]) -> None:
    header = "".join(f" {n:,} | first half | second |" for n in LENGTHS)
    print(f"\n| {part} |{header}\n|---|{'---|' * (3 * len(LENGTHS))}")
    for method, losses in found.items():
        cells = [f"{x:.4f}" for n in LENGTHS for x in (losses[:n].mean(), *halves(losses[:n]))]
        print(f"| {method} | {' | '.join(cells)} |")
    for other in (WINDOW, RMT) if {MID, RMT} <= found.keys() else ():
        cells = []
        for n in LENGTHS:
            less = (found[MID] - found[other])[:n]
            whole = less[: n // LENGTH * LENGTH].reshape(-1, LENGTH).mean(1)
            low, high = block_bootstrap(whole, BLOCK, resamples=2000, seed=0)
            cells.append(
                " | ".join([f"{less.mean():+.4f} [{low:+.4f}, {high:+.4f}]", *(f"{x:+.4f}" for x in halves(less))])
            )
        print(f"| HMT mid less {other} | {' | '.join(cells)} |", flush=True)


def halves(losses: Losses) -> tuple[float, float]:
    """Nats of what is told from the first half of a segment's positions, and from the second."""
    first = np.arange(len(losses)) % LENGTH < LENGTH // 2
    return float(losses[first].mean()), float(losses[~first].mean())


def print_costs(out: Path, section: str) -> None:
    """Each method and length in a process of its own."""
    told = out / f"{section}-costs.json"
    costs: dict[str, str] = json.loads(told.read_text()) if told.is_file() else {}
    for method in COSTED:
        for steps in LENGTHS:
            key = f"{method}/{steps}"
            if key not in costs:
                command = [sys.executable, __file__, "stream", "--out", str(out), "--section", section]
                command += ["--method", method, "--steps", str(steps)]
                costs[key] = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
                told.write_text(json.dumps(costs))
    print(f"\n| us/token, peak MB |{''.join(f' {n:,} |' for n in LENGTHS)}\n|---|{'---|' * len(LENGTHS)}")
    for method in COSTED:
        print(f"| {method} | {' | '.join(costs[f'{method}/{n}'] for n in LENGTHS)} |", flush=True)


def run_stream(out: Path, section: str, method: str, steps: int) -> None:
    case = CASES[section]()
    model = Model(case.settings(APART if method == WINDOW else method), case.vocabulary).eval()
    began = time.process_time()
    (windowed if method == WINDOW else streamed)(model, next(iter(case.test.values())), steps)
    print(f"{1e6 * (time.process_time() - began) / steps:.0f}, {peak_rss_mb():.0f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=[*CASES, "stream"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--section", default="texts", choices=list(CASES))
    parser.add_argument("--method", default=MID)
    parser.add_argument("--steps", type=int, default=LENGTHS[-1])
    parser.add_argument("--times", type=int, default=1, help="how many times as many steps of training")
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.what == "stream":
        run_stream(given.out, given.section, given.method, given.steps)
    else:
        run_case(given.out, given.what, given.times, given.rates, given.methods)
