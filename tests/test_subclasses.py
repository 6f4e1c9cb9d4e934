"""Tensor subclasses and dispatch modes: they see one op per step, may rewrite it, and predict its result without computing."""

from typing import Any, Optional

import pytest
import torch
from rollout import H, I, N, T, assert_like_torch, rollout_pair
from samples import cell_pair, sample_input, sample_inputs
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_utils import CrossRefFakeMode
from torch.overrides import TorchFunctionMode
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils._python_dispatch import TorchDispatchMode

import gru_ext


def two(t: Tensor) -> TwoTensor:
    """A tensor and its double, which every operation is to treat alike."""
    return TwoTensor(t.detach().clone(), 2 * t.detach().clone())


@pytest.mark.parametrize("grad", [False, True])
def test_two_tensor(grad: bool) -> None:
    """A subclass at dispatch: each half gives what it gives alone, in the state and in the gradients."""
    cell = gru_ext.GRUCell(I, H)
    args = (torch.randn(N, I), torch.randn(N, H), *(p.detach() for p in cell.parameters()))
    pairs = [two(arg).requires_grad_(grad) for arg in args]
    state = gru_ext.gru_cell(*pairs)
    assert type(state) is TwoTensor
    if grad:
        results = [state.detach(), *torch.autograd.grad(state, pairs, two(torch.ones(N, H)))]
    else:
        results = [state]
    for half, scale in (("a", 1), ("b", 2)):
        leaves = [(scale * arg).requires_grad_(grad) for arg in args]
        alone = gru_ext.gru_cell(*leaves)
        expected = [alone.detach()]
        if grad:
            expected += torch.autograd.grad(alone, leaves, torch.full((N, H), float(scale)))
        for got, want in zip(results, expected, strict=True):
            torch.testing.assert_close(getattr(got, half), want)


def test_module_with_two_tensors_as_parameters() -> None:
    x, h = torch.randn(N, I), torch.randn(N, H)
    cells = cell_pair(I, H)
    for cell in cells:
        for name, parameter in list(cell.named_parameters()):
            setattr(cell, name, nn.Parameter(two(parameter)))
        cell(x, h).square().sum().backward()
    for theirs, ours in zip(*(cell.parameters() for cell in cells), strict=True):
        assert type(ours.grad) is TwoTensor
        torch.testing.assert_close(ours.grad.a, theirs.grad.a)
        torch.testing.assert_close(ours.grad.b, theirs.grad.b)
        assert not torch.equal(ours.grad.a, ours.grad.b)


def test_compiled_with_two_tensors() -> None:
    cell = gru_ext.GRUCell(I, H)
    args = [two(torch.randn(N, I)), two(torch.randn(N, H))]
    run = torch.compile(cell, backend="aot_eager", fullgraph=True)
    compiled = value_and_two_grads(run, cell, args)
    for got, want in zip(compiled, value_and_two_grads(cell, cell, args), strict=True):
        torch.testing.assert_close(got.a, want.a)
        torch.testing.assert_close(got.b, want.b)
    torch._dynamo.reset()


def value_and_two_grads(run: Any, cell: nn.GRUCell, args: list[TwoTensor]) -> list[TwoTensor]:
    leaves = [arg.detach().requires_grad_() for arg in args]
    state = run(*leaves)
    return [state.detach(), *torch.autograd.grad(state, [*leaves, *cell.parameters()], two(torch.ones(N, H)))]


class Logged(Tensor):
    """A subclass by `__torch_function__`, which notes what is called."""

    seen: list[Any] = []

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Optional[dict] = None) -> Any:
        cls.seen.append(func)
        return super().__torch_function__(func, types, args, kwargs or {})


@pytest.mark.parametrize("which", ["input", "hx", "weights"])
def test_torch_function_subclass(which: str) -> None:
    """The result has the type of the subclass, wherever among the arguments it stands."""
    theirs, ours = cell_pair(I, H)
    x, h = torch.randn(N, I), torch.randn(N, H)
    for cell in (theirs, ours):
        if which == "weights":
            cell.weight_hh = nn.Parameter(cell.weight_hh.detach().as_subclass(Logged))
    args = (x.as_subclass(Logged) if which == "input" else x, h.as_subclass(Logged) if which == "hx" else h)
    Logged.seen = []
    state = ours(*args)
    assert type(state) is Logged and type(theirs(*args)) is Logged
    torch.testing.assert_close(state.as_subclass(Tensor), theirs(x, h).as_subclass(Tensor))
    state.sum().backward()
    assert ours.weight_hh.grad is not None


@pytest.mark.compiled
def test_torch_function_sees_one_op() -> None:
    _, ours = cell_pair(I, H)
    Logged.seen = []
    with torch.no_grad():
        ours(torch.randn(N, I).as_subclass(Logged))
    assert Logged.seen.count(torch.ops.gru_ext.gru_cell) + Logged.seen.count(torch.ops.gru_ext.gru_cell.default) == 1


def test_torch_function_mode_may_replace_the_op() -> None:
    class Zeros(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Optional[dict] = None) -> Any:
            result = func(*args, **(kwargs or {}))
            return torch.zeros_like(result) if "gru_cell" in str(func) else result

    _, ours = cell_pair(I, H)
    with Zeros():
        assert ours(torch.randn(N, I)).eq(0).all()


class Seen(TorchDispatchMode):
    """Notes the ops that reach the backend."""

    def __init__(self) -> None:
        super().__init__()
        self.ops: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Optional[dict] = None) -> Any:
        self.ops.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.compiled
def test_dispatch_mode_sees_one_op_per_step() -> None:
    _, ours = rollout_pair()
    x, h = torch.randn(T, N, I), torch.randn(N, H)
    with torch.no_grad(), Seen() as inference:
        ours(x, h)
    with Seen() as training:
        ours(x, h).sum().backward()
    assert inference.ops.count("gru_ext._cell.default") == T
    assert training.ops.count("gru_ext._cell_forward.default") == training.ops.count("gru_ext._cell_backward.default") == T
    assert not any("mm" in op or "sigmoid" in op for op in inference.ops + training.ops)


def test_dispatch_mode_does_not_change_the_numbers() -> None:
    theirs, ours = rollout_pair()
    with Seen():
        assert_like_torch(ours, ours, theirs, torch.randn(T, N, I), torch.randn(N, H), steps=T)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
def test_fake_tensors_have_the_shape_stride_and_dtype_of_the_real_ones(dtype: torch.dtype) -> None:
    for sample in sample_inputs(dtype, requires_grad=True):
        real = gru_ext.gru_cell(*sample.args)
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            args = [None if arg is None else mode.from_tensor(arg) for arg in sample.args]
            fake = gru_ext.gru_cell(*args)
        assert (fake.shape, fake.dtype, fake.device) == (real.shape, real.dtype, real.device), sample.name
        assert fake.stride() == real.stride(), sample.name
        assert fake.requires_grad


@pytest.mark.parametrize("name", ["N5_I7_H17", "no_b_hh", "no_hx", "1d", "N0_I10_H20", "all_transposed", "input_is_hx"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_fake_result_agrees_with_the_real_one(name: str, dtype: torch.dtype) -> None:
    """Forward and backward, op by op: the mode runs both and compares."""
    sample = sample_input(name, dtype, requires_grad=True)
    with CrossRefFakeMode():
        state = gru_ext.gru_cell(*sample.args)
        state.backward(torch.ones_like(state))
        with torch.no_grad():
            gru_ext.gru_cell(*sample.args)


def test_a_model_under_fake_tensors_allocates_nothing() -> None:
    """A cell of 12 TB, forward and backward."""
    with FakeTensorMode():
        cell = gru_ext.GRUCell(10**6, 10**6)
        state = cell(torch.randn(32, 10**6))
        state.sum().backward()
        assert state.shape == (32, 10**6)
        assert cell.weight_hh.grad.shape == (3 * 10**6, 10**6)


def test_meta_device() -> None:
    with torch.device("meta"):
        theirs, ours = nn.GRUCell(I, H), gru_ext.GRUCell(I, H)
        x, h = torch.randn(N, I, requires_grad=True), torch.randn(N, H, requires_grad=True)
    results = []
    for cell in (theirs, ours):
        state = cell(x, h)
        results.append([state, *torch.autograd.grad(state.sum(), [x, h, *cell.parameters()])])
    for want, got in zip(*results, strict=True):
        assert got.is_meta and (got.shape, got.dtype) == (want.shape, want.dtype)
