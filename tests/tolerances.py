"""How far a result may lie from the double precision one, per dtype, in machine epsilons, with the reason for each number."""

from typing import NamedTuple

import torch
from torch import Tensor


class Tolerance(NamedTuple):
    """In epsilons of the dtype (2^-23 for float32, 2^-7 for bfloat16), at the magnitude of the largest expected element.

    Half an epsilon is the rounding of a perfect result stored in the dtype.
    """

    value: float
    grad: float


# Each is about twice the largest error seen over the samples at the levels default and avx2, so that another order of the
# sums passes and a lost digit does not.
TOLERANCES = {
    # A pre-activation is a sum of I + H + 2 terms (up to 200 in the samples), each |w x| < 1. Summed in lanes its error grows
    # like the square root of the number of terms: a few epsilons. The slopes of the gates (1/4, 1/4, 1) pass on less than that;
    # our exp and tanh add one or two. A gradient multiplies four gates of that error and sums over 3H columns or N rows.
    torch.float32: Tolerance(value=5, grad=8),
    # As float32, but the reference, in the same format, is off by as much itself.
    torch.float64: Tolerance(value=6, grad=8),
    # Everything is accumulated in float32, so the forward is the exact result rounded once: 1/2, plus the few float32 epsilons
    # (2^-16 and 2^-13 of these) that can tip a rounding. For the backward r, z, n and q are stored in the dtype, each half an
    # epsilon off; that adds up through the products of the gate gradients and partly cancels in the sums over N and 3H.
    torch.bfloat16: Tolerance(value=0.51, grad=2),
    torch.float16: Tolerance(value=0.51, grad=2),
    # Complex numbers take the decomposition on ATen: four real products for each, sigmoid and tanh by ATen's complex functions,
    # whose slope is not bounded by 1 (tanh has poles).
    torch.complex64: Tolerance(value=12, grad=24),
    torch.complex128: Tolerance(value=12, grad=24),
}


def error_in_eps(actual: Tensor, expected: Tensor) -> float:
    """Largest |actual - expected| in epsilons of `actual`'s dtype, at the largest expected magnitude (1 at least)."""
    assert actual.shape == expected.shape, f"shape {tuple(actual.shape)}, expected {tuple(expected.shape)}"
    if actual.numel() == 0:
        return 0.0
    exact = expected.detach()
    error = (actual.detach().to(exact.dtype) - exact).abs().max().item()
    return error / (torch.finfo(actual.dtype).eps * max(1.0, exact.abs().max().item()))


def assert_value(actual: Tensor, expected: Tensor, steps: int = 1) -> None:
    """`actual` is the state `expected` (double precision) within its dtype's tolerance; errors of several steps add up."""
    error, limit = error_in_eps(actual, expected), TOLERANCES[actual.dtype].value * steps
    assert error <= limit, f"value: {error:.2f} epsilons of {actual.dtype} off, tolerance {limit}"


def assert_grad(actual: Tensor, expected: Tensor, name: str = "gradient", steps: int = 1) -> None:
    """As `assert_value`, for derivatives."""
    error, limit = error_in_eps(actual, expected), TOLERANCES[actual.dtype].grad * steps
    assert error <= limit, f"{name}: {error:.2f} epsilons of {actual.dtype} off, tolerance {limit}"
