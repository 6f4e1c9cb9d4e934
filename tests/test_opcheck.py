"""PyTorch's own checks of a registered operator, on every op of the library."""

import pytest
import torch
from samples import Sample, sample_input
from torch import Tensor

pytestmark = pytest.mark.compiled

# A few of each kind: sizes, absent arguments, memory layouts. Values and gradients see all samples elsewhere.
NAMES = ["N5_I7_H17", "N0_I10_H20", "N3_I0_H20", "no_b_ih_b_hh", "no_b_hh", "input_transposed", "hx_window"]
FORMS = ["no_hx", "1d", "1d_no_hx"]
OTHER_DTYPES = [torch.float64, torch.bfloat16, torch.float16]


def check(op: str, *args: object) -> None:
    torch.library.opcheck(getattr(torch.ops.gru_ext, op).default, args)


@pytest.mark.parametrize("name", NAMES + FORMS)
def test_gru_cell(name: str) -> None:
    check("gru_cell", *sample_input(name, torch.float32, requires_grad=True).args)


@pytest.mark.parametrize("name", NAMES)
def test_cell(name: str) -> None:
    check("_cell", *sample_input(name, torch.float32, requires_grad=True).args)


@pytest.mark.parametrize("dtype", OTHER_DTYPES + [torch.complex64])
def test_cell_in_other_dtypes(dtype: torch.dtype) -> None:
    check("_cell", *sample_input("N5_I7_H17", dtype, requires_grad=True).args)


def test_cell_without_gradients() -> None:
    check("_cell", *sample_input("N5_I7_H17", torch.float32).args)


@pytest.mark.parametrize("name", NAMES)
def test_cell_forward(name: str) -> None:
    check("_cell_forward", *sample_input(name, torch.float32).args, True)


@pytest.mark.parametrize("dtype", OTHER_DTYPES)
def test_cell_forward_in_other_dtypes(dtype: torch.dtype) -> None:
    check("_cell_forward", *sample_input("N5_I7_H17", dtype).args, True)


def test_cell_forward_that_saves_nothing() -> None:
    check("_cell_forward", *sample_input("N5_I7_H17", torch.float32).args, False)


def backward_arguments(sample: Sample) -> list[Tensor]:
    x, h, w_ih, w_hh, b_ih, b_hh = sample.args
    _, saved = torch.ops.gru_ext._cell_forward(x, h, w_ih, w_hh, b_ih, b_hh, True)
    return [torch.randn_like(h), saved, x, h, w_ih, w_hh]


@pytest.mark.parametrize("name", NAMES)
def test_cell_backward(name: str) -> None:
    check("_cell_backward", *backward_arguments(sample_input(name, torch.float32)), [True] * 6)


@pytest.mark.parametrize("dtype", OTHER_DTYPES)
def test_cell_backward_in_other_dtypes(dtype: torch.dtype) -> None:
    check("_cell_backward", *backward_arguments(sample_input("N5_I7_H17", dtype)), [True] * 6)


@pytest.mark.parametrize("wanted", range(6))
def test_cell_backward_of_one_argument(wanted: int) -> None:
    """What is not asked for comes back with no elements, in the fake kernel as in the real one."""
    arguments = backward_arguments(sample_input("N5_I7_H17", torch.float32))
    mask = [index == wanted for index in range(6)]
    check("_cell_backward", *arguments, mask)
    grads = torch.ops.gru_ext._cell_backward(*arguments, mask)
    everything = torch.ops.gru_ext._cell_backward(*arguments, [True] * 6)
    for index, (grad, full) in enumerate(zip(grads, everything, strict=True)):
        torch.testing.assert_close(grad, full if index == wanted else torch.empty(0))
