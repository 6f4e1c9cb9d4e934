"""PyTorch's own checks of a registered operator, on every op with CUDA tensors; and that the CUDA kernels are there at all."""

import pytest
import torch
from on_device import sample_on
from samples import REAL_DTYPES

OPS = ["_cell", "_cell_forward", "_cell_backward"]
NAMES = ["N5_I7_H17", "N13_I9_H21", "N0_I10_H20", "N3_I0_H20", "no_b_ih_b_hh", "no_b_hh", "input_transposed", "hx_window"]


def check(op: str, *args: object) -> None:
    torch.library.opcheck(getattr(torch.ops.gru_ext, op).default, args)


@pytest.mark.cuda_only
@pytest.mark.parametrize("op", OPS)
def test_the_build_has_cuda_kernels(op: str) -> None:
    """Without them CUDA tensors run on the decomposition, and every other test here would pass all the same."""
    assert torch._C._dispatch_has_kernel_for_dispatch_key(f"gru_ext::{op}", "CUDA"), "built without GRU_EXT_CUDA=1?"


@pytest.mark.parametrize("name", [*NAMES, "no_hx", "1d", "1d_no_hx"])
def test_gru_cell(name: str, device: torch.device) -> None:
    check("gru_cell", *sample_on(device, name, torch.float32, requires_grad=True).args)


@pytest.mark.parametrize("dtype", [*REAL_DTYPES, torch.complex64])
def test_cell(dtype: torch.dtype, device: torch.device) -> None:
    check("_cell", *sample_on(device, "N5_I7_H17", dtype, requires_grad=True).args)


@pytest.mark.parametrize("save", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_cell_forward(name: str, save: bool, device: torch.device) -> None:
    check("_cell_forward", *sample_on(device, name, torch.float32).args, save)


@pytest.mark.parametrize("name, dtype", [(name, torch.float32) for name in NAMES] + [("N5_I7_H17", d) for d in REAL_DTYPES[1:]])
def test_cell_backward(name: str, dtype: torch.dtype, device: torch.device) -> None:
    x, h, w_ih, w_hh, b_ih, b_hh = sample_on(device, name, dtype).args
    _, saved = torch.ops.gru_ext._cell_forward(x, h, w_ih, w_hh, b_ih, b_hh, True)
    check("_cell_backward", torch.randn_like(h), saved, x, h, w_ih, w_hh, [True] * 6)


@pytest.mark.parametrize("name", ["N5_I7_H17", "N13_I9_H21"])
def test_gradients_one_at_a_time(name: str, device: torch.device) -> None:
    """What is not asked for comes back with no elements, and what is asked for does not depend on the rest."""
    x, h, w_ih, w_hh, b_ih, b_hh = sample_on(device, name, torch.float32).args
    _, saved = torch.ops.gru_ext._cell_forward(x, h, w_ih, w_hh, b_ih, b_hh, True)
    arguments = [torch.randn_like(h), saved, x, h, w_ih, w_hh]
    everything = torch.ops.gru_ext._cell_backward(*arguments, [True] * 6)
    for wanted in range(6):
        grads = torch.ops.gru_ext._cell_backward(*arguments, [place == wanted for place in range(6)])
        for place, (one, other) in enumerate(zip(grads, everything, strict=True)):
            torch.testing.assert_close(one, other if place == wanted else x.new_empty(0), rtol=0, atol=0)
