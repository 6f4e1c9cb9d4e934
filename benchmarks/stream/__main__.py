"""Steps of the torch-free stream library beside torch.nn.GRUCell called from Python, one thread, in alternating blocks.

Ratios are torch.nn.GRUCell's time over that of a step, the median over the rounds with the quartiles. The share of the limit is
the time of reading the weights at the rate at which this core reads memory of that size, or that of the multiplications and
additions in float32 if it is longer, over the time taken. p50, p99 and max are of single steps, with the reading of the clock.
"""

import argparse
import time

import torch

from ..limits import Limits, why_unavailable
from .library import TYPES, Streams, compiled

SIZES = (64, 128, 256, 512, 1024)
BLOCK_US = 20_000


def stock_us(cell: torch.nn.GRUCell, x: torch.Tensor, h: torch.Tensor, calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        cell(x, h)
    return (time.perf_counter() - begin) / calls * 1e6


def quartiles(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))


def limit_us(s: Streams, weights: str, n: int, limits: Limits) -> float:
    """The least time of a step. Of many streams with int8 it is not known: the rate of integer products is not measured."""
    reading = s.weight_bytes / limits.bytes_per_us(s.weight_bytes)
    if weights == "int8":
        return reading
    operations = 2 * n * s.weight_bytes / (4 >> TYPES.index(weights))
    return max(reading, operations / limits.operations_per_us)


def measure(size: int, n: int, rounds: int, library, limits: Limits) -> None:
    cell = torch.nn.GRUCell(size, size)
    streams = {weights: Streams(library, cell, weights, n) for weights in TYPES}
    x, h = torch.randn(n, size), torch.zeros(n, size)
    calls = {weights: max(1, int(BLOCK_US / s.mean_us(3))) for weights, s in streams.items()}
    stock_calls = max(3, int(BLOCK_US / stock_us(cell, x, h, 10)))
    ratios, times = {w: [] for w in TYPES}, {w: [] for w in TYPES}
    for _ in range(rounds):
        # The first calls of a block bring the weights back into the caches.
        stock_us(cell, x, h, 2)
        stock = stock_us(cell, x, h, stock_calls)
        for weights, s in streams.items():
            s.mean_us(2)
            taken = s.mean_us(calls[weights])
            times[weights].append(taken)
            ratios[weights].append(stock / taken)
    for weights, s in streams.items():
        low, ratio, high = quartiles(ratios[weights])
        taken = quartiles(times[weights])[1]
        s.mean_us(2)
        each = s.each_us(min(20_000, rounds * calls[weights]))
        p50, p99 = each.quantile(torch.tensor([0.5, 0.99], dtype=torch.float64))
        share = f"{100 * limit_us(s, weights, n, limits) / taken:.0f} %" if n == 1 or weights != "int8" else ""
        print(
            f"| {n} | {size} | {weights} | {taken:.3f} | {ratio:.1f} ({low:.1f} to {high:.1f}) | "
            f"{s.weight_bytes / taken / 1000:.0f} | {share} | {p50:.2f} / {p99:.2f} / {each.max():.1f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream", description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="hidden sizes, input sizes being the same")
    parser.add_argument("--batches", type=int, nargs="+", default=(1,), help="numbers of streams")
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    reason = why_unavailable(torch.float32)
    if reason:
        parser.exit(2, f"not available: {reason}\n")
    torch.set_num_threads(1)
    library, limits = compiled(), Limits(threads=1)
    print("| N | H = I | weights | µs | nn.GRUCell / this | GB/s | of the limit | p50 / p99 / max µs |")
    print("|---|---|---|---|---|---|---|---|")
    with torch.inference_mode():
        for n in arguments.batches:
            for size in arguments.sizes:
                measure(size, n, arguments.rounds, library, limits)


if __name__ == "__main__":
    main()
