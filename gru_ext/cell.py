"""The drop-in module."""

from typing import Any, Optional

import torch
from torch import Tensor

from . import _library, fallback
from .functional import gru_cell

if _library.reason is None:
    from . import _C


class GRUCell(torch.nn.GRUCell):
    r"""A gated recurrent unit cell: :class:`torch.nn.GRUCell` with fused kernels.

    Constructor, parameters, initial weights for a given seed, ``state_dict``, repr and error texts are torch's, and so is the
    maths (:func:`gru_ext.gru_cell`); a checkpoint of either class loads into the other. The weights are read at every call:
    nothing is cached, so in-place edits, ``.data`` swaps and parametrizations take effect at once.

    Args:
        input_size: I, the number of features of the input.
        hidden_size: H, the number of features of the state.
        bias: False leaves out ``bias_ih`` and ``bias_hh``.
        device: where the parameters live.
        dtype: floating or complex dtype of the parameters.

    Shape:
        - input: ``[N, I]`` or ``[I]``
        - hx: ``[N, H]`` or ``[H]``; zeros where None
        - returns: ``[N, H]`` or ``[H]``, the next state

    Raises:
        ValueError, RuntimeError, AttributeError: in ``forward``, as :func:`gru_ext.gru_cell` does.

    Example::

        >>> cell = gru_ext.GRUCell(10, 20)
        >>> h = torch.zeros(3, 20)
        >>> for x in torch.randn(6, 3, 10):
        ...     h = cell(x, h)
    """

    def forward(self, input: Tensor, hx: Optional[Tensor] = None) -> Tensor:
        if not torch.jit.is_scripting():
            y = _C.cell_forward(self, input, hx)
            if y is not NotImplemented:
                return y
        return gru_cell(input, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        # torch.nn.Module.__call__ comes here. Where it has only `forward` to call, to find that out takes it half a small step.
        y = _C.cell_call(self, args, kwargs)
        if y is not NotImplemented:
            return y
        return super()._call_impl(*args, **kwargs)


if _library.reason is None:
    _C.cell_class(GRUCell)
else:
    fallback.forward.__qualname__ = GRUCell.forward.__qualname__  # Python's own TypeErrors name it
    GRUCell.forward = fallback.forward  # type: ignore[method-assign]
    del GRUCell._call_impl
