"""The GRU cell, forward and backward, as fast as the hardware allows, wherever a PyTorch model runs."""

from importlib.metadata import version as _version

from . import _integrations  # noqa: F401
from ._library import cmake_prefix_path, library_path
from .cell import GRUCell
from .functional import gru_cell
from .packed import PackedGRU, pack
from .replacement import patch, replace

__version__ = _version("gru_ext")
__all__ = ["GRUCell", "PackedGRU", "cmake_prefix_path", "gru_cell", "library_path", "pack", "patch", "replace"]
