"""Classification: from a recipe and light curves to a scored run, and on to the classes of new objects."""

from seqsci.training.classify.evaluate import evaluate
from seqsci.training.classify.predict import flat_log_loss_of, keep, predict
from seqsci.training.classify.prepare import prepare

__all__ = ["evaluate", "flat_log_loss_of", "keep", "predict", "prepare"]
