"""Steps of the torch-free stream library beside cells that are called from Python, one thread, in alternating blocks.

Ratios are torch.nn.GRUCell's time over that of a step, the median over the rounds with the quartiles. The share of the limit is
the time of reading the weights at the rate at which this core reads memory of that size, or that of the multiplications and
additions in float32 if it is longer, over the time taken. p50, p99 and max are of single steps, with the reading of the clock.
"""

import argparse
from ctypes import CDLL
from functools import partial

import torch

from ..limits import Limits, why_unavailable
from ..peers import REFERENCE, Peer, all_peers, chosen
from ..runner import quartiles
from .blocks import BLOCK_US, interleaved, mean_us, ratio
from .library import TYPES, Streams, compiled

SIZES = (64, 128, 256, 512, 1024)


def limit_us(s: Streams, weights: str, n: int, limits: Limits) -> float:
    """The least time of a step. Of many streams with int8 it is not known: the rate of integer products is not measured."""
    reading = s.weight_bytes / limits.bytes_per_us(s.weight_bytes)
    if weights == "int8":
        return reading
    operations = 2 * n * s.weight_bytes / (4 >> TYPES.index(weights))
    return max(reading, operations / limits.operations_per_us)


def measure(size: int, n: int, rounds: int, library: CDLL, limits: Limits, peers: list[Peer]) -> None:
    cell = torch.nn.GRUCell(size, size)
    x, h = torch.randn(n, size), torch.zeros(n, size)
    streams = {weights: Streams(library, cell, weights, n) for weights in TYPES}
    means = {REFERENCE: mean_us(partial(cell, x, h))} | {weights: s.mean_us for weights, s in streams.items()}
    for peer in peers:
        if peer.name != REFERENCE:
            means[peer.name] = mean_us(partial(peer.step(cell), peer.adopt(x), peer.adopt(h)))
    times = interleaved(means, rounds)
    for name in means:
        taken = quartiles(times[name]).median
        row = f"| {n} | {size} | {name} | {taken:.3f} | {ratio(times[REFERENCE], times[name])} |"
        if name not in streams:
            print(f"{row} | | |", flush=True)
            continue
        s = streams[name]
        s.mean_us(2)
        each = s.each_us(min(20_000, int(rounds * BLOCK_US / taken) + 1))
        p50, p99 = each.quantile(torch.tensor([0.5, 0.99], dtype=torch.float64))
        share = f"{100 * limit_us(s, name, n, limits) / taken:.0f} %" if n == 1 or name != "int8" else ""
        rate = s.weight_bytes / taken / 1000
        print(f"{row} {rate:.0f} | {share} | {p50:.2f} / {p99:.2f} / {each.max():.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream", description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="hidden sizes, input sizes being the same")
    parser.add_argument("--batches", type=int, nargs="+", default=(1,), help="numbers of streams")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument(
        "--peers", default=REFERENCE, help="others beside it, joined by commas; `python -m benchmarks --help` names them"
    )
    arguments = parser.parse_args()
    reason = why_unavailable(torch.float32)
    if reason:
        parser.exit(2, f"not available: {reason}\n")
    torch.set_num_threads(1)
    try:
        peers, missing = chosen(all_peers(), arguments.peers)
    except ValueError as error:
        parser.error(str(error))
    for name, reason in missing.items():
        print(f"{name}: {reason}")
    library, limits = compiled(), Limits(threads=1)
    print("| N | H = I | weights or peer | µs | nn.GRUCell / this | GB/s | of the limit | p50 / p99 / max µs |")
    print("|---|---|---|---|---|---|---|---|")
    with torch.inference_mode():
        for n in arguments.batches:
            for size in arguments.sizes:
                measure(size, n, arguments.rounds, library, limits, peers)


if __name__ == "__main__":
    main()
