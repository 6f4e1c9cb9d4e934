"""Autocast on CUDA: the dtypes that torch's cell has there, and its numbers."""

import itertools
from typing import Optional

import pytest
import torch
from on_device import assert_accurate
from reference import gru_cell as reference_cell
from samples import cell_pair
from tolerances import error_in_eps
from torch import Tensor

pytestmark = pytest.mark.cuda_only  # on the CPU autocast treats the cell otherwise: tests/test_autocast.py

I, H = 24, 32  # noqa: E741 (the project's names)
LOW = (torch.bfloat16, torch.float16)
DTYPES = (torch.float32, *LOW)
BATCHES = [5, 20]


def _run(
    cell: torch.nn.GRUCell, precision: torch.dtype, x: Tensor, hx: Optional[Tensor], inside: bool = False
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """The state under autocast, the gradients for input, hx and the parameters, and these themselves.

    Args:
        cell: ours or torch's.
        precision: of autocast.
        x: [N, I].
        hx: [N, H] or None.
        inside: whether the backward, too, runs under autocast.
    """
    leaves = [t.clone().requires_grad_() for t in (x, hx) if t is not None]
    with torch.autocast("cuda", dtype=precision):
        state = cell(*leaves)
    leaves += cell.parameters()
    grad = torch.linspace(-1, 1, state.numel(), device=x.device).view_as(state).to(state.dtype)
    with torch.autocast("cuda", dtype=precision, enabled=inside):
        return state, list(torch.autograd.grad(state, leaves, grad)), leaves


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("x_dtype, hx_dtype", list(itertools.product(DTYPES, (*DTYPES, None))))
def test_like_torch(
    precision: torch.dtype, x_dtype: torch.dtype, hx_dtype: Optional[torch.dtype], bias: bool, device: torch.device
) -> None:
    theirs, ours = cell_pair(I, H, bias=bias, device=device)
    for n in BATCHES:
        x = torch.randn(n, I, device=device).to(x_dtype)
        hx = None if hx_dtype is None else torch.rand(n, H, device=device).to(hx_dtype)
        (their_state, their_grads, _), (state, grads, leaves) = (_run(cell, precision, x, hx) for cell in (theirs, ours))
        assert state.dtype == their_state.dtype == precision
        assert [grad.dtype for grad in grads] == [leaf.dtype for leaf in leaves]
        # Both are off by a few roundings of 16 bits.
        for got, want in zip([state, *grads], [their_state, *their_grads], strict=True):
            assert got.dtype == want.dtype
            assert error_in_eps(got.to(precision), want.double()) <= 4


@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("n", BATCHES)
def test_as_accurate_as_torch(n: int, precision: torch.dtype, device: torch.device) -> None:
    theirs, ours = cell_pair(I, H, device=device)
    x, hx = torch.randn(n, I, device=device), torch.rand(n, H, device=device)
    states = [_run(cell, precision, x, hx)[0] for cell in (ours, theirs)]
    low = [t.detach().to(precision) for t in (x, hx, *theirs.parameters())]
    assert_accurate(states[0], reference_cell(*low), states[1], "state")


@pytest.mark.parametrize("n", BATCHES)
def test_backward_under_autocast_changes_nothing(n: int, device: torch.device) -> None:
    """Autograd runs with the autocast state of whoever calls it: the products of the backward must not be cast by it."""
    _, ours = cell_pair(I, H, device=device)
    x, hx = torch.randn(n, I, device=device), torch.rand(n, H, device=device)
    outside, inside = (_run(ours, torch.bfloat16, x, hx, inside)[1] for inside in (False, True))
    for one, other in zip(outside, inside, strict=True):
        assert torch.equal(one, other)
    leaves = [x.clone().requires_grad_(), hx.clone().requires_grad_()]
    state = ours(*leaves)
    plain = torch.autograd.grad(state.sum(), leaves, retain_graph=True)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        low = torch.autograd.grad(state, leaves, torch.ones_like(state))
    for one, other in zip(plain, low, strict=True):
        assert torch.equal(one, other)


def test_switched_off_inside_and_left_again(device: torch.device) -> None:
    _, ours = cell_pair(I, H, device=device)
    x = torch.randn(20, I, device=device)
    plain = ours(x)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        assert ours(x).dtype == torch.bfloat16
        with torch.autocast("cuda", enabled=False):
            assert torch.equal(ours(x), plain)
    assert torch.equal(ours(x), plain)


def test_weights_changed_between_steps_are_seen(device: torch.device) -> None:
    """Autocast caches the low-precision weights until it is left; an optimizer step between two contexts must count."""
    _, ours = cell_pair(I, H, device=device)
    x = torch.randn(20, I, device=device)
    states = []
    for _ in range(2):
        with torch.autocast("cuda", dtype=torch.bfloat16):
            states.append(ours(x))
        with torch.no_grad():
            ours.weight_ih.mul_(2)
    assert not torch.equal(*states)


def test_training_with_scaled_gradients(device: torch.device) -> None:
    """A float16 training loop with GradScaler lowers the loss as it does with torch's cell."""
    x, target = torch.randn(40, I, device=device), torch.rand(40, H, device=device)
    losses = []
    for cell in cell_pair(I, H, device=device):
        optimizer, scaler = torch.optim.Adam(cell.parameters(), lr=0.01), torch.amp.GradScaler("cuda")
        for _ in range(30):
            optimizer.zero_grad()
            with torch.autocast("cuda", dtype=torch.float16):
                loss = (cell(x).float() - target).square().mean()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        losses.append(loss.item())
    theirs, ours = losses
    assert ours < 1.05 * theirs


@pytest.mark.parametrize("x_dtype, hx_dtype", [(torch.float64, None), (torch.float32, torch.float64), (torch.float64,) * 2])
def test_float64_is_refused_as_torch_refuses_it(
    x_dtype: torch.dtype, hx_dtype: Optional[torch.dtype], device: torch.device
) -> None:
    for cell in cell_pair(I, H, device=device):
        hx = None if hx_dtype is None else torch.randn(5, H, dtype=hx_dtype, device=device)
        with torch.autocast("cuda", dtype=torch.bfloat16), pytest.raises(RuntimeError, match="dtype|scalar type|type"):
            cell(torch.randn(5, I, dtype=x_dtype, device=device), hx)
