"""Weights of GRUs from other libraries, and for them.

Libraries agree on what a GRU is but for three things: the order of the gates, whether the reset gate acts before the product
with the state or after it, and how many biases there are. A mistake in one of them gives numbers that look plausible. So each
converter runs the source's own equations on a small random input beside what it made of them, and raises if they differ.
"""

from .keras import from_keras
from .onnx import from_onnx
from .rtneural import to_rtneural
from .torch_modules import from_torch

__all__ = ["from_keras", "from_onnx", "from_torch", "to_rtneural"]
