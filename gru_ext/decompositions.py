"""Tells PyTorch how to take the ops apart into ATen ops: for exporters (ONNX) and for tensors with placements (DTensor).

The equations stay in C++ (csrc/gates.h): each op's kernel for devices without kernels of their own *is* its decomposition,
and is called here by its dispatch key. The compilers do not ask for it: to Inductor the ops remain opaque calls (inductor.py).
"""

from typing import Any

import torch
from torch._decomp import register_decomposition


def _register(op: torch._ops.OpOverload) -> None:
    @register_decomposition(op)
    def decomposed(*args: Any, **kwargs: Any) -> Any:
        return op._op_dk(torch.DispatchKey.CompositeExplicitAutograd, *args, **kwargs)


DECOMPOSED = tuple(
    op.default for op in (torch.ops.gru_ext._cell, torch.ops.gru_ext._cell_forward, torch.ops.gru_ext._cell_backward)
)
for _op in DECOMPOSED:
    _register(_op)
