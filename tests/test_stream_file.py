"""Files of the stream library: round trips, each byte by its description, and whatever may be wrong with them."""

import struct
import zlib
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import gru_ext

I, H = 3, 4  # noqa: E741 (the project's names)

# Layers, reset_before.
MODELS: dict[str, tuple[Callable[[], object], int, bool]] = {
    "our cell": (lambda: gru_ext.GRUCell(I, H), 1, False),
    "torch's cell": (lambda: nn.GRUCell(I, H), 1, False),
    "no bias": (lambda: nn.GRUCell(I, H, bias=False), 1, False),
    "one layer": (lambda: nn.GRU(I, H, batch_first=True), 1, False),
    "three layers": (lambda: nn.GRU(I, H, num_layers=3, dropout=0.5), 3, False),
    "other sizes": (lambda: [nn.GRU(I, H, num_layers=2), gru_ext.GRUCell(H, 7, bias=False), nn.GRUCell(7, 2)], 4, False),
    "stream": (lambda: gru_ext.StreamingGRU(nn.GRU(I, H, num_layers=2), batch_size=5), 2, False),
    "reset before": (lambda: gru_ext.ResetBeforeGRUCell(I, H), 1, True),
    "two reset before": (lambda: nn.Sequential(gru_ext.ResetBeforeGRUCell(I, H), gru_ext.ResetBeforeGRUCell(H, 2)), 2, True),
    "b_ih alone": (lambda: stack(b_ih=torch.randn(3 * H)), 1, False),
    "b_hh alone": (lambda: stack(b_hh=torch.randn(3 * H), reset_before=True), 1, True),
}


def stack(reset_before: bool = False, **biases: torch.Tensor) -> gru_ext.GRUStack:
    weights = gru_ext.GRUWeights(torch.randn(3 * H, I), torch.randn(3 * H, H), **biases)
    return gru_ext.GRUStack((weights,), reset_before)


def layers_of(model: object) -> list[list[torch.Tensor | None]]:
    """w_ih, w_hh, b_ih, b_hh of each layer."""
    if isinstance(model, gru_ext.GRUStack):
        return [[layer.w_ih, layer.w_hh, layer.b_ih, layer.b_hh] for layer in model.layers]
    if isinstance(model, nn.GRU):
        names = ("weight_ih_l", "weight_hh_l", "bias_ih_l", "bias_hh_l")
        return [[getattr(model, f"{name}{i}", None) for name in names] for i in range(model.num_layers)]
    if isinstance(model, nn.RNNCellBase):
        return [[model.weight_ih, model.weight_hh, model.bias_ih, model.bias_hh]]
    parts = model.cells if isinstance(model, gru_ext.StreamingGRU) else model
    return [layer for part in parts for layer in layers_of(part)]


@pytest.mark.parametrize("model", MODELS)
def test_round_trip(model: str, tmp_path: Path) -> None:
    make, num_layers, reset_before = MODELS[model]
    saved = make()
    gru_ext.save_stream(saved, tmp_path / "a.gru")
    loaded = gru_ext.load_stream(str(tmp_path / "a.gru"))
    assert len(loaded) == num_layers
    assert {type(cell) for cell in loaded} == {gru_ext.ResetBeforeGRUCell if reset_before else gru_ext.GRUCell}
    for ours, theirs in zip(layers_of(loaded), layers_of(saved), strict=True):
        for read, written in zip(ours, theirs, strict=True):
            assert (read is None) == (written is None)
            assert read is None or torch.equal(read, written)
    gru_ext.save_stream(loaded, tmp_path / "b.gru")
    assert (tmp_path / "a.gru").read_bytes() == (tmp_path / "b.gru").read_bytes()


def test_loaded_layers_run_and_train(tmp_path: Path) -> None:
    gru = nn.GRU(I, H, num_layers=2)
    gru_ext.save_stream(gru, tmp_path / "a.gru")
    stream = gru_ext.StreamingGRU(gru_ext.load_stream(tmp_path / "a.gru"))
    x = torch.randn(1, I)
    assert torch.equal(stream(x), gru_ext.StreamingGRU(gru)(x))
    stream(x).sum().backward()
    assert all(parameter.grad is not None for parameter in stream.parameters())


@pytest.mark.parametrize(("weights", "kind"), [("float32", 0), ("bfloat16", 1), ("int8", 2)])
def test_each_byte(weights: str, kind: int, tmp_path: Path) -> None:
    """The description of the format in docs/stream.md, read with struct and zlib alone."""
    first, second = gru_ext.GRUCell(I, H), gru_ext.GRUCell(H, 2, bias=False)
    gru_ext.save_stream([first, second], tmp_path / "a.gru", weights=weights)
    file = (tmp_path / "a.gru").read_bytes()
    numbers = [*first.parameters(), *second.parameters()]
    size = 32 + 2 * 16 + 4 * sum(tensor.numel() for tensor in numbers) + 4
    assert file[:8] == bytes.fromhex("89 47 52 55 0d 0a 1a 0a")
    assert struct.unpack("<4IQ", file[8:32]) == (1, kind, 2, 0, size)
    assert struct.unpack("<8I", file[32:64]) == (I, H, 3, 0, H, 2, 0, 0)
    expected = [number for tensor in numbers for number in tensor.flatten().tolist()]
    assert struct.unpack(f"<{len(expected)}f", file[64:-4]) == tuple(expected)
    assert struct.unpack("<I", file[-4:]) == (zlib.crc32(file[:-4]),)
    assert len(file) == size


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_dtypes_become_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    cell = gru_ext.GRUCell(I, H).to(dtype)
    gru_ext.save_stream(cell, tmp_path / "a.gru")
    (loaded,) = gru_ext.load_stream(tmp_path / "a.gru")
    for read, written in zip(loaded.parameters(), cell.parameters(), strict=True):
        assert torch.equal(read, written.float())


@pytest.mark.parametrize(
    ("model", "error", "text"),
    [
        (lambda: [gru_ext.GRUCell(I, H), gru_ext.ResetBeforeGRUCell(H, H)], ValueError, "all be ResetBeforeGRUCell or none"),
        (lambda: [gru_ext.GRUCell(I, H), gru_ext.GRUCell(I, H)], ValueError, "layer 1 must have the input_size 4.*got 3"),
        (lambda: gru_ext.GRUCell(0, H), ValueError, "layer 0: input_size must be from 1 to 1048576, got 0"),
        (lambda: gru_ext.GRUCell(1, 0), ValueError, "layer 0: hidden_size must be from 1 to 1048576, got 0"),
        (lambda: [gru_ext.GRUCell(1, 1)] * 1025, ValueError, "at most 1024 layers, got 1025"),
        (lambda: gru_ext.GRUCell(1, 1, dtype=torch.complex64), ValueError, "real floating dtype, got torch.complex64"),
        (lambda: nn.GRU(I, H, bidirectional=True), ValueError, "bidirectional=True"),
        (lambda: nn.Linear(I, H), TypeError, "got torch.nn.modules.linear.Linear"),
        (lambda: [], ValueError, "one layer at least, got none"),
    ],
)
def test_what_cannot_be_written(model: Callable[[], object], error: type[Exception], text: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=text):
        gru_ext.save_stream(model(), tmp_path / "a.gru")
    assert not (tmp_path / "a.gru").exists()


def test_unknown_type_of_weights(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="weights must be one of float32, bfloat16, int8, got 'int4'"):
        gru_ext.save_stream(gru_ext.GRUCell(I, H), tmp_path / "a.gru", weights="int4")


@pytest.mark.parametrize(
    ("number", "dtype"), [(float("nan"), torch.float32), (float("-inf"), torch.float32), (1e300, torch.float64)]
)
def test_weights_that_are_not_finite(number: float, dtype: torch.dtype, tmp_path: Path) -> None:
    cell = gru_ext.GRUCell(I, H, dtype=dtype)
    with torch.no_grad():
        cell.bias_hh[3] = number
    with pytest.raises(ValueError, match="layer 0: b_hh must be finite in float32, got 1 of 12"):
        gru_ext.save_stream(cell, tmp_path / "a.gru")


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ((torch.zeros(12, 3), torch.zeros(12, 5)), r"w_hh must be \[3H, H\], got \[12, 5\]"),
        ((torch.zeros(9, 3), torch.zeros(12, 4)), r"w_ih must be \[3H, I\] with 3H = 12 as in w_hh, got \[9, 3\]"),
        ((torch.zeros(12, 3), torch.zeros(12, 4), None, torch.zeros(4)), r"b_hh must be \[3H\] with 3H = 12.*got \[4\]"),
        ((torch.zeros(12, 3), torch.zeros(12, 4).double()), "w_ih must be torch.float64 as w_hh, got torch.float32"),
    ],
)
def test_weights_that_do_not_fit(weights: tuple[torch.Tensor | None, ...], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        gru_ext.GRUWeights(*weights)


def file_of(path: Path) -> bytearray:
    gru_ext.save_stream([gru_ext.GRUCell(2, 1), gru_ext.GRUCell(1, 2)], path)
    return bytearray(path.read_bytes())


def refused(path: Path, file: bytes, text: str | None = None) -> None:
    path.write_bytes(file)
    with pytest.raises(ValueError, match=text) as caught:
        gru_ext.load_stream(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_every_truncation_and_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.gru"
    file = file_of(path)
    for length in range(len(file)):
        refused(path, file[:length])
    refused(path, file + b"\0", "truncated or too long")
    for at in range(len(file)):
        changed = bytearray(file)
        changed[at] ^= 0x10
        refused(path, changed)


@pytest.mark.parametrize(
    ("at", "value", "text"),
    [
        (8, 2, "version 2; this gru_ext reads version 1"),
        (12, 3, "type of the weights must be from 0 to 2, got 3"),
        (16, 0, "number of layers must be from 1 to 1024, got 0"),
        (16, 1025, "number of layers must be from 1 to 1024, got 1025"),
        (16, 1024, "too few for 1024 layers"),
        (16, 1, "bytes, 112 for layers of these sizes"),
        (20, 2, "reset_before must be 0 or 1, got 2"),
        (24, 1, "truncated or too long: .* bytes, 1 in its header"),
        (32, 0, "layer 0: input_size must be from 1 to 1048576, got 0"),
        (32, 3, "for layers of these sizes"),
        (36, (1 << 20) + 1, "layer 0: hidden_size must be from 1 to 1048576, got 1048577"),
        (36, 1 << 20, "layer 1: input_size must be 1048576, the hidden_size below, got 1"),
        (40, 4, "layer 0: biases must be from 0 to 3 and followed by 0, got 4 and 0"),
        (44, 1, "layer 0: biases must be from 0 to 3 and followed by 0, got 3 and 1"),
        (48, 2, "layer 1: input_size must be 1, the hidden_size below, got 2"),
    ],
)
def test_fields_with_a_right_checksum(at: int, value: int, text: str, tmp_path: Path) -> None:
    file = file_of(tmp_path / "a.gru")
    file[at : at + 4] = struct.pack("<I", value)
    file[-4:] = struct.pack("<I", zlib.crc32(file[:-4]))
    refused(tmp_path / "a.gru", file, text)


def test_other_files(tmp_path: Path) -> None:
    refused(tmp_path / "a.gru", b"", "not a .gru file")
    refused(tmp_path / "a.gru", array("f", range(100)).tobytes(), "not a .gru file")
    with pytest.raises(FileNotFoundError):
        gru_ext.load_stream(tmp_path / "nothing.gru")
    with pytest.raises(OSError):
        gru_ext.save_stream(gru_ext.GRUCell(I, H), tmp_path)
