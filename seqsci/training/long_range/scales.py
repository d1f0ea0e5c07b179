"""How long the sequences are, how large the encoders and how many the steps; free of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from seqsci import registry
from seqsci.errors import SeqsciError, nearest

TASKS = ("passkey", "recall", "copying", "listops", "pathfinder", "far-cause")
"""Those that are made here."""
FILES = ("text", "retrieval")
"""Those that run when their file is given."""
BYTES = 4000
"""Of a text that are read at most, as in the Long Range Arena."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What a benchmark costs."""

    name: str
    drawn: Mapping[str, Mapping[str, int]]
    """Task -> arguments of its generator."""
    steps: Mapping[str, int]
    """Task -> steps of training."""
    batch: int = 32
    validated: int = 6
    """Times that the validation rows are looked at."""
    val: int = 200
    test: int = 1000
    learnt: int = 2000
    """Rows that the cheap methods learn from."""
    budget: int
    """Parameters of an encoder; the nearest width is taken."""
    layers: int = 2
    heads: int = 4
    segment: int
    """Steps that HMT reads at once."""


SCALES = {
    "small": Scale(
        name="small",
        drawn={
            "passkey": {"segments": 8, "length": 8},
            "recall": {"pairs": 4, "length": 16},
            "copying": {"symbols": 5, "gap": 54},
            "listops": {"least": 50, "most": 200, "depth": 10, "arguments": 10},
            "pathfinder": {"size": 16},
            "far-cause": {"length": 64, "distance": 48, "horizon": 8},
        },
        steps={**dict.fromkeys((*TASKS, *FILES), 150), "recall": 300, "copying": 200, "far-cause": 300},
        budget=40_000,
        segment=16,
    ),
    "published": Scale(
        name="published",
        drawn={
            "passkey": {"segments": 64, "length": 16},
            "recall": {"pairs": 8, "length": 128},
            "copying": {"symbols": 10, "gap": 1000},
            "listops": {"least": 500, "most": 2000, "depth": 10, "arguments": 10},
            "pathfinder": {"size": 32},
            "far-cause": {"length": 1024, "distance": 768, "horizon": 8},
        },
        steps=dict.fromkeys((*TASKS, *FILES), 5000),
        test=2000,
        val=500,
        budget=600_000,
        layers=4,
        segment=256,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be run."""

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    scale: Scale
    steps: int | None
    """Of every task, in place of the scale's."""
    seed: int
    files: Mapping[str, str]
    """`text`, `retrieval` -> path."""

    def steps_of(self, task: str) -> int:
        """Steps of training on a task."""
        return self.scale.steps[task] if self.steps is None else self.steps

    def facts(self) -> dict[str, Any]:
        """What must be equal for two cells to stand in one table."""
        return {"scale": self.scale.name, "steps": self.steps, "seed": self.seed}


def plan(
    models: Sequence[str] = (),
    tasks: Sequence[str] = (),
    *,
    scale: str = "small",
    steps: int | None = None,
    seed: int = 0,
    text: str | None = None,
    retrieval: str | None = None,
) -> Plan:
    """A plan whose names all exist; all encoders and tasks where none are named.

    Raises:
        SeqsciError: an unknown name, a task without its file, or no steps.
    """
    if scale not in SCALES:
        raise SeqsciError(f"scale: no scale '{scale}'{nearest(scale, SCALES)}")
    if steps is not None and steps < 1:
        raise SeqsciError(f"steps: {steps}; take at least 1")
    files = {name: path for name, path in (("text", text), ("retrieval", retrieval)) if path is not None}
    for task in tasks:
        if task not in (*TASKS, *FILES):
            raise SeqsciError(f"tasks: no task '{task}'{nearest(task, (*TASKS, *FILES))}")
        if task in FILES and task not in files:
            raise SeqsciError(f"tasks: '{task}' is read from a file; name it with --{task} FILE")
    known = tuple(tasks) or (*TASKS, *files)
    chosen = tuple(task for task in (*TASKS, *FILES) if task in known)
    named = tuple(dict.fromkeys(full_name(model) for model in models or registry.names()))
    return Plan(models=named, tasks=chosen, scale=SCALES[scale], steps=steps, seed=seed, files=files)


def full_name(model: str) -> str:
    """With what it is put around: "hmt" is "hmt/bioxlstm".

    Raises:
        SeqsciError: no such encoder, or one that is put around nothing or around what it cannot be.
    """
    name, slash, inner = model.partition("/")
    settings: Any = registry.settings(name)
    if not _around(settings):
        if slash:
            raise SeqsciError(f"model: '{name}' is put around no other encoder; say '{name}'")
        return name
    inner = inner or settings().encoder.name
    if _around(registry.settings(inner)):
        raise SeqsciError(f"model: '{model}': '{inner}' is itself put around an encoder; name one of the others")
    return f"{name}/{inner}"


def _around(settings: Any) -> bool:
    """Whether the settings are of something that is put around an encoder."""
    return any(field.name == "encoder" for field in fields(settings))
