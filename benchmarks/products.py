"""The matrix products of a step alone: `python -m benchmarks.products`; float32, one thread.

With the input size the time of a step grows by the products with x and nothing else: gates, calls and autograd stay as they
are. So the products' share of the arithmetic units' rate is the time that the multiplications and additions of a larger input
would take at that rate, over the time that it adds. Medians over the rounds with the quartiles; both sizes take turns.
"""

import argparse
import os
import sys
from functools import partial

import torch
from torch import Tensor

import gru_ext

from . import environment
from .cases import Call
from .limits import Limits, why_unavailable
from .report import spread
from .runner import quartiles
from .stream.blocks import interleaved, mean_us

#: N, I, H: all of the grid with N >= 64 and H >= 128.
SIZES = ((64, 512, 512), (256, 512, 512), (1000, 200, 200), (1024, 128, 128), (3200, 200, 200))


def _step(cell: gru_ext.GRUCell, x: Tensor, h: Tensor) -> Tensor:
    with torch.inference_mode():
        return cell(x, h)


def _both_passes(cell: gru_ext.GRUCell, x: Tensor, h: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(cell(x, h), [x, h, *cell.parameters()], grad)


def _calls(n: int, inputs: int, hidden: int) -> dict[str, Call]:
    cell, x, h, grad = (
        gru_ext.GRUCell(inputs, hidden),
        torch.randn(n, inputs),
        torch.randn(n, hidden),
        torch.randn(n, hidden),
    )
    leaves = x.clone().requires_grad_(), h.clone().requires_grad_()
    return {"forward": partial(_step, cell, x, h), "both passes": partial(_both_passes, cell, *leaves, grad)}


def shares(
    n: int, inputs: int, hidden: int, rounds: int, operations_per_us: float
) -> dict[str, tuple[list[float], list[float]]]:
    """For each pass the share of the rate in each round: of the products, and of whole steps."""
    less = inputs // 4 // 16 * 16
    means = {(name, size): mean_us(call) for size in (less, inputs) for name, call in _calls(n, size, hidden).items()}
    times = interleaved(means, rounds)
    found = {}
    for name, products in (("forward", 1), ("both passes", 3)):
        per_input = products * 2 * n * 3 * hidden / operations_per_us  # microseconds for each number of a row
        added = [more - fewer for fewer, more in zip(times[name, less], times[name, inputs], strict=True)]
        of_products = [per_input * (inputs - less) / time for time in added]
        found[name] = of_products, [per_input * (inputs + hidden) / time for time in times[name, inputs]]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.products", description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["x".join(map(str, size)) for size in SIZES], help="N x I x H")
    parser.add_argument("--rounds", type=int, default=30)
    environment.add_arguments(parser)
    arguments = parser.parse_args()
    environment.restart_with(environment.wanted(arguments), sys.argv[1:], "benchmarks.products")
    reason = why_unavailable(torch.float32)
    if reason:
        parser.exit(2, f"not available: {reason}\n")
    torch.set_num_threads(1)
    rate = Limits(threads=1, level=environment.level_of(os.environ)).operations_per_us
    print("| N x I x H | products, forward | whole step, forward | products, both passes | whole step, both passes |")
    print("|---|---|---|---|---|")
    for size in arguments.sizes:
        found = shares(*map(int, size.split("x")), arguments.rounds, rate)
        cells = [spread(quartiles(part), "{:.0%}".format) for of_pass in found.values() for part in of_pass]
        print(f"| {size} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
