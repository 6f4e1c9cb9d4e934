"""One GRU step in double precision, from the equations, with plain tensor operations: what every value is compared with."""

from typing import Optional

import torch
from torch import Tensor


def gru_cell(
    input: Tensor,
    hx: Optional[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Optional[Tensor] = None,
    b_hh: Optional[Tensor] = None,
) -> Tensor:
    """The next state in float64 (complex128 for complex arguments), whatever the dtype of the arguments.

    Each gate is its own pair of products, so a mistake in slicing a fused one cannot be shared with the code under test.
    Differentiable to any order and usable under ``torch.func``, so it serves derivatives as well.

    Args:
        input: ``[N, I]`` or ``[I]``.
        hx: ``[N, H]`` or ``[H]``; zeros where None.
        w_ih: ``[3H, I]``, gates in the order r, z, n.
        w_hh: ``[3H, H]``.
        b_ih: ``[3H]`` or None.
        b_hh: ``[3H]`` or None.

    Returns:
        ``[N, H]`` or ``[H]``.
    """
    wide = torch.complex128 if input.is_complex() else torch.float64
    hidden_size = w_hh.shape[1]
    x = input.to(wide)
    h = torch.zeros(*x.shape[:-1], hidden_size, dtype=wide, device=x.device) if hx is None else hx.to(wide)

    def product(value: Tensor, weight: Tensor, bias: Optional[Tensor], gate: int) -> Tensor:
        rows = slice(gate * hidden_size, (gate + 1) * hidden_size)
        result = value @ weight[rows].to(wide).transpose(0, 1)
        return result if bias is None else result + bias[rows].to(wide)

    r = torch.sigmoid(product(x, w_ih, b_ih, 0) + product(h, w_hh, b_hh, 0))
    z = torch.sigmoid(product(x, w_ih, b_ih, 1) + product(h, w_hh, b_hh, 1))
    n = torch.tanh(product(x, w_ih, b_ih, 2) + r * product(h, w_hh, b_hh, 2))
    return (1 - z) * n + z * h
