"""C++ sources compiled where they run: at once in two processes, without a compiler, with a damaged cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import seqsci_kernels
from seqsci_kernels import native

SOURCE = 'extern "C" int answer() { return 42; }\n'
CODE = """
import sys
from pathlib import Path
from seqsci_kernels import native
library = native.load(Path(sys.argv[1]))
print(library if isinstance(library, native.Unavailable) else library.answer())
"""

try:
    native.find_compiler()
except native.Unavailable as problem:
    pytest.skip(str(problem), allow_module_level=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file in a folder named as the library will be."""
    path = tmp_path / "op" / "cpu.cpp"
    path.parent.mkdir()
    path.write_text(SOURCE)
    return path


def start(source: Path, **environment: str) -> subprocess.Popen[str]:
    """A process that prints what the library answers, or why there is none."""
    folder = {"SEQSCI_KERNELS_CACHE": str(source.parents[1])}
    return subprocess.Popen(
        [sys.executable, "-c", CODE, str(source)],
        env=dict(os.environ) | folder | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def answer(source: Path, **environment: str) -> str:
    process = start(source, **environment)
    return process.communicate()[0].strip()


def test_two_processes_at_once(source: Path) -> None:
    both = [start(source), start(source)]
    assert [process.communicate()[0].strip() for process in both] == ["42", "42"]
    (library,) = (source.parents[1] / "seqsci_kernels").iterdir()
    assert library.name.startswith("op-") and library.suffix == ".so"


def test_reasons_in_place_of_a_crash(source: Path, tmp_path: Path) -> None:
    assert answer(source, SEQSCI_KERNELS_NATIVE="0") == "turned off by SEQSCI_KERNELS_NATIVE=0"
    assert answer(source, CXX="/no/such/compiler") == "CXX=/no/such/compiler is not a command"
    source.write_text("this is not C++")
    assert "cannot compile cpu.cpp" in answer(source)
    assert not list((tmp_path / "seqsci_kernels").iterdir())


def test_a_damaged_library_is_made_anew(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQSCI_KERNELS_CACHE", str(source.parents[1]))
    compiler = native.find_compiler()
    library = native._cache() / f"op-{native._digest(source, compiler)}.so"
    library.write_bytes(b"\x7fELF damaged")
    found = native.load(source)
    assert not isinstance(found, native.Unavailable) and found.answer() == 42
    native.load.cache_clear()


def test_a_header_that_changed_is_another_library(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQSCI_KERNELS_CACHE", str(source.parents[1]))
    monkeypatch.setattr(native, "HEADERS", source.parent)
    source.write_text('#include "shared.h"\nextern "C" int answer() { return ANSWER; }\n')
    for answer in (1, 2):
        (source.parent / "shared.h").write_text(f"#define ANSWER {answer}\n")
        library = native._load(source)
        assert library.answer() == answer


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_folder_that_others_may_write_is_not_trusted(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQSCI_KERNELS_CACHE", str(source.parents[1]))
    folder = native._cache()
    assert folder == source.parents[1] / "seqsci_kernels"
    folder.chmod(0o777)
    assert native._cache() != folder


def test_a_folder_that_cannot_be_written(source: Path) -> None:
    blocked = source.parents[1] / "blocked"
    blocked.write_text("a file, not a folder")
    assert answer(source, SEQSCI_KERNELS_CACHE=str(blocked)) == "42"


def test_info_says_what_is_usable_and_why_not() -> None:
    found = seqsci_kernels.info()
    assert set(found) == {"elementwise", "mlstm", "probsparse", "slstm"}
    assert all(backends["reference"] == backends["cpu"] == "usable" for backends in found.values())
    assert all(found[op]["triton"] for op in ("mlstm", "probsparse", "slstm"))


def test_plain_form_without_a_compiler() -> None:
    code = (
        "import torch, seqsci_kernels; from seqsci_kernels.slstm import slstm\n"
        "h, _ = slstm(torch.ones(1, 2, 1, 4, 3), torch.ones(1, 3, 4, 3)); print(bool(h.isfinite().all()))\n"
        "print(seqsci_kernels.info()['slstm']['cpu'])\n"
        "try: slstm(torch.ones(1, 2, 1, 4, 3), torch.ones(1, 3, 4, 3), backend='cpu')\n"
        "except ValueError as problem: print(problem)\n"
    )
    environment = dict(os.environ) | {"PATH": "", "CXX": ""}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[0] == "True"
    assert found.stdout.count("no C++ compiler: neither CXX nor c++, g++, clang++") == 2
