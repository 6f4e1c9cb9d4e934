"""The op in ONNX's words, for the exporter that works from TorchScript (``torch.onnx.export(..., dynamo=False)``).

The newer exporter needs nothing from here: it takes the op apart through `gru_ext.decompositions`. No ONNX package is imported.
"""

from typing import Any

import torch
from torch.onnx import register_custom_op_symbolic
from torch.onnx.symbolic_opset9 import linear

# The first opset in which Split counts an axis from the back, as a one-dimensional input needs.
_MIN_OPSET = 11
# From here on Split wants to be told into how many parts.
_SPLIT_COUNT_OPSET = 18


def gru_cell(g: Any, input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    """Adds one step of the cell to the exporter's graph `g`; the equations of :func:`gru_ext.gru_cell` in ONNX operators.

    Args:
        g: the exporter's graph context.
        input: graph value, ``[N, I]`` or ``[I]``, N may be symbolic.
        hx: graph value, ``[N, H]`` or ``[H]``, or None's value.
        w_ih, w_hh, b_ih, b_hh: graph values as in :func:`gru_ext.gru_cell`.

    Returns:
        The graph value of the next state.
    """

    def three_gates(projection: Any) -> Any:
        count = {"num_outputs_i": 3} if g.opset >= _SPLIT_COUNT_OPSET else {}
        return g.op("Split", projection, axis_i=-1, outputs=3, **count)

    r_input, z_input, n_input = three_gates(linear(g, input, w_ih, b_ih))
    if hx.node().mustBeNone():
        dtype = input.type().dtype() or torch.get_default_dtype()
        hx = g.op("ConstantOfShape", g.op("Shape", n_input), value_t=torch.zeros(1, dtype=dtype))
    r_hidden, z_hidden, q = three_gates(linear(g, hx, w_hh, b_hh))
    r = g.op("Sigmoid", g.op("Add", r_input, r_hidden))
    z = g.op("Sigmoid", g.op("Add", z_input, z_hidden))
    n = g.op("Tanh", g.op("Add", n_input, g.op("Mul", r, q)))
    return g.op("Add", n, g.op("Mul", z, g.op("Sub", hx, n)))


register_custom_op_symbolic("gru_ext::gru_cell", gru_cell, _MIN_OPSET)
