"""The inner ops are reachable through torch.ops: whatever they are given, they answer or raise, and never read past an end."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import sample_input
from torch import Tensor

pytestmark = pytest.mark.compiled


def _raises_or_fits(op, arguments: tuple, shapes: list[tuple[int, ...]]) -> bool:
    try:
        results = op(*arguments)
    except (RuntimeError, ValueError, IndexError, NotImplementedError) as error:
        assert str(error)
        return False
    results = (results,) if isinstance(results, Tensor) else results
    assert [tuple(result.shape) for result in results] == shapes
    return True


_SIZE = st.integers(0, 9)
_SHAPE = st.one_of(st.none(), st.lists(_SIZE, max_size=3).map(tuple))


def _deform(tensors: list, changes: list) -> list:
    return [t if change is None else torch.zeros(change) for t, change in zip(tensors, changes, strict=True)]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.lists(_SHAPE, min_size=6, max_size=6), st.booleans())
def test_forward_with_any_shapes(n: int, i: int, h: int, changes: list, save: bool) -> None:
    right = [(n, i), (n, h), (3 * h, i), (3 * h, h), (3 * h,), (3 * h,)]
    arguments = _deform([torch.zeros(shape) for shape in right], changes)
    if all(t.shape == shape for t, shape in zip(arguments, right, strict=True)):
        assert _raises_or_fits(torch.ops.gru_ext._cell, tuple(arguments), [(n, h)])
    for op, extra in (
        (torch.ops.gru_ext.gru_cell, ()),
        (torch.ops.gru_ext._cell, ()),
        (torch.ops.gru_ext._cell_forward, (save,)),
    ):
        try:
            op(*arguments, *extra)
        except (RuntimeError, ValueError, IndexError) as error:
            assert str(error)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
    st.lists(_SHAPE, min_size=6, max_size=6),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_backward_with_any_shapes(n: int, i: int, h: int, changes: list, mask: list) -> None:
    right = [(n, h), (n, 4 * h), (n, i), (n, h), (3 * h, i), (3 * h, h)]
    arguments = _deform([torch.zeros(shape) for shape in right], changes)
    grads = [(n, i), (n, h), (3 * h, i), (3 * h, h), (3 * h,), (3 * h,)]
    wanted = [shape if wanted else (0,) for shape, wanted in zip(grads, mask, strict=True)]
    fits = all(t.shape == shape for t, shape in zip(arguments, right, strict=True))
    if fits:
        assert _raises_or_fits(torch.ops.gru_ext._cell_backward, (*arguments, mask), wanted)
    else:
        with pytest.raises((RuntimeError, ValueError, IndexError)):
            torch.ops.gru_ext._cell_backward(*arguments, mask)


@pytest.mark.parametrize("position", range(6))
@pytest.mark.parametrize("dtype", [torch.float64, torch.int32, torch.complex64, torch.bfloat16])
def test_forward_with_a_foreign_dtype(position: int, dtype: torch.dtype) -> None:
    arguments = list(sample_input("N5_I7_H17", torch.float32).args)
    arguments[position] = arguments[position].to(dtype)
    with pytest.raises((RuntimeError, NotImplementedError), match="."):
        torch.ops.gru_ext._cell_forward(*arguments, True)


@pytest.mark.parametrize("position", range(6))
def test_backward_with_a_foreign_dtype(position: int) -> None:
    x, h, w_ih, w_hh, _, _ = sample_input("N5_I7_H17", torch.float32).args
    arguments = [torch.zeros(5, 17), torch.zeros(5, 68), x, h, w_ih, w_hh]
    arguments[position] = arguments[position].double()
    with pytest.raises((RuntimeError, NotImplementedError), match="."):
        torch.ops.gru_ext._cell_backward(*arguments, [True] * 6)


@pytest.mark.parametrize("position", [0, 2, 3])
def test_none_for_a_tensor(position: int) -> None:
    """The dispatcher lets None through as an undefined tensor."""
    arguments: list = list(sample_input("N5_I7_H17", torch.float32).args)
    arguments[position] = None
    for op, extra in (("gru_cell", []), ("_cell", []), ("_cell_forward", [True])):
        with pytest.raises((RuntimeError, IndexError), match="."):
            getattr(torch.ops.gru_ext, op)(*arguments, *extra)


@pytest.mark.parametrize("position", range(6))
def test_none_for_a_tensor_of_the_backward(position: int) -> None:
    x, h, w_ih, w_hh, _, _ = sample_input("N5_I7_H17", torch.float32).args
    arguments: list = [torch.zeros(5, 17), torch.zeros(5, 68), x, h, w_ih, w_hh]
    arguments[position] = None
    with pytest.raises((RuntimeError, IndexError), match="."):
        torch.ops.gru_ext._cell_backward(*arguments, [True] * 6)


def test_the_op_takes_no_list() -> None:
    with pytest.raises(RuntimeError, match="input"):
        torch.ops.gru_ext.gru_cell([1.0], None, torch.zeros(3, 1), torch.zeros(3, 1))
