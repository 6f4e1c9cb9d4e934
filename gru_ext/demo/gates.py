"""What happens inside a GRU cell: its gates, from the published equations and the cell's weights."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class Gates(NamedTuple):
    """Reset gate r, update gate z (the share of the old state that stays) and candidate n; one shape for all three."""

    r: Tensor
    z: Tensor
    n: Tensor


def gates(cell: nn.GRUCell, input: Tensor, hx: Tensor) -> Gates:
    r"""The gates of one step, each ``[N, H]``; the cell's output is ``n + z * (hx - n)``.

    The equations are those in the documentation of :class:`torch.nn.GRUCell`:
    :math:`r = \sigma(W_{ir}x + b_{ir} + W_{hr}h + b_{hr})`, z alike, and
    :math:`n = \tanh(W_{in}x + b_{in} + r \circ (W_{hn}h + b_{hn}))`.

    Args:
        cell: the cell whose weights are used; with or without biases.
        input: ``[N, I]``, dtype of the cell.
        hx: ``[N, H]``, the state before the step.
    """
    input_r, input_z, input_n = linear(input, cell.weight_ih, cell.bias_ih).chunk(3, dim=1)
    state_r, state_z, state_n = linear(hx, cell.weight_hh, cell.bias_hh).chunk(3, dim=1)
    r = torch.sigmoid(input_r + state_r)
    z = torch.sigmoid(input_z + state_z)
    n = torch.tanh(input_n + r * state_n)
    return Gates(r, z, n)


@torch.no_grad()
def gates_over_time(cell: nn.GRUCell, sequence: Tensor) -> Gates:
    """The gates while the cell reads one sequence ``[T, I]`` from a zero state; each ``[T, H]``, no gradient."""
    h = sequence.new_zeros(1, cell.hidden_size)
    steps = []
    for x in sequence:
        step = gates(cell, x.unsqueeze(0), h)
        h = step.n + step.z * (h - step.n)
        steps.append(step)
    return Gates(*(torch.cat(gate) for gate in zip(*steps, strict=True)))
