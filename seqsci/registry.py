"""Names of a recipe -> encoders and models. A closed set: a recipe can never name an import path.

A model's file registers itself by decorator; `HOMES` says which file to import for a name, so that
nothing heavy is loaded before a name is used.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

from seqsci.errors import SeqsciError, nearest

HOMES = {
    "informer": "seqsci.models.informer",
    "t2": "seqsci.models.t2",
    "fcn": "seqsci.models.fcn",
    "bioxlstm": "seqsci.models.bioxlstm",
    "transformer": "seqsci.models.transformer",
    "hmt": "seqsci.models.hmt",
    "patched": "seqsci.models.patched",
}
"""Encoder name -> the module that registers it."""
AROUND = {"hmt": "to put a memory around", "patched": "that reads patches"}
"""Encoders around another one -> what that is for. None is put around these."""

T = TypeVar("T")
_encoders: dict[str, Any] = {}
_models: dict[tuple[str, str], Any] = {}


def register_encoder(name: str) -> Callable[[type[T]], type[T]]:
    """Class decorator: `Encoder(settings)` maps (B, L, D) to (B, L', D)."""

    def keep(cls: type[T]) -> type[T]:
        _encoders[name] = cls
        return cls

    return keep


def register_model(task: str, name: str) -> Callable[[type[T]], type[T]]:
    """Class decorator: the whole network `Model(settings, shape)` that the paper gives for a task."""

    def keep(cls: type[T]) -> type[T]:
        _models[task, name] = cls
        return cls

    return keep


def names() -> list[str]:
    """Every encoder that a recipe may name."""
    return sorted(HOMES)


def encoder(name: str) -> Any:
    """The encoder class of that name.

    Raises:
        SeqsciError: no such name; the sentence gives the nearest one.
    """
    _load(name)
    return _encoders[name]


def model(task: str, name: str) -> Any | None:
    """The paper's own network for that task, or None: then the task puts its head on the encoder."""
    _load(name)
    return _models.get((task, name))


def _load(name: str) -> None:
    if name not in HOMES:
        raise SeqsciError(f"model.name: no model '{name}'{nearest(name, HOMES)}")
    import_module(HOMES[name])


def settings(name: str) -> type:
    """The settings class of a model, without importing the model."""
    from seqsci.models import settings as known

    if name not in HOMES:
        raise SeqsciError(f"model.name: no model '{name}'{nearest(name, HOMES)}")
    found: dict[str, type] = {
        "informer": known.InformerSettings,
        "t2": known.T2Settings,
        "fcn": known.FCNSettings,
        "bioxlstm": known.BioXLSTMSettings,
        "transformer": known.TransformerSettings,
        "hmt": known.HMTSettings,
        "patched": known.PatchedSettings,
    }
    return found[name]


def check_within(settings: Any, steps: int, longer: str) -> None:
    """Refuse an encoder, with these settings, that cannot read so few steps as one that is put around it lets it read.

    Raises:
        SeqsciError: as the encoder has it, of `model.encoder`, and with `longer` in place of "a longer data.context".
    """
    check = getattr(encoder(settings.name), "check", None)
    if check is None:
        return
    try:
        check(settings, steps)
    except SeqsciError as problem:
        text = str(problem).replace("model.", "model.encoder.").replace("a longer data.context", longer)
        raise SeqsciError(text) from None
