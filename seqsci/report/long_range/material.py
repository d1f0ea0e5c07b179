"""What a benchmark's folder holds, as one table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from seqsci.errors import SeqsciError
from seqsci.runs import Run

ORDER = ("passkey", "recall", "copying", "listops", "pathfinder", "far-cause", "text", "retrieval")
COLUMNS = {
    "task": pl.String,
    "method": pl.String,
    "encoder": pl.Boolean,
    "measure": pl.String,
    "score": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "chance": pl.Float64,
    "floor": pl.Float64,
    "at_chance": pl.Boolean,
    "parameters": pl.Int64,
    "encoder_parameters": pl.Int64,
    "width": pl.Int64,
    "length": pl.Int64,
    "steps": pl.Int64,
    "best_step": pl.Int64,
    "cpu_s": pl.Float64,
    "train_us_per_token": pl.Float64,
    "read_us_per_token": pl.Float64,
    "peak_rss_mb": pl.Float64,
    "why": pl.String,
}


class Material:
    """The files of one benchmark.

    Raises:
        SeqsciError: no such folder, or a damaged file.
    """

    def __init__(self, folder: Path) -> None:
        self.run = Run(folder)
        self.head = _read(folder / "benchmark.json")
        cells = [_read(path) for path in sorted((folder / "cells").glob("*.json"))]
        self.tasks: dict[str, dict[str, Any]] = {
            name: cell for name in ORDER for cell in cells if cell["task"] == name and cell["model"] == ""
        }
        """Task -> what is asked, chance, and the cheap methods."""
        encoders = [cell for cell in cells if cell["model"]]
        encoders.sort(key=lambda cell: ORDER.index(cell["task"]))
        self.cells = {(cell["task"], cell["model"]): cell for cell in encoders}
        self.models = sorted({model for _, model in self.cells})
        if not self.tasks:
            raise SeqsciError(
                f"{folder}: holds no task of a benchmark; run `seqsci benchmark long-range --out {folder}`"
            )

    @cached_property
    def table(self) -> pl.DataFrame:
        """A row per task and method, the encoders first."""
        rows = []
        for name, task in self.tasks.items():
            for model in self.models:
                cell = self.cells.get((name, model))
                if cell is not None:
                    own = {"method": model, "encoder": True, "steps": cell["steps_done"]}
                    own["at_chance"] = at_chance(cell, unseeing(task))
                    rows.append({**{key: cell.get(key) for key in COLUMNS}, **own})
            for method, score in task["beside"].items():
                own = {"method": method, "encoder": False, "score": score, "steps": None}
                rows.append({**{key: task.get(key) for key in COLUMNS}, **own})
        return pl.DataFrame(rows, schema=COLUMNS, orient="row")

    @property
    def simulated(self) -> bool:
        """Whether no task was read from a file."""
        return all(task["sha256"] is None for task in self.tasks.values())


def unseeing(task: Mapping[str, Any]) -> float:
    """What is reached without a look at the row: chance, or the commonest answer where that is more often right."""
    return float(max(task["chance"], task["beside"].get("commonest answer", 0.0)))


def at_chance(cell: Mapping[str, Any], level: float) -> bool | None:
    """Whether the interval of a score holds what is reached without a look, or is worse; None without a score."""
    if cell.get("score") is None:
        return None
    if cell["low"] is None:  # too few test rows for an interval
        better: bool = cell["score"] < level if cell["measure"] == "mse" else cell["score"] > level
        return not better
    return bool(cell["high"] >= level if cell["measure"] == "mse" else cell["low"] <= level)


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SeqsciError(f"{path}: absent; `seqsci benchmark long-range --out {path.parent}` makes it") from None
    except ValueError:
        raise SeqsciError(f"{path}: damaged; remove it, and the same command makes it again") from None
    return content
