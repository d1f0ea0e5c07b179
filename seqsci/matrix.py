"""Which encoder goes with which task, and why not where it does not: what `seqsci models` prints and a test walks.

Nothing is listed here. Each pair is built, as small as can be, by the doors that a recipe passes (`recipe.build`,
`nn.head.build`, `training.pretrain.require`), and where one of them refuses it, that is the reason. So a new line in
the registry is a new row, and a form that settings offer (`direction`) a further cell.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, get_args, get_type_hints

from seqsci import catalog, registry
from seqsci.errors import SeqsciError, nearest
from seqsci.recipe import TASKS, PretrainRecipe, Recipe, build, describe, read
from seqsci.recipe.written import PretrainTrain

SMALL: dict[str, Any] = {"width": 16, "heads": 2, "layers": 2, "feedforward": 32, "dropout": 0.0, "label_length": 8}
"""Sizes of the smallest networks; an encoder takes those that its settings have."""
AROUND: dict[str, dict[str, Any]] = {"hmt": {"segment": 8, "memory": 3, "sensory": 2}, "patched": {"patch": 4}}
"""The same of what is put around others."""
CONTEXT, HORIZON = 24, 4
SCIENCE = "\0"
"""Stands in a reason for the science of the data, so that what holds for several of them is told once."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """An encoder, in one of its forms, at a task on simulated data."""

    encoder: str
    """A name of the registry, behind "hmt/" or "patched/" where one of these is around it."""
    direction: str
    """"forward" or "both"; "" of an encoder that has one form."""
    task: str
    objective: str
    """Of a language model; "" for the other tasks."""
    data: str
    refused: str = ""
    """Why it cannot be, in the words of what refuses it; "" where it can."""

    @property
    def form(self) -> str:
        """What tells it from other cells of the encoder, the task and the data."""
        return " ".join(part for part in (self.objective, self.direction) if part)

    @property
    def recipe(self) -> Recipe:
        """Of its smallest run.

        Raises:
            SeqsciError: a recipe refuses it.
        """
        tree: dict[str, Any] = {"task": self.task, "data": {"name": self.data, "context": CONTEXT}}
        if self.task == "forecast":
            tree["data"]["horizon"] = HORIZON
        if self.objective:
            tree["train"] = {"objective": self.objective}
        return build({**tree, "model": _model(self.encoder, self.direction)})

    def __str__(self) -> str:
        return "-".join(part for part in (self.task, self.encoder, self.objective, self.direction, self.data) if part)


@cache
def walk() -> tuple[Cell, ...]:
    """Every cell, in the order of encoders, tasks and data."""
    return tuple(cell for encoder in encoders() for cell in cells(encoder))


@cache
def encoders() -> tuple[str, ...]:
    """Every encoder of the registry, then those that go around others, around each: "t2", "hmt/t2"."""
    plain = [name for name in registry.names() if name not in registry.AROUND]
    return (*plain, *(f"{outer}/{name}" for outer in registry.AROUND for name in plain))


@cache
def cells(encoder: str) -> tuple[Cell, ...]:
    """Those of one encoder."""
    found = []
    for task in TASKS:
        for data in places(task):
            for objective in objectives(task):
                for direction in _directions(encoder):
                    cell = Cell(encoder=encoder, direction=direction, task=task, objective=objective, data=data)
                    found.append(replace(cell, refused=_refusal(cell)))
    return tuple(found)


def refused(encoder: str, task: str) -> str:
    """Why an encoder does nothing at all for a task; "" where one of its forms does."""
    every = [cell.refused for cell in cells(encoder) if cell.task == task]
    return every[0] if all(every) else ""


@cache
def places(task: str) -> tuple[str, ...]:
    """Simulated data sets that a task can be tried on, one of each science."""
    found: dict[str, str] = {}
    for card in map(catalog.card, catalog.names()):
        fits = {
            "forecast": card.curves is None and card.written is None,
            "classify": card.curves is not None,
            "pretrain": card.written is not None,
            "finetune": card.written is not None and bool(card.written.label),
        }
        if card.simulated and fits[task]:
            found.setdefault(card.domain, card.name)
    return tuple(found.values())


def objectives(task: str) -> tuple[str, ...]:
    """What a language model can be asked."""
    return get_args(get_type_hints(PretrainTrain)["objective"]) if task == "pretrain" else ("",)


@cache
def shipped() -> dict[tuple[str, str], list[str]]:
    """Encoder and task -> the names of the recipes for it."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in catalog.recipes():
        model = read(name)["model"]
        encoder = f"{model['name']}/{model['encoder']['name']}" if "encoder" in model else model["name"]
        found.setdefault((encoder, name.partition("/")[0]), []).append(name)
    return found


# In words.


def table() -> str:
    """Encoders x tasks with what is tested, and what each encoder is."""
    lines = [["", *TASKS], *([words(encoder), *(_mark(encoder, task) for task in TASKS)] for encoder in encoders())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ["  ".join(f"{part:{n}}" for part, n in zip(line, widths, strict=True)).rstrip() for line in lines]
    legend = (
        "x, or what a language model is asked: tested on simulated data. One step of training lowers the loss, the "
        "weights are saved and read again, and the network predicts. *: a recipe is shipped. -: refused; "
        "`seqsci models NAME` says why."
    )
    tried = "; ".join(f"{task} {', '.join(places(task))}" for task in TASKS)
    abouts = [_wrapped(_about(name), f"{name:13}", " " * 13) for name in registry.names()]
    return "\n".join([*rows, "", _wrapped(legend), _wrapped(f"Simulated are: {tried}."), "", *abouts])


def description(name: str) -> str:
    """One encoder: what it is, its settings, recipes, and what it can and cannot do.

    Args:
        name: of the registry; "hmt/t2" for HMT around t2, "patched/t2" for t2 on patches.

    Raises:
        SeqsciError: no such name, with the nearest one.
    """
    outer, _, inner = name.partition("/")
    settings = registry.settings(outer)
    wanted = [one for one in encoders() if name in (one, one.partition("/")[0])]
    if not wanted:
        raise SeqsciError(f"models: {outer} goes around no '{inner}'{nearest(name, encoders())}")
    lines = [_wrapped(_about(outer), f"{outer}: ", " "), ""]
    for field, kind, default, text in describe(settings):
        if field != "name":
            lines += [f"--model.{field}  [{kind}; {default}]", _wrapped(text, " " * 6)]
    reasons = _reasons([cell for one in wanted for cell in cells(one)])
    alike: dict[tuple[str, ...], list[str]] = {}
    for one in wanted:
        does = tuple(line for task in TASKS for line in _told(one, task, list(reasons)))
        alike.setdefault(does, []).append(one.rpartition("/")[2])
    for does, inners in alike.items():
        lines += ["", f"{outer} around {', '.join(inners)}" if "/" in wanted[0] else outer, *does]
    for number, reason in enumerate(reasons.values(), 1):
        lines += ["", _wrapped(reason, f"[{number}] ", " " * 4)]
    return "\n".join(lines)


def _reasons(every: list[Cell]) -> dict[str, str]:
    """Each `_reason` once -> it in words, with the sciences that it holds for."""
    found: dict[str, dict[str, None]] = {}
    for cell in every:
        if cell.refused:
            found.setdefault(_reason(cell), {})[catalog.card(cell.data).domain] = None
    return {reason: reason.replace(SCIENCE, " or ".join(sciences)) for reason, sciences in found.items()}


def _reason(cell: Cell) -> str:
    """Why not, with `SCIENCE` for that of the data."""
    return cell.refused.replace(catalog.card(cell.data).domain, SCIENCE)


def _told(encoder: str, task: str, reasons: list[str]) -> list[str]:
    """What an encoder does for a task, by which recipes, and what it does not, with the numbers of the reasons."""
    known = [cell for cell in cells(encoder) if cell.task == task]
    works = [cell for cell in known if not cell.refused]
    whynot: dict[str, list[int]] = {}
    for number, reason in enumerate(reasons, 1):
        which = [cell for cell in known if cell.refused and _reason(cell) == reason]
        if which:
            whynot.setdefault("" if len(which) == len(known) else _forms(which), []).append(number)
    numbered = {where: f"[{', '.join(map(str, numbers))}]" for where, numbers in whynot.items()}
    first = (_forms(works) or "x") if works else f"- {numbered.pop('', '')}".rstrip()
    lines = [f"  {task:9} {first}"]
    if recipes := shipped().get((encoder, task)):
        lines.append(_wrapped(f"recipes: {', '.join(recipes)}", " " * 12))
    return [*lines, *(_wrapped(f"not {where} {numbers}", " " * 12) for where, numbers in numbered.items())]


def _forms(told: list[Cell]) -> str:
    return ", ".join(dict.fromkeys(cell.form for cell in told if cell.form))


def _about(name: str) -> str:
    return " ".join(str(registry.settings(name).__doc__).split())


def words(encoder: str) -> str:
    """As it is spoken of."""
    outer, _, inner = encoder.partition("/")
    return f"{outer} around {inner}" if inner else encoder


def _mark(encoder: str, task: str) -> str:
    told = [cell for cell in cells(encoder) if cell.task == task and not cell.refused]
    if not told:
        return "-"
    star = " *" if (encoder, task) in shipped() else ""
    return (" ".join(dict.fromkeys(cell.objective for cell in told)) or "x") + star


def _wrapped(text: str, first: str = "", then: str | None = None) -> str:
    return textwrap.fill(
        text, 98, initial_indent=first, subsequent_indent=first if then is None else then, break_on_hyphens=False
    )


# One cell.


def _directions(encoder: str) -> tuple[str, ...]:
    own = registry.settings(encoder.rpartition("/")[2])
    hints = get_type_hints(own)
    return get_args(hints["direction"]) if "direction" in hints else ("",)


def _model(encoder: str, direction: str) -> dict[str, Any]:
    """The smallest settings of an encoder."""
    name, _, inner = encoder.partition("/")
    if inner:
        return {"name": name, "encoder": _model(inner, direction), **AROUND[name]}
    known = {one.name for one in fields(registry.settings(name))}
    small = {"name": name, **{key: value for key, value in SMALL.items() if key in known}}
    return small | ({"direction": direction} if direction else {})


def _refusal(cell: Cell) -> str:
    """What a recipe's doors say of it: "" where they let it through."""
    from seqsci.training.pretrain import require

    try:
        recipe = cell.recipe
        network = _network(cell.encoder, cell.direction, cell.task)
        if isinstance(network, str):
            return network
        if isinstance(recipe, PretrainRecipe):
            require(recipe, catalog.card(cell.data).domain, network.encoder)
    except SeqsciError as problem:
        return str(problem)
    return ""


@cache
def _network(encoder: str, direction: str, task: str) -> Any:
    """The smallest network, or why there is none; it reads any data and is asked anything alike."""
    import torch

    from seqsci.nn.head import build as network_of

    whole = Cell(encoder=encoder, direction=direction, task=task, objective="", data=places(task)[0])
    if task == "pretrain":
        whole = replace(whole, objective="masked")
    try:
        with torch.random.fork_rng(devices=[]):
            return network_of(task, whole.recipe.model, _shape(task))
    except SeqsciError as problem:
        return str(problem)


def _shape(task: str) -> Any:
    """Sizes of some data: what is refused does not depend on them."""
    from seqsci.data.batch import LanguageShape, SequenceShape, Shape

    if task == "forecast":
        return Shape(context=CONTEXT, horizon=HORIZON, channels=1, outputs=1, marks=1, output_index=(0,))
    if task == "classify":
        return SequenceShape(context=CONTEXT, channels=1, times=1, kinds=2, static=1, classes=2)
    return LanguageShape(symbols=9, context=CONTEXT, outputs=2 if task == "finetune" else 0)
