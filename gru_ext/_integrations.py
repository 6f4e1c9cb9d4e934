"""What other parts of torch have to know of our class and ops; each is told when a program loads it."""

from . import _library
from ._on_import import after_import

after_import("torch.ao.quantization.quantization_mappings", "gru_ext.quantization")
after_import("torch._dynamo", "gru_ext.dynamo")
if _library.reason is None:
    from . import decompositions  # noqa: F401

    after_import("torch._inductor.lowering", "gru_ext.inductor")
    after_import("torch.onnx", "gru_ext.onnx")
    after_import("torch.distributed.tensor", "gru_ext.sharding")
