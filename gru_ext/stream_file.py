"""Files of the stream library (`.gru`), written and read. Their bytes are described in csrc/stream/file.h."""

import os
import struct
import sys
import zlib
from array import array
from pathlib import Path
from typing import Any, Union

import torch
from torch import Tensor, nn

from .layers import stack_of
from .stack import GRUStack, GRUWeights

_MAGIC = b"\x89GRU\r\n\x1a\n"
_VERSION = 1
_TYPES = ("float32", "bfloat16", "int8")
_HEADER = struct.Struct("<8s4IQ")  # magic, version, type, number of layers, reset_before, size of the file
_LAYER = struct.Struct("<4I")  # input_size, hidden_size, biases (bit 0: b_ih, bit 1: b_hh), 0
_CHECKSUM = struct.Struct("<I")
_MAX_LAYERS = 1 << 10
_MAX_SIZE = 1 << 20


def save_stream(model: Any, path: Union[str, os.PathLike[str]], weights: str = "float32") -> None:
    """Writes a model to a file that the stream library (``gru_ext/stream.h``) and :func:`load_stream` read.

    The file holds the weights as float32, little-endian, for any machine; float64 is rounded. It holds no state.

    Args:
        model: a :class:`gru_ext.GRUCell`, ``torch.nn.GRUCell``, ``torch.nn.GRU`` of one direction,
            :class:`gru_ext.StreamingGRU`, :class:`gru_ext.ResetBeforeGRUCell`, :class:`gru_ext.GRUStack`, or a list, tuple,
            ``ModuleList`` or ``Sequential`` of them, bottom first. Hidden sizes may differ.
        path: where to write; replaced if it is there.
        weights: ``"float32"``, ``"bfloat16"`` or ``"int8"``, as what the library is to pack the weights when it loads the file.

    Raises:
        TypeError, ValueError: the model has no such layers, or they cannot be written: a size is 0 or above 2^20, there are
            more than 1024 layers, some have the reset gate before the product and some after it, a weight is not finite in
            float32; or ``weights`` is none of the three.
        OSError: the file cannot be written.
    """
    Path(path).write_bytes(_encoded(stack_of(model), weights))


def load_stream(path: Union[str, os.PathLike[str]]) -> nn.ModuleList:
    """Reads a file that :func:`save_stream` or the stream library wrote.

    What the file says about packing is for the stream library and ignored here.

    Args:
        path: the file.

    Returns:
        The layers, bottom first, float32: :class:`gru_ext.GRUCell`, or :class:`gru_ext.ResetBeforeGRUCell` where the reset gate
        acts before the product. :class:`gru_ext.StreamingGRU` and :func:`save_stream` take such a list.

    Raises:
        ValueError: the file is not a .gru file of version 1, is truncated or damaged, or a field has a value that it cannot
            have; the text says which.
        OSError: the file cannot be read.
    """
    try:
        stack = _decoded(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None
    return nn.ModuleList(stack.cells())


def _encoded(stack: GRUStack, weights: str) -> bytes:
    if weights not in _TYPES:
        raise ValueError(f"weights must be one of {', '.join(_TYPES)}, got {weights!r}")
    if len(stack.layers) > _MAX_LAYERS:
        raise ValueError(f"a .gru file has at most {_MAX_LAYERS} layers, got {len(stack.layers)}")
    records, numbers = [], []
    for i, layer in enumerate(stack.layers):
        for name, size in (("input_size", layer.input_size), ("hidden_size", layer.hidden_size)):
            if not 1 <= size <= _MAX_SIZE:
                raise ValueError(f"layer {i}: {name} must be from 1 to {_MAX_SIZE}, got {size}")
        biases = (layer.b_ih is not None) | (layer.b_hh is not None) << 1
        records.append(_LAYER.pack(layer.input_size, layer.hidden_size, biases, 0))
        numbers += [_float32(tensor, f"layer {i}: {name}") for name, tensor in layer.items()]
    size = _HEADER.size + sum(map(len, records)) + sum(map(len, numbers)) + _CHECKSUM.size
    header = _HEADER.pack(_MAGIC, _VERSION, _TYPES.index(weights), len(stack.layers), stack.reset_before, size)
    body = b"".join([header, *records, *numbers])
    return body + _CHECKSUM.pack(zlib.crc32(body))


def _float32(tensor: Tensor, name: str) -> bytes:
    rounded = tensor.to("cpu", torch.float32)
    if not rounded.isfinite().all():
        bad = int((~rounded.isfinite()).sum())
        raise ValueError(f"{name} must be finite in float32, got {bad} of {tensor.numel()} numbers that are not")
    return _little_endian(array("f", rounded.flatten().tolist())).tobytes()


def _little_endian(numbers: array) -> array:
    """From the order of this machine to that of the file, and back."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _decoded(file: bytes) -> GRUStack:
    if file[: len(_MAGIC)] != _MAGIC:
        raise ValueError("not a .gru file, or one that a transfer as text has changed")
    if len(file) < _HEADER.size + _CHECKSUM.size:
        raise ValueError(f"truncated: {len(file)} bytes, fewer than a header and a checksum have")
    _, version, kind, num_layers, reset_before, size = _HEADER.unpack_from(file)
    if version != _VERSION:
        raise ValueError(f"a .gru file of version {version}; this gru_ext reads version {_VERSION}")
    if size != len(file):
        raise ValueError(f"truncated or too long: {len(file)} bytes, {size} in its header")
    checksum, found = _CHECKSUM.unpack_from(file, size - _CHECKSUM.size)[0], zlib.crc32(file[: -_CHECKSUM.size])
    if checksum != found:
        raise ValueError(f"damaged: the checksum is {found:08x}, {checksum:08x} in the file")
    # A checksum is no seal: whoever wants to can make one that is right.
    if kind >= len(_TYPES):
        raise ValueError(f"the type of the weights must be from 0 to {len(_TYPES) - 1}, got {kind}")
    if not 1 <= num_layers <= _MAX_LAYERS:
        raise ValueError(f"the number of layers must be from 1 to {_MAX_LAYERS}, got {num_layers}")
    if reset_before > 1:
        raise ValueError(f"reset_before must be 0 or 1, got {reset_before}")
    records = _decoded_records(file, num_layers)
    at = _HEADER.size + num_layers * _LAYER.size
    expected = at + sum(4 * sum(rows * columns for rows, columns in _shapes(*record)) for record in records) + _CHECKSUM.size
    if size != expected:
        raise ValueError(f"truncated or too long: {size} bytes, {expected} for layers of these sizes")
    layers = []
    for record in records:
        input_size, hidden_size, biases = record
        tensors = []
        for rows, columns in _shapes(*record):
            end = at + 4 * rows * columns
            numbers = array("f")
            numbers.frombytes(file[at:end])
            tensors.append(torch.frombuffer(_little_endian(numbers), dtype=torch.float32).view(rows, columns))
            at = end
        rest = iter(tensors[2:])
        b_ih = next(rest).flatten() if biases & 1 else None
        b_hh = next(rest).flatten() if biases & 2 else None
        layers.append(GRUWeights(tensors[0], tensors[1], b_ih, b_hh))
    return GRUStack(tuple(layers), bool(reset_before))


def _decoded_records(file: bytes, num_layers: int) -> list[tuple[int, int, int]]:
    """input_size, hidden_size and biases of each layer."""
    if len(file) < _HEADER.size + num_layers * _LAYER.size + _CHECKSUM.size:
        raise ValueError(f"truncated: {len(file)} bytes are too few for {num_layers} layers")
    records = []
    for i in range(num_layers):
        input_size, hidden_size, biases, zero = _LAYER.unpack_from(file, _HEADER.size + i * _LAYER.size)
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if not 1 <= size <= _MAX_SIZE:
                raise ValueError(f"layer {i}: {name} must be from 1 to {_MAX_SIZE}, got {size}")
        if biases > 3 or zero != 0:
            raise ValueError(f"layer {i}: biases must be from 0 to 3 and followed by 0, got {biases} and {zero}")
        if records and input_size != records[-1][1]:
            raise ValueError(f"layer {i}: input_size must be {records[-1][1]}, the hidden_size below, got {input_size}")
        records.append((input_size, hidden_size, biases))
    return records


def _shapes(input_size: int, hidden_size: int, biases: int) -> list[tuple[int, int]]:
    """Of what a layer's part of the file holds, one after the other; a bias is a column."""
    rows = 3 * hidden_size
    return [(rows, input_size), (rows, hidden_size)] + [(rows, 1)] * biases.bit_count()
