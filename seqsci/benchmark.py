"""Benchmarks of the whole zoo, as the command line and a notebook call them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from seqsci.training.long_range.scales import Plan, plan


@dataclass(frozen=True)
class Benchmark:
    """What a benchmark has found."""

    folder: Path
    """cells, scores.csv, scores.parquet, report.html and its pictures."""

    @property
    def table(self) -> pl.DataFrame:
        """A row per task and method: score, interval, chance, size and cost; `why` where there is no score."""
        from seqsci.report.long_range.material import Material

        return Material(self.folder).table

    @property
    def report(self) -> Path:
        """The page."""
        return self.folder / "report.html"

    def markdown(self) -> str:
        """Tables and verdicts as text."""
        from seqsci.report.long_range import markdown

        return markdown(self.folder)


def benchmark_long_range(
    models: Sequence[str] = (),
    tasks: Sequence[str] = (),
    *,
    scale: str = "small",
    steps: int | None = None,
    seed: int = 0,
    text: str | Path | None = None,
    retrieval: str | Path | None = None,
    out: str | Path | None = None,
    quiet: bool = False,
) -> Benchmark:
    """Train encoders of equal size on simulated long-range tasks, and score them beside chance and cheap methods.

    Args:
        models: names of `seqsci models`, "hmt/transformer" for HMT around another encoder; all by default.
        tasks: passkey, recall, copying, listops, pathfinder, far-cause, text, retrieval; by default all that are
            simulated, and those whose file is given.
        scale: small (minutes on a laptop) or published (the lengths of the Long Range Arena: days of CPU, as
            no GPU is used).
        steps: of each training, in place of the scale's.
        seed: of the tasks and the weights.
        text: a table with the columns text, label and perhaps split, for byte-level classification.
        retrieval: a table with the columns text1, text2, label and perhaps split.
        out: folder; what is done there already is not done again. By default one in `runs` by scale, steps and seed.
        quiet: print no progress.

    Raises:
        SeqsciError: an unknown name, a file that cannot be used, or a folder with a benchmark of other settings.
    """
    files = {"text": None if text is None else str(text), "retrieval": None if retrieval is None else str(retrieval)}
    wanted = plan(models, tasks, scale=scale, steps=steps, seed=seed, **files)
    folder = default_folder(wanted) if out is None else Path(out)
    from seqsci.report.long_range import build_report
    from seqsci.training.long_range.board import Board

    Board(wanted, folder).fill(_silent if quiet else _say)
    build_report(folder)
    return Benchmark(folder)


def default_folder(wanted: Plan) -> Path:
    """Where a benchmark goes that names no folder: the same for the same scale, steps and seed."""
    steps = "" if wanted.steps is None else f"-steps{wanted.steps}"
    return Path("runs") / f"benchmark-long-range-{wanted.scale.name}{steps}-seed{wanted.seed}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _silent(*_: Any) -> None:
    pass
