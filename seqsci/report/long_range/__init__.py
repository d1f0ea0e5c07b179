"""The table, the files and the page of the long-range benchmark, made from its folder alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from seqsci.files import whole
from seqsci.report.long_range import published
from seqsci.report.long_range.material import Material
from seqsci.report.long_range.pictures import PICTURES
from seqsci.report.page import build_page
from seqsci.report.words import fixed_text

NONE, CHANCE = "–", "°"
SCORED = pl.col("score").is_not_null()
SCORES = (
    f"accuracy on test rows, for far-cause the mean squared error (less is better). {CHANCE} at chance: the 95 % "
    f"interval (bootstrap over the test rows) holds what is reached without a look at the row (chance, or the "
    f"commonest answer where that is more often right), or is worse. One seed: another training would differ by more "
    f"than the interval"
)


def build_report(folder: Path) -> Path:
    """Write scores.csv, scores.parquet, the pictures and report.html.

    Raises:
        SeqsciError: nothing was run there, or a file of it is damaged.
    """
    material = Material(folder)
    with whole(folder / "scores.csv") as path:
        material.table.write_csv(path)
    with whole(folder / "scores.parquet") as path:
        material.table.write_parquet(path)
    facts = {"name": "long-range tasks", "simulated": material.simulated}
    return build_page(
        material.run,
        "long_range",
        PICTURES,
        material,
        metrics=material.head,
        data=facts,
        verdicts=verdicts(material),
        columns=columns(material),
        rows=score_rows(material),
        costs=cost_rows(material),
        published=published,
        legend=SCORES,
        recipe=None,
    )


def markdown(folder: Path) -> str:
    """The tables and sentences that the command line prints."""
    material = Material(folder)
    steps = {cell["steps_done"] for cell in material.tasks.values()}
    told = f"{min(steps)} to {max(steps)}" if len(steps) > 1 else f"{min(steps)}"
    head = (
        f"Long-range tasks{', simulated data' if material.simulated else ''}: scale {material.head['scale']}, {told} "
        f"steps of {material.head['batch']} rows, seed {material.head['seed']}"
    )
    parts = [head, "", *_lines([columns(material), *score_rows(material)]), "", f"Scores: {SCORES}.", ""]
    parts += [f"- {sentence}." for sentence in verdicts(material)]
    parts += ["", *_lines([COST, *cost_rows(material)])]
    if material.head["scale"] == "published":
        parts += ["", *published.lines(), "", f"{published.CAVEAT}."]
    return "\n".join(parts)


def columns(material: Material) -> list[str]:
    """Heads of the table of scores."""
    return ["encoder", *(f"{name} (mse)" if t["measure"] == "mse" else name for name, t in material.tasks.items())]


def score_rows(material: Material) -> list[list[str]]:
    """The encoders, then what the cheap methods reach, chance and floor."""
    rows = [[model, *(_score(material, name, model) for name in material.tasks)] for model in material.models]
    methods = list(dict.fromkeys(method for task in material.tasks.values() for method in task["beside"]))
    for method in methods:
        rows.append([method, *(fixed_text(task["beside"].get(method), 3) for task in material.tasks.values())])
    rows.append(["chance", *(fixed_text(task["chance"], 3) for task in material.tasks.values())])
    if any(task["floor"] is not None for task in material.tasks.values()):
        rows.append(["best that can be had", *(_best(task) for task in material.tasks.values())])
    return rows


COST = ["encoder", "width", "parameters", "CPU s in all", "us/token, training", "us/token, reading", "peak MB"]


def cost_rows(material: Material) -> list[list[str]]:
    """What each encoder has cost over the tasks that it did; medians per token, the largest peak."""
    rows = []
    for model in material.models:
        own = material.table.filter(encoder=True, method=model).filter(SCORED)
        if own.is_empty():
            rows.append([model, *[NONE] * (len(COST) - 1)])
            continue
        numbers = (own["cpu_s"].sum(), own["train_us_per_token"].median(), own["read_us_per_token"].median())
        peak = own["peak_rss_mb"].max()
        sizes = [f"{own['width'][0]}", f"{own['encoder_parameters'][0]:,}"]
        rows.append([model, *sizes, *(fixed_text(_number(n), 1) for n in numbers), fixed_text(_number(peak), 0)])
    return rows


def verdicts(material: Material) -> list[str]:
    """For each task what it asks, and who is at chance; then what could not be done, and why."""
    said = []
    for name, task in material.tasks.items():
        own = material.table.filter(task=name, encoder=True).filter(SCORED)
        if own.is_empty():
            said.append(f"{name}: {task['what']}; no encoder was scored")
            continue
        best = own.sort("score", descending=task["measure"] != "mse").row(0, named=True)
        lost = own.filter("at_chance")["method"].to_list()
        first = (
            f"Best: {best['method']}, {fixed_text(best['score'], 3)}; at chance or worse: {', '.join(lost) or 'none'}"
        )
        learnt = "No encoder has learnt it: all are at chance or worse" if len(lost) == len(own) else first
        said.append(f"{name}: {task['what']}. {learnt}{_beaten(own, task)}")
    reasons: dict[tuple[str, str], list[str]] = {}
    for (name, model), cell in material.cells.items():
        if cell["why"]:
            reasons.setdefault((model, cell["why"]), []).append(name)
    said += [f"{NONE} {model} on {', '.join(names)}: {why}" for (model, why), names in reasons.items()]
    return said


def _beaten(own: pl.DataFrame, task: dict[str, Any]) -> str:
    """The cheapest method that the best encoder does not beat."""
    less = task["measure"] == "mse"
    method, score = sorted(task["beside"].items(), key=lambda pair: pair[1], reverse=not less)[0]
    best = own["score"].min() if less else own["score"].max()
    beaten = score <= best if less else score >= best
    return f"; none beats the {method} ({fixed_text(score, 3)})" if beaten else ""


def _score(material: Material, task: str, model: str) -> str:
    found = material.table.filter(task=task, method=model, encoder=True).to_dicts()
    if not found:
        return "not run"
    if found[0]["score"] is None:
        return NONE
    return fixed_text(found[0]["score"], 3) + (f" {CHANCE}" if found[0]["at_chance"] else "")


def _best(task: dict[str, Any]) -> str:
    return NONE if task["floor"] is None else fixed_text(task["floor"], 3)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _lines(rows: list[list[str]]) -> list[str]:
    """A table in Markdown; its first row is the head."""
    return ["| " + " | ".join(row) + " |" for row in (rows[0], ["---"] * len(rows[0]), *rows[1:])]
