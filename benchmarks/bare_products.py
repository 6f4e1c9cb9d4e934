"""The matrix products of a step by torch and nothing else: what remains of nn.GRUCell's step if all around them took no time.

They are the products that any step by them needs, each called once, into memory that is there: in inference those of the input
and of the state with the weights, in training also those of the gates' gradients, for the gradients of all four.
"""

from functools import partial
from typing import Optional

import torch

from .cases import Call, Problem
from .workloads import Cell

#: Of fewer rows a product is a reading of the weights, of which :mod:`benchmarks.limits` knows the time.
LEAST_ROWS = 32


def call(problem: Problem) -> Optional[Call]:
    """A call of the products of a case, or None for a loop and for few rows."""
    case = problem.case
    if case.steps > 1 or any(n < LEAST_ROWS for cell in case.workload.cells for n in cell.batches):
        return None
    products = [
        product
        for cell in case.workload.cells
        for n in cell.batches
        for product in _of_cell(cell, n, case.mode.trains, problem.dtype)
    ]

    def run() -> None:
        for product in products:
            product()

    return run


def _of_cell(cell: Cell, n: int, trains: bool, dtype: torch.dtype) -> list[Call]:
    gates = 3 * cell.hidden_size
    products: list[Call] = []
    for size in (cell.input_size, cell.hidden_size):
        rows, weight = torch.randn(n, size, dtype=dtype), torch.randn(gates, size, dtype=dtype)
        sums, of_sums = torch.empty(n, gates, dtype=dtype), torch.randn(n, gates, dtype=dtype)
        products.append(partial(torch.mm, rows, weight.t(), out=sums))
        if trains:
            products.append(partial(torch.mm, of_sums, weight, out=torch.empty_like(rows)))
            products.append(partial(torch.mm, of_sums.t(), rows, out=torch.empty_like(weight)))
    return products
