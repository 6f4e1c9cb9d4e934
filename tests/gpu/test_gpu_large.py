"""More than 2^31 elements: every index of the kernels that could need it has 64 bits."""

import pytest
import torch
from reference import gru_cell as reference_cell
from tolerances import error_in_eps

import gru_ext

pytestmark = pytest.mark.cuda_only

# N * 4H, the saved numbers, is just above 2^31; and with twice the rows N * 2H is too, the last gate of the products.
H, I = 1024, 8  # noqa: E741 (the project's names)
ROWS = [2**19 + 64, 2**20 + 64]
EDGE = 64
# In bytes per row and unit: both products (3H each), the state, its next, what is saved (4H), two gate gradients (3H each),
# gradients of the state and of the next one, and half as much again for the allocator and the library's workspaces.
BYTES = 2 * (3 + 3 + 1 + 1 + 4 + 3 + 3 + 1 + 1) * 3 // 2


@pytest.mark.parametrize("n", ROWS)
def test_rows_beyond_the_range_of_an_int(n: int, device: torch.device) -> None:
    """Rows at both ends and in the middle, and gradients of the weights to which only the last rows contribute."""
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    if free < n * H * BYTES:
        pytest.skip(f"needs {n * H * BYTES / 2**30:.0f} GiB of free device memory, there are {free / 2**30:.0f}")
    cell = gru_ext.GRUCell(I, H, dtype=torch.bfloat16, device=device)
    weights = [p.detach() for p in cell.parameters()]
    x = torch.randn(n, I, dtype=torch.bfloat16, device=device, requires_grad=True)
    h = torch.rand(n, H, dtype=torch.bfloat16, device=device).requires_grad_()
    state = cell(x, h)
    with torch.no_grad():
        # Sums over the rows are dominated by none but the last: the gradient of all others is zero.
        grad = torch.zeros_like(state)
        grad[-EDGE:].normal_()
    grads = torch.autograd.grad(state, [x, h, *cell.parameters()], grad)
    middle = n // 2
    for rows in (slice(0, EDGE), slice(middle, middle + EDGE), slice(n - EDGE, n)):
        exact = reference_cell(x[rows], h[rows], *weights).detach()
        assert error_in_eps(state[rows], exact) <= 4, rows  # both products are rounded to the dtype
    assert not grads[0][:-EDGE].any() and not grads[1][:-EDGE].any()
    wide = [t.detach().double().requires_grad_() for t in (x[-EDGE:], h[-EDGE:], *weights)]
    expected = torch.autograd.grad(reference_cell(*wide), wide, grad[-EDGE:].double())
    actual = [grads[0][-EDGE:], grads[1][-EDGE:], *grads[2:]]
    for got, want in zip(actual, expected, strict=True):
        assert error_in_eps(got, want) <= 4
