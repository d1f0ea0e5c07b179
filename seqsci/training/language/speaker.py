"""A complete run of `seqsci pretrain`, ready to be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from seqsci import catalog
from seqsci.catalog import SCIENCES, Card
from seqsci.data.records import Records, Tokens
from seqsci.errors import SeqsciError
from seqsci.files import short_name
from seqsci.nn.language import LanguageNetwork
from seqsci.recipe import FinetuneRecipe, PretrainRecipe, as_kind
from seqsci.runs import Run
from seqsci.training.fit import device, load_network
from seqsci.training.language.load import SPLITS, corpus, divided, language_shape
from seqsci.training.language.science import Science, catalog_problem, science

CHUNK = 4096
"""Tokens that a stream reads at a time, so that memory does not grow with the length."""
SMALL_CHUNK = 512
"""The same where each step looks at all before it."""

Tell = Callable[[str], None]


class Speaker:
    """A language model with its weights, tokenizer and science.

    `streams`: it reads on from a state; `recurrent`: and that state does not grow, so that memory does not either.
    `causal`: it says what follows; else it says what is hidden. `strands`: of the recipe, or as asked for.

    Args:
        run: complete.
        strands: "one" or "both", in place of the recipe's.
        invalid: "refuse" or "skip" records that cannot be read, in place of the recipe's.

    Raises:
        SeqsciError: not a complete run of `pretrain`, or one whose tokens are not today's; strands that it has not.
    """

    def __init__(self, run: Run, strands: str | None = None, invalid: str | None = None) -> None:
        self.invalid, self._origin = invalid, dict[str, Any]()
        if isinstance(run.recipe, FinetuneRecipe):
            raise SeqsciError(
                f"{run.folder}: this is a fine-tuned run, which tells a class or a number of each record; use `seqsci "
                f"predict`, or take a run of `seqsci pretrain`"
            )
        self.run, self.recipe = run, as_kind(run.recipe, PretrainRecipe)
        metrics = run.read_json("metrics.json")  # an unfinished run says so
        self.simulated = bool(metrics.get("data", {}).get("simulated", False))  # imported weights do not say
        _, facts = run.load_weights()
        self.kind: str = facts["domain"]
        self.science: Science = science(self.kind)
        self.tokenizer = self.science.TOKENIZER
        if list(self.tokenizer.symbols) != facts["symbols"]:
            raise SeqsciError(f"{run.folder}: its model reads other tokens than this version of seqsci; train it again")
        self.objective: str = self.recipe.train.objective
        self.causal = self.objective != "masked"
        self.context: int = self.recipe.data.context
        self.strands = self._strands(strands)
        network: Any = load_network(self.recipe, language_shape(self.kind, self.recipe.data), run)
        self.network: LanguageNetwork = network
        self.streams: bool = self.causal and self.network.encoder.streams
        self.recurrent: bool = self.streams and self.network.encoder.recurrent
        self.chunk = CHUNK if self.recurrent else SMALL_CHUNK
        self.device = device()

    def read(
        self,
        data: Any = None,
        *,
        label: str | None = None,
        tell: Tell | None = None,
    ) -> Records:
        """Records of the model's science.

        Args:
            data: a data set's name, files, a frame or a list of texts; by default the run's own data.
            label: a column that is wanted as `label`.
            tell: hears what reading has found out or changed.

        Raises:
            SeqsciError: whatever is wrong with them, or they are of another science.
        """
        own = self.recipe.data
        source: Any = own.name if data is None else str(data) if isinstance(data, str | Path) else data
        if data is not None and isinstance(source, str):
            self._require_science(source)
        with asked_by_flag():
            records, self._origin = self.science.load(
                source,
                columns=own.columns or None,
                label=label,
                invalid=self.invalid or own.invalid,
                count=own.count if data is None else None,
            )
        if tell is not None:
            for note in records.notes:
                tell(note)
        return records

    def splits(self, records: Records, data: Any) -> pl.Series | None:
        """(R,) which split of the run each of its own records is in: "train", "val" or "test", several with commas
        between where regions of a record are in different ones, null where it is in none.

        None for other data, and where the run's own have changed since.
        """
        if data is not None or self._origin.get("sha256") != self.run.read_json("data.json").get("sha256"):
            return None
        own = self.recipe.data
        parts = divided(own, records, self.kind, "group" if own.sets else None).frame
        found: dict[int, list[str]] = {}
        for split in SPLITS:
            for record in parts.filter(split=split)["record"].unique():
                found.setdefault(record, []).append(split)
        told = [", ".join(found[row]) if row in found else None for row in range(len(records))]
        return pl.Series("split", told, dtype=pl.String)

    def encode(self, records: Records, row: int) -> Tokens:
        """Tokens of a record, without special ones.

        Raises:
            SeqsciError: a symbol that the model does not know, with the record and the position.
        """
        return self.tokenizer.encode(records.text(row), str(records.frame["id"][row]))

    def opposite(self, tokens: Tokens) -> Tokens:
        """The other strand."""
        pairs = self.tokenizer.complements
        assert pairs is not None
        return pairs[tokens[::-1]].astype(np.uint8)

    def training_texts(self) -> list[str]:
        """What the model was trained on, a text for each piece: the run's own data and split.

        Raises:
            SeqsciError: the data are no longer there.
        """
        found = corpus(self.recipe.data, by="group" if self.recipe.data.sets else None)
        if found.origin["sha256"] != self.run.read_json("data.json").get("sha256"):
            raise SeqsciError(f"data: {self.recipe.data.name} has changed since {self.run.folder} was trained on it")
        return found.texts("train")

    def require_causal(self, what: str, advice: str) -> None:
        """Refuse what a masked model cannot do."""
        if not self.causal:
            raise SeqsciError(f"{self.run.folder}: a masked model tells hidden tokens and {what}; {advice}")

    def facts(self) -> dict[str, Any]:
        """What a summary says of the model."""
        data = self.recipe.data.name
        trained_on = short_name(data) if "," in data else Path(data).name
        return {
            "run": self.run.folder.name,
            "model": self.recipe.model.name,
            "objective": self.objective,
            "strands": self.strands,
            "domain": self.kind,
            "unit": self.science.UNIT,
            "context": self.context,
            "trained_on": trained_on + (" (simulated data)" if self.simulated else ""),
            "sets": self.recipe.data.sets,
        }

    def _strands(self, wanted: str | None) -> str:
        own = self.recipe.data.strands
        if wanted is None or wanted == own:
            return own
        if wanted not in ("one", "both"):
            raise SeqsciError(f"strands: no '{wanted}'; take one or both")
        if self.tokenizer.complements is None:
            raise SeqsciError(f"strands: {self.kind} have no other strand; leave it out")
        if own == "shared":
            raise SeqsciError(
                "strands: this model reads both strands whatever is asked (data.strands shared); leave it out"
            )
        return wanted

    def _require_science(self, source: str) -> None:
        """Refuse data that is surely of another science."""
        try:
            found = catalog.find(source.split(",")[0].strip())
        except SeqsciError:
            raise catalog_problem(source) from None
        if isinstance(found, Card):
            kinds = [found.domain]
        else:
            kinds = [name for name in SCIENCES if science(name).suits(found)] or [self.kind]
        if self.kind not in kinds:
            raise SeqsciError(
                f"data: {source} holds {' or '.join(kinds)}; the model of {self.run.folder} reads {self.kind}"
            )


@contextmanager
def asked_by_flag() -> Iterator[None]:
    """What a domain advises in the words of a recipe, in those of a verb that has no recipe of its own."""
    try:
        yield
    except SeqsciError as problem:
        sentence = str(problem).replace("data.invalid skip", "--invalid skip").replace("data.invalid:", "invalid:")
        raise SeqsciError(sentence) from None


def named(data: Any, run: str) -> dict[str, Any]:
    """What a summary calls the data."""
    if data is None:
        return {"name": f"the data of {run}"}
    if isinstance(data, str | Path):
        return {"name": ", ".join(Path(part.strip()).name for part in str(data).split(","))}
    return {"name": "a list of texts" if isinstance(data, list | tuple) else "a table"}
