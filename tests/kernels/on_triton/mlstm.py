"""The mLSTM on Triton against the recurrence in float64. Small: the interpreter takes its time over each program."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from seqsci_kernels.mlstm import State, empty_state, mlstm, mlstm_step
from torch import Tensor

triton_path = pytest.importorskip("seqsci_kernels.mlstm.triton")
Place = tuple[str, torch.dtype]

NAMES = ("h", "C", "n", "m", "dq", "dk", "dv", "di", "df", "dC0", "dn0", "dm0")
GATES = ((0.0, 2.0), (30.0, -30.0), (-30.0, 30.0))
"""(input, forget) gates of a batch row are about this."""


@pytest.fixture(autouse=True)
def short_chunks(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    if place[0] == "cpu":
        monkeypatch.setitem(triton_path.CHUNK, torch.float32, 16)


def inputs(steps: int, K: int, V: int, place: Place, rows: int = 3) -> list[Tensor]:
    """q, k, v, gates and a state, rounded to the type of the place."""
    seed = torch.Generator().manual_seed(steps)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=seed)

    # Keys positive and queries of one sign each: q n does not vanish.
    q = (random(rows, steps, 2, K).abs() + 0.1) * random(rows, steps, 2, 1).sign()
    k, v = random(rows, steps, 2, K).abs() + 0.1, random(rows, steps, 2, V)
    about = torch.tensor(GATES[:rows]).T[:, :, None, None]
    i, f = random(2, rows, 2, steps) + about
    wide = [i, f, random(rows, 2, K, V), random(rows, 2, K).abs(), random(rows, 2)]
    return [*(x.transpose(1, 2).to(place[1]) for x in (q, k, v)), *wide]


def everything(tensors: list[Tensor], **options: object) -> list[Tensor]:
    """h, final state and all gradients of a raw loss on both, on the CPU in float64."""
    leaves = [x.detach().clone(memory_format=torch.preserve_format).requires_grad_() for x in tensors]
    h, final = mlstm(*leaves[:5], initial=State(*leaves[5:]), **options)  # type: ignore[arg-type]
    seed = torch.Generator().manual_seed(1)
    loss = sum((x * torch.randn(x.shape, generator=seed).to(x)).sum() for x in (h, *final))
    grads = torch.autograd.grad(loss, leaves)  # type: ignore[arg-type]
    return [x.detach().double().cpu() for x in (h, *final, *grads)]


def compare(place: Place, tensors: list[Tensor], **options: object) -> None:
    device, kind = place
    ends = options.pop("cu_seqlens", None)
    want = everything([x.double() for x in tensors], cu_seqlens=ends, backend="reference", **options)
    on_device = {} if ends is None else {"cu_seqlens": ends.to(device)}  # type: ignore[attr-defined]
    got = everything([x.to(device) for x in tensors], backend="triton", **on_device, **options)
    tolerance = 1e-5 if kind == torch.float32 else 3e-2
    for name, x, y in zip(NAMES, got, want, strict=True):
        error, scale = (z.flatten(1).abs().amax(-1) for z in (x - y, y))
        worst = float((error / scale.clamp(min=1)).max())
        assert worst <= tolerance, f"{name}: {worst:.1e}"


@pytest.mark.parametrize("steps, K, V", [(1, 16, 16), (15, 8, 24), (17, 32, 16), (33, 16, 96)])
def test_is_the_recurrence(steps: int, K: int, V: int, place: Place) -> None:
    if place[0] == "cuda":
        steps *= 4
    compare(place, inputs(steps, K, V, place))


@pytest.mark.parametrize("options", [{"input_activation": "sigmoid", "normalize": False}, {"eps": 0.3}], ids=str)
def test_options(options: dict[str, object], place: Place) -> None:
    compare(place, inputs(33, 16, 16, place, rows=1), **options)


def test_packed(place: Place) -> None:
    tensors = inputs(40, 16, 16, place, rows=1)
    states = inputs(1, 16, 16, place)[5:]
    compare(place, [*tensors[:5], *states], cu_seqlens=torch.tensor([0, 1, 18, 40]))


def test_without_states_in_plain_memory(place: Place) -> None:
    tensors = [x.to(place[0]).contiguous() for x in inputs(20, 16, 16, place)[:5]]
    h, final = mlstm(*tensors, backend="triton")
    want, state = mlstm(*(x.double() for x in tensors), backend="reference")
    tolerance = 1e-5 if place[1] == torch.float32 else 3e-2
    torch.testing.assert_close(h.double(), want, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(final.C.double(), state.C, rtol=tolerance, atol=tolerance)
    assert h.dtype == place[1] and final.C.dtype == torch.float32


def test_a_stream_is_the_whole(place: Place) -> None:
    tensors = [x.to(place[0]) for x in inputs(37, 16, 16, place, rows=1)[:5]]
    whole, final = mlstm(*tensors, backend="triton")
    h, state = mlstm(*(x[:, :, :19] for x in tensors), backend="triton")
    step, state = mlstm_step(*(x[:, :, 19] for x in tensors), state)
    rest, state = mlstm(*(x[:, :, 20:] for x in tensors), initial=state, backend="triton")
    tolerance = 1e-5 if place[1] == torch.float32 else 3e-2
    stream = torch.cat([h, step.unsqueeze(2), rest], 2)
    torch.testing.assert_close(stream, whole, rtol=tolerance, atol=tolerance)
    for x, y in zip(state, final, strict=True):
        torch.testing.assert_close(x, y, rtol=tolerance, atol=tolerance)


def test_compiles_whole(place: Place) -> None:
    tensors = [x.to(place[0]).requires_grad_() for x in inputs(18, 16, 16, place, rows=1)[:5]]

    def model(*tensors: Tensor) -> Tensor:
        return mlstm(*tensors, backend="triton")[0].float().square().sum()

    want = torch.autograd.grad(model(*tensors), tensors)
    got = torch.autograd.grad(torch.compile(model, backend="aot_eager", fullgraph=True)(*tensors), tensors)
    for x, y in zip(got, want, strict=True):
        torch.testing.assert_close(x, y)


def configurations() -> Iterator[tuple[str, Callable[[int], object]]]:
    """What ahead_of_time.py compiles: forward and backward for each type and head width."""
    for kind, K, V in (
        (torch.bfloat16, 128, 256),
        (torch.float16, 64, 64),
        (torch.float32, 128, 128),
    ):
        yield f"{str(kind)[6:]} {K}x{V}", lambda length, kind=kind, K=K, V=V: forward_backward(length, kind, K, V)


def forward_backward(length: int, kind: torch.dtype, K: int, V: int) -> None:
    q, k, v = (torch.zeros(1, 1, length, d, dtype=kind, requires_grad=True) for d in (K, K, V))
    gate = torch.zeros(1, 1, length)
    arguments = (q, k, v, gate, F.logsigmoid(gate), *empty_state(q, v), None, 0.125, True, 1e-6)
    h, *_ = triton_path._forward(*arguments)
    h.sum().backward()
