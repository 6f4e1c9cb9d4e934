"""torch.nn.GRUCell, eager: the reference."""

from torch import nn

from ..cases import Step
from .peer import Peer, register


@register
class Stock(Peer):
    name = "nn.GRUCell"

    def step(self, cell: nn.GRUCell) -> Step:
        return cell
