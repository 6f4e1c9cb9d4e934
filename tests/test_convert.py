"""What all converters share, torch's modules as a source, and RTNeural's JSON."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import gru_ext
from gru_ext import convert
from gru_ext.convert import agreement

I, H = 3, 4  # noqa: E741 (the project's names)
N, T = 2, 5


def cells_after(stack: gru_ext.GRUStack, x: Tensor) -> Tensor:
    """The last layer's states [T, N, H] for x [T, N, I], from zeros."""
    stream = nn.Sequential(*(gru_ext.StreamingGRU(cell, batch_size=x.size(1)) for cell in stack.cells()))
    with torch.no_grad():
        return torch.stack([stream(x_t) for x_t in x])


@pytest.mark.parametrize(
    "module",
    [
        nn.GRUCell(I, H),
        nn.GRUCell(I, H, bias=False),
        gru_ext.GRUCell(I, H, dtype=torch.bfloat16),
        gru_ext.ResetBeforeGRUCell(I, H),
        nn.GRU(I, H, num_layers=3),
        nn.GRU(I, H, num_layers=2, bias=False, batch_first=True, dropout=0.5),
        gru_ext.StreamingGRU(nn.GRU(I, H, num_layers=2)),
        nn.Sequential(gru_ext.StreamingGRU(nn.GRU(I, 7, num_layers=2)), gru_ext.StreamingGRU(nn.GRUCell(7, H))),
        [nn.GRU(I, 7, num_layers=2), nn.GRUCell(7, H)],
    ],
    ids=str,
)
def test_from_torch(module: object) -> None:
    stack = convert.from_torch(module)
    assert stack.reset_before == isinstance(module, gru_ext.ResetBeforeGRUCell)
    assert (stack.layers[0].input_size, stack.layers[-1].hidden_size) == (I, H)


def test_from_torch_shares_and_cells_copy() -> None:
    gru = nn.GRU(I, H)
    stack = convert.from_torch(gru)
    (cell,) = stack.cells()
    with torch.no_grad():
        gru.weight_ih_l0.add_(1)
    assert torch.equal(stack.layers[0].w_ih, gru.weight_ih_l0) and not stack.layers[0].w_ih.requires_grad
    assert not torch.equal(cell.weight_ih, gru.weight_ih_l0) and cell.weight_ih.requires_grad


def test_from_torch_like_the_module() -> None:
    gru = nn.GRU(I, H, num_layers=2)
    x = torch.randn(T, N, I)
    # Two layers, T steps, each a few epsilons off (tests/tolerances.py) of numbers below 1.
    atol = 2 * T * 5 * torch.finfo(torch.float32).eps
    torch.testing.assert_close(cells_after(convert.from_torch(gru), x), gru(x)[0].detach(), rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("module", "error", "text"),
    [
        (lambda: nn.GRU(I, H, bidirectional=True), ValueError, "bidirectional=True"),
        (lambda: nn.RNN(I, H), TypeError, "got torch.nn.modules.rnn.RNN"),
        (lambda: nn.RNNCell(I, H), TypeError, "got torch.nn.modules.rnn.RNNCell"),
        (lambda: [], ValueError, "one layer at least"),
        (lambda: gru_ext.GRUStack((gru_ext.GRUWeights(torch.zeros(3, 1), torch.zeros(3, 1)),)), TypeError, "got a GRUStack"),
    ],
)
def test_from_torch_refuses(module: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        convert.from_torch(module())


def changed(stack: gru_ext.GRUStack, change: Callable[[Tensor], Tensor], name: str) -> gru_ext.GRUStack:
    (layer,) = stack.layers
    return gru_ext.GRUStack(
        (gru_ext.GRUWeights(**{n: change(t) if n == name else t for n, t in layer.items()}),), stack.reset_before
    )


def rolled(tensor: Tensor) -> Tensor:
    return tensor.roll(tensor.size(0) // 3, 0)


def one_bit_off(tensor: Tensor) -> Tensor:
    return torch.nextafter(tensor, torch.tensor(math.inf))


@pytest.mark.parametrize("reset_before", [False, True])
@pytest.mark.parametrize("name", ["w_ih", "w_hh", "b_ih", "b_hh"])
@pytest.mark.parametrize("change", [agreement.zrh_to_rzn, rolled, one_bit_off])
def test_the_self_check_notices(change: Callable[[Tensor], Tensor], name: str, reset_before: bool) -> None:
    """Each tensor of a layer with two gates exchanged, with all three in another order, with float32 numbers one bit off."""
    kind = gru_ext.ResetBeforeGRUCell if reset_before else gru_ext.GRUCell
    stack = convert.from_torch(kind(I, H))
    layer = stack.layers[0]
    zrh = [agreement.zrh_to_rzn(tensor) for _, tensor in layer.items()]
    step = agreement.zrh_step(zrh[0].t(), zrh[1].t(), zrh[2], zrh[3], reset_after=not reset_before)
    agreement.check_agreement(stack, lambda x, h: [step(x, h[0])], "as it is")
    with pytest.raises(RuntimeError, match=r"test: layer 0 differs from its source by .*; rounding explains"):
        agreement.check_agreement(changed(stack, change, name), lambda x, h: [step(x, h[0])], "test")


def test_the_self_check_notices_the_place_of_the_reset_gate() -> None:
    stack = convert.from_torch(gru_ext.GRUCell(I, H))
    source = stack.cells()[0].double()
    other = gru_ext.GRUStack(stack.layers, reset_before=True)
    with pytest.raises(RuntimeError, match="test: layer 0 differs"):
        agreement.check_agreement(other, lambda x, h: [source(x, h[0])], "test")


def test_the_self_check_takes_nan_for_no_agreement() -> None:
    stack = convert.from_torch(gru_ext.GRUCell(I, H))
    with pytest.raises(RuntimeError, match="test: layer 0 differs from its source by nan"):
        agreement.check_agreement(stack, lambda x, h: [torch.full_like(h[0], math.nan)], "test")


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_the_self_check_lets_rounding_pass(scale: float) -> None:
    """Large layers, with weights up to saturation."""
    cell = gru_ext.GRUCell(200, 300)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.mul_(scale)
    convert.to_rtneural(cell)


def rtneural_forward(description: dict, x: list[float], state: list[list[float]]) -> list[float]:
    """RTNeural's GRULayer::forward (gru_eigen.h) in plain loops over what its parseJson takes from the JSON."""
    for layer, h in zip(description["layers"], state, strict=True):
        assert layer["type"] == "gru"
        size = layer["shape"][-1]
        kernel, recurrent, bias = layer["weights"]
        alpha = [b + sum(x[i] * kernel[i][j] for i in range(len(x))) for j, b in enumerate(bias[0])]
        beta = [b + sum(h[i] * recurrent[i][j] for i in range(size)) for j, b in enumerate(bias[1])]
        gamma = [1 / (1 + math.exp(-alpha[j] - beta[j])) for j in range(2 * size)]
        c = [math.tanh(alpha[2 * size + j] + gamma[size + j] * beta[2 * size + j]) for j in range(size)]
        h[:] = [c[j] + gamma[j] * (h[j] - c[j]) for j in range(size)]
        x = h
    return list(x)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("num_layers", [1, 3])
def test_to_rtneural(num_layers: int, bias: bool, tmp_path: Path) -> None:
    gru = nn.GRU(I, H, num_layers=num_layers, bias=bias)
    (tmp_path / "gru.json").write_text(json.dumps(convert.to_rtneural(gru)))
    description = json.loads((tmp_path / "gru.json").read_text())
    assert description["in_shape"] == [None, None, I]
    assert [layer["shape"] for layer in description["layers"]] == [[None, None, H]] * num_layers
    x = torch.randn(T, 1, I).double()
    expected = gru.double()(x)[0].detach()
    state = [[0.0] * H for _ in range(num_layers)]
    found = torch.tensor([[rtneural_forward(description, x_t[0].tolist(), state)] for x_t in x], dtype=torch.float64)
    # Sums of some ten terms below 3, and T steps in each layer: no more than a few hundred roundings, were they of one sign.
    torch.testing.assert_close(found, expected, rtol=0, atol=300 * torch.finfo(torch.float64).eps)


def test_rtneural_cannot_reset_before() -> None:
    with pytest.raises(ValueError, match="RTNeural has no GRU whose reset gate acts before the product"):
        convert.to_rtneural(gru_ext.ResetBeforeGRUCell(I, H))


def test_from_torch_runs_the_module_itself() -> None:
    """A hook makes it compute something else than its weights say."""
    gru = nn.GRU(I, H, num_layers=2)
    gru.register_forward_pre_hook(lambda module, args: (args[0] + 1, *args[1:]))
    with pytest.raises(RuntimeError, match="from_torch: layer 0 differs"):
        convert.from_torch(gru)
