"""A quick comparison with torch.nn.GRUCell, for `python -m gru_ext.info`. The proofs are in the test suite."""

import warnings
from typing import Any

import torch
from torch import Tensor

from .cell import GRUCell

# Odd sizes, so that full vectors and their remainders are both used at every instruction-set level.
_N, _I, _H = 5, 19, 37


def self_test() -> dict[str, Any]:
    """Compares values and all gradients of one float32 step with those of torch.nn.GRUCell, on the CPU and on any GPU.

    Returns:
        ``devices``, those it was done on, ``passed``, ``largest_difference``, and ``allowed``: differences are relative to
        the largest element of the tensor they occur in. Allowed is the classical bound for sums in another order, the number
        of terms times the machine epsilon; the longest sums here have I + H terms in the step and 3H in its backward.
    """
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    # Unlike Python's max, torch's does not lose a NaN.
    largest = torch.stack([_largest_difference(device) for device in devices]).max().item()
    allowed = max(_I + _H, 3 * _H) * torch.finfo(torch.float32).eps
    return {"devices": devices, "passed": largest <= allowed, "largest_difference": largest, "allowed": allowed}


def _largest_difference(device: str) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):  # the cell draws its weights from the global generator
        torch.manual_seed(0)
        reference, cell = torch.nn.GRUCell(_I, _H), GRUCell(_I, _H)
    cell.load_state_dict(reference.state_dict())
    x, h, grad = (torch.randn(_N, columns, generator=generator).to(device) for columns in (_I, _H, _H))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the report itself says when torch's own cell does the work
        results = zip(_step(cell.to(device), x, h, grad), _step(reference.to(device), x, h, grad), strict=True)
        return torch.stack([((ours - theirs).abs().max() / theirs.abs().max()).cpu() for ours, theirs in results]).max()


def _step(cell: torch.nn.GRUCell, x: Tensor, h: Tensor, grad: Tensor) -> list[Tensor]:
    """The next state, and the gradients of input, state, weights and biases for `grad` on it."""
    x, h = x.clone().requires_grad_(), h.clone().requires_grad_()
    y = cell(x, h)
    return [y.detach(), *torch.autograd.grad(y, [x, h, *cell.parameters()], grad)]
