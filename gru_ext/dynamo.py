"""What Dynamo has to know of this package, once a program loads it."""

import torch._dynamo

from . import packed
from .streaming import exporting_to_onnx

# It takes the same question of torch for False, on a model's way to ONNX too.
torch._dynamo.assume_constant_result(exporting_to_onnx)
packed.step_between_graphs = torch._dynamo.disable(
    packed.step_between_graphs,
    reason="Inductor takes no torchbind object as it is, so a step of gru_ext.PackedGRU runs between two graphs",
)
