"""Language models of molecules, DNA and proteins on real data: nats per token, generation, context, fine-tuning, speed.

    SEQSCI_DATA=FOLDER python benchmarks/language.py chembl --out FOLDER --seeds 3
    sections: chembl, ecoli, ecoli_longer, labelled (after the first two), families, homologs, scan, landscape; speeds
    are in language_speed.py

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

import numpy as np
import torch
from scipy.stats import spearmanr

import seqsci
from seqsci.domains import proteins
from seqsci.metrics import bootstrap_ratio
from seqsci.training.fit import load_network
from seqsci.training.language.likelihood import begin
from seqsci.training.language.score import log_likelihoods
from seqsci.training.language.speaker import Speaker
from seqsci.training.language.strands import strand_losses
from seqsci.training.pretrain import prepare

Settings = Mapping[str, Any]

SMALL: Settings = {"model.width": 96, "model.layers": 3}
MOLECULES: Settings = {**SMALL, "train.epochs": 3}
GENOME: Settings = {**SMALL, "train.rows": 2500, "train.epochs": 1, "data.context": 512}
"""1.3 million letters, a third of the part that is for training."""
WAYS: dict[str, Settings] = {
    "causal, one strand": {"data.augment": False},
    "causal, augmented": {"data.augment": True},
    "masked, one strand": {"data.augment": False, "train.objective": "masked"},
    "masked, augmented": {"data.augment": True, "train.objective": "masked"},
    "masked, shared": {"data.augment": False, "train.objective": "masked", "data.strands": "shared"},
}
"""The ways to a reverse complement; a causal model cannot share its strands."""
LONGER: Settings = {**GENOME, "train.rows": 7500, "train.epochs": 6, "data.augment": True}
"""23 million letters: the whole part that is for training, six times."""


def trained(out: Path, name: str, data: str, seed: int, settings: Settings) -> Any:
    """The complete run of that name, trained unless it is there."""
    told = out / f"{name}-{seed}.json"
    if told.is_file():
        return seqsci.open_run(json.loads(told.read_text())["folder"])
    result = seqsci.pretrain(data, settings=settings, seed=seed, runs=out / "runs")
    told.write_text(json.dumps({"folder": str(result.folder.resolve())}))
    return result


def tuned(out: Path, name: str, start: Any, data: str, seed: int, settings: Settings) -> Any:
    """The complete fine-tuned run of that name, trained unless it is there."""
    told = out / f"{name}-{seed}.json"
    if not told.is_file():
        result = seqsci.finetune(start, data, settings=settings, seed=seed, runs=out / "runs")
        told.write_text(json.dumps({"folder": str(result.folder.resolve())}))
    return seqsci.open_run(json.loads(told.read_text())["folder"])


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
        if name.endswith("augmented"):
            rows.append([f"{name}, both averaged", spread([averaged(result) for result in results]), *["–"] * 5])
        print(table(LIKELIHOOD, rows), flush=True)


def ecoli_longer(out: Path, seeds: int) -> None:
    """The same far end behind eighteen times the training, beside the Markov model."""
    settings = {**LONGER, "evaluate.baselines": ["markov"]}
    results = [trained(out, "ecoli-longer", "ecoli", seed, settings) for seed in range(seeds)]
    markov = [result.metrics["baselines"]["markov"] for result in results]
    ends = ", ".join("[{:+.4f}, {:+.4f}]".format(*one["difference_interval"]) for one in markov)
    print(table(LIKELIHOOD, [["causal, augmented, longer", *likelihoods(results)]]))
    print(f"less the Markov model's: {spread([one['difference'] for one in markov], 4)}; by seed {ends}")
    print(f"both strands averaged: {spread([averaged(result) for result in results], 4)}", flush=True)


def averaged(result: Any) -> float:
    """Nats per base of the test split when a model is asked about both strands."""
    prepared = prepare(result.recipe)
    network = load_network(result.recipe, prepared.shape, result.run)
    losses = strand_losses(network, prepared.rows("test"), "both")
    return float(losses[:, 0].sum() / losses[:, 1].sum())


HOMOLOGS = (0, 4, 16, 64)
FAMILIES: Settings = {**SMALL, "data.sets": True, "data.split": "record", "data.context": 2048, "train.batch": 8,
                      "train.rows": 400, "train.epochs": 10, "model.rotary": 10000.0, "evaluate.baselines": ["markov"]}  # fmt: skip
"""Homologs of the test records are read in training, never they themselves."""


def families(out: Path, seeds: int) -> None:
    """Test records of five protein families behind so many homologs that training has read."""
    rows = []
    for seed in range(seeds):
        result = trained(out, "families", "families", seed, FAMILIES)
        corpus = prepare(result.recipe).corpus
        frame, cells = corpus.records.frame, []
        for count in HOMOLOGS:
            total = np.zeros(2)
            for group in frame["group"].drop_nulls().unique().sort():
                told = _family(corpus, group)
                context = {"context": told["train"], "context_size": count, "seed": seed} if count else {}
                found = seqsci.score(
                    result, told["test"][:20], **context, quiet=True, output=out / "scores.parquet"
                ).table
                total += [-found["log_likelihood"].sum(), found["tokens"].sum()]
            cells.append(f"{total[0] / total[1]:.3f}")
        rows.append([str(seed), *cells, f"{result.metrics['baselines']['markov']['nats']:.3f}"])
        print(table(["seed", *(f"{count} homologs" for count in HOMOLOGS), "Markov"], rows), flush=True)


def _family(corpus: Any, group: str) -> dict[str, list[str]]:
    """Split -> its records of one family."""
    frame = corpus.records.frame
    found: dict[str, list[str]] = {"train": [], "test": []}
    for record, split in corpus.parts.frame.select("record", "split").iter_rows():
        if split in found and frame["group"][record] == group:
            found[split].append(frame["sequence"][record])
    return found


UNSEEN: Settings = {"model.width": 64, "model.heads": 1, "model.layers": 2, "model.style": "v1", "model.dropout": 0.0,
                    "model.rotary": 10000.0, "data.sets": True, "data.split": "group", "data.context": 2048,
                    "data.count": 10000, "train.batch": 2, "train.epochs": 4, "evaluate.baselines": ["markov"]}  # fmt: skip
"""200 SIMULATED families of 50, a tenth of them held out whole: behind "64" homologs stand the 40 that there are. One wide
head, since what a state can tell apart grows with its width; v1 blocks, since these have a convolution."""
QUERIES = 10


def homologs(out: Path, seeds: int) -> None:
    """Members of families that training has not read behind other members: of SIMULATED families by a model of many
    others, and of real ones, none of which it has read, by the same model."""
    rows = []
    for seed in range(seeds):
        result = trained(out, "homologs", "demo-proteins", seed, UNSEEN)
        speaker, corpus = Speaker(result.run), prepare(result.recipe).corpus
        held = corpus.parts.frame.filter(split="test")["record"].to_list()
        told = {"simulated, of families held out": corpus.records.frame[held]}
        told |= {f"real, {name}": proteins.load(name)[0].frame for name in ("families", "pfam_seed")}
        for name, frame in told.items():
            rows.append([f"{name}, seed {seed}", *_behind(speaker, frame)])
            header = ["", "families", "0 homologs", *(f"{count}, less this" for count in HOMOLOGS[1:])]
            print(table(header, rows), flush=True)


def _behind(speaker: Speaker, frame: Any) -> list[str]:
    """Nats per residue behind no homologs, and what each number of them changes, with the interval over families."""
    nats, tokens = [], []
    for number, texts in enumerate(frame.drop_nulls("group").group_by("group", maintain_order=True)):
        order = np.random.default_rng(number).permutation(len(texts[1]))
        own = [speaker.tokenizer.encode(texts[1]["sequence"][int(row)]) for row in order]
        queries, others = own[:QUERIES], own[QUERIES:]
        begun = [begin(speaker, others[:count]) for count in HOMOLOGS]
        nats.append([-float(log_likelihoods(speaker, before, queries).sum()) for before in begun])
        tokens.append(sum(len(one) + 1 for one in queries))
    sums, counts = np.array(nats), np.array(tokens, dtype=np.float64)
    cells = [str(len(sums)), f"{sums[:, 0].sum() / counts.sum():.3f}"]
    for place in range(1, len(HOMOLOGS)):
        gap = sums[:, place] - sums[:, 0]
        low, high = bootstrap_ratio(gap, counts, resamples=1000, seed=0)
        cells.append(f"{gap.sum() / counts.sum():+.3f} [{low:+.3f}, {high:+.3f}]")
    return cells


LABELLED = {
    "molecules": (("bbbp", {}), ("esol", {})),
    "genomics": (("promoters_ecoli", {}), ("uci_splice", {})),
}
TUNED: Settings = {"train.epochs": 12, "model.dropout": 0.1}


def labelled(out: Path, seeds: int) -> None:
    """Fine-tuned from the first models of `chembl` and `ecoli`, beside features and random weights."""
    rows = []
    for start, (science, sets) in zip(("chembl", "ecoli-causal-augmented"), LABELLED.items(), strict=True):
        for data, further in sets:
            told = []
            for seed in range(seeds):
                run = json.loads((out / f"{start}-{seed}.json").read_text())["folder"]
                told.append(tuned(out, f"labelled-{data}", run, data, seed, {**TUNED, **further}).metrics)
            for main in (told[0]["main"], told[0]["second"]):
                cells = [spread([one["test"][main] for one in told])]
                cells += [spread([one["baselines"][b][main] for one in told]) for b in ("scratch", "features", "mean")]
                rows.append([f"{data}, {main}", *cells])
            print(table([science, "pretrained", "random weights", "features", "mean"], rows), flush=True)


def scan(out: Path, seeds: int) -> None:
    """Zero-shot scores of the beta-lactamase scan by models of whole proteomes, beside BLOSUM62. There are no homologs
    of it in the data, so that no profile can be made."""
    from Bio.Align import substitution_matrices

    found, _ = proteins.deep_scan("blat_ecolx")
    matrix = substitution_matrices.load("BLOSUM62")
    rows = found.variants.drop_nulls("label")
    changes = list(rows.select("position", "reference", "alternative").iter_rows())
    blosum = [sum(matrix[a][b] for a, b in zip(theirs, ours, strict=True)) for _, theirs, ours in changes]
    names = [
        ":".join(f"{a}{place + 1}{b}" for place, a, b in zip(*change, strict=True)) for change in changes
    ]  # as the record counts, not the file
    print(f"BLOSUM62: Spearman {spearmanr(blosum, rows['label'])[0]:.3f} over {len(rows)} variants")
    for seed in range(seeds):
        settings = {
            **SMALL,
            "model.rotary": 10000.0,
            "train.epochs": 3,
            "data.context": 512,
            "evaluate.baselines": ["markov"],
        }
        result = trained(out, "mycoplasma", "mycoplasma", seed, settings)
        scored = seqsci.score(
            result, [found.wild_type.text(0)], variants=names, quiet=True, output=out / "scan.parquet"
        ).table
        print(f"seed {seed}: Spearman {spearmanr(scored['log_ratio'], rows['label'])[0]:.3f}", flush=True)


LANDSCAPE: Settings = {"model.width": 64, "model.layers": 2, "train.epochs": 5, "evaluate.baselines": ["markov"]}


def landscape(out: Path, seeds: int) -> None:
    """What substitutions do to beta-lactamase, fine-tuned from a model of SIMULATED proteins: at positions that are
    unchanged in training, and at random."""
    rows = []
    for by, baselines in (("position", ["mean", "features", "scratch"]), ("record", ["mean", "features"])):
        told = []
        for seed in range(seeds):
            start = trained(out, "landscape", "demo-proteins", seed, LANDSCAPE)
            own = {"data.split": by, "train.epochs": 4, "evaluate.baselines": baselines}
            told.append(tuned(out, f"landscape-{by}", start, "blat_ecolx", seed, own).metrics)
        for measure in ("rmse", "spearman"):
            cells = [[one["test"][measure] for one in told]]
            for name in ("mean", "features", "scratch"):
                cells.append([one["baselines"][name][measure] for one in told if name in one["baselines"]])
            cells = [[x for x in cell if x is not None] for cell in cells]
            rows.append([f"{by}, {measure}", *(spread(cell) if cell else "–" for cell in cells)])
        print(table(["", "fine-tuned", "mean", "features", "random weights"], rows), flush=True)


SECTIONS: dict[str, Callable[[Path, int], None]] = {
    "chembl": chembl,
    "ecoli": ecoli,
    "ecoli_longer": ecoli_longer,
    "families": families,
    "homologs": homologs,
    "labelled": labelled,
    "scan": scan,
    "landscape": landscape,
}


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
