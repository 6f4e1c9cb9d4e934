"""From ONNX: every kind of GRU node that is taken, beside onnxruntime, and those that are refused."""

from pathlib import Path

import pytest
import torch
from torch import nn

import gru_ext
from gru_ext.convert import from_onnx

np = pytest.importorskip("numpy", reason="needs numpy")
onnx = pytest.importorskip("onnx", reason="needs the onnx package")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the onnxruntime package")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

I, H = 3, 4  # noqa: E741 (the project's names)
N, T = 2, 6
NAMES = ("X", "W", "R", "B")


def arrays(bias: bool = True, directions: int = 1, dtype: str = "float32") -> dict:
    generator = np.random.default_rng(0)
    shapes = {"W": (directions, 3 * H, I), "R": (directions, 3 * H, H), "B": (directions, 6 * H)}
    return {name: generator.uniform(-1, 1, shape).astype(dtype) for name, shape in shapes.items() if bias or name != "B"}


def model(weights: dict | None = None, constants: bool = False, inputs: tuple = NAMES, name: str = "gru", **attributes):
    """A graph with one GRU node; its weights are initializers, or values of Constant nodes."""
    weights = arrays() if weights is None else weights
    kind = helper.np_dtype_to_tensor_dtype(weights["W"].dtype)
    used = [role if role == "X" or role in weights else "" for role in inputs]
    nodes = [helper.make_node("GRU", used, ["Y"], name=name, **{"hidden_size": H, **attributes})]
    tensors = [numpy_helper.from_array(array, role) for role, array in weights.items()]
    if constants:
        nodes[:0] = [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in tensors]
    x, y = (helper.make_tensor_value_info(value, kind, None) for value in "XY")
    graph = helper.make_graph(nodes, "graph", [x], [y], [] if constants else tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


def states(stack: gru_ext.GRUStack, x) -> "np.ndarray":
    stream = gru_ext.StreamingGRU(stack, batch_size=x.shape[1])
    with torch.no_grad():
        return torch.stack([stream(torch.from_numpy(x_t)) for x_t in x]).numpy()


def assert_near(found, expected) -> None:
    # Two float32 computations of T steps. Ours: a few epsilons a step (tests/tolerances.py); onnxruntime's tanh and sigmoid are
    # rational approximations, good to some 10 epsilons.
    np.testing.assert_allclose(found, expected, rtol=0, atol=T * 15 * np.finfo("float32").eps)


@pytest.mark.parametrize("constants", [False, True])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("linear_before_reset", [0, 1, None])
def test_like_onnxruntime(linear_before_reset: int | None, bias: bool, constants: bool) -> None:
    attributes = {} if linear_before_reset is None else {"linear_before_reset": linear_before_reset}
    proto = model(arrays(bias), constants, **attributes)
    stack = from_onnx(proto)
    assert stack.reset_before == (linear_before_reset != 1)
    kind = gru_ext.ResetBeforeGRUCell if stack.reset_before else gru_ext.GRUCell
    assert [type(cell) for cell in stack.cells()] == [kind]
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).normal(size=(T, N, I)).astype("float32")
    assert_near(states(stack, x), session.run(None, {"X": x})[0][:, 0])


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_dtypes(dtype: str) -> None:
    """onnxruntime has no such GRU; the self-check runs the operator's equations."""
    (layer,) = from_onnx(model(arrays(dtype=dtype))).layers
    assert layer.w_ih.dtype == getattr(torch, dtype)


def test_options_that_say_what_is_usual() -> None:
    (plain,), (said,) = (
        from_onnx(proto).layers for proto in (model(), model(direction="forward", layout=0, activations=["Sigmoid", "tanh"]))
    )
    assert all(torch.equal(tensor, getattr(said, name)) for name, tensor in plain.items())


@pytest.mark.filterwarnings("ignore:.*legacy TorchScript-based ONNX export:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:The feature will be removed:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Exporting a model to ONNX with a batch_size other than 1:UserWarning")
def test_exported_by_torch(tmp_path: Path) -> None:
    """Two layers are two nodes; a node without a name of its own goes by its output."""
    gru = nn.GRU(I, H, num_layers=2)
    torch.onnx.export(gru, (torch.randn(T, N, I),), tmp_path / "gru.onnx", dynamo=False)
    nodes = [node for node in onnx.load(tmp_path / "gru.onnx").graph.node if node.op_type == "GRU"]
    assert len(nodes) == 2
    stacks = [from_onnx(tmp_path / "gru.onnx", node.name or node.output[0]) for node in nodes]
    for layer, stack in enumerate(stacks):
        assert not stack.reset_before
        for name, tensor in stack.layers[0].items():
            torch_name = {"w": "weight", "b": "bias"}[name[0]] + name[1:] + f"_l{layer}"
            assert torch.equal(tensor, getattr(gru, torch_name))
    gru_ext.save_stream(stacks, tmp_path / "gru.gru")
    x = torch.randn(T, N, I)
    loaded = gru_ext.StreamingGRU(gru_ext.load_stream(tmp_path / "gru.gru"), batch_size=N)
    with torch.no_grad():
        assert_near(torch.stack([loaded(x_t) for x_t in x]).numpy(), gru(x)[0].numpy())
    with pytest.raises(ValueError, match="node must name one GRU node, unless the graph has exactly one; it has: .*, "):
        from_onnx(tmp_path / "gru.onnx")


def computed(role: str):
    """The weight of this role comes from another node."""
    proto = model()
    (node,) = proto.graph.node
    node.input[NAMES.index(role)] = "computed"
    proto.graph.node.insert(0, helper.make_node("Identity", [role], ["computed"]))
    return proto


def overridable():
    """W is an input with a default value: the caller may give another."""
    proto = model()
    proto.graph.input.append(helper.make_tensor_value_info("W", TensorProto.FLOAT, [1, 3 * H, I]))
    return proto


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: model(direction="reverse"), "gru: direction must be forward, got reverse"),
        (lambda: model(arrays(directions=2), direction="bidirectional"), "direction must be forward, got bidirectional"),
        (lambda: model(arrays(directions=2)), r"gru: R must be \[1, 3H, H\] with H = 4, got \[2, 12, 4\]"),
        (lambda: model(activations=["HardSigmoid", "Tanh"]), "activations must be Sigmoid, Tanh, got HardSigmoid, Tanh"),
        (lambda: model(clip=3.0), "clip must be absent, got 3.0"),
        (lambda: model(activation_alpha=[0.5]), "activation_alpha must be absent"),
        (lambda: model(layout=1), "layout must be 0, got 1"),
        (
            lambda: model({**arrays(), "W": np.zeros((1, 9, I), "float32")}),
            r"W must be \[1, 3H, I\] with 3H = 12, got \[1, 9, 3\]",
        ),
        (lambda: model({**arrays(), "B": np.zeros((1, 12), "float32")}), r"B must be \[1, 6H\] with 6H = 24, got \[1, 12\]"),
        (lambda: model(hidden_size=5), r"R must be \[1, 3H, H\] with H = 5, got \[1, 12, 4\]"),
        (lambda: computed("R"), "gru: R must be a constant of the graph, got 'computed'"),
        (lambda: computed("B"), "gru: B must be a constant of the graph, got 'computed'"),
        (overridable, "gru: W must be a constant of the graph, got 'W'"),
        (lambda: onnx.ModelProto(), "it has: none"),
    ],
)
def test_refused(make, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        from_onnx(make())


def test_unknown_node() -> None:
    assert not from_onnx(model(linear_before_reset=1), "Y").reset_before
    with pytest.raises(ValueError, match="node must be the name of one GRU node, got 'other'; the graph has: gru"):
        from_onnx(model(), "other")


def test_weights_that_are_not_finite() -> None:
    weights = arrays()
    weights["R"][0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="from_onnx: gru: layer 0: w_hh must be finite"):
        from_onnx(model(weights))
