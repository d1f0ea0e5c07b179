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


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders of tiny pretrained runs by name, each trained when it is first asked for."""
    made: dict[str, Path] = {}

    def run(name: str) -> Path:
        if name not in made:
            made[name] = _pretrained(name, tmp_path_factory.mktemp("spoken"))
        return made[name]

    return run


def _pretrained(name: str, folder: Path) -> Path:
    import numpy as np

    import seqsci
    from seqsci.recipe import build

    rng = np.random.default_rng(3)
    texts = ["".join(rng.choice(list("ACGT"), rng.integers(5, 30), p=[0.4, 0.1, 0.2, 0.3])) for _ in range(120)]
    settings: dict[str, Any] = {
        "model.width": 16, "model.heads": 2, "model.layers": 2, "data.context": 32, "train.epochs": 2,
        "train.batch": 16, "train.lr": 1e-2, "evaluate.baselines": [], "evaluate.resamples": 10,
    }  # fmt: skip
    own: dict[str, dict[str, Any]] = {
        "dna": {},
        "transformer": {},
        "masked": {"train.objective": "masked", "model.direction": "both"},
        "shared": {"train.objective": "masked", "model.direction": "both", "data.strands": "shared"},
        "molecules": {"data.count": 150, "data.context": 64},
    }
    recipe = None
    if name == "transformer":  # no shipped recipe has one
        recipe = build({"task": "pretrain", "data": {"name": "demo-dna"}, "model": {"name": "transformer"}})
    data = None if name == "molecules" else texts
    domain = None if name == "molecules" else "genomics"
    changes = {**settings, **own[name]}
    return seqsci.pretrain(data, domain=domain, recipe=recipe, settings=changes, runs=folder, quiet=True).folder
