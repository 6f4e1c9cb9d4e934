"""Weights packed once for many steps, in 32, 16 or 8 bits."""

from typing import Any, Optional

import torch
from torch import Tensor

from . import _library
from .layers import stack_of
from .reset_before import ResetBeforeGRUCell
from .stack import GRUStack

if _library.reason is None:
    from . import _C


class PackedGRU(torch.nn.Module):
    r"""A GRU cell or a stack of them for inference, whose weights were packed by :func:`gru_ext.pack`.

    The equations are those of the model that was packed; docs/stream.md says how far each type of weights is from them. The
    weights are copies: a change of the model that was packed does not reach them, they do not train, and ``state_dict()`` is
    empty. Save the module whole: pickle, ``torch.save`` and TorchScript keep the float32 weights and pack them anew for the
    machine that loads. Any number of threads may share one.

    Shape, for N rows, L layers of H units:
        - x: ``[N, I]`` or ``[I]``, float32, on the CPU
        - h: ``[N, H]`` or ``[H]`` of a cell; ``[L, N, H]`` or ``[L, H]`` of a stack, as of :class:`torch.nn.GRU`; None is zeros
        - returns: the next state, of the shape of h; the output of a stack is its last layer, ``h[-1]``

    Raises:
        ValueError: in ``forward`` and ``step``: x has neither one nor two dimensions.
        RuntimeError: sizes, dtypes or devices do not fit, or a gradient is asked for; the text names the argument.
    """

    input_size: int
    hidden_size: int
    num_layers: int
    weights: str

    def __init__(self, stack: GRUStack, weights: str, stacked: bool) -> None:
        super().__init__()
        layers = stack.layers
        tensors = [t for layer in layers for t in (layer.w_ih, layer.w_hh, layer.b_ih, layer.b_hh)]
        flat = [torch.empty(0) if t is None else t for t in tensors]
        self.packed = torch.classes.gru_ext.PackedGRU(weights, stacked, stack.reset_before, flat)
        self.input_size, self.hidden_size = layers[0].input_size, layers[0].hidden_size
        self.num_layers, self.weights = len(layers), weights

    def forward(self, x: Tensor, h: Optional[Tensor] = None) -> Tensor:
        return self.step(x, h, None)

    @torch.jit.export
    def step(self, x: Tensor, h: Optional[Tensor] = None, out: Optional[Tensor] = None) -> Tensor:
        """`forward` without what a module's call costs. `out` takes the next state and is returned; it may be h itself.

        Where x and `out` have contiguous rows, a step into `out` allocates no tensor. Scratch memory stays with each thread.
        """
        if not torch.jit.is_scripting():
            if not torch.compiler.is_compiling():
                y = _C.packed_step(self.packed, x, h, out)
                if y is not NotImplemented:
                    return y
            elif not torch.compiler.is_exporting():
                return step_between_graphs(self, x, h, out)
        if out is None:
            return torch.ops.gru_ext.packed_step(self.packed, x, h)
        return torch.ops.gru_ext.packed_step(self.packed, x, h, out=out)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}, weights={self.weights!r}"


def step_between_graphs(packed: PackedGRU, x: Tensor, h: Optional[Tensor], out: Optional[Tensor]) -> Tensor:
    """Kept out of graphs by dynamo.py: Inductor takes no torchbind object as it is."""
    return packed.step(x, h, out)


def pack(cell_or_stack: Any, weights: str = "float32") -> PackedGRU:
    """Copies the weights of a model into the order in which steps read them, for inference on the CPU of this machine.

    Args:
        cell_or_stack: a cell: :class:`torch.nn.GRUCell` (:class:`gru_ext.GRUCell` is one) or
            :class:`gru_ext.ResetBeforeGRUCell`; or a stack of layers of one hidden_size: a :class:`torch.nn.GRU` of one
            direction, whose dropout is left out as in eval mode, a :class:`gru_ext.StreamingGRU`, whose state is left out, a
            :class:`gru_ext.GRUStack`, or a list, tuple, ``ModuleList`` or ``Sequential`` of any of these.
        weights: what they are stored as: ``"float32"``, ``"bfloat16"`` or ``"int8"`` with a scale for each row. States, sums
            and gates are float32.

    Raises:
        TypeError: it is none of these, or a subclass with a ``forward`` of its own.
        ValueError: bidirectional, a projection, sizes that do not fit together, reset gates before the product and after it in
            one stack, parametrized weights, another type of weights, or weights that are not finite where they are stored in
            fewer bits.
        RuntimeError: this installation has no compiled op library.
    """
    if _library.reason is not None:
        raise RuntimeError(f"gru_ext.pack needs the compiled op library, which is not there: {_library.reason}")
    is_cell = isinstance(cell_or_stack, (torch.nn.GRUCell, ResetBeforeGRUCell))
    return PackedGRU(stack_of(cell_or_stack), weights, stacked=not is_cell)
