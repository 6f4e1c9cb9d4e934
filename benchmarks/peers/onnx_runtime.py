"""onnxruntime on the cell's primitive operations, as PyTorch's ONNX exporters write them."""

import importlib.util
from typing import Any, Optional

import torch
from torch import Tensor, nn

from ..cases import Step
from .peer import Peer, register

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
class OnnxRuntime(Peer):
    name = "onnxruntime"
    trains = False
    dtypes = (torch.float32,)

    def why_unavailable(self) -> Optional[str]:
        missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
        return f"not installed: {' and '.join(missing)}" if missing else None

    def version(self) -> str:
        import onnxruntime

        return f"onnxruntime {onnxruntime.__version__}"

    def step(self, cell: nn.GRUCell) -> Step:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Its threads would otherwise go on spinning in the blocks of the other peers.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        session = onnxruntime.InferenceSession(_model(cell), options, providers=["CPUExecutionProvider"])
        run, outputs = session.run, ["y"]
        return lambda x, h: run(outputs, {"x": x, "h": h})[0]

    def adopt(self, tensor: Tensor) -> Any:
        return tensor.numpy()

    def to_torch(self, array: Any) -> Tensor:
        return torch.from_numpy(array)


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
