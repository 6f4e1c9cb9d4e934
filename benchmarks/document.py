"""`python -m benchmarks.document`: writes docs/performance.md and its plots from the results in benchmarks/results."""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from . import not_faster, plot, products, report, stored, target_tables, targets, threads
from .peers import REFERENCE
from .products import Products
from .runner import Measured
from .stored import OURS, Run
from .threads import Speedups
from .workloads import Mode

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
#: What `python -m benchmarks.products --json` wrote.
PRODUCTS = RESULTS / "products"
#: What `python -m benchmarks.threads --json` wrote.
THREADS = RESULTS / "threads"
DOCUMENT = ROOT / "docs" / "performance.md"
METHOD = Path(__file__).with_name("method.md")

#: In README's table stands what lies between these two lines.
README_BEGIN = "<!-- benchmarks: python -m benchmarks.document --readme -->"
README_END = "<!-- benchmarks: end -->"

_README_SIZES = (
    (1, 3, 4),
    (1, 64, 64),
    (1, 256, 256),
    (1, 1024, 1024),
    (8, 128, 128),
    (32, 256, 256),
    (256, 512, 512),
    (1024, 128, 128),
    (3200, 200, 200),
    (6624, 32, 32),
)

_MODE_TITLES = {
    Mode.INFERENCE: "One step, inference",
    Mode.TRAINING: "One step, forward and backward",
    Mode.LOOP_INFERENCE: "T steps, inference (time of a step)",
    Mode.LOOP_TRAINING: "T steps, forward and backward (time of a step)",
}


def load_products() -> list[Products]:
    """All files of :data:`PRODUCTS`."""
    return [products.load(path) for path in sorted(PRODUCTS.glob("*.json"))]


def load_speedups() -> list[Speedups]:
    """All files of :data:`THREADS`."""
    return [threads.load(path) for path in sorted(THREADS.glob("*.json"))]


def text(runs: Sequence[Run], shares: Sequence[Products], speedups: Sequence[Speedups]) -> str:
    """The whole document.

    Args:
        runs: in the order of :func:`benchmarks.stored.load_all`.
        shares: of the products, of any machines.
        speedups: by a second thread, of any machines.
    """
    parts = [METHOD.read_text().rstrip(), "## Results"]
    if not runs:
        parts.append("There are none yet.")
    for machine, of_machine in groupby(runs, key=lambda run: _title(run.machine)):
        group = list(of_machine)
        of_products = [found for found in shares if _title(found.machine) == machine]
        of_threads = [found for found in speedups if _title(found.machine) == machine]
        parts.append(f"### {machine}")
        for run in group:
            parts += _run(run)
        for found in of_products:
            parts += _products(found)
        parts += _speedups(of_threads)
        parts += [f"#### Where we are not faster: {machine}", *_not_faster(group)]
        parts += [f"#### Targets: {machine}", *target_tables.paragraphs(group, of_products, of_threads)]
        notes = [path.read_text().strip() for run in group if (path := RESULTS / f"{run.name}.md").exists()]
        parts += [f"#### What forbids the rest: {machine}", *notes] if notes else []
    return "\n\n".join(parts) + "\n"


def _title(machine: Mapping[str, Any]) -> str:
    return f"{machine['cpu']}, {machine['cpus']} CPUs"


def readme_table(runs: Iterable[Run]) -> str:
    """The table of README: of the last plain run of the machine with the highest level.

    Raises:
        ValueError: there is no float32 run on one thread with neither a level nor a memory rule.
    """
    candidates = [run for run in targets.plain(runs) if not run.memory]
    if not candidates:
        raise ValueError("no results of float32 on one thread without --level and --memory; README's table is made of those")
    run = max(candidates, key=lambda run: (run.height_of_level, run.name))
    cells = {mode: _by_size(run, mode) for mode in (Mode.INFERENCE, Mode.TRAINING)}
    rows = [
        [*map(str, size), *(report.spread(cells[mode][size].ratio) for mode in cells)]
        for size in _README_SIZES
        if all(size in found for found in cells.values())
    ]
    return report.markdown(["N", "I", "H", "inference", "forward + backward"], rows)


def _by_size(run: Run, mode: Mode) -> dict[targets.Size, Measured]:
    grid = (found for found in run.measured(mode) if found[0].case.workload.name.startswith("grid"))
    return {targets.size_of(result): ours for result, _, ours in grid}


def _run(run: Run) -> Iterable[str]:
    about = run.machine
    yield f"#### {run.title}"
    lines = [
        f"[{run.name}.json](../benchmarks/results/{run.name}.json): torch {about['torch']} at level {about['torch_level']}, "
        f"gru_ext {about['gru_ext']} at level {about['gru_ext_level'] or 'none: not compiled'}, Python {about['python']}.",
        f"Peers: {', '.join(f'{name} ({version})' for name, version in run.peers.items())}.",
    ]
    if run.limits is not None:
        rates = [f"{rate / 1e3:.0f} GB/s from {_bytes(size)}" for size, rate in _rates(run.limits).items()]
        call = f"{run.limits['call_us']:.1f} us for a call that makes a tensor, " if "call_us" in run.limits else ""
        lines.append(
            f"Limits: {run.limits['operations_per_us'] / 1e3:.0f} GFLOP/s; {', '.join(rates)}; "
            f"{call}{run.limits['autograd_us']:.0f} us for one operator and its gradients."
        )
    lines += _busy(about)
    yield "\n".join(lines)
    pictures = [f"![{kind}](../benchmarks/results/{plot.file_name(run, kind)})" for kind in plot.kinds(run)]
    if pictures:
        yield "\n".join(pictures)
    for mode in Mode:
        rows = _rows(run, mode)
        if rows:
            others = [name for name in run.peers if name not in (REFERENCE, OURS)]
            yield f"{_MODE_TITLES[mode]}:"
            yield report.markdown(["case", f"{REFERENCE}, us", "gru_ext", "share of limit", *others], rows)


def _busy(about: Mapping[str, Any]) -> list[str]:
    if not report.busy(about):
        return []
    return [f"The machine was BUSY (load average {about['load_average']}): do not rely on these times."]


def _rates(limits: dict[str, Any]) -> dict[int, float]:
    """Bytes per microsecond at which so many bytes of weights are read: in a step where that was measured, else in a loop."""
    rates = {int(size): rate for size, rate in limits["bytes_per_us"].items()}
    # Less than a tenth of a microsecond is not told apart from the call that it is in.
    in_steps = limits.get("memory_us", {}).get("inference", {}).items()
    rates.update({int(size): int(size) / us for size, us in in_steps if us > 0.1})
    return dict(sorted(rates.items()))


def _rows(run: Run, mode: Mode) -> list[list[str]]:
    others = [name for name in run.peers if name not in (REFERENCE, OURS)]
    rows = []
    for result, reference, ours in run.measured(mode):
        share = "" if result.limit is None else f"{result.limit / ours.microseconds.median:.0%}"
        times = (result.peers.get(name) for name in others)
        ratios = [f"{peer.ratio.median:.2f}" if isinstance(peer, Measured) else "" for peer in times]
        time = report.three_digits(reference.microseconds.median)
        rows.append([result.case.workload.name, time, report.spread(ours.ratio), share, *ratios])
    return rows


def _not_faster(runs: Sequence[Run]) -> Iterable[str]:
    rows = []
    for run in runs:
        for case in not_faster.find(run):
            others = [f"{name} {peer.ratio.median:.2f}" for name, peer in case.others.items()]
            rows.append([run.title, case.result.case.name, report.spread(case.ours.ratio), ", ".join(others)])
    if not rows:
        yield "Nowhere, in these cases and among these peers."
        return
    yield (
        f"Every case in which another is ahead beyond the spread (its lower quartile above our upper one), and every one in "
        f"which {REFERENCE} is not behind beyond the spread; all as {REFERENCE}'s time over theirs. Peers of lower precision "
        f"are left out: the tables above have them."
    )
    yield report.markdown(["run", "case", "gru_ext", "not faster than"], rows)


def _products(found: Products) -> Iterable[str]:
    about = found.machine
    yield f"#### Matrix products alone: float32, 1 thread{', level ' * bool(found.level)}{found.level}"
    lines = [
        f"[{found.name}.json](../benchmarks/results/products/{found.name}.json), by `python -m benchmarks.products`: gru_ext "
        f"at level {about['gru_ext_level']}. Of a pass without autograd the share of the arithmetic units' rate, measured in "
        f"turn with it; of one row that of the rate at which its weights can be read in its place."
    ]
    lines += _busy(about)
    yield "\n".join(lines)
    yield from products.tables(found)


def _speedups(runs: Sequence[Speedups]) -> Iterable[str]:
    if not runs:
        return
    yield f"#### A second thread: float32, {threads.THREADS} threads against one"
    names = dict.fromkeys(name for found in runs for name in found.cases)
    links = ", ".join(f"[{found.name}.json](../benchmarks/results/threads/{found.name}.json)" for found in runs)
    lines = [
        f"{links}, by `python -m benchmarks.threads`: the time of one thread over that of {threads.THREADS}, in turn. *Most* "
        f"is what it would be if {threads.THREADS} threads were at their limit."
    ]
    lines += [line for found in runs for line in _busy(found.machine)]
    yield "\n".join(lines)
    memories = [f"freed memory {found.memory}" if found.memory else "memory as the C library has it" for found in runs]
    rows = [[name, *(text for found in runs for text in _speedup(found, name))] for name in names]
    yield report.markdown(["case", *(head for memory in memories for head in (memory, "most"))], rows)


def _speedup(found: Speedups, name: str) -> tuple[str, str]:
    return (
        report.spread(found.cases[name]) if name in found.cases else "",
        f"{found.most[name]:.2f}" if name in found.most else "",
    )


def _bytes(size: int) -> str:
    return f"{size / 2**20:.3g} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.document", description=__doc__)
    parser.add_argument("--readme", action="store_true", help="print README's table and stop")
    arguments = parser.parse_args()
    runs = stored.load_all(RESULTS)
    if arguments.readme:
        print(readme_table(runs))
        return 0
    plot.write(runs, RESULTS)
    DOCUMENT.write_text(text(runs, load_products(), load_speedups()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
