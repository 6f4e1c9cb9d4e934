"""Activation checkpointing, also the selective kind under which torch's own cell gives wrong gradients without a word."""

from collections.abc import Callable

import pytest
import torch
from reference import gru_cell as reference_cell
from samples import cell_pair
from tolerances import assert_grad
from torch import Tensor, nn
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    checkpoint_sequential,
    create_selective_checkpoint_contexts,
    set_checkpoint_early_stop,
)


def _inputs() -> tuple[Tensor, Tensor]:
    return torch.randn(5, 7, requires_grad=True), torch.randn(5, 17, requires_grad=True)


def _grads(state: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(state.square().sum(), leaves)


@pytest.mark.parametrize("options", [{"use_reentrant": False}, {"use_reentrant": False, "determinism_check": "none"}])
def test_checkpointed_gradients(options: dict) -> None:
    _, cell = cell_pair(7, 17)
    x, h = _inputs()
    leaves = [x, h, *cell.parameters()]
    expected = _grads(cell(x, h), leaves)
    for early_stop in (True, False):
        with set_checkpoint_early_stop(early_stop):
            actual = _grads(checkpoint(cell, x, h, **options), leaves)
        assert all(torch.equal(one, other) for one, other in zip(actual, expected, strict=True))


def test_reentrant_checkpoint() -> None:
    _, cell = cell_pair(7, 17)
    x, h = _inputs()
    leaves = [x, h, *cell.parameters()]
    expected = _grads(cell(x, h), leaves)
    checkpoint(cell, x, h, use_reentrant=True).square().sum().backward()
    assert all(torch.equal(leaf.grad, other) for leaf, other in zip(leaves, expected, strict=True))


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpointed_loop(use_reentrant: bool) -> None:
    """Every step of a sequence recomputed in its backward, and the sequence as segments of a chain."""
    _, cell = cell_pair(4, 4)
    x = torch.randn(2, 4, requires_grad=True)

    class Step(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = cell

        def forward(self, h: Tensor) -> Tensor:
            return self.cell(x, h)

    h0 = torch.randn(2, 4, requires_grad=True)
    steps = nn.Sequential(*[Step() for _ in range(6)])
    leaves = [x, h0, *cell.parameters()]
    expected = _grads(steps(h0), leaves)

    def loop() -> Tensor:
        h = h0
        for step in steps:
            h = checkpoint(step, h, use_reentrant=use_reentrant)
        return h

    for make in (loop, lambda: checkpoint_sequential(steps, 3, h0, use_reentrant=use_reentrant)):
        for leaf in leaves:
            leaf.grad = None
        make().square().sum().backward()
        for leaf, other in zip(leaves, expected, strict=True):
            torch.testing.assert_close(leaf.grad, other)


def test_nested_checkpoints_and_double_backward() -> None:
    _, cell = cell_pair(7, 17)
    x, h = _inputs()

    def slope(step: Callable[..., Tensor]) -> tuple[Tensor, ...]:
        (first,) = torch.autograd.grad(step(x, h).square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), [x, h])

    def nested(x: Tensor, h: Tensor) -> Tensor:
        inner = checkpoint(cell, x, h, use_reentrant=False)
        return checkpoint(cell, x, inner, use_reentrant=False)

    expected = slope(lambda x, h: cell(x, cell(x, h)))
    actual = slope(lambda x, h: checkpoint(nested, x, h, use_reentrant=False))
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other)


_SAVE = {
    "addmm": {torch.ops.aten.addmm.default},
    "mm": {torch.ops.aten.mm.default},
    "products": {torch.ops.aten.addmm.default, torch.ops.aten.mm.default, torch.ops.aten.bmm.default},
    "nothing": set(),
}


def _selective(cell: Callable[..., Tensor], saved: set, x: Tensor, h: Tensor) -> Tensor:
    """The usual policy: keep the results of some matrix products, recompute the rest."""

    def policy(context, op, *args, **kwargs) -> CheckpointPolicy:
        return CheckpointPolicy.MUST_SAVE if op in saved else CheckpointPolicy.PREFER_RECOMPUTE

    return checkpoint(cell, x, h, use_reentrant=False, context_fn=lambda: create_selective_checkpoint_contexts(policy))


def _error(cell: nn.GRUCell, saved: set) -> float:
    """Largest error of any gradient, relative to the largest element of that gradient."""
    x, h = _inputs()
    leaves = [x, h, *cell.parameters()]
    exact = _grads(reference_cell(x, h, *cell.parameters()), leaves)
    return max(
        ((one - other).abs().max() / other.abs().max()).item()
        for one, other in zip(_grads(_selective(cell, saved, x, h), leaves), exact, strict=True)
    )


def test_torch_is_wrong_where_products_are_saved() -> None:
    """Its decomposition writes into the saved result of addmm. Should this fail, torch has mended it: drop our claim."""
    theirs, _ = cell_pair(7, 17)
    assert _error(theirs, _SAVE["addmm"]) > 0.05
    assert _error(theirs, _SAVE["nothing"]) < 1e-5


@pytest.mark.compiled
@pytest.mark.parametrize("saved", _SAVE)
@pytest.mark.parametrize("bias", [True, False])
def test_ours_is_right_whatever_is_saved(saved: str, bias: bool) -> None:
    _, ours = cell_pair(7, 17, bias=bias)
    assert _error(ours, _SAVE[saved]) < 1e-5


@pytest.mark.compiled
@pytest.mark.parametrize("saved", ["_cell_forward", "_cell"])
def test_our_own_ops_may_be_saved(saved: str) -> None:
    """Then the backward recomputes nothing."""
    _, ours = cell_pair(7, 17)
    assert _error(ours, {getattr(torch.ops.gru_ext, saved).default}) < 1e-5


@pytest.mark.compiled
def test_the_decomposition_is_right_too() -> None:
    """Complex cells run on ATen's ops, so there are products to save; none of them is written into afterwards."""
    _, ours = cell_pair(7, 17, dtype=torch.complex64)
    x = torch.randn(5, 7, dtype=torch.complex64, requires_grad=True)
    h = torch.randn(5, 17, dtype=torch.complex64, requires_grad=True) * 0.3
    leaves = [x, *ours.parameters()]
    expected = torch.autograd.grad(ours(x, h).abs().sum(), leaves)
    actual = torch.autograd.grad(_selective(ours, _SAVE["products"], x, h).abs().sum(), leaves)
    for one, other in zip(actual, expected, strict=True):
        assert_grad(one, other.to(torch.complex128))
