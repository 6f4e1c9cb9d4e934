"""TorchScript and FX: scripted, traced, frozen, saved, on the lite interpreter, differentiated, with the same error texts."""

import copy
import io
from collections.abc import Callable
from typing import Optional

import pytest
import torch
from rollout import H, I, N, T, assert_like_torch, rollout_pair
from samples import cell_pair
from torch import Tensor, nn
from torch.jit.mobile import _load_for_lite_interpreter

import gru_ext

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*(torch.jit|Lite Interpreter).* is deprecated:DeprecationWarning"),
    # Of torch's own annotation of a module's constants.
    pytest.mark.filterwarnings("ignore:The TorchScript type system doesn't support instance-level annotations:UserWarning"),
]


def saved_and_loaded(module: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    file = io.BytesIO()
    torch.jit.save(module, file)
    file.seek(0)
    return torch.jit.load(file)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(N, I), (I,), (0, I)])
def test_scripted_cell(shape: tuple[int, ...], bias: bool) -> None:
    theirs, ours = cell_pair(I, H, bias=bias)
    scripted = torch.jit.script(ours)
    x, h = torch.randn(shape), torch.randn(*shape[:-1], H)
    for run in (scripted, saved_and_loaded(scripted)):
        assert_like_torch(run, run, theirs, x, h)
        assert_like_torch(run, run, theirs, x)


@pytest.mark.compiled
def test_scripted_function() -> None:
    """The functional form, called by a function of the user's."""
    theirs, ours = cell_pair(I, H)
    scripted = torch.jit.script(step)
    for args in ((torch.randn(N, I), torch.randn(N, H)), (torch.randn(I),)):
        assert_like_torch(lambda x, h=None: scripted(x, h, *ours.parameters()), ours, theirs, *args)


def step(x: Tensor, h: Optional[Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
    return gru_ext.gru_cell(x, h, w_ih, w_hh, b_ih, b_hh)


def test_scripted_loop() -> None:
    theirs, ours = rollout_pair()
    scripted = torch.jit.script(ours)
    for run in (scripted, saved_and_loaded(scripted)):
        for _ in range(3):  # the profiling executor specialises after the first runs
            assert_like_torch(run, run, theirs, torch.randn(T, N, I), torch.randn(N, H), steps=T)


def test_traced() -> None:
    theirs, ours = rollout_pair()
    traced = torch.jit.trace(ours, (torch.randn(T, N, I), torch.randn(N, H)))
    for run in (traced, saved_and_loaded(traced)):
        for n in (N, 1, 0, 9):
            assert_like_torch(run, run, theirs, torch.randn(T, n, I), torch.randn(n, H), steps=T)


@pytest.mark.compiled
@pytest.mark.parametrize("convert", [torch.jit.script, lambda m: torch.jit.trace(m, (torch.randn(T, N, I), torch.randn(N, H)))])
def test_the_graph_holds_one_op_per_step(convert: Callable[[nn.Module], torch.jit.ScriptModule]) -> None:
    _, ours = rollout_pair()
    graph = convert(ours).inlined_graph
    assert len(graph.findAllNodes("gru_ext::gru_cell")) == (1 if convert is torch.jit.script else T)
    assert not graph.findAllNodes("aten::linear")


def test_frozen() -> None:
    theirs, ours = rollout_pair()
    x, h = torch.randn(T, N, I), torch.randn(N, H)
    frozen = torch.jit.freeze(torch.jit.script(ours.eval()))
    optimized = torch.jit.optimize_for_inference(torch.jit.script(ours.eval()))
    for run in (frozen, saved_and_loaded(frozen), optimized):
        assert not list(run.parameters())
        for _ in range(3):
            assert_like_torch(run, run, theirs, x, h, steps=T, grads=False)


def test_lite_interpreter() -> None:
    theirs, ours = rollout_pair()
    module = _load_for_lite_interpreter(io.BytesIO(torch.jit.script(ours)._save_to_buffer_for_lite_interpreter()))
    assert_like_torch(module, ours, theirs, torch.randn(T, N, I), torch.randn(N, H), steps=T, grads=False)


def test_double_backward_of_a_scripted_loop() -> None:
    theirs, ours = rollout_pair(dtype=torch.float64)
    x, h = torch.randn(T, N, I, dtype=torch.float64), torch.randn(N, H, dtype=torch.float64)

    def second_order(model: nn.Module) -> tuple[Tensor, ...]:
        leaf = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(model(leaf, h).square().sum(), leaf, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), [leaf, *model.parameters()])

    scripted = torch.jit.script(ours)
    for _ in range(3):
        for got, want in zip(second_order(scripted), second_order(theirs), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-11)


def test_training_a_loaded_module() -> None:
    """No Python class of ours is left in it; its parameters still train."""
    theirs, ours = rollout_pair(dtype=torch.float64)
    loaded = saved_and_loaded(torch.jit.script(ours))
    batches = torch.randn(5, T, N, I, dtype=torch.float64)
    for model in (theirs, loaded):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for x in batches:
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
    for mine, other in zip(loaded.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


WRONG = {
    "input size": ((N, I + 1), (N, H)),
    "batch size": ((N, I), (N + 1, H)),
    "hidden size": ((N, I), (N, H + 1)),
    "rank of input": ((1, N, I), (N, H)),
    "rank of state": ((N, I), (1, N, H)),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_say_what_torch_says(name: str) -> None:
    messages = []
    for cell in cell_pair(I, H):
        with pytest.raises(Exception) as eager:
            cell(*(torch.randn(shape) for shape in WRONG[name]))
        with pytest.raises(Exception) as scripted:
            torch.jit.script(cell)(*(torch.randn(shape) for shape in WRONG[name]))
        text = str(eager.value).splitlines()[0]
        assert text in str(scripted.value)
        messages.append(text)
    assert messages[0] == messages[1]


def test_deep_copy_of_a_scripted_cell_has_its_own_weights() -> None:
    theirs, ours = cell_pair(I, H)
    scripted = torch.jit.script(ours)
    twin = copy.deepcopy(scripted)
    with torch.no_grad():
        twin.weight_hh.zero_()
    assert_like_torch(scripted, scripted, theirs, torch.randn(N, I), torch.randn(N, H))


@pytest.mark.compiled
def test_symbolic_trace_of_the_cell() -> None:
    """torch's own cell cannot be traced, only be left alone as a leaf: it branches on the rank of its input."""
    theirs, ours = cell_pair(I, H)
    traced = torch.fx.symbolic_trace(ours)
    for shape in ((N, I), (I,), (0, I)):
        x, h = torch.randn(shape), torch.randn(*shape[:-1], H)
        assert_like_torch(traced, traced, theirs, x, h)
        assert_like_torch(traced, traced, theirs, x)
    assert_like_torch(torch.jit.script(traced), ours, theirs, torch.randn(N, I), torch.randn(N, H))


@pytest.mark.compiled
def test_symbolic_trace_of_a_model() -> None:
    class Model(nn.Module):
        def __init__(self, cell: nn.GRUCell) -> None:
            super().__init__()
            self.cell, self.head = cell, nn.Linear(H, 2)

        def forward(self, x: Tensor, h: Tensor) -> Tensor:
            return self.head(self.cell(x, self.cell(x, h)))

    theirs, ours = (Model(cell) for cell in cell_pair(I, H))
    ours.load_state_dict(theirs.state_dict())
    traced = torch.fx.symbolic_trace(ours)
    assert [str(node.target) for node in traced.graph.nodes if node.op == "call_function"] == ["gru_ext.gru_cell"] * 2
    assert list(traced.state_dict()) == list(ours.state_dict())
    assert_like_torch(traced, ours, theirs, torch.randn(N, I), torch.randn(N, H), steps=2)
    again = copy.deepcopy(traced)
    again.recompile()
    assert_like_torch(again, again, theirs, torch.randn(N, I), torch.randn(N, H), steps=2)
