"""Language models of molecules, DNA and proteins on real data: nats per token, generation, context, fine-tuning, speed.

    SEQSCI_DATA=FOLDER python benchmarks/language.py chembl --out FOLDER --seeds 3
    sections: chembl, ecoli, proteins, scan, finetune, speed

Every score is that of a test split which was looked at once, by a recipe that is shipped, at the epochs stated here. A
run that is complete in the folder is not repeated, so a benchmark that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

import seqsci

Settings = Mapping[str, Any]

SMALL: Settings = {"model.width": 96, "model.layers": 3}
MOLECULES: Settings = {**SMALL, "train.epochs": 3}
GENOME: Settings = {**SMALL, "train.rows": 4000, "train.epochs": 1, "data.context": 512}
"""2 million letters, a good half of the part that is for training."""
WAYS: dict[str, Settings] = {
    "causal, one strand": {"data.augment": False},
    "causal, augmented": {"data.augment": True},
    "causal, augmented, averaged": {"data.augment": True, "data.strands": "both"},
    "masked, one strand": {"data.augment": False, "train.objective": "masked"},
    "masked, augmented": {"data.augment": True, "train.objective": "masked"},
    "masked, augmented, averaged": {"data.augment": True, "train.objective": "masked", "data.strands": "both"},
    "masked, shared": {"data.augment": False, "train.objective": "masked", "data.strands": "shared"},
}
"""The ways to a reverse complement; a causal model cannot share its strands."""


def trained(out: Path, name: str, data: str, seed: int, settings: Settings) -> Any:
    """The complete run of that name, trained unless it is there."""
    told = out / f"{name}-{seed}.json"
    if told.is_file():
        return seqsci.open_run(json.loads(told.read_text())["folder"])
    result = seqsci.pretrain(data, settings=settings, seed=seed, runs=out / "runs")
    told.write_text(json.dumps({"folder": str(result.folder.resolve())}))
    return result


def table(header: list[str], rows: list[list[str]]) -> str:
    """Lines of Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *rows])


def spread(values: list[float], places: int = 3) -> str:
    """The mean of some seeds, and their ends."""
    return f"{statistics.fmean(values):.{places}f} [{min(values):.{places}f}, {max(values):.{places}f}]"


def likelihoods(results: list[Any]) -> list[str]:
    """Cells of one variant over its seeds: its nats, the baselines' and the difference to the transformer."""
    metrics = [result.metrics for result in results]
    cells = [spread([m["test"]["nats"] for m in metrics])]
    for name in ("transformer", "markov"):
        told = [m["baselines"][name] for m in metrics if name in m["baselines"]]
        cells.append(spread([one["nats"] for one in told]) if told else "–")
    gaps = [m["baselines"]["transformer"] for m in metrics if "transformer" in m["baselines"]]
    ends = ", ".join("[{:+.4f}, {:+.4f}]".format(*one["difference_interval"]) for one in gaps)
    cells.append(f"{spread([one['difference'] for one in gaps], 4)}; by seed {ends}" if gaps else "–")
    cells.append(f"{statistics.median(m['cost']['tokens_per_cpu_s'] for m in metrics):,.0f}")
    cells.append(f"{statistics.median(m['cost']['fit_cpu_s'] for m in metrics) / 60:.1f}")
    return cells


LIKELIHOOD = ["", "nats per token", "transformer", "Markov", "less the transformer's", "tokens / CPU s", "CPU min"]


def chembl(out: Path, seeds: int) -> None:
    """Bio-xLSTM, a transformer of equal size and a Markov model on 50,000 molecules; then what the first generates."""
    results = [trained(out, "chembl", "chembl31", seed, MOLECULES) for seed in range(seeds)]
    cost = results[0].metrics["cost"]
    print(f"chembl31, {cost['parameters']:,} parameters, {cost['epochs']} epochs")
    print(table(LIKELIHOOD, [["Bio-xLSTM", *likelihoods(results)]]))
    print(f"markov: order {results[0].metrics['baselines']['markov']['facts']['order']}")
    for result in results:
        made = seqsci.generate(result, count=1000, seed=0)
        print(json.dumps(made.summary, indent=1))


def ecoli(out: Path, seeds: int) -> None:
    """The far end of the E. coli genome by models of the rest, with each way to the reverse complement."""
    rows = []
    for name, ways in WAYS.items():
        settings = {**GENOME, **ways}
        if "masked" in name:
            settings |= {"model.direction": "both"}
        # A transformer stands beside the first alone: the others are compared with each other.
        settings["evaluate.baselines"] = ["markov", "transformer"] if rows == [] else ["markov"]
        slug = name.replace(", ", "-").replace(" ", "-")
        results = [trained(out, f"ecoli-{slug}", "ecoli", seed, settings) for seed in range(seeds)]
        rows.append([name, *likelihoods(results)])
        print(table(LIKELIHOOD, rows), flush=True)


SECTIONS: dict[str, Callable[[Path, int], None]] = {"chembl": chembl, "ecoli": ecoli}


def main() -> None:
    """Run the sections that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="+", choices=SECTIONS)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.sections:
        began = time.process_time()
        SECTIONS[name](given.out, given.seeds)
        print(f"{name}: {(time.process_time() - began) / 60:.1f} CPU minutes\n", flush=True)


if __name__ == "__main__":
    main()
