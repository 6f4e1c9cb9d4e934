"""Speed is not paid for with accuracy: rounding errors are no larger than those of torch.nn.GRUCell."""

import pytest
import torch
from samples import cell_pair
from torch import Tensor, nn

# Every kernel of the forward step and of the products: few rows and many, short contractions and long, and remainders.
SIZES = [
    (1, 64, 64),
    (1, 256, 256),
    (1, 1024, 1024),
    (2, 1040, 512),  # gradients of more than 6 MB, from two terms
    (3, 300, 300),
    (8, 128, 128),
    (13, 37, 53),
    (40, 512, 512),
    (64, 512, 512),
    (64, 1024, 1024),
    (300, 40, 100),  # three chunks of rows in the backward step
    (300, 512, 300),  # one, whose gradients of weights are larger
    (400, 512, 300),  # two of them
    (1000, 200, 200),
    (2000, 32, 32),
    (5000, 7, 20),  # as many groups of rows as there are at the most
]
NAMES = ("hy", "d_input", "d_hx", "d_w_ih", "d_w_hh", "d_b_ih", "d_b_hh")

# Root mean squares of a thousand errors and more differ by a few percent from draw to draw; the rest is sigmoid and tanh, which
# may be 3 units in the last place off here and 1 there, while half a unit is the rounding of each of the sums that they act on.
# The default level has no fused multiply-add and rounds twice what torch's kernels round once.
ALLOWED, ALLOWED_DEFAULT_LEVEL = 1.25, 1.6
FEWEST_ERRORS = 1024


def step(cell: nn.GRUCell, x: Tensor, h: Tensor, grad: Tensor) -> list[Tensor]:
    dtype = cell.weight_ih.dtype
    x, h = x.to(dtype).requires_grad_(), h.to(dtype).requires_grad_()
    y = cell(x, h)
    return [y.detach(), *torch.autograd.grad(y, [x, h, *cell.parameters()], grad.to(dtype))]


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_rounding_errors(sizes: tuple[int, int, int], dtype: torch.dtype) -> None:
    n, i, h = sizes
    # Mean squares of the errors of nn.GRUCell and of ours, of several cells where one has too few numbers.
    squares = {name: torch.zeros(2, dtype=torch.float64) for name in NAMES}
    for _ in range(max(1, FEWEST_ERRORS // (n * h))):
        cells = cell_pair(i, h, dtype=dtype)
        exact = nn.GRUCell(i, h, dtype=torch.float64)
        exact.load_state_dict(cells[0].state_dict())
        # Numbers of the dtype, so that its roundings begin with the arithmetic.
        inputs = [t.to(dtype) for t in (torch.randn(n, i), torch.rand(n, h) * 2 - 1, torch.randn(n, h))]
        expected, *found = (step(cell, *inputs) for cell in (exact, *cells))
        for name, value, *results in zip(NAMES, expected, *found, strict=True):
            squares[name] += torch.stack([(result.double() - value).square().mean() for result in results])

    allowed = ALLOWED_DEFAULT_LEVEL if torch.ops.gru_ext._cpu_level() == "default" else ALLOWED
    for name in NAMES:
        reference, measured = squares[name].sqrt().tolist()
        assert measured <= allowed * reference, f"{name}: {measured:.3g}, torch's {reference:.3g}"
