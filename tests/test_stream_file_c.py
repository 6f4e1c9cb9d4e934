"""Files between Python and the torch-free library: what one writes, the other reads and would have written byte for byte."""

import ctypes
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from c_stream import CStream
from commands import needs_compiler
from stream_build import StreamBuild
from tolerances import assert_value
from torch import nn

import gru_ext

pytestmark = needs_compiler

T, I, H = 20, 5, 19  # noqa: E741 (the project's names)

MODELS: dict[str, Callable[[], object]] = {
    "cell": lambda: gru_ext.GRUCell(I, H),
    "no bias": lambda: nn.GRUCell(I, H, bias=False),
    "three layers": lambda: nn.GRU(I, H, num_layers=3),
    "other sizes": lambda: [gru_ext.GRUCell(I, 7), gru_ext.GRUCell(7, H, bias=False)],
    "reset before": lambda: [gru_ext.ResetBeforeGRUCell(I, 7), gru_ext.ResetBeforeGRUCell(7, H)],
    "b_hh alone": lambda: gru_ext.GRUStack(
        (gru_ext.GRUWeights(torch.randn(3 * H, I), torch.randn(3 * H, H), b_hh=torch.randn(3 * H)),)
    ),
}


class Weights(ctypes.Structure):
    """gru_weights of stream.h."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("w_ih", "w_hh", "b_ih", "b_hh")),
        *((name, ctypes.c_int64) for name in ("input_size", "hidden_size")),
    ]


class Stack(ctypes.Structure):
    """gru_stack of stream.h."""

    _fields_ = [("layers", ctypes.POINTER(Weights)), ("num_layers", ctypes.c_int64), ("reset_before", ctypes.c_int32)]


@pytest.fixture
def library(stream_build: StreamBuild) -> Path:
    return stream_build.shared()


@pytest.mark.parametrize("model", MODELS)
def test_c_computes_what_python_wrote(model: str, library: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.gru"
    gru_ext.save_stream(made := MODELS[model](), path)
    cells = gru_ext.load_stream(path)
    x, state = torch.randn(T, I), torch.zeros(sum(cell.hidden_size for cell in cells))
    found = CStream(library, path).steps(x, state, H)
    parts = made if isinstance(made, list) else [made]
    stream = nn.Sequential(*(gru_ext.StreamingGRU(part) for part in parts)).double()
    with torch.no_grad():
        expected = torch.stack([stream(x_t) for x_t in x.double()])
    assert_value(found, expected, steps=len(cells) * T)
    assert_value(state, torch.cat([part.hidden_state.flatten() for part in stream]), steps=len(cells) * T)


@pytest.mark.parametrize(("weights", "kind"), [("float32", 0), ("bfloat16", 1), ("int8", 2)])
@pytest.mark.parametrize("model", MODELS)
def test_both_write_the_same_bytes(model: str, weights: str, kind: int, library: Path, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.gru", tmp_path / "theirs.gru"
    gru_ext.save_stream(MODELS[model](), ours, weights)
    cells = gru_ext.load_stream(ours)

    def pointer(tensor: torch.Tensor | None) -> int | None:
        return None if tensor is None else tensor.data_ptr()

    layers = (Weights * len(cells))(
        *(Weights(*map(pointer, (c.weight_ih, c.weight_hh, c.bias_ih, c.bias_hh)), c.input_size, c.hidden_size) for c in cells)
    )
    stack = Stack(layers, len(cells), isinstance(cells[0], gru_ext.ResetBeforeGRUCell))
    assert ctypes.CDLL(str(library)).gru_save(str(theirs).encode(), ctypes.byref(stack), kind) == 0
    assert ours.read_bytes() == theirs.read_bytes()


def test_both_refuse_a_damaged_file(library: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.gru"
    gru_ext.save_stream(gru_ext.GRUCell(I, H), path)
    file = bytearray(path.read_bytes())
    file[100] ^= 1
    path.write_bytes(file)
    with pytest.raises(ValueError, match="its checksum is another"):
        CStream(library, path)
    with pytest.raises(ValueError, match="damaged: the checksum is"):
        gru_ext.load_stream(path)
