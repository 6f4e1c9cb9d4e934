"""LiteRT, formerly TensorFlow Lite, with XNNPACK: the cell's primitive operations on torch's own layout of the weights."""

from typing import Any

import torch
from torch import nn

from ..cases import Step
from .parameters import four
from .peer import NumpyPeer, register


@register
class LiteRt(NumpyPeer):
    name = "litert"
    default = False
    packs = True
    packages = ("ai_edge_litert",)
    #: How the model holds the weights.
    int8 = False

    def version(self) -> str:
        from importlib.metadata import version

        return f"ai-edge-litert {version('ai-edge-litert')}"

    def step(self, cell: nn.GRUCell) -> Step:
        from ai_edge_litert.interpreter import Interpreter

        ready: dict[int, tuple[Any, Any, Any]] = {}  # by N

        def prepare(rows: int) -> tuple[Any, Any, Any]:
            interpreter = Interpreter(model_content=_model(cell, rows, self.int8), num_threads=torch.get_num_threads())
            interpreter.allocate_tensors()
            ready[rows] = interpreter.set_tensor, interpreter.invoke, interpreter.get_tensor
            return ready[rows]

        def step(x: Any, h: Any) -> Any:
            set_tensor, invoke, get_tensor = ready.get(len(x)) or prepare(len(x))
            set_tensor(_X, x)
            set_tensor(_H, h)
            invoke()
            return get_tensor(_Y)

        return step


@register
class LiteRtInt8(LiteRt):
    """Dynamic-range quantization: weights with a scale for each row, activations with one for each row and call."""

    name = "litert-int8"
    int8 = True
    spacing = 2 / 127  # of weights; activations use the whole range from the least to the largest


# Places in the list of tensors that _Graph makes.
_X, _H, _Y = 0, 1, 2


def _model(cell: nn.GRUCell, rows: int, int8: bool) -> bytes:
    """The cell as a model for this many rows, its parameters as constants."""
    graph = _Graph()
    size = cell.hidden_size
    x, h, y = graph.tensor(rows, cell.input_size), graph.tensor(rows, size), graph.tensor(rows, size)
    matrix = graph.quantized if int8 else graph.constant
    w_ih, w_hh, b_ih, b_hh = (matrix(t.numpy()) if t.dim() == 2 else graph.constant(t.numpy()) for t in four(cell))
    i = graph.linear(x, w_ih, b_ih, graph.tensor(rows, 3 * size))
    p = graph.linear(h, w_hh, b_hh, graph.tensor(rows, 3 * size))
    i_r, i_z, i_n = graph.split(i, [graph.tensor(rows, size) for _ in range(3)])
    h_r, h_z, h_n = graph.split(p, [graph.tensor(rows, size) for _ in range(3)])

    def new() -> int:
        return graph.tensor(rows, size)

    r = graph.apply("LOGISTIC", [graph.apply("ADD", [i_r, h_r], new())], new())
    z = graph.apply("LOGISTIC", [graph.apply("ADD", [i_z, h_z], new())], new())
    n = graph.apply("TANH", [graph.apply("ADD", [i_n, graph.apply("MUL", [r, h_n], new())], new())], new())
    graph.apply("ADD", [n, graph.apply("MUL", [z, graph.apply("SUB", [h, n], new())], new())], y)
    return graph.serialized([x, h], [y])


class _Graph:
    """A model in LiteRT's file format, which its package can write by itself."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._graph, self._model = schema.SubGraphT(), schema.ModelT()
        self._graph.tensors, self._graph.operators = [], []
        self._model.version, self._model.operatorCodes = 3, []
        self._model.buffers = [schema.BufferT()]  # the first is that of all tensors without data

    def tensor(self, *shape: int, buffer: int = 0) -> int:
        """A float32 tensor; returns its place in the list."""
        tensor = self._schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), self._schema.TensorType.FLOAT32, buffer
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def constant(self, array: Any) -> int:
        buffer = self._schema.BufferT()
        buffer.data = array.reshape(-1).view("uint8")
        self._model.buffers.append(buffer)
        return self.tensor(*array.shape, buffer=len(self._model.buffers) - 1)

    def quantized(self, matrix: Any) -> int:
        """Its rows as 8-bit integers times a scale each."""
        scales = abs(matrix).max(axis=1).clip(min=1e-30) / 127
        place = self.constant((matrix / scales[:, None]).round().astype("int8"))
        tensor = self._graph.tensors[place]
        tensor.type, tensor.quantization = self._schema.TensorType.INT8, self._schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = scales.tolist(), [0] * len(scales)
        tensor.quantization.quantizedDimension = 0
        return place

    def linear(self, x: int, weight: int, bias: int, y: int) -> int:
        options = self._schema.FullyConnectedOptionsT()
        # For 8-bit weights: without it LiteRT's own slow kernels run instead of XNNPACK's.
        options.asymmetricQuantizeInputs = True
        return self._add("FULLY_CONNECTED", [x, weight, bias], [y], options, version=12)[0]

    def split(self, x: int, parts: list[int]) -> list[int]:
        """Of columns."""
        options = self._schema.SplitOptionsT()
        options.numSplits = len(parts)
        return self._add("SPLIT", [self._axis(1), x], parts, options)

    def apply(self, name: str, inputs: list[int], y: int) -> int:
        """An operation on each element."""
        options = {"ADD": "AddOptions", "MUL": "MulOptions", "SUB": "SubOptions"}.get(name)
        return self._add(name, inputs, [y], None if options is None else getattr(self._schema, f"{options}T")())[0]

    def serialized(self, inputs: list[int], outputs: list[int]) -> bytes:
        import flatbuffers

        self._graph.inputs, self._graph.outputs = inputs, outputs
        self._model.subgraphs = [self._graph]
        builder = flatbuffers.Builder(0)
        builder.Finish(self._model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def _axis(self, axis: int) -> int:
        place = self.constant(torch.tensor(axis, dtype=torch.int32).numpy())
        self._graph.tensors[place].type = self._schema.TensorType.INT32
        return place

    def _add(self, name: str, inputs: list[int], outputs: list[int], options: Any, version: int = 1) -> list[int]:
        code, operator = self._schema.OperatorCodeT(), self._schema.OperatorT()
        # Two fields for the same, because the first one is a byte that became too small.
        code.builtinCode = getattr(self._schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = code.builtinCode, version
        self._model.operatorCodes.append(code)
        operator.opcodeIndex = len(self._model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, outputs
        if options is not None:
            operator.builtinOptions = options
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, kind)
        self._graph.operators.append(operator)
        return outputs
