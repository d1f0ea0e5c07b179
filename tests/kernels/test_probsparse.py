"""ProbSparse attention: the fast path against the definition, and the definition against exact attention."""

from __future__ import annotations

import functools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from seqsci_kernels.probsparse import cpu, probsparse
from torch import Tensor

LENGTHS = (1, 2, 5, 63, 64, 65, 200)


def inputs(queries: int, keys: int, dtype: torch.dtype = torch.float64, batch: int = 2) -> list[Tensor]:
    """q, k, v as views of (B, L, H, d)."""
    seed = torch.Generator().manual_seed(queries * 1000 + keys)
    shapes = ((batch, queries, 3, 8), (batch, keys, 3, 8), (batch, keys, 3, 8))
    return [torch.randn(s, generator=seed, dtype=dtype).transpose(1, 2).requires_grad_() for s in shapes]


def draw(law: str, queries: int, keys: int, size: int = 0) -> Tensor:
    seed = torch.Generator().manual_seed(keys)
    size = size or min(keys, 2 * math.ceil(math.log(keys + 1)))
    if law == "shared":
        return torch.randperm(keys, generator=seed)[:size]
    return torch.randint(keys, (queries, size), generator=seed)


def values_and_gradients(tensors: list[Tensor], *args: object, **kwargs: object) -> list[Tensor]:
    leaves = [x.detach().clone(memory_format=torch.preserve_format).requires_grad_() for x in tensors]
    out = probsparse(*leaves, *args, **kwargs)  # type: ignore[arg-type]
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=out.dtype)
    return [out.detach(), *torch.autograd.grad((out * weight).sum(), leaves)]


def half_masked(keys: int, batch: int = 2) -> Tensor:
    """Row 0 lacks its first and some inner keys, row 1 has one real key."""
    mask = torch.ones(batch, keys, dtype=torch.bool)
    mask[0, ::3] = False
    mask[1] = False
    mask[1, keys // 2] = True
    return mask


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("law", "causal"), [("shared", 0), ("shared", 1), ("per-query", 0), ("per-query", 1)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_fast_path_is_the_definition(law: str, causal: int, masked: bool, dtype: torch.dtype) -> None:
    for keys in LENGTHS:
        for queries in {keys} if causal else {keys, 1, 33}:
            tensors = inputs(queries, keys, dtype)
            mask = half_masked(keys) if masked else None
            sample = draw(law, queries, keys)
            top = max(1, len(sample.flatten()) % 11)
            run = functools.partial(values_and_gradients, tensors, sample, top=top, causal=bool(causal), key_mask=mask)
            for got, want in zip(run(backend="cpu"), run(backend="reference"), strict=True):
                scale = float(want.abs().max())
                tolerance = 1e-10 if dtype == torch.float64 else 1e-5
                assert float((got - want).abs().max()) <= tolerance * max(1.0, scale), (queries, keys)


@pytest.mark.parametrize("masked", [False, True])
def test_long_causal_form_is_the_definition(masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "DENSE", 0)
    for length in LENGTHS:
        mask = half_masked(length) if masked else None
        run = functools.partial(
            values_and_gradients, inputs(length, length), draw("shared", length, length), top=3, causal=True
        )
        pairs = zip(run(backend="cpu", key_mask=mask), run(backend="reference", key_mask=mask), strict=True)
        assert all(torch.allclose(got, want, rtol=0, atol=1e-10) for got, want in pairs)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("law", ["shared", "per-query"])
def test_gradients_of_the_definition(law: str, causal: bool) -> None:
    q, k, v = (x[:1, :2, :, :3].detach().requires_grad_() for x in inputs(7, 7))
    sample = draw(law, 7, 7)
    mask = torch.tensor([[False, True, True, False, True, True, True]])

    def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return probsparse(q, k, v, sample, top=3, causal=causal, key_mask=mask, backend="reference")

    assert torch.autograd.gradcheck(run, (q, k, v))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("law", ["shared", "per-query"])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_full_factor_is_exact_attention(backend: str, law: str, causal: bool, masked: bool) -> None:
    for length in (1, 5, 64, 97):
        tensors = inputs(length, length, torch.float32)
        mask = torch.ones(2, length, dtype=torch.bool)
        if masked:
            mask[0, 2::3] = False
        got = values_and_gradients(
            tensors, draw(law, length, length), top=length, causal=causal, key_mask=mask, backend=backend
        )
        leaves = [x.detach().clone().requires_grad_() for x in tensors]
        visible = mask[:, None, None] & (torch.ones(length, length).tril() > 0 if causal else torch.tensor(True))
        out = F.scaled_dot_product_attention(*leaves, attn_mask=visible.expand(2, 1, length, length))
        weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
        want = [out.detach(), *torch.autograd.grad((out * weight).sum(), leaves)]
        for x, y in zip(got, want, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dense", [0, 1024])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("law", "causal"), [("shared", False), ("shared", True), ("per-query", True)])
def test_last_queries_alone(law: str, causal: bool, masked: bool, dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "DENSE", dense)
    mask = half_masked(65) if masked else None
    for last in (1, 20, 65, 99):
        run = functools.partial(
            values_and_gradients, inputs(65, 65), draw(law, 65, 65), top=5, causal=causal, key_mask=mask
        )
        whole = probsparse(*inputs(65, 65), draw(law, 65, 65), top=5, causal=causal, key_mask=mask)
        got, want = run(backend="cpu", last=last), run(backend="reference", last=last)
        assert all(torch.allclose(x, y, rtol=0, atol=1e-10) for x, y in zip(got, want, strict=True))
        torch.testing.assert_close(got[0], whole[:, :, -last:].detach())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    length=st.integers(2, 150),
    cut=st.floats(0, 1),
    top=st.integers(1, 8),
    seed=st.integers(0, 99),
    dense=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_the_future_moves_nothing(
    length: int, cut: float, top: int, seed: int, dense: bool, dtype: torch.dtype
) -> None:
    torch.manual_seed(seed)
    now = 1 + int(cut * (length - 2))
    tensors = [torch.randn(2, length, 2, 8, dtype=dtype).transpose(1, 2) for _ in range(3)]
    sample = torch.randperm(length)[: max(1, length // 6)]
    changed = [x.clone(memory_format=torch.preserve_format) for x in tensors]
    for x in changed:
        x[:, :, now:] = 30 * torch.randn_like(x[:, :, now:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "DENSE", 1024 if dense else 0)
        before = probsparse(*tensors, sample, top=top, causal=True)
        after = probsparse(*changed, sample, top=top, causal=True)
    assert torch.equal(before[:, :, :now], after[:, :, :now])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("law", ["shared", "per-query"])
def test_a_row_alone_is_the_row_in_a_batch(law: str, causal: bool) -> None:
    tensors = [x.detach() for x in inputs(65, 65, torch.float32, batch=7)]
    sample = draw(law, 65, 65)
    whole = probsparse(*tensors, sample, top=6, causal=causal)
    for row in range(7):
        alone = probsparse(*(x[row : row + 1] for x in tensors), sample, top=6, causal=causal)
        torch.testing.assert_close(alone[0], whole[row], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("law", ["shared", "per-query"])
def test_masked_keys_change_nothing(law: str) -> None:
    q, k, v = (x.detach() for x in inputs(40, 40, torch.float32))
    sample = draw(law, 40, 40)
    plain = probsparse(q, k, v, sample, top=6)
    more = [torch.cat([x, 50 * torch.randn(2, 3, 9, 8)], 2) for x in (k, v)]
    mask = torch.arange(49).expand(2, -1) < 40
    extra = torch.cat([sample, torch.full((*sample.shape[:-1], 2), 44)], -1)
    padded = probsparse(q, *more, extra, top=6, key_mask=mask)
    torch.testing.assert_close(padded, plain, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_a_row_without_real_keys_is_zero(causal: bool) -> None:
    tensors = inputs(9, 9)
    mask = torch.zeros(2, 9, dtype=torch.bool)
    mask[0] = True
    for backend in ("cpu", "reference"):
        found = values_and_gradients(
            tensors, draw("shared", 9, 9), top=3, causal=causal, key_mask=mask, backend=backend
        )
        assert all(bool((x[1] == 0).all()) and bool(x.isfinite().all()) for x in found)


def test_expected_number_of_kept_queries() -> None:
    top, length = 20, 2000
    kept = cpu.prefix_top(torch.rand(40, length, generator=torch.Generator().manual_seed(0)), top)
    expected = top * (1 + math.log(length / top))
    assert abs(float(kept.sum(-1).double().mean()) - expected) < 0.05 * expected


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("causal", [False, True])
def test_half_precision_is_near(dtype: torch.dtype, causal: bool) -> None:
    tensors = [x.detach().to(dtype) for x in inputs(65, 65)]
    got = probsparse(*tensors, draw("shared", 65, 65), top=9, causal=causal)
    want = probsparse(*(x.double() for x in tensors), draw("shared", 65, 65), top=9, causal=causal)
    assert got.dtype == dtype
    # One query in a thousand may be chosen otherwise where two measures agree to rounding.
    assert float(((got - want).abs() > 0.05).any(-1).double().mean()) < 0.01


@pytest.mark.parametrize("causal", [False, True])
def test_one_graph_under_torch_compile(causal: bool) -> None:
    tensors, sample = inputs(33, 33), draw("shared", 33, 33)

    def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return probsparse(q, k, v, sample, top=5, causal=causal)

    traced = torch.compile(run, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(traced(*tensors), run(*tensors))


def test_errors_name_what_is_wrong() -> None:
    q, k, v = inputs(5, 5)
    sample = torch.tensor([0, 1])
    with pytest.raises(ValueError, match="no such backend; known: cpu, reference, triton"):
        probsparse(q, k, v, sample, top=2, backend="cuda9")
    with pytest.raises(ValueError, match="causal"):
        probsparse(q[:, :, :3], k, v, sample, top=2, causal=True)
    with pytest.raises(ValueError, match="sample"):
        probsparse(q, k, v, sample.expand(3, 2), top=2)
    with pytest.raises(ValueError, match="key_mask"):
        probsparse(q, k, v, sample, top=2, key_mask=torch.ones(2, 4, dtype=torch.bool))
    with pytest.raises(TypeError, match="v: torch.float32, not torch.float64"):
        probsparse(q, k, v.float(), sample, top=2)
    with pytest.raises(TypeError, match="sample: torch.float32"):
        probsparse(q, k, v, sample.float(), top=2)
    with pytest.raises(ValueError, match="v: on meta"):
        probsparse(q, k, v.to("meta"), sample, top=2)
    with pytest.raises(ValueError, match="'triton' cannot be used: it has no float64"):
        probsparse(q, k, v, sample, top=2, backend="triton")
    with pytest.raises(ValueError, match="top"):
        probsparse(q, k, v, sample, top=0)
