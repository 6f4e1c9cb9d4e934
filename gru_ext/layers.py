"""The layers of a model: which modules the streams and their files take, and what is refused."""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any, Optional, Union

import torch
from torch import nn

from .cell import GRUCell
from .reset_before import ResetBeforeGRUCell
from .stack import Cell, GRUStack, GRUWeights

_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@singledispatch
def cells_of(model: Any) -> list[Cell]:
    """The layers of a model as cells, bottom first, that hold the very parameters of the model.

    Args:
        model: a :class:`gru_ext.GRUCell`, ``torch.nn.GRUCell``, ``torch.nn.GRU`` (any number of layers, one direction),
            :class:`gru_ext.StreamingGRU`, :class:`gru_ext.ResetBeforeGRUCell`, :class:`gru_ext.GRUStack` (whose weights are
            copied), or a list, tuple, ``ModuleList`` or ``Sequential`` of them. Dropout between the layers of a
            ``torch.nn.GRU`` is for training and left out.

    Raises:
        TypeError: the model is none of these, or a subclass with a ``forward`` of its own.
        ValueError: it computes something that a stack of cells cannot: two directions, a projection, parametrized weights.
    """
    raise TypeError(
        "expected a GRUCell, nn.GRU, StreamingGRU, ResetBeforeGRUCell, GRUStack or a sequence of them, "
        f"got {type(model).__module__}.{type(model).__qualname__}"
    )


def stack_of(model: Any) -> GRUStack:
    """The weights of a model as it is now, shared with it, as plain data.

    Args:
        model: as in :func:`cells_of`.

    Raises:
        TypeError, ValueError: as :func:`cells_of`; also ValueError where the layers do not fit on each other, or some have the
            reset gate before the product and some after it.
    """
    if isinstance(model, GRUStack):
        return model
    cells = cells_of(model)
    if not cells:
        raise ValueError("the model must have one layer at least, got none")
    kinds = [isinstance(cell, ResetBeforeGRUCell) for cell in cells]
    if len(set(kinds)) > 1:
        raise ValueError(
            f"layers must all be ResetBeforeGRUCell or none, got {', '.join(type(cell).__name__ for cell in cells)}"
        )
    layers = (GRUWeights(*(_detached(getattr(cell, name)) for name in _WEIGHTS)) for cell in cells)
    return GRUStack(tuple(layers), reset_before=any(kinds))


def _detached(weight: Optional[torch.Tensor]) -> Optional[torch.Tensor]:
    return None if weight is None else weight.detach()


def _refuse_other_forward(module: nn.Module, known: type[nn.Module]) -> None:
    if type(module).forward is not known.forward:
        raise TypeError(
            f"{type(module).__qualname__} has a forward of its own, which need not compute what {known.__name__} does"
        )


@cells_of.register
def _(model: GRUCell) -> list[Cell]:
    _refuse_other_forward(model, GRUCell)
    return [model]


@cells_of.register
def _(model: ResetBeforeGRUCell) -> list[Cell]:
    _refuse_other_forward(model, ResetBeforeGRUCell)
    return [model]


@cells_of.register
def _(model: nn.GRUCell) -> list[Cell]:
    _refuse_other_forward(model, _TORCH_CELL)
    return [_sharing(model, _WEIGHTS)]


@cells_of.register
def _(model: nn.GRU) -> list[Cell]:
    _refuse_other_forward(model, nn.GRU)
    if model.bidirectional:
        raise ValueError("nn.GRU must have one direction, got bidirectional=True: a stream does not know what comes later")
    if model.proj_size != 0:
        raise ValueError(f"nn.GRU must have proj_size=0, got {model.proj_size}: a cell has no projection")
    return [_sharing(model, [f"{name}_l{layer}" for name in _WEIGHTS]) for layer in range(model.num_layers)]


@cells_of.register(list)
@cells_of.register(tuple)
@cells_of.register(nn.ModuleList)
@cells_of.register(nn.Sequential)
def _(model: Union[Sequence[Any], nn.ModuleList, nn.Sequential]) -> list[Cell]:
    return [cell for part in model for cell in cells_of(part)]


@cells_of.register
def _(model: GRUStack) -> list[Cell]:
    return model.cells()


# Taken at import: within `gru_ext.patch()` torch's name means our class.
_TORCH_CELL = nn.GRUCell


def _sharing(model: nn.Module, names: Sequence[str]) -> GRUCell:
    """A cell with the parameters of these names, the biases last and absent where the model has none."""
    parameters = [model._parameters.get(name) for name in names]
    if parameters[0] is None or parameters[1] is None:
        raise ValueError(
            f"{names[0]} and {names[1]} must be parameters of {type(model).__name__}, not computed from others: "
            "remove parametrizations, pruning or weight norm first"
        )
    rows, input_size = parameters[0].shape
    with_bias = any(bias is not None for bias in parameters[2:])
    cell = GRUCell(input_size, rows // 3, with_bias, device="meta", dtype=parameters[0].dtype)
    for name, parameter in zip(_WEIGHTS, parameters, strict=True):
        setattr(cell, name, parameter)
    return cell.train(model.training)
