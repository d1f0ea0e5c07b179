"""Files of published weights: tensors by their names, and what the configuration beside them says of how they are
read."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from seqsci.errors import SeqsciError

CONFIGURATIONS = ("model_config.json", "config.json", "config.yaml")
"""Names of a configuration, the first that is there is read."""
THETA = 5e5
"""Of the rotary positions of DNA-xLSTM and Prot-xLSTM."""
PICKLED = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class Configuration:
    """A configuration beside weights, or one that is not there: `found` is then False, and nothing in it."""

    where: str
    values: Mapping[str, object]
    found: bool = True

    def get(self, key: str, otherwise: object) -> object:
        """What it says of a key."""
        return self.values.get(key, otherwise)

    def within(self, key: str) -> Configuration:
        """The part of that name, or all of it where there is none."""
        inner = self.values.get(key)
        return Configuration(f"{self.where}, {key}", inner) if isinstance(inner, Mapping) else self

    def needed(self, key: str) -> object:
        """What it says of a key.

        Raises:
            SeqsciError: nothing.
        """
        if key not in self.values:
            raise SeqsciError(
                f"{self.where}: '{key}' is not told, without which it is not known how these weights are read; put the "
                f"configuration that they were trained with beside them, as {CONFIGURATIONS[0]}"
            )
        return self.values[key]

    def require(self, key: str, wanted: object) -> None:
        """Refuse another value than the one that these blocks have.

        Raises:
            SeqsciError: naming key and value.
        """
        if self.values.get(key, wanted) != wanted:
            raise self.refusal(key, self.values[key], repr(wanted))

    def refusal(self, key: str, value: object, known: str) -> SeqsciError:
        """For a value that these blocks do not have."""
        return SeqsciError(
            f"{self.where}: '{key}' is {value!r}, and these blocks know {known} alone; such weights cannot be taken"
        )


@dataclass(frozen=True)
class Reading:
    """What shapes do not tell."""

    direction: Literal["forward", "both"] = "forward"
    rotary: float = 0.0
    rotary_over: Literal["head", "width"] = "head"


class Weights:
    """Tensors that are taken one by one, each of the shape that it must have.

    Args:
        where: the file.
        tensors: by name.
        family: of whose names they are.
    """

    def __init__(self, where: str, tensors: dict[str, Tensor], family: str) -> None:
        self.where, self.left, self.family = where, dict(tensors), family

    def under(self, prefix: str) -> None:
        """Names without what stands before each; those that lack it stay as they are, and are refused in the end."""
        self.renamed(lambda name: name.removeprefix(prefix))

    def renamed(self, rule: Callable[[str], str]) -> None:
        """Other names."""
        self.left = {rule(name): value for name, value in self.left.items()}

    def drop(self, pattern: str) -> None:
        """Tables that are no weights."""
        self.left = {name: value for name, value in self.left.items() if not re.fullmatch(pattern, name)}

    def has(self, name: str) -> bool:
        """Whether it is there and not taken."""
        return name in self.left

    def count(self, pattern: str) -> int:
        """One more than the largest number in names that begin with the pattern.

        Raises:
            SeqsciError: none does.
        """
        numbers = [int(found[1]) for name in self.left if (found := re.match(pattern, name))]
        if not numbers:
            raise SeqsciError(f"{self.where}: no tensor is called as the blocks of family '{self.family}' are")
        return max(numbers) + 1

    def shape(self, name: str, axes: int) -> tuple[int, ...]:
        """Of a tensor with so many axes, which stays.

        Raises:
            SeqsciError: as `take`.
        """
        found = self.take(name, *[-1] * axes)
        self.left[name] = found
        return tuple(found.shape)

    def take(self, name: str, *shape: int) -> Tensor:
        """float32, and gone from those that are left.

        Raises:
            SeqsciError: none of that name, or of another shape; -1 stands for any size.
        """
        if name not in self.left:
            raise SeqsciError(f"{self.where}: no tensor '{name}', which weights of family '{self.family}' have")
        found = self.left.pop(name)
        fits = found.dim() == len(shape) and all(b in (-1, a) for a, b in zip(found.shape, shape, strict=True))
        if not fits:
            raise self.misfit(name, found, shape)
        return found.float()

    def misfit(self, name: str, found: Tensor, shape: tuple[int, ...]) -> SeqsciError:
        """For a tensor of another shape."""
        wanted = ", ".join("any" if size == -1 else str(size) for size in shape)
        return SeqsciError(
            f"{self.where}: tensor '{name}' has shape {tuple(found.shape)}, not ({wanted}) as the others of family "
            f"'{self.family}' want; such blocks cannot be taken"
        )

    def finish(self) -> None:
        """Refuse what was not taken.

        Raises:
            SeqsciError: naming some of it.
        """
        if self.left:
            some = ", ".join(f"'{name}'" for name in sorted(self.left)[:3])
            more = f" and {len(self.left) - 3} more" if len(self.left) > 3 else ""
            raise SeqsciError(
                f"{self.where}: family '{self.family}' has no tensor {some}{more}; without knowing what these do the "
                f"weights cannot be taken"
            )


def read_tensors(path: Path) -> tuple[str, dict[str, Tensor]]:
    """The file, or the folder, as errors name it; and its tensors.

    Raises:
        SeqsciError: no such file, several that could be meant, or one that holds something else.
    """
    files = [path]
    if path.is_dir():
        files = sorted(path.glob("*.safetensors")) or sorted(p for p in path.iterdir() if p.suffix in PICKLED)
        if not files or (len(files) > 1 and files[0].suffix != ".safetensors"):
            found = ", ".join(file.name for file in files) or "none"
            raise SeqsciError(f"{path}: one file of weights is wanted (*.safetensors, *{', *'.join(PICKLED)}): {found}")
    elif not path.is_file():
        raise SeqsciError(f"{path}: no such file; give the file of weights, or its folder")
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= _of_file(file)
    return str(path), tensors


def _of_file(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as problem:
        raise SeqsciError(
            f"{file}: is damaged, or holds more than tensors, which could be a program and is not opened; write its "
            f"state dict alone, with the code that made it, by torch.save or safetensors"
        ) from problem
    except (SafetensorError, RuntimeError, EOFError, zipfile.BadZipFile) as problem:
        raise SeqsciError(f"{file}: is no file of weights ({problem}); download it again") from problem
    found = found.get("state_dict", found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise SeqsciError(f"{file}: holds no state dict; write one by torch.save(network.state_dict(), file)")
    return {str(name): value for name, value in found.items()}


def read_configuration(path: Path) -> Configuration:
    """What stands beside the weights.

    Raises:
        SeqsciError: a file that cannot be read.
    """
    folder = path if path.is_dir() else path.parent
    for file in (folder / name for name in CONFIGURATIONS):
        if not file.is_file():
            continue
        text = file.read_text(encoding="utf-8")
        try:
            found = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
        except (json.JSONDecodeError, yaml.YAMLError) as problem:
            raise SeqsciError(f"{file}: cannot be read ({problem}); correct it, or take it away") from problem
        if not isinstance(found, Mapping):
            raise SeqsciError(f"{file}: holds no keys; correct it, or take it away")
        return Configuration(str(file), found)
    return Configuration(str(folder), {}, found=False)


def _dna(configuration: Configuration) -> Reading:
    """Of model_config.json, as DNA-xLSTM's training writes it."""
    configuration = configuration.within("model").within("config")
    both, turned = configuration.needed("bidirectional"), configuration.needed("m_position_embeddings")
    for key in ("bidirectional_alternating", "m_backend_bidirectional", "s_position_embeddings"):
        configuration.require(key, False)
    for key in ("m_conv1d_causal", "s_conv1d_causal"):
        configuration.require(key, True)
    return Reading(direction="both" if both else "forward", rotary=THETA if turned else 0.0)


def _prot(configuration: Configuration) -> Reading:
    """Of config.json, as Prot-xLSTM's save_pretrained writes it; without one that of its published configuration."""
    if not configuration.found:
        return Reading(rotary=THETA, rotary_over="width")
    kind = configuration.get("position_embeddings", "none")
    if kind not in ("none", "rot_1d"):
        raise configuration.refusal("position_embeddings", kind, "'none' or 'rot_1d'")
    theta = float(configuration.get("rope_base_frequency", 10_000))  # type: ignore[arg-type]
    return Reading(rotary=theta if kind == "rot_1d" else 0.0, rotary_over="width")


def _plain(configuration: Configuration) -> Reading:
    return Reading()


READINGS: dict[str, Callable[[Configuration], Reading]] = {
    "dna": _dna,
    "dna-ps": _dna,
    "prot": _prot,
    "chem": _plain,
    "xlstm": _plain,
}
"""How the v1 families are read, from what stands beside their weights."""
