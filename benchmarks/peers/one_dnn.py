"""oneDNN's own GRU cell on packed weights, through a C++ source that is compiled at first use, where oneDNN can be linked."""

import ctypes
import functools
import re
import sys
import weakref
from functools import partial
from pathlib import Path
from typing import Any, Optional

import torch
from torch import Tensor, nn

from .. import native
from ..cases import Call, Step
from .bound import BoundStep
from .parameters import address, four, packed_biases, update_first
from .peer import NumpyPeer, register

# Where pip puts it; the compiler itself knows the places of the system.
_INCLUDE, _LIB = Path(sys.prefix, "include"), Path(sys.prefix, "lib")
_FLAGS = (f"-I{_INCLUDE}", f"-L{_LIB}", f"-Wl,-rpath,{_LIB}", "-ldnnl")


@register
class OneDnn(NumpyPeer):
    name = "onednn"
    default = False
    packs = True
    #: What arrays and packed weights are in, instead of float32.
    bf16 = False

    def why_unavailable(self) -> Optional[str]:
        return native.why_unavailable() or _loaded()[1]

    def version(self) -> str:
        return f"oneDNN {_library().gru_onednn_version().decode()}"

    def step(self, cell: nn.GRUCell) -> Step:
        weights = [update_first(weight).t().contiguous() for weight in four(cell)[:2]]
        numbers = [tensor.numpy() for tensor in (*weights, packed_biases(cell))]
        models: dict[int, _Model] = {}  # by N

        def bind(x: Any, h: Any, y: Any) -> Call:
            if len(x) not in models:
                models[len(x)] = _Model((len(x), cell.input_size, cell.hidden_size), self.bf16, numbers)
            return models[len(x)].call(*map(address, (x, h, y)))

        return BoundStep(bind)


@register
class OneDnnBf16(OneDnn):
    """In bfloat16 throughout; NumPy has no such type, so arrays hold the bits."""

    name = "onednn-bf16"
    bf16 = True
    spacing = 2**-7

    def why_unavailable(self) -> Optional[str]:
        reason = super().why_unavailable()
        if reason is None:
            try:
                self.step(nn.GRUCell(1, 1))(*(self.adopt(torch.zeros(1, 1)) for _ in range(2)))
            except RuntimeError as error:  # of a processor without the instructions
                return str(error)
        return reason

    def adopt(self, tensor: Tensor) -> Any:
        return tensor.bfloat16().view(torch.int16).numpy()

    def to_torch(self, array: Any) -> Tensor:
        return torch.from_numpy(array).view(torch.bfloat16).float()


class _Model:
    """The cell for one number of rows."""

    def __init__(self, sizes: tuple[int, int, int], bf16: bool, numbers: list[Any]) -> None:
        reason = ctypes.create_string_buffer(256)
        cell = _library().gru_onednn_create(*sizes, ctypes.c_bool(bf16), *map(address, numbers), reason, len(reason))
        if cell is None:
            raise RuntimeError(f"oneDNN refuses N, I, H = {sizes}: {reason.value.decode()}")
        self._cell = ctypes.c_void_p(cell)
        weakref.finalize(self, _library().gru_onednn_destroy, self._cell)

    def call(self, x: ctypes.c_void_p, h: ctypes.c_void_p, y: ctypes.c_void_p) -> Call:
        return partial(_library().gru_onednn_step, self._cell, x, h, y)


def _library() -> ctypes.CDLL:
    library, reason = _loaded()
    if library is None:
        raise RuntimeError(reason)
    return library


@functools.cache
def _loaded() -> tuple[Optional[ctypes.CDLL], Optional[str]]:
    """The library, or why there is none."""
    try:
        library = native.load(Path(__file__).with_suffix(".cpp"), _FLAGS)
    except RuntimeError as error:
        # The compiler's or the linker's first complaint, without the place that it is about.
        found = re.search(r"(?:error|ld): (.+)", str(error))
        return None, f"cannot be linked: {found[1] if found else error}"
    library.gru_onednn_create.restype = ctypes.c_void_p
    library.gru_onednn_version.restype = ctypes.c_char_p
    return library, None
