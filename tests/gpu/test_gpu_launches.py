"""Which kernels run: few, the right ones for the size of the batch, and none for gradients that nobody wants."""

from collections.abc import Sequence

import pytest
import torch
from kernels_seen import kernels_of
from on_device import random_sample
from samples import ARGUMENTS, REAL_DTYPES, Sample
from torch import Tensor

import gru_ext

pytestmark = pytest.mark.cuda_only

SMALL, LARGE = 8, 9  # the most rows for which products are done by our own kernels, and one more
OURS = ["gates_forward", "gates_backward", "small_batch_forward", "small_batch_weights", "sum_slabs"]


def _ours(kernels: list[str]) -> list[str]:
    """Our kernels among these, in alphabetical order, by the part of the name before `_kernel`."""
    ours = [kernel for kernel in kernels if "gru_ext" in kernel]
    return sorted(next((name for name in OURS if name in kernel), kernel) for kernel in ours)


def _forward(sample: Sample) -> list[str]:
    gru_ext.gru_cell(*sample.args)
    return kernels_of(lambda: gru_ext.gru_cell(*sample.args))


def _backward(sample: Sample, wanted: Sequence[str]) -> list[str]:
    """The kernels of a backward for the gradients of some arguments."""
    args = [t.detach().requires_grad_(name in wanted) for name, t in sample.leaves.items()]
    state = gru_ext.gru_cell(*args)
    grad = torch.randn_like(state)
    leaves = [t for t in args if t.requires_grad]

    def call() -> tuple[Tensor, ...]:
        return torch.autograd.grad(state, leaves, grad, retain_graph=True)

    call()
    return kernels_of(call)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("h", [64, 37])
@pytest.mark.parametrize("n", [1, SMALL])
def test_a_small_step_is_one_kernel(n: int, h: int, dtype: torch.dtype, device: torch.device) -> None:
    kernels = _forward(random_sample(device, n, h, h, dtype))
    assert len(kernels) == 1 and _ours(kernels) == ["small_batch_forward"], kernels


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_a_larger_step_is_two_products_and_a_kernel(dtype: torch.dtype, device: torch.device) -> None:
    kernels = _forward(random_sample(device, LARGE, 64, 64, dtype))
    assert _ours(kernels) == ["gates_forward"], kernels
    # A product may be a kernel and one that adds its parts.
    assert 3 <= len(kernels) <= 5, kernels


@pytest.mark.parametrize("n", [SMALL, LARGE, 300])
def test_backward_of_everything(n: int, device: torch.device) -> None:
    kernels = _backward(random_sample(device, n, 64, 64, torch.float32), ARGUMENTS)
    ours = [name for name in _ours(kernels) if name != "sum_slabs"]  # none where the rows are one slab
    assert ours == ["gates_backward"] + (["small_batch_weights"] if n <= SMALL else []), kernels
    # Two products give the gradients of input and state, and two more those of the weights.
    assert len(kernels) - len(_ours(kernels)) >= (2 if n <= SMALL else 4), kernels


@pytest.mark.parametrize("n", [SMALL, LARGE])
def test_gradients_that_nobody_wants_cost_nothing(n: int, device: torch.device) -> None:
    sample = random_sample(device, n, 64, 64, torch.float32)
    everything = len(_backward(sample, ARGUMENTS))
    for wanted, products in (
        (["input"], 1),
        (["hx"], 1),
        (["input", "hx"], 2),
        (["w_ih"], 0 if n <= SMALL else 1),
        (["w_hh"], 0 if n <= SMALL else 1),
        (["b_ih", "b_hh"], 0),
    ):
        kernels = _backward(sample, wanted)
        ours = _ours(kernels)
        assert len(kernels) < everything, (wanted, kernels)
        # At most two kernels for each product.
        assert products <= len(kernels) - len(ours) <= 2 * products, (wanted, kernels)
        assert ("small_batch_weights" in ours) == (n <= SMALL and wanted[0].startswith("w_")), (wanted, kernels)
        assert "sum_slabs" not in ours or wanted[0].startswith("b_"), (wanted, kernels)
