"""`python -m benchmarks`: measures, prints a Markdown table, writes JSON."""

import argparse
import sys
from dataclasses import replace
from typing import Optional

import torch

from . import environment, limits, machine, report
from .arguments import add_json, regex
from .found import write
from .grid import GRID
from .limits import Limits
from .peers import REFERENCE, Peer, all_peers, chosen
from .runner import Options, Result, Skipped, measure
from .selection import Case, select
from .workloads import WORKLOADS, Mode

_MODES = {
    "inference": (Mode.INFERENCE,),
    "training": (Mode.TRAINING,),
    "loop": (Mode.LOOP_INFERENCE, Mode.LOOP_TRAINING),
}

_INTERRUPTED = 130  # what a shell reports for a program ended by Ctrl-C


def _parser(known: dict[str, Peer]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    what = parser.add_argument_group("what to measure (default: the grid and the loops of the workloads)")
    what.add_argument("--grid", action="store_true", help="the grid of sizes")
    what.add_argument("--workloads", action="store_true", help="what real users run")
    what.add_argument("--only", type=regex, default="", metavar="REGEX", help="cases in whose name this is found")
    what.add_argument(
        "--mode", choices=_MODES, action="append", help="single steps or T-step loops; may be given several times"
    )
    what.add_argument("--list", action="store_true", help="print the names of the cases and stop")
    chosen = [name for name, peer in known.items() if peer.default]
    what.add_argument(
        "--peers",
        default=",".join(chosen),
        help=f"names joined by commas, or all; known: {', '.join(known)}; default: {', '.join(chosen)}",
    )
    how = parser.add_argument_group("how")
    how.add_argument("--threads", type=_positive(int), default=1, help="threads of every peer (default 1)")
    how.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    how.add_argument("--seconds", type=_positive(float), default=Options.seconds, help="for each case (default %(default)s)")
    how.add_argument("--quick", action="store_true", help="short blocks and few rounds: shows that all runs, not how fast")
    environment.add_arguments(how)
    add_json(how, "write all results there")
    return parser


def _positive(kind: type) -> type:
    def parse(text: str) -> float:
        value = kind(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"{text} is not above zero")
        return value

    parse.__name__ = kind.__name__
    return parse  # type: ignore[return-value]


def _chosen_peers(parser: argparse.ArgumentParser, known: dict[str, Peer], names: str) -> tuple[list[Peer], dict[str, str]]:
    """The peers that can run, the reference always among them, and the reasons of the others."""
    try:
        return chosen(known, f"{REFERENCE},{names}" if names != "all" else names)
    except ValueError as error:
        parser.error(str(error))


def _cases(arguments: argparse.Namespace) -> list[Case]:
    both = arguments.grid == arguments.workloads
    sets = (GRID if both or arguments.grid else ()) + (WORKLOADS if both or arguments.workloads else ())
    modes = None if arguments.mode is None else [mode for name in arguments.mode for mode in _MODES[name]]
    return select(sets, modes, arguments.only)


def main(argv: Optional[list[str]] = None) -> int:
    """Runs the command; returns its exit status: 1 if a peer gave wrong numbers."""
    known = all_peers()
    parser = _parser(known)
    arguments = parser.parse_args(argv)
    cases = _cases(arguments)
    if not cases:
        parser.error("no case is left: see --list for the names")
    if arguments.list:
        print("\n".join(case.name for case in cases))
        return 0
    environment.restart_with(environment.wanted(arguments), sys.argv[1:] if argv is None else argv)
    peers, skipped = _chosen_peers(parser, known, arguments.peers)
    torch.set_num_threads(arguments.threads)
    options = Options(getattr(torch, arguments.dtype), arguments.seconds)
    if arguments.quick:
        options = replace(options, seconds=min(options.seconds, 0.05), block=0.001, min_rounds=3)
    about = machine.describe()
    no_limit = limits.why_unavailable(options.dtype)
    if no_limit is not None:
        skipped["share of the limit"] = no_limit
    chosen = about["environment"]
    kept = environment.memory_of(chosen) == "kept"
    most = Limits(arguments.threads, level=environment.level_of(chosen), memory_is_kept=kept) if no_limit is None else None
    print(report.header(about, options, peers, skipped), end="\n\n", flush=True)
    results: list[Result] = []
    interrupted = False
    try:
        for number, case in enumerate(cases, 1):
            print(f"[{number}/{len(cases)}] {case.name}", file=sys.stderr, flush=True)
            results.append(measure(case, peers, options, most))
    except KeyboardInterrupt:
        interrupted = True
        print(f"interrupted: these are {len(results)} of {len(cases)} cases", file=sys.stderr)
    finally:
        # Also after a failure: what was measured until then may have taken an hour.
        if results:
            print(report.table(results), report.summary(results), sep="\n\n")
            if arguments.json is not None:
                write(report.to_json(about, options, peers, skipped, results, most), arguments.json)
    wrong = any(isinstance(outcome, Skipped) and outcome.wrong for result in results for outcome in result.peers.values())
    return _INTERRUPTED if interrupted else int(wrong)


if __name__ == "__main__":
    sys.exit(main())
