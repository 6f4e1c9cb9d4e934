"""Swapping torch's cell for ours: in models that exist, and in models that are built within `patch`."""

import copy

import pytest
import torch
from reference import gru_cell as reference_cell
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

import gru_ext


class Decoder(nn.Module):
    """Stacked cells, one of them tied into a second place, beside layers that are no cells."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 4)
        self.cells = nn.ModuleList([nn.GRUCell(4, 5), nn.GRUCell(5, 5, bias=False)])
        self.again = self.cells[1]
        self.others = nn.ModuleDict({"lstm": nn.LSTMCell(4, 5), "rnn": nn.RNNCell(4, 5), "gru": nn.GRU(4, 5)})

    def forward(self, x: Tensor) -> Tensor:
        h = self.cells[0](self.embed(x))
        return self.again(self.cells[1](h), h)


def test_replaces_every_exact_cell_once() -> None:
    model = Decoder()
    before = {name: module for name, module in model.named_modules(remove_duplicate=False)}
    x = torch.randn(2, 3)
    expected = model(x)
    assert gru_ext.replace(model) == 2
    after = {name: module for name, module in model.named_modules(remove_duplicate=False)}
    assert all(after[name] is module for name, module in before.items()) and len(after) == len(before)
    assert type(model.cells[0]) is type(model.cells[1]) is gru_ext.GRUCell
    assert model.again is model.cells[1]
    assert [type(m) for m in model.others.values()] == [nn.LSTMCell, nn.RNNCell, nn.GRU]
    torch.testing.assert_close(model(x), expected)
    assert gru_ext.replace(model) == 0


def test_the_model_itself_may_be_the_cell() -> None:
    cell = nn.GRUCell(3, 4)
    x = torch.randn(2, 3)
    expected = reference_cell(x, None, *cell.parameters())
    assert gru_ext.replace(cell) == 1
    assert type(cell) is gru_ext.GRUCell
    torch.testing.assert_close(cell(x).double(), expected, rtol=0, atol=1e-6)


def test_parameters_and_state_dict_are_the_same_objects() -> None:
    model = Decoder()
    parameters, keys = list(model.parameters()), list(model.state_dict())
    gru_ext.replace(model)
    assert all(one is other for one, other in zip(parameters, model.parameters(), strict=True))
    assert list(model.state_dict()) == keys
    assert repr(model) == repr(Decoder())


def test_an_optimizer_made_before_goes_on_training() -> None:
    model = Decoder()
    twin = copy.deepcopy(model)
    losses = {}
    for network in (model, twin):
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        if network is model:
            assert gru_ext.replace(network) == 2
        torch.manual_seed(1)
        losses[network] = []
        for _ in range(5):
            loss = network(torch.randn(8, 3)).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[network].append(loss.detach())
    torch.testing.assert_close(torch.stack(losses[model]), torch.stack(losses[twin]))
    assert losses[model][-1] < losses[model][0]


def test_hooks_are_kept() -> None:
    cell = nn.GRUCell(3, 4)
    seen = []
    cell.register_forward_pre_hook(lambda *_: seen.append("pre"))
    cell.register_forward_hook(lambda *_: seen.append("post"))
    cell.register_full_backward_hook(lambda *_: seen.append("backward"))
    cell.weight_hh.register_hook(lambda grad: seen.append("weight"))
    cell.weight_ih.register_post_accumulate_grad_hook(lambda parameter: seen.append("accumulated"))
    cell.register_state_dict_pre_hook(lambda *_: seen.append("state"))
    gru_ext.replace(cell)
    cell(torch.randn(2, 3, requires_grad=True)).sum().backward()
    cell.state_dict()
    assert sorted(seen) == ["accumulated", "backward", "post", "pre", "state", "weight"]


@pytest.mark.parametrize("training", [True, False])
def test_mode_attributes_and_dtype_are_kept(training: bool) -> None:
    cell = nn.GRUCell(3, 4, dtype=torch.float64).train(training).requires_grad_(False)
    cell.remark = "mine"
    gru_ext.replace(nn.Sequential(cell))
    assert cell.training is training and cell.remark == "mine"
    assert cell.weight_ih.dtype == torch.float64 and not cell.weight_ih.requires_grad


def test_cells_with_code_of_their_own_are_left_alone() -> None:
    class Custom(nn.GRUCell):
        def forward(self, input: Tensor, hx: Tensor = None) -> Tensor:
            return super().forward(input, hx) * 2

    model = nn.ModuleList([Custom(3, 4), gru_ext.GRUCell(3, 4)])
    assert gru_ext.replace(model) == 0
    assert type(model[0]) is Custom


def test_parametrized_cells_stay_parametrized() -> None:
    cell, untouched = nn.GRUCell(3, 4), nn.GRUCell(3, 4)
    parametrizations.weight_norm(cell, "weight_hh")
    parametrizations.orthogonal(cell, "weight_ih")
    model = nn.Sequential(cell, untouched)
    x, h = torch.randn(2, 3), torch.randn(2, 4)
    expected, parameters = cell(x, h), list(cell.parameters())
    assert gru_ext.replace(model) == 2
    assert isinstance(cell, gru_ext.GRUCell) and parametrize.is_parametrized(cell, "weight_hh")
    assert all(one is other for one, other in zip(parameters, cell.parameters(), strict=True))
    torch.testing.assert_close(cell(x, h), expected)
    cell(x, h).sum().backward()
    assert all(p.grad is not None for p in parameters)
    parametrizations.weight_norm(untouched, "weight_hh")
    parametrize.remove_parametrizations(cell, "weight_hh")
    parametrize.remove_parametrizations(cell, "weight_ih")
    assert type(cell) is gru_ext.GRUCell
    torch.testing.assert_close(cell(x, h), expected)


def test_a_parametrized_cell_with_code_of_its_own_is_left_alone() -> None:
    class Custom(nn.GRUCell):
        def forward(self, input: Tensor, hx: Tensor = None) -> Tensor:
            return super().forward(input, hx) * 2

    cell = Custom(3, 4)
    parametrizations.weight_norm(cell, "weight_hh")
    assert gru_ext.replace(cell) == 0
    assert isinstance(cell, Custom)


def test_pruned_cells() -> None:
    cell = nn.GRUCell(3, 4)
    prune.l1_unstructured(cell, "weight_hh", 0.5)
    x, h = torch.randn(2, 3), torch.randn(2, 4)
    expected = cell(x, h)
    assert gru_ext.replace(cell) == 1
    torch.testing.assert_close(cell(x, h), expected)
    assert (cell.weight_hh == 0).sum() == 24


def test_replaced_models_copy_and_load() -> None:
    model = Decoder()
    plain = copy.deepcopy(model)
    gru_ext.replace(model)
    twin = copy.deepcopy(model)
    assert type(twin.again) is gru_ext.GRUCell and twin.again is twin.cells[1]
    plain.load_state_dict(twin.state_dict())
    twin.load_state_dict(plain.state_dict())


_HOMES = (nn, nn.modules, nn.modules.rnn)


def test_patch_builds_ours_and_undoes_itself() -> None:
    torch_cell = nn.GRUCell
    with gru_ext.patch():
        assert all(home.GRUCell is gru_ext.GRUCell for home in _HOMES)
        model = Decoder()
    assert all(home.GRUCell is torch_cell for home in _HOMES)
    assert type(model.cells[0]) is type(model.cells[1]) is gru_ext.GRUCell
    assert type(Decoder().cells[0]) is torch_cell
    assert model(torch.randn(2, 3)).shape == (2, 5)


def test_patch_draws_the_same_weights() -> None:
    torch.manual_seed(3)
    with gru_ext.patch():
        patched = Decoder()
    torch.manual_seed(3)
    for one, other in zip(Decoder().parameters(), patched.parameters(), strict=True):
        assert torch.equal(one, other)


def test_patch_undoes_itself_after_an_error_and_nests() -> None:
    torch_cell = nn.GRUCell
    with pytest.raises(KeyError), gru_ext.patch():
        raise KeyError
    assert nn.GRUCell is torch_cell
    with gru_ext.patch():
        with gru_ext.patch():
            assert nn.GRUCell is gru_ext.GRUCell
        assert nn.GRUCell is gru_ext.GRUCell
        assert type(gru_ext.GRUCell(3, 4)) is gru_ext.GRUCell
    assert nn.GRUCell is torch_cell


def test_classes_defined_within_patch_derive_from_ours() -> None:
    with gru_ext.patch():

        class Derived(nn.GRUCell):
            pass

    assert issubclass(Derived, gru_ext.GRUCell)
    assert Derived(3, 4)(torch.randn(2, 3)).shape == (2, 4)


def test_replace_within_patch() -> None:
    """Inside the context the name nn.GRUCell means ours; `replace` still has to find torch's."""
    model = Decoder()
    with gru_ext.patch():
        assert gru_ext.replace(model) == 2
        assert gru_ext.replace(model) == 0
        parametrized = nn.Sequential(parametrizations.weight_norm(gru_ext.GRUCell(3, 4), "weight_hh"))
        assert gru_ext.replace(parametrized) == 0
    assert type(model.again) is gru_ext.GRUCell
