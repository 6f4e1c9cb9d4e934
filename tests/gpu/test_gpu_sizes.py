"""Sizes on both sides of every threshold of the CUDA kernels, and sizes nobody thought of."""

import itertools

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from on_device import LOW, check, random_sample
from samples import REAL_DTYPES
from tolerances import TOLERANCES, error_in_eps

import gru_ext

# Rows: those that a small-batch kernel is compiled for, the most it takes, one more, and heights of blocks. Columns: whole
# packs of 16 bytes for every dtype or for some, none, fewer than a warp has lanes, several warps per unit.
ROWS = [1, 2, 3, 4, 5, 7, 8, 9, 16, 33]
COLUMNS = [(8, 8), (37, 37), (64, 64), (36, 100), (4, 260), (300, 24), (512, 512), (1100, 40)]


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("i, h", COLUMNS)
def test_rows_around_the_small_batch(i: int, h: int, dtype: torch.dtype, device: torch.device) -> None:
    """Four times the tolerance: the sums are up to ten times as long as the samples', and a few of them cancel."""
    for n in ROWS:
        check(random_sample(device, n, i, h, dtype, requires_grad=True), torch.randn(n, h).to(device, dtype), factor=4)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize(
    "n, i, h", [(1, 4096, 64), (8, 64, 2048), (1000, 200, 200), (5000, 32, 32), (1200, 3, 1030), (257, 1, 1)]
)
def test_more_than_one_block_of_everything(n: int, i: int, h: int, dtype: torch.dtype, device: torch.device) -> None:
    """Eight times the tolerance: the sums are up to a hundred times as long as the samples'."""
    sample = random_sample(device, n, i, h, dtype, requires_grad=True)
    check(sample, torch.randn(n, h).to(device, dtype) / n**0.5, factor=8)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=st.integers(0, 40), i=st.integers(0, 80), h=st.integers(0, 80), bias=st.booleans())
@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_any_sizes(n: int, i: int, h: int, bias: bool, dtype: torch.dtype, device: torch.device) -> None:
    torch.manual_seed(n * 10_000 + i * 100 + h)
    check(random_sample(device, n, i, h, dtype, requires_grad=True, bias=bias), torch.randn(n, h).to(device, dtype))


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("i, h", [(64, 64), (37, 37), (300, 512)])
def test_a_row_has_the_same_state_in_a_batch_of_any_size(i: int, h: int, dtype: torch.dtype, device: torch.device) -> None:
    """Within the rounding of the products, which batches above the small ones take from a matrix library."""
    x, hx, *weights = random_sample(device, 40, i, h, dtype).args
    whole = gru_ext.gru_cell(x, hx, *weights)
    # Two results of the same tolerance; in 16 bits both products of the large batch are rounded to the dtype as well.
    limit = 4 if dtype in LOW else 2 * TOLERANCES[dtype].value
    for n in (1, 2, 8, 9, 17):
        assert error_in_eps(gru_ext.gru_cell(x[:n], hx[:n], *weights), whole[:n].double()) <= limit
    assert error_in_eps(gru_ext.gru_cell(x[3], hx[3], *weights), whole[3].double()) <= limit


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("n", [5, 20])
def test_rows_that_are_apart_and_not_aligned(n: int, dtype: torch.dtype, device: torch.device) -> None:
    """Slices of a larger matrix, every element of which that is not theirs is NaN; aligned for whole packs or not."""
    width = 64
    dense = random_sample(device, n, width, width, dtype)
    exact = gru_ext.gru_cell(*(a.double() for a in dense.args))
    for start, gap in itertools.product((0, 1, 8), (0, 1, 8)):
        args = list(dense.args)
        for place in (0, 1):
            whole = torch.full((n, start + width + gap), float("nan"), dtype=dtype, device=device)
            args[place] = whole[:, start : start + width].copy_(args[place])
        state = gru_ext.gru_cell(*args)
        assert error_in_eps(state, exact) <= (4 if dtype in LOW else TOLERANCES[dtype].value), (start, gap)
