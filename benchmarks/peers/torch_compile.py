"""torch.compile, of nn.GRUCell and of the same equations in plain operations. Off by default: compiling takes long."""

import os
import shutil
import sysconfig
from pathlib import Path
from typing import Optional

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from ..cases import Step
from .peer import Peer, register


class PlainCell(nn.Module):
    """The equations as torch.nn.GRUCell's documentation gives them, which the compiler can fuse, unlike aten::gru_cell."""

    def __init__(self, cell: nn.GRUCell) -> None:
        super().__init__()
        self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh = cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh

    def forward(self, input: Tensor, hx: Tensor) -> Tensor:
        i_r, i_z, i_n = linear(input, self.weight_ih, self.bias_ih).chunk(3, 1)
        h_r, h_z, h_n = linear(hx, self.weight_hh, self.bias_hh).chunk(3, 1)
        r = torch.sigmoid(i_r + h_r)
        z = torch.sigmoid(i_z + h_z)
        n = torch.tanh(i_n + r * h_n)
        return n + z * (hx - n)


class _Compiled(Peer):
    default = False

    def why_unavailable(self) -> Optional[str]:
        compiler = os.environ.get("CXX", "g++")
        if shutil.which(compiler) is None:
            return f"torch.compile needs a C++ compiler, and there is no {compiler}"
        if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
            return "torch.compile needs Python's C headers"
        return None

    def start_case(self) -> None:
        # Dynamo stops recompiling a function after 8 sizes; each case is to be compiled afresh.
        torch._dynamo.reset()


@register
class CompiledStock(_Compiled):
    name = "torch.compile"

    def step(self, cell: nn.GRUCell) -> Step:
        return torch.compile(cell, fullgraph=True)


@register
class CompiledPlain(_Compiled):
    name = "torch.compile-plain"

    def step(self, cell: nn.GRUCell) -> Step:
        return torch.compile(PlainCell(cell), fullgraph=True)
