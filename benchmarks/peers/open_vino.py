"""OpenVINO's GRU cell on buffers that stay in their places."""

from typing import Any

import torch
from torch import nn

from ..cases import Call, Step
from .bound import BoundStep
from .parameters import four, packed_biases, update_first
from .peer import NumpyPeer, register

_SETTINGS = {
    # Its default on processors that have bfloat16.
    "INFERENCE_PRECISION_HINT": "f32",
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": 1,
}


@register
class OpenVino(NumpyPeer):
    name = "openvino"
    default = False
    packs = True
    packages = ("openvino",)

    def version(self) -> str:
        import openvino

        return f"openvino {openvino.__version__.partition('-')[0]}"

    def step(self, cell: nn.GRUCell) -> Step:
        import openvino

        models: dict[int, Any] = {}  # by N

        def bind(x: Any, h: Any, y: Any) -> Call:
            if len(x) not in models:
                settings = {**_SETTINGS, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
                models[len(x)] = openvino.Core().compile_model(_model(cell, len(x)), "CPU", settings)
            request = models[len(x)].create_infer_request()
            for at, array in enumerate((x, h)):
                request.set_input_tensor(at, openvino.Tensor(array, shared_memory=True))
            request.set_output_tensor(0, openvino.Tensor(y, shared_memory=True))
            return request.infer

        return BoundStep(bind)


def _model(cell: nn.GRUCell, rows: int) -> Any:
    """The cell as a model for this many rows, its parameters as constants."""
    import openvino
    from openvino import opset13 as ops

    x = ops.parameter([rows, cell.input_size], openvino.Type.f32)
    h = ops.parameter([rows, cell.hidden_size], openvino.Type.f32)
    weights = (ops.constant(update_first(weight).numpy()) for weight in four(cell)[:2])
    biases = ops.constant(packed_biases(cell).numpy())
    y = ops.gru_cell(x, h, *weights, biases, cell.hidden_size, linear_before_reset=True)
    return openvino.Model([y.output(0)], [x, h])
