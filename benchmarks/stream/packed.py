"""Steps of packed weights from Python beside torch.nn.GRUCell: `python -m benchmarks.stream.packed`; one thread.

Ratios are torch.nn.GRUCell's time over that of a step, the median over the rounds with the quartiles. The last table is
of a cell of 4 units, whose arithmetic takes a tenth of a microsecond: what is left is the way there.
"""

import argparse
from functools import partial

import torch

import gru_ext

from ..peers import REFERENCE
from ..runner import quartiles
from .blocks import interleaved, mean_us, ratio

CASES = ((1, 64, "float32"), (1, 64, "int8"), (1, 256, "float32"), (1, 256, "int8"), (8, 128, "float32"), (8, 128, "int8"))
SMALL = 4
WAYS = ("packed(x, h)", "packed.step(x, h)", "packed.step(x, h, out)")


def times(n: int, size: int, weights: str, rounds: int) -> dict[str, list[float]]:
    cell = torch.nn.GRUCell(size, size)
    packed = gru_ext.pack(cell, weights)
    x, h, out = torch.randn(n, size), torch.zeros(n, size), torch.zeros(n, size)
    calls = (partial(packed, x, h), partial(packed.step, x, h), partial(packed.step, x, h, out))
    steps = {REFERENCE: partial(cell, x, h)} | dict(zip(WAYS, calls, strict=True))
    return interleaved({name: mean_us(step) for name, step in steps.items()}, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream.packed", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    with torch.inference_mode():
        print(f"| N | H = I | weights | {' | '.join(f'`{way}`' for way in WAYS)} |\n|---|---|---|---|---|---|")
        for n, size, weights in CASES:
            taken = times(n, size, weights, rounds)
            row = " | ".join(ratio(taken[REFERENCE], taken[way]) for way in WAYS)
            print(f"| {n} | {size} | {weights} | {row} |", flush=True)
        taken = times(1, SMALL, "float32", rounds)
        stream = gru_ext._C.Stream(gru_ext.pack(torch.nn.GRUCell(SMALL, SMALL)))
        x, y = torch.randn(SMALL).numpy(), torch.zeros(SMALL).numpy()
        taken |= interleaved({"Stream.step(x, y)": mean_us(partial(stream.step, x, y))}, rounds)
        print(f"\n| one row of {SMALL} units | µs |\n|---|---|")
        for name, of_rounds in taken.items():
            print(f"| `{name}` | {quartiles(of_rounds).median:.2f} |")


if __name__ == "__main__":
    main()
