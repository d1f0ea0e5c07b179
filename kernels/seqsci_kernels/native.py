"""Small C++ sources with a plain C interface, compiled once on the machine that runs them.

A wheel carries the source. The first use compiles it for this processor into the user's cache, under a digest of
source, shared headers, compiler, flags and processor; later uses load that file. Processes that start at once may both
compile: each writes a file of its own and renames it, so that the cache never holds half a library. Where anything of
this fails, the reason is kept and the caller takes its plain form.

Environment: CXX names the compiler, SEQSCI_KERNELS_CACHE the folder, SEQSCI_KERNELS_NATIVE=0 turns all of it off.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

FLAGS = ["-std=c++17", "-O3", "-fPIC", "-shared", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math"]
TUNED: tuple[list[str], ...] = (["-march=native", "-mprefer-vector-width=512"], ["-march=native"], ["-mcpu=native"], [])
"""Flags for this very processor, the best first; not every compiler knows each."""
HEADERS = Path(__file__).parent
"""Where the sources find what they share."""
COMPILERS = ("c++", "g++", "clang++")
PATIENCE = 300
"""Seconds that a compiler may take."""


PAGE, HUGE = 4096, 1 << 22
"""Bytes of a page, and from which size on large pages are worth asking for."""
MADV_HUGEPAGE = 14
"""A number of madvise(2) on Linux."""


class Unavailable(Exception):
    """The compiled form cannot be had on this machine; says why."""


@functools.cache
def load(source: Path) -> ctypes.CDLL | Unavailable:
    """The library made of one source, or why there is none. Asked once in a process."""
    try:
        return _load(source)
    except (Unavailable, OSError, subprocess.SubprocessError) as problem:
        return Unavailable(str(problem))


def _load(source: Path) -> ctypes.CDLL:
    if os.environ.get("SEQSCI_KERNELS_NATIVE") == "0":
        raise Unavailable("turned off by SEQSCI_KERNELS_NATIVE=0")
    compiler = find_compiler()
    library = _cache() / f"{source.parent.name}-{_digest(source, compiler)}.so"
    if library.exists():
        try:
            return ctypes.CDLL(str(library))
        except OSError:  # Damaged, or made for another system library: make it anew.
            library.unlink(missing_ok=True)
    _compile(compiler, source, library)
    return ctypes.CDLL(str(library))


def find_compiler() -> list[str]:
    """The command of a C++ compiler."""
    named = os.environ.get("CXX")
    command = shlex.split(named) if named else []
    if command and shutil.which(command[0]):
        return command
    if named:
        raise Unavailable(f"CXX={named} is not a command")
    for name in COMPILERS:
        if shutil.which(name):
            return [name]
    raise Unavailable(f"no C++ compiler: neither CXX nor {', '.join(COMPILERS)}")


def _cache() -> Path:
    """A folder of this user alone: what lies there is executed."""
    named = os.environ.get("SEQSCI_KERNELS_CACHE") or os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        folder = (Path(named) if named else Path.home() / ".cache") / "seqsci_kernels"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            return folder if _mine(folder) else _own_folder()
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder.
        return _own_folder()


def _mine(folder: Path) -> bool:
    """Whether nobody else may put a library there."""
    if sys.platform == "win32":
        return True
    about = folder.stat()
    return about.st_uid == os.getuid() and not about.st_mode & 0o022


@functools.cache
def _own_folder() -> Path:
    """For this process only, where the cache cannot be written."""
    return Path(tempfile.mkdtemp(prefix="seqsci_kernels-"))


def _digest(source: Path, compiler: list[str]) -> str:
    version = subprocess.run([*compiler, "--version"], capture_output=True, text=True, timeout=PATIENCE).stdout
    headers = [header.read_text() for header in sorted(HEADERS.glob("*.h"))]
    parts = (source.read_text(), *headers, *compiler, version, *FLAGS, repr(TUNED), sys.platform, processor())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def processor() -> str:
    """What the processor is and can do: a home folder may be shared by unlike machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    known = {line for line in lines if line.split("\t")[0].strip() in {"model name", "flags", "Features", "CPU part"}}
    return "\n".join([platform.machine(), platform.processor(), *sorted(known)])


def _compile(compiler: list[str], source: Path, library: Path) -> None:
    """Write `library` whole or not at all, with the best flags that the compiler takes."""
    handle, name = tempfile.mkstemp(suffix=".so", prefix=library.stem + "-", dir=library.parent)
    os.close(handle)
    made = Path(name)
    try:
        for tuned in TUNED:
            command = [*compiler, *FLAGS, *tuned, f"-I{HEADERS}", str(source), "-o", str(made)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
            if done.returncode == 0:
                os.replace(made, library)
                return
        raise Unavailable(f"{compiler[0]} cannot compile {source.name}: {done.stderr.strip()[-300:]}")
    finally:
        made.unlink(missing_ok=True)


def large_pages(x: Tensor) -> None:
    """Ask Linux to back fresh memory by large pages: to touch 20 MB for the first time then costs 2 ms, not 8."""
    advise = _madvise() if x.numel() * x.element_size() >= HUGE else None
    if advise is not None:
        start, end = x.data_ptr(), x.data_ptr() + x.numel() * x.element_size()
        start = -(-start // PAGE) * PAGE
        # A hint: where it is refused, nothing is lost.
        advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), ctypes.c_int(MADV_HUGEPAGE))


@functools.cache
def _madvise() -> Any:
    return getattr(ctypes.CDLL(None), "madvise", None) if sys.platform.startswith("linux") else None
