"""The measures that torchmetrics and scikit-learn lack, and their intervals.

`intervals` has those of dependent series and of forecasts, `classification` scores of probabilities,
`ratios` means over tokens.
"""

from seqsci.metrics.classification import (
    PLASTICC_WEIGHTS,
    Reliability,
    bootstrap,
    bootstrap_difference,
    calibration_error,
    flat_log_loss,
    losses_by_object,
    open_set_auroc,
    plasticc_weights,
    reliability,
    scores,
    soften,
    temperature,
    weighted_log_loss,
)
from seqsci.metrics.intervals import block_bootstrap, conformal_radius
from seqsci.metrics.ratios import bootstrap_ratio

__all__ = [
    "PLASTICC_WEIGHTS",
    "Reliability",
    "block_bootstrap",
    "bootstrap",
    "bootstrap_difference",
    "bootstrap_ratio",
    "calibration_error",
    "conformal_radius",
    "flat_log_loss",
    "losses_by_object",
    "open_set_auroc",
    "plasticc_weights",
    "reliability",
    "scores",
    "soften",
    "temperature",
    "weighted_log_loss",
]
