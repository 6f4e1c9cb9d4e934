"""What torch's cell refuses, ours refuses: with the same exception type and the same first line."""

from collections.abc import Callable
from typing import Optional

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gru_ext

Case = Callable[[type[nn.GRUCell]], object]


def _call(x: object, h: object = None, **options) -> Case:
    return lambda cls: cls(10, 20, **options)(x, h)


def _shapes(x: tuple[int, ...], h: Optional[tuple[int, ...]] = None) -> Case:
    return _call(torch.zeros(x), None if h is None else torch.zeros(h))


def _dtypes(x: torch.dtype, h: Optional[torch.dtype] = None, weights: torch.dtype = torch.float32) -> Case:
    return _call(torch.zeros(3, 10, dtype=x), None if h is None else torch.zeros(3, 20, dtype=h), dtype=weights)


def _parameter(name: str, *shape: int, **options) -> Case:
    def call(cls: type[nn.GRUCell]) -> object:
        cell = cls(10, 20)
        setattr(cell, name, nn.Parameter(torch.zeros(shape, **options)))
        return cell(torch.zeros(3, 10), torch.zeros(3, 20))

    return call


def _autocast(x: torch.dtype, h: torch.dtype) -> Case:
    def call(cls: type[nn.GRUCell]) -> object:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return _dtypes(x, h)(cls)

    return call


def _twice(cls: type[nn.GRUCell]) -> None:
    state = cls(10, 20)(torch.zeros(3, 10)).sum()
    state.backward()
    state.backward()


def _in_place(argument: str) -> Case:
    """Edits an argument between forward and backward."""

    def call(cls: type[nn.GRUCell]) -> None:
        cell = cls(10, 20)
        x, h = torch.zeros(3, 10, requires_grad=True), torch.zeros(3, 20, requires_grad=True)
        named = {"x": x * 1, "h": h * 1, "w_ih": cell.weight_ih, "w_hh": cell.weight_hh}
        state = cell(named["x"], named["h"])
        with torch.no_grad():
            named[argument].add_(1)
        state.sum().backward()

    return call


def _inference_tensor(cls: type[nn.GRUCell]) -> object:
    with torch.inference_mode():
        x = torch.zeros(3, 10)
    return cls(10, 20)(x)


CASES: dict[str, Case] = {
    "input_size": _shapes((3, 11), (3, 20)),
    "input_size_1d": _shapes((11,), (20,)),
    "input_size_no_state": _shapes((3, 11)),
    "input_size_1d_no_state": _shapes((11,)),
    "hidden_size": _shapes((3, 10), (3, 21)),
    "hidden_size_1d": _shapes((10,), (21,)),
    "batch": _shapes((3, 10), (5, 20)),
    "batch_of_one_state": _shapes((3, 10), (1, 20)),
    "batch_of_one_input": _shapes((1, 10), (3, 20)),
    "batch_of_none": _shapes((0, 10), (3, 20)),
    "all_sizes_wrong": _shapes((3, 11), (5, 21)),
    "batch_and_hidden_size_wrong": _shapes((3, 10), (5, 21)),
    "input_0d": _shapes((), (3, 20)),
    "input_3d": _shapes((3, 10, 1), (3, 20)),
    "input_3d_no_state": _shapes((3, 10, 1)),
    "input_4d": _shapes((1, 1, 3, 10), (3, 20)),
    "state_0d": _shapes((3, 10), ()),
    "state_3d": _shapes((3, 10), (1, 3, 20)),
    "state_4d": _shapes((3, 10), (3, 1, 1, 20)),
    "both_3d": _shapes((1, 3, 10), (1, 3, 20)),
    "input_1d_state_2d": _shapes((10,), (1, 20)),
    "input_1d_state_2d_more": _shapes((10,), (3, 20)),
    "input_2d_state_1d": _shapes((3, 10), (20,)),
    "input_2d_state_1d_as_long_as_the_batch": _shapes((20, 10), (20,)),
    "input_2d_of_one_state_1d": _shapes((1, 10), (20,)),
    "w_ih_rows": _parameter("weight_ih", 61, 10),
    "w_hh_rows": _parameter("weight_hh", 61, 20),
    "w_ih_columns": _parameter("weight_ih", 60, 11),
    "w_hh_columns": _parameter("weight_hh", 60, 21),
    "b_ih_length": _parameter("bias_ih", 61),
    "b_hh_length": _parameter("bias_hh", 61),
    "w_ih_dtype": _parameter("weight_ih", 60, 10, dtype=torch.float64),
    "w_hh_dtype": _parameter("weight_hh", 60, 20, dtype=torch.float64),
    "f64_input": _dtypes(torch.float64, torch.float32),
    "f64_input_no_state": _dtypes(torch.float64),
    "f64_state": _dtypes(torch.float32, torch.float64),
    "f64_both": _dtypes(torch.float64, torch.float64),
    "bf16_input": _dtypes(torch.bfloat16, torch.float32),
    "bf16_both": _dtypes(torch.bfloat16, torch.bfloat16),
    "f16_state": _dtypes(torch.float32, torch.float16),
    "int_input": _dtypes(torch.int64, torch.float32),
    "int_input_no_state": _dtypes(torch.int64),
    "bool_input": _dtypes(torch.bool, torch.float32),
    "complex_input": _dtypes(torch.complex64, torch.float32),
    "complex_state": _dtypes(torch.float32, torch.complex64),
    "f32_input_of_f64_cell": _dtypes(torch.float32, torch.float32, torch.float64),
    "float8": _dtypes(torch.float8_e4m3fn, torch.float8_e4m3fn, torch.float8_e4m3fn),
    "f64_under_autocast": _autocast(torch.float64, torch.float64),
    "f64_input_under_autocast": _autocast(torch.float64, torch.float32),
    "f64_state_under_autocast": _autocast(torch.float32, torch.float64),
    "meta_input": _call(torch.zeros(3, 10, device="meta"), torch.zeros(3, 20)),
    "meta_state": _call(torch.zeros(3, 10), torch.zeros(3, 20, device="meta")),
    "meta_weights": _call(torch.zeros(3, 10), torch.zeros(3, 20), device="meta"),
    "list_input": _call([1.0]),
    "list_state": _call(torch.zeros(3, 10), [1.0]),
    "tuple_state": _call(torch.zeros(3, 10), (torch.zeros(3, 20),)),
    "numpy_input": _call(np.zeros((3, 10), dtype=np.float32)),
    "numpy_state": _call(torch.zeros(3, 10), np.zeros((3, 20), dtype=np.float32)),
    "none_input": _call(None),
    "float_input": _call(1.0),
    "float_state": _call(torch.zeros(3, 10), 1.0),
    "no_arguments": lambda cls: cls(10, 20)(),
    "too_many_arguments": lambda cls: cls(10, 20)(torch.zeros(3, 10), None, None),
    "unknown_keyword": lambda cls: cls(10, 20)(torch.zeros(3, 10), h=None),
    "constructor_negative_input_size": lambda cls: cls(-1, 20),
    "constructor_negative_hidden_size": lambda cls: cls(10, -1),
    "constructor_float_input_size": lambda cls: cls(10.0, 20),
    "constructor_float_hidden_size": lambda cls: cls(10, 20.0),
    "constructor_text": lambda cls: cls("a", 20),
    "constructor_none": lambda cls: cls(None, 20),
    "constructor_no_sizes": lambda cls: cls(),
    "constructor_int_dtype": lambda cls: cls(10, 20, dtype=torch.int64),
}

BACKWARD_CASES: dict[str, Case] = {
    "second_backward": _twice,
    "edited_x": _in_place("x"),
    "edited_h": _in_place("h"),
    "edited_w_hh": _in_place("w_hh"),
    "edited_w_ih": _in_place("w_ih"),
    "inference_tensor": _inference_tensor,
}


def _refusal(case: Case, cls: type[nn.GRUCell]) -> tuple[type[BaseException], str]:
    with pytest.raises(Exception) as caught:
        case(cls)
    return caught.type, str(caught.value).splitlines()[0]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("grad", [True, False])
def test_same_refusal_as_torch(name: str, grad: bool) -> None:
    with torch.set_grad_enabled(grad):
        assert _refusal(CASES[name], gru_ext.GRUCell) == _refusal(CASES[name], nn.GRUCell)


@pytest.mark.parametrize("name", BACKWARD_CASES)
def test_same_refusal_in_backward(name: str) -> None:
    """Where the text goes on to name the saved tensor, torch names a view of the weight and we name the weight."""
    (our_type, ours), (their_type, theirs) = (_refusal(BACKWARD_CASES[name], cls) for cls in (gru_ext.GRUCell, nn.GRUCell))
    assert our_type == their_type
    assert ours.split(": [")[0] == theirs.split(": [")[0]


# Lines of the reference, so that a change of torch's own texts is noticed too.
KNOWN = {
    "input_size": (RuntimeError, "input has inconsistent input_size: got 11 expected 10"),
    "hidden_size": (RuntimeError, "hidden0 has inconsistent hidden_size: got 21, expected 20"),
    "batch": (RuntimeError, "Input batch size 3 doesn't match hidden0 batch size 5"),
    "input_3d": (ValueError, "GRUCell: Expected input to be 1D or 2D, got 3D instead"),
    "state_4d": (ValueError, "GRUCell: Expected hidden to be 1D or 2D, got 4D instead"),
    "input_1d_state_2d": (RuntimeError, "hidden0 has inconsistent hidden_size: got 1, expected 20"),
    "input_2d_state_1d": (RuntimeError, "Input batch size 3 doesn't match hidden0 batch size 20"),
    "w_hh_rows": (RuntimeError, "weight_hh first dim must be 3 * hidden_size = 60, but got 61"),
    "f64_input": (RuntimeError, "mat1 and mat2 must have the same dtype, but got Double and Float"),
    "list_input": (AttributeError, "'list' object has no attribute 'dim'"),
    "no_arguments": (TypeError, "GRUCell.forward() missing 1 required positional argument: 'input'"),
    "too_many_arguments": (TypeError, "GRUCell.forward() takes from 2 to 3 positional arguments but 4 were given"),
    "constructor_negative_input_size": (RuntimeError, "Trying to create tensor with negative dimension -1: [60, -1]"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_texts(name: str) -> None:
    assert _refusal(CASES[name], gru_ext.GRUCell) == KNOWN[name]


def _functional(input: object, hx: object) -> Tensor:
    cell = gru_ext.GRUCell(10, 20)
    return gru_ext.gru_cell(input, hx, cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)


@pytest.mark.parametrize(
    "x, h",
    [
        (torch.zeros(3, 11), None),
        (torch.zeros(3, 10), torch.zeros(5, 20)),
        (torch.zeros(3, 10, 1), None),
        (torch.zeros(3, 10), torch.zeros(1, 3, 20)),
        ([1.0], None),
        (torch.zeros(3, 10), [1.0]),
    ],
)
def test_the_function_refuses_as_the_module_does(x: object, h: object) -> None:
    assert _refusal(lambda cls: _functional(x, h), nn.GRUCell) == _refusal(_call(x, h), gru_ext.GRUCell)
