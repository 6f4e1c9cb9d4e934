"""The classifier: a GRU cell reads the rows of an image, a linear layer names the digit."""

import torch
from torch import Tensor, nn

from .data import CLASSES, INPUTS


class DigitClassifier(nn.Module):
    """A GRU cell over the rows of an image and a linear readout of its last state; scriptable and exportable.

    Args:
        cell: the class of the cell, :class:`torch.nn.GRUCell` or :class:`gru_ext.GRUCell`.
        hidden_size: H, the number of units of the state.

    Shape:
        - images: ``[N, T, 8]``, floating
        - returns: ``[N, 10]``, one logit for each digit
    """

    def __init__(self, cell: type[nn.GRUCell], hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.cell = cell(INPUTS, hidden_size)
        self.readout = nn.Linear(hidden_size, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        h = images.new_zeros(images.size(0), self.hidden_size)
        for row in images.unbind(1):
            h = self.cell(row, h)
        return self.readout(h)


def build(cell: type[nn.GRUCell], hidden_size: int, seed: int) -> DigitClassifier:
    """A new classifier; the same seed gives the same initial weights whichever cell is inside."""
    torch.manual_seed(seed)
    return DigitClassifier(cell, hidden_size)
