"""A cell's parameters in the forms that libraries ask for."""

import ctypes
from typing import Any

import torch
from torch import Tensor, nn


def four(cell: nn.GRUCell) -> list[Tensor]:
    """weight_ih [3H, I], weight_hh [3H, H], bias_ih [3H], bias_hh [3H]; zeros for biases that the cell has not."""
    none = torch.zeros(3 * cell.hidden_size)
    biases = [cell.bias_ih, cell.bias_hh] if cell.bias else [none, none]
    return [parameter.detach() for parameter in (cell.weight_ih, cell.weight_hh, *biases)]


def update_first(parameter: Tensor) -> Tensor:
    """The gates in the order z, r, n, which is everyone's but torch's r, z, n."""
    r, z, n = parameter.chunk(3)
    return torch.cat([z, r, n])


def packed_biases(cell: nn.GRUCell) -> Tensor:
    """[4H]: of z and r the sums of both biases, then bias_ih and bias_hh of n."""
    of_input, of_state = (update_first(bias).split(cell.hidden_size) for bias in four(cell)[2:])
    return torch.cat([of_input[0] + of_state[0], of_input[1] + of_state[1], of_input[2], of_state[2]])


def address(array: Any) -> ctypes.c_void_p:
    """Where the numbers of a NumPy array lie. It does not keep them alive."""
    return ctypes.c_void_p(array.ctypes.data)
