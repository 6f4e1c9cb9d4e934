"""What runs where the extension was not compiled: torch's own GRU cell, behind the same functions."""

from typing import Optional

import torch
from torch import Tensor

from . import _library


def gru_cell(
    input: Tensor,
    hx: Optional[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Optional[Tensor] = None,
    b_hh: Optional[Tensor] = None,
) -> Tensor:
    """`gru_ext.gru_cell` on `torch.gru_cell`; scriptable. Ranks, defaults and errors are those of torch.nn.GRUCell."""
    if input.dim() not in (1, 2):
        raise ValueError(f"GRUCell: Expected input to be 1D or 2D, got {input.dim()}D instead")
    if hx is not None and hx.dim() not in (1, 2):
        raise ValueError(f"GRUCell: Expected hidden to be 1D or 2D, got {hx.dim()}D instead")
    batched = input.dim() == 2
    x = input if batched else input.unsqueeze(0)
    if hx is None:
        h = torch.zeros(x.size(0), w_hh.size(1), dtype=x.dtype, device=x.device)
    else:
        h = hx if batched else hx.unsqueeze(0)
    y = torch.gru_cell(x, h, w_ih, w_hh, b_ih, b_hh)
    return y if batched else y.squeeze(0)


def forward(self: torch.nn.GRUCell, input: Tensor, hx: Optional[Tensor] = None) -> Tensor:
    """`GRUCell.forward` where there is no op library."""
    if not torch.jit.is_scripting() and not torch.compiler.is_compiling():
        _library.warn_once()
    return gru_cell(input, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
