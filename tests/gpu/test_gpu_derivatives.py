"""Derivatives of every order and mode on CUDA, and torch.func: torch's own cell has no forward mode and no batching rule."""

from collections.abc import Callable

import pytest
import torch
from on_device import Step, random_sample, sample_on
from reference import gru_cell as reference_cell
from samples import Sample
from tolerances import assert_grad, assert_value
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, linearize, stack_module_state, vjp, vmap
from torch.utils._pytree import tree_leaves

import gru_ext

# Finite differences take two calls per element: small samples in full, others along random directions.
SMALL = ["N1_I3_H4", "N1_I1_H1", "N3_I0_H0"]
LARGER = ["N5_I7_H17", "N13_I9_H21", "no_hx", "no_b_ih", "no_b_ih_b_hh", "1d", "input_columns", "hx_transposed", "input_is_hx"]


def _function(sample: Sample) -> tuple[Callable[..., Tensor], tuple[Tensor, ...]]:
    """`gru_cell` as a function of the distinct tensors among its arguments."""
    distinct = list(sample.leaves.values())
    places = [next((k for k, leaf in enumerate(distinct) if leaf is argument), None) for argument in sample.args]

    def call(*leaves: Tensor) -> Tensor:
        return gru_ext.gru_cell(*[None if place is None else leaves[place] for place in places])

    return call, tuple(distinct)


@pytest.mark.parametrize("name", SMALL)
def test_first_order_in_full(name: str, device: torch.device) -> None:
    call, leaves = _function(sample_on(device, name, torch.float64, requires_grad=True))
    assert gradcheck(call, leaves, check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True)


@pytest.mark.parametrize("name", LARGER)
def test_first_order_along_random_directions(name: str, device: torch.device) -> None:
    call, leaves = _function(sample_on(device, name, torch.float64, requires_grad=True))
    assert gradcheck(call, leaves, fast_mode=True, check_forward_ad=True, check_batched_grad=True)


@pytest.mark.parametrize("name", ["N1_I3_H4", *LARGER])
def test_second_order(name: str, device: torch.device) -> None:
    call, leaves = _function(sample_on(device, name, torch.float64, requires_grad=True))
    assert gradgradcheck(call, leaves, fast_mode=True, check_fwd_over_rev=True, check_batched_grad=True)


@pytest.mark.parametrize("n", [5, 20])
@pytest.mark.parametrize("place", range(6))
def test_forward_mode(place: int, n: int, device: torch.device) -> None:
    """A tangent on one argument, the others constant."""
    args = random_sample(device, n, 7, 17, torch.float64).args
    tangent = torch.randn_like(args[place])

    def out(cell: Step) -> Tensor:
        return jvp(lambda value: cell(*args[:place], value, *args[place + 1 :]), (args[place],), (tangent,))[1]

    assert_grad(out(gru_ext.gru_cell), out(reference_cell))


TRANSFORMS: dict[str, Callable[[Step, tuple], object]] = {
    "grad": lambda cell, args: grad(lambda *a: cell(*a).square().sum(), argnums=tuple(range(6)))(*args),
    "vjp": lambda cell, args: vjp(cell, *args)[1](torch.ones_like(args[1])),
    "jvp": lambda cell, args: jvp(cell, args, args),
    "linearize": lambda cell, args: linearize(cell, *args)[1](*args),
    "jacrev": lambda cell, args: jacrev(cell, argnums=(0, 3))(*args),
    "jacfwd": lambda cell, args: jacfwd(cell, argnums=(0, 3))(*args),
    "hessian": lambda cell, args: hessian(lambda *a: cell(*a).square().sum(), argnums=(0, 5))(*args),
    "vmap of grad": lambda cell, args: vmap(grad(lambda x, h: cell(x, h, *args[2:]).square().sum()))(*args[:2]),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms(transform: str, device: torch.device) -> None:
    args = random_sample(device, 3, 3, 4, torch.float64).args
    actual, expected = (TRANSFORMS[transform](cell, args) for cell in (gru_ext.gru_cell, reference_cell))
    for one, other in zip(tree_leaves(actual), tree_leaves(expected), strict=True):
        assert_grad(one, other, steps=4)


@pytest.mark.parametrize("batched", ["input and state", "input", "state", "weights", "everything"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_vmap(batched: str, dtype: torch.dtype, device: torch.device) -> None:
    """Shared weights: one step of more rows. Weights of their own: batched products."""
    chosen = {"input and state": (0, 1), "input": (0,), "state": (1,), "weights": (2, 3, 4, 5), "everything": range(6)}[batched]
    args = list(random_sample(device, 5, 7, 16, dtype).args)
    for place in chosen:
        args[place] = torch.stack([args[place] * scale for scale in (1.0, 0.5, -0.25)])
    in_dims = tuple(0 if place in chosen else None for place in range(6))
    states = vmap(gru_ext.gru_cell, in_dims)(*args)
    for k, state in enumerate(states):
        assert_value(state, reference_cell(*(a[k] if place in chosen else a for place, a in enumerate(args))), steps=2)


def test_ensembles(device: torch.device) -> None:
    cells = [gru_ext.GRUCell(3, 4, dtype=torch.float64, device=device) for _ in range(6)]
    parameters, buffers = stack_module_state(cells)
    template = gru_ext.GRUCell(3, 4, device="meta", dtype=torch.float64)
    x = torch.randn(5, 3, dtype=torch.float64, device=device)
    states = vmap(lambda p, b, v: functional_call(template, (p, b), (v,)), (0, 0, None))(parameters, buffers, x)
    for k, cell in enumerate(cells):
        assert_value(states[k], reference_cell(x, None, *cell.parameters()))
    states.sum().backward()
    for name, stacked in parameters.items():
        for k, cell in enumerate(cells):
            exact = torch.autograd.grad(reference_cell(x, None, *cell.parameters()).sum(), dict(cell.named_parameters())[name])
            assert_grad(stacked.grad[k], exact[0], name)
