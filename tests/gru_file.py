"""A .gru file written from its description in csrc/stream/file.h alone: struct and zlib, nothing of gru_ext."""

import struct
import zlib
from array import array
from collections.abc import Sequence
from typing import NamedTuple, Optional

MAGIC = b"\x89GRU\r\n\x1a\n"
TYPES = {"float32": 0, "bfloat16": 1, "int8": 2}


class Layer(NamedTuple):
    """Numbers in torch's layout, each list by rows: w_ih [3H, I], w_hh [3H, H], biases [3H] or None."""

    input_size: int
    hidden_size: int
    w_ih: Sequence[float]
    w_hh: Sequence[float]
    b_ih: Optional[Sequence[float]] = None
    b_hh: Optional[Sequence[float]] = None


def gru_file(layers: Sequence[Layer], weights: str = "float32", reset_before: bool = False) -> bytes:
    records = b"".join(
        struct.pack("<4I", layer.input_size, layer.hidden_size, (layer.b_ih is not None) | (layer.b_hh is not None) << 1, 0)
        for layer in layers
    )
    numbers = b"".join(array("f", part).tobytes() for layer in layers for part in layer[2:] if part is not None)
    size = 32 + len(records) + len(numbers) + 4
    header = MAGIC + struct.pack("<4IQ", 1, TYPES[weights], len(layers), reset_before, size)
    body = header + records + numbers
    return body + struct.pack("<I", zlib.crc32(body))
