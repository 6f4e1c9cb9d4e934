"""The matrix products of a step alone: `python -m benchmarks.products`; float32, one thread.

With the input size the time of a pass grows by the products with x and nothing else: gates and calls stay as they are. So the
products' share of the arithmetic units' rate is the time that the multiplications and additions of a larger input take at that
rate, over the time that it adds. Of one row, the time that its weights take to be read in the place of a step is held against
the time that a step takes longer than one of 3 inputs and 4 units. Medians over the rounds with the quartiles; all that is
compared takes turns.
"""

import argparse
import os
import sys
from functools import partial

import torch

import gru_ext

from . import environment
from .cases import Call
from .limits import OPERATIONS, Limits, why_unavailable
from .report import spread
from .runner import quartiles
from .stream.blocks import interleaved, mean_us

#: N, I, H: all of the grid with N >= 64 and H >= 128.
SIZES = ((64, 512, 512), (256, 512, 512), (1000, 200, 200), (1024, 128, 128), (3200, 200, 200))
#: H = I: of single rows, all of the grid whose weights are in a cache farther than the second.
SINGLE_ROWS = (256, 512, 1024)


def _calls(n: int, inputs: int, hidden: int) -> dict[str, Call]:
    cell = gru_ext.GRUCell(inputs, hidden)
    parameters = [parameter.detach() for parameter in cell.parameters()]
    x, h, grad = torch.randn(n, inputs), torch.randn(n, hidden), torch.randn(n, hidden)
    ops = torch.ops.gru_ext
    saved = ops._cell_forward(x, h, *parameters, True)[1]
    # What autograd calls, without it.
    return {
        "forward": partial(ops._cell.default, x, h, *parameters),
        "backward": partial(ops._cell_backward.default, grad, saved, x, h, *parameters[:2], [True] * 6),
    }


def shares(n: int, inputs: int, hidden: int, rounds: int, limits: Limits) -> dict[str, tuple[list[float], list[float]]]:
    """For each pass the share of the rate in each round: of the products, and of the whole pass."""
    less = inputs // 4 // 16 * 16
    means = {(name, size): mean_us(call) for size in (less, inputs) for name, call in _calls(n, size, hidden).items()}
    times = interleaved({**means, "operations": limits.block_us}, rounds)
    found = {}
    for name, products in (("forward", 1), ("backward", 2)):
        per_input = products * 2 * n * 3 * hidden  # operations for each number of a row
        at_rate = [per_input / OPERATIONS * us for us in times["operations"]]  # microseconds
        rounds_of = list(zip(at_rate, times[name, less], times[name, inputs], strict=True))
        of_products = [us * (inputs - less) / (more - fewer) for us, fewer, more in rounds_of]
        found[name] = of_products, [us * (inputs + hidden) / more for us, _, more in rounds_of]
    return found


def share_of_reading(hidden: int, rounds: int, limits: Limits) -> list[float]:
    """For each round the part of the time of one row, without that of a call, in which its weights could be read."""

    def step(inputs: int, units: int) -> Call:
        cell, x, h = gru_ext.GRUCell(inputs, units), torch.randn(1, inputs), torch.randn(1, units)
        return lambda: cell(x, h)

    steps = {
        "reading": limits.moving(3 * hidden * 2 * hidden, trains=False),
        "no reading": limits.moving(0, trains=False),
        "step": step(hidden, hidden),
        "least step": step(3, 4),
    }
    with torch.inference_mode():
        times = interleaved({name: mean_us(call) for name, call in steps.items()}, rounds)
    rounds_of = zip(*(times[name] for name in steps), strict=True)
    return [(reading - none) / (whole - least) for reading, none, whole, least in rounds_of]


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
    limits = Limits(threads=1, level=environment.level_of(os.environ))
    print("| N x I x H | products, forward | whole forward | products, backward | whole backward |")
    print("|---|---|---|---|---|")
    for size in arguments.sizes:
        found = shares(*map(int, size.split("x")), arguments.rounds, limits)
        cells = [spread(quartiles(part), "{:.0%}".format) for of_pass in found.values() for part in of_pass]
        print(f"| {size} | {' | '.join(cells)} |", flush=True)
    print("\n| 1 x H x H | reading of the weights |\n|---|---|")
    for hidden in SINGLE_ROWS:
        share = quartiles(share_of_reading(hidden, arguments.rounds, limits))
        print(f"| 1x{hidden}x{hidden} | {spread(share, '{:.0%}'.format)} |", flush=True)


if __name__ == "__main__":
    main()
