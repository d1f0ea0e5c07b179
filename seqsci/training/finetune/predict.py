"""What a complete run says of new records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from seqsci.errors import SeqsciError
from seqsci.recipe import FinetuneRecipe, as_kind
from seqsci.runs import Run
from seqsci.training.finetune.evaluate import prediction_table
from seqsci.training.finetune.rivals import answer, said
from seqsci.training.finetune.rows import Labelled
from seqsci.training.finetune.target import Target
from seqsci.training.fit import enough_memory, load_network
from seqsci.training.language.load import language_shape
from seqsci.training.language.science import require_kind, science
from seqsci.training.language.speaker import asked_by_flag


def predict(
    run: Run, data: Any = None, tell: Callable[[str], None] | None = None, invalid: str | None = None, **further: Any
) -> pl.DataFrame:
    """See `seqsci.api.Result.predict`: `id, predicted` and, of classes, `p_<class>` for each record, in their order.

    Raises:
        SeqsciError: an unfinished or damaged run, records of another science, or a symbol that no token stands for.
    """
    if further:
        raise SeqsciError(f"{next(iter(further))}: records of DNA, proteins or molecules have none; leave it out")
    run.read_json("metrics.json")  # an unfinished run has no temperature yet, and says so
    recipe = as_kind(run.recipe, FinetuneRecipe)
    tensors, facts = run.load_weights()
    kind, target = facts["domain"], Target.from_facts(facts["target"])
    domain = science(kind)
    if list(domain.TOKENIZER.symbols) != facts["symbols"]:
        raise SeqsciError(f"{run.folder}: its model reads other tokens than this version of seqsci; train it again")
    records = _read(run, recipe, kind, data, invalid)
    if tell is not None:
        for note in records.notes:
            tell(note)
    rows = Labelled(records, np.arange(len(records)), domain)
    network = load_network(recipe, language_shape(kind, recipe.data, target.outputs), run)
    with enough_memory():
        raw = said(network, rows, target, recipe.data.strands)
    return prediction_table(records.frame["id"], answer(raw, target, float(tensors["temperature"])), target)


def _read(run: Run, recipe: FinetuneRecipe, kind: str, data: Any, invalid: str | None) -> Any:
    """Records of new data, whose labels are not needed, or of the run's own."""
    own = recipe.data
    if data is None:
        source: Any = own.name
    elif isinstance(data, list | tuple) or hasattr(data, "columns"):
        source = list(data) if isinstance(data, tuple) else data
    else:
        source = str(data)
        require_kind(source, kind, str(run.folder))
    with asked_by_flag():
        records, _ = science(kind).load(
            source,
            columns=own.columns or None,
            label=own.label if data is None else None,
            invalid=invalid or own.invalid,
            count=own.count if data is None else None,
        )
    return records
