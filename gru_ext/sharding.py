"""How DTensor may split the ops between devices: by rows of the batch, the weights on every device; or not at all.

Other placements are redistributed to one of these. Without these rules DTensor would try every placement of six arguments on
the decomposition, which takes seconds for each new shape.
"""

import torch
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
from torch.distributed.tensor._op_schema import RuntimeSchemaInfo
from torch.distributed.tensor.experimental import register_sharding

_ROWS, _ALL, _SUM = Shard(0), Replicate(), Partial()


def _register(op: torch._ops.OpOverload, outputs: list, tensors: list, others: int = 0, biases: bool = False) -> None:
    """Lets `op` run on rows, with its `outputs` and `tensors` placed as given and `others` arguments that are no tensors."""

    @register_sharding(op)
    def placements(*args: object) -> list:
        present = [tensor if arg is not None else None for tensor, arg in zip(tensors, args, strict=False)]
        rest = [None] * others
        return [
            (outputs, present + rest),
            ([_ALL] * len(outputs), [tensor and _ALL for tensor in present] + rest),
        ]

    # What comes after the tensors decides which outputs there are, so a decision is remembered for its value only.
    propagator = DTensor._op_dispatcher.sharding_propagator
    propagator.op_to_schema_info[op] = RuntimeSchemaInfo(static_argnum=len(tensors), needs_pytree=True)


_ARGUMENTS = [_ROWS, _ROWS, _ALL, _ALL, _ALL, _ALL]
_register(torch.ops.gru_ext._cell.default, [_ROWS], _ARGUMENTS)
_register(torch.ops.gru_ext._cell_forward.default, [_ROWS, _ROWS], _ARGUMENTS, others=1)
_register(
    torch.ops.gru_ext._cell_backward.default,
    [_ROWS, _ROWS, _SUM, _SUM, _SUM, _SUM],
    [_ROWS, _ROWS, _ROWS, _ROWS, _ALL, _ALL],
    others=6,
)
