"""What Dynamo has to know of this package, once a program loads it."""

import torch._dynamo

from . import _library, packed
from .streaming import exporting_to_onnx

# It takes the same question of torch for False, on a model's way to ONNX too.
torch._dynamo.assume_constant_result(exporting_to_onnx)
packed.step_between_graphs = torch._dynamo.disable(
    packed.step_between_graphs,
    reason="Inductor takes no torchbind object as it is, so a step of gru_ext.PackedGRU runs between two graphs",
)

if _library.reason is None:
    from . import _C

    def _not_here(*arguments: object) -> object:
        return NotImplemented

    # What is compiled goes through torch.ops.
    for short_way in (_C.gru_cell, _C.cell_forward, _C.cell_call):
        torch._dynamo.substitute_in_graph(short_way, skip_signature_check=True)(_not_here)
