"""The passes between the products: each against its definition, in values and in every gradient."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
import torch
from seqsci_kernels import elementwise, native
from seqsci_kernels.elementwise import cpu, reference
from torch import Tensor

reason = cpu.why_not()
pytestmark = pytest.mark.skipif(reason is not None, reason=str(reason))
kinds = pytest.mark.parametrize("kind", [torch.float64, torch.float32])


def draw(*shape: int, kind: torch.dtype, size: float = 1.0) -> Tensor:
    return (size * torch.randn(shape, dtype=torch.float64)).to(kind).requires_grad_()


def slopes(wanted: Sequence[Tensor], grads: Sequence[Tensor], leaves: Sequence[Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad(wanted, leaves, grads))


def close(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> None:
    for got, want in zip(found, wanted, strict=True):
        if want.numel():  # The steps before a convolution of one step are none.
            tolerance = 1e-12 if want.dtype == torch.float64 else 2e-6
            error, scale = ((x.detach().abs().max()) for x in (got - want, want))
            assert float(error) <= tolerance * max(1.0, float(scale))


@kinds
@pytest.mark.parametrize("inner", [1, 37, 64])
def test_swiglu(inner: int, kind: torch.dtype) -> None:
    # Rows of a wider tensor, and gates from closed to open.
    x = draw(9, 2 * inner + 3, kind=kind, size=40.0)[:, : 2 * inner]
    want, grad = reference.swiglu(x), torch.randn(9, inner, dtype=kind)
    (slope,) = slopes([want], [grad], [x])
    out, dx = torch.empty_like(want), torch.empty_like(slope)
    cpu.swiglu(x, out)
    cpu.swiglu_back(x, grad, dx)
    close([out, grad, dx], [want, want, slope])


@kinds
@pytest.mark.parametrize("width", [1, 37, 256])
def test_rms_norm(width: int, kind: torch.dtype) -> None:
    x, weight = draw(9, width, kind=kind), draw(width, kind=kind)
    want, grad = reference.rms_norm(x, weight, 1e-3), torch.randn(9, width, dtype=kind)
    wanted = slopes([want], [grad], [x, weight])
    out, scales, dx, d_weight = torch.empty_like(x), x.new_empty(9), torch.empty_like(x), torch.ones_like(weight)
    cpu.rms_norm(x, weight, 1e-3, out, scales)
    cpu.rms_norm_back(x, weight, scales, grad, dx, d_weight)
    close([out, dx, d_weight - 1], [want, *wanted])


@kinds
@pytest.mark.parametrize("activation", ["sigmoid", "silu"])
@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize("heads, width", [(1, 5), (4, 32), (3, 1)])
def test_norm_gate(heads: int, width: int, skips: bool, activation: str, kind: torch.dtype) -> None:
    h, z = draw(9, heads, width, kind=kind), draw(9, heads * width, kind=kind, size=30.0)
    factors = [draw(heads * width, kind=kind), draw(heads * width, kind=kind), draw(9, heads * width, kind=kind)]
    given = [h, z, *(factors if skips else ())]
    # A head of one number has a deviation of 0, so that nothing but `eps` holds its gradient.
    want = reference.norm_gate(h, z, activation, 0.1, *given[2:])  # type: ignore[arg-type]
    grad = torch.randn_like(want)
    wanted = slopes([want], [grad], given)
    out, silu = torch.empty_like(want), activation == "silu"
    norm, skip, c = factors if skips else (None, None, None)
    cpu.norm_gate(h, z, silu, 0.1, norm, skip, c, out)
    dh, dz, dc = torch.empty_like(h), torch.empty_like(z), torch.empty_like(z)
    d_norm, d_skip = torch.zeros(2, heads * width, dtype=kind).unbind()
    rest = (dc, d_norm, d_skip) if skips else (None, None, None)
    cpu.norm_gate_back(h, z, silu, 0.1, norm, skip, c, grad, (dh, dz, *rest))
    close([out, grad, dh, dz, *((d_norm, d_skip, dc) if skips else ())], [want, want, *wanted])


def in_pieces(steps: Sequence[int]) -> list[slice]:
    return [slice(a, b) for a, b in itertools.pairwise(steps)]


@kinds
@pytest.mark.parametrize("ends", [[0, 1], [0, 2, 21], [0, 8, 9, 10, 21], [0, 20, 21]])
@pytest.mark.parametrize("kernel", [1, 2, 4])
def test_convolved_maps_in_pieces(kernel: int, ends: list[int], kind: torch.dtype) -> None:
    length, width = ends[-1], 32
    a, before = draw(3, length, width, kind=kind), draw(3, kernel - 1, width, kind=kind)
    taps, bias, maps = draw(kernel, width, kind=kind), draw(width, kind=kind), draw(3, width // 4, 4, 4, kind=kind)
    wanted = reference.convolved_maps(a, before, taps, bias, maps)
    grads = [torch.randn_like(x) for x in wanted]
    extra_a, extra_c = torch.randn_like(a), torch.randn_like(a)
    want = slopes(wanted, [grads[0] + extra_c, *grads[1:]], [a, before, taps, bias, maps])
    rows, turned = (x.transpose(1, 2).flatten(2).contiguous() for x in (maps, maps.transpose(2, 3)))
    found = tuple(torch.empty_like(x) for x in wanted)
    for steps in in_pieces(ends):
        cpu.convolved_maps(steps, a, before, taps, bias, rows, found)
    da, d_before = extra_a.clone(), torch.empty_like(before)
    d_taps, d_bias, d_rows = (torch.zeros_like(x) for x in (taps, bias, rows))
    late = torch.zeros_like(before)
    for steps in reversed(in_pieces(ends)):
        given = a, before, taps, bias, turned, found[0]
        into = da, d_before, d_taps, d_bias, d_rows
        cpu.convolved_maps_back(steps, given, tuple(grads), extra_c[:, steps].contiguous(), late, into)
    d_maps = d_rows.view(3, 4, -1, 4).transpose(1, 2)
    close([*found, da - extra_a, d_before, d_taps, d_bias, d_maps], [*wanted, *want])


def test_a_call_leaves_small_numbers_as_they_were() -> None:
    x = torch.full((1, 64), 1e-40)
    cpu.swiglu(x, torch.empty(1, 32))
    assert bool((x * 1.0 == 1e-40).all()) and float(x[0, 0]) > 0


def test_where_the_passes_are_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert elementwise.usable(torch.ones(1)) and elementwise.why_not("cpu", "cpu") is None
    assert not elementwise.usable(torch.ones(1, dtype=torch.bfloat16)) and not elementwise.usable(
        torch.ones(1).to("meta")
    )
    assert elementwise.why_not("cpu", "cuda") == "the tensors are on cuda"
    monkeypatch.setattr(native, "load", lambda source: native.Unavailable("no compiler"))
    call: Callable[[], None] = lambda: cpu.swiglu(torch.ones(1, 2), torch.ones(1, 1))  # noqa: E731
    assert not elementwise.usable(torch.ones(1))
    with pytest.raises(RuntimeError, match="no compiler"):
        call()
