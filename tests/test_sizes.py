"""Sizes nobody thought of: random N, I and H, values and gradients, so that no path of the kernels depends on a list."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import gru_cell as reference_cell
from tolerances import assert_grad, assert_value

import gru_ext

pytestmark = pytest.mark.compiled


def _check(n: int, i: int, h: int, dtype: torch.dtype, steps: int = 1) -> None:
    torch.manual_seed(n * 10_000 + i * 100 + h)
    cell = gru_ext.GRUCell(i, h, dtype=dtype)
    leaves = [torch.randn(n, i, dtype=dtype), torch.rand(n, h, dtype=dtype) * 2 - 1, *(p.detach() for p in cell.parameters())]
    wide = [t.double().requires_grad_() for t in leaves]
    leaves = [t.requires_grad_() for t in leaves]
    state, exact = gru_ext.gru_cell(*leaves), reference_cell(*wide)
    assert_value(state, exact, steps)
    grad = torch.randn(n, h, dtype=dtype)
    for one, other in zip(
        torch.autograd.grad(state, leaves, grad), torch.autograd.grad(exact, wide, grad.double()), strict=True
    ):
        assert_grad(one, other, steps=steps)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(n=st.integers(0, 40), i=st.integers(0, 80), h=st.integers(0, 80))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_small_sizes(n: int, i: int, h: int, dtype: torch.dtype) -> None:
    _check(n, i, h, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(
    "n, i, h", [(1, 300, 260), (3, 201, 203), (5, 513, 97), (200, 33, 129), (700, 40, 33), (193, 65, 86), (257, 1, 1)]
)
def test_sizes_beyond_a_block(n: int, i: int, h: int, dtype: torch.dtype) -> None:
    """Batches, contractions and outputs of more than one block of every loop.

    Four times the tolerance: the sums are up to ten times as long as the samples', and a few of them cancel.
    """
    _check(n, i, h, dtype, steps=4)


@pytest.mark.parametrize("n", [1, 4, 40])
def test_a_batch_of_any_size_gives_each_row_the_same_result(n: int) -> None:
    """Within the tolerance: small and large batches take different kernels."""
    cell = gru_ext.GRUCell(37, 53)
    x, h = torch.randn(n, 37), torch.randn(n, 53)
    state = cell(x, h)
    for row in range(n):
        assert_value(cell(x[row], h[row]), state[row].double(), steps=2)
