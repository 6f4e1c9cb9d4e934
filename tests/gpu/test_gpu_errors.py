"""Bad arguments on CUDA: the errors of the CPU, before any kernel is launched; tensors on two devices are named."""

from collections.abc import Callable

import pytest
import torch
from kernels_seen import kernels_of
from samples import ARGUMENTS, cell_pair
from torch import Tensor

import gru_ext

Change = Callable[[dict[str, Tensor]], None]


def _arguments(device: torch.device, n: int = 3) -> dict[str, Tensor]:
    shapes = [(n, 10), (n, 20), (60, 10), (60, 20), (60,), (60,)]
    return {name: torch.zeros(shape, device=device) for name, shape in zip(ARGUMENTS, shapes, strict=True)}


def _shape(name: str, *shape: int) -> Change:
    def change(arguments: dict[str, Tensor]) -> None:
        arguments[name] = arguments[name].new_zeros(shape)

    return change


def _dtype(name: str, dtype: torch.dtype) -> Change:
    def change(arguments: dict[str, Tensor]) -> None:
        arguments[name] = arguments[name].to(dtype)

    return change


SIZES: dict[str, Change] = {
    "input size": _shape("input", 3, 11),
    "hidden size": _shape("hx", 3, 21),
    "batch": _shape("hx", 5, 20),
    "batch of one state": _shape("hx", 1, 20),
    "rank of the input": _shape("input", 3, 10, 1),
    "rank of the state": _shape("hx", 1, 3, 20),
    "one-dimensional state": _shape("hx", 20),
    "one-dimensional input": _shape("input", 10),
    "rows of w_ih": _shape("w_ih", 61, 10),
    "rows of w_hh": _shape("w_hh", 61, 20),
    "columns of w_hh": _shape("w_hh", 60, 21),
}
# Here torch's own products complain, on each device in their own words.
OTHERS: dict[str, Change] = {
    "length of b_ih": _shape("b_ih", 61),
    "length of b_hh": _shape("b_hh", 61),
    "dtype of the input": _dtype("input", torch.float64),
    "dtype of the state": _dtype("hx", torch.bfloat16),
    "dtype of w_hh": _dtype("w_hh", torch.float16),
    "whole numbers": _dtype("input", torch.int64),
}


def _refusal(change: Change, device: torch.device) -> tuple[type[BaseException], str]:
    arguments = _arguments(device)
    change(arguments)
    with pytest.raises(Exception) as caught:
        gru_ext.gru_cell(*arguments.values())
    return caught.type, str(caught.value).splitlines()[0]


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("name", SIZES)
def test_same_error_as_on_the_cpu(name: str, grad: bool, device: torch.device) -> None:
    with torch.set_grad_enabled(grad):
        assert _refusal(SIZES[name], device) == _refusal(SIZES[name], torch.device("cpu"))


@pytest.mark.parametrize("name", OTHERS)
def test_refused_as_on_the_cpu(name: str, device: torch.device) -> None:
    assert _refusal(OTHERS[name], device)[0] is _refusal(OTHERS[name], torch.device("cpu"))[0]


@pytest.mark.parametrize("shape", [((3, 11), (3, 20)), ((3, 10), (5, 20)), ((3, 10), (3, 21)), ((1, 3, 10), (3, 20))])
def test_same_error_as_torch(shape: tuple[tuple[int, ...], tuple[int, ...]], device: torch.device) -> None:
    messages = []
    for cell in cell_pair(10, 20, device=device):
        with pytest.raises((RuntimeError, ValueError)) as caught:
            cell(*(torch.zeros(size, device=device) for size in shape))
        messages.append((caught.type, str(caught.value).splitlines()[0]))
    assert messages[0] == messages[1]


@pytest.mark.cuda_only
@pytest.mark.parametrize("name", SIZES)
def test_nothing_is_launched_before_a_size_is_refused(name: str, device: torch.device) -> None:
    arguments = _arguments(device)
    SIZES[name](arguments)

    def call() -> None:
        with pytest.raises((RuntimeError, ValueError)):
            gru_ext.gru_cell(*arguments.values())

    assert kernels_of(call) == []


@pytest.mark.cuda_only
@pytest.mark.parametrize("n", [3, 20])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("astray", ARGUMENTS)
def test_two_devices_are_named(astray: str, grad: bool, n: int, device: torch.device) -> None:
    """In one sentence, and before anything is launched; whichever argument is on the CPU, and the other way round."""
    here, there = _arguments(device, n), _arguments(torch.device("cpu"), n)
    for most, one in ((here, there), (there, here)):
        arguments = [(one if name == astray else most)[name].requires_grad_(grad) for name in ARGUMENTS]
        messages: list[str] = []

        def call(arguments: list[Tensor] = arguments, messages: list[str] = messages) -> None:
            with pytest.raises(RuntimeError) as caught:
                gru_ext.gru_cell(*arguments)
            messages.append(str(caught.value))

        assert kernels_of(call) == []
        for message in messages:
            assert "cpu" in message and "cuda:0" in message and len(message.splitlines()) == 1, message


def test_the_inner_ops_check_too(device: torch.device) -> None:
    """They are reachable through torch.ops: whatever they are given, they answer or raise."""
    x, h, w_ih, w_hh, b_ih, b_hh = _arguments(device).values()
    forward, backward = torch.ops.gru_ext._cell_forward, torch.ops.gru_ext._cell_backward
    _, saved = forward(x, h, w_ih, w_hh, b_ih, b_hh, True)
    good = [h, saved, x, h, w_ih, w_hh]
    backward(*good, [True] * 6)
    for place, tensor in enumerate(good):
        for wrong in (tensor[:, :-1], tensor[:-1], tensor[0], tensor.double(), tensor.unsqueeze(0)):
            bad = [*good[:place], wrong, *good[place + 1 :]]
            with pytest.raises((RuntimeError, IndexError)):
                backward(*bad, [True] * 6)
    for place, tensor in enumerate((x, h, w_ih, w_hh, b_ih, b_hh)):
        bad = [x, h, w_ih, w_hh, b_ih, b_hh]
        bad[place] = tensor.double()
        with pytest.raises(RuntimeError):
            forward(*bad, True)


@pytest.mark.cuda_only
def test_an_error_leaves_the_device_usable(device: torch.device) -> None:
    for change in SIZES.values():
        _refusal(change, device)
    torch.cuda.synchronize()
    assert not gru_ext.gru_cell(*_arguments(device).values()).any()
