"""In which number format a network trains, decided from what the hardware can do."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import Tensor

from seqsci.errors import SeqsciError, nearest

Precision = Literal["bf16", "fp32"]
CHOICES = ("auto", "bf16", "fp32")


def fast_bfloat16(device: torch.device | str) -> bool:
    """Whether matrix products in bfloat16 are faster than in float32 on that device.

    Only flags of the hardware are read and nothing is timed, so that the same machine always decides the
    same. On a CPU: AMX, or AVX512-BF16 on a processor that is not Intel's. (Intel's run that instruction at
    half rate: without AMX, bfloat16 products were measured at 0.55 of the speed of float32 there.)
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if kind != "cpu":
        return False
    flags = _cpu_flags()
    return bool(flags.get("amx_bf16")) or (
        bool(flags.get("avx512_bf16")) and "intel" not in str(flags.get("cpu_name", "intel")).lower()
    )


def resolve(precision: str, device: torch.device | str) -> Precision:
    """`auto`, `bf16` or `fp32` of a recipe -> the format that is used; `auto` takes bf16 where it is faster.

    Raises:
        SeqsciError: another word.
    """
    if precision not in CHOICES:
        raise SeqsciError(f"train.precision: no precision '{precision}'{nearest(precision, CHOICES)}")
    if precision == "auto":
        return "bf16" if fast_bfloat16(device) else "fp32"
    return "bf16" if precision == "bf16" else "fp32"


def autocast(precision: Precision, device: torch.device | str) -> AbstractContextManager[None]:
    """A context in which matrix products are computed in that format; weights stay float32."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16")


def product_dtype(x: Tensor) -> torch.dtype:
    """The format in which a matrix product with `x` is computed at this point."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def _cpu_flags() -> dict[str, object]:
    """torch's own reading of the CPU; of older builds, which do not know AMX's kinds, what they tell."""
    read = getattr(torch.cpu, "get_capabilities", None)
    if read is not None:
        return dict(read())
    amx = getattr(torch.cpu, "_is_amx_tile_supported", bool)
    return {"amx_bf16": amx()}
