"""A row of a batch has the same bits in a batch of any size, alone too, and on any number of threads."""

from collections.abc import Iterator

import pytest
import torch
from samples import REAL_DTYPES

import gru_ext

pytestmark = pytest.mark.compiled

# On both sides of the length up to which contractions are summed in sequence, at every level; two with more units than a part
# of the work and remainders of every kind of tile; and one whose rows are long for every type (kLongRows of blocks.h).
SIZES = [(3, 4), (32, 32), (64, 64), (65, 64), (40, 100), (200, 200), (517, 131), (2600, 33)]
# On both sides of the batch sizes at which one kernel gives way to another; 600 rows of few units are divided among threads.
BATCHES = [1, 2, 5, 7, 9, 20, 49, 257, 600]


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_a_row_does_not_depend_on_the_others(sizes: tuple[int, int], dtype: torch.dtype, threads: None) -> None:
    i, h = sizes
    cell = gru_ext.GRUCell(i, h, dtype=dtype)
    x, state = torch.randn(BATCHES[-1], i, dtype=dtype), torch.randn(BATCHES[-1], h, dtype=dtype)
    results = {}
    with torch.inference_mode():
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            for n in BATCHES:
                results[count, n] = cell(x[:n], state[:n])
    most = results[1, BATCHES[-1]]
    for (count, n), result in results.items():
        assert torch.equal(result, most[:n]), f"{n} rows on {count} threads differ from those of the largest batch"


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_a_row_by_itself_where_weights_come_from_memory(dtype: torch.dtype) -> None:
    """More than kFarWeights of dots.h, in 16 bits too: then a single row has tiles of its own."""
    cell = gru_ext.GRUCell(1003, 1402, dtype=dtype)
    x, state = torch.randn(5, 1003, dtype=dtype), torch.randn(5, 1402, dtype=dtype)
    with torch.inference_mode():
        assert torch.equal(cell(x[:1], state[:1]), cell(x, state)[:1])


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("n", [1, 3, 50, 600, 1300])  # the last two in two and four groups
@pytest.mark.parametrize("hidden_size", [129, 340])  # 3 * 129 rows are 3 more than a product rounds at a time
def test_gradients_do_not_depend_on_the_threads(hidden_size: int, n: int, dtype: torch.dtype, threads: None) -> None:
    cell = gru_ext.GRUCell(200, hidden_size, dtype=dtype)
    x = torch.randn(n, 200, dtype=dtype, requires_grad=True)
    state = torch.randn(n, hidden_size, dtype=dtype, requires_grad=True)
    gradients = []
    for count in (1, 2, 3, 5):  # more than twice as many threads as two groups divide each group
        torch.set_num_threads(count)
        gradients.append(torch.autograd.grad(cell(x, state).sum(), [x, state, *cell.parameters()]))
    for other in gradients[1:]:
        assert all(map(torch.equal, gradients[0], other))
