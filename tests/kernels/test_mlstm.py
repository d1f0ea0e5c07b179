"""The mLSTM: every form against the recurrence, in values, every gradient and the final state, on a raw loss."""

from __future__ import annotations

import functools
import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqsci_kernels import native
from seqsci_kernels.mlstm import State, chunks, chunkwise, cpu, empty_state, mlstm, mlstm_step
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

LENGTHS = ((1, 8, 8), (2, 3, 5), (63, 16, 32), (64, 1, 7), (65, 32, 16), (200, 8, 8))
"""(S, K, V)."""
NAMES = ("h", "C", "n", "m", "dq", "dk", "dv", "di", "df", "dC0", "dn0", "dm0")
FORGETS = (2.0, -30.0, 30.0, math.nan)
INPUTS = (0.0, -30.0, 30.0, math.nan)


def gates(kinds: tuple[float, ...], shape: tuple[int, ...], seed: torch.Generator) -> Tensor:
    """A row of gates about each of `kinds`; NaN stands for +-30 at random."""
    noise = torch.randn(len(kinds), *shape, generator=seed, dtype=torch.float64)
    signs = 60.0 * torch.randint(2, noise.shape, generator=seed) - 30
    about = torch.tensor(kinds, dtype=torch.float64).view(-1, *[1] * len(shape))
    return noise + torch.where(about.isnan(), signs, about)


def inputs(steps: int, K: int, V: int, *, state: bool = True, heads: int = 2) -> list[Tensor]:
    """q, k, v, gates and a state with 16 rows: each kind of forget gate with each kind of input gate.

    Keys are positive and queries of one sign each, or q n may vanish and no two roundings agree on h.
    """
    seed = torch.Generator().manual_seed(steps)
    random = functools.partial(torch.rand, generator=seed, dtype=torch.float64)
    rows = len(FORGETS) * len(INPUTS)
    q = (random(rows, steps, heads, K) + 0.1) * (random(rows, steps, heads, 1) - 0.5).sign()
    k = random(rows, steps, heads, K) + 0.1
    v = torch.randn(rows, steps, heads, V, generator=seed, dtype=torch.float64)
    i = gates(INPUTS, (heads, steps), seed).repeat(len(FORGETS), 1, 1)
    f = gates(FORGETS, (heads, steps), seed).repeat_interleave(len(INPUTS), 0)
    C, n = random(rows, heads, K, V) - 0.5, random(rows, heads, K) + 0.1
    m = torch.randn(rows, heads, generator=seed, dtype=torch.float64)
    start = [C, n, m] if state else [torch.zeros_like(x) for x in (C, n, m)]
    return [*(x.transpose(1, 2) for x in (q, k, v)), i, f, *start]


def everything(tensors: list[Tensor], **options: object) -> list[Tensor]:
    """h, final state and all gradients of a raw loss on both."""
    leaves = [x.detach().clone(memory_format=torch.preserve_format).requires_grad_() for x in tensors]
    h, final = mlstm(*leaves[:5], initial=State(*leaves[5:]), **options)  # type: ignore[arg-type]
    seed = torch.Generator().manual_seed(1)
    loss = sum((x * torch.randn(x.shape, generator=seed, dtype=torch.float64).to(x.dtype)).sum() for x in (h, *final))
    grads = torch.autograd.grad(loss, leaves)  # type: ignore[arg-type]
    return [x.detach() for x in (h, *final, *grads)]


def assert_close(got: list[Tensor], want: list[Tensor], tolerance: float) -> None:
    """Each row within `tolerance` of the largest number of that row, and of 1."""
    for name, x, y in zip(NAMES, got, want, strict=True):
        error, scale = ((z.double().flatten(1).abs().amax(-1)) for z in (x.double() - y.double(), y))
        worst = (error / scale.clamp(min=1)).max()
        assert worst <= tolerance, f"{name}: {worst:.1e}"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("steps, K, V", LENGTHS)
def test_every_form_is_the_recurrence(steps: int, K: int, V: int, state: bool, dtype: torch.dtype) -> None:
    tensors = [x.to(dtype) for x in inputs(steps, K, V, state=state)]
    want = everything([x.double() for x in tensors], backend="reference")
    for backend in ("chunkwise", "cpu", "parallel"):
        assert_close(everything(tensors, backend=backend), want, 1e-10 if dtype == torch.float64 else 1e-5)


@pytest.mark.parametrize("forget", [-30.0, 30.0])
@pytest.mark.parametrize("backend", ["chunkwise", "cpu"])
def test_gradients_of_closed_and_open_gates_keep_their_digits(forget: float, backend: str) -> None:
    """They are tiny, and a difference of sums over the sequence would have none left."""
    row = FORGETS.index(forget) * len(INPUTS)
    tensors = [x[row : row + 1].float() for x in inputs(200, 8, 8)]
    want = everything([x.double() for x in tensors], backend="reference")[NAMES.index("df")]
    got = everything(tensors, backend=backend)[NAMES.index("df")]
    assert float(want.abs().max()) < 1e-9
    assert float((got - want).abs().max() / want.abs().max()) < 1e-5


@pytest.mark.parametrize("backend", ["chunkwise", "cpu", "parallel"])
@pytest.mark.parametrize(
    "options",
    [
        {"input_activation": "sigmoid"},
        {"input_activation": "sigmoid", "normalize": False},
        {"eps": 0.3},
        {"scale": 3.0},
    ],
    ids=str,
)
def test_options(options: dict[str, object], backend: str) -> None:
    tensors = inputs(65, 8, 8)
    want = everything(tensors, backend="reference", **options)
    assert_close(everything(tensors, backend=backend, **options), want, 1e-10)


@pytest.mark.parametrize("backend", ["chunkwise", "cpu", "parallel"])
def test_packed_sequences_know_nothing_of_each_other(backend: str) -> None:
    ends = torch.tensor([0, 1, 65, 66, 130, 200, 201])
    tensors = [x[:1] if row < 5 else x[:6] for row, x in enumerate(inputs(201, 8, 5))]
    want = everything(tensors, backend="reference", cu_seqlens=ends)
    assert_close(everything(tensors, backend=backend, cu_seqlens=ends), want, 1e-10)
    initial = State(*tensors[5:])
    h, final = mlstm(*tensors[:5], initial=initial, cu_seqlens=ends, backend=backend)
    for row, (a, b) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
        own = State(*(x[row : row + 1] for x in initial))
        alone, state = mlstm(*(x[:, :, a:b] for x in tensors[:5]), initial=own)
        torch.testing.assert_close(h[:, :, a:b], alone, rtol=0, atol=1e-10)
        for x, y in zip(final, state, strict=True):
            torch.testing.assert_close(x[row : row + 1], y, rtol=0, atol=1e-10)


@pytest.mark.parametrize("packed", [False, True])
def test_long_sequences_in_several_stretches(packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "SPAN", 2)
    monkeypatch.setattr(chunkwise, "chunk_size", lambda steps, width: 16)
    monkeypatch.setattr(cpu, "CHUNK", 16)
    tensors = inputs(150, 4, 4)
    ends = None
    if packed:
        tensors = [x[:1] if row < 5 else x[:5] for row, x in enumerate(tensors)]
        ends = torch.tensor([0, 20, 21, 117, 149, 150])
    want = everything(tensors, backend="reference", cu_seqlens=ends, eps=0.1)
    for backend in ("chunkwise", "cpu"):
        assert_close(everything(tensors, backend=backend, cu_seqlens=ends, eps=0.1), want, 1e-10)


@pytest.mark.parametrize("packed", [False, True])
def test_both_directions_in_one_call(packed: bool) -> None:
    q, k, v, i, f, *_ = inputs(70, 4, 4)
    tensors = [x[:1] if packed else x for x in (q, k, v, i, f)]
    ends = torch.tensor([0, 3, 64, 70]) if packed else None
    rows = 3 if packed else len(q)
    initial = State(*(torch.randn(2, rows, *x.shape[1:], dtype=x.dtype) for x in empty_state(q, v)))
    h, final = mlstm(*tensors, initial=initial, cu_seqlens=ends, direction="both")
    for side, direction in enumerate(("forward", "backward")):
        own = State(*(x[side] for x in initial))
        alone, state = mlstm(*tensors, initial=own, cu_seqlens=ends, direction=direction)  # type: ignore[arg-type]
        torch.testing.assert_close(h[side], alone, rtol=0, atol=1e-10)
        for x, y in zip(final, state, strict=True):
            torch.testing.assert_close(x[side], y, rtol=0, atol=1e-10)
    if not packed:
        turned, state = mlstm(*(x.flip(2) for x in tensors), initial=own, backend="reference")
        torch.testing.assert_close(h[1], turned.flip(2), rtol=0, atol=1e-10)
        torch.testing.assert_close(final.C[1], state.C, rtol=0, atol=1e-10)
    else:
        a, b = 3, 64
        own = State(*(x[1, 1:2] for x in initial))
        turned, state = mlstm(*(x[:, :, a:b].flip(2) for x in tensors), initial=own, backend="reference")
        torch.testing.assert_close(h[1][:, :, a:b], turned.flip(2), rtol=0, atol=1e-10)
        torch.testing.assert_close(final.C[1, 1:2], state.C, rtol=0, atol=1e-10)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(1, 129), max_size=4, unique=True), seed=st.integers(0, 99))
def test_a_stream_is_the_whole(cuts: list[int], seed: int) -> None:
    """In pieces, the second of them step by step; the gradient passes through the states between."""
    torch.manual_seed(seed)
    shapes = ((2, 2, 130, 4), (2, 2, 130, 4), (2, 2, 130, 3), (2, 2, 130), (2, 2, 130))
    tensors = [torch.randn(shape, dtype=torch.float64).requires_grad_() for shape in shapes]
    weight = torch.randn(shapes[2], dtype=torch.float64)
    whole, final = mlstm(*tensors)
    state, out = None, []
    ends = sorted({0, 130, *cuts})
    for piece, (a, b) in enumerate(itertools.pairwise(ends)):
        some = [x[:, :, a:b] for x in tensors]
        if piece == 1:
            for t in range(b - a):
                h, state = mlstm_step(*(x[:, :, t] for x in some), state)
                out.append(h.unsqueeze(2))
        else:
            h, state = mlstm(*some, initial=state)
            out.append(h)
    stream = torch.cat(out, 2)
    assert state is not None
    torch.testing.assert_close(stream, whole, rtol=1e-9, atol=1e-10)
    for x, y in zip(state, final, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-10)
    got = torch.autograd.grad((stream * weight).sum() + state.C.sum(), tensors)
    want = torch.autograd.grad((whole * weight).sum() + final.C.sum(), tensors)
    for x, y in zip(got, want, strict=True):
        assert float((x - y).abs().max()) <= 1e-9 * max(1.0, float(y.abs().max()))


def small(steps: int) -> list[Tensor]:
    torch.manual_seed(0)
    shapes = ((1, 2, steps, 2), (1, 2, steps, 2), (1, 2, steps, 3), (1, 2, steps), (1, 2, steps))
    states = ((1, 2, 2, 3), (1, 2, 2), (1, 2))
    return [torch.randn(shape, dtype=torch.float64).requires_grad_() for shape in (*shapes, *states)]


@pytest.mark.parametrize("activation", ["exp", "sigmoid"])
@pytest.mark.parametrize("backend", ["chunkwise", "cpu", "parallel", "reference"])
def test_gradients_of_every_form(backend: str, activation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunkwise, "chunk_size", lambda steps, width: 4)
    monkeypatch.setattr(cpu, "CHUNK", 4)

    def run(*tensors: Tensor) -> tuple[Tensor, ...]:
        options = {"input_activation": activation, "backend": backend, "eps": 0.1}
        h, final = mlstm(*tensors[:5], initial=State(*tensors[5:]), **options)  # type: ignore[arg-type]
        return (h, *final)

    tensors = small(7)
    assert torch.autograd.gradcheck(run, tensors)
    if backend in ("parallel", "reference") and activation == "exp":
        assert torch.autograd.gradgradcheck(run, small(3))


def test_the_unit_of_the_state_does_not_matter() -> None:
    q, k, v, i, f, C, n, m = inputs(70, 4, 4)
    h, final = mlstm(q, k, v, i, f, initial=State(C, n, m))
    other, ends = mlstm(q, k, v, i, f, initial=State(C * math.exp(2), n * math.exp(2), m - 2))
    torch.testing.assert_close(other, h, rtol=1e-9, atol=1e-10)
    memory = final.C * (final.m - ends.m)[..., None, None].exp()
    torch.testing.assert_close(ends.C, memory, rtol=1e-9, atol=1e-10)


def test_infinite_gates_forget_and_skip() -> None:
    q, k, v, i, f, *_ = (x.detach().requires_grad_() for x in small(20))
    shut, skipped = f.detach().clone(), i.detach().clone()
    shut[:, :, 12] = -math.inf
    skipped[:, :, 15] = -math.inf
    h, _ = mlstm(q, k, v, skipped, shut)
    late, _ = mlstm(*(x[:, :, 12:] for x in (q, k, v, skipped, f)))
    torch.testing.assert_close(h[:, :, 12:], late, rtol=1e-9, atol=1e-12)
    grads = torch.autograd.grad(h[:, :, 13:].sum(), (q, k, v))
    assert all(bool(x.isfinite().all()) and not x[:, :, :12].any() for x in grads)
    assert not grads[1][:, :, 15].any() and grads[1][:, :, 14].any()


@pytest.mark.parametrize("backend", ["chunkwise", "cpu", "parallel", "reference"])
def test_large_gates_stay_finite(backend: str) -> None:
    q, k, v, i, f, *_ = small(100)
    h, _ = mlstm(q.float(), k.float(), v.float(), 1e3 * i.float(), 1e3 * f.float(), backend=backend)
    grads = torch.autograd.grad(h.sum(), (q, k, v, i, f))
    assert bool(h.isfinite().all()) and all(bool(x.isfinite().all()) for x in grads)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once(dtype: torch.dtype) -> None:
    tensors = [x.to(dtype) for x in inputs(130, 16, 16)[:3]]
    gate = [torch.randn(16, 2, 130), torch.randn(16, 2, 130) + 3]
    h, state = mlstm(*tensors, *gate)
    wide, wide_state = mlstm(*(x.float() for x in tensors), *gate)
    assert h.dtype == dtype and state.C.dtype == torch.float32
    assert torch.equal(h, wide.to(dtype)) and torch.equal(state.C, wide_state.C)
    leaves = [x.requires_grad_() for x in (*tensors, *gate)]
    grads = torch.autograd.grad(mlstm(*leaves)[0].sum(), leaves)
    assert [x.dtype for x in grads] == [x.dtype for x in leaves]


def test_the_backward_pass_keeps_no_states() -> None:
    tensors = [torch.randn(1, 2, 1024, 16).requires_grad_() for _ in range(3)]
    tensors += [torch.randn(1, 2, 1024).requires_grad_() for _ in range(2)]
    kept: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        h, _ = mlstm(*tensors)
    steps_of = 1024 * 2 * 4
    # q, k, v and h; gates, their logarithms, masks of the limits, r; four states and slack.
    assert sum(kept.values()) <= 4 * 16 * steps_of + 8 * steps_of + 16_384
    h.sum().backward()


def test_threads_and_small_numbers_change_nothing() -> None:
    tensors = [torch.randn(8, 3, 300, 16, generator=torch.Generator().manual_seed(n)) for n in range(3)]
    tensors += [torch.randn(8, 3, 300, generator=torch.Generator().manual_seed(n)) for n in range(2)]
    alone = everything_of(tensors)
    torch.set_num_threads(2)
    for x, y in zip(everything_of(tensors), alone, strict=True):
        assert torch.equal(x, y)
    # The threads take what is below 1.2e-38 for 0 while they compute, and then no longer.
    assert float(torch.tensor(1e-40) * 1.0) > 0


def everything_of(tensors: list[Tensor]) -> list[Tensor]:
    leaves = [x.clone().requires_grad_() for x in tensors]
    h, _ = mlstm(*leaves)
    return [h.detach(), *torch.autograd.grad(h.square().sum(), leaves)]


def test_strides_change_nothing() -> None:
    tensors = [x.float() for x in inputs(65, 8, 8)]
    plain = everything([x.contiguous() for x in tensors])
    for x, y in zip(everything(tensors), plain, strict=True):
        assert torch.equal(x, y)


def test_compiles_whole_and_without_a_word() -> None:
    tensors = [x.detach().float().requires_grad_() for x in small(20)[:5]]

    def model(*tensors: Tensor) -> Tensor:
        h, state = mlstm(*tensors)
        return torch.tanh(h).sum() + state.n.sum()

    want = torch.autograd.grad(model(*tensors), tensors)
    got = torch.autograd.grad(torch.compile(model, backend="aot_eager", fullgraph=True)(*tensors), tensors)
    for x, y in zip(got, want, strict=True):
        torch.testing.assert_close(x, y)


def test_one_graph_serves_all_lengths() -> None:
    graphs = CompileCounterWithBackend("aot_eager")
    model = torch.compile(lambda *tensors: mlstm(*tensors)[0].sum(), backend=graphs, fullgraph=True)
    for steps in (20, 33, 65, 129):
        tensors = [x.detach().requires_grad_() for x in small(steps)[:5]]
        got = torch.autograd.grad(model(*tensors), tensors)
        want = torch.autograd.grad(mlstm(*tensors)[0].sum(), tensors)
        assert all(torch.allclose(x, y, atol=1e-10) for x, y in zip(got, want, strict=True))
    # The first length, and then any.
    assert graphs.frame_count <= 2


def test_second_derivatives_of_the_fast_form_are_refused() -> None:
    tensors = small(5)[:5]
    first = torch.autograd.grad(mlstm(*tensors)[0].square().sum(), tensors, create_graph=True)
    with pytest.raises(RuntimeError, match="autograd"):
        torch.autograd.grad(first[0].sum(), tensors)


def test_without_a_compiler_the_default_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = inputs(65, 8, 8)
    fast = everything(tensors)
    monkeypatch.setattr(native, "load", lambda source: native.Unavailable("no compiler"))
    assert_close(everything(tensors), fast, 1e-10)
    with pytest.raises(ValueError, match="backend: 'cpu' cannot be used: no compiler"):
        everything(tensors, backend="cpu")


def test_errors_name_what_is_wrong() -> None:
    q, k, v, i, f, C, n, m = (x.detach() for x in small(5))
    with pytest.raises(ValueError, match="known: chunkwise, cpu, parallel, reference, triton"):
        mlstm(q, k, v, i, f, backend="cuda9")
    with pytest.raises(ValueError, match="backend: 'triton' cannot be used: "):
        mlstm(q, k, v, i, f, backend="triton")
    with pytest.raises(ValueError, match="direction: no 'up'"):
        mlstm(q, k, v, i, f, direction="up")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="input_activation"):
        mlstm(q, k, v, i, f, input_activation="relu")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"q: shape \(2, 5, 2\)"):
        mlstm(q[0], k, v, i, f)
    with pytest.raises(ValueError, match="q: shape"):
        mlstm(*(x[:, :, :0] for x in (q, k, v, i, f)))
    with pytest.raises(ValueError, match=r"k: shape \(1, 2, 4, 2\)"):
        mlstm(q, k[:, :, 1:], v, i, f)
    with pytest.raises(ValueError, match="v: shape"):
        mlstm(q, k, v[:, :1], i, f)
    with pytest.raises(ValueError, match=r"input_gate: shape \(1, 2, 5, 1\)"):
        mlstm(q, k, v, i.unsqueeze(-1), f)
    with pytest.raises(ValueError, match="forget_gate: .* NaN"):
        mlstm(q, k, v, i, f * math.nan)
    with pytest.raises(ValueError, match="k: on meta"):
        mlstm(q, k.to("meta"), v, i, f)
    with pytest.raises(TypeError, match="v: torch.float32, but q is torch.float64"):
        mlstm(q, k, v.float(), i, f)
    with pytest.raises(TypeError, match="initial.C: torch.float64"):
        mlstm(q.float(), k.float(), v.float(), i, f, initial=State(C, n, m))
    with pytest.raises(ValueError, match=r"initial.n: shape \(1, 2, 2\) is not \(2, 1, 2, 2\)"):
        mlstm(q, k, v, i, f, initial=State(C.expand(2, -1, -1, -1, -1), n, m), direction="both")
    for ends in ([0, 3], [1, 5], [0, 3, 3, 5]):
        with pytest.raises(ValueError, match="cu_seqlens: must rise from 0 to S = 5"):
            mlstm(q, k, v, i, f, cu_seqlens=torch.tensor(ends))
    with pytest.raises(ValueError, match="cu_seqlens: shape"):
        mlstm(q, k, v, i, f, cu_seqlens=torch.tensor([0.0, 5.0]))
    with pytest.raises(ValueError, match="scale"):
        mlstm(q, k, v, i, f, scale=0.0)
    with pytest.raises(ValueError, match="eps"):
        mlstm(q, k, v, i, f, eps=-1.0)
    with pytest.raises(ValueError, match="input_gate"):
        mlstm_step(q[:, :, 0], k[:, :, 0], v[:, :, 0], i, f[:, :, 0])


def test_operators_keep_their_promises_to_torch() -> None:
    q, k, v, i, f, C, n, m = small(5)
    arguments = (q, k, v, i, -f.abs(), C, n, m, None, 0.5, True, 0.0)
    for name in ("chunkwise", "cpu"):
        torch.library.opcheck(
            getattr(torch.ops.seqsci, f"mlstm_{name}").default,
            arguments,
            test_utils=("test_schema", "test_faketensor", "test_autograd_registration"),
        )


def test_autocast_changes_nothing() -> None:
    leaves = [x.float().requires_grad_() for x in inputs(65, 8, 8)[:5]]
    weight = torch.randn(leaves[2].shape, generator=torch.Generator().manual_seed(0))

    def run() -> list[Tensor]:
        h, _ = mlstm(*leaves)
        return [h, *torch.autograd.grad((h * weight).sum(), leaves)]

    plain = run()
    with torch.autocast("cpu", torch.bfloat16):
        assert all(torch.equal(x, y) for x, y in zip(run(), plain, strict=True))
