"""onnxruntime on the operations that PyTorch's ONNX exporters write for the cell, called plainly and with its io-binding."""

from functools import partial
from typing import Any

import torch
from torch import nn

from ..cases import Call, Step
from .bound import BoundStep
from .peer import NumpyPeer, register

# Gates in torch's order r, z, n; `bias` is a Gemm's third argument or nothing.
_GRAPH = """
<ir_version: 8, opset_import: ["": 18]>
gru_cell (float[N, {input_size}] x, float[N, {hidden_size}] h) => (float[N, {hidden_size}] y) {{
    i = Gemm<transB = 1>(x, weight_ih{bias_ih})
    p = Gemm<transB = 1>(h, weight_hh{bias_hh})
    i_r, i_z, i_n = Split<axis = 1, num_outputs = 3>(i)
    h_r, h_z, h_n = Split<axis = 1, num_outputs = 3>(p)
    a_r = Add(i_r, h_r)
    a_z = Add(i_z, h_z)
    r = Sigmoid(a_r)
    z = Sigmoid(a_z)
    rh_n = Mul(r, h_n)
    a_n = Add(i_n, rh_n)
    n = Tanh(a_n)
    d = Sub(h, n)
    zd = Mul(z, d)
    y = Add(n, zd)
}}
"""


@register
class OnnxRuntime(NumpyPeer):
    name = "onnxruntime"
    packs = True
    packages = ("onnx", "onnxruntime")

    def version(self) -> str:
        import onnxruntime

        return f"onnxruntime {onnxruntime.__version__}"

    def step(self, cell: nn.GRUCell) -> Step:
        run, outputs = _session(cell).run, ["y"]
        return lambda x, h: run(outputs, {"x": x, "h": h})[0]


@register
class OnnxRuntimeBound(OnnxRuntime):
    name = "onnxruntime-binding"
    default = False

    def step(self, cell: nn.GRUCell) -> Step:
        session = _session(cell)

        def bind(x: Any, h: Any, y: Any) -> Call:
            from onnxruntime import OrtValue

            # On a CPU an OrtValue is a view of the array, so the results appear in `y`.
            binding = session.io_binding()
            binding.bind_ortvalue_input("x", OrtValue.ortvalue_from_numpy(x))
            binding.bind_ortvalue_input("h", OrtValue.ortvalue_from_numpy(h))
            binding.bind_ortvalue_output("y", OrtValue.ortvalue_from_numpy(y))
            return partial(session.run_with_iobinding, binding)

        return BoundStep(bind)


def _session(cell: nn.GRUCell) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Its threads would otherwise go on spinning in the blocks of the other peers.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(_model(cell), options, providers=["CPUExecutionProvider"])


def _model(cell: nn.GRUCell) -> bytes:
    """The cell as a serialized ONNX model, its parameters as constants and N free."""
    import onnx

    text = _GRAPH.format(
        input_size=cell.input_size,
        hidden_size=cell.hidden_size,
        bias_ih=", bias_ih" if cell.bias else "",
        bias_hh=", bias_hh" if cell.bias else "",
    )
    model = onnx.parser.parse_model(text)
    for name, parameter in cell.named_parameters():
        model.graph.initializer.append(onnx.numpy_helper.from_array(parameter.detach().numpy(), name))
    return model.SerializeToString()
