"""torch.ao's dynamic quantization: weights and activations as 8-bit integers, scaled anew at every call."""

import copy
import warnings
from typing import Optional

import torch
from torch import nn

from ..cases import Problem, Step
from .peer import Peer, register


@register
class Quantized(Peer):
    name = "torch.ao-int8"
    default = False
    trains = False
    dtypes = (torch.float32,)
    packs = True
    # Activations get 7 of the 8 bits, so that sums of two products fit into 16: 127 steps from the least number to the largest.
    spacing = 2 / 127

    def why_not(self, problem: Problem) -> Optional[str]:
        return super().why_not(problem) or (None if problem.case.workload.bias else "no cell without biases")

    def step(self, cell: nn.GRUCell) -> Step:
        with warnings.catch_warnings(), torch.inference_mode(False):
            # It announces its retirement and a storage class that it uses itself.
            warnings.simplefilter("ignore")
            model = torch.ao.quantization.quantize_dynamic(nn.Sequential(copy.copy(cell)), {nn.GRUCell}, torch.qint8)
        return model[0]
