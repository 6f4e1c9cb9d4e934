"""A stack of GRU layers as plain weights: what files and converters hand to each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional, Union

import torch
from torch import Tensor

from .cell import GRUCell
from .reset_before import ResetBeforeGRUCell

Cell = Union[GRUCell, ResetBeforeGRUCell]


@dataclass(frozen=True, eq=False)
class GRUWeights:
    """One layer, as ``torch.nn.GRUCell`` holds it; the C interface's ``gru_weights``.

    Args:
        w_ih: ``[3H, I]``, gates in the order r, z, n; any real floating dtype.
        w_hh: ``[3H, H]``, likewise, of the same dtype.
        b_ih: ``[3H]`` or None.
        b_hh: ``[3H]`` or None.

    Raises:
        ValueError: a tensor has another shape or dtype; the text names it.
    """

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Optional[Tensor] = None
    b_hh: Optional[Tensor] = None

    def __post_init__(self) -> None:
        if self.w_hh.dim() != 2 or self.w_hh.size(0) != 3 * self.w_hh.size(1):
            raise ValueError(f"w_hh must be [3H, H], got {list(self.w_hh.shape)}")
        rows = self.w_hh.size(0)
        if self.w_ih.dim() != 2 or self.w_ih.size(0) != rows:
            raise ValueError(f"w_ih must be [3H, I] with 3H = {rows} as in w_hh, got {list(self.w_ih.shape)}")
        for name, bias in (("b_ih", self.b_ih), ("b_hh", self.b_hh)):
            if bias is not None and list(bias.shape) != [rows]:
                raise ValueError(f"{name} must be [3H] with 3H = {rows} as in w_hh, got {list(bias.shape)}")
        if not self.w_hh.is_floating_point():
            raise ValueError(f"w_hh must have a real floating dtype, got {self.w_hh.dtype}")
        for name, tensor in self.items():
            if tensor.dtype != self.w_hh.dtype:
                raise ValueError(f"{name} must be {self.w_hh.dtype} as w_hh, got {tensor.dtype}")

    def items(self) -> Iterator[tuple[str, Tensor]]:
        """Names and tensors of what is there, in the order of the arguments."""
        named = {"w_ih": self.w_ih, "w_hh": self.w_hh, "b_ih": self.b_ih, "b_hh": self.b_hh}
        return ((name, tensor) for name, tensor in named.items() if tensor is not None)

    @property
    def input_size(self) -> int:
        return self.w_ih.size(1)

    @property
    def hidden_size(self) -> int:
        return self.w_hh.size(1)


@dataclass(frozen=True, eq=False)
class GRUStack:
    """Layers on top of each other, each fed with the new state of the one below; the C interface's ``gru_stack``.

    Args:
        layers: bottom first, one at least.
        reset_before: False for the equations of ``torch.nn.GRUCell``; True for those of :class:`gru_ext.ResetBeforeGRUCell`,
            where r acts on h before the product.

    Raises:
        ValueError: there is no layer, or the input_size of a layer is not the hidden_size of the one below.
    """

    layers: tuple[GRUWeights, ...]
    reset_before: bool = False

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("layers must hold one layer at least, got none")
        for i, (below, above) in enumerate(zip(self.layers, self.layers[1:], strict=False), 1):
            if above.input_size != below.hidden_size:
                raise ValueError(
                    f"layer {i} must have the input_size {below.hidden_size}, the hidden_size of the layer below, "
                    f"got {above.input_size}"
                )

    def cells(self) -> list[Cell]:
        """New modules with copies of the weights, bottom first: :class:`gru_ext.GRUCell` or, where r acts before the product,
        :class:`gru_ext.ResetBeforeGRUCell`."""
        kind = ResetBeforeGRUCell if self.reset_before else GRUCell
        return [_cell(kind, layer) for layer in self.layers]


def _cell(kind: type[Cell], layer: GRUWeights) -> Cell:
    bias = layer.b_ih is not None or layer.b_hh is not None
    # On the meta device: memory and random numbers for weights that are replaced at once would be waste.
    cell = kind(layer.input_size, layer.hidden_size, bias, device="meta", dtype=layer.w_hh.dtype)
    weights = {"weight_ih": layer.w_ih, "weight_hh": layer.w_hh, "bias_ih": layer.b_ih, "bias_hh": layer.b_hh}
    for name, tensor in weights.items():
        copied = None if tensor is None else torch.nn.Parameter(tensor.detach().clone(memory_format=torch.contiguous_format))
        setattr(cell, name, copied)
    return cell
