"""The stream library's C interface from Python, for tests."""

import ctypes
from pathlib import Path

import torch
from gru_file import Layer


class CStream:
    """One stream of a .gru file through the C interface."""

    def __init__(self, library: Path, path: Path) -> None:
        self.c = ctypes.CDLL(str(library))
        self.c.gru_scratch_size.restype = ctypes.c_size_t
        self.c.gru_error_string.restype = ctypes.c_char_p
        self.packed = ctypes.c_void_p()
        code = self.c.gru_load(str(path).encode(), ctypes.byref(self.packed))
        if code != 0:
            raise ValueError(self.c.gru_error_string(code).decode())
        scratch = torch.empty(self.c.gru_scratch_size(self.packed) + 64, dtype=torch.uint8)
        self.scratch = scratch[-scratch.data_ptr() % 64 :]

    def __del__(self) -> None:
        self.c.gru_free(self.packed)

    def steps(self, x: torch.Tensor, state: torch.Tensor, output_size: int) -> torch.Tensor:
        """The outputs [T, output_size] for x [T, I]; the state is updated in place."""
        y = torch.empty(x.size(0), output_size)
        pointers = [ctypes.c_void_p(t.data_ptr()) for t in (x, state, y, self.scratch)]
        self.c.gru_steps(self.packed, pointers[0], ctypes.c_int64(x.size(0)), *pointers[1:])
        return y


def layers_of(gru: torch.nn.GRU) -> list[Layer]:
    def numbers(name: str) -> list[float] | None:
        return getattr(gru, name).detach().flatten().tolist() if hasattr(gru, name) else None

    names = ("weight_ih_l", "weight_hh_l", "bias_ih_l", "bias_hh_l")
    sizes = [gru.input_size] + [gru.hidden_size] * (gru.num_layers - 1)
    return [Layer(size, gru.hidden_size, *(numbers(f"{name}{i}") for name in names)) for i, size in enumerate(sizes)]
