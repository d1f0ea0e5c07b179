"""Forecasting: from a recipe and a table to a scored run, and on to forecasts."""

from seqsci.training.forecast.evaluate import evaluate
from seqsci.training.forecast.predict import keep, mean_squared_error, predict
from seqsci.training.forecast.prepare import prepare

__all__ = ["evaluate", "keep", "mean_squared_error", "predict", "prepare"]
