"""The Triton form of ProbSparse attention; see test_triton.py."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import pytest
import torch
from seqsci_kernels.probsparse import probsparse
from torch import Tensor

Place = tuple[str, torch.dtype]
NEAR = {torch.float32: 1e-5, torch.bfloat16: 3e-2}
LAWS = [("shared", False), ("shared", True), ("per-query", False), ("per-query", True)]


def inputs(queries: int, keys: int, dtype: torch.dtype, width: int = 8) -> list[Tensor]:
    """q, k, v as views of (B, L, H, d)."""
    draw = torch.Generator().manual_seed(queries * 1000 + keys)
    shapes = ((2, queries, 2, width), (2, keys, 2, width), (2, keys, 2, width))
    return [torch.randn(s, generator=draw).to(dtype).transpose(1, 2) for s in shapes]


def draw_sample(law: str, queries: int, keys: int) -> Tensor:
    draw = torch.Generator().manual_seed(keys)
    size = min(keys, 7)
    if law == "shared":
        return torch.randperm(keys, generator=draw)[:size]
    return torch.randint(keys, (queries, size), generator=draw)


def half_masked(keys: int) -> Tensor:
    """Row 0 lacks its first and some inner keys, row 1 has one real key."""
    mask = torch.ones(2, keys, dtype=torch.bool)
    mask[0, ::3] = False
    mask[1] = False
    mask[1, keys // 2] = True
    return mask


def results(tensors: list[Tensor], device: str, backend: str, sample: Tensor, **options: object) -> list[Tensor]:
    leaves = [x.to(device).detach().requires_grad_() for x in tensors]
    moved = {name: x.to(device) if isinstance(x, Tensor) else x for name, x in options.items()}
    out = probsparse(*leaves, sample.to(device), backend=backend, **moved)  # type: ignore[arg-type]
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out)
    return [x.detach().cpu().double() for x in (out, *torch.autograd.grad((out * weight).sum(), leaves))]


def check(place: Place, tensors: list[Tensor], sample: Tensor, **options: object) -> None:
    device, dtype = place
    got = results(tensors, device, "triton", sample, **options)
    want = results([x.float() for x in tensors], "cpu", "reference", sample, **options)
    for n, (x, y) in enumerate(zip(got, want, strict=True)):
        wrong = (x - y).abs() > NEAR[dtype] * y.abs().max().clamp(min=1.0)
        # In half precision a query may be chosen otherwise where two measures agree to rounding.
        assert float(wrong.double().mean()) <= (0 if dtype == torch.float32 else 0.02), n


@pytest.mark.parametrize(("law", "causal"), LAWS)
@pytest.mark.parametrize("masked", [False, True])
def test_every_length(place: Place, law: str, causal: bool, masked: bool) -> None:
    for keys in (1, 2, 65) if masked else (1, 63, 64, 65):
        for queries in {keys, 33} if keys == 64 and not causal else {keys}:
            mask = half_masked(keys) if masked else None
            top = min(queries, 7)
            check(
                place,
                inputs(queries, keys, place[1]),
                draw_sample(law, queries, keys),
                top=top,
                causal=causal,
                key_mask=mask,
            )


@pytest.mark.parametrize(("law", "causal"), LAWS)
def test_long(place: Place, law: str, causal: bool) -> None:
    check(place, inputs(200, 200, place[1]), draw_sample(law, 200, 200), top=20, causal=causal)


@pytest.mark.parametrize("width", [3, 20, 64, 128])
def test_every_width(place: Place, width: int) -> None:
    check(place, inputs(40, 40, place[1], width), draw_sample("shared", 40, 40), top=9, causal=True)


@pytest.mark.parametrize(("law", "causal"), LAWS)
def test_last_queries_alone(place: Place, law: str, causal: bool) -> None:
    check(place, inputs(65, 65, place[1]), draw_sample(law, 65, 65), top=9, causal=causal, last=20)


def test_full_factor_is_exact_attention(place: Place) -> None:
    device, dtype = place
    q, k, v = (x.to(device) for x in inputs(65, 65, dtype))
    sample = draw_sample("shared", 65, 65).to(device)
    for causal in (False, True):
        out = probsparse(q, k, v, sample, top=65, causal=causal, backend="triton")
        want = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        assert float((out - want).abs().max()) < NEAR[dtype]


def configurations() -> Iterator[tuple[str, Callable[[int], object], int]]:
    """What is compiled ahead of time; see ahead_of_time.py."""
    from seqsci_kernels.probsparse import triton as op

    def call(length: int, dtype: torch.dtype, width: int, law: str, causal: bool, masked: bool) -> None:
        batch = 1 + length % 3
        q, k, v = (torch.zeros(batch, length, 2, width, dtype=dtype).transpose(1, 2).requires_grad_() for _ in range(3))
        sample = torch.zeros(*(() if law == "shared" else (length,)), 2 + length % 7, dtype=torch.int64)
        mask = torch.ones(batch, length, dtype=torch.bool) if masked else None
        op.probsparse(q, k, v, sample, 5, causal, mask, length).sum().backward()

    for dtype, width, law, causal, masked in (
        (torch.bfloat16, 64, "shared", True, False),
        (torch.bfloat16, 128, "per-query", False, True),
        (torch.float32, 64, "shared", False, True),
    ):
        name = f"{dtype} d{width} {law}{' causal' if causal else ''}".removeprefix("torch.")
        yield (
            name,
            functools.partial(call, dtype=dtype, width=width, law=law, causal=causal, masked=masked),
            64 if dtype == torch.float32 else 0,
        )
