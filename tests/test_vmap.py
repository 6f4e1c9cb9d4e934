"""vmap: a batching rule of our own for shared and per-sample weights, with no loop over the samples behind it."""

import itertools
import warnings
from typing import Optional

import pytest
import torch
from reference import gru_cell as reference_cell
from samples import cell_pair
from tolerances import assert_grad, assert_value
from torch import Tensor
from torch.func import functional_call, grad, jacrev, jvp, stack_module_state, vmap
from torch.utils._python_dispatch import TorchDispatchMode

import gru_ext

ROWS, INPUT, HIDDEN = 5, 3, 4
SHAPES = [(ROWS, INPUT), (ROWS, HIDDEN), (3 * HIDDEN, INPUT), (3 * HIDDEN, HIDDEN), (3 * HIDDEN,), (3 * HIDDEN,)]


@pytest.fixture(autouse=True)
def no_warnings():
    """Above all not the one that a loop stands in for a missing batching rule."""
    with warnings.catch_warnings():
        if gru_ext._library.reason is None:
            warnings.simplefilter("error")
        yield


def _arguments(batch: int, batched: tuple[bool, ...], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    return [torch.randn(*([batch] * flag), *shape, dtype=dtype) for shape, flag in zip(SHAPES, batched, strict=True)]


def _one_by_one(args: list[Optional[Tensor]], in_dims: tuple[Optional[int], ...], batch: int) -> Tensor:
    """What vmap means."""
    rows = [
        reference_cell(*[a if a is None or dim is None else a.select(dim, k) for a, dim in zip(args, in_dims, strict=True)])
        for k in range(batch)
    ]
    return torch.stack(rows)


@pytest.mark.parametrize("batched", [flags for flags in itertools.product([False, True], repeat=6) if any(flags)])
def test_any_arguments_may_be_batched(batched: tuple[bool, ...]) -> None:
    args, in_dims = _arguments(6, batched), tuple(0 if flag else None for flag in batched)
    assert_value(vmap(gru_ext.gru_cell, in_dims)(*args), _one_by_one(args, in_dims, 6), steps=2)  # random weights: larger sums


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.complex64])
@pytest.mark.parametrize("batched", [(True, True) + (False,) * 4, (True,) * 6])
@pytest.mark.compiled
def test_dtypes(batched: tuple[bool, ...], dtype: torch.dtype) -> None:
    args, in_dims = _arguments(6, batched, dtype), tuple(0 if flag else None for flag in batched)
    args = [a * 0.3 for a in args]
    state = vmap(gru_ext.gru_cell, in_dims)(*args)
    assert state.dtype == dtype
    # Per-sample weights take the decomposition, which rounds its intermediate results to the dtype as torch's cell does.
    assert_value(state, _one_by_one(args, in_dims, 6), steps=1 if not batched[2] else 4)


@pytest.mark.parametrize("x_dim, h_dim, out_dim", [(0, 0, 0), (1, 0, 0), (2, 1, 1), (-1, -2, 2), (0, None, -1), (None, 1, 0)])
def test_batch_dimension_anywhere(x_dim: Optional[int], h_dim: Optional[int], out_dim: int) -> None:
    batched = (x_dim is not None, h_dim is not None, False, False, False, False)
    args, in_dims = _arguments(6, batched), (x_dim, h_dim, None, None, None, None)
    for place, dim in enumerate(in_dims[:2]):
        if dim is not None:
            args[place] = args[place].movedim(0, dim)
    state = vmap(gru_ext.gru_cell, in_dims, out_dim)(*args)
    assert_value(state.movedim(out_dim, 0), _one_by_one(args, in_dims, 6), steps=2)


@pytest.mark.parametrize("absent", [(1,), (4, 5), (4,), (5,), (1, 4, 5)])
def test_absent_arguments(absent: tuple[int, ...]) -> None:
    args: list[Optional[Tensor]] = list(_arguments(6, (True, True) + (False,) * 4))
    for place in absent:
        args[place] = None
    in_dims = tuple(None if a is None or place > 1 else 0 for place, a in enumerate(args))
    assert_value(vmap(gru_ext.gru_cell, in_dims)(*args), _one_by_one(args, in_dims, 6), steps=2)


@pytest.mark.parametrize("hx", [True, False])
def test_samples_without_rows(hx: bool) -> None:
    """Each sample is 1-D: the commonest use, vmap over the batch itself."""
    _, cell = cell_pair(INPUT, HIDDEN, dtype=torch.float64)
    x, h = torch.randn(6, INPUT, dtype=torch.float64), torch.randn(6, HIDDEN, dtype=torch.float64) if hx else None
    state = vmap(cell, (0, 0 if hx else None))(x, h)
    assert_value(state, reference_cell(x, h, *cell.parameters()))


@pytest.mark.parametrize("chunk_size", [1, 4, 6])
def test_chunks(chunk_size: int) -> None:
    _, cell = cell_pair(INPUT, HIDDEN, dtype=torch.float64)
    x = torch.randn(6, ROWS, INPUT, dtype=torch.float64)
    assert_value(vmap(cell, chunk_size=chunk_size)(x), torch.stack([reference_cell(v, None, *cell.parameters()) for v in x]))


@pytest.mark.compiled
@pytest.mark.parametrize("batched", [(True, True) + (False,) * 4, (True,) * 6, (False, False, True, False, False, False)])
def test_no_samples(batched: tuple[bool, ...]) -> None:
    """Which torch's cell refuses."""
    args, in_dims = _arguments(0, batched), tuple(0 if flag else None for flag in batched)
    assert vmap(gru_ext.gru_cell, in_dims)(*args).shape == (0, ROWS, HIDDEN)
    grads = vmap(grad(lambda *a: gru_ext.gru_cell(*a).sum(), argnums=tuple(range(6))), in_dims)(*args)
    assert [g.shape for g in grads] == [(0, *shape) for shape in SHAPES]


def test_empty_samples() -> None:
    cell = gru_ext.GRUCell(INPUT, HIDDEN)
    assert vmap(cell)(torch.randn(6, 0, INPUT)).shape == (6, 0, HIDDEN)
    assert vmap(gru_ext.GRUCell(INPUT, 0))(torch.randn(6, ROWS, INPUT)).shape == (6, ROWS, 0)
    assert vmap(gru_ext.GRUCell(0, HIDDEN))(torch.randn(6, ROWS, 0)).shape == (6, ROWS, HIDDEN)


@pytest.mark.parametrize("weight_level", [None, "outer", "inner"])
def test_nested(weight_level: Optional[str]) -> None:
    """Inputs batched on the outer level, states on the inner one, a weight on either or neither."""
    _, _, w_ih, w_hh, b_ih, b_hh = _arguments(0, (False,) * 6)
    x, h = torch.randn(2, ROWS, INPUT, dtype=torch.float64), torch.randn(7, ROWS, HIDDEN, dtype=torch.float64)
    if weight_level is not None:
        w_hh = torch.randn(2 if weight_level == "outer" else 7, *SHAPES[3], dtype=torch.float64)
    in_outer, in_inner = (0 if weight_level == level else None for level in ("outer", "inner"))

    def over_states(x: Tensor, w: Tensor) -> Tensor:
        return vmap(lambda h, w: gru_ext.gru_cell(x, h, w_ih, w, b_ih, b_hh), (0, in_inner))(h, w)

    state = vmap(over_states, (0, in_outer))(x, w_hh)
    for i, j in itertools.product(range(2), range(7)):
        w = w_hh if weight_level is None else w_hh[i if weight_level == "outer" else j]
        assert_value(state[i, j], reference_cell(x[i], h[j], w_ih, w, b_ih, b_hh), steps=2)


def test_nested_where_the_inner_level_does_not_reach_the_cell() -> None:
    _, cell = cell_pair(INPUT, HIDDEN, dtype=torch.float64)
    x, scale = torch.randn(2, ROWS, INPUT, dtype=torch.float64), torch.randn(7, dtype=torch.float64)
    state = vmap(lambda v: vmap(lambda s: cell(v) * s)(scale))(x)
    for i, j in itertools.product(range(2), range(7)):
        assert_value(state[i, j], reference_cell(x[i], None, *cell.parameters()) * scale[j])


# With only the input batched, torch's cell writes a batched result into the state's projection, which is not.
@pytest.mark.parametrize("both", [True, pytest.param(False, marks=pytest.mark.compiled)])
def test_per_sample_gradients(both: bool) -> None:
    """Of all weights, for each row of a batch, and through vjp and jvp as well."""
    _, cell = cell_pair(INPUT, HIDDEN, dtype=torch.float64)
    weights = {name: p.detach() for name, p in cell.named_parameters()}
    x, h = torch.randn(6, INPUT, dtype=torch.float64), torch.randn(6, HIDDEN, dtype=torch.float64)

    def loss(weights: dict[str, Tensor], x: Tensor, h: Tensor) -> Tensor:
        return functional_call(cell, weights, (x, h)).square().sum()

    grads = vmap(grad(loss), (None, 0, 0 if both else None))(weights, x, h if both else h[0])
    for k in range(6):
        leaves = [w.clone().requires_grad_() for w in weights.values()]
        exact = torch.autograd.grad(reference_cell(x[k], h[k if both else 0], *leaves).square().sum(), leaves)
        for (name, one), other in zip(grads.items(), exact, strict=True):
            assert_grad(one[k], other, name)


@pytest.mark.compiled
def test_batched_directions() -> None:
    """Many tangents through one step, and many Jacobians."""
    _, cell = cell_pair(INPUT, HIDDEN, dtype=torch.float64)
    weights = [p.detach() for p in cell.parameters()]
    x, tangents = torch.randn(ROWS, INPUT, dtype=torch.float64), torch.randn(6, ROWS, INPUT, dtype=torch.float64)

    def out(step, tangent: Tensor) -> Tensor:
        return jvp(lambda v: step(v, None, *weights), (x,), (tangent,))[1]

    for one, tangent in zip(vmap(lambda t: out(gru_ext.gru_cell, t))(tangents), tangents, strict=True):
        assert_grad(one, out(reference_cell, tangent))
    jacobians = vmap(jacrev(lambda v: gru_ext.gru_cell(v, None, *weights)))(x)
    for one, row in zip(jacobians, x, strict=True):
        assert_grad(one, jacrev(lambda v: reference_cell(v, None, *weights))(row))


@pytest.mark.parametrize("data_dim", [None, 0])
def test_ensembles(data_dim: Optional[int]) -> None:
    cells = [gru_ext.GRUCell(INPUT, HIDDEN, dtype=torch.float64) for _ in range(6)]
    parameters, buffers = stack_module_state(cells)
    template = gru_ext.GRUCell(INPUT, HIDDEN, device="meta", dtype=torch.float64)
    x = torch.randn(*([6] if data_dim == 0 else []), ROWS, INPUT, dtype=torch.float64)

    def call(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(template, (parameters, buffers), (x,))

    states = vmap(call, (0, 0, data_dim))(parameters, buffers, x)
    for k, cell in enumerate(cells):
        assert_value(states[k], reference_cell(x[k] if data_dim == 0 else x, None, *cell.parameters()))
    states.sum().backward()
    for name, stacked in parameters.items():
        for k, cell in enumerate(cells):
            expected = reference_cell(x[k] if data_dim == 0 else x, None, *cell.parameters()).sum()
            exact = torch.autograd.grad(expected, list(cell.parameters()))
            assert_grad(stacked.grad[k], dict(zip(dict(cell.named_parameters()), exact, strict=True))[name], name)


class _Counted(TorchDispatchMode):
    """Counts the ops that reach the backend."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.compiled
@pytest.mark.parametrize("batched", [(True, True) + (False,) * 4, (True,) * 6])
def test_the_work_does_not_grow_in_pieces(batched: tuple[bool, ...]) -> None:
    """As many ops for a hundred samples as for two; with shared weights the step itself is one of them."""
    in_dims = tuple(0 if flag else None for flag in batched)
    seen = []
    for batch in (2, 100):
        args = _arguments(batch, batched)
        with _Counted() as counted:
            vmap(gru_ext.gru_cell, in_dims)(*args)
        seen.append(counted.names)
    assert seen[0] == seen[1]
    if not batched[2]:
        assert sum(name.startswith("gru_ext.") for name in seen[0]) == 1
        assert not any("mm" in name for name in seen[0])
