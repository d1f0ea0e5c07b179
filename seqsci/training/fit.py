"""Training: a network, a task and windows are handed to Lightning."""

from __future__ import annotations

import logging
import platform
import re
import resource
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch import nn

from seqsci.data.batch import AnyShape
from seqsci.errors import SeqsciError
from seqsci.nn.head import build
from seqsci.nn.memory import steady_heap
from seqsci.nn.precision import resolve
from seqsci.recipe import Recipe
from seqsci.runs import Run
from seqsci.training.callbacks import Interrupted, KeepBest, Narrate, ResumePoints, check_resume_point
from seqsci.training.prepared import Prepared

PREFIX = "network."
"""Before the names of the network's tensors in the file of weights."""


@dataclass(frozen=True)
class Fitted:
    """What training gives back; the best weights lie in the run folder."""

    best_val: float
    best_epoch: int
    cost: dict[str, Any]


def fit(
    recipe: Recipe,
    prepared: Prepared,
    run: Run,
    *,
    listen: Callable[[int, float], None] | None = None,
    quiet: bool = False,
) -> Fitted:
    """Train, or go on from the run's resume point, or do nothing when training has already ended.

    Args:
        recipe: the resolved recipe.
        prepared: its data.
        run: folder for weights, log and resume points.
        listen: called with epoch and validation loss; what it raises ends the training.
        quiet: print no progress.

    Raises:
        SeqsciError: a damaged resume point, or a loss that is not finite.
        seqsci.training.callbacks.Interrupted: after Ctrl-C.
    """
    done = run.folder / "fit.json"
    if done.is_file():
        return Fitted(**run.read_json("fit.json"))
    train = recipe.train
    steady_heap()
    with _composed(), enough_memory():
        pl.seed_everything(train.seed, verbose=False)
        network = build(recipe.task, recipe.model, prepared.shape)
        precision = resolve(train.precision, device())
        # Before all that costs time: it measures it.
        points = ResumePoints(run, train.save_minutes)
        module = prepared.module(network, recipe)
        keep = KeepBest(lambda: save_network(run, prepared, network), listen, solved=hasattr(network, "solve"))
        stop = EarlyStopping("val_loss", patience=train.patience, mode="min")
        trainer = pl.Trainer(
            max_epochs=train.epochs,
            accelerator="auto",
            devices=1,
            precision="bf16-mixed" if precision == "bf16" else "32-true",
            gradient_clip_val=train.clip or None,
            callbacks=[Narrate(run, quiet), keep, stop, points],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=run.folder,
        )
        resume = None
        if run.resume_point.is_file():
            check_resume_point(run.resume_point)
            resume = str(run.resume_point)
        with points.watching():
            try:
                trainer.fit(
                    module,
                    prepared.loader("train", train.batch, train.seed),
                    prepared.loader("val", max(train.batch, 64)),
                    ckpt_path=resume,
                    weights_only=True,
                )
            except FloatingPointError as problem:
                best = f"; the best weights so far are in {run.folder}" if keep.epoch else ""
                raise SeqsciError(f"{problem}{best}") from None
    cpu, wall = points.spent()
    cost = {
        "fit_cpu_s": round(cpu, 2),
        "fit_wall_s": round(wall, 2),
        "epochs": trainer.current_epoch,
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "precision": precision,
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in network.parameters()),
    }
    fitted = Fitted(keep.best, keep.epoch, cost)
    run.write_json("fit.json", vars(fitted))
    if points.interrupted:
        raise Interrupted  # in the very last step: what is left is the scoring
    return fitted


def save_network(run: Run, prepared: Prepared, network: nn.Module, extra: dict[str, Any] | None = None) -> None:
    """Weights with everything that is needed to read new data."""
    tensors = {f"{PREFIX}{name}": tensor for name, tensor in network.state_dict().items()}
    run.save_weights({**tensors, **(extra or {})}, {**prepared.facts(), "origin": prepared.origin})


def load_network(recipe: Recipe, shape: AnyShape, run: Run) -> nn.Module:
    """The network of a run with its best weights, on the CPU or GPU at hand, in evaluation mode.

    Raises:
        SeqsciError: damaged weights, or those of another recipe.
    """
    tensors, _ = run.load_weights()
    network = build(recipe.task, recipe.model, shape)
    try:
        network.load_state_dict({k.removeprefix(PREFIX): v for k, v in tensors.items() if k.startswith(PREFIX)})
    except RuntimeError:
        raise other_recipe(run) from None
    return network.to(device()).eval()


def other_recipe(run: Run) -> SeqsciError:
    """For weights that a run's recipe does not describe."""
    return SeqsciError(
        f"{run.folder / 'recipe.yaml'}: has been changed, and {run.folder / 'model.safetensors'} holds the weights of "
        f"another network, or another version of seqsci has written it; restore it, or train as the recipe now says "
        f"with `seqsci run {run.folder / 'recipe.yaml'}`"
    )


def machine() -> dict[str, str]:
    """What a result was computed on."""
    processor = platform.processor() or platform.machine()
    return {"python": platform.python_version(), "torch": torch.__version__, "processor": processor}


def device() -> str:
    """ "cuda" where there is a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.is_file():
        # getrusage would count the parent's peak as well when this process was forked from a large one.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024**2


@contextmanager
def enough_memory() -> Iterator[None]:
    """Turns a failed allocation into a sentence.

    Raises:
        SeqsciError: the block needs more memory than there is.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as problem:
        # On the CPU torch raises a plain RuntimeError, which only its text tells apart.
        if not isinstance(problem, MemoryError) and not re.search("allocate memory|out of memory", str(problem)):
            raise
        raise SeqsciError(
            "model: it needs more memory than there is; take a smaller model.width, train.batch or data.context"
        ) from None


@contextmanager
def _composed() -> Iterator[None]:
    """Lightning without its chatter: hints on workers and logs do not help someone who forecasts."""
    names = ("pytorch_lightning", "lightning.fabric", "lightning_fabric")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            warnings.filterwarnings("ignore", message=".*set_vital.*")
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
