"""What happens around the training steps: progress, best weights, resume points."""

from __future__ import annotations

import random
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from seqsci.errors import SeqsciError
from seqsci.files import whole
from seqsci.runs import Run
from seqsci.tasks.base import SequenceTask

PLAIN_SECONDS = 30.0
"""Between two lines of progress when the output is not a terminal."""


class Interrupted(Exception):
    """Ctrl-C was pressed and a resume point saved."""


class Narrate(pl.Callback):
    """Progress with loss and time left: a bar on a terminal, plain lines in a pipe; and the log of epochs."""

    def __init__(self, run: Run, quiet: bool = False) -> None:
        self.run, self.quiet = run, quiet
        self.console = Console(stderr=True)
        self.bar: Progress | None = None
        self.began = self.spoke = self.epoch_began = time.monotonic()
        self.steps_seen = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        self.began = self.spoke = time.monotonic()
        self.steps_seen = 0
        if not self.quiet and self.console.is_terminal:
            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("steps,"),
                TimeRemainingColumn(),
                TextColumn("left"),
            )
            self.bar = Progress(TextColumn("{task.description}"), *columns, console=self.console, transient=True)
            self.bar.start()
            total = _steps(trainer)
            self.bar.add_task("training", total=total, completed=min(trainer.global_step, total))

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the time; Lightning does not call it when it goes on in the middle of an epoch."""
        self.epoch_began = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """For the resume point."""
        return {"seconds": time.monotonic() - self.epoch_began}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the resume point: the epoch has lasted so long already."""
        self.epoch_began = time.monotonic() - state_dict["seconds"]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar, or now and then say a line."""
        self.steps_seen += 1
        loss = float(outputs["loss"])
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        if self.bar is not None:
            done = min(trainer.global_step, _steps(trainer))
            self.bar.update(
                self.bar.task_ids[0], completed=done, description=f"{epoch}  loss {self._words(pl_module, loss)}"
            )
        elif not self.quiet and time.monotonic() - self.spoke > PLAIN_SECONDS:
            self.spoke = time.monotonic()
            step = f"step {batch_idx + 1}/{trainer.num_training_batches}"
            said = self._words(pl_module, loss)
            print(f"{epoch}, {step}: loss {said}, {self._left(trainer)}", file=sys.stderr, flush=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the epoch and say its losses."""
        measured = {name: float(value) for name, value in trainer.callback_metrics.items()}
        record = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "train_loss": measured.get("train_loss"),
            "val_loss": measured.get("val_loss"),
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": round(time.monotonic() - self.epoch_began, 2),
        }
        self.run.log(record)
        validated = self._words(pl_module, measured["val_loss"])
        line = (
            f"epoch {record['epoch']}/{trainer.max_epochs}: training loss {record['train_loss']:.4f}, "
            f"validation loss {validated}, {record['seconds']:.0f} s, {self._left(trainer)}"
        )
        if self.bar is not None:
            self.bar.console.print(line, highlight=False)
        elif not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Close the bar before anything else is printed."""
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _words(self, module: Any, loss: float) -> str:
        said: str = module.words(loss, time.monotonic() - self.began)
        return said

    def _left(self, trainer: pl.Trainer) -> str:
        per_step = (time.monotonic() - self.began) / max(self.steps_seen, 1)
        seconds = per_step * max(_steps(trainer) - trainer.global_step, 0)
        return f"at most {seconds / 60:.0f} min left" if seconds > 90 else f"at most {seconds:.0f} s left"


class KeepBest(pl.Callback):
    """Write the weights whenever the validation loss falls; tell the listener of each validation.

    A network that was solved before training is judged as it then is too, as epoch 0 (`solved`): training can only add
    what validation likes.
    """

    def __init__(
        self, save: Callable[[], None], listen: Callable[[int, float], None] | None = None, solved: bool = False
    ) -> None:
        self.save, self.listen, self.solved = save, listen, solved
        self.best, self.epoch = float("inf"), 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge what was solved; after a resume that has been done."""
        if not self.solved or self.best < float("inf"):
            return
        task = cast(SequenceTask, pl_module)
        task.eval()
        task.begin()
        with torch.no_grad():
            for batch in cast(Any, trainer.val_dataloaders):
                task.collect(batch.to(task.device))
        task.train()
        self.best = task.conclude()
        self.save()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare, save, tell."""
        loss = float(trainer.callback_metrics["val_loss"])
        if loss < self.best:
            self.best, self.epoch = loss, trainer.current_epoch + 1
            self.save()
        if self.listen is not None:
            self.listen(trainer.current_epoch + 1, loss)

    def state_dict(self) -> dict[str, Any]:
        """For the resume point."""
        return {"best": self.best, "epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the resume point."""
        self.best, self.epoch = state_dict["best"], state_dict["epoch"]


class ResumePoints(pl.Callback):
    """Save everything a run needs to go on, every few minutes and on Ctrl-C, always between two steps.

    Besides what Lightning keeps, the state of the random generators is saved, so that dropout goes on where
    it was; the order of windows is kept by the stateful loader. It must be the last callback of the list.
    """

    def __init__(self, run: Run, minutes: float) -> None:
        self.run, self.seconds = run, minutes * 60
        self.saved = time.monotonic()
        self.interrupted = False
        self.cpu = self.wall = 0.0
        self._clock = (time.process_time(), time.monotonic())
        self._generators: dict[str, Any] | None = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Put the generators back, once, right before the first step after a resume."""
        if self._generators is not None:
            _set_generators(self._generators)
            self._generators = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when it is time, and stop when the user asked for it."""
        if batch_idx + 1 >= trainer.num_training_batches:
            return  # Lightning resumed from here would skip the validation that follows
        if self.interrupted or time.monotonic() - self.saved > self.seconds:
            with whole(self.run.resume_point) as path:
                trainer.save_checkpoint(path)
            self.saved = time.monotonic()
        if self.interrupted:
            raise Interrupted

    def state_dict(self) -> dict[str, Any]:
        """For the resume point."""
        cpu, wall = self.spent()
        return {"generators": _get_generators(), "cpu": cpu, "wall": wall}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the resume point."""
        self._generators = state_dict["generators"]
        self.cpu, self.wall = state_dict["cpu"], state_dict["wall"]

    def spent(self) -> tuple[float, float]:
        """CPU and wall seconds of training, those before a resume included."""
        cpu, wall = self._clock
        return self.cpu + time.process_time() - cpu, self.wall + time.monotonic() - wall

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Take the first Ctrl-C as a wish to stop after the step; a second one stops at once."""

        def ask(number: int, frame: Any) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True
            print("\nstopping after this step (Ctrl-C again stops at once) ...", file=sys.stderr, flush=True)

        try:
            before = signal.signal(signal.SIGINT, ask)
        except ValueError:  # not the main thread: leave signals to whoever owns them
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def check_resume_point(path: Path) -> None:
    """Refuse a damaged resume point: the file is a zip archive, and zip keeps a checksum of each part.

    Raises:
        SeqsciError: naming the file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        damaged = path.name
    if damaged is not None:
        raise SeqsciError(
            f"{path}: damaged, training cannot go on from it; remove it and `seqsci resume {path.parent}` starts over"
        )


def _get_generators() -> dict[str, Any]:
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss],
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def _set_generators(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    if "cuda" in state:
        torch.cuda.set_rng_state_all(state["cuda"])


def _steps(trainer: pl.Trainer) -> int:
    return int(trainer.num_training_batches) * int(trainer.max_epochs or 1)
