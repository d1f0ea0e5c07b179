"""Fine-tuning: from labelled sequences, and perhaps a pretrained run, to a scored run, and on to new records."""

from seqsci.training.finetune.evaluate import evaluate
from seqsci.training.finetune.predict import predict
from seqsci.training.finetune.prepare import prepare
from seqsci.training.language.load import keep

__all__ = ["evaluate", "keep", "predict", "prepare"]
