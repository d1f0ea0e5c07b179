"""The measures that torchmetrics and scikit-learn lack, and their intervals.

`intervals` has those of dependent series and of forecasts, `classification` scores of probabilities,
`ratios` means over tokens, `records` scores of whole records.
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
from seqsci.metrics.records import (
    class_scores,
    class_statistics,
    interval,
    intervals,
    less,
    number_scores,
    number_statistics,
)

__all__ = [
    "PLASTICC_WEIGHTS",
    "Reliability",
    "block_bootstrap",
    "bootstrap",
    "bootstrap_difference",
    "bootstrap_ratio",
    "calibration_error",
    "class_scores",
    "class_statistics",
    "conformal_radius",
    "flat_log_loss",
    "interval",
    "intervals",
    "less",
    "losses_by_object",
    "number_scores",
    "number_statistics",
    "open_set_auroc",
    "plasticc_weights",
    "reliability",
    "scores",
    "soften",
    "temperature",
    "weighted_log_loss",
]
