"""First derivatives: against double precision and torch's cell, for every sample and every way of asking for them."""

import threading

import pytest
import torch
from gradient_choices import assert_each_choice_of_gradients
from reference import gru_cell as reference_cell
from samples import COMPLEX_DTYPES, REAL_DTYPES, Sample, cell_pair, sample_grid, sample_input, sample_names
from tolerances import assert_grad, assert_value
from torch import Tensor

import gru_ext

_LOW = (torch.bfloat16, torch.float16)
_GRID = [pytest.param(n, d, marks=[pytest.mark.compiled] if d in _LOW else [], id=f"{n}-{d}") for n, d in sample_grid()]


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.complex128 if dtype.is_complex else torch.float64


def _grads(sample: Sample, cell, grad: Tensor, **options) -> tuple[Tensor, ...]:
    return torch.autograd.grad(cell(*sample.args), list(sample.leaves.values()), grad, **options)


def _check(sample: Sample, grad: Tensor, actual: tuple[Tensor, ...]) -> None:
    wide = _wide(sample.args[0].dtype)
    exact = _grads(sample.copy(wide, requires_grad=True), reference_cell, grad.to(wide))
    for (name, leaf), one, other in zip(sample.leaves.items(), actual, exact, strict=True):
        assert one.shape == leaf.shape and one.dtype == leaf.dtype, name
        assert_grad(one, other, f"d_{name}")


@pytest.mark.parametrize("name, dtype", _GRID)
def test_matches_the_equations(name: str, dtype: torch.dtype) -> None:
    sample = sample_input(name, dtype, requires_grad=True)
    grad = torch.randn_like(gru_ext.gru_cell(*sample.args))
    _check(sample, grad, _grads(sample, gru_ext.gru_cell, grad))


@pytest.mark.parametrize("name", sample_names(torch.float64))
def test_a_graph_of_the_backward_gives_the_same_gradients(name: str) -> None:
    """With create_graph the backward is made of differentiable ops instead of the fused one."""
    sample = sample_input(name, torch.float64, requires_grad=True)
    grad = torch.randn_like(gru_ext.gru_cell(*sample.args))
    actual = _grads(sample, gru_ext.gru_cell, grad, create_graph=True)
    assert all(g.requires_grad for g in actual)
    _check(sample, grad, actual)


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64))
@pytest.mark.parametrize("bias", [True, False])
def test_backward_fills_grad_as_in_torch(dtype: torch.dtype, bias: bool) -> None:
    theirs, ours = cell_pair(7, 17, dtype=dtype, bias=bias)
    x, h = torch.randn(5, 7, dtype=dtype), torch.randn(5, 17, dtype=dtype)
    for cell in (theirs, ours):
        for _ in range(2):  # accumulates
            cell(x, cell(x, h)).square().sum().backward()
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)
        assert one.grad.is_contiguous()


@pytest.mark.parametrize("biases", [(), ("b_ih",), ("b_hh",), ("b_ih", "b_hh")])
def test_only_what_requires_grad_gets_one(biases: tuple[str, ...]) -> None:
    """Every subset of the arguments, with one, both or no bias."""
    name = {(): "no_b_ih_b_hh", ("b_ih",): "no_b_hh", ("b_hh",): "no_b_ih"}.get(biases, "N5_I7_H17")
    sample = sample_input(name, torch.float64, requires_grad=True)
    grad = torch.randn(5, 17, dtype=torch.float64)
    assert_each_choice_of_gradients(sample.args, grad)


def test_only_what_requires_grad_gets_one_of_many_rows() -> None:
    """Whose gradients of weights are summed up in groups of rows."""
    n, i, h = 600, 5, 6
    args = [torch.randn(n, i), torch.randn(n, h), *(torch.randn(3 * h, *size) for size in ((i,), (h,), (), ()))]
    assert_each_choice_of_gradients([arg.double().requires_grad_() for arg in args], torch.randn(n, h, dtype=torch.float64))


def _grad_outputs(dtype: torch.dtype) -> dict[str, Tensor]:
    dense = torch.randn(5, 17, dtype=dtype)
    layouts = {
        "one_number": dense[0, 0].expand(5, 17),  # what .sum() sends
        "one_row": dense[:1].expand(5, 17),
        "one_column": dense[:, :1].expand(5, 17),
        "transposed": dense.t().contiguous().t(),
        "columns": torch.randn(5, 34, dtype=dtype)[:, ::2],
        "offset": torch.randn(86, dtype=dtype)[1:].view(5, 17),
        "negative": torch._neg_view(dense),
        "zero": torch.zeros(5, 17, dtype=dtype),
    }
    if dtype.is_complex:
        layouts["conjugate"] = dense.conj()
    return layouts


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64, torch.complex128))
@pytest.mark.parametrize("layout", _grad_outputs(torch.complex64))
def test_any_layout_of_the_incoming_gradient(layout: str, dtype: torch.dtype) -> None:
    if layout == "conjugate":
        dtype = torch.complex128
    sample = sample_input("N5_I7_H17", dtype, requires_grad=True)
    grad = _grad_outputs(dtype)[layout]
    _check(sample, grad, _grads(sample, gru_ext.gru_cell, grad))


def test_backward_through_time() -> None:
    """Twenty steps, every one of them in the loss: gradients of all inputs, of the first state and of the weights."""
    _, cell = cell_pair(7, 17, dtype=torch.float64)
    xs = torch.randn(20, 5, 7, dtype=torch.float64, requires_grad=True)
    h0 = torch.randn(5, 17, dtype=torch.float64, requires_grad=True)
    leaves = [xs, h0, *cell.parameters()]

    def loss(step) -> Tensor:
        h, total = h0, 0.0
        for t, x in enumerate(xs):
            h = step(x, h)
            total = total + (h * (t + 1)).square().sum()
        return total

    exact = torch.autograd.grad(loss(lambda x, h: reference_cell(x, h, *cell.parameters())), leaves)
    for one, other in zip(torch.autograd.grad(loss(cell), leaves), exact, strict=True):
        assert_grad(one, other, steps=20)


def test_truncated_backward_through_time() -> None:
    theirs, ours = cell_pair(3, 4)
    xs = torch.randn(12, 2, 3)
    for cell in (theirs, ours):
        h = torch.zeros(2, 4)
        for t, x in enumerate(xs):
            h = cell(x, h)
            if t % 4 == 3:
                h.sum().backward()
                h = h.detach()
    torch.testing.assert_close(ours.weight_hh.grad, theirs.weight_hh.grad)


def test_retained_graph() -> None:
    _, cell = cell_pair(3, 4)
    x = torch.randn(2, 3, requires_grad=True)
    state = cell(x).sum()
    (first,) = torch.autograd.grad(state, x, retain_graph=True)
    (again,) = torch.autograd.grad(state, x)
    assert torch.equal(first, again)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(state, x)


def test_many_gradients_at_once() -> None:
    """is_grads_batched runs the backward once under vmap."""
    _, cell = cell_pair(3, 4, dtype=torch.float64)
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    state = cell(x)
    grads = torch.randn(6, 2, 4, dtype=torch.float64)
    leaves = [x, *cell.parameters()]
    batched = torch.autograd.grad(state, leaves, grads, is_grads_batched=True, retain_graph=True)
    for k, grad in enumerate(grads):
        for one, other in zip(torch.autograd.grad(state, leaves, grad, retain_graph=True), batched, strict=True):
            torch.testing.assert_close(other[k], one)


def test_evaluation_mode_has_gradients() -> None:
    _, cell = cell_pair(3, 4)
    cell.eval()(torch.randn(2, 3)).sum().backward()
    assert cell.weight_hh.grad is not None


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
def test_anomaly_mode() -> None:
    """It runs, changes nothing, and finds the step whose gradient is NaN."""
    _, cell = cell_pair(3, 4)
    x = torch.randn(2, 3, requires_grad=True)
    (expected,) = torch.autograd.grad(cell(x).sum(), x)
    with torch.autograd.detect_anomaly(check_nan=True):
        (actual,) = torch.autograd.grad(cell(x).sum(), x)
        assert torch.equal(actual, expected)
        state = cell(x * torch.tensor(float("nan")))
        with pytest.warns(UserWarning, match="Error detected in"), pytest.raises(RuntimeError, match="returned nan values"):
            state.sum().backward()


def test_hooks_on_tensors_and_parameters() -> None:
    _, cell = cell_pair(3, 4)
    x = torch.randn(2, 3, requires_grad=True)
    state = cell(x)
    seen = []
    x.register_hook(lambda grad: seen.append("x"))
    state.register_hook(lambda grad: grad * 2)
    state.grad_fn.register_hook(lambda grad_in, grad_out: seen.append("node"))
    state.retain_grad()
    cell.weight_hh.register_hook(lambda grad: seen.append("weight"))
    cell.weight_hh.register_post_accumulate_grad_hook(lambda parameter: seen.append("accumulated"))
    state.sum().backward()
    assert sorted(seen) == ["accumulated", "node", "weight", "x"]
    assert (state.grad == 2).all()
    doubled = x.grad.clone()
    x.grad = None
    cell(x).sum().backward()
    torch.testing.assert_close(doubled, x.grad * 2)


@pytest.mark.compiled
@pytest.mark.parametrize("bias", [True, False])
def test_node_in_the_graph(bias: bool) -> None:
    """Its name is what profilers and anomaly mode print; an edge for each argument, also for absent biases."""
    cell = gru_ext.GRUCell(3, 4, bias=bias)
    state = cell(torch.randn(2, 3))
    assert "grad_fn=<GRUCellBackward>" in repr(state)
    assert state.grad_fn.name() == "GRUCellBackward"
    edges = state.grad_fn.next_functions
    assert [function is not None for function, _ in edges] == [False, False, True, True, bias, bias]
    assert [function.variable for function, _ in edges if function] == list(cell.parameters())


@pytest.mark.compiled
@pytest.mark.skipif(not hasattr(torch.autograd.graph, "node_creation_hook"), reason="torch has no such hooks before 2.14")
def test_node_creation_hook() -> None:
    """It meets the node of our op when that is whole, once."""
    seen = []
    cell = gru_ext.GRUCell(3, 4)
    with torch.autograd.graph.node_creation_hook(lambda node: seen.append((node, len(node.next_functions)))):
        state = cell(torch.randn(2, 3))
    assert [edges for node, edges in seen if node is state.grad_fn] == [6]


class _NoGradient(torch.autograd.Function):
    """The identity, whose backward pass says that there is no gradient."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx, grad: Tensor) -> None:
        return None


@pytest.mark.parametrize("create_graph", [False, True])
def test_no_incoming_gradient(create_graph: bool) -> None:
    """As for torch's cell there is none of the arguments either, and a second use of the state counts by itself."""
    for cell in cell_pair(3, 4):
        x = torch.randn(2, 3, requires_grad=True)
        state = cell(x)
        leaves = [x, *cell.parameters()]
        unused = torch.autograd.grad(
            _NoGradient.apply(state).sum(), leaves, retain_graph=True, allow_unused=True, create_graph=create_graph
        )
        assert unused == (None,) * len(leaves)
        both = torch.autograd.grad((_NoGradient.apply(state) + state).sum(), leaves, retain_graph=True)
        alone = torch.autograd.grad(state.sum(), leaves)
        for one, other in zip(both, alone, strict=True):
            assert torch.equal(one, other)


def test_backward_in_another_thread() -> None:
    _, cell = cell_pair(3, 4)
    x = torch.randn(2, 3)
    expected = torch.autograd.grad(cell(x).sum(), cell.weight_hh)[0]
    loss = cell(x).sum()
    thread = threading.Thread(target=loss.backward)
    thread.start()
    thread.join()
    assert torch.equal(cell.weight_hh.grad, expected)


def test_inference_tensors() -> None:
    """Made in inference mode: fine as arguments without gradients, refused by backward with torch's words."""
    _, cell = cell_pair(3, 4)
    with torch.inference_mode():
        x = torch.randn(2, 3)
        assert cell(x).is_inference()
    with torch.no_grad():
        assert_value(cell(x), reference_cell(x, None, *cell.parameters()))
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        cell(x)
    assert cell(x.clone()).requires_grad


@pytest.mark.parametrize("dtype", REAL_DTYPES + COMPLEX_DTYPES)
def test_no_rows_give_zero_gradients(dtype: torch.dtype) -> None:
    cell = gru_ext.GRUCell(3, 4, dtype=dtype)
    cell(torch.randn(0, 3, dtype=dtype)).abs().sum().backward()
    for parameter in cell.parameters():
        assert parameter.grad.shape == parameter.shape and not parameter.grad.any()
