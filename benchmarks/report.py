"""Results as JSON, as a Markdown table and in a sentence."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Optional

from . import environment
from .limits import Limits
from .peers import REFERENCE, Peer
from .runner import Measured, Options, Quartiles, Result, Skipped
from .workloads import Cell

#: Goes up when a reader of the JSON has to change.
FORMAT = 2

# In CPUs: a load average keeps traces of the minute before, such as the start of this very program.
_SLACK = 0.5


def to_json(
    machine: dict[str, Any],
    options: Options,
    peers: Sequence[Peer],
    skipped: dict[str, str],
    results: Sequence[Result],
    limits: Optional[Limits] = None,
) -> Any:
    """Everything that was measured, for `json.dump`.

    Args:
        machine: of :func:`benchmarks.machine.describe`.
        options: how it was measured.
        peers: those that ran.
        skipped: name and reason of those that could not.
        results: one for each case.
        limits: of this processor, where they are known.
    """
    return {
        "format": FORMAT,
        "machine": machine,
        "options": {**asdict(options), "dtype": str(options.dtype).removeprefix("torch.")},
        "reference": REFERENCE,
        "peers": {peer.name: peer.version() for peer in peers},
        "skipped": skipped,
        "limits": limits.measured() if limits else None,
        "results": [_case(result) for result in results],
    }


def _case(result: Result) -> dict[str, Any]:
    workload = result.case.workload
    return {
        "name": result.case.name,
        "workload": workload.name,
        "mode": result.case.mode.value,
        "steps": result.case.steps,
        "bias": workload.bias,
        "limit_us": result.limit,
        "overhead_us": result.overhead,
        "products_us": result.products,
        "cells": [asdict(cell) for cell in workload.cells],
        "peers": {name: asdict(outcome) for name, outcome in result.peers.items()},
    }


def header(machine: dict[str, Any], options: Options, peers: Sequence[Peer], skipped: dict[str, str]) -> str:
    """Machine and method, a few lines of Markdown."""
    level = machine["gru_ext_level"]
    ours = f"compiled, level {level}" if level else f"NOT compiled, runs on torch's own cell ({machine['gru_ext_fallback']})"
    lines = [
        f"- machine: {machine['cpu']}, {machine['cpus']} CPUs, load average {machine['load_average']}, {machine['system']}",
        f"- torch {machine['torch']} (level {machine['torch_level']}), Python {machine['python']}, "
        f"threads: {machine['threads']}, not pinned to CPUs",
        f"- gru_ext {machine['gru_ext']}: {ours}",
        f"- peers: {', '.join(f'{peer.name} ({peer.version()})' for peer in peers)}",
        *(f"- skipped: {name}: {reason}" for name, reason in skipped.items()),
        *(
            f"- {peer.name} computes with numbers {peer.spacing:.1%} of the largest apart: its errors are judged by that"
            for peer in peers
            if peer.spacing is not None
        ),
        f"- method: {str(options.dtype).removeprefix('torch.')}; rounds of one block of about {1e3 * options.block:g} ms "
        f"for each peer, {options.seconds:g} s and at least {options.min_rounds} rounds a case; medians, quartiles in brackets",
    ]
    if busy(machine):
        lines.append("- the machine was BUSY with other work when this started: do not rely on these times")
    level, memory = (find(machine["environment"]) for find in (environment.level_of, environment.memory_of))
    if level:
        lines.append(
            f"- level {level} for both cells; the matrix products of torch's are in a library that it does not hold back"
        )
    if memory:
        lines.append(f"- memory: what a step frees is {memory}")
    lines += [f"- environment: {name}={value}" for name, value in machine["environment"].items()]
    return "\n".join(lines)


def busy(machine: dict[str, Any]) -> bool:
    """Whether the machine had other work when this started."""
    return machine["load_average"] + machine["threads"] > machine["cpus"] + _SLACK


def table(results: Sequence[Result]) -> str:
    """One row for each case and peer that can run it; sizes of several cells are joined by +, N that varies is a range."""
    head = ["case", "N", "I", "H", "peer", "us per step", f"{REFERENCE} / peer", "share of limit"]
    rows = [head]
    for result in results:
        cells = result.case.workload.cells
        sizes = [
            _joined([_batches(c) for c in cells]),
            _joined([str(c.input_size) for c in cells]),
            _joined([str(c.hidden_size) for c in cells]),
        ]
        for name, outcome in result.peers.items():
            if isinstance(outcome, Measured):
                ratio = "1" if name == REFERENCE else spread(outcome.ratio)
                share = f"{result.limit / outcome.microseconds.median:.0%}" if result.limit is not None else ""
                rows.append([result.case.name, *sizes, name, spread(outcome.microseconds, three_digits), ratio, share])
            elif outcome.wrong:
                rows.append([result.case.name, *sizes, name, "not timed", outcome.reason, ""])
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    )


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def _joined(sizes: Sequence[str]) -> str:
    return sizes[0] if len(set(sizes)) == 1 else "+".join(sizes)


def _batches(cell: Cell) -> str:
    low, high = min(cell.batches), max(cell.batches)
    return str(low) if low == high else f"{low}..{high}"


def spread(value: Quartiles, show: Callable[[float], str] = "{:.2f}".format) -> str:
    """A median with its quartiles in brackets."""
    return f"{show(value.median)} ({show(value.q1)} to {show(value.q3)})"


def three_digits(value: float) -> str:
    """Microseconds, with no more digits than their spread deserves."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def summary(results: Sequence[Result]) -> str:
    """For each peer one sentence: in how many cases it is slower than nn.GRUCell beyond the spread, and in which."""
    names = dict.fromkeys(name for result in results for name in result.peers if name != REFERENCE)
    return "\n".join(_sentence(name, results) for name in names)


def _sentence(name: str, results: Sequence[Result]) -> str:
    outcomes = {result.case.name: result.peers[name] for result in results if name in result.peers}
    measured = {case: outcome for case, outcome in outcomes.items() if isinstance(outcome, Measured)}
    slower = [f"{case} ({outcome.ratio.median:.3g})" for case, outcome in measured.items() if outcome.slower]
    wrong = [case for case, outcome in outcomes.items() if isinstance(outcome, Skipped) and outcome.wrong]
    text = f"{name} is slower than {REFERENCE} beyond the spread in {len(slower)} of {len(measured)} cases"
    text += f": {', '.join(slower)}" if slower else ""
    return text + (f"; it gives wrong numbers in {len(wrong)}: {', '.join(wrong)}." if wrong else ".")
