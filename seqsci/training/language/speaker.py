"""A complete run of `seqsci pretrain`, ready to be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqsci.data.records import Records
from seqsci.errors import SeqsciError
from seqsci.nn.language import LanguageNetwork
from seqsci.recipe import PretrainRecipe, as_kind
from seqsci.runs import Run
from seqsci.training.fit import device, load_network
from seqsci.training.language.load import language_shape
from seqsci.training.language.science import Science, science, science_of

CHUNK = 4096
"""Tokens that a stream reads at a time, so that memory does not grow with the length."""


class Speaker:
    """A language model with its weights, tokenizer and science.

    `streams`: it reads on from a state, so that memory does not grow with what was read.

    Raises:
        SeqsciError: not a complete run of `pretrain`, or one whose tokens are not today's.
    """

    def __init__(self, run: Run) -> None:
        run.read_json("metrics.json")  # an unfinished run says so
        self.run, self.recipe = run, as_kind(run.recipe, PretrainRecipe)
        _, facts = run.load_weights()
        self.kind: str = facts["domain"]
        self.science: Science = science(self.kind)
        self.tokenizer = self.science.TOKENIZER
        if list(self.tokenizer.symbols) != facts["symbols"]:
            raise SeqsciError(f"{run.folder}: its model reads other tokens than this version of seqsci; train it again")
        self.objective: str = self.recipe.train.objective
        network: Any = load_network(self.recipe, language_shape(self.kind, self.recipe.data), run)
        self.network: LanguageNetwork = network
        self.streams: bool = self.network.encoder.streams
        self.device = device()

    def read(
        self, data: Any = None, *, invalid: str | None = None, tell: Callable[[str], None] | None = None
    ) -> Records:
        """Records of the model's science: of a data set, files, a frame or a list of texts; by default the run's own.

        Raises:
            SeqsciError: whatever is wrong with them, or they are of another science.
        """
        own = self.recipe.data
        if isinstance(data, list | tuple) or (data is not None and not isinstance(data, str)):
            source: Any = data
        else:
            source = own.name if data is None else str(data)
            from dataclasses import replace

            found = science_of(replace(own, name=source, domain=None if data is not None else own.domain))
            if found != self.kind:
                raise SeqsciError(f"data: {source} holds {found}; the model of {self.run.folder} reads {self.kind}")
        records, _ = self.science.load(
            source,
            columns=own.columns or None,
            invalid=invalid or own.invalid,
            count=own.count if data is None else None,
        )
        if tell is not None:
            for note in records.notes:
                tell(note)
        return records

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.uint8]]:
        """Tokens of texts, without special ones."""
        return [self.tokenizer.encode(text, f"sequence {number}") for number, text in enumerate(texts, 1)]
