"""From torch's own modules."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from ..layers import cells_of, stack_of
from ..stack import GRUStack
from ..streaming import StreamingGRU
from .agreement import Step, check_agreement


def from_torch(module: Any) -> GRUStack:
    """The weights of torch's modules, after a step of the module itself beside one of the result.

    Args:
        module: a ``torch.nn.GRUCell``, :class:`gru_ext.GRUCell`, :class:`gru_ext.ResetBeforeGRUCell`, a ``torch.nn.GRU`` of one
            direction with any number of layers, a :class:`gru_ext.StreamingGRU`, or a list, tuple, ``ModuleList`` or
            ``Sequential`` of them, bottom first. Dropout between the layers of a ``torch.nn.GRU`` is for training and left out.

    Returns:
        The weights, shared with the module.

    Raises:
        TypeError, ValueError: the module has no such layers, two directions, a projection, or weights that are
            parametrized or not finite.
        RuntimeError: the self-check failed.
    """
    if isinstance(module, GRUStack):
        raise TypeError("module must be a module or a sequence of modules, got a GRUStack, which is what this function returns")
    stack = stack_of(module)
    check_agreement(stack, _step_of(module), "from_torch")
    return stack


def _step_of(module: Any) -> Step:
    """One step of the module itself, in float64."""
    if isinstance(module, nn.GRU):
        gru = copy.deepcopy(module).to("cpu", torch.float64).eval()
        return lambda x, before: list(gru(x.unsqueeze(1 if gru.batch_first else 0), torch.stack(before))[1])
    if isinstance(module, nn.RNNCellBase):
        cell = copy.deepcopy(module).to("cpu", torch.float64)
        return lambda x, before: [cell(x, before[0])]
    parts = [(_step_of(part), len(cells_of(part))) for part in (module.cells if isinstance(module, StreamingGRU) else module)]

    def step(x: Tensor, before: list[Tensor]) -> list[Tensor]:
        after: list[Tensor] = []
        for part, num_layers in parts:
            after += part(x, before[len(after) : len(after) + num_layers])
            x = after[-1]
        return after

    return step
