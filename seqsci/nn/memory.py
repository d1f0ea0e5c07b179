"""How the C library hands out memory to large tensors on a CPU."""

from __future__ import annotations

import ctypes
import sys

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""Numbers of mallopt(3)."""
LARGE = 20 << 20
"""Bytes from which a tensor has pages of its own, which go back when it is freed."""
KEPT = (1 << 31) - 1
"""Free bytes that stay with the process for smaller tensors."""


def steady_heap() -> bool:
    """Fix the thresholds that glibc otherwise moves while a program runs; once per process, before training.

    Left alone, glibc learns from each freed tensor to keep larger ones on its heap, where they leave holes:
    training Informer on 720 steps then peaked some 4 % higher (1826 against 1762 MB). Results are not touched.

    Returns:
        Whether it had an effect: True on Linux with glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGE)) and bool(mallopt(TRIM_THRESHOLD, KEPT))
