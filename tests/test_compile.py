"""torch.compile: one graph, one opaque op per step, no recompilation per batch size, and the same numbers."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import torch
from rollout import H, I, N, Rollout, T, assert_like_torch, rollout_pair, value_and_grads
from samples import cell_pair
from torch import Tensor, nn
from torch._dynamo import compiled_autograd
from torch._dynamo.testing import AotEagerAndRecordGraphs, CompileCounterWithBackend, EagerAndRecordGraphs
from torch.utils.checkpoint import checkpoint

needs_compiler = pytest.mark.skipif(not shutil.which(os.environ.get("CXX", "g++")), reason="Inductor needs a C++ compiler")
BACKENDS = ["eager", "aot_eager", pytest.param("inductor", marks=needs_compiler)]


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    """Compiled code and counters of one test do not reach the next."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def targets(graph: torch.fx.GraphModule) -> list[str]:
    """What the graph calls, in order."""
    return [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_value_and_gradients(backend: str) -> None:
    theirs, ours = cell_pair(I, H)
    run = torch.compile(ours, backend=backend, fullgraph=True)
    assert_like_torch(run, ours, theirs, torch.randn(N, I), torch.randn(N, H))


@needs_compiler
def test_compiles_where_ci_is_set() -> None:
    """Inductor then asserts that no op that it leaves alone has a decomposition. In a process, because it remembers ops."""
    program = """
import torch, gru_ext
cell = gru_ext.GRUCell(3, 4)
run = torch.compile(cell, fullgraph=True)
run(torch.randn(2, 3)).sum().backward()
with torch.no_grad():
    run(torch.randn(2, 3))
"""
    environment = {**os.environ, "CI": "true", "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_loop() -> None:
    theirs, ours = rollout_pair()
    run = torch.compile(ours, backend="aot_eager", fullgraph=True)
    assert_like_torch(run, ours, theirs, torch.randn(T, N, I), torch.randn(N, H), steps=T)


@pytest.mark.parametrize("shape", [(N, I), (I,), (1, I), (0, I)])
@pytest.mark.parametrize("bias", [True, False])
def test_forms_of_the_arguments(shape: tuple[int, ...], bias: bool) -> None:
    theirs, ours = cell_pair(I, H, bias=bias)
    run = torch.compile(ours, backend="aot_eager", fullgraph=True)
    x, h = torch.randn(shape), torch.randn(*shape[:-1], H)
    assert_like_torch(run, ours, theirs, x, h)
    assert_like_torch(run, ours, theirs, x)
    with torch.no_grad():
        assert_like_torch(run, ours, theirs, x, grads=False)


@pytest.mark.parametrize("training", [False, True])
def test_no_recompilation_per_batch_size(training: bool) -> None:
    """One compilation for the first N, one for all others; 0 and 1 are constants to Dynamo, for torch's cell as for ours."""
    compilations = []
    for cell in cell_pair(I, H):
        counter = CompileCounterWithBackend("aot_eager")
        run = torch.compile(cell, backend=counter, fullgraph=True)
        with torch.set_grad_enabled(training):
            for n in (5, 6, 7, 8, 100):
                run(torch.randn(n, I), torch.randn(n, H))
        assert counter.frame_count <= 2
        with torch.set_grad_enabled(training):
            for n in (1, 0, 1, 0):
                run(torch.randn(n, I), torch.randn(n, H))
        compilations.append(counter.frame_count)
    theirs, ours = compilations
    assert ours <= theirs


def test_dynamic_is_compiled_once() -> None:
    theirs, ours = cell_pair(I, H)
    counter = CompileCounterWithBackend("aot_eager")
    run = torch.compile(ours, backend=counter, fullgraph=True, dynamic=True)
    for n in (5, 6, 7, 8, 100):
        assert_like_torch(run, ours, theirs, torch.randn(n, I), torch.randn(n, H))
    assert counter.frame_count == 1


@pytest.mark.compiled
def test_one_node_per_step() -> None:
    """The op is opaque: a rollout does not grow into products and pointwise operations, whose compilation takes minutes."""
    _, ours = rollout_pair()
    x = torch.randn(T, N, I)
    dynamo, aot = EagerAndRecordGraphs(), AotEagerAndRecordGraphs()
    with torch.no_grad():
        torch.compile(ours, backend=dynamo, fullgraph=True)(x)
    torch.compile(ours, backend=aot, fullgraph=True)(x).sum().backward()
    assert len(dynamo.graphs) == len(aot.fw_graphs) == len(aot.bw_graphs) == 1
    assert [name for name in targets(dynamo.graphs[0]) if "gru" in name] == ["gru_ext.gru_cell"] * T
    forward, backward = targets(aot.fw_graphs[0]), targets(aot.bw_graphs[0])
    assert forward.count("gru_ext._cell_forward.default") == T
    assert backward.count("gru_ext._cell_backward.default") == T
    assert not any("mm" in name or "sigmoid" in name for name in forward + backward)


def test_training_steps() -> None:
    """Parameters that an optimizer changes in place are seen by the compiled code."""
    theirs, ours = rollout_pair(dtype=torch.float64)
    batches = torch.randn(5, T, N, I, dtype=torch.float64)
    for model, run in ((theirs, theirs), (ours, torch.compile(ours, backend="aot_eager", fullgraph=True))):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for x in batches:
            optimizer.zero_grad()
            run(x).square().sum().backward()
            optimizer.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast(dtype: torch.dtype) -> None:
    """Compiled or not, the same operations run in the same precision."""
    _, ours = cell_pair(I, H)

    def step(x: Tensor, h: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=dtype):
            return ours(x, h)

    args, parameters = (torch.randn(N, I), torch.randn(N, H)), list(ours.parameters())
    eager = value_and_grads(step, parameters, args)
    compiled = value_and_grads(torch.compile(step, backend="aot_eager", fullgraph=True), parameters, args)
    for got, want in zip(compiled, eager, strict=True):
        torch.testing.assert_close(got, want)


def test_with_activation_checkpointing() -> None:
    theirs, ours = rollout_pair()

    @torch.compile(backend="aot_eager", fullgraph=True)
    def run(x: Tensor, h: Tensor) -> Tensor:
        return checkpoint(ours, x, h, use_reentrant=False)

    assert_like_torch(run, ours, theirs, torch.randn(T, N, I), torch.randn(N, H), steps=T)


@pytest.mark.parametrize("forward_backend", [None, "aot_eager"])
def test_compiled_autograd(forward_backend: str) -> None:
    """The backward pass as one graph: of the eager cell and of the compiled one."""
    theirs, ours = rollout_pair()
    run = torch.compile(ours, backend=forward_backend, fullgraph=True) if forward_backend else ours
    counter = CompileCounterWithBackend("aot_eager")
    with compiled_autograd._enable(torch.compile(backend=counter, fullgraph=True)):
        x, h = torch.randn(T, N, I, requires_grad=True), torch.randn(N, H, requires_grad=True)
        run(x, h).square().sum().backward()
    assert counter.frame_count == 1
    exact, y, k = theirs.double(), x.detach().double().requires_grad_(), h.detach().double().requires_grad_()
    exact(y, k).square().sum().backward()
    for got, want in zip([x, h, *ours.parameters()], [y, k, *exact.parameters()], strict=True):
        torch.testing.assert_close(got.grad.double(), want.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("transform", ["vmap", "vmap of grad"])
def test_function_transforms(transform: str) -> None:
    _, ours = cell_pair(I, H)
    x, h = torch.randn(6, N, I), torch.randn(6, N, H)
    step: Callable[[Tensor, Tensor], Tensor] = lambda x, h: ours(x, h)  # noqa: E731
    if transform == "vmap of grad":
        step = torch.func.grad(lambda x, h: ours(x, h).square().sum())
    run = torch.compile(lambda x, h: torch.vmap(step)(x, h), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(run(x, h), torch.stack([step(a, b) for a, b in zip(x, h, strict=True)]))


@needs_compiler
def test_inside_a_larger_model() -> None:
    """With other operations around it, one of them in place on its output, Inductor's code gives torch's numbers."""

    class Model(nn.Module):
        def __init__(self, cell: nn.GRUCell) -> None:
            super().__init__()
            self.rollout, self.head = Rollout(cell), nn.Linear(H, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.rollout(x.tanh())[-1].relu_())

    theirs, ours = (Model(cell) for cell in cell_pair(I, H))
    ours.load_state_dict(theirs.state_dict())
    run = torch.compile(ours, fullgraph=True)
    assert_like_torch(run, ours, theirs, torch.randn(T, N, I), steps=T)
