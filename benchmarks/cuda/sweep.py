"""Steps of 1 to 16 rows inside a CUDA graph: where the kernels for small batches stop paying.

Above their limit a step is two products of a matrix library and the kernel of the gates, whose time hardly depends on so few
rows: what it takes one row above the limit, it would take below as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..cases import Call
from .shapes import DTYPES
from .timing import captured, device_microseconds

_ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16)
_SIZES = (256, 1024, 2048)
_CALLS = 10


@dataclass(frozen=True)
class Row:
    """Microseconds per call: our step, torch's, our backward, and the gradients of the weights alone."""

    number: str
    n: int
    h: int
    step: float
    torch_step: float
    backward: float
    weights: float


def _graph_us(call: Call) -> float:
    return device_microseconds(captured([call] * _CALLS), per=_CALLS, samples=10).median


def _row(number: str, n: int, h: int) -> Row:
    def random(*shape: int) -> Tensor:
        return (torch.rand(shape, device="cuda") - 0.5).to(DTYPES[number])

    x, hx, grad, kept = random(n, h), random(n, h), random(n, h), random(n, 4 * h) + 0.5
    w_ih, w_hh, b_ih, b_hh = random(3 * h, h) / h**0.5, random(3 * h, h) / h**0.5, random(3 * h), random(3 * h)
    step, backward = torch.ops.gru_ext._cell, torch.ops.gru_ext._cell_backward

    def gradients(mask: Sequence[bool]) -> Call:
        return lambda: backward(grad, kept, x, hx, w_ih, w_hh, mask)

    return Row(
        number,
        n,
        h,
        _graph_us(lambda: step(x, hx, w_ih, w_hh, b_ih, b_hh)),
        _graph_us(lambda: torch.gru_cell(x, hx, w_ih, w_hh, b_ih, b_hh)),
        _graph_us(gradients([True] * 6)),
        _graph_us(gradients([False, False, True, True, False, False])),
    )


def measure() -> list[Row]:
    """Every number of rows at every size, float32 and bfloat16."""
    with torch.inference_mode():
        return [_row(number, n, h) for number in ("f32", "bf16") for h in _SIZES for n in _ROWS]
