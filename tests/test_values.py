"""The state: right numbers for every dtype, size and layout, in fresh memory, and nothing else touched."""

from typing import Any

import pytest
import torch
from reference import gru_cell as reference_cell
from samples import DTYPES, REAL_DTYPES, cell_pair, sample_grid, sample_input, sample_names
from tolerances import TOLERANCES, assert_value, error_in_eps
from torch import Tensor, nn

import gru_ext

# torch's own cell rounds every intermediate result of these to the dtype; the fused kernels do not.
_LOW = (torch.bfloat16, torch.float16)
_GRID = [pytest.param(n, d, marks=[pytest.mark.compiled] if d in _LOW else [], id=f"{n}-{d}") for n, d in sample_grid()]


@pytest.mark.parametrize("name, dtype", _GRID)
def test_matches_the_equations(name: str, dtype: torch.dtype) -> None:
    sample = sample_input(name, dtype)
    state = gru_ext.gru_cell(*sample.args)
    assert state.dtype == dtype and not state.requires_grad
    assert_value(state, reference_cell(*sample.args))


@pytest.mark.parametrize("name, dtype", [(name, dtype) for name, dtype in sample_grid() if not dtype.is_complex])
def test_gradient_mode_gives_the_same_state(name: str, dtype: torch.dtype) -> None:
    """Training and inference may not disagree: the forward that saves is the forward that does not.

    Not so for complex numbers: ATen's product sums in an order that depends on where its operands lie in memory.
    """
    sample = sample_input(name, dtype, requires_grad=True)
    training = gru_ext.gru_cell(*sample.args)
    assert training.requires_grad
    with torch.no_grad():
        assert torch.equal(training, gru_ext.gru_cell(*sample.args))
    with torch.inference_mode():
        assert torch.equal(training, gru_ext.gru_cell(*sample.args))


def cell_in_long_double(x: Tensor, h: Tensor, *parameters: Tensor) -> Any:
    """The next state in numbers wider than float64, in which nn.GRUCell's own equations would round as nn.GRUCell does."""
    np = pytest.importorskip("numpy", reason="needs numpy")
    if np.finfo(np.longdouble).eps >= np.finfo("float64").eps:
        pytest.skip("this machine's long double is float64")
    x, h, w_ih, w_hh, b_ih, b_hh = (t.detach().double().numpy().astype(np.longdouble) for t in (x, h, *parameters))
    (r, z, n), (r_h, z_h, q) = (np.split(v @ w.T + b, 3, axis=1) for v, w, b in ((x, w_ih, b_ih), (h, w_hh, b_hh)))
    r, z = (1 / (1 + np.exp(-a)) for a in (r + r_h, z + z_h))
    n = np.tanh(n + r * q)
    return n + z * (h - n)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_is_as_accurate_as_torch(dtype: torch.dtype) -> None:
    """Root mean square error at most 1.5 times torch's: the same sums in another order."""
    theirs, ours = cell_pair(96, 100, dtype=dtype)
    x, h = torch.randn(64, 96, dtype=dtype), torch.rand(64, 100, dtype=dtype) * 2 - 1
    exact = cell_in_long_double(x, h, *theirs.parameters())
    error = {cell: float(((cell(x, h).detach().double().numpy() - exact) ** 2).mean() ** 0.5) for cell in (theirs, ours)}
    assert error[ours] <= 1.5 * error[theirs]


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64))
def test_small_numbers_keep_their_relative_accuracy(dtype: torch.dtype) -> None:
    """Where tanh(a) is nearly a, the result has as many correct digits as a has."""
    sample = sample_input("N5_I7_H17", dtype)
    _, _, w_ih, w_hh, _, _ = sample.args
    w_n = w_ih.clone()
    w_n[34:] = 0.0
    w_n[34:, 0] = 1.0  # the candidate of every unit is tanh(x[0]): one product, no cancellation
    for scale in (1e-2, 1e-4, 1e-10, 1e-30):
        x = sample.args[0].abs() * scale
        state = gru_ext.gru_cell(x, None, w_n, w_hh)
        exact = reference_cell(x, None, w_n, w_hh)
        relative = ((state.double() - exact) / exact).abs().max().item()
        assert relative <= 2 * TOLERANCES[dtype].value * torch.finfo(dtype).eps, scale


def test_a_thousand_steps_with_resets() -> None:
    """Errors do not pile up over a long sequence: the cell contracts, each step forgets a part of them."""
    theirs, cell = cell_pair(4, 16)
    weights = list(theirs.parameters())
    h, exact = torch.zeros(2, 16), torch.zeros(2, 16, dtype=torch.float64)
    with torch.no_grad():
        for t in range(1000):
            x = torch.randn(2, 4)
            if t % 250 == 249:
                h, exact = h * 0, exact * 0
            h, exact = cell(x, h), reference_cell(x, exact, *weights)
    assert error_in_eps(h, exact) <= 4 * TOLERANCES[torch.float32].value


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_extreme_inputs_saturate_as_torch_does(dtype: torch.dtype) -> None:
    """Infinite and huge x close or open the gates; a NaN or infinite state spoils its own row and no other."""
    theirs, ours = cell_pair(4, 6, dtype=dtype)
    x, h = torch.randn(8, 4, dtype=dtype), torch.rand(8, 6, dtype=dtype)
    x[1, 0], x[2, 1], x[3] = float("inf"), -float("inf"), torch.finfo(dtype).max / 8
    x[4, 2], h[5, 3], h[6, 0], h[7, 1] = float("nan"), float("nan"), float("inf"), -float("inf")
    expected, state = theirs(x, h), ours(x, h)
    assert torch.equal(state.isnan(), expected.isnan())
    assert torch.equal(state.isinf(), expected.isinf())
    limit = 3 * torch.finfo(dtype).eps  # torch's own rounding of the intermediate results included
    torch.testing.assert_close(state, expected, rtol=0, atol=limit, equal_nan=True)
    assert state[:4].isfinite().all() and state[4].isnan().all()


def test_rows_are_independent() -> None:
    _, cell = cell_pair(7, 17)
    x, h = torch.randn(5, 7), torch.randn(5, 17)
    whole = cell(x, h)
    for row in range(5):
        assert_value(cell(x[row], h[row]), whole[row].double())
        assert_value(cell(x[row : row + 1], h[row : row + 1]), whole[row : row + 1].double())


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", (torch.float32, torch.float64, torch.bfloat16))
@pytest.mark.parametrize("sizes", [(1, 256, 256), (64, 200, 200), (999, 40, 33)])
def test_threads_do_not_change_a_bit(sizes: tuple[int, int, int], dtype: torch.dtype) -> None:
    n, i, h = sizes
    cell = gru_ext.GRUCell(i, h, dtype=dtype)
    x, hx = torch.randn(n, i, dtype=dtype, requires_grad=True), torch.randn(n, h, dtype=dtype, requires_grad=True)
    grad = torch.randn(n, h, dtype=dtype)

    def step() -> list[Tensor]:
        state = cell(x, hx)
        return [state, *torch.autograd.grad(state, [x, hx, *cell.parameters()], grad)]

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = step()
        for many in (2, 3):
            torch.set_num_threads(many)
            for one, other in zip(alone, step(), strict=True):
                assert torch.equal(one, other)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("dtype", DTYPES)
def test_absent_state_is_zeros(dtype: torch.dtype) -> None:
    cell = gru_ext.GRUCell(7, 17, dtype=dtype)
    x = torch.randn(5, 7, dtype=dtype)
    assert torch.equal(cell(x), cell(x, torch.zeros(5, 17, dtype=dtype)))
    assert torch.equal(cell(x), cell(x, None))
    assert torch.equal(cell(x[0]), cell(x[0], torch.zeros(17, dtype=dtype)))
    assert cell(x[0]).shape == (17,)


def test_keywords() -> None:
    cell = gru_ext.GRUCell(7, 17)
    x, h = torch.randn(5, 7), torch.randn(5, 17)
    expected = cell(x, h)
    assert torch.equal(cell(input=x, hx=h), expected)
    assert torch.equal(cell(x, hx=h), expected)
    weights = dict(w_ih=cell.weight_ih, w_hh=cell.weight_hh, b_ih=cell.bias_ih, b_hh=cell.bias_hh)
    assert torch.equal(gru_ext.gru_cell(input=x, hx=h, **weights), expected)


@pytest.mark.parametrize("name", sample_names(torch.float32))
def test_fresh_memory_and_untouched_arguments(name: str) -> None:
    sample = sample_input(name, torch.float32)
    before = sample.copy(torch.float32)
    state = gru_ext.gru_cell(*sample.args)
    pointers = {t.untyped_storage().data_ptr() for t in sample.leaves.values()}
    assert state.numel() == 0 or state.untyped_storage().data_ptr() not in pointers
    state.fill_(float("nan"))
    for (argument, tensor), was in zip(sample.leaves.items(), before.leaves.values(), strict=True):
        assert torch.equal(tensor, was), argument


def test_contiguous_arguments_give_a_contiguous_state() -> None:
    cell = gru_ext.GRUCell(7, 17)
    for n in (0, 1, 5):
        state = cell(torch.randn(n, 7), torch.randn(n, 17))
        assert state.is_contiguous() and state.stride() == (17, 1)
    assert cell(torch.randn(7), torch.randn(17)).is_contiguous()


def test_no_uninitialised_memory() -> None:
    """With deterministic algorithms torch.empty is filled with NaN: whatever is read before it is written shows."""
    theirs, ours = cell_pair(17, 31)
    x, h = torch.randn(5, 17, requires_grad=True), torch.randn(5, 31, requires_grad=True)
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.utils.deterministic.fill_uninitialized_memory
        for n in (0, 1, 5):
            state = ours(x[:n], h[:n])
            grads = torch.autograd.grad(state.sum(), [x, h, *ours.parameters()])
            assert all(t.isfinite().all() for t in (state, *grads))
            assert_value(state, reference_cell(x[:n], h[:n], *theirs.parameters()))
    finally:
        torch.use_deterministic_algorithms(False)


def test_one_element_bias_broadcasts_as_in_torch() -> None:
    """An accident of nn.GRUCell that a drop-in shares."""
    theirs, ours = cell_pair(7, 17)
    x, h = torch.randn(5, 7), torch.randn(5, 17)
    for cell in (theirs, ours):
        cell.bias_hh = nn.Parameter(torch.full((1,), 0.3))
    assert_value(ours(x, h), theirs.double()(x.double(), h.double()))


def test_sparse_input_works_as_in_torch() -> None:
    theirs, ours = cell_pair(7, 17)
    x, h = torch.randn(5, 7).relu(), torch.randn(5, 17)
    for layout in (torch.sparse_coo, torch.sparse_csr):
        sparse = x.to_sparse(layout=layout)
        for state in (h, None):
            torch.testing.assert_close(ours(sparse, state), theirs(sparse, state))
            assert_value(ours(sparse, state), reference_cell(x, state, *theirs.parameters()))
