"""Derivatives of every order and mode against finite differences, and the high ones against the equations'."""

from typing import Optional

import pytest
import torch
from reference import gru_cell as reference_cell
from samples import Sample, sample_input
from tolerances import assert_grad
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import gru_ext

# Finite differences take two calls per element: small samples in full, the odd larger one along random directions.
_SMALL = ["N1_I3_H4", "N1_I1_H1", "N3_I0_H0"]
_LARGER = ["N5_I7_H17", "no_hx", "no_b_ih", "no_b_hh", "no_b_ih_b_hh", "1d", "1d_no_hx", "input_columns", "hx_transposed"]
_TIED = ["input_is_hx", "w_ih_is_w_hh", "b_ih_is_b_hh"]


def _function(sample: Sample):
    """`gru_cell` as a function of the distinct tensors among its arguments."""
    places: list[Optional[int]] = []
    distinct = list(sample.leaves.values())
    for argument in sample.args:
        places.append(next((k for k, leaf in enumerate(distinct) if leaf is argument), None))

    def call(*leaves: Tensor) -> Tensor:
        return gru_ext.gru_cell(*[None if place is None else leaves[place] for place in places])

    return call, tuple(distinct)


@pytest.mark.parametrize("name", _SMALL)
def test_first_order_in_full(name: str) -> None:
    call, leaves = _function(sample_input(name, torch.float64, requires_grad=True))
    assert gradcheck(
        call, leaves, check_forward_ad=True, check_batched_grad=True, check_undefined_grad=True, check_grad_dtypes=True
    )


@pytest.mark.compiled
@pytest.mark.parametrize("name", _SMALL)
def test_batched_forward_mode(name: str) -> None:
    """torch's cell has no batching rule for the split it uses."""
    call, leaves = _function(sample_input(name, torch.float64, requires_grad=True))
    assert gradcheck(call, leaves, check_forward_ad=True, check_backward_ad=False, check_batched_forward_grad=True)


@pytest.mark.parametrize("name", _LARGER + _TIED)
def test_first_order_along_random_directions(name: str) -> None:
    call, leaves = _function(sample_input(name, torch.float64, requires_grad=True))
    assert gradcheck(call, leaves, fast_mode=True, check_forward_ad=True, check_batched_grad=True, check_undefined_grad=True)


@pytest.mark.parametrize("name", ["N1_I3_H4", "no_b_hh", "1d"])
def test_first_order_complex(name: str) -> None:
    call, leaves = _function(sample_input(name, torch.complex128, requires_grad=True))
    fast = name != "N1_I3_H4"
    assert gradcheck(call, leaves, fast_mode=fast, check_forward_ad=True, check_batched_grad=True, check_undefined_grad=True)


@pytest.mark.parametrize("name", ["N1_I1_H1", "N3_I0_H0"])
def test_second_order_in_full(name: str) -> None:
    call, leaves = _function(sample_input(name, torch.float64, requires_grad=True))
    assert gradgradcheck(call, leaves, check_fwd_over_rev=True, check_rev_over_rev=True, check_batched_grad=True)


@pytest.mark.parametrize("name", ["N1_I3_H4", *_LARGER, *_TIED])
def test_second_order_along_random_directions(name: str) -> None:
    call, leaves = _function(sample_input(name, torch.float64, requires_grad=True))
    assert gradgradcheck(call, leaves, fast_mode=True, check_fwd_over_rev=True, check_batched_grad=True)


def test_second_order_complex() -> None:
    call, leaves = _function(sample_input("N1_I3_H4", torch.complex128, requires_grad=True))
    assert gradgradcheck(call, leaves, fast_mode=True, check_fwd_over_rev=True)


@pytest.mark.parametrize("name", ["N5_I7_H17", "no_hx", "no_b_ih", "1d"])
@pytest.mark.parametrize("order", [2, 3])
def test_high_orders_match_the_equations(name: str, order: int) -> None:
    """Differentiates the sum of squares of all gradients again and again, in reverse mode."""
    results = []
    for cell in (gru_ext.gru_cell, reference_cell):
        leaves = list((sample := sample_input(name, torch.float64, requires_grad=True)).leaves.values())
        value = cell(*sample.args).square().sum()
        for _ in range(order - 1):
            grads = torch.autograd.grad(value, leaves, create_graph=True)
            value = sum(grad.square().sum() for grad in grads)
        results.append(torch.autograd.grad(value, leaves))
    assert any(other.any() for other in results[1])
    for one, other in zip(*results, strict=True):
        assert_grad(one, other, steps=4**order)  # each order multiplies two results of the one before, twice over


def test_gradient_penalty_trains_as_in_torch() -> None:
    """The gradient of a gradient's norm, as GAN and physics losses take it, in float32."""
    grads = []
    for cell in (gru_ext.gru_cell, torch.gru_cell):
        sample = sample_input("N5_I7_H17", torch.float32, requires_grad=True)
        (slope,) = torch.autograd.grad(cell(*sample.args).sum(), sample.args[0], create_graph=True)
        grads.append(torch.autograd.grad((slope.norm(dim=1) - 1).square().mean(), sample.args[2:4]))
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)


def test_forward_mode_with_some_tangents() -> None:
    """A tangent on any one argument, the others constant, against the equations."""
    sample = sample_input("N5_I7_H17", torch.float64)
    for place in range(6):
        tangent = torch.randn_like(sample.args[place])
        out = []
        for cell in (gru_ext.gru_cell, reference_cell):
            with torch.autograd.forward_ad.dual_level():
                args = list(sample.args)
                args[place] = torch.autograd.forward_ad.make_dual(args[place], tangent)
                out.append(torch.autograd.forward_ad.unpack_dual(cell(*args)).tangent)
        assert_grad(*out)


def test_forward_over_reverse_with_a_tangent_on_the_incoming_gradient_only() -> None:
    """The backward is linear in the gradient that comes in: its tangent passes through, though nothing else has one."""
    sample = sample_input("N5_I7_H17", torch.float64, requires_grad=True)
    leaves = list(sample.leaves.values())
    grad, tangent = torch.randn(5, 17, dtype=torch.float64), torch.randn(5, 17, dtype=torch.float64)
    state = gru_ext.gru_cell(*sample.args)
    expected = torch.autograd.grad(state, leaves, tangent, retain_graph=True)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(grad, tangent)
        for one, other in zip(torch.autograd.grad(state, leaves, dual), expected, strict=True):
            torch.testing.assert_close(torch.autograd.forward_ad.unpack_dual(one).tangent, other)
