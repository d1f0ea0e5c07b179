"""The whole benchmark in a folder: one file for each encoder and task, so that what is done is not done again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from seqsci.errors import SeqsciError
from seqsci.nn.memory import steady_heap
from seqsci.runs import Run
from seqsci.training.fit import machine
from seqsci.training.language.progress import duration
from seqsci.training.long_range.beside import beside
from seqsci.training.long_range.cell import run_cell
from seqsci.training.long_range.files import from_file
from seqsci.training.long_range.scales import FILES, Plan
from seqsci.training.long_range.tasks import LongTask, simulated

CELLS = "cells"
PAUSE = 10.0
"""Seconds between two lines about the steps of one cell."""
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Board:
    """A folder and the plan that fills it."""

    plan: Plan
    folder: Path

    def fill(self, tell: Tell) -> None:
        """Run what is missing: the cheap methods of each task, then each encoder; `tell` hears the progress.

        Raises:
            SeqsciError: a file that cannot be read, or a cell of another plan in the folder.
        """
        steady_heap()
        Run(self.folder).write_json("benchmark.json", self._head())
        done = self._done()
        clock = _Clock(len(self.plan.tasks) * len(self.plan.models) - done)
        for name in self.plan.tasks:
            task = self.task(name)
            self._beside(task, tell)
            for model in self.plan.models:
                path = self.place(name, model)
                if path.is_file():
                    self._require_task(path, task)
                    continue
                told = _Told(clock, f"{name}, {model}", self.plan.steps_of(name), tell)
                cell = run_cell(task, model, self.plan.scale, self.plan.steps_of(name), self.plan.seed, told.step)
                self._write(path, {"task": name, "model": model, **self._facts(task), **cell})
                told.end(task, cell)

    def task(self, name: str) -> LongTask:
        """One of the plan's tasks."""
        if name in FILES:
            return from_file(name, self.plan.files[name], self.plan.scale, self.plan.seed)
        return simulated(name, self.plan.scale, self.plan.seed)

    def place(self, task: str, method: str) -> Path:
        """Where a cell lies."""
        return self.folder / CELLS / f"{task}.{method.replace('/', '+')}.json"

    def _head(self) -> dict[str, Any]:
        return {
            **self.plan.facts(),
            "seqsci": version("seqsci"),
            "machine": {**machine(), "threads": str(torch.get_num_threads())},
            "budget": self.plan.scale.budget,
            "batch": self.plan.scale.batch,
        }

    def _done(self) -> int:
        """Cells that lie there already, all of them of this plan."""
        done = 0
        for path in _cells(self.folder):
            cell = read_cell(path)
            self._require_same(path, cell)
            done += cell["model"] in self.plan.models and cell["task"] in self.plan.tasks
        return done

    def _require_same(self, path: Path, cell: dict[str, Any]) -> None:
        for key, value in self.plan.facts().items():
            if cell.get(key) != value:
                raise SeqsciError(
                    f"{path}: was made with {key} {_said(cell.get(key))}, and {_said(value)} is asked for now; name "
                    f"another folder with --out, or take the same {key}"
                )

    def _require_task(self, path: Path, task: LongTask) -> None:
        """Refuse a cell of another version of seqsci, whose scale was another."""
        cell, own = read_cell(path), self._facts(task)
        if any(cell.get(key) != own[key] for key in ("steps_done", "what", "length")):
            raise SeqsciError(
                f"{path}: was made with a scale '{self.plan.scale.name}' of other sizes or steps; name another folder "
                f"with --out"
            )

    def _facts(self, task: LongTask) -> dict[str, Any]:
        return {
            **self.plan.facts(),
            "steps_done": self.plan.steps_of(task.name),
            "what": task.what,
            "measure": task.measure,
            "chance": task.chance,
            "floor": task.floor,
            "length": task.length,
            "sha256": task.sha256,
        }

    def _beside(self, task: LongTask, tell: Tell) -> None:
        """The cheap methods; also refuses a file that has changed since."""
        path = self.place(task.name, "")
        if not path.is_file():
            tell(f"{task.name}: the cheap methods beside")
            facts = {"task": task.name, "model": "", **self._facts(task)}
            self._write(path, {**facts, "beside": beside(task, self.plan.scale)})
        elif read_cell(path)["sha256"] != task.sha256:
            raise SeqsciError(
                f"{self.plan.files[task.name]}: is not the file that {self.folder} was begun with; name another "
                f"folder with --out"
            )

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        Run(path.parent).write_json(path.name, content)


def read_cell(path: Path) -> dict[str, Any]:
    """What lies there.

    Raises:
        SeqsciError: it is damaged.
    """
    try:
        cell: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        cell["task"], cell["model"]
    except (ValueError, KeyError, TypeError):
        raise SeqsciError(f"{path}: damaged; remove it, and the same command makes it again") from None
    return cell


def _cells(folder: Path) -> Iterator[Path]:
    yield from sorted((folder / CELLS).glob("*.json"))


def _said(value: Any) -> str:
    return "those of the scale" if value is None else str(value)


class _Clock:
    """How long the rest takes, judged by what has been done."""

    def __init__(self, cells: int) -> None:
        self.cells, self.done, self.began = cells, 0, time.monotonic()

    def left(self, share: float) -> str:
        """In words; `share` of the present cell is done."""
        gone = self.done + share
        seconds = (time.monotonic() - self.began) * (self.cells - gone) / max(gone, 1e-9)
        return f"about {duration(seconds)} left"


class _Told:
    """What is said of one cell."""

    def __init__(self, clock: _Clock, name: str, steps: int, tell: Tell) -> None:
        self.clock, self.name, self.steps, self.tell = clock, name, steps, tell
        self.spoke = time.monotonic()

    def step(self, step: int, loss: float, val: float) -> None:
        """Now and then, how far it has come."""
        if time.monotonic() - self.spoke < PAUSE:
            return
        self.spoke = time.monotonic()
        left = self.clock.left(step / self.steps)
        self.tell(f"{self.name}: step {step}/{self.steps}, loss {loss:.3f}, validation {val:.3f}, {left}")

    def end(self, task: LongTask, cell: dict[str, Any]) -> None:
        """What came out."""
        self.clock.done += 1
        number = f"{self.clock.done}/{self.clock.cells}"
        said = f"– ({cell['why']})" if cell["why"] else f"{task.measure} {cell['score']:.3f}, {cell['cpu_s']:.0f} CPU s"
        self.tell(f"{self.name}: {said}; {number} done, {self.clock.left(0)}")
