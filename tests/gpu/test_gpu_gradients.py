"""First derivatives on CUDA: for every sample and layout, and for every subset of arguments that wants one."""

import pytest
import torch
from gradient_choices import assert_each_choice_of_gradients
from on_device import check, moved, random_sample, results, sample_on
from reference import gru_cell as reference_cell
from samples import ARGUMENTS, DTYPES, cell_pair, sample_grid
from tolerances import assert_grad

import gru_ext


@pytest.mark.parametrize("name, dtype", sample_grid())
def test_matches_the_equations(name: str, dtype: torch.dtype, device: torch.device) -> None:
    sample = sample_on(device, name, dtype, requires_grad=True)
    with torch.no_grad():
        shape = gru_ext.gru_cell(*sample.args).shape
    check(sample, torch.randn(shape, dtype=dtype).to(device))


def _layout(name: str, n: int, h: int, dtype: torch.dtype) -> torch.Tensor:
    dense = torch.randn(n, h, dtype=dtype)
    return {
        "one_number": lambda: dense[0, 0].expand(n, h),  # what .sum() sends
        "one_row": lambda: dense[:1].expand(n, h),
        "one_column": lambda: dense[:, :1].expand(n, h),
        "transposed": lambda: dense.t().contiguous().t(),
        "columns": lambda: torch.randn(n, 2 * h, dtype=dtype)[:, ::2],
        "offset": lambda: torch.randn(n * h + 1, dtype=dtype)[1:].view(n, h),
        "negative": lambda: torch._neg_view(dense),
    }[name]()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("n", [5, 20])
@pytest.mark.parametrize("layout", ["one_number", "one_row", "one_column", "transposed", "columns", "offset", "negative"])
def test_any_layout_of_the_incoming_gradient(layout: str, n: int, dtype: torch.dtype, device: torch.device) -> None:
    check(random_sample(device, n, 16, 32, dtype, requires_grad=True), moved(_layout(layout, n, 32, dtype), device))


@pytest.mark.parametrize("n", [5, 20])
@pytest.mark.parametrize("biases", [(), ("b_ih",), ("b_hh",), ("b_ih", "b_hh")])
def test_only_what_requires_grad_gets_one(biases: tuple[str, ...], n: int, device: torch.device) -> None:
    """Every subset of the arguments, with one, both or no bias."""
    sample = random_sample(device, n, 7, 16, torch.float64, requires_grad=True)
    absent = [name for name in ("b_ih", "b_hh") if name not in biases]
    given = [None if name in absent else t for name, t in zip(ARGUMENTS, sample.args, strict=True)]
    grad = torch.randn(n, 16, dtype=torch.float64, device=device)
    assert_each_choice_of_gradients(given, grad)


@pytest.mark.parametrize("n", [5, 20])
def test_backward_through_time(n: int, device: torch.device) -> None:
    """Twenty steps, every one of them in the loss: gradients of all inputs, of the first state and of the weights."""
    _, cell = cell_pair(7, 17, dtype=torch.float64, device=device)
    xs = torch.randn(20, n, 7, dtype=torch.float64, device=device, requires_grad=True)
    h0 = torch.randn(n, 17, dtype=torch.float64, device=device, requires_grad=True)
    leaves = [xs, h0, *cell.parameters()]

    def loss(step) -> torch.Tensor:
        h, total = h0, 0.0
        for t, x in enumerate(xs):
            h = step(x, h)
            total = total + (h * (t + 1)).square().sum()
        return total

    exact = torch.autograd.grad(loss(lambda x, h: reference_cell(x, h, *cell.parameters())), leaves)
    for one, other in zip(torch.autograd.grad(loss(cell), leaves), exact, strict=True):
        assert_grad(one, other, steps=20)


@pytest.mark.parametrize("n", [5, 20])
@pytest.mark.parametrize("bias", [True, False])
def test_backward_fills_grad_as_in_torch(bias: bool, n: int, device: torch.device) -> None:
    theirs, ours = cell_pair(7, 17, bias=bias, device=device)
    x, h = torch.randn(n, 7, device=device), torch.randn(n, 17, device=device)
    for cell in (theirs, ours):
        for _ in range(2):  # accumulates
            cell(x, cell(x, h)).square().sum().backward()
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)
        assert one.grad.is_contiguous()


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_rows_give_zero_gradients(dtype: torch.dtype, device: torch.device) -> None:
    cell = gru_ext.GRUCell(3, 8, dtype=dtype, device=device)
    cell(torch.randn(0, 3, dtype=dtype, device=device)).abs().sum().backward()
    for parameter in cell.parameters():
        assert parameter.grad.shape == parameter.shape and not parameter.grad.any()


@pytest.mark.parametrize("n", [5, 20])
def test_editing_the_output_is_allowed(n: int, device: torch.device) -> None:
    """Graph networks write `gru(h, x).relu_()`."""
    _, cell = cell_pair(7, 16, dtype=torch.float64, device=device)
    x = torch.randn(n, 7, dtype=torch.float64, device=device, requires_grad=True)
    leaves = [x, *cell.parameters()]
    actual = torch.autograd.grad(cell(x).relu_().square().sum(), leaves)
    exact = torch.autograd.grad(reference_cell(x, None, *cell.parameters()).relu().square().sum(), leaves)
    for one, other in zip(actual, exact, strict=True):
        assert_grad(one, other)


@pytest.mark.parametrize("n", [5, 20])
def test_a_graph_of_the_backward_gives_the_same_gradients(n: int, device: torch.device) -> None:
    """With create_graph the backward is made of differentiable ops instead of the fused one."""
    sample = random_sample(device, n, 16, 32, torch.float64, requires_grad=True)
    grad = torch.randn(n, 32, dtype=torch.float64, device=device)
    fused = results(gru_ext.gru_cell, sample, grad)[1:]
    graph = torch.autograd.grad(gru_ext.gru_cell(*sample.args), list(sample.leaves.values()), grad, create_graph=True)
    for one, other in zip(fused, graph, strict=True):
        assert other.requires_grad
        assert_grad(one, other)
