"""The stream library with timing.cpp, compiled when first used, called through ctypes."""

import ctypes
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
TYPES = ("float32", "bfloat16", "int8")  # in the order of gru_weight_type


class _Weights(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("w_ih", "w_hh", "b_ih", "b_hh")] + [
        (name, ctypes.c_int64) for name in ("input_size", "hidden_size")
    ]


def compiled() -> ctypes.CDLL:
    cxx = os.environ.get("CXX", "g++")
    files = ("compile_flags.txt", "csrc/stream/compile_flags.txt")
    flags = ["-std=c++17", "-fPIC", *(flag for file in files for flag in (ROOT / file).read_text().split())]
    flags += [f"-I{ROOT / 'csrc'}", f"-I{ROOT / 'csrc' / 'include'}"]
    sources = [*(ROOT / "csrc" / "stream").rglob("*.cpp"), Path(__file__).with_name("timing.cpp")]
    with tempfile.TemporaryDirectory() as folder:

        def compile_one(source: Path) -> Path:
            target = Path(folder, source.stem).with_suffix(".o")
            subprocess.run([cxx, *flags, "-c", source, "-o", target], check=True)
            return target

        with ThreadPoolExecutor(2) as pool:
            objects = list(pool.map(compile_one, sources))
        library = Path(folder, "timing.so")
        subprocess.run([cxx, "-shared", *objects, "-o", library], check=True)
        c = ctypes.CDLL(str(library))
    c.gru_packed_size.restype = c.gru_scratch_size.restype = ctypes.c_size_t
    c.gru_error_string.restype = ctypes.c_char_p
    c.gru_timing_mean.restype = ctypes.c_double
    return c


def aligned(size: int) -> torch.Tensor:
    memory = torch.zeros(size + 64, dtype=torch.uint8)
    return memory[-memory.data_ptr() % 64 :][:size]


class Streams:
    """N streams of a cell, with weights of one type."""

    def __init__(self, c: ctypes.CDLL, cell: torch.nn.GRUCell, weights: str, n: int = 1) -> None:
        self._c, kind = c, TYPES.index(weights)
        sizes = (ctypes.c_int64(cell.input_size), ctypes.c_int64(cell.hidden_size))
        parameters = [p.detach() for p in (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)]
        self._packed = aligned(c.gru_packed_size(*sizes, kind))
        source = _Weights(*(p.data_ptr() for p in parameters), cell.input_size, cell.hidden_size)
        packed = ctypes.c_void_p(self._packed.data_ptr())
        code = c.gru_pack(ctypes.byref(source), kind, packed, ctypes.c_size_t(self._packed.numel()))
        if code != 0:
            raise ValueError(c.gru_error_string(code).decode())
        self._scratch = aligned(c.gru_scratch_size(packed))
        self.x, self.h = torch.randn(n, cell.input_size), torch.zeros(n, cell.hidden_size)
        memory = (ctypes.c_void_p(t.data_ptr()) for t in (self.x, self.h, self._scratch))
        self._arguments = (packed, ctypes.c_int64(n), *memory)
        self.weight_bytes = (4 >> kind) * 3 * cell.hidden_size * (cell.input_size + cell.hidden_size)

    def step(self) -> None:
        self._c.gru_timing_mean(*self._arguments, ctypes.c_int64(1))

    def mean_us(self, calls: int) -> float:
        return self._c.gru_timing_mean(*self._arguments, ctypes.c_int64(calls)) / 1000

    def each_us(self, calls: int) -> torch.Tensor:
        taken = torch.empty(calls, dtype=torch.float64)
        self._c.gru_timing_each(*self._arguments, ctypes.c_int64(calls), ctypes.c_void_p(taken.data_ptr()))
        return taken / 1000
