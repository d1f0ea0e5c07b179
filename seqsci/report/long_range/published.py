"""Rows of the Long Range Arena as they were published: beside ours as text, never among them.

Tay et al. 2020, "Long Range Arena: A Benchmark for Efficient Transformers" (arXiv 2011.04006), table 1, accuracy in
percent; no model of it was above chance on Path-X. S4: Gu et al. 2022 (arXiv 2111.00396, third version, with the
settings of Gu et al. 2022, arXiv 2206.12037). The rows of Tay et al. also stand in their repository's list of results,
github.com/google-research/long-range-arena, of November 2020.
"""

from __future__ import annotations

TASKS = ("ListOps", "Text", "Retrieval", "Image", "Pathfinder")
TAY = "published, Tay et al. 2020, not run here"
GU = "published, Gu et al. 2022, not run here"
ROWS: tuple[tuple[str, tuple[float, ...], str], ...] = (
    ("Transformer", (36.37, 64.27, 57.46, 42.44, 71.40), TAY),
    ("Local Attention", (15.82, 52.98, 53.39, 41.46, 66.63), TAY),
    ("Sparse Transformer", (17.07, 63.58, 59.59, 44.24, 71.71), TAY),
    ("Longformer", (35.63, 62.85, 56.89, 42.22, 69.71), TAY),
    ("Linformer", (35.70, 53.94, 52.27, 38.56, 76.34), TAY),
    ("Reformer", (37.27, 56.10, 53.40, 38.07, 68.50), TAY),
    ("Sinkhorn Transformer", (33.67, 61.20, 53.83, 41.23, 67.45), TAY),
    ("Synthesizer", (36.99, 61.68, 54.67, 41.61, 69.45), TAY),
    ("BigBird", (36.05, 64.02, 59.29, 40.83, 74.87), TAY),
    ("Linear Transformer", (16.13, 65.90, 53.09, 42.34, 75.30), TAY),
    ("Performer", (18.01, 65.40, 53.82, 42.77, 77.05), TAY),
    ("S4", (59.60, 86.82, 90.90, 88.65, 94.20), GU),
)
"""Model, accuracy on each of TASKS, where it stands."""
CAVEAT = (
    "The published rows are of the Long Range Arena's own data (its Pathfinder images, IMDb, AAN and CIFAR-10), of "
    "networks of another size and of far longer training; they are no rivals of the numbers above"
)


def lines() -> list[str]:
    """The table in Markdown."""
    head = ["model", *TASKS, "origin"]
    rows = [[name, *(f"{score:.2f}" for score in scores), origin] for name, scores, origin in ROWS]
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
