"""What a step on CUDA keeps for its backward, and activation checkpointing, also the selective kind."""

import pytest
import torch
from on_device import random_sample
from reference import gru_cell as reference_cell
from samples import REAL_DTYPES, cell_pair
from torch import Tensor, nn
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

import gru_ext


def _kept(step, known: list[Tensor]) -> tuple[Tensor, int]:
    """The state, and the bytes of all storages that are kept for its backward beside those of known tensors."""
    packed: list[Tensor] = []
    with saved_tensors_hooks(lambda t: packed.append(t) or t, lambda t: t):
        state = step()
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in packed}
    for tensor in known:
        storages.pop(tensor.untyped_storage().data_ptr(), None)
    assert state.untyped_storage().data_ptr() not in storages, "the output is saved"
    return state, sum(storages.values())


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("sizes", [(5, 16, 32), (5, 7, 37), (50, 16, 32), (50, 7, 37)])
@pytest.mark.parametrize("bias", [True, False])
def test_four_numbers_per_unit(sizes: tuple[int, int, int], dtype: torch.dtype, bias: bool, device: torch.device) -> None:
    sample = random_sample(device, *sizes, dtype, requires_grad=True, bias=bias)
    state, kept = _kept(lambda: gru_ext.gru_cell(*sample.args), list(sample.leaves.values()))
    assert kept == 4 * state.numel() * dtype.itemsize


@pytest.mark.cuda_only
@pytest.mark.parametrize("n", [8, 4096])
def test_memory_of_a_step(n: int, device: torch.device) -> None:
    """What was asked of the allocator and not given back while the graph is alive: the state and four numbers per unit."""

    def in_use() -> int:
        return torch.cuda.memory_stats(device)["requested_bytes.all.current"]

    cell = gru_ext.GRUCell(256, 256, device=device)
    x, h = torch.randn(n, 256, device=device), torch.randn(n, 256, device=device)
    cell(x, h).sum().backward()  # the matrix library allocates its workspace once
    before = in_use()
    state = cell(x, h)
    assert in_use() - before == 5 * state.nbytes
    del state
    assert in_use() == before


def test_nothing_without_gradients(device: torch.device) -> None:
    _, cell = cell_pair(7, 16, device=device)
    x, h = torch.randn(5, 7, device=device), torch.randn(5, 16, device=device)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            state, kept = _kept(lambda: cell(x, h), [])
        assert kept == 0 and state.grad_fn is None


def test_saved_tensors_may_leave_the_device(device: torch.device) -> None:
    _, cell = cell_pair(7, 16, device=device)
    x = torch.randn(5, 7, device=device, requires_grad=True)
    (expected,) = torch.autograd.grad(cell(x).sum(), x)
    with save_on_cpu():
        state = cell(x)
    assert torch.equal(torch.autograd.grad(state.sum(), x)[0], expected)


def _grads(state: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(state.square().sum(), leaves)


@pytest.mark.parametrize("use_reentrant", [True, False])
@pytest.mark.parametrize("n", [5, 20])
def test_checkpointed_loop(n: int, use_reentrant: bool, device: torch.device) -> None:
    """Every step of a sequence recomputed in its backward: the same bits, because the same kernels run."""
    _, cell = cell_pair(16, 16, device=device)
    x, h0 = (torch.randn(n, 16, device=device, requires_grad=True) for _ in range(2))

    def loop(step) -> list[Tensor]:
        h = h0
        for _ in range(6):
            h = step(x, h)
        for leaf in (x, h0, *cell.parameters()):
            leaf.grad = None
        h.square().sum().backward()
        return [leaf.grad for leaf in (x, h0, *cell.parameters())]

    expected = loop(cell)
    actual = loop(lambda x, h: checkpoint(cell, x, h, use_reentrant=use_reentrant))
    for one, other in zip(actual, expected, strict=True):
        assert torch.equal(one, other)


_ATEN = torch.ops.aten
_SAVED = {
    "products": [_ATEN.addmm.default, _ATEN.mm.default, _ATEN.bmm.default],
    "nothing": [],
    "our ops": ["_cell", "_cell_forward"],
}


def _selective_error(cell: nn.GRUCell, saved: set, n: int, device: torch.device) -> float:
    """Largest error of any gradient, relative to the largest element of that gradient, where some results are kept."""

    def policy(context, op, *args, **kwargs) -> CheckpointPolicy:
        return CheckpointPolicy.MUST_SAVE if op in saved else CheckpointPolicy.PREFER_RECOMPUTE

    x, h = (torch.randn(n, size, device=device, requires_grad=True) for size in (7, 16))
    leaves = [x, h, *cell.parameters()]
    state = checkpoint(cell, x, h, use_reentrant=False, context_fn=lambda: create_selective_checkpoint_contexts(policy))
    exact = _grads(reference_cell(*leaves), leaves)
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(_grads(state, leaves), exact, strict=True))


@pytest.mark.parametrize("saved", _SAVED)
@pytest.mark.parametrize("n", [5, 20])
def test_selective_checkpointing(saved: str, n: int, device: torch.device) -> None:
    """Whatever the policy keeps, the gradients are right. torch's own cell writes into a product that was kept."""
    _, ours = cell_pair(7, 16, device=device)
    ops = {getattr(torch.ops.gru_ext, op).default if isinstance(op, str) else op for op in _SAVED[saved]}
    assert _selective_error(ours, ops, n, device) < 1e-5
