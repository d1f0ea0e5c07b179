"""seqsci: time series and scientific sequences through one zoo of sequence models.

Nothing heavy is loaded until it is used: `import seqsci` takes no torch.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqsci.api import Result, classify, forecast, open_run, tune
    from seqsci.benchmark import Benchmark, benchmark_long_range
    from seqsci.errors import SeqsciError
    from seqsci.estimators import Classifier, Forecaster
    from seqsci.language import finetune, import_published, pretrain
    from seqsci.speech import Answer, embed, generate, score

# Threads of a matrix product that wait for a core by spinning make a shared machine ten times slower.
# OpenMP reads this when torch is first imported; a value that the user has set stands.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_HOMES = {
    "Answer": "seqsci.speech",
    "Benchmark": "seqsci.benchmark",
    "Classifier": "seqsci.estimators",
    "Forecaster": "seqsci.estimators",
    "Result": "seqsci.api",
    "benchmark_long_range": "seqsci.benchmark",
    "classify": "seqsci.api",
    "finetune": "seqsci.language",
    "embed": "seqsci.speech",
    "forecast": "seqsci.api",
    "generate": "seqsci.speech",
    "import_published": "seqsci.language",
    "open_run": "seqsci.api",
    "pretrain": "seqsci.language",
    "score": "seqsci.speech",
    "tune": "seqsci.api",
    "SeqsciError": "seqsci.errors",
}

__all__ = [
    "Answer",
    "Benchmark",
    "Classifier",
    "Forecaster",
    "Result",
    "SeqsciError",
    "benchmark_long_range",
    "classify",
    "embed",
    "finetune",
    "forecast",
    "generate",
    "import_published",
    "open_run",
    "pretrain",
    "score",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'seqsci' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
