"""The GRU cell as a function of tensors."""

from typing import Optional

import torch
from torch import Tensor

from . import _library, fallback

if _library.reason is None:
    from . import _C


def gru_cell(
    input: Tensor,
    hx: Optional[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Optional[Tensor] = None,
    b_hh: Optional[Tensor] = None,
) -> Tensor:
    r"""One step of a gated recurrent unit.

    .. math::
        r  &= \sigma(W_{ir} x + b_{ir} + W_{hr} h + b_{hr}) \\
        z  &= \sigma(W_{iz} x + b_{iz} + W_{hz} h + b_{hz}) \\
        n  &= \tanh(W_{in} x + b_{in} + r \circ (W_{hn} h + b_{hn})) \\
        h' &= n + z \circ (h - n)

    The equations are those of :class:`torch.nn.GRUCell` (Cho et al., 2014, arXiv:1406.1078, with the reset gate applied
    after the hidden product). Differentiable to any order, in reverse and forward mode, and under ``torch.func``.

    Args:
        input: ``[N, I]`` or ``[I]``; any floating or complex dtype.
        hx: ``[N, H]`` or ``[H]``, the state; zeros where None.
        w_ih: ``[3H, I]``, gates in the order r, z, n.
        w_hh: ``[3H, H]``, likewise.
        b_ih: ``[3H]`` or None.
        b_hh: ``[3H]`` or None.

    Returns:
        The next state, ``[N, H]`` or ``[H]``, in fresh memory.

    Raises:
        ValueError: input or hx has neither one nor two dimensions.
        RuntimeError: sizes, dtypes or devices do not fit together; the text names the argument.
        AttributeError: input or hx is not a tensor.
    """
    if torch.jit.is_scripting():
        return torch.ops.gru_ext.gru_cell(input, hx, w_ih, w_hh, b_ih, b_hh)
    if _library.reason is not None:
        _library.warn_once()
        return fallback.gru_cell(input, hx, w_ih, w_hh, b_ih, b_hh)
    y = _C.gru_cell(input, hx, w_ih, w_hh, b_ih, b_hh)
    if y is not NotImplemented:
        return y
    # torch.nn.GRUCell asks both for their rank: what has no `dim` is an AttributeError there and here; the op would raise a
    # RuntimeError.
    input.dim
    if hx is not None:
        hx.dim
    return torch.ops.gru_ext.gru_cell(input, hx, w_ih, w_hh, b_ih, b_hh)
