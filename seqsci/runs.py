"""A run folder: recipe, data's digest, weights, predictions, metrics, log, resume point; each file whole or absent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqsci import recipe as recipes
from seqsci.errors import SeqsciError
from seqsci.files import located, whole
from seqsci.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = 1
"""Version of the folder's layout; a newer one is refused with advice."""


@dataclass(frozen=True)
class Run:
    """One run folder."""

    folder: Path

    @staticmethod
    def create(root: Path, recipe: Recipe, label: str) -> Run:
        """A new folder `<root>/<task>-<label>-<model>-<time>` with the resolved recipe in it."""
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        base = f"{recipe.task}-{label}-{recipe.model.name}-{stamp}"
        for attempt in range(1, 1000):
            folder = root / (base if attempt == 1 else f"{base}-{attempt}")
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            run = Run(folder)
            run.write("recipe.yaml", recipe.to_yaml())
            return run
        raise SeqsciError(f"{root / base}: no free folder name; remove old runs")

    @staticmethod
    def open(folder: str | Path) -> Run:
        """An existing run.

        Raises:
            SeqsciError: not a run folder.
        """
        path = Path(folder)
        if not (path / "recipe.yaml").is_file():
            known = sorted(p.parent.name for p in path.parent.glob("*/recipe.yaml")) if path.parent.is_dir() else []
            hint = f"; the newest there is {known[-1]}" if known else ""
            raise SeqsciError(f"{path}: not a run folder (no recipe.yaml in it){hint}")
        return Run(path)

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return recipes.build(recipes.read(str(self.folder / "recipe.yaml")))

    @property
    def complete(self) -> bool:
        """Trained and scored."""
        return (self.folder / "metrics.json").is_file()

    @property
    def resume_point(self) -> Path:
        """Where training can go on; removed once the run is complete."""
        return self.folder / "resume.ckpt"

    @property
    def _resume(self) -> str:
        return f"continue the run with `seqsci resume {self.folder}`"

    def write(self, name: str, text: str) -> None:
        """Write a text file, whole."""
        with whole(self.folder / name) as path:
            path.write_text(text, encoding="utf-8")

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file, whole; a value that is not finite becomes null."""
        self.write(name, json.dumps(_finite(content), indent=1, allow_nan=False) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the run.

        Raises:
            SeqsciError: absent or damaged.
        """
        path = self.folder / name
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SeqsciError(
                f"{path}: absent, the run has not ended; continue it with `seqsci resume {self.folder}`"
            ) from None
        except ValueError:
            raise SeqsciError(f"{path}: damaged; run `seqsci run {self.folder / 'recipe.yaml'}` again") from None
        return content

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one line to log.jsonl."""
        path = self.folder / "log.jsonl"
        with located(path), open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(_finite(record)) + "\n")

    def history(self) -> list[dict[str, Any]]:
        """One record per epoch: of an epoch that was repeated after a resume the last, a torn line left out."""
        path = self.folder / "log.jsonl"
        epochs: dict[int, dict[str, Any]] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            epochs[record["epoch"]] = record
        return [epochs[epoch] for epoch in sorted(epochs)]

    def save_weights(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write model.safetensors with its own digest: the format itself does not notice a flipped bit."""
        from safetensors.torch import save_file

        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        text = json.dumps({"schema": SCHEMA, **facts}, sort_keys=True)
        metadata = {"seqsci": text, "sha256": _digest(plain, text)}
        with whole(self.folder / "model.safetensors") as path:
            save_file(plain, path, metadata=metadata)

    def load_weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and facts of model.safetensors.

        Raises:
            SeqsciError: absent, damaged, or written by a newer seqsci.
        """
        from safetensors import SafetensorError, safe_open

        path = self.folder / "model.safetensors"
        if not path.is_file():
            ended = self.complete or (self.folder / "fit.json").is_file()
            advice = f"run `seqsci run {self.folder / 'recipe.yaml'}` again" if ended else self._resume
            raise SeqsciError(f"{path}: absent; {advice}")
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, UnicodeDecodeError, ValueError, RuntimeError):
            raise self._damaged(path) from None
        if _digest(tensors, metadata.get("seqsci", "")) != metadata.get("sha256"):
            raise self._damaged(path)
        facts: dict[str, Any] = json.loads(metadata["seqsci"])
        if facts["schema"] > SCHEMA:
            raise SeqsciError(f"{path}: written by a newer seqsci (schema {facts['schema']}); update seqsci")
        return tensors, facts

    def _damaged(self, path: Path) -> SeqsciError:
        return SeqsciError(
            f"{path}: damaged, its content does not match its digest; restore it from a copy, or train again with "
            f"`seqsci run {self.folder / 'recipe.yaml'}`"
        )


def _digest(tensors: Mapping[str, Tensor], facts: str) -> str:
    """sha256 over the facts and each tensor's name, type, shape and bytes."""
    import torch

    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
