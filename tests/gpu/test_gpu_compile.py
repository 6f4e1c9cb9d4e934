"""torch.compile, torch.export and TorchScript of a rollout on CUDA: one graph, and the numbers of the eager cell."""

import io
from collections.abc import Callable, Iterator

import pytest
import torch
from on_device import value_and_grads
from rollout import Rollout
from samples import cell_pair
from tolerances import assert_grad, assert_value
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.export import Dim, export

import gru_ext

T, I, H = 4, 24, 32  # noqa: E741 (the project's names)
BATCHES = [5, 20]  # a small one and one whose products a library computes


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def pair(device: torch.device) -> tuple[Rollout, Rollout]:
    """torch's cell in double precision, and ours with the same weights."""
    theirs, ours = cell_pair(I, H, device=device)
    return Rollout(theirs.double()), Rollout(ours)


def assert_like(run: Callable[..., Tensor], ours: nn.Module, exact: nn.Module, n: int, grads: bool = True) -> None:
    """`run`, some form of `ours`, gives the values and gradients that `exact` gives."""
    parameter = next(ours.parameters())
    x, h = (torch.randn(shape, device=parameter.device) for shape in ((T, n, I), (n, H)))
    if not grads:
        with torch.no_grad():
            assert_value(run(x, h), exact(x.double(), h.double()), steps=T)
        return
    leaves, wide = ([t.clone().to(d).requires_grad_() for t in (x, h)] for d in (torch.float32, torch.float64))
    grad = torch.randn(T, n, H, device=x.device)
    actual = value_and_grads(run, leaves, [*leaves, *ours.parameters()], grad)
    expected = value_and_grads(exact, wide, [*wide, *exact.parameters()], grad.double())
    assert_value(actual[0], expected[0], steps=T)
    for one, other in zip(actual[1:], expected[1:], strict=True):
        assert_grad(one, other, steps=T)


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled(backend: str, pair: tuple[Rollout, Rollout]) -> None:
    exact, ours = pair
    run = torch.compile(ours, backend=backend, fullgraph=True)
    for n in BATCHES:
        assert_like(run, ours, exact, n)


def test_compiled_for_any_batch(pair: tuple[Rollout, Rollout]) -> None:
    exact, ours = pair
    counter = CompileCounterWithBackend("aot_eager")
    run = torch.compile(ours, backend=counter, fullgraph=True, dynamic=True)
    for n in (5, 6, 8, 9, 40):
        assert_like(run, ours, exact, n)
    assert counter.frame_count == 1


@pytest.mark.cuda_only
@pytest.mark.parametrize("grads", [False, True])
def test_compiled_into_cuda_graphs(grads: bool, pair: tuple[Rollout, Rollout]) -> None:
    """reduce-overhead records the compiled code, our ops in it, as CUDA graphs from the second call on."""
    exact, ours = pair
    run = torch.compile(ours, mode="reduce-overhead", fullgraph=True)
    for _ in range(4):
        torch.compiler.cudagraph_mark_step_begin()
        assert_like(run, ours, exact, 20, grads)


@pytest.mark.cuda_only
def test_compiled_under_autocast(pair: tuple[Rollout, Rollout], device: torch.device) -> None:
    """Compiled or not, the same operations run in the same precision."""
    _, ours = pair

    def step(x: Tensor, h: Tensor) -> Tensor:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            return ours(x, h)

    leaves = [torch.randn(shape, device=device, requires_grad=True) for shape in ((T, 20, I), (20, H))]
    grad = torch.randn(T, 20, H, device=device)
    run = torch.compile(step, backend="aot_eager", fullgraph=True)
    wanted = [*leaves, *ours.parameters()]
    for got, want in zip(value_and_grads(run, leaves, wanted, grad), value_and_grads(step, leaves, wanted, grad), strict=True):
        assert got.dtype == want.dtype
        torch.testing.assert_close(got, want)


def test_exported_for_any_batch(pair: tuple[Rollout, Rollout], device: torch.device) -> None:
    exact, ours = pair
    n = Dim("n")
    args = (torch.randn(T, 5, I, device=device), torch.randn(5, H, device=device))
    program = export(ours, args, dynamic_shapes=({1: n}, {0: n}))
    assert sum(str(node.target) == "gru_ext.gru_cell.default" for node in program.graph.nodes) == T
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    module = torch.export.load(file).module()
    for batch in (0, 1, *BATCHES):
        assert_like(module, ours, exact, batch, grads=False)


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The TorchScript type system doesn't support instance-level annotations:UserWarning")
@pytest.mark.parametrize("how", ["script", "trace", "freeze"])
def test_torchscript_saved_and_loaded(how: str, pair: tuple[Rollout, Rollout], device: torch.device) -> None:
    exact, ours = pair
    example = (torch.randn(T, 5, I, device=device), torch.randn(5, H, device=device))
    scripted = {
        "script": lambda: torch.jit.script(ours),
        "trace": lambda: torch.jit.trace(ours, example),
        "freeze": lambda: torch.jit.freeze(torch.jit.script(ours.eval())),
    }[how]()
    file = io.BytesIO()
    torch.jit.save(scripted, file)
    file.seek(0)
    loaded = torch.jit.load(file, map_location=device)
    for run in (scripted, loaded):
        for _ in range(3):  # the profiling executor specialises after the first runs
            for n in BATCHES:
                if how == "freeze":
                    assert_like(run, ours, exact, n, grads=False)
                else:
                    assert_like(run, run, exact, n)


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The TorchScript type system doesn't support instance-level annotations:UserWarning")
def test_a_model_saved_on_the_cpu_runs_here(device: torch.device) -> None:
    theirs, ours = cell_pair(I, H)
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(ours), file)
    file.seek(0)
    loaded = torch.jit.load(file, map_location=device)
    x = torch.randn(5, I)
    assert_value(loaded(x.to(device)).cpu(), theirs.double()(x.double()))


def test_symbolic_trace(pair: tuple[Rollout, Rollout], device: torch.device) -> None:
    cell = pair[1].cell
    traced = torch.fx.symbolic_trace(cell)
    x, h = torch.randn(5, I, device=device), torch.randn(5, H, device=device)
    assert torch.equal(traced(x, h), gru_ext.gru_cell(x, h, *cell.parameters()))
