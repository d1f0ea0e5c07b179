"""The sLSTM recurrence: the definition against numerical gradients, the fast path against the definition."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqsci_kernels.slstm import State, cpu, empty_state, project, reset_mask, slstm
from torch import Tensor

LENGTHS = (1, 2, 63, 64, 65, 200)
WIDTHS = (1, 3, 16, 20, 64)
GATES = {
    "plain": (0, 0, 2),
    "forget all": (0, -30, 2),
    "forget nothing": (0, 30, 2),
    "large inputs": (30, 2, 2),
    "small inputs": (-30, 2, 2),
    "any": (0, 0, 30),
}
"""Name -> mean of the input gates, mean of the forget gates, spread of all."""

needs_compiler = pytest.mark.skipif(cpu.why_not() is not None, reason=f"no compiled form: {cpu.why_not()}")


def inputs(batch: int, steps: int, heads: int, width: int, kind: str = "plain", seed: int = 0) -> list[Tensor]:
    """gates (as a view of (H, B, T, 4, D)), recurrent, bias, hidden, cell, log_norm; float64."""
    draw = torch.Generator().manual_seed(seed + 1000 * steps + width)
    entry, forget, spread = GATES[kind]
    gates = spread * torch.randn(heads, batch, steps, 4, width, generator=draw, dtype=torch.float64)
    gates[..., 0, :] += entry
    gates[..., 1, :] += forget
    recurrent = torch.randn(heads, width, 4, width, generator=draw, dtype=torch.float64) / width**0.5
    bias = torch.randn(heads, 4, width, generator=draw, dtype=torch.float64)
    state = torch.randn(3, batch, heads, width, generator=draw, dtype=torch.float64)
    return [gates.permute(1, 2, 0, 3, 4), recurrent, bias, state[0].tanh(), state[1].tanh(), 3 * state[2]]


def results(tensors: list[Tensor], dtype: torch.dtype, started: bool = True, **options: object) -> list[Tensor]:
    """h, final state, and all gradients of a sum of these with random weights."""
    leaves = [x.to(dtype).detach().requires_grad_() for x in tensors[: 6 if started else 3]]
    initial = State(*leaves[3:]) if started else None
    out, final = slstm(*leaves[:3], initial, **options)  # type: ignore[arg-type]
    draw = torch.Generator().manual_seed(7)
    found = [out, *final]
    loss = sum((x * torch.randn(x.shape, generator=draw, dtype=torch.float64).to(dtype)).sum() for x in found)
    return [x.detach() for x in found] + list(torch.autograd.grad(loss, leaves))


def furthest(got: list[Tensor], want: list[Tensor]) -> float:
    """The largest difference, each tensor measured by its largest number."""
    pairs = [(x.detach(), y.detach()) for x, y in zip(got, want, strict=True)]
    return max(float((x - y).abs().max() / y.abs().max().clamp(min=1e-30)) for x, y in pairs)


@needs_compiler
@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("kind", GATES)
def test_compiled_form_is_the_definition(kind: str, dtype: torch.dtype, near: float) -> None:
    for steps, started in itertools.product(LENGTHS, (False, True)):
        tensors = inputs(3, steps, 2, 16, kind)
        got = results(tensors, dtype, started, backend="cpu")
        want = results(tensors, torch.float64, started, backend="reference")
        assert furthest(got, want) < near, (steps, started)


@needs_compiler
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("batch", [1, 2, 5, 9])
def test_every_head_width_and_batch(batch: int, width: int) -> None:
    draw = torch.Generator().manual_seed(batch)
    for steps, back in itertools.product((1, 33), (0, 1, 3)):
        reset = torch.rand(batch, steps, generator=draw) < 0.1
        tensors = inputs(batch, steps, 3, width)
        options = {"reset": reset, "backward_heads": back}
        want = results(tensors, torch.float64, backend="reference", **options)
        assert furthest(results(tensors, torch.float64, backend="cpu", **options), want) < 1e-10
        assert furthest(results(tensors, torch.float32, backend="cpu", **options), want) < 1e-5


@pytest.mark.parametrize("backend", ["reference", pytest.param("cpu", marks=needs_compiler)])
@pytest.mark.parametrize("started", [False, True])
def test_numerical_gradients(backend: str, started: bool) -> None:
    tensors = [x.requires_grad_() for x in inputs(2, 4, 2, 2)][: 6 if started else 3]
    reset = torch.tensor([[False, False, True, False], [True, False, False, False]])

    def run(*given: Tensor) -> tuple[Tensor, ...]:
        initial = State(*given[3:]) if started else None
        out, final = slstm(*given[:3], initial, reset=reset, backward_heads=1, backend=backend)
        return out, *final

    assert torch.autograd.gradcheck(run, tensors)


def test_the_definition_is_the_cell_of_the_paper() -> None:
    """One unit, one step, by hand."""
    gates = torch.tensor([0.3, -0.2, 0.7, 1.1], dtype=torch.float64).view(1, 1, 1, 4, 1)
    recurrent = torch.tensor([0.5, -1.0, 0.25, 2.0], dtype=torch.float64).view(1, 1, 4, 1)
    h, cell, norm = 0.4, 0.6, 1.7
    state = State(*(torch.full((1, 1, 1), x, dtype=torch.float64) for x in (h, cell / norm, torch.tensor(norm).log())))
    i, f, z, o = (gates.flatten() + h * recurrent.flatten()).unbind()
    c = f.sigmoid() * cell + i.exp() * z.tanh()
    n = f.sigmoid() * norm + i.exp()
    out, final = slstm(gates, recurrent, None, state, backend="reference")
    for got, want in zip((out, *final), (o.sigmoid() * c / n, o.sigmoid() * c / n, c / n, n.log()), strict=True):
        torch.testing.assert_close(got.flatten()[0], want, rtol=1e-6, atol=1e-7)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(1, 39), max_size=6), kind=st.sampled_from(sorted(GATES)), seed=st.integers(0, 99))
def test_pieces_give_the_whole(cuts: list[int], kind: str, seed: int) -> None:
    gates, recurrent, bias, *_ = (x.float() for x in inputs(2, 40, 2, 8, kind, seed))
    whole, final = slstm(gates, recurrent, bias)
    state, pieces = None, []
    for piece in torch.tensor_split(gates, sorted(cuts), dim=1):
        if piece.shape[1]:
            out, state = slstm(piece, recurrent, bias, state)
            pieces.append(out)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(state, final, rtol=1e-6, atol=1e-6)


def test_step_by_step_is_the_whole() -> None:
    gates, recurrent, bias, *_ = (x.float() for x in inputs(2, 40, 2, 8))
    whole, final = slstm(gates, recurrent, bias)
    state = empty_state(gates)
    for t in range(40):
        out, state = slstm(gates[:, t : t + 1], recurrent, bias, state)
        torch.testing.assert_close(out[:, 0], whole[:, t], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(state, final, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("backend", ["reference", pytest.param("cpu", marks=needs_compiler)])
@pytest.mark.parametrize("back", [0, 2])
def test_packed_sequences_do_not_see_each_other(backend: str, back: int) -> None:
    bounds = [0, 1, 14, 15, 40]
    gates, recurrent, bias, *_ = inputs(1, 40, 2, 8)
    reset = reset_mask(torch.tensor(bounds), 40)
    packed, _ = slstm(gates, recurrent, bias, reset=reset, backward_heads=back, backend=backend)
    for start, end in itertools.pairwise(bounds):
        alone, _ = slstm(gates[:, start:end], recurrent, bias, backward_heads=back, backend=backend)
        torch.testing.assert_close(packed[:, start:end], alone)


def test_backward_heads_are_the_flipped_sequence() -> None:
    gates, recurrent, bias, *_ = inputs(2, 21, 2, 8)
    both, final = slstm(
        torch.cat([gates, gates], 2), torch.cat([recurrent] * 2), torch.cat([bias] * 2), backward_heads=2
    )
    flipped, ends = slstm(gates.flip(1), recurrent, bias)
    torch.testing.assert_close(both[:, :, 2:], flipped.flip(1))
    torch.testing.assert_close(final.cell[:, 2:], ends.cell)


@pytest.mark.parametrize("backend", ["reference", pytest.param("cpu", marks=needs_compiler)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_near(backend: str, dtype: torch.dtype) -> None:
    leaves = [x.to(dtype).detach().requires_grad_() for x in inputs(2, 65, 2, 16)[:3]]
    out, final = slstm(*leaves, backend=backend)
    assert out.dtype == dtype and final.cell.dtype == torch.float32
    exact = [x.detach().double().requires_grad_() for x in leaves]
    want, _ = slstm(*exact)
    grads = torch.autograd.grad(out.float().square().sum(), leaves)
    wanted = torch.autograd.grad(want.square().sum(), exact)
    assert furthest([out.double(), *(x.double() for x in grads)], [want, *wanted]) < 0.02


@needs_compiler
def test_gates_may_lie_anywhere() -> None:
    gates, *rest = inputs(2, 9, 2, 8)
    want, _ = slstm(gates, *rest[:2])
    for order in ((0, 1, 2, 3, 4), (1, 0, 2, 4, 3), (4, 3, 2, 1, 0)):
        back = [order.index(n) for n in range(5)]
        moved = gates.permute(order).contiguous().permute(back).requires_grad_()
        out, _ = slstm(moved, *rest[:2], backend="cpu")
        torch.testing.assert_close(out, want)
        out.sum().backward()


@needs_compiler
def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    want = results(inputs(3, 20, 4, 16), torch.float32)
    monkeypatch.setattr(cpu, "SMALL", 0)
    torch.set_num_threads(3)
    assert all(torch.equal(x, y) for x, y in zip(results(inputs(3, 20, 4, 16), torch.float32), want, strict=True))


@needs_compiler
def test_one_graph_under_torch_compile() -> None:
    tensors = [x.float().requires_grad_() for x in inputs(2, 5, 2, 8)[:3]]

    def loss(*given: Tensor) -> Tensor:
        out, final = slstm(*given)
        return out.square().sum() + final.cell.sum()

    traced = torch.compile(loss, backend="aot_eager", fullgraph=True)
    want = torch.autograd.grad(loss(*tensors), tensors)
    for got, wanted in zip(torch.autograd.grad(traced(*tensors), tensors), want, strict=True):
        torch.testing.assert_close(got, wanted)


@needs_compiler
def test_the_operator_keeps_its_promises() -> None:
    gates, recurrent, bias, *state = (x.float() for x in inputs(2, 5, 2, 8))
    given = (gates.requires_grad_(), recurrent.requires_grad_(), bias, torch.stack(state), None, 1, True)
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(cpu._operator, given, test_utils=checks)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 1, 0, 3), (3, 2, 1, 0)])
def test_projection_is_a_product_by_heads(order: tuple[int, ...], dtype: torch.dtype) -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(3, 5, 2, 7, generator=draw, dtype=torch.float64).to(dtype)
    x = x.permute(order).contiguous().permute([order.index(n) for n in range(4)]).requires_grad_()
    weight = torch.randn(2, 7, 4, 6, generator=draw, dtype=torch.float64).to(dtype).requires_grad_()
    slope = torch.randn(3, 5, 2, 4, 6, generator=draw, dtype=torch.float64).to(dtype)
    want = torch.einsum("bthk,hkgd->bthgd", x, weight)
    wanted = torch.autograd.grad((want * slope).sum(), (x, weight))
    for run in (project, torch.compile(project, backend="aot_eager", fullgraph=True)):
        got = run(x, weight)
        assert got.dtype == dtype and got.permute(2, 0, 1, 3, 4).is_contiguous()
        torch.testing.assert_close(got, want)
        torch.testing.assert_close(torch.autograd.grad((got * slope).sum(), (x, weight)), wanted)


def test_projection_errors() -> None:
    x, weight = torch.ones(1, 2, 3, 4), torch.ones(3, 4, 4, 5)
    with pytest.raises(ValueError, match=r"x: shape \(1, 2, 3\)"):
        project(x[..., 0], weight)
    with pytest.raises(ValueError, match=r"weight: shape \(2, 4, 4, 5\)"):
        project(x, weight[:2])
    with pytest.raises(TypeError, match="weight: torch.float64"):
        project(x, weight.double())
    with pytest.raises(ValueError, match="weight: on meta"):
        project(x, weight.to("meta"))


@needs_compiler
def test_second_derivatives_are_refused_where_there_are_none() -> None:
    tensors = [x.requires_grad_() for x in inputs(1, 3, 1, 2)[:3]]
    for backend in ("reference", "cpu"):
        out, _ = slstm(*tensors, backend=backend)
        (slope,) = torch.autograd.grad(out.square().sum(), tensors[:1], create_graph=True)
        if backend == "reference":
            assert torch.autograd.grad(slope.sum(), tensors[1])[0].isfinite().all()
        else:
            with pytest.raises(RuntimeError, match="slstm_cpu_backward|does not require grad"):
                torch.autograd.grad(slope.sum(), tensors[1])


def test_errors_name_what_is_wrong() -> None:
    gates, recurrent, bias, *state = (x.float() for x in inputs(2, 5, 2, 8))
    with pytest.raises(ValueError, match="gates: shape \\(2, 5, 2, 4\\)"):
        slstm(gates[..., 0], recurrent)
    with pytest.raises(ValueError, match="gates: .*none of them 0"):
        slstm(gates[:, :0], recurrent)
    with pytest.raises(ValueError, match="recurrent: shape \\(1, 8, 4, 8\\)"):
        slstm(gates, recurrent[:1])
    with pytest.raises(ValueError, match="bias: shape"):
        slstm(gates, recurrent, bias[..., :3])
    with pytest.raises(TypeError, match="recurrent: torch.float64, but gates are torch.float32"):
        slstm(gates, recurrent.double())
    with pytest.raises(TypeError, match="gates: torch.int64"):
        slstm(gates.long(), recurrent)
    with pytest.raises(ValueError, match="initial.cell: shape"):
        slstm(gates, recurrent, bias, State(state[0], state[1][:1], state[2]))
    with pytest.raises(TypeError, match="initial.hidden: torch.float64"):
        slstm(gates, recurrent, bias, State(*(x.double() for x in state)))
    with pytest.raises(ValueError, match="reset: torch.int64"):
        slstm(gates, recurrent, reset=torch.zeros(2, 5, dtype=torch.int64))
    with pytest.raises(ValueError, match="backward_heads: 3"):
        slstm(gates, recurrent, backward_heads=3)
    with pytest.raises(ValueError, match="no such backend; known: cpu, reference, triton"):
        slstm(gates, recurrent, backend="cuda9")
    with pytest.raises(ValueError, match="'triton' cannot be used: (the tensors are on cpu|triton is not installed)"):
        slstm(gates, recurrent, backend="triton")
    with pytest.raises(ValueError, match="recurrent: on meta"):
        slstm(gates, recurrent.to("meta"))
