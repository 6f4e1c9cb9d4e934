"""The state on CUDA: for every sample as near to double precision as torch's cell, in fresh memory."""

import pytest
import torch
from on_device import assert_accurate, check, moved, random_sample, sample_on, torch_cell
from reference import gru_cell as reference_cell
from samples import REAL_DTYPES, cell_pair, sample_grid, sample_input, sample_names
from tolerances import TOLERANCES, error_in_eps

import gru_ext


@pytest.mark.parametrize("name", sample_names(torch.complex64))
def test_samples_keep_their_layout_on_the_way(name: str, device: torch.device) -> None:
    """Else the tests of strides and alignments would test nothing."""
    for tensor in sample_input(name, torch.complex64).leaves.values():
        there = moved(tensor, device)
        assert there.device.type == device.type and there.dtype == tensor.dtype
        assert (there.stride(), there.storage_offset()) == (tensor.stride(), tensor.storage_offset())
        assert (there.is_neg(), there.is_conj()) == (tensor.is_neg(), tensor.is_conj())
        assert torch.equal(there.cpu(), tensor)


@pytest.mark.parametrize("name, dtype", sample_grid())
def test_matches_the_equations(name: str, dtype: torch.dtype, device: torch.device) -> None:
    check(sample_on(device, name, dtype))


@pytest.mark.parametrize("name, dtype", sample_grid(REAL_DTYPES))
def test_gradient_mode_gives_the_same_state(name: str, dtype: torch.dtype, device: torch.device) -> None:
    sample = sample_on(device, name, dtype, requires_grad=True)
    training = gru_ext.gru_cell(*sample.args)
    with torch.no_grad():
        assert torch.equal(training, gru_ext.gru_cell(*sample.args))
    with torch.inference_mode():
        assert torch.equal(training, gru_ext.gru_cell(*sample.args))


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("sizes", [(8, 96, 104), (8, 37, 53), (64, 96, 104), (64, 512, 512), (200, 37, 53)])
def test_is_as_accurate_as_torch(sizes: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> None:
    """Root mean square error at most 1.1 times torch's and what one more rounding of an exact result would add."""
    sample = random_sample(device, *sizes, dtype)
    exact = reference_cell(*sample.args)
    errors = [(cell(*sample.args).double() - exact).pow(2).mean().sqrt() for cell in (gru_ext.gru_cell, torch_cell)]
    # Rounding errors are spread evenly over an interval of the last digit: their root mean square is its width over sqrt(12).
    rounding = torch.finfo(dtype).eps * exact.abs().max() / 12**0.5
    leeway = 1.1 if device.type == "cuda" else 2  # on the CPU ours does not use torch's products
    assert errors[0] <= leeway * errors[1] + rounding


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64))
@pytest.mark.parametrize("n", [5, 20])
def test_small_numbers_keep_their_relative_accuracy(n: int, dtype: torch.dtype, device: torch.device) -> None:
    """Where tanh(a) is nearly a, the result has as many correct digits as a has."""
    x, _, w_ih, w_hh, _, _ = random_sample(device, n, 7, 17, dtype).args
    w_ih.zero_()
    w_ih[34:, 0] = 1.0  # the candidate of every unit is tanh(x[0]): one product, no cancellation
    for scale in (1e-2, 1e-4, 1e-10, 1e-30):
        state = gru_ext.gru_cell(x.abs() * scale, None, w_ih, w_hh)
        exact = reference_cell(x.abs() * scale, None, w_ih, w_hh)
        relative = ((state.double() - exact) / exact).abs().max().item()
        assert relative <= 2 * TOLERANCES[dtype].value * torch.finfo(dtype).eps, scale


@pytest.mark.parametrize("n", [2, 20])
def test_a_thousand_steps(n: int, device: torch.device) -> None:
    """Errors do not pile up: the cell contracts, each step forgets a part of them."""
    _, cell = cell_pair(4, 16, device=device)
    h, exact = torch.zeros(n, 16, device=device), torch.zeros(n, 16, dtype=torch.float64, device=device)
    with torch.no_grad():
        for x in torch.randn(1000, n, 4, device=device):
            h, exact = cell(x, h), reference_cell(x, exact, *cell.parameters())
    assert error_in_eps(h, exact) <= 4 * TOLERANCES[torch.float32].value


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("n", [8, 40])
@pytest.mark.parametrize("hidden_size", [6, 64])
def test_what_is_not_finite_stays_in_its_row(hidden_size: int, n: int, dtype: torch.dtype, device: torch.device) -> None:
    """Infinite and huge x close or open the gates; a NaN or infinite state spoils its own row and no other."""
    # Drawn in float32: in bfloat16 one weight in 256 would be 0, and infinity times 0 is NaN.
    theirs, ours = (cell.to(dtype) for cell in cell_pair(4, hidden_size, device=device))
    x, h = torch.randn(n, 4, dtype=dtype, device=device), torch.rand(n, hidden_size, dtype=dtype, device=device)
    clean = ours(x, h)
    x[1, 0], x[2, 1], x[3] = float("inf"), -float("inf"), torch.finfo(dtype).max / 8
    x[4, 2], h[5, 3], h[6, 0], h[7, 1] = float("nan"), float("nan"), float("inf"), -float("inf")
    expected, state = theirs(x, h), ours(x, h)
    assert torch.equal(state.isnan(), expected.isnan())
    assert torch.equal(state.isinf(), expected.isinf())
    assert state[:4].isfinite().all() and state[4].isnan().all() and state[5].isnan().all()
    # A saturated gate is 0 or 1 exactly, and there torch's cell may round once more than ours: 3 for all of it.
    torch.testing.assert_close(state, expected, rtol=0, atol=3 * torch.finfo(dtype).eps, equal_nan=True)
    untouched = [0, *range(8, n)]
    assert torch.equal(state[untouched], clean[untouched])


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("n", [5, 20])
def test_gradients_that_are_not_finite_stay_in_their_row(n: int, dtype: torch.dtype, device: torch.device) -> None:
    _, cell = cell_pair(16, 32, dtype=dtype, device=device)
    x, h = (torch.randn(n, size, dtype=dtype, device=device, requires_grad=True) for size in (16, 32))
    grad = torch.randn(n, 32, dtype=dtype, device=device)
    grad[1, 3], grad[2] = float("nan"), float("inf")
    d_x, d_h = torch.autograd.grad(cell(x, h), [x, h], grad)
    for gradient in (d_x, d_h):
        assert gradient[[0, *range(3, n)]].isfinite().all()
        assert not gradient[1:3].isfinite().any()


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("n", [5, 20])
def test_absent_state_is_zeros(n: int, dtype: torch.dtype, device: torch.device) -> None:
    cell = gru_ext.GRUCell(7, 17, dtype=dtype, device=device)
    x, zeros = torch.randn(n, 7, dtype=dtype, device=device), torch.zeros(n, 17, dtype=dtype, device=device)
    assert torch.equal(cell(x), cell(x, zeros))
    assert torch.equal(cell(x[0]), cell(x[0], zeros[0])) and cell(x[0]).shape == (17,)


@pytest.mark.parametrize("name", sample_names(torch.float32))
def test_fresh_contiguous_memory_and_untouched_arguments(name: str, device: torch.device) -> None:
    sample = sample_on(device, name, torch.float32)
    before = sample.copy(torch.float32)
    state = gru_ext.gru_cell(*sample.args)
    assert state.is_contiguous()
    pointers = {t.untyped_storage().data_ptr() for t in sample.leaves.values()}
    assert state.numel() == 0 or state.untyped_storage().data_ptr() not in pointers
    state.fill_(float("nan"))
    for (argument, tensor), was in zip(sample.leaves.items(), before.leaves.values(), strict=True):
        assert torch.equal(tensor, was), argument


def test_a_cell_that_moves_between_devices(device: torch.device) -> None:
    """Made on the CPU, moved, replaced in a model, saved and loaded: the same numbers."""
    theirs, _ = cell_pair(7, 17)
    x, h = torch.randn(5, 7), torch.randn(5, 17)
    exact = reference_cell(x, h, *theirs.parameters()).to(device)
    model = torch.nn.Sequential(theirs).to(device)
    assert gru_ext.replace(model) == 1 and type(model[0]) is gru_ext.GRUCell
    other = gru_ext.GRUCell(7, 17, device=device)
    other.load_state_dict(theirs.state_dict())
    for cell in (model[0], other):
        assert_accurate(cell(x.to(device), h.to(device)), exact, None, "state")
    assert_accurate(other.cpu()(x, h), exact.cpu(), None, "state")
