"""What the tests share: real data where it is, and small runs."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; tests that need it are skipped where it is not given."""
    folder = os.environ.get("SEQSCI_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SEQSCI_DATA does not name a folder with the real data sets")
    return Path(folder)


@pytest.fixture
def tiny() -> list[str]:
    """Flags of a network that trains in seconds."""
    flags = "--model.width 16 --model.heads 2 --model.feedforward 32 --train.epochs 1 --train.batch 256"
    return flags.split()
