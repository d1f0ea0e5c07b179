"""One encoder on one task: trained, its best weights chosen on validation, the test rows scored once."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from seqsci.errors import SeqsciError
from seqsci.metrics import block_bootstrap
from seqsci.nn.sized import parameters
from seqsci.training.fit import enough_memory, peak_rss_mb
from seqsci.training.long_range.encoders import sized
from seqsci.training.long_range.network import LongRangeNetwork
from seqsci.training.long_range.scales import Scale
from seqsci.training.long_range.tasks import LongTask, Rows

RATE, WARM, CLIP = 2e-3, 0.1, 1.0
"""Learning rate of AdamW at its height, share of the steps in which it rises to it, bound of the gradient's norm; it
falls as half a cosine to nothing. The same for every encoder and task."""
RESAMPLES = 1000
Say = Callable[[int, float, float], None]
"""Hears the step, the loss in training and the validation loss."""


def run_cell(task: LongTask, model: str, scale: Scale, steps: int, seed: int, say: Say) -> dict[str, Any]:
    """Train and score; where the encoder cannot do the task only `why` is told.

    Returns:
        `score, low, high` (95 %, bootstrap over the test rows), `val_loss, best_step, parameters, encoder_parameters,
        width, cpu_s, wall_s, train_us_per_token, read_us_per_token, peak_rss_mb, peak_of_cell, curve`.
    """
    torch.manual_seed(seed)
    own = _reset_peak()
    clock = time.process_time(), time.monotonic()
    try:
        settings = sized(model, scale)
        with enough_memory():
            network = LongRangeNetwork(task, settings)
            curve, spent, best = _trained(network, task, scale, steps, say)
            losses, reading = _scored(network, task, scale)
    except SeqsciError as problem:
        return {"why": str(problem)}
    low, high = block_bootstrap(losses, 1, resamples=RESAMPLES, seed=seed)
    return {
        "why": None,
        "score": float(losses.mean()),
        "low": low,
        "high": high,
        "val_loss": best[0],
        "best_step": best[1],
        "parameters": parameters(network),
        "encoder_parameters": parameters(network.encoder),
        "width": settings.width,
        "cpu_s": round(time.process_time() - clock[0], 2),
        "wall_s": round(time.monotonic() - clock[1], 2),
        "train_us_per_token": spent,
        "read_us_per_token": reading,
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "peak_of_cell": own,
        "curve": curve,
    }


def _trained(
    network: LongRangeNetwork, task: LongTask, scale: Scale, steps: int, say: Say
) -> tuple[list[dict[str, float]], float, tuple[float, int]]:
    """The curve, CPU microseconds of a step per token read, and the least validation loss with its step; the network
    has the weights of that step.

    Raises:
        SeqsciError: the loss is no number any more.
    """
    optimizer = torch.optim.AdamW(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    val = task.draw("val", 0, scale.val)
    every = max(1, steps // scale.validated)
    best, weights = (math.inf, 0), copy.deepcopy(network.state_dict())
    curve: list[dict[str, float]] = []
    seconds, tokens, seen = 0.0, 0, 0.0
    for step in range(1, steps + 1):
        rows = task.draw("train", step, scale.batch)
        began = time.process_time()
        network.train()
        loss = _loss(task, network(rows), rows.target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        seconds, tokens, seen = (
            seconds + time.process_time() - began,
            tokens + _tokens(rows),
            seen + float(loss.detach()),
        )
        if not math.isfinite(seen):
            raise SeqsciError(f"its loss was no number any more at step {step} of {steps}")
        if step % every == 0 or step == steps:
            found = _validated(network, task, val, scale.batch)
            curve.append({"step": step, "train_loss": seen / (step - int(curve[-1]["step"] if curve else 0)), **found})
            seen = 0.0
            say(step, curve[-1]["train_loss"], found["val_loss"])
            if found["val_loss"] < best[0]:
                best, weights = (found["val_loss"], step), copy.deepcopy(network.state_dict())
    network.load_state_dict(weights)
    return curve, 1e6 * seconds / tokens, best


def _rate(step: int, steps: int) -> float:
    warm = max(1, round(WARM * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


@torch.no_grad()
def _validated(network: nn.Module, task: LongTask, rows: Rows, size: int) -> dict[str, float]:
    network.eval()
    said = [(network(part), part.target) for part in rows.split(size)]
    losses = [float(_loss(task, out, target)) * len(target) for out, target in said]
    scores = [_scores(task, out, target) for out, target in said]
    return {"val_loss": sum(losses) / len(rows), "val_score": float(np.concatenate(scores).mean())}


@torch.no_grad()
def _scored(network: nn.Module, task: LongTask, scale: Scale) -> tuple[NDArray[np.float64], float]:
    """The score of each test row, and CPU microseconds of reading per token: the one look at the test rows."""
    network.eval()
    rows = task.draw("test", 0, scale.test)
    began, scores = time.process_time(), []
    for part in rows.split(scale.batch):
        scores.append(_scores(task, network(part), part.target))
    return np.concatenate(scores), 1e6 * (time.process_time() - began) / _tokens(rows)


def _loss(task: LongTask, out: Tensor, target: Tensor) -> Tensor:
    if task.kind == "series":
        return F.mse_loss(out, target)
    return F.cross_entropy(out.flatten(0, -2), target.flatten())


def _scores(task: LongTask, out: Tensor, target: Tensor) -> NDArray[np.float64]:
    """(B,) squared error, or the share of right answers."""
    score = (out - target).square() if task.kind == "series" else (out.argmax(-1) == target).double()
    each: NDArray[np.float64] = score.flatten(1).mean(1).double().numpy() if score.ndim > 1 else score.numpy()
    return each


def _tokens(rows: Rows) -> int:
    """Real steps that are read."""
    return int(rows.mask.sum()) + (0 if rows.beside is None else int(rows.beside[1].sum()))


def _reset_peak() -> bool:
    """Let the peak of resident memory begin anew, where the system can: Linux, from 4.0 on."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True
