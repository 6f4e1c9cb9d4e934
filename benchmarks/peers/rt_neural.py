"""RTNeural, for one row, compiled for each size: where the variable RTNEURAL names a folder with its source."""

import ctypes
import functools
import os
import weakref
from functools import partial
from pathlib import Path
from typing import Any, Optional

import torch
from torch import nn

from .. import native
from ..cases import Call, Problem, Step
from .bound import BoundStep
from .parameters import address, four, update_first
from .peer import NumpyPeer, register

# What vectorising the plain backend's sums takes. All of -ffast-math would, when loaded, flush denormal numbers of every peer.
_PLAIN = ("-DRTNEURAL_USE_STL=1", "-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math", "-fno-math-errno")


@register
class RtNeural(NumpyPeer):
    name = "rtneural"
    default = False
    packs = True

    def why_unavailable(self) -> Optional[str]:
        if not os.environ.get("RTNEURAL"):
            return "RTNEURAL is not set; it names a folder with RTNeural's source"
        if not (_source() / "RTNeural/RTNeural.h").is_file():
            return "RTNEURAL names a folder without RTNeural/RTNeural.h"
        return native.why_unavailable()

    def version(self) -> str:
        return "RTNeural with xsimd" if _xsimd().is_dir() else "RTNeural with the standard library"

    def why_not(self, problem: Problem) -> Optional[str]:
        rows = {n for cell in problem.case.workload.cells for n in cell.batches}
        return super().why_not(problem) or (None if rows == {1} else "one row only")

    def step(self, cell: nn.GRUCell) -> Step:
        library = _library(cell.input_size, cell.hidden_size)
        w_ih, w_hh, b_ih, b_hh = (update_first(parameter) for parameter in four(cell))
        numbers = [t.contiguous().numpy() for t in (w_ih.t(), w_hh.t(), torch.stack([b_ih, b_hh]))]
        handle = ctypes.c_void_p(library.gru_rtneural_create(*map(address, numbers)))

        def bind(x: Any, h: Any, y: Any) -> Call:
            return partial(library.gru_rtneural_step, handle, address(x), address(h), address(y))

        weakref.finalize(bind, library.gru_rtneural_destroy, handle)
        return BoundStep(bind)


def _source() -> Path:
    return Path(os.environ["RTNEURAL"]).absolute()


def _xsimd() -> Path:
    return _source() / "modules/xsimd/include"


@functools.cache
def _library(input_size: int, hidden_size: int) -> ctypes.CDLL:
    backend = ("-DRTNEURAL_USE_XSIMD=1", f"-I{_xsimd()}") if _xsimd().is_dir() else _PLAIN
    sizes = (f"-DGRU_INPUTS={input_size}", f"-DGRU_UNITS={hidden_size}")
    # 64 bytes: the longest vectors there are.
    flags = (f"-I{_source()}", "-DRTNEURAL_DEFAULT_ALIGNMENT=64", *backend, *sizes)
    library = native.load(Path(__file__).with_suffix(".cpp"), ("-std=c++17", *flags))
    library.gru_rtneural_create.restype = ctypes.c_void_p
    return library
