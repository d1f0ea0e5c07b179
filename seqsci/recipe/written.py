"""The blocks of recipes for written sequences: DNA, proteins, molecules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from seqsci.models.settings import Count, Positive
from seqsci.recipe.blocks import Data, Evaluate, Rate, Train

Share = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class WrittenData(Data):
    """Which sequences are read, and how they are split."""

    domain: Literal["genomics", "proteins", "molecules"] | None = None
    """What is written in the files; found out by their names and first lines when not given."""
    columns: dict[str, str] = field(default_factory=dict)
    """Our column names (id, sequence, group, split) to a table's, where it has none of the usual ones."""
    invalid: Literal["refuse", "skip"] = "refuse"
    """What to do with a record that cannot be read: refuse the file and name it, or leave it out and count it."""
    count: Positive | None = None
    """Records of a simulated set."""
    split: str = "auto"
    """"auto" (the data set's own, else the first of these that fits), "scaffold", "random" or "group" for molecules,
    "identity", "group" or "record" for proteins (for variants of one protein "position": none of test's positions is
    changed in training; "mutations", "mutations-2": test has more than one, two substitutions), "region"
    or "record" for DNA."""
    shares: tuple[Share, Share, Share] = (0.8, 0.1, 0.1)
    """Of training, validation and test."""
    split_seed: Count = 0
    """Seed of the split; apart from train.seed, so that runs of several seeds share their test split."""
    context: Annotated[int, Field(ge=8, strict=True)] = 512
    """Most tokens of a row in training; a longer record is read in windows."""
    augment: bool = False
    """Whether training rows are spelt anew each time: a random SMILES of the molecule, the reverse complement of
    every other piece of DNA."""
    strands: Literal["one", "both", "shared"] = "one"
    """DNA: "one" reads what is written; "both" averages what a trained model says of it and of its reverse complement
    (post-hoc conjoining): all scores are of both, while training, its early stopping and the choice of the best epoch
    read what is written alone; "shared" reads both with the same weights, so that the two say the same by
    construction."""


@dataclass(frozen=True, kw_only=True)
class PretrainData(WrittenData):
    """What a language model reads."""

    sets: bool = False
    """Whether a row holds records of one group, one after the other: homologs of a family, molecules of an assay."""


@dataclass(frozen=True, kw_only=True)
class PretrainTrain(Train):
    """How a language model is trained."""

    objective: Literal["causal", "masked", "fim"] = "causal"
    """Tell each token from those before it; tell hidden ones from all others (15 % of them, as in BERT); or causal
    with some spans moved to the end, so that a gap can be filled (proteins)."""
    start: str | None = None
    """Run folder of `seqsci pretrain` whose weights training begins with, such as HMT's first stage, recurrence alone
    (model.memory 1), for its second; random ones when not given."""
    epochs: Positive = 10
    """Passes over the training rows, at most."""
    rows: Positive | None = None
    """Training rows of an epoch, drawn anew for each; all when not given. For genomes that one epoch need not pass."""
    batch: Positive = 32
    """Rows per step."""
    lr: Rate = 2e-3
    """Learning rate."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    """Decoupled weight decay (AdamW when above 0)."""
    schedule: Literal["halve", "cosine", "constant", "warmup", "plateau"] = "warmup"
    """Learning rate: a rise over the first tenth of the steps and then a cosine (warmup), or as for the other tasks."""
    clip: Annotated[float, Field(ge=0)] = 1.0
    """Largest norm of the gradient; 0 for no limit."""


@dataclass(frozen=True, kw_only=True)
class PretrainEvaluate(Evaluate):
    """How a language model is judged."""

    baselines: tuple[Literal["markov", "transformer"], ...] = ("markov", "transformer")
    """What stands beside the result: a Markov model whose order is chosen on validation, and a transformer of equal
    parameters, trained on the same rows for as many steps."""


@dataclass(frozen=True, kw_only=True)
class FinetuneData(WrittenData):
    """What is to be predicted of a record."""

    label: str | None = None
    """Column of what is to be predicted; a card's own when not given. "file": the name of the file that a record
    stands in, of several."""
    kind: Literal["auto", "classes", "number"] = "auto"
    """Classes, or a number; auto: a number where the column holds more than ten different ones."""


@dataclass(frozen=True, kw_only=True)
class FinetuneTrain(Train):
    """How a pretrained model learns to predict."""

    start: str | None = None
    """Run folder of `seqsci pretrain` whose weights training begins with; random ones when not given."""
    frozen: bool = False
    """Train the new head alone."""
    epochs: Positive = 15
    """Passes over the training rows, at most."""
    batch: Positive = 32
    """Rows per step."""
    lr: Rate = 5e-4
    """Learning rate."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    """Decoupled weight decay (AdamW when above 0)."""
    schedule: Literal["halve", "cosine", "constant", "warmup", "plateau"] = "warmup"
    """Learning rate: a rise over the first tenth of the steps and then a cosine (warmup), or as for the other tasks."""
    clip: Annotated[float, Field(ge=0)] = 1.0
    """Largest norm of the gradient; 0 for no limit."""
    patience: Positive = 5
    """Epochs without a better validation loss after which training stops."""


@dataclass(frozen=True, kw_only=True)
class FinetuneEvaluate(Evaluate):
    """How a fine-tuned model is judged."""

    baselines: tuple[Literal["mean", "features", "scratch"], ...] = ("mean", "features", "scratch")
    """What stands beside the result: the training records' mean or class shares; features (k-mers, or Morgan
    fingerprints) with the linear model or boosting that is best on validation; the same network from random weights."""
