"""Pretraining of a language model: from a recipe and written sequences to a scored run."""

from seqsci.training.language.load import keep
from seqsci.training.pretrain.evaluate import evaluate, predict
from seqsci.training.pretrain.prepare import prepare, require

__all__ = ["evaluate", "keep", "predict", "prepare", "require"]
