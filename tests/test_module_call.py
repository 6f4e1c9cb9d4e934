"""A call of the module goes a short way to the op where torch.nn.Module would only call `forward`, and only there."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
import torch
from samples import cell_pair
from torch import Tensor, nn
from torch.nn.modules import module as modules

import gru_ext


def short_way(cell: nn.Module, *args: object, **kwargs: object) -> Any:
    return gru_ext._C.cell_call(cell, args, kwargs)


@pytest.fixture
def cell() -> gru_ext.GRUCell:
    cell = cell_pair(3, 4)[1]
    assert short_way(cell, torch.randn(2, 3)) is not NotImplemented  # whatever a test then does is what makes it decline
    return cell


class Derived(gru_ext.GRUCell):
    """Adds nothing that a call could see."""


@pytest.mark.parametrize("cls", [gru_ext.GRUCell, Derived])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(2, 3), (3,)])
@pytest.mark.parametrize("with_state", [True, False, None])
def test_is_taken_by_ordinary_calls(cls: type, bias: bool, shape: tuple[int, ...], with_state: bool) -> None:
    cell, x = cls(3, 4, bias), torch.randn(shape)
    state = {True: (torch.randn(*shape[:-1], 4),), False: (), None: (None,)}[with_state]
    y = short_way(cell, x, *state)
    assert torch.equal(y, cell(x, *state)) and torch.equal(y, cell.forward(x, *state))
    assert y.grad_fn is not None


HOOKS: dict[str, Callable[[nn.Module, Callable], Any]] = {
    "forward_pre": lambda cell, hook: cell.register_forward_pre_hook(hook),
    "forward": lambda cell, hook: cell.register_forward_hook(hook),
    "backward_pre": lambda cell, hook: cell.register_full_backward_pre_hook(hook),
    "backward": lambda cell, hook: cell.register_full_backward_hook(hook),
    "forward_pre_of_all": lambda cell, hook: modules.register_module_forward_pre_hook(hook),
    "forward_of_all": lambda cell, hook: modules.register_module_forward_hook(hook),
    "backward_pre_of_all": lambda cell, hook: modules.register_module_full_backward_pre_hook(hook),
    "backward_of_all": lambda cell, hook: modules.register_module_full_backward_hook(hook),
}


@pytest.mark.parametrize("kind", HOOKS)
def test_hooks_run(cell: gru_ext.GRUCell, kind: str) -> None:
    x, seen = torch.randn(2, 3, requires_grad=True), []

    def hook(module: nn.Module, *_: object) -> None:
        seen.append(module)

    handle = HOOKS[kind](cell, hook)
    try:
        assert short_way(cell, x) is NotImplemented
        cell(x).sum().backward()
    finally:
        handle.remove()
    assert seen == [cell]
    cell(x).sum().backward()
    assert seen == [cell] and short_way(cell, x) is not NotImplemented


def another_forward(self: nn.Module, input: Tensor, hx: Tensor = None) -> str:
    return "another"


def test_a_forward_of_the_object(cell: gru_ext.GRUCell) -> None:
    cell.forward = another_forward.__get__(cell)
    assert cell(torch.randn(2, 3)) == "another"
    del cell.forward
    assert isinstance(cell(torch.randn(2, 3)), Tensor)


def test_a_forward_of_a_derived_class() -> None:
    class Another(gru_ext.GRUCell):
        forward = another_forward

    assert Another(3, 4)(torch.randn(2, 3)) == "another"


def test_a_forward_put_into_the_class(cell: gru_ext.GRUCell) -> None:
    with mock.patch.object(gru_ext.GRUCell, "forward", another_forward):
        assert cell(torch.randn(2, 3)) == "another"
    assert isinstance(cell(torch.randn(2, 3)), Tensor)


@pytest.mark.parametrize("method", ["__call__", "_call_impl"])
def test_a_call_put_into_torchs_module(cell: gru_ext.GRUCell, method: str) -> None:
    with mock.patch.object(nn.Module, method, lambda self, *args: "another"):
        assert cell(torch.randn(2, 3)) == "another"
    assert isinstance(cell(torch.randn(2, 3)), Tensor)


def test_a_compiled_call(cell: gru_ext.GRUCell) -> None:
    graphs = []
    cell.compile(backend=lambda graph, inputs: graphs.append(graph) or graph.forward, fullgraph=True)
    x = torch.randn(2, 3)
    assert torch.equal(cell(x), cell.forward(x)) and len(graphs) == 1


def test_keywords(cell: gru_ext.GRUCell) -> None:
    x, h = torch.randn(2, 3), torch.randn(2, 4)
    assert short_way(cell, x, hx=h) is NotImplemented
    assert torch.equal(cell(x, hx=h), cell(x, h)) and torch.equal(cell(hx=h, input=x), cell(x, h))


def test_weights_that_are_computed(cell: gru_ext.GRUCell) -> None:
    x = torch.randn(2, 3)
    expected = cell(x)
    nn.utils.parametrizations.weight_norm(cell, "weight_hh")
    assert short_way(cell, x) is NotImplemented
    torch.testing.assert_close(cell(x), expected)


SWAPPED = """
import threading, torch, gru_ext
torch.set_num_threads(1)
cell, x, h = gru_ext.GRUCell(2048, 2048), torch.randn(1, 2048), torch.randn(1, 2048)
stop = threading.Event()

def swap():
    while not stop.wait(0.0005):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            setattr(cell, name, torch.nn.Parameter(torch.zeros_like(getattr(cell, name))))

thread = threading.Thread(target=swap)
thread.start()
with torch.no_grad():
    for _ in range(60):
        cell(x, h)
stop.set()
thread.join()
assert torch.equal(cell(x, h), h / 2)  # with weights of zero z is 1/2 and n is 0
"""


def test_weights_may_be_swapped_while_a_step_computes() -> None:
    # In a process of its own: what it guards against is a crash.
    run = subprocess.run([sys.executable, "-c", SWAPPED], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("way", ["call", "forward", "function"])
def test_other_threads_run_while_a_step_computes(way: str) -> None:
    cell, x, h = gru_ext.GRUCell(1024, 1024), torch.randn(8, 1024), torch.randn(8, 1024)
    step = {"call": cell, "forward": cell.forward, "function": lambda x, h: gru_ext.gru_cell(x, h, *cell.parameters())}[way]
    ready, go, ran = threading.Event(), threading.Event(), []

    def other() -> None:
        ready.set()
        go.wait()
        ran.append(True)

    thread, interval = threading.Thread(target=other), sys.getswitchinterval()
    thread.start()
    ready.wait()
    time.sleep(0.1)  # it waits for `go` then, and not for the interpreter
    try:
        sys.setswitchinterval(3600)  # seconds: from now on the thread gets the interpreter only where it is given away
        go.set()
        kept: list[Tensor] = []  # torch gives the interpreter away to free a tensor too
        while not ran and len(kept) < 500:
            kept.append(step(x, h))
        assert ran
    finally:
        sys.setswitchinterval(interval)
        thread.join()


def test_mistakes_are_what_they_are_without_it(cell: gru_ext.GRUCell) -> None:
    x, h = torch.randn(2, 3), torch.randn(2, 4)
    for args, kwargs in [
        ((), {}),
        ((x, h, h), {}),
        ((x,), {"state": h}),
        ((x, h), {"hx": h}),
        ((None,), {}),
        ((x, "h"), {}),
        ((x[:, :2],), {}),
    ]:
        raised = []
        for call in (cell, cell.forward):
            with pytest.raises(Exception) as error:
                call(*args, **kwargs)
            raised.append((type(error.value), str(error.value)))
        assert raised[0] == raised[1]


def test_c_functions_refuse_what_is_no_cell(cell: gru_ext.GRUCell) -> None:
    x = torch.randn(2, 3)
    assert gru_ext._C.cell_call(cell, x, {}) is NotImplemented
    assert gru_ext._C.cell_call(cell, (x,), None) is NotImplemented
    assert short_way(nn.Linear(3, 4), x) is NotImplemented
    assert short_way(nn.GRUCell(3, 4), x) is NotImplemented
    assert gru_ext._C.cell_forward(nn.Linear(3, 4), x, None) is NotImplemented
    for call in (lambda: short_way(object(), x), lambda: gru_ext._C.cell_forward(3, x, None)):
        with pytest.raises(AttributeError, match="__dict__"):
            call()
    for call in (gru_ext._C.cell_call, gru_ext._C.cell_forward, gru_ext._C.cell_class, gru_ext._C.gru_cell):
        with pytest.raises(TypeError, match=f"{call.__name__}: expected [136] arguments, got 2"):
            call(cell, x)
    with pytest.raises(AttributeError, match="forward"):
        gru_ext._C.cell_class(3)
    assert short_way(cell, x) is not NotImplemented
