"""`python -m benchmarks.cuda`: measures on a GPU, prints tables, the targets last, and writes JSON and Markdown."""

import argparse
import json
import re
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Optional

import torch

from ..arguments import add_json, file_to_write, regex
from ..found import write
from ..runner import Options
from . import ceilings, device, kernels, report, sweep
from .measuring import Outcome, measure
from .peers import peers
from .shapes import SHAPES, Shape

# Blocks are short, because the device is waited for between them and takes no time to warm up again; rounds are many.
_OPTIONS = Options(seconds=0.3, block=0.003, min_rounds=15)


def _parser() -> argparse.ArgumentParser:
    known = list(peers())
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda", description=__doc__)
    parser.add_argument("--show", type=Path, metavar="FILE", help="print the tables of a JSON file and stop")
    parser.add_argument("--only", type=regex, default="", metavar="REGEX", help="shapes in whose name or sizes this is found")
    parser.add_argument("--peers", default=",".join(known), help="names joined by commas; default: %(default)s")
    parser.add_argument("--no-kernels", action="store_true", help="steps only, no single kernels and no sweep of small batches")
    parser.add_argument("--budget", type=float, default=1e9, metavar="SECONDS", help="begin no further shape after so long")
    parser.add_argument("--quick", action="store_true", help="a moment for each: shows that all runs, not how fast")
    parser.add_argument("--device", default="cuda", help="cpu: wall times only, to try the command out")
    add_json(parser, "write all results there")
    parser.add_argument("--markdown", type=file_to_write, metavar="FILE", help="write all tables there")
    return parser


def _label(shape: Shape) -> str:
    return f"{shape.name} {shape.n}x{shape.i}x{shape.h} {shape.number} {shape.mode.value}"


def _attempt(what: str, measurement: Callable[[], Any], failures: list[str]) -> Any:
    """What a measurement returns. Where it fails, None: the others are still worth having."""
    try:
        return measurement()
    except Exception as failure:  # noqa: BLE001
        traceback.print_exc()
        failures.append(f"{what}: {type(failure).__name__}: {str(failure)[:200]}")
        return None


def main(argv: Optional[list[str]] = None) -> int:
    """Runs the command; returns its exit status: 1 if a peer gave wrong numbers or something could not be measured."""
    start = time.monotonic()
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.show is not None:
        print(report.compact(json.loads(arguments.show.read_text())))
        return 0
    where = torch.device(arguments.device)
    if where.type == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device; --device cpu tries the command out")
    known = peers()
    chosen = {name: peer for name, peer in known.items() if name in arguments.peers.split(",")}
    if list(known)[0] not in chosen:
        parser.error(f"--peers: {list(known)[0]} is what all ratios refer to")
    # nn.GRU's library has a switch of its own for TF32; all peers are to compute with the same precision.
    torch.backends.cudnn.allow_tf32 = False
    options = replace(_OPTIONS, seconds=0.0, block=1e-4, min_rounds=3) if arguments.quick else _OPTIONS
    on_gpu = where.type == "cuda"
    about = device.describe(where)
    failures: list[str] = []
    limits = _attempt("ceilings", ceilings.measure, failures) if on_gpu else None
    of_kernels = _attempt("kernels", kernels.measure, failures) if on_gpu and not arguments.no_kernels else None
    small = _attempt("small batches", sweep.measure, failures) if on_gpu and not arguments.no_kernels else None
    wanted = [shape for shape in SHAPES if re.search(arguments.only, _label(shape))]
    found: list[tuple[Shape, dict[str, Outcome]]] = []
    try:
        for number, shape in enumerate(wanted, 1):
            if time.monotonic() - start > arguments.budget:
                break
            print(f"[{number}/{len(wanted)}] {_label(shape)}", file=sys.stderr, flush=True)
            outcomes = _attempt(_label(shape), partial(measure, shape, chosen, where, options), failures)
            if outcomes is not None:
                found.append((shape, outcomes))
    finally:
        # Also after a failure: what was measured until then is worth having.
        taken, left_out = time.monotonic() - start, len(wanted) - len(found)
        results = report.to_json(about, limits, found, of_kernels or [], small or [], left_out, taken)
        if arguments.json is not None:
            write(results, arguments.json)
        if arguments.markdown is not None:
            arguments.markdown.write_text(report.markdown(results))
        print(report.compact(results), *(f"FAILED: {failure}" for failure in failures), sep="\n")
    wrong = any(outcome.wrong for _, outcomes in found for outcome in outcomes.values())
    return int(wrong or bool(failures))


if __name__ == "__main__":
    sys.exit(main())
