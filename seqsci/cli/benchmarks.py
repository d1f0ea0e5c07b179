"""The verbs that compare the zoo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from seqsci.cli.verbs import app

benchmark_app = App(name="benchmark", help="Encoders beside each other.", help_format="plaintext")
app.command(benchmark_app)


@benchmark_app.command(name="long-range")
def long_range(
    *,
    model: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = (),
    tasks: str | None = None,
    scale: Literal["small", "published"] = "small",
    steps: int | None = None,
    seed: int = 0,
    text: Path | None = None,
    retrieval: Path | None = None,
    out: Path | None = None,
) -> None:
    """Train encoders of equal size on simulated tasks whose answer stands far back; print a table, write a report.

    Parameters
    ----------
    model
        A name of `seqsci models`, or hmt/transformer for HMT around another; may be repeated. By default all.
    tasks
        With commas between: passkey, recall, copying, listops, pathfinder, far-cause, text, retrieval. By default those
        that are simulated, and those whose file is given.
    scale
        small: sequences of 50 to 256 steps, minutes on a laptop. published: the lengths of the Long Range Arena, days
        of CPU time (no GPU is used).
    steps
        Of each training, in place of the scale's.
    seed
        Of the tasks and the weights.
    text
        CSV, TSV or Parquet with the columns text, label and perhaps split: byte-level classification.
    retrieval
        The same with text1, text2, label: do two texts belong together?
    out
        Folder; an interrupted benchmark goes on in it. By default one in runs, by scale, steps and seed.
    """
    from seqsci.training.long_range.scales import plan

    named = tuple(name.strip() for name in (tasks or "").split(",") if name.strip())
    files = {"text": None if text is None else str(text), "retrieval": None if retrieval is None else str(retrieval)}
    plan(model, named, scale=scale, steps=steps, seed=seed, **files)  # refused before torch is imported
    from seqsci.benchmark import benchmark_long_range

    try:
        found = benchmark_long_range(
            model, named, scale=scale, steps=steps, seed=seed, text=text, retrieval=retrieval, out=out
        )
    except KeyboardInterrupt:
        print("interrupted; the same command goes on with what is missing", file=sys.stderr)
        sys.exit(130)
    print(found.markdown())
    print(f"report: {found.report}")
