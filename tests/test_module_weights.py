"""The weights are read afresh at every call, whatever replaced or computes them."""

from collections.abc import Callable

import pytest
import torch
from reference import gru_cell as reference_cell
from samples import cell_pair
from tolerances import assert_grad, assert_value
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

import gru_ext


def _weights(cell: nn.Module) -> list[Tensor]:
    return [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh]


def _in_place(cell: nn.Module) -> None:
    with torch.no_grad():
        cell.weight_hh.mul_(0.5)


def _data_in_place(cell: nn.Module) -> None:
    cell.weight_hh.data.mul_(0.5)  # no version counter moves


def _data_swapped(cell: nn.Module) -> None:
    cell.weight_hh.data = cell.weight_hh.data * 0.5


def _storage_set(cell: nn.Module) -> None:
    with torch.no_grad():
        cell.weight_hh.set_(cell.weight_hh.detach() * 0.5)


def _new_parameter(cell: nn.Module) -> None:
    cell.weight_hh = nn.Parameter(cell.weight_hh.detach() * 0.5)


def _plain_tensor(cell: nn.Module) -> None:
    weight = cell.weight_hh.detach() * 0.5
    del cell.weight_hh
    cell.weight_hh = weight


def _numpy_edit(cell: nn.Module) -> None:
    cell.weight_hh.detach().numpy()[...] *= 0.5


def _optimizer_step(cell: nn.Module) -> None:
    cell(torch.randn(2, 3)).sum().backward()
    torch.optim.SGD(cell.parameters(), lr=1.0).step()


def _vector(cell: nn.Module) -> None:
    vector = nn.utils.parameters_to_vector(cell.parameters())
    nn.utils.vector_to_parameters(vector * 0.5, cell.parameters())


def _another_cells_weight(cell: nn.Module) -> None:
    cell.weight_hh.data = nn.GRU(3, 4).weight_hh_l0.data  # as WaveRNN builds its sampling cell


@pytest.mark.parametrize(
    "change",
    [
        _in_place,
        _data_in_place,
        _data_swapped,
        _storage_set,
        _new_parameter,
        _plain_tensor,
        _numpy_edit,
        _optimizer_step,
        _vector,
        _another_cells_weight,
    ],
)
@pytest.mark.parametrize("grad", [True, False])
def test_changed_weights_count_at_once(change: Callable[[nn.Module], None], grad: bool) -> None:
    _, cell = cell_pair(3, 4)
    x, h = torch.randn(2, 3), torch.randn(2, 4)
    with torch.set_grad_enabled(grad):
        for _ in range(3):  # a cache, if there were one, would be filled by now
            before = cell(x, h).detach()
    with torch.enable_grad():
        change(cell)
    with torch.set_grad_enabled(grad):
        after = cell(x, h).detach()
    assert not torch.equal(before, after)
    assert_value(after, reference_cell(x, h, *_weights(cell)))


@pytest.mark.parametrize("name", ["weight_ih", "weight_hh"])
def test_weights_edited_between_forward_and_backward(name: str) -> None:
    """Opus SoftQuant adds noise to `.data` before the forward and takes it away after, so before the backward. torch's cell
    differentiates with the parameter as it then is, not with a copy made in the forward; so do we."""
    theirs, ours = cell_pair(3, 4)
    x, h = torch.randn(2, 3), torch.randn(2, 4)
    grads = []
    for cell in (theirs, ours):
        x_, h_ = x.clone().requires_grad_(), h.clone().requires_grad_()
        state = cell(x_, h_)
        getattr(cell, name).data[:] *= 3  # no version counter moves
        grads.append(torch.autograd.grad(state.sum(), [x_, h_, *cell.parameters()]))
    for expected, actual in zip(*grads, strict=True):
        torch.testing.assert_close(actual, expected)


def _doubled(cell: nn.Module) -> nn.Module:
    class Double(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight * 2

    return parametrize.register_parametrization(cell, "weight_ih", Double())


@pytest.mark.parametrize(
    "reparametrize",
    [
        _doubled,
        lambda cell: parametrizations.weight_norm(cell, "weight_hh"),
        lambda cell: parametrizations.spectral_norm(cell, "weight_hh"),
        lambda cell: parametrizations.orthogonal(cell, "weight_hh"),
        lambda cell: nn.utils.weight_norm(cell, "weight_hh"),
        lambda cell: nn.utils.spectral_norm(cell, "weight_hh"),
        lambda cell: prune.l1_unstructured(cell, "weight_hh", 0.5),
        lambda cell: prune.random_structured(cell, "weight_ih", 0.5, dim=0),
    ],
    ids=["own", "weight_norm", "spectral_norm", "orthogonal", "old_weight_norm", "old_spectral_norm", "prune_l1", "prune_rows"],
)
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_reparametrized_weights(reparametrize: Callable[[nn.Module], object]) -> None:
    cell = gru_ext.GRUCell(3, 4)
    reparametrize(cell)
    assert isinstance(cell, gru_ext.GRUCell)
    cell.eval()  # or spectral norm turns its vectors at every access
    x, h = torch.randn(2, 3), torch.randn(2, 4)
    parameters = list(cell.parameters())
    state, expected = cell(x, h), reference_cell(x, h, *_weights(cell))
    assert_value(state, expected)
    actual = torch.autograd.grad(state.sum(), parameters, retain_graph=True)
    exact = torch.autograd.grad(expected.sum(), parameters)
    for one, other in zip(actual, exact, strict=True):
        assert one.abs().max() > 0
        assert_grad(one, other.double())


def test_reparametrized_weights_are_trained_and_removed() -> None:
    cell = parametrizations.weight_norm(gru_ext.GRUCell(3, 4), "weight_hh")
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)
    x = torch.randn(2, 3)
    before = cell(x).detach()
    cell(x).sum().backward()
    optimizer.step()
    trained = cell(x).detach()
    assert not torch.equal(before, trained)
    parametrize.remove_parametrizations(cell, "weight_hh")
    assert type(cell) is gru_ext.GRUCell
    assert torch.equal(cell(x), trained)


def test_tied_weights() -> None:
    """One parameter in two places: gradients from both add up."""
    theirs, ours = cell_pair(4, 4)
    x, h = torch.randn(2, 4), torch.randn(2, 4)
    for cell in (theirs, ours):
        cell.weight_hh = cell.weight_ih
        cell(x, h).sum().backward()
    assert len(list(ours.parameters())) == 3
    torch.testing.assert_close(ours.weight_ih.grad, theirs.weight_ih.grad)


def test_shared_between_cells() -> None:
    _, one = cell_pair(3, 4)
    _, other = cell_pair(3, 4)
    other.weight_ih, other.weight_hh = one.weight_ih, one.weight_hh
    x = torch.randn(2, 3)
    with torch.no_grad():
        one.weight_ih.add_(0.5)
    assert_value(other(x), reference_cell(x, None, *_weights(other)))
