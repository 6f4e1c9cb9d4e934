"""The GRU cell, forward and backward, as fast as the hardware allows, wherever a PyTorch model runs."""

from importlib.metadata import version as _version

from . import _integrations  # noqa: F401
from . import convert as convert
from ._library import cmake_prefix_path, library_path
from .cell import GRUCell
from .functional import gru_cell
from .packed import PackedGRU, pack
from .replacement import patch, replace
from .reset_before import ResetBeforeGRUCell
from .stack import GRUStack, GRUWeights
from .stream_file import load_stream, save_stream
from .streaming import StreamingGRU

__version__ = _version("gru_ext")
__all__ = [
    "GRUCell",
    "GRUStack",
    "GRUWeights",
    "PackedGRU",
    "ResetBeforeGRUCell",
    "StreamingGRU",
    "cmake_prefix_path",
    "convert",
    "gru_cell",
    "library_path",
    "load_stream",
    "pack",
    "patch",
    "replace",
    "save_stream",
]
