"""What a step keeps for its backward: how much, which tensors, and what edits between the passes do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from samples import cell_pair, sample_input
from torch import Tensor
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks

import gru_ext


@contextmanager
def _recorded() -> Iterator[list[Tensor]]:
    packed: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        packed.append(tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield packed


def _bytes_beyond(packed: list[Tensor], known: list[Tensor]) -> int:
    """Memory of whole storages, so that a slice that keeps a larger buffer alive counts in full."""
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in packed}
    for tensor in known:
        storages.pop(tensor.untyped_storage().data_ptr(), None)
    return sum(storages.values())


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["N50_I64_H64", "N50_I20_H37", "N5_I7_H17", "N1_I3_H4", "no_b_ih_b_hh", "no_b_hh", "1d"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_at_most_four_numbers_per_unit(name: str, dtype: torch.dtype) -> None:
    sample = sample_input(name, dtype, requires_grad=True)
    with _recorded() as packed:
        state = gru_ext.gru_cell(*sample.args)
    assert packed
    beyond = _bytes_beyond(packed, list(sample.leaves.values()))
    assert 0 < beyond <= 4 * state.numel() * dtype.itemsize
    assert all(t.untyped_storage().data_ptr() != state.untyped_storage().data_ptr() for t in packed), "the output is saved"


@pytest.mark.compiled
def test_less_than_torch() -> None:
    theirs, ours = cell_pair(64, 64)
    x, h = torch.randn(50, 64, requires_grad=True), torch.randn(50, 64, requires_grad=True)
    kept = {}
    for cell in (theirs, ours):
        with _recorded() as packed:
            cell(x, h)
        kept[cell] = _bytes_beyond(packed, [x, h, *cell.parameters()])
    assert kept[ours] < kept[theirs]


def test_nothing_without_gradients() -> None:
    _, cell = cell_pair(64, 64)
    x, h = torch.randn(50, 64), torch.randn(50, 64)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode(), _recorded() as packed:
            state = cell(x, h)
        assert not packed and state.grad_fn is None
    cell.requires_grad_(False)
    with _recorded() as packed:
        assert cell(x, h).grad_fn is None
    assert not packed


@pytest.mark.compiled
def test_freed_with_the_output() -> None:
    """Nothing else holds on to the saved numbers: dropping the output gives the memory back."""
    import weakref

    _, cell = cell_pair(8, 8)
    with _recorded() as packed:
        state = cell(torch.randn(2, 8))
    held = [weakref.ref(t) for t in packed]
    packed.clear()
    assert any(t() is not None for t in held)
    del state
    parameters = {id(p) for p in cell.parameters()}
    assert all(t() is None or id(t()) in parameters for t in held)


@pytest.mark.parametrize("to_cpu", [False, True])
def test_saved_tensors_hooks_see_and_may_change_everything(to_cpu: bool) -> None:
    _, cell = cell_pair(3, 4)
    x = torch.randn(2, 3, requires_grad=True)
    (expected,) = torch.autograd.grad(cell(x).sum(), x)
    through_numpy = saved_tensors_hooks(lambda t: t.detach().numpy().copy(), torch.from_numpy)
    with save_on_cpu() if to_cpu else through_numpy:
        state = cell(x)
    (actual,) = torch.autograd.grad(state.sum(), x)
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("edited", ["x", "h", "w_ih", "w_hh"])
def test_editing_what_was_saved_is_noticed(edited: str) -> None:
    _, cell = cell_pair(3, 4)
    leaves = {"x": torch.randn(2, 3, requires_grad=True), "h": torch.randn(2, 4, requires_grad=True)}
    named = {"w_ih": cell.weight_ih, "w_hh": cell.weight_hh} | {name: leaf.clone() for name, leaf in leaves.items()}
    state = cell(named["x"], named["h"])
    with torch.no_grad():
        named[edited].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        state.sum().backward()


def _relu(state: Tensor) -> Tensor:
    return state.relu_()


def _view(state: Tensor) -> Tensor:
    state[..., 0].zero_()
    return state


def _scaled(state: Tensor) -> Tensor:
    return state.mul_(2).add_(1)


@pytest.mark.parametrize("edit", [_relu, _view, _scaled])
@pytest.mark.parametrize("shape", [(2, 3), (3,)])
def test_editing_the_output_is_allowed(edit: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> None:
    """AttentiveFP writes `gru(h, x).relu_()`."""
    theirs, ours = cell_pair(3, 4)
    x = torch.randn(shape)
    grads = []
    for cell in (theirs, ours):
        x_ = x.clone().requires_grad_()
        edit(cell(x_)).square().sum().backward()
        grads.append([x_.grad, *(p.grad for p in cell.parameters())])
    for expected, actual in zip(*grads, strict=True):
        torch.testing.assert_close(actual, expected)
