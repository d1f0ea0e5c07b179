"""What stands beside a language model: a Markov model, and a transformer of equal parameters and equal steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqsci.data.records import Tokens
from seqsci.models.markov import Markov
from seqsci.models.settings import TransformerSettings
from seqsci.nn.language import LanguageNetwork
from seqsci.nn.sized import parameters
from seqsci.recipe import PretrainRecipe
from seqsci.runs import Run
from seqsci.training.fit import Fitted, fit, load_network
from seqsci.training.language.rows import Written
from seqsci.training.language.strands import strand_losses
from seqsci.training.pretrain.prepare import Prepared

Floats = NDArray[np.float64]
MOST_TOKENS = 20_000_000
"""Of the training rows, that a Markov model counts."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """`val` and `test` (R, 2): nats and tokens asked for of each row."""

    val: Floats
    test: Floats
    facts: dict[str, Any]


def network_method(recipe: PretrainRecipe, prepared: Prepared, run: Run, fitted: Fitted) -> Method:
    """A trained network."""
    network = load_network(recipe, prepared.shape, run)

    def losses(split: str) -> Floats:
        return strand_losses(network, prepared.rows(split), recipe.data.strands)

    facts = {"best_epoch": fitted.best_epoch, "tokens_per_cpu_s": speed(prepared, fitted), **fitted.cost}
    return Method(val=losses("val"), test=losses("test"), facts=facts)


def speed(prepared: Prepared, fitted: Fitted) -> float:
    """Training tokens per CPU second, validation included in the time."""
    tokens = float(prepared.items["train"].lengths.mean()) * prepared.shown * fitted.cost["epochs"]
    return round(tokens / max(fitted.cost["fit_cpu_s"], 1e-9), 1)


def rival(name: str, recipe: PretrainRecipe, prepared: Prepared, run: Run, *, quiet: bool) -> Method:
    """The baseline of that name."""
    return _markov(recipe, prepared) if name == "markov" else _transformer(recipe, prepared, run, quiet=quiet)


def _markov(recipe: PretrainRecipe, prepared: Prepared) -> Method:
    """Counts of the training rows; with augmentation of those of as many other spellings as well."""
    splits = {split: prepared.rows(split) for split in ("val", "test")}
    clean = {split: [row.tokens for row in rows.clean()] for split, rows in splits.items()}
    train = _counted(prepared.rows("train"))
    if recipe.data.augment:
        train += _counted(prepared.rows("train", fresh=True))
    asked = {split: _asked(splits[split]) for split in ("val", "test")}
    every = np.concatenate(asked["val"])
    model = Markov(prepared.shape.symbols).fit(train, lambda losses: float(losses[every].mean()), clean["val"])

    def judge(split: str) -> Floats:
        losses = model.losses(clean[split])
        pairs = zip(losses, asked[split], strict=True)
        return np.array([[own[which].sum(), which.sum()] for own, which in pairs])

    return Method(
        val=judge("val"),
        test=judge("test"),
        facts={"order": model.order, "strength": model.strength, "tokens": sum(len(row) for row in train)},
    )


def _counted(rows: Written) -> list[Tokens]:
    """Rows of training, of a genome as many as are counted in memory."""
    order, left, found = np.random.default_rng(0).permutation(len(rows)), MOST_TOKENS, []
    for place in order:
        found.append(rows.row(int(place), np.random.default_rng([1, int(place)])).tokens)
        left -= len(found[-1])
        if left <= 0:
            break
    return found


def _asked(rows: Written) -> list[NDArray[np.bool_]]:
    """For each row which of its tokens, but for the first, are asked for."""
    found = []
    for place in range(len(rows)):
        batch = rows[place]
        assert batch.target_mask is not None
        which = batch.target_mask[0].numpy()
        # Of a masked row the first token is <begin>, which is never asked for.
        found.append(which[1:] if rows.objective == "masked" else which)
    return found


def _transformer(recipe: PretrainRecipe, prepared: Prepared, run: Run, *, quiet: bool) -> Method:
    """As many layers and about as many parameters, trained on the same rows in the same order."""
    from seqsci.models.transformer import matched

    encoder: Any = LanguageNetwork(recipe.model, prepared.shape).encoder
    like = TransformerSettings(
        layers=getattr(recipe.model, "layers", 4),
        direction="both" if recipe.train.objective == "masked" else "forward",
        dropout=recipe.model.dropout,
    )
    settings = matched(like, parameters(encoder))
    own = replace(
        recipe,
        model=settings,
        train=replace(recipe.train, start=None),
        evaluate=replace(recipe.evaluate, baselines=()),
        search={},
    )
    folder = run.folder / "transformer"
    folder.mkdir(exist_ok=True)
    inner = Run(folder)
    inner.write("recipe.yaml", own.to_yaml())
    data = replace(prepared, recipe=own)
    return network_method(own, data, inner, fit(own, data, inner, quiet=quiet))
