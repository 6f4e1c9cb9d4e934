"""torch.nn.GRUCell scripted and frozen: its parameters become constants of a TorchScript graph."""

import copy
import warnings

import torch
from torch import nn

from ..cases import Step
from .peer import Peer, register


@register
class Frozen(Peer):
    name = "jit.freeze"
    trains = False

    def step(self, cell: nn.GRUCell) -> Step:
        with warnings.catch_warnings():
            # TorchScript announces its retirement at every call; people still deploy it.
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.freeze(torch.jit.script(copy.copy(cell).eval()))
