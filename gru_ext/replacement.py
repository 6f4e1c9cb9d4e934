"""Swapping torch.nn.GRUCell for ours in models that exist, and in models that are about to be built."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.utils import parametrize

from .cell import GRUCell

# Every name under which torch offers the class.
_HOMES = (torch.nn, torch.nn.modules, torch.nn.modules.rnn)
# Taken at import: within `patch()` the names above mean our class.
_TORCH_CELL = nn.GRUCell


def replace(model: nn.Module) -> int:
    """Turns every ``torch.nn.GRUCell`` of a model, itself included, into a :class:`gru_ext.GRUCell`, in place.

    The module objects stay the same ones; only their class changes. So parameters, optimizers that hold them, hooks, tied
    modules, the training flag and parametrizations are untouched. Subclasses of ``torch.nn.GRUCell`` are left alone: their
    ``forward`` may differ.

    Args:
        model: the module to search, submodules included.

    Returns:
        How many cells were replaced; a cell that is tied into several places counts once.
    """
    replaced = 0
    for module in model.modules():
        if type(module) is _TORCH_CELL:
            module.__class__ = GRUCell
        elif parametrize.is_parametrized(module) and type(module).__bases__ == (_TORCH_CELL,):
            module.__class__ = _rebase(type(module))
        else:
            continue
        replaced += 1
    return replaced


def _rebase(parametrized: type) -> type:
    """The class that torch's parametrization made for one module, deriving from our cell instead of torch's."""
    own = {name: value for name, value in vars(parametrized).items() if name not in ("__dict__", "__weakref__")}
    return type(parametrized.__name__, (GRUCell,), own)


@contextlib.contextmanager
def patch() -> Iterator[None]:
    """Within this context ``torch.nn.GRUCell`` is :class:`gru_ext.GRUCell`, so models built in it use ours.

    Code that took the class before (``from torch.nn import GRUCell``) keeps what it took, and within the context
    ``isinstance(cell, torch.nn.GRUCell)`` is False for cells of torch's own class. The names are process-wide: do not enter
    it in one thread while another builds models.
    """
    before = [home.GRUCell for home in _HOMES]
    try:
        for home in _HOMES:
            home.GRUCell = GRUCell  # type: ignore[misc]
        yield
    finally:
        for home, cell in zip(_HOMES, before, strict=True):
            home.GRUCell = cell  # type: ignore[misc]
