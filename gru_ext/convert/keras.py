"""From Keras. It is not imported here: a layer is known by what it has, and its weights are arrays."""

from collections.abc import Sequence
from typing import Any, Optional

import torch
from torch import Tensor

from ..stack import GRUStack, GRUWeights
from .agreement import check_agreement, zrh_step, zrh_to_rzn


def from_keras(source: Any, reset_after: Optional[bool] = None) -> GRUStack:
    """The weights of one Keras GRU layer: gates from z, r, h to r, z, n, kernels transposed.

    The equations are those of ``keras.layers.GRUCell`` with ``activation="tanh"`` and ``recurrent_activation="sigmoid"``; the
    default of Keras 1, ``"hard_sigmoid"``, is refused, because no kernel here computes it. With ``reset_after=False`` the
    result can be no ``GRUCell``: it says ``reset_before=True``, and its ``cells()`` are :class:`gru_ext.ResetBeforeGRUCell`.
    Dropout and masking are no part of a step and left out.

    Args:
        source: a ``keras.layers.GRU`` or ``keras.layers.GRUCell`` that is built, or what its ``get_weights()`` returns:
            kernel ``[I, 3H]``, recurrent_kernel ``[H, 3H]`` and, where there are biases, bias ``[2, 3H]``
            (``reset_after=True``: that of the input, then that of the state) or ``[3H]`` (``reset_after=False``).
        reset_after: needed with arrays that have no bias, else read from the layer or from the bias.

    Returns:
        One layer.

    Raises:
        TypeError: the source is neither such a layer nor a sequence of arrays.
        ValueError: the layer has other activations, goes backwards or is not built; an array has another shape; reset_after is
            missing or contradicts the source; a weight is not finite.
        RuntimeError: the self-check failed.
    """
    if isinstance(source, Sequence):
        arrays = source
    else:
        cell = getattr(source, "cell", source)
        if not hasattr(cell, "reset_after") or not hasattr(cell, "get_weights"):
            raise TypeError(f"source must be a Keras GRU or GRUCell or its weights, got {type(source).__qualname__}")
        _check_options(source, cell)
        reset_after = _agreed(reset_after, bool(cell.reset_after), "the layer")
        arrays = cell.get_weights()
    if len(arrays) not in (2, 3):
        raise ValueError(
            f"weights must be kernel, recurrent_kernel and perhaps bias, got {len(arrays)} arrays: is the layer built?"
        )
    kernel, recurrent_kernel = _tensor(arrays[0]), _tensor(arrays[1])
    bias = _tensor(arrays[2]) if len(arrays) == 3 else None
    _check_shapes(kernel, recurrent_kernel, bias)
    if bias is not None:
        reset_after = _agreed(reset_after, bias.dim() == 2, f"a bias of shape {list(bias.shape)}")
    if reset_after is None:
        raise ValueError("reset_after must be given for weights without a bias, from which it cannot be read")
    if bias is None or bias.dim() == 1:
        b_input, b_recurrent = bias, None
    else:
        b_input, b_recurrent = bias.unbind()
    ordered = [None if t is None else zrh_to_rzn(t) for t in (kernel.t(), recurrent_kernel.t(), b_input, b_recurrent)]
    stack = GRUStack((GRUWeights(*ordered),), reset_before=not reset_after)
    step = zrh_step(kernel, recurrent_kernel, b_input, b_recurrent, reset_after)
    check_agreement(stack, lambda x, before: [step(x, before[0])], "from_keras")
    return stack


def _check_options(layer: Any, cell: Any) -> None:
    for option, expected in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
        found = getattr(getattr(cell, option), "__name__", None)
        if found != expected:
            raise ValueError(f"{option} must be {expected}, got {found}")
    if getattr(layer, "go_backwards", False):
        raise ValueError("go_backwards must be False, got True: a stream does not know what comes later")


def _agreed(given: Optional[bool], found: bool, source: str) -> bool:
    if given is not None and given != found:
        raise ValueError(f"reset_after={given} contradicts {source}, which means reset_after={found}")
    return found


def _tensor(array: Any) -> Tensor:
    return array.detach() if isinstance(array, Tensor) else torch.tensor(array)


def _check_shapes(kernel: Tensor, recurrent_kernel: Tensor, bias: Optional[Tensor]) -> None:
    shape = list(recurrent_kernel.shape)
    if len(shape) != 2 or shape[1] != 3 * shape[0]:
        raise ValueError(f"recurrent_kernel must be [H, 3H], got {shape}")
    columns = shape[1]
    if kernel.dim() != 2 or kernel.size(1) != columns:
        raise ValueError(f"kernel must be [I, 3H] with 3H = {columns} as in recurrent_kernel, got {list(kernel.shape)}")
    if bias is not None and list(bias.shape) not in ([columns], [2, columns]):
        raise ValueError(f"bias must be [2, 3H] or [3H] with 3H = {columns} as in recurrent_kernel, got {list(bias.shape)}")
