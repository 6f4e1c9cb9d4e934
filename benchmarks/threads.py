"""How much a second thread helps: `python -m benchmarks.threads`; float32, the module called from Python.

One thread and two take turns on the same tensors in the same process, because two runs may find the machine in two states:
whether virtual CPUs are near each other can change from one minute to the next. Medians over the rounds with the quartiles.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from . import cases, environment, machine
from .arguments import add_json, regex
from .cases import Call
from .found import Found, read, to_json, write
from .grid import GRID
from .limits import Limits, why_unavailable
from .report import spread, three_digits
from .runner import Quartiles, quartiles, ratios, time_block
from .selection import Case, select
from .stored import OURS, PEERS
from .stream.blocks import Mean, interleaved
from .workloads import Mode

#: Goes up when a reader of the JSON has to change.
FORMAT = 2

THREADS = 2


@dataclass(frozen=True)
class Speedups(Found):
    """What one run of this command found on one machine: by case the time of one thread over that of :data:`THREADS`.

    `most` is what that would be if the latter were at their limit, where it is known (:mod:`benchmarks.limits`).
    """

    cases: Mapping[str, Quartiles]
    most: Mapping[str, float]


def load(path: Path) -> Speedups:
    """Reads what this command wrote.

    Raises:
        ValueError: the file is of another format.
    """
    content = read(path, "speedups", FORMAT)
    cases = {name: Quartiles(**ratio) for name, ratio in content["cases"].items()}
    return Speedups(path.stem, content["machine"], cases, content["most"])


def is_meant(case: Case) -> bool:
    """Whether a second thread should help: at N * H of 64 * 256 and more, and for one row of 512 units and more."""
    cell = case.workload.cells[0]
    n, hidden = cell.batches[0], cell.hidden_size
    return n * hidden >= 64 * 256 or (n == 1 and hidden >= 512)


def measure(case: Case, rounds: int) -> tuple[list[float], list[float]]:
    """Microseconds of a step on one thread and on :data:`THREADS`, in each round."""
    call = PEERS[OURS].build(cases.build(case, torch.float32))

    def on(threads: int, step: Call) -> Mean:
        def mean(calls: int) -> float:
            torch.set_num_threads(threads)
            return time_block(step, calls) / calls * 1e6

        return mean

    with torch.inference_mode(not case.mode.trains):
        times = interleaved({"one": on(1, call), "more": on(THREADS, call)}, rounds)
    return times["one"], times["more"]


HEAD = f"| case | one thread, us | {THREADS} threads, us | ratio | at the limit |\n|---|---|---|---|---|"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.threads", description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=regex, default="", metavar="REGEX", help="cases of the grid in whose name this is found")
    parser.add_argument("--rounds", type=int, default=40)
    add_json(parser, "write the ratios there")
    environment.add_arguments(parser)
    arguments = parser.parse_args()
    chosen = [case for case in select(GRID, (Mode.INFERENCE, Mode.TRAINING), arguments.only) if is_meant(case)]
    if not chosen:
        parser.error("no case is left: `python -m benchmarks --list` has the names")
    environment.restart_with(environment.wanted(arguments), sys.argv[1:], "benchmarks.threads")
    torch.set_num_threads(THREADS)
    about = machine.describe()
    limits = (
        Limits(THREADS, level=environment.level_of(about["environment"])) if why_unavailable(torch.float32) is None else None
    )
    found: dict[str, Quartiles] = {}
    most: dict[str, float] = {}
    print(HEAD)
    for case in chosen:
        one, more = measure(case, arguments.rounds)
        found[case.name] = ratios(one, more)
        if limits is not None:
            least = limits.of_case(case, {}) + limits.overhead_of_case(case, {})
            most[case.name] = quartiles(one).median / least
        times = " | ".join(three_digits(quartiles(us).median) for us in (one, more))
        at_limit = f"{most[case.name]:.2f}" if case.name in most else ""
        print(f"| {case.name} | {times} | {spread(found[case.name])} | {at_limit} |", flush=True)
    if arguments.json is not None:
        write(to_json(Speedups(arguments.json.stem, about, found, most), FORMAT), arguments.json)


if __name__ == "__main__":
    main()
