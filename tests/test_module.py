"""The class: constructor, initial weights, state dict, printing and derived classes are torch's."""

import inspect
from typing import Any

import pytest
import torch
from reference import gru_cell as reference_cell
from samples import DTYPES, cell_pair
from tolerances import assert_value
from torch import Tensor, nn

import gru_ext

OPTIONS = [{}, {"bias": False}, {"dtype": torch.float64}, {"dtype": torch.bfloat16, "bias": False}]


def test_is_a_torch_cell_with_a_docstring_of_its_own() -> None:
    assert issubclass(gru_ext.GRUCell, nn.GRUCell)
    assert gru_ext.GRUCell.__doc__ and gru_ext.GRUCell.__doc__ != nn.GRUCell.__doc__

    class Documented(gru_ext.GRUCell):  # as torchrl does when it is imported
        __doc__ = "More.\n"
        __doc__ += gru_ext.GRUCell.__doc__

    assert Documented.__doc__.startswith("More.")


def test_signatures() -> None:
    for method in ("__init__", "forward"):
        theirs, ours = (inspect.signature(getattr(cell, method)) for cell in (nn.GRUCell, gru_ext.GRUCell))
        assert list(ours.parameters) == list(theirs.parameters)
        for name, parameter in theirs.parameters.items():
            assert ours.parameters[name].default == parameter.default, name
            assert ours.parameters[name].kind == parameter.kind, name


def test_constructor_arguments() -> None:
    device = torch.device("cpu")
    for cell in (
        gru_ext.GRUCell(3, 4, True, device, torch.float64),
        gru_ext.GRUCell(input_size=3, hidden_size=4, bias=True, device="cpu", dtype=torch.float64),
        gru_ext.GRUCell(torch.prod(torch.tensor([1, 3])), torch.tensor(4), dtype=torch.float64),  # as speechbrain does
    ):
        assert cell.weight_ih.shape == (12, 3) and cell.weight_hh.shape == (12, 4)
        assert cell(torch.randn(2, 3, dtype=torch.float64)).shape == (2, 4)
    assert gru_ext.GRUCell(10, 0)(torch.randn(2, 10)).shape == (2, 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(3, 4), (10, 0), (0, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_initial_weights_and_random_state_are_bit_identical(dtype: torch.dtype, sizes: tuple[int, int], bias: bool) -> None:
    made = {}
    for cls in (nn.GRUCell, gru_ext.GRUCell):
        torch.manual_seed(7)
        cell = cls(*sizes, bias=bias, dtype=dtype)
        first = [p.clone() for p in cell.parameters()]
        cell.reset_parameters()
        made[cls] = first + list(cell.parameters()) + [torch.get_rng_state()]
    for theirs, ours in zip(*made.values(), strict=True):
        assert torch.equal(theirs, ours)


@pytest.mark.parametrize("options", OPTIONS)
def test_parameters_and_state_dict(options: dict[str, Any]) -> None:
    theirs, ours = nn.GRUCell(3, 4, **options), gru_ext.GRUCell(3, 4, **options)
    assert [(n, p.shape, p.dtype) for n, p in ours.named_parameters()] == [
        (n, p.shape, p.dtype) for n, p in theirs.named_parameters()
    ]
    assert list(ours._parameters) == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    if "bias" in options:
        assert ours.bias_ih is None and ours.bias_hh is None
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert ours.state_dict()._metadata == theirs.state_dict()._metadata == {"": {"version": 1}}
    assert all(p.requires_grad and p.is_leaf and isinstance(p, nn.Parameter) for p in ours.parameters())


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("assign", [False, True])
def test_checkpoints_load_both_ways(options: dict[str, Any], assign: bool, tmp_path) -> None:
    classes = (nn.GRUCell, gru_ext.GRUCell)
    for saved, loaded in (classes, classes[::-1]):
        source, target = saved(3, 4, **options), loaded(3, 4, **options)
        torch.save(source.state_dict(), tmp_path / "cell.pt")
        state = torch.load(tmp_path / "cell.pt", weights_only=True, mmap=True)
        assert str(target.load_state_dict(state, strict=True, assign=assign)) == "<All keys matched successfully>"
        for one, other in zip(source.parameters(), target.parameters(), strict=True):
            assert torch.equal(one, other)
        x = torch.randn(2, 3, dtype=options.get("dtype"))
        assert target(x).shape == (2, 4)


def test_wrong_checkpoints_are_refused_with_torchs_words() -> None:
    def refusal(cls: type, state: dict[str, Tensor]) -> str:
        with pytest.raises(RuntimeError) as error:
            cls(3, 4).load_state_dict(state)
        return str(error.value)

    for state in (nn.GRUCell(3, 5).state_dict(), nn.GRUCell(3, 4, bias=False).state_dict(), nn.LSTMCell(3, 4).state_dict()):
        assert refusal(gru_ext.GRUCell, state) == refusal(nn.GRUCell, state)


@pytest.mark.parametrize("bias", [True, False, 0, 1, "relu", None])
def test_printing_and_stored_options(bias: Any) -> None:
    theirs, ours = nn.GRUCell(10, 20, bias), gru_ext.GRUCell(10, 20, bias)
    assert repr(ours) == repr(theirs)
    assert ours.extra_repr() == theirs.extra_repr()
    assert ours.bias is bias
    assert (ours.input_size, ours.hidden_size) == (10, 20)
    assert repr(nn.Sequential(ours)) == repr(nn.Sequential(theirs))


def test_constants() -> None:
    assert gru_ext.GRUCell.__constants__ == nn.GRUCell.__constants__ == ["input_size", "hidden_size", "bias"]


class _Wrapper:
    """The part of DI-engine's recurrent wrapper that matters here: a second base with a method of its own."""

    def step(self, xs: list[Tensor]) -> Tensor:
        h = None
        for x in xs:
            h = self(x, h)
        return h


def test_multiple_inheritance_and_unbound_forward() -> None:
    class Cell(gru_ext.GRUCell, _Wrapper):
        def __init__(self, input_size: int, hidden_size: int) -> None:
            super().__init__(input_size, hidden_size)
            self.calls = 0

        def forward(self, x: Tensor, h: Tensor = None) -> Tensor:
            self.calls += 1
            return gru_ext.GRUCell.forward(self, x, h)

        def __repr__(self) -> str:
            return "mine"

    cell, xs = Cell(3, 4), list(torch.randn(5, 2, 3))
    expected = None
    for x in xs:
        expected = reference_cell(x, expected, *cell.parameters())
    assert_value(cell.step(xs), expected, steps=5)
    assert cell.calls == 5 and repr(cell) == "mine"

    class Other(_Wrapper, nn.GRUCell):  # torch's class on the way to ours: the method works on any cell
        forward = gru_ext.GRUCell.forward

    other = Other(3, 4)
    assert_value(other(xs[0]), reference_cell(xs[0], None, *other.parameters()))


def test_module_hooks() -> None:
    _, cell = cell_pair(3, 4)
    seen = []
    cell.register_forward_pre_hook(lambda module, args, kwargs: seen.append(("pre", len(args), list(kwargs))), with_kwargs=True)
    cell.register_forward_hook(lambda module, args, kwargs, out: seen.append(("post", out.shape)), with_kwargs=True)
    cell.register_full_backward_hook(lambda module, grad_in, grad_out: seen.append(("backward", len(grad_in), len(grad_out))))
    x = torch.randn(2, 3, requires_grad=True)
    cell(x, hx=torch.randn(2, 4)).sum().backward()
    assert seen == [("pre", 1, ["hx"]), ("post", (2, 4)), ("backward", 1, 1)]
    doubled = cell.register_forward_hook(lambda module, args, out: out * 2)
    twice = cell(x)
    doubled.remove()
    assert torch.equal(twice, cell(x) * 2)


def test_evaluation_mode_and_the_usual_methods() -> None:
    _, cell = cell_pair(3, 4)
    x = torch.randn(2, 3)
    trained = cell(x)
    assert torch.equal(cell.eval()(x), trained) and not cell.training
    assert cell.requires_grad_(False)(x).requires_grad is False
    assert cell.double().weight_hh.dtype == torch.float64
    assert cell(x.double()).dtype == torch.float64
    assert cell.half()(x.half()).dtype == torch.float16
    assert cell.to(torch.bfloat16)(x.bfloat16()).dtype == torch.bfloat16
    names = []
    cell.apply(lambda module: names.append(type(module)))
    assert names == [gru_ext.GRUCell]
