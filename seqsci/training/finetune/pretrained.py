"""The pretrained run that fine-tuning begins with: what a recipe takes over from it, and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from seqsci.errors import SeqsciError
from seqsci.recipe import PretrainRecipe, as_tree
from seqsci.runs import Run
from seqsci.training.fit import PREFIX
from seqsci.training.language.science import require_kind, science

TAKEN = ("embedding.", "encoder.")
"""Parts of a language model that are taken over; its map to the vocabulary is not."""


def starting(
    start: str | Path, data: Any = None, *, model: str | None = None, domain: str | None = None
) -> dict[str, Any]:
    """What a recipe takes over from a complete run of `pretrain`: dotted path -> value.

    Args:
        start: its folder.
        data: what is to be learnt, to refuse another science's before anything is read; a frame is not looked at.
        model: name of the model, where it is said as well.
        domain: of the data, where it is said as well.

    Raises:
        SeqsciError: not such a run, data of another science, or another model.
    """
    run = Run.open(start)
    recipe, kind = _opened(run)
    if model not in (None, recipe.model.name):
        raise SeqsciError(f"model.name: {run.folder} brings its own, {recipe.model.name}; leave model out")
    if domain not in (None, kind):
        raise SeqsciError(f"data.domain: the model of {run.folder} reads {kind}, not {domain}; leave domain out")
    if isinstance(data, str | Path):
        require_kind(str(data), kind, str(run.folder))
    block = {f"model.{name}": value for name, value in as_tree(recipe)["model"].items()}
    shared = {"data.strands": "shared"} if recipe.data.strands == "shared" else {}
    return {
        **block,
        **shared,
        "data.domain": kind,
        "data.context": recipe.data.context,
        "train.start": str(run.folder.resolve()),
    }


def swept(recipe: Mapping[str, Any], changes: Mapping[str, Any], data: Any = None) -> dict[str, Any]:
    """The changes of a sweep over fine-tuning, with what is taken over where `train.start` names a pretrained run.

    What the recipe searches and the weights do not depend on, `model.dropout`, goes on being searched.

    Args:
        recipe: its tree, with `task`, `model` and perhaps `search`.
        changes: dotted path -> value; what is given here is stronger than what is taken over.
        data: as of `starting`; the recipe's own where it is not given.

    Raises:
        SeqsciError: see `starting`, or the recipe is of another model than the run.
    """
    start = changes.get("train.start")
    if recipe.get("task") != "finetune" or not start:
        return dict(changes)
    name = recipe["model"]["name"]
    own = starting(start, recipe["data"]["name"] if data is None else data)
    if own["model.name"] != name:
        raise SeqsciError(
            f"train.start: {start} is of the model {own['model.name']}, and the recipe of {name}; take one of that "
            f"model, such as finetune/{own['model.name']}"
        )
    free = {"model.dropout"} & {*(recipe.get("search") or {}), *(changes.get("search") or {})}
    taken = {path: value for path, value in own.items() if path not in free}
    return {**taken, **changes, "train.start": own["train.start"]}


def require_start(start: str, kind: str, data: str) -> None:
    """Refuse a run that is of another science than the data, or reads other tokens; a folder that is gone is told of
    when its weights are needed, since a resumed run needs them no more.

    Raises:
        SeqsciError: see above, or it is no complete run of `pretrain`.
    """
    if Path(start).is_dir():
        _require_same(Run.open(start), kind, data)


def load_start(network: nn.Module, start: str, kind: str) -> None:
    """Put the weights of embedding and encoder into a `RowNetwork`.

    Raises:
        SeqsciError: the run is gone or of another science, or its model is another one than the recipe's.
    """
    run = Run.open(start)
    _require_same(run, kind, "the recipe's")
    tensors, _ = run.load_weights()
    found = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    found = {name: tensor for name, tensor in found.items() if name.startswith(TAKEN)}
    language: Any = network.language
    own_names = {name for name in language.state_dict() if name.startswith(TAKEN)}
    try:
        if own_names != set(found):
            raise RuntimeError
        language.load_state_dict(found, strict=False)
    except RuntimeError:
        raise SeqsciError(
            f"train.start: the model of {run.folder} is another one than this recipe's; leave the fields of model as "
            f"they were in pretraining"
        ) from None


def _opened(run: Run) -> tuple[PretrainRecipe, str]:
    """The recipe of a complete run of `pretrain`, and its science."""
    recipe = run.recipe
    if not isinstance(recipe, PretrainRecipe):
        raise SeqsciError(f"{run.folder}: a run of '{recipe.task}'; fine-tuning begins with one of 'pretrain'")
    run.read_json("metrics.json")  # an unfinished run says so
    _, facts = run.load_weights()
    kind: str = facts["domain"]
    if list(science(kind).TOKENIZER.symbols) != facts["symbols"]:
        raise SeqsciError(f"{run.folder}: its model reads other tokens than this version of seqsci; train it again")
    return recipe, kind


def _require_same(run: Run, kind: str, data: str) -> None:
    own = _opened(run)[1]
    if own != kind:
        raise SeqsciError(
            f"data: {data} is of {kind}, and the model of {run.folder} reads {own}; take a run that was pretrained on "
            f"{kind}, or none"
        )
