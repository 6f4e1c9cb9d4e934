"""The matrix products of a step alone: `python -m benchmarks.products`; float32, one thread.

With the input size the time of a pass grows by the products with x and nothing else: gates and calls stay as they are. So the
products' share of the arithmetic units' rate is the time that the multiplications and additions of a larger input take at that
rate, over the time that it adds. Of one row, the time that its weights take to be read in the place of a step is held against
the time that a step takes longer than one of 3 inputs and 4 units. Medians over the rounds with the quartiles; all that is
compared takes turns.
"""

import argparse
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

import gru_ext

from . import environment, machine
from .arguments import add_json
from .cases import Call
from .found import Found, read, to_json, write
from .limits import OPERATIONS, Limits, why_unavailable
from .report import spread
from .runner import Quartiles, quartiles
from .stream.blocks import interleaved, mean_us

#: Goes up when a reader of the JSON has to change.
FORMAT = 1

#: N, I, H: all of the grid with N >= 64 and H >= 128.
SIZES = ((64, 512, 512), (256, 512, 512), (1000, 200, 200), (1024, 128, 128), (3200, 200, 200))
#: H = I: of single rows, all of the grid whose weights are in a cache farther than the second.
SINGLE_ROWS = (256, 512, 1024)

PASSES = ("forward", "backward")


@dataclass(frozen=True)
class Shares:
    """Of the arithmetic units' rate, in one pass: the products, and the whole pass."""

    products: Quartiles
    whole: Quartiles


@dataclass(frozen=True)
class Products(Found):
    """What one run of this command found on one machine.

    `passes` has for each size, as N x I x H, the shares of each of :data:`PASSES`; `reading`, by 1 x H x H, the part of the
    time of one row in which its weights could be read.
    """

    passes: Mapping[str, Mapping[str, Shares]]
    reading: Mapping[str, Quartiles]


def load(path: Path) -> Products:
    """Reads what this command wrote.

    Raises:
        ValueError: the file is of another format.
    """
    content = read(path, "shares", FORMAT)
    passes = {
        size: {name: Shares(*(Quartiles(**shares[part]) for part in ("products", "whole"))) for name, shares in found.items()}
        for size, found in content["passes"].items()
    }
    reading = {size: Quartiles(**share) for size, share in content["reading"].items()}
    return Products(path.stem, content["machine"], passes, reading)


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


def shares(n: int, inputs: int, hidden: int, rounds: int, limits: Limits) -> dict[str, Shares]:
    """Of each pass."""
    less = inputs // 4 // 16 * 16
    means = {(name, size): mean_us(call) for size in (less, inputs) for name, call in _calls(n, size, hidden).items()}
    times = interleaved({**means, "operations": limits.block_us}, rounds)
    found = {}
    for name, products in zip(PASSES, (1, 2), strict=True):
        per_input = products * 2 * n * 3 * hidden  # operations for each number of a row
        at_rate = [per_input / OPERATIONS * us for us in times["operations"]]  # microseconds
        rounds_of = list(zip(at_rate, times[name, less], times[name, inputs], strict=True))
        of_products = [us * (inputs - less) / (more - fewer) for us, fewer, more in rounds_of]
        found[name] = Shares(quartiles(of_products), quartiles([us * (inputs + hidden) / more for us, _, more in rounds_of]))
    return found


def share_of_reading(hidden: int, rounds: int, limits: Limits) -> Quartiles:
    """The part of the time of one row, without that of a call, in which its weights could be read."""

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
    return quartiles([(reading - none) / (whole - least) for reading, none, whole, least in rounds_of])


PASSES_HEAD = "| N x I x H | products, forward | whole forward | products, backward | whole backward |\n|---|---|---|---|---|"
READING_HEAD = "| 1 x H x H | reading of the weights |\n|---|---|"


def passes_row(size: str, found: Mapping[str, Shares]) -> str:
    """Of the table that begins with PASSES_HEAD."""
    parts = (part for name in PASSES for part in (found[name].products, found[name].whole))
    return f"| {size} | {' | '.join(map(_percent, parts))} |"


def reading_row(size: str, share: Quartiles) -> str:
    """Of the table that begins with READING_HEAD."""
    return f"| {size} | {_percent(share)} |"


def _percent(share: Quartiles) -> str:
    return spread(share, "{:.0%}".format)


def tables(found: Products) -> tuple[str, str]:
    """Of the passes, and of single rows, as Markdown."""
    passes = [PASSES_HEAD, *(passes_row(size, shares) for size, shares in found.passes.items())]
    reading = [READING_HEAD, *(reading_row(size, share) for size, share in found.reading.items())]
    return "\n".join(passes), "\n".join(reading)


def _size(text: str) -> tuple[int, int, int]:
    """The type of a size: N x I x H."""
    numbers = re.fullmatch("([1-9][0-9]*)x([1-9][0-9]*)x([1-9][0-9]*)", text)
    if numbers is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 64x512x512")
    n, inputs, hidden = map(int, numbers.groups())
    return n, inputs, hidden


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.products", description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=_size, default=SIZES, metavar="NxIxH")
    parser.add_argument("--rounds", type=int, default=30)
    add_json(parser, "write the shares there")
    environment.add_arguments(parser)
    arguments = parser.parse_args()
    environment.restart_with(environment.wanted(arguments), sys.argv[1:], "benchmarks.products")
    reason = why_unavailable(torch.float32)
    if reason:
        parser.exit(2, f"not available: {reason}\n")
    torch.set_num_threads(1)
    limits = Limits(threads=1, level=environment.level_of(os.environ))
    about = machine.describe()
    passes: dict[str, dict[str, Shares]] = {}
    reading: dict[str, Quartiles] = {}
    print(PASSES_HEAD)
    for size in arguments.sizes:
        name = "x".join(map(str, size))
        passes[name] = shares(*size, arguments.rounds, limits)
        print(passes_row(name, passes[name]), flush=True)
    print(f"\n{READING_HEAD}")
    for hidden in SINGLE_ROWS:
        name = f"1x{hidden}x{hidden}"
        reading[name] = share_of_reading(hidden, arguments.rounds, limits)
        print(reading_row(name, reading[name]), flush=True)
    if arguments.json is not None:
        write(to_json(Products(arguments.json.stem, about, passes, reading), FORMAT), arguments.json)


if __name__ == "__main__":
    main()
