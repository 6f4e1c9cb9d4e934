"""The cell whose reset gate acts before the hidden product, which torch.nn.GRUCell cannot express."""

from typing import Optional

import torch
from torch import Tensor
from torch.nn import functional as F


class ResetBeforeGRUCell(torch.nn.RNNCellBase):
    r"""A gated recurrent unit cell whose reset gate acts on the state before the product with it.

    .. math::
        r  &= \sigma(W_{ir} x + b_{ir} + W_{hr} h + b_{hr}) \\
        z  &= \sigma(W_{iz} x + b_{iz} + W_{hz} h + b_{hz}) \\
        n  &= \tanh(W_{in} x + b_{in} + W_{hn} (r \circ h) + b_{hn}) \\
        h' &= n + z \circ (h - n)

    These are Cho et al., 2014, arXiv:1406.1078v3, Keras with ``reset_after=False`` and ONNX with ``linear_before_reset=0``.
    Weights of this cell mean something else in :class:`gru_ext.GRUCell` and the other way round: neither class derives from the
    other. Plain PyTorch operators, any floating dtype, differentiable: a reference to run and to check against, not a fused
    kernel. :func:`gru_ext.save_stream` writes it for the stream library, which has a kernel for it.

    Args:
        input_size: I, the number of features of the input.
        hidden_size: H, the number of features of the state.
        bias: False leaves out ``bias_ih`` and ``bias_hh``. Either may also be set to None alone.
        device: where the parameters live.
        dtype: floating dtype of the parameters.

    Shape:
        - input: ``[N, I]`` or ``[I]``
        - hx: ``[N, H]`` or ``[H]``; zeros where None
        - returns: ``[N, H]`` or ``[H]``, the next state

    Raises:
        ValueError: in ``forward``: input has neither one nor two dimensions, or hx has not as many.
        RuntimeError: in ``forward``: sizes or dtypes do not fit together.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Optional[torch.device] = None,
        dtype: Optional[torch.dtype] = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=3, device=device, dtype=dtype)

    def forward(self, input: Tensor, hx: Optional[Tensor] = None) -> Tensor:
        if input.dim() not in (1, 2):
            raise ValueError(f"ResetBeforeGRUCell: Expected input to be 1D or 2D, got {input.dim()}D instead")
        if hx is None:
            h = input.new_zeros(input.shape[:-1] + (self.weight_hh.size(1),))
        else:
            h = hx
        if h.dim() != input.dim():
            raise ValueError(f"ResetBeforeGRUCell: Expected hidden to be {input.dim()}D like the input, got {h.dim()}D instead")
        w_hh, w_hn = self.weight_hh.split([2 * self.weight_hh.size(1), self.weight_hh.size(1)])
        b_rz, b_n = None, None
        if self.bias_hh is not None:
            b_rz, b_n = self.bias_hh.split([2 * self.weight_hh.size(1), self.weight_hh.size(1)])
        a_r, a_z, a_n = F.linear(input, self.weight_ih, self.bias_ih).chunk(3, -1)
        c_r, c_z = F.linear(h, w_hh, b_rz).chunk(2, -1)
        r, z = torch.sigmoid(a_r + c_r), torch.sigmoid(a_z + c_z)
        n = torch.tanh(a_n + F.linear(r * h, w_hn, b_n))
        return n + z * (h - n)
