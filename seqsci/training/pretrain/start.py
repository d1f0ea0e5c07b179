"""Weights of another run of `pretrain` that training begins with: stage 2 of HMT, or other data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from seqsci.data.records import Tokenizer
from seqsci.errors import SeqsciError
from seqsci.recipe import PretrainRecipe
from seqsci.runs import Run
from seqsci.training.fit import PREFIX
from seqsci.training.language.science import science


def require_start(start: str, kind: str) -> None:
    """Refuse a run of another task or science; one that is gone only when its weights are needed, not on a resume.

    Raises:
        SeqsciError: see above, or it is not complete.
    """
    if Path(start).is_dir():
        _opened(start, kind)


def load_start(network: nn.Module, start: str, kind: str) -> None:
    """Put a run's weights into a `LanguageNetwork`; what an encoder adds in a later stage (`later`) begins anew.

    Raises:
        SeqsciError: the run is gone or of another science, or its network is another one.
    """
    run = _opened(start, kind)
    tensors, _ = run.load_weights()
    found = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items() if name.startswith(PREFIX)}
    own = network.state_dict()
    encoder: Any = network.encoder
    later = tuple(f"encoder.{name}" for name in getattr(encoder, "later", ()))
    wrong = [name for name in own if name not in found and not name.startswith(later or "none")]
    wrong += [name for name, tensor in found.items() if name not in own or own[name].shape != tensor.shape]
    if wrong:
        raise SeqsciError(
            f"train.start: the network of {run.folder} is another one than this recipe's ({wrong[0]}); leave the "
            f"fields of model as they were there, but for those of HMT's memory"
        )
    network.load_state_dict(found, strict=False)


def _opened(start: str, kind: str) -> Run:
    run = Run.open(start)
    if not isinstance(run.recipe, PretrainRecipe):
        raise SeqsciError(f"train.start: {run.folder} is a run of '{run.recipe.task}'; give one of 'pretrain'")
    run.read_json("metrics.json")  # an unfinished run says so
    _, facts = run.load_weights()
    if facts["domain"] != kind:
        raise SeqsciError(f"train.start: the model of {run.folder} reads {facts['domain']}, and the data is of {kind}")
    tokenizer: Tokenizer = science(kind).TOKENIZER
    if list(tokenizer.symbols) != facts["symbols"]:
        raise SeqsciError(f"{run.folder}: its model reads other tokens than this version of seqsci; train it again")
    return run
