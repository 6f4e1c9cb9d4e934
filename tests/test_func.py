"""torch.func: the transforms and their compositions, against the same transform of the equations."""

from collections.abc import Callable

import pytest
import torch
from reference import gru_cell as reference_cell
from samples import cell_pair, sample_input
from tolerances import assert_grad, assert_value
from torch import Tensor
from torch.func import functional_call, functionalize, grad, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap

import gru_ext

PLACES = range(6)
Cell = Callable[..., Tensor]


def _small(name: str = "N1_I3_H4") -> tuple[Tensor, ...]:
    return sample_input(name, torch.float64).args


def _of_one(cell: Cell, args: tuple[Tensor, ...], place: int) -> Callable[[Tensor], Tensor]:
    """The cell as a function of one of its arguments."""
    return lambda value: cell(*args[:place], value, *args[place + 1 :])


def _compare(transform: Callable[[Cell], object], steps: int = 1) -> None:
    """`transform` makes a result, or a tuple of them, from a cell: from ours it must be what it is from the equations."""
    actual, expected = torch.utils._pytree.tree_leaves(transform(gru_ext.gru_cell)), transform(reference_cell)
    for one, other in zip(actual, torch.utils._pytree.tree_leaves(expected), strict=True):
        assert_grad(one, other, steps=steps)


@pytest.mark.parametrize("name", ["N1_I3_H4", "N5_I7_H17", "1d", "N0_I10_H20", "N3_I0_H20"])
def test_grad(name: str) -> None:
    args = _small(name)
    _compare(lambda cell: grad(lambda *a: cell(*a).square().sum(), argnums=tuple(PLACES))(*args))


@pytest.mark.parametrize("name", ["no_hx", "no_b_ih", "no_b_hh", "no_b_ih_b_hh", "1d_no_hx"])
def test_grad_without_some_arguments(name: str) -> None:
    args = _small(name)
    given = tuple(place for place, argument in enumerate(args) if argument is not None)
    _compare(lambda cell: grad(lambda *a: cell(*a).square().sum(), argnums=given)(*args))


def test_vjp() -> None:
    args = _small("N5_I7_H17")
    cotangent = torch.randn(5, 17, dtype=torch.float64)
    _compare(lambda cell: vjp(cell, *args)[1](cotangent))
    _compare(lambda cell: vjp(cell, *args)[0])


def test_jvp() -> None:
    args = _small("N5_I7_H17")
    tangents = tuple(torch.randn_like(a) for a in args)
    _compare(lambda cell: jvp(cell, args, tangents))


@pytest.mark.parametrize("place", PLACES)
def test_jvp_of_one_argument(place: int) -> None:
    args = _small("N5_I7_H17")
    tangent = torch.randn_like(args[place])
    _compare(lambda cell: jvp(_of_one(cell, args, place), (args[place],), (tangent,)))


@pytest.mark.compiled
def test_linearize() -> None:
    """torch's cell cannot be linearized: it writes into an intermediate result."""
    args = _small("N5_I7_H17")
    tangents = tuple(torch.randn_like(a) for a in args)
    output, linear = linearize(gru_ext.gru_cell, *args)
    assert_value(output, reference_cell(*args))
    assert_grad(linear(*tangents), jvp(reference_cell, args, tangents)[1])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("jacobian", [jacrev, jacfwd])
def test_jacobians(jacobian: Callable, place: int) -> None:
    args = _small()
    _compare(lambda cell: jacobian(_of_one(cell, args, place))(args[place]))


@pytest.mark.parametrize("place", PLACES)
def test_hessian(place: int) -> None:
    args = _small()
    _compare(lambda cell: hessian(lambda v: _of_one(cell, args, place)(v).square().sum())(args[place]), steps=4)


@pytest.mark.parametrize("outer", [jacrev, jacfwd])
@pytest.mark.parametrize("inner", [jacrev, jacfwd])
def test_second_order_in_every_mode(outer: Callable, inner: Callable) -> None:
    """Reverse over forward, forward over reverse, and each over itself, across two different arguments."""
    args = _small()

    def mixed(cell: Cell) -> Tensor:
        return outer(lambda w: inner(lambda x: cell(x, args[1], args[2], w, args[4], args[5]))(args[0]))(args[3])

    _compare(mixed, steps=4)


def test_third_order() -> None:
    args = _small("N1_I1_H1")
    _compare(lambda cell: grad(lambda a: grad(lambda b: grad(lambda c: cell(c, *args[1:]).sum())(b).sum())(a).sum())(args[0]))


@pytest.mark.parametrize("vectorize", [False, True])
def test_functional_jacobian(vectorize: bool) -> None:
    """The older interface."""
    args = _small()
    _compare(lambda cell: torch.autograd.functional.jacobian(cell, args, vectorize=vectorize))


@pytest.mark.compiled
def test_functional_jacobian_in_forward_mode() -> None:
    """For which torch's cell has no batching rule."""
    args = _small()
    _compare(lambda cell: torch.autograd.functional.jacobian(cell, args, vectorize=True, strategy="forward-mode"))


def test_functional_hessian_vector_product() -> None:
    args = _small()
    vectors = tuple(torch.randn_like(a) for a in args)
    _compare(lambda cell: torch.autograd.functional.hvp(lambda *a: cell(*a).square().sum(), args, vectors)[1], steps=4)


def test_functional_call() -> None:
    """The module with other weights than its own, which stay as they are, and gradients with respect to those."""
    _, cell = cell_pair(3, 4, dtype=torch.float64)
    x, h = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    before = [p.detach().clone() for p in cell.parameters()]
    others = {name: torch.randn_like(p) for name, p in cell.named_parameters()}
    assert_value(functional_call(cell, others, (x, h)), reference_cell(x, h, *others.values()))
    grads = grad(lambda weights: functional_call(cell, weights, (x,), {"hx": h}).sum())(others)
    expected = grad(lambda weights: reference_cell(x, h, *weights.values()).sum())(others)
    for name, one in grads.items():
        assert_grad(one, expected[name])
    assert all(torch.equal(p, was) for p, was in zip(cell.parameters(), before, strict=True))


@pytest.mark.parametrize("remove", ["mutations", "mutations_and_views"])
def test_functionalize(remove: str) -> None:
    args = _small("N5_I7_H17")
    assert_value(functionalize(gru_ext.gru_cell, remove=remove)(*args), reference_cell(*args))
    state = functionalize(lambda *a: gru_ext.gru_cell(*a).relu_(), remove=remove)(*args)
    assert_value(state, reference_cell(*args).relu())


@pytest.mark.compiled
def test_gradients_of_regular_tensors_through_a_transform() -> None:
    """A transform inside a model that is trained as usual: the graph goes through it to the parameters.

    torch's cell fails under vmap(grad) where only the input is batched: it writes into the state's projection.
    """
    _, cell = cell_pair(3, 4, dtype=torch.float64)
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    leaves = [x, *cell.parameters()]

    def losses(step: Cell) -> list[Tensor]:
        slopes = vmap(grad(lambda v: step(v, None, *leaves[1:]).sum()))(x)
        return [vmap(lambda v: step(v, None, *leaves[1:]))(x).square().sum(), slopes.square().sum()]

    for ours, exact in zip(losses(gru_ext.gru_cell), losses(reference_cell), strict=True):
        actual = torch.autograd.grad(ours, leaves, allow_unused=True, materialize_grads=True)
        expected = torch.autograd.grad(exact, leaves, allow_unused=True, materialize_grads=True)
        for one, other in zip(actual, expected, strict=True):
            assert_grad(one, other, steps=4)
