"""The same bits from run to run, no memory read before it is written, and PyTorch's settings for its products respected."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from on_device import random_sample, results, torch_cell
from reference import gru_cell as reference_cell
from samples import REAL_DTYPES
from tolerances import TOLERANCES, error_in_eps

import gru_ext

# One block of rows and many; whole packs and single numbers; up to where thousands of rows are summed for the biases.
SIZES = [(1, 64, 64), (8, 512, 512), (5, 37, 53), (200, 37, 53), (1000, 256, 256), (3000, 64, 64)]


@contextmanager
def _deterministic() -> Iterator[None]:
    """PyTorch then refuses what is not, and fills memory that it hands out with NaN."""
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.utils.deterministic.fill_uninitialized_memory
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("sizes", SIZES)
def test_same_bits_every_time(sizes: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> None:
    sample = random_sample(device, *sizes, dtype, requires_grad=True)
    grad = torch.randn(sizes[0], sizes[2]).to(device, dtype)
    first = results(gru_ext.gru_cell, sample, grad)
    for _ in range(4):
        for one, other in zip(results(gru_ext.gru_cell, sample, grad), first, strict=True):
            assert torch.equal(one, other)
    with _deterministic():
        for one, other in zip(results(gru_ext.gru_cell, sample, grad), first, strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("sizes", [*SIZES, (0, 7, 16), (5, 0, 16), (20, 0, 16), (5, 7, 0), (20, 7, 0)])
def test_no_uninitialised_memory(sizes: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> None:
    """Every result is written wholly, and no scratch memory is read before it is."""
    sample = random_sample(device, *sizes, dtype, requires_grad=True)
    grad = torch.randn(sizes[0], sizes[2]).to(device, dtype)
    with _deterministic():
        actual = results(gru_ext.gru_cell, sample, grad)
        assert all(t.isfinite().all() for t in actual)
        # The op itself too, for every single gradient: what is not asked for may not be needed for what is.
        x, h, w_ih, w_hh = (t.detach() for t in sample.args[:4])
        _, saved = torch.ops.gru_ext._cell_forward(x, h, w_ih, w_hh, None, None, True)
        for wanted in range(6):
            mask = [place == wanted for place in range(6)]
            assert all(t.isfinite().all() for t in torch.ops.gru_ext._cell_backward(grad, saved, x, h, w_ih, w_hh, mask))


@pytest.mark.cuda_only
@pytest.mark.parametrize("sizes", [(5, 64, 64), (40, 64, 64), (40, 37, 53)])
def test_memory_that_held_other_numbers(sizes: tuple[int, int, int], device: torch.device) -> None:
    """As above without the help of PyTorch's mode: the allocator's free blocks are full of NaN."""
    sample = random_sample(device, *sizes, torch.float32, requires_grad=True)
    grad = torch.randn(sizes[0], sizes[2], device=device)
    expected = results(gru_ext.gru_cell, sample, grad)
    full = [torch.full((size,), float("nan"), device=device) for size in (128, 1024, 8192, 65536, 524288) for _ in range(16)]
    del full
    for one, other in zip(results(gru_ext.gru_cell, sample, grad), expected, strict=True):
        assert torch.equal(one, other)


@contextmanager
def _products_in(precision: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.cuda_only
def test_tf32_where_it_is_allowed(device: torch.device) -> None:
    """The products of larger batches lose as many digits as torch's own when TF32 is on, and none when it is off."""
    args = random_sample(device, 256, 512, 512, torch.float32).args
    exact = reference_cell(*args)

    def errors() -> tuple[float, float]:
        ours, theirs = (error_in_eps(cell(*args), exact) for cell in (gru_ext.gru_cell, torch_cell))
        return ours, theirs

    ours, theirs = errors()
    assert ours <= max(4 * TOLERANCES[torch.float32].value, 1.1 * theirs + 1)
    with _products_in("high"):
        low, their_low = errors()
    if their_low < 10 * theirs:
        pytest.skip(f"this device computes torch's products as exactly with TF32 as without: {their_low:.1f} epsilons")
    assert their_low / 2 <= low <= 2 * their_low
    assert errors()[0] == ours


@pytest.mark.cuda_only
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_small_batches_keep_their_digits_under_tf32(dtype: torch.dtype, device: torch.device) -> None:
    """Their kernel is bound by reading the weights: rounding them would gain nothing."""
    args = random_sample(device, 8, 512, 512, dtype).args
    with _products_in("high"):
        assert error_in_eps(gru_ext.gru_cell(*args), reference_cell(*args)) <= 4 * TOLERANCES[dtype].value
