"""Lets Dynamo see that a model is on its way to ONNX: it takes the same question of torch for False."""

import torch._dynamo

from .streaming import exporting_to_onnx

torch._dynamo.assume_constant_result(exporting_to_onnx)
