"""bfloat16 saves time and must not cost accuracy: two whole runs that differ in the number format alone."""

from pathlib import Path
from typing import Any

import pytest

import seqsci

SMALL: dict[str, Any] = {
    "data.context": 48,
    "model.label_length": 24,
    "model.width": 64,
    "model.heads": 4,
    "model.feedforward": 128,
    "train.lr": 1e-3,
    "train.batch": 64,
    "train.epochs": 1,
    "evaluate.resamples": 10,
}


@pytest.mark.parametrize("data", ["demo-electricity", pytest.param("etth1", marks=pytest.mark.long)])
def test_the_test_score_does_not_suffer_from_bfloat16(
    data: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if data == "etth1":
        request.getfixturevalue("real_data")
    score = {}
    for precision in ("fp32", "bf16"):
        settings = {**SMALL, "train.precision": precision}
        result = seqsci.forecast(data, settings=settings, runs=tmp_path / precision, quiet=True)
        assert result.metrics["cost"]["precision"] == precision
        score[precision] = result.metrics["test"]["mse"]
        # Both have learnt something: two equally untrained networks would prove nothing.
        assert score[precision] < 0.9 * result.metrics["baselines"]["last"]["mse"]
    assert score["bf16"] < 1.03 * score["fp32"]
