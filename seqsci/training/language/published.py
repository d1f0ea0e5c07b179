"""A run folder of published weights, which score, embed, generate and finetune then take like any other."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from seqsci.errors import SeqsciError
from seqsci.models.bioxlstm_tokens import TOKENS, in_symbols
from seqsci.models.bioxlstm_weights import load_published
from seqsci.nn.language import LanguageNetwork
from seqsci.recipe import PretrainRecipe, as_kind, build
from seqsci.runs import Run
from seqsci.training.fit import PREFIX, machine
from seqsci.training.language.load import language_shape
from seqsci.training.language.science import science

DOMAINS = {"dna": "genomics", "dna-ps": "genomics", "prot": "proteins"}
"""Published family -> the science whose tokens its own can be mapped to."""
CONTEXT = 1024
"""Tokens of a row in training, said of weights that do not say it."""


def import_published(path: Path, family: str, runs: Path) -> Run:
    """A complete run folder with the weights of a published model, in our vocabulary. Nothing is scored.

    Args:
        path: a folder with weights and their configuration, or the file of weights beside it.
        family: "dna", "dna-ps" or "prot", whose vocabularies are known.
        runs: folder that the run folder is made in.

    Raises:
        SeqsciError: unknown family, names or shapes.
    """
    if family not in DOMAINS:
        raise SeqsciError(
            f"family: {', '.join(DOMAINS)} have a vocabulary that maps to ours, '{family}' has none; "
            f"seqsci.models.bioxlstm_weights.load_published gives its tensors"
        )
    settings, tensors = load_published(path, family)
    kind = DOMAINS[family]
    masked = settings.direction == "both"
    tree = {
        "task": "pretrain",
        "data": {
            "name": str(Path(path).resolve()),
            "domain": kind,
            "context": CONTEXT,
            "strands": "shared" if family == "dna-ps" else "one",
        },
        "model": vars(settings),
        "train": {"objective": "masked" if masked else "fim" if family == "prot" else "causal"},
    }
    recipe = as_kind(build(tree), PretrainRecipe)
    symbols = science(kind).TOKENIZER.symbols
    network = LanguageNetwork(settings, language_shape(kind, recipe.data))
    network.load_state_dict(in_symbols(tensors, family, symbols))
    run = Run.create(runs, recipe, f"published-{family}")
    origin = {"name": Path(path).name, "path": str(Path(path).resolve()), "sha256": "", "card": None}
    weights = {f"{PREFIX}{name}": tensor for name, tensor in network.state_dict().items()}
    run.save_weights(weights, {"domain": kind, "symbols": list(symbols), "origin": origin})
    run.write_json("data.json", {**origin, "notes": [f"weights of the published family {family}, imported"]})
    run.write_json(
        "metrics.json",
        {
            "seqsci": version("seqsci"),
            "task": "pretrain",
            "model": settings.name,
            "published": {"family": family, "tokens": list(TOKENS[family])},
            "machine": machine(),
        },
    )
    return run
