"""Generated sequences beside those that the model was trained on: the science's own measures, and numbers to draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from seqsci.errors import SeqsciError
from seqsci.training.language.speaker import Speaker

DRAWN = 1000
"""Values of a histogram at most."""
BEST = 12
"""Molecules that are drawn."""
ALIGNED = 200
"""Proteins that are aligned with the training sequences for a histogram."""
WORD = 3

Numbers = dict[str, list[float]]


@dataclass(kw_only=True)
class Beside:
    """`assessed`: of the science; `rows`: the same as text (measure, value, interval, training); `sentence`: what they
    are compared with; `columns`: further ones of the table; `facts`: numbers for the pictures."""

    sentence: str
    assessed: dict[str, Any] = field(default_factory=dict)
    rows: list[list[str]] = field(default_factory=list)
    columns: pl.DataFrame = field(default_factory=pl.DataFrame)
    facts: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def beside(speaker: Speaker, table: pl.DataFrame, seed: int) -> Beside:
    """Compare; where the run's data are gone, say so and compare with nothing."""
    texts = table["sequence"].to_list()
    rng = np.random.default_rng(seed)
    try:
        training = speaker.training_texts()
    except SeqsciError as problem:
        gone = "not compared with the training sequences, which are not there"
        return Beside(sentence=gone, notes=[f"{gone}: {problem}"])
    assessed = speaker.science.assess(texts, training, seed)
    found = Beside(
        sentence=f"compared with the {len(training):,} training sequences of {speaker.run.folder.name}",
        assessed=assessed,
        rows=[*_counted(assessed), *_measured(assessed)],
    )
    lengths = _some([len(text) for text in training], rng)
    found.facts = {"lengths": {"generated": [len(text) for text in texts][: 10 * DRAWN], "training": lengths}}
    _ADDED[speaker.kind](found, table, training, rng)
    return found


def _molecules(found: Beside, table: pl.DataFrame, training: Sequence[str], rng: np.random.Generator) -> None:
    """Which are valid and novel, their properties, and the most likely ones as a picture."""
    from seqsci.domains.molecules import draw
    from seqsci.domains.molecules.assess import PROPERTIES
    from seqsci.domains.molecules.molecule import canonical, parse, quiet

    with quiet():
        names = [canonical(text) for text in table["sequence"]]
        known = {canonical(text) for text in dict.fromkeys(training)} - {None}
        distinct = list(dict.fromkeys(name for name in names if name is not None))
        sides = {"generated": _some(distinct, rng), "training": _some(sorted(name for name in known if name), rng)}
        parsed = {side: [one for one in map(parse, some) if one is not None] for side, some in sides.items()}
        for measure, function in PROPERTIES.items():
            found.facts[measure] = {
                side: [round(float(function(one)), 4) for one in some] for side, some in parsed.items()
            }
    novel = [name not in known if name is not None else None for name in names]
    found.columns = pl.DataFrame(
        {
            "valid": [name is not None for name in names],
            "canonical": pl.Series(names, dtype=pl.String),
            "novel": pl.Series(novel, dtype=pl.Boolean),
        }
    )
    best = table.hstack(found.columns).filter("novel").sort("nats_per_token", maintain_order=True)
    best = best.unique("canonical", keep="first", maintain_order=True).head(BEST)
    if len(best):
        legends = [f"{nats:.2f} nats a token" for nats in best["nats_per_token"]]
        found.pictures["molecules"] = draw(best["canonical"].to_list(), legends)
        found.facts["best"] = best.select("id", "canonical", "nats_per_token").to_dicts()


def _genomics(found: Beside, table: pl.DataFrame, training: Sequence[str], rng: np.random.Generator) -> None:
    """Shares of G and C, and of the words of three bases."""
    from seqsci.domains.genomics.features import codes, words

    texts = [text for text in table["sequence"] if text]
    if not texts:
        return
    pieces = _pieces(training, int(np.median([len(text) for text in texts])), rng)
    found.facts["gc"] = {"generated": _some([_gc(text) for text in texts], rng), "training": [_gc(p) for p in pieces]}
    spectra = {}
    for side, some in (("generated", texts), ("training", training)):
        counts = np.zeros(4**WORD)
        for text in some:
            counts += np.bincount(words(codes(text), WORD), minlength=4**WORD)
        spectra[side] = (counts / max(counts.sum(), 1)).tolist()
    found.facts["words"] = spectra


def _proteins(found: Beside, table: pl.DataFrame, training: Sequence[str], rng: np.random.Generator) -> None:
    """How near the nearest training sequence is, and the residues' shares."""
    from seqsci.domains.proteins.assess import nearest_identity
    from seqsci.domains.proteins.letters import RESIDUES

    texts = [text for text in table["sequence"] if text]
    if not texts:
        return
    some = [texts[i] for i in np.sort(rng.permutation(len(texts))[:ALIGNED])]
    found.facts["identity"] = {"generated": [round(float(x), 4) for x in nearest_identity(some, training)]}
    sides = {"generated": texts, "training": training}
    counts = {side: [sum(text.count(x) for text in those) for x in RESIDUES] for side, those in sides.items()}
    found.facts["residues"] = {side: [n / max(sum(own), 1) for n in own] for side, own in counts.items()}
    found.facts["residues"]["letters"] = list(RESIDUES)


_ADDED: Mapping[str, Callable[[Beside, pl.DataFrame, Sequence[str], np.random.Generator], None]] = {
    "molecules": _molecules,
    "genomics": _genomics,
    "proteins": _proteins,
}


def _gc(text: str) -> float:
    return round((text.count("G") + text.count("C")) / len(text), 5)


def _pieces(training: Sequence[str], length: int, rng: np.random.Generator) -> list[str]:
    """Pieces of that length out of the training texts, where a text has more letters the more of them."""
    sizes = np.array([len(text) for text in training], dtype=np.float64)
    chosen = rng.choice(len(training), min(DRAWN, max(1, int(sizes.sum() // max(length, 1)))), p=sizes / sizes.sum())
    starts = [int(rng.integers(0, max(1, len(training[i]) - length + 1))) for i in chosen]
    return [training[i][start : start + length] for i, start in zip(chosen, starts, strict=True)]


def _some(values: Sequence[Any], rng: np.random.Generator) -> list[Any]:
    """At most `DRAWN` of them."""
    if len(values) <= DRAWN:
        return list(values)
    return [values[i] for i in np.sort(rng.choice(len(values), DRAWN, replace=False))]


def _measured(assessed: Mapping[str, Any]) -> list[list[str]]:
    """Measures with an interval, and what the training sequences have where that is told."""
    rows = []
    for name, value in assessed.items():
        if isinstance(value, Mapping) and "value" in value:
            training = value.get("training", assessed.get(f"{name}_training", assessed.get(f"training_{name}")))
            rows.append([_words(name), _number(value["value"]), _range(value), _number(training, "")])
        elif isinstance(value, Mapping) and name != "counts":
            rows += _measured(value)
    return rows


def _counted(assessed: Mapping[str, Any]) -> list[list[str]]:
    """Whole numbers."""
    own = assessed.get("counts", assessed)
    return [
        # A number of which there is a share as well is told apart from that.
        [f"number of {_words(name)}" if own is not assessed and name in assessed else _words(name), f"{n:,}", "", ""]
        for name, n in own.items()
        if isinstance(n, int)
    ]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _number(value: float | None, missing: str = "–") -> str:
    return missing if value is None else f"{value:,.3f}" if abs(value) < 100 else f"{value:,.1f}"


def _range(value: Mapping[str, Any]) -> str:
    if value["low"] is None or value["high"] is None:
        return "–"
    return f"[{_number(value['low'])}, {_number(value['high'])}]"
