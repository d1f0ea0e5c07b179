"""What the tests share: real data where it is, and small runs."""

import base64
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="session")
def check_report() -> Callable[[Any, Sequence[str]], str]:
    """Builds the report of a run, and gives its page: it holds these pictures, in this order, and the folder as well."""

    def check(run: Any, pictures: Sequence[str]) -> str:
        from seqsci.report import build_report

        page = build_report(run).read_text(encoding="utf-8")
        embedded = [base64.b64decode(text) for text in re.findall(r"data:image/png;base64,([^\"]+)", page)]
        assert embedded == [(run.folder / f"{name}.png").read_bytes() for name in pictures]
        for image in embedded:
            assert image.startswith(b"\x89PNG") and len(image) > 5000
        assert sorted(path.stem for path in run.folder.glob("*.png")) == sorted(pictures)
        assert not list(run.folder.glob(".*"))
        return page

    return check
