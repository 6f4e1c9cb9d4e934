"""Tensors that are more than tensors, and modes that watch every op."""

import pytest
import torch
from samples import cell_pair
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils._python_dispatch import TorchDispatchMode

import gru_ext


class _Tagged(Tensor):
    """Keeps its type through every function, and remembers their names."""

    seen: list[str] = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.seen.append(getattr(func, "__name__", str(func)))
        return super().__torch_function__(func, types, args, kwargs or {})


@pytest.mark.parametrize("shape", [(2, 3), (3,)])
def test_torch_function_subclass(shape: tuple[int, ...]) -> None:
    _, cell = cell_pair(3, 4)
    x = torch.randn(shape)
    _Tagged.seen.clear()
    state = cell(x.as_subclass(_Tagged))
    assert type(state) is _Tagged
    assert any("gru_cell" in name for name in _Tagged.seen)
    assert torch.equal(state.as_subclass(Tensor), cell(x))


def test_torch_function_on_the_weights_only() -> None:
    _, cell = cell_pair(3, 4)
    x = torch.randn(2, 3)
    expected = cell(x)
    weight = cell.weight_hh.detach().as_subclass(_Tagged)
    del cell.weight_hh
    cell.weight_hh = weight
    state = cell(x)
    assert type(state) is _Tagged and torch.equal(state.as_subclass(Tensor), expected)


def test_torch_function_mode() -> None:
    class Watch(TorchFunctionMode):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.seen.append(str(func))
            return func(*args, **(kwargs or {}))

    _, cell = cell_pair(3, 4)
    x = torch.randn(2, 3)
    expected = cell(x)
    with Watch() as watch:
        state = cell(x)
    assert torch.equal(state, expected)
    assert any("gru_cell" in name for name in watch.seen)


def test_torch_dispatch_mode() -> None:
    class Watch(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.seen.append(str(func))
            return func(*args, **(kwargs or {}))

    _, cell = cell_pair(3, 4)
    x, h = torch.randn(2, 3), torch.randn(2, 4, requires_grad=True)
    expected = torch.autograd.grad(cell(x, h).sum(), h)[0]
    with Watch() as watch:
        state = cell(x, h)
        (actual,) = torch.autograd.grad(state.sum(), h)
    assert torch.equal(actual, expected) and watch.seen
    if gru_ext._library.reason is None:
        ours = [name for name in watch.seen if name.startswith("gru_ext.")]
        assert ours == ["gru_ext._cell_forward.default", "gru_ext._cell_backward.default"]


def _two(tensor: Tensor) -> TwoTensor:
    return TwoTensor(tensor.clone(), tensor.clone() * 2)


def test_two_tensor_inputs() -> None:
    """A subclass made of two tensors: each half goes its own way, forward and backward."""
    _, cell = cell_pair(3, 4)
    x, h = torch.randn(2, 3), torch.randn(2, 4)
    x_, h_ = _two(x).requires_grad_(), _two(h).requires_grad_()
    state = cell(x_, h_)
    assert isinstance(state, TwoTensor)
    for half, scale in (("a", 1), ("b", 2)):
        torch.testing.assert_close(getattr(state, half).detach(), cell(x * scale, h * scale).detach())
    grads = torch.autograd.grad(state, [x_, h_], torch.ones_like(state))
    for half, scale in (("a", 1), ("b", 2)):
        leaves = [(t * scale).requires_grad_() for t in (x, h)]
        for one, other in zip(grads, torch.autograd.grad(cell(*leaves).sum(), leaves), strict=True):
            torch.testing.assert_close(getattr(one, half), other)


def test_two_tensor_parameters() -> None:
    _, cell = cell_pair(3, 4)
    x = torch.randn(2, 3)
    expected = torch.autograd.grad(cell(x).sum(), list(cell.parameters()))
    for name, parameter in list(cell.named_parameters()):
        setattr(cell, name, nn.Parameter(TwoTensor(parameter.detach().clone(), parameter.detach().clone())))
    state = cell(_two(x))
    assert isinstance(state, TwoTensor)
    cell(TwoTensor(x, x)).sum().backward()
    for parameter, other in zip(cell.parameters(), expected, strict=True):
        assert isinstance(parameter.grad, TwoTensor)
        torch.testing.assert_close(parameter.grad.a, other)
        torch.testing.assert_close(parameter.grad.b, other)
