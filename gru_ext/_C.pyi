"""gru_ext's short way into its op library (csrc/python/module.cpp)."""

from torch import Tensor

def gru_cell(
    input: Tensor, hx: Tensor | None, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None, /
) -> Tensor:
    """The op, or NotImplemented where only ``torch.ops`` will do: subclasses, proxies, function modes, ``torch.jit.trace``."""
