"""The house plan: imports run down, the wings do not know each other, a wheel holds what a checkout holds."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "domains": {"models", "nn", "tasks", "training", "api", "cli", "tuning", "report", "runs", "recipe"},
    "models": {"domains", "tasks", "training", "api", "cli", "tuning", "report", "runs", "recipe"},
    "nn": {"domains", "tasks", "training", "api", "cli", "tuning", "report", "runs", "recipe"},
    "tasks": {"domains", "models", "nn", "training", "api", "cli", "tuning", "report", "runs", "recipe"},
    "data": {"domains", "models", "nn", "tasks", "training", "api", "cli", "tuning", "report", "runs", "recipe"},
    "training": {"api", "cli", "tuning", "report"},
    "recipe": {"domains", "nn", "tasks", "training", "api", "cli", "tuning", "report", "runs"},
    "runs.py": {"domains", "models", "nn", "tasks", "training", "api", "cli", "tuning", "report"},
    "report": {"domains", "models", "nn", "tasks", "training", "api", "cli", "tuning"},
    "metrics": {"domains", "models", "nn", "tasks", "training", "api", "cli", "tuning", "report", "runs", "recipe"},
}


def imported(path: Path) -> set[str]:
    """The rooms of seqsci that a file imports."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[0] == "seqsci":
                rooms |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("seqsci.")}
    return rooms


def test_imports_run_down():
    for room, above in FORBIDDEN.items():
        place = ROOT / "seqsci" / room
        files = [place] if place.is_file() else sorted(place.rglob("*.py"))
        assert files
        for file in files:
            assert not imported(file) & above, file


def test_kernels_know_nothing_of_seqsci():
    for file in (ROOT / "kernels").rglob("*.py"):
        names = [node.module for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
        assert not [name for name in names if name and name.split(".")[0] == "seqsci"]


def test_no_generic_top_level_package():
    for name in ("datasets", "recipes", "kernels"):
        assert not (ROOT / name / "__init__.py").exists()


def test_a_wheel_finds_its_cards_and_recipes(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert {"seqsci_kernels/probsparse/cpu.py", "seqsci_kernels/slstm/cpu.cpp"} <= set(names)
    assert "seqsci/_share/datasets/etth1.toml" in names
    assert not [name for name in names if name.split("/")[0] in {"datasets", "recipes", "kernels", "tests"}]
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import seqsci; assert seqsci.__file__.startswith(sys.argv[1])\n"
        "from seqsci import catalog; print(len(catalog.names('datasets')), len(catalog.recipes()))"
    )
    command = [sys.executable, "-P", "-c", code, str(tmp_path / "site")]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    shipped = len(list((ROOT / "datasets").glob("*.toml"))), len(list((ROOT / "recipes").rglob("*.yaml")))
    assert found.stdout.split() == [str(count) for count in shipped]
