"""ONNX export by both exporters, run by onnxruntime on other batch sizes than the one exported."""

import io
from typing import Any, Optional

import pytest
import torch
from rollout import H, I, N, T, assert_like_torch, rollout_pair
from samples import cell_pair
from torch import Tensor, nn

onnx = pytest.importorskip("onnx", reason="needs the onnx package")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the onnxruntime package")
pytest.importorskip("onnxscript", reason="needs the onnxscript package")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*legacy TorchScript-based ONNX export:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The feature will be removed:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning"),
    # Both arguments have the same N, so one of the two names that the test gives it is not used.
    pytest.mark.filterwarnings("ignore:.*The axis name.*will not be used:UserWarning"),
]
BATCHES = [0, 1, N, 33]


def export(model: nn.Module, args: tuple[Tensor, ...], dynamo: bool, axis: Optional[int] = 0, **options: Any) -> bytes:
    """The serialised model. `axis` is the batch axis of the first argument, None if it has none; of the state it is 0."""
    names = ["input", "hx"][: len(args)]
    axes = None if axis is None else [{axis: "n"}, {0: "n"}][: len(args)]
    file = io.BytesIO()
    if dynamo:
        program = torch.onnx.export(model, args, input_names=names, dynamic_shapes=axes, verbose=False, **options)
        return program.model_proto.SerializeToString()
    named = None if axes is None else dict(zip(names, axes, strict=True))
    torch.onnx.export(model, args, file, input_names=names, dynamic_axes=named, dynamo=False, **options)
    return file.getvalue()


def run_by_onnxruntime(model: bytes):
    """The model as a function of tensors."""
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [argument.name for argument in session.get_inputs()]

    def run(*args: Tensor) -> Tensor:
        (output,) = session.run(None, {name: arg.numpy() for name, arg in zip(names, args, strict=True)})
        return torch.from_numpy(output)

    return run


@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
def test_cell(dynamo: bool, bias: bool, with_state: bool) -> None:
    theirs, ours = cell_pair(I, H, bias=bias)

    def arguments(n: int) -> tuple[Tensor, ...]:
        return (torch.randn(n, I), torch.randn(n, H))[: 1 + with_state]

    run = run_by_onnxruntime(export(ours.eval(), arguments(N), dynamo))
    for n in BATCHES:
        assert_like_torch(run, ours, theirs, *arguments(n), grads=False)


@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
def test_one_dimension(dynamo: bool, with_state: bool) -> None:
    theirs, ours = cell_pair(I, H)
    args = (torch.randn(I), torch.randn(H))[: 1 + with_state]
    run = run_by_onnxruntime(export(ours.eval(), args, dynamo, axis=None))
    assert_like_torch(run, ours, theirs, *args, grads=False)


@pytest.mark.parametrize("dynamo", [True, False])
def test_loop(dynamo: bool) -> None:
    theirs, ours = rollout_pair()
    run = run_by_onnxruntime(export(ours.eval(), (torch.randn(T, N, I), torch.randn(N, H)), dynamo, axis=1))
    for n in BATCHES:
        assert_like_torch(run, ours, theirs, torch.randn(T, n, I), torch.randn(n, H), steps=T, grads=False)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("opset", [11, 13, 17, 18, 20])
def test_opsets_of_the_torchscript_exporter(opset: int, dtype: torch.dtype) -> None:
    """Split changed its signature in 13 and in 18. Without a state, the zeros have the input's dtype."""
    theirs, ours = cell_pair(I, H, dtype=dtype)
    run = run_by_onnxruntime(export(ours.eval(), (torch.randn(N, I, dtype=dtype),), dynamo=False, opset_version=opset))
    for n in BATCHES:
        assert_like_torch(run, ours, theirs, torch.randn(n, I, dtype=dtype), grads=False)


class LastState(nn.Module):
    """The state after T steps: unlike a growing list of states, ONNX has it in a loop."""

    def __init__(self, cell: nn.GRUCell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, input: Tensor, hx: Tensor) -> Tensor:
        h = hx
        for t in range(input.size(0)):
            h = self.cell(input[t], h)
        return h


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore:The TorchScript type system doesn't support instance-level annotations:UserWarning")
def test_scripted_loop_over_any_number_of_steps() -> None:
    """A script keeps its control flow: the number of steps is free as well. torch's own cell has no such export."""
    theirs, ours = (LastState(cell) for cell in cell_pair(I, H))
    axes = {"input": {0: "t", 1: "n"}, "hx": {0: "n"}}
    args, file = (torch.randn(T, N, I), torch.randn(N, H)), io.BytesIO()
    scripted = torch.jit.script(ours.eval())
    torch.onnx.export(scripted, args, file, input_names=list(axes), dynamic_axes=axes, dynamo=False)
    run = run_by_onnxruntime(file.getvalue())
    for t, n in ((T, N), (9, 1), (1, 7)):
        assert_like_torch(run, ours, theirs, torch.randn(t, n, I), torch.randn(n, H), steps=t, grads=False)


@pytest.mark.compiled
@pytest.mark.parametrize("dynamo", [True, False])
def test_the_graph_has_no_more_products_than_torch_has(dynamo: bool) -> None:
    """One product for each of the two projections, the weights as they are stored."""
    theirs, ours = cell_pair(I, H)
    args = (torch.randn(N, I), torch.randn(N, H))
    kinds = []
    for cell in (theirs, ours):
        graph = onnx.load_from_string(export(cell.eval(), args, dynamo)).graph
        assert {tensor.name for tensor in graph.initializer} >= {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}
        kinds.append([node.op_type for node in graph.node])
    for kind in ("Gemm", "MatMul", "Sigmoid", "Tanh"):
        assert kinds[1].count(kind) <= kinds[0].count(kind), kind
