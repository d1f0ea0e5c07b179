"""recipes/forecast/best beside a ridge regression that chooses its own context, as a user gets them.

    python benchmarks/best.py --folder FOLDER [--data etth1 etth2] [--horizons 96 192 336 720] [--seeds 5]

Each run is `seqsci.forecast(data, recipe="forecast/best", horizon=H, seed=S)`, in a process of its own; only its
metrics.json is kept in FOLDER, and what lies there is not run again. Prints Markdown: test errors, the interval of
the difference to ridge, and what was chosen on validation. Data are found as everywhere (SEQSCI_DATA).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RECIPE = "forecast/best"
COLUMNS = (
    "data, horizon",
    "MSE of each seed",
    "MAE",
    "ridge MSE, MAE",
    "its context, penalty",
    "MSE less ridge's [95 %]",
    "seasonal naive MSE",
    "kept epoch of each seed",
    "CPU s a run: fit + score",
)


def run(data: str, horizon: int, seed: int, target: Path) -> None:
    """One run; its metrics are written in whole or not at all."""
    import seqsci

    with tempfile.TemporaryDirectory() as runs:
        result = seqsci.forecast(data, recipe=RECIPE, horizon=horizon, seed=seed, runs=runs, quiet=True)
        text = (result.folder / "metrics.json").read_text(encoding="utf-8")
    part = target.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.rename(target)


def row(data: str, horizon: int, found: list[dict[str, Any]]) -> Iterator[str]:
    """The cells of one line; of the seeds the widest interval is told."""
    ridge = found[0]["baselines"]["ridge"]
    gaps = [metrics["baselines"]["ridge"] for metrics in found]
    low, high = zip(*(gap["difference_interval"] for gap in gaps), strict=True)
    # Too few test windows for blocks give no interval.
    interval = "–" if None in low else f"{min(low):+.4f}, {max(high):+.4f}"
    yield f"{data}, {horizon}"
    yield ", ".join(f"{metrics['test']['mse']:.4f}" for metrics in found)
    yield f"{statistics.mean(metrics['test']['mae'] for metrics in found):.4f}"
    yield f"{ridge['mse']:.4f}, {ridge['mae']:.4f}"
    yield f"{found[0]['ridge_context']}, {found[0]['ridge_penalty']:g}"
    yield f"{statistics.mean(gap['difference'] for gap in gaps):+.4f} [{interval}]"
    yield f"{found[0]['baselines']['seasonal_naive']['mse']:.4f}"
    yield ", ".join(str(metrics["val"]["best_epoch"]) for metrics in found)
    costs = [metrics["cost"] for metrics in found]
    yield " + ".join(f"{statistics.mean(cost[key] for cost in costs):.0f}" for key in ("fit_cpu_s", "evaluate_cpu_s"))


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--data", nargs="+", default=["etth1"])
    parser.add_argument("--horizons", nargs="+", type=int, default=[96, 192, 336, 720])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        data, horizon, seed, target = given.work
        run(data, int(horizon), int(seed), Path(target))
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    lines = []
    for data in given.data:
        for horizon in given.horizons:
            targets = [given.folder / f"{data}-{horizon}-{seed}.json" for seed in range(given.seeds)]
            for seed, target in enumerate(targets):
                if not target.exists():
                    print(f"{data}, horizon {horizon}, seed {seed} ...", file=sys.stderr, flush=True)
                    work = ["--work", data, str(horizon), str(seed), str(target)]
                    command = [sys.executable, __file__, "--folder", str(given.folder), *work]
                    subprocess.run(command, check=True, env={**os.environ, **threads})
            lines.append(row(data, horizon, [json.loads(target.read_text(encoding="utf-8")) for target in targets]))
    print(" | ".join(["", *COLUMNS, ""]).strip())
    print("|" + "---|" * len(COLUMNS))
    for cells in lines:
        print(" | ".join(["", *cells, ""]).strip())


if __name__ == "__main__":
    main()
