"""Results as JSON and, from that, as tables: the same now and from a file of last year."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Optional

from .ceilings import Ceilings
from .kernels import KernelTime
from .measuring import Outcome
from .peers import COMPILED, LAYER, OURS, REFERENCE
from .shapes import Shape
from .sweep import Row
from .targets import ratio_to, verdicts

#: Goes up when a reader of the JSON has to change.
FORMAT = 1

_NONE = "-"


def to_json(
    machine: dict[str, Any],
    ceilings: Optional[Ceilings],
    shapes: Sequence[tuple[Shape, dict[str, Outcome]]],
    kernels: Sequence[KernelTime],
    sweep: Sequence[Row],
    left_out: int,
    seconds: float,
) -> dict[str, Any]:
    """Everything that was measured. `left_out`: shapes for which there was no time; `seconds`: that all of it took."""
    return {
        "format": FORMAT,
        "machine": machine,
        "reference": REFERENCE,
        "ceilings": None if ceilings is None else asdict(ceilings),
        "shapes": [_shape(shape, outcomes, ceilings) for shape, outcomes in shapes],
        "kernels": [asdict(kernel) for kernel in kernels],
        "sweep": [asdict(row) for row in sweep],
        "left_out": left_out,
        "seconds": round(seconds, 1),
    }


def _shape(shape: Shape, outcomes: dict[str, Outcome], ceilings: Optional[Ceilings]) -> dict[str, Any]:
    return {
        "name": shape.name,
        "n": shape.n,
        "i": shape.i,
        "h": shape.h,
        "number": shape.number,
        "mode": shape.mode.value,
        "bytes": shape.bytes,
        "operations": shape.operations,
        "floor_us": None if ceilings is None else ceilings.floor_us(shape),
        "peers": {name: asdict(outcome) for name, outcome in outcomes.items()},
    }


def markdown(results: Mapping[str, Any]) -> str:
    """All of it, for a file."""
    parts = [_header(results), "## Targets", _targets(results), "## Steps", _STEPS, _steps(results)]
    if results["kernels"]:
        parts += ["## Kernels", _KERNELS, _kernels(results)]
    if results["sweep"]:
        parts += ["## Small batches", _SWEEP, _sweep(results)]
    return "\n\n".join(["# GRU cells on a GPU", *parts]) + "\n"


def compact(results: Mapping[str, Any]) -> str:
    """Machine, steps and targets, for a terminal; the targets last."""
    return "\n\n".join([_header(results), _steps(results), _kernels(results), _targets(results)])


_STEPS = f"""Microseconds per step: median, and in brackets half the distance of the quartiles in percent. "wall": on the host,
the device waited for after a block of calls; "graph": in a CUDA graph of many steps. Columns "/": time of {REFERENCE}, of a
compiled cell (reduce-overhead) and of nn.GRU with T = 1, divided by ours. "floor": what bytes and operations take at the rates
above, in percent of our time in the graph."""
_KERNELS = """Microseconds of the kernels of one call, as the profiler has them; "memory": on operands that have left the cache,
"cache": on the same ones again and again. "floor": what their bytes take at the copy's rate, in percent."""
_SWEEP = "Microseconds per call in a CUDA graph, operands in the cache."


def _header(results: Mapping[str, Any]) -> str:
    m = results["machine"]
    lines = [
        f"- {m['gpu']}, driver {m['driver']}, CUDA {m['cuda']}, torch {m['torch']}, Python {m['python']}",
        f"- host: {m['cpu']}, {m['cpus']} CPUs, load average {m['load_average']}",
        f"- gru_ext {m['gru_ext']}" + ("" if m["cuda_kernels"] else ": WITHOUT its CUDA kernels"),
    ]
    if results["ceilings"]:
        c = results["ceilings"]
        rates = ", ".join(f"{name} {rate / 1e6:.0f}" for name, rate in c["operations_per_us"].items())
        lines += [
            f"- measured: copy {c['bytes_per_us'] / 1e6:.2f} TB/s, in the cache {c['cached_bytes_per_us'] / 1e6:.2f}; "
            f"products (TFLOP/s): {rates}; a call of one tiny kernel {c['launch_us']:.2f} us, in a graph {c['node_us']:.2f} us"
        ]
    if results["left_out"]:
        lines.append(f"- {results['left_out']} shapes were left out for want of time")
    lines.append(f"- took {results['seconds']:.0f} s")
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(t.ljust(w) for t, w in zip(line, widths, strict=True)) + " |" for line in lines)


def _number(value: float) -> str:
    return _NONE if value != value else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(value: float) -> str:
    return _NONE if value != value else f"{value:.2f}"


def _percent(value: float) -> str:
    return _NONE if value != value else f"{value:.0f} %"


def _spread(timed: Optional[Mapping[str, Any]]) -> str:
    if not timed:
        return _NONE
    us = timed["microseconds"]
    return f"{_number(us['median'])} ({100 * (us['q3'] - us['q1']) / 2 / us['median']:.0f})"


def _steps(results: Mapping[str, Any]) -> str:
    head = ["step", "N", "I", "H", "", "", "ours, wall", "/ eager", "/ compiled", "/ nn.GRU", "graph", "/ eager", "floor"]
    rows = []
    for r in results["shapes"]:
        ours = r["peers"].get(OURS, {})
        graph = ours.get("graph")
        floor = 100 * r["floor_us"] / graph["microseconds"]["median"] if graph and r["floor_us"] else float("nan")
        rows.append(
            [
                *(str(r[key]) for key in ("name", "n", "i", "h", "number")),
                {"inference": "inf", "training": "train"}[r["mode"]],
                _spread(ours.get("wall")) if not ours.get("skipped") else ours["skipped"],
                *(_ratio(ratio_to(r, peer, "wall")) for peer in (REFERENCE, COMPILED, LAYER)),
                _spread(graph),
                _ratio(ratio_to(r, REFERENCE, "graph")),
                _percent(floor),
            ]
        )
    notes = sorted({f"{name}: {o['skipped']}" for r in results["shapes"] for name, o in r["peers"].items() if o["skipped"]})
    return "\n".join([_table(head, rows), *(f"not timed: {note}" for note in notes)])


def _kernels(results: Mapping[str, Any]) -> str:
    copy = results["ceilings"]["bytes_per_us"] if results["ceilings"] else float("nan")
    found: dict[tuple[str, str, str], dict[str, Mapping[str, Any]]] = {}
    for k in results["kernels"]:
        found.setdefault((k["what"], k["sizes"], k["operands"]), {})[k["who"]] = k
    if not found:
        return "no times of kernels: PyTorch's profiler recorded none"
    rows = []
    for key, by in found.items():
        ours = by.pop("ours", None)
        mine = ours["microseconds"]["median"] if ours else float("nan")
        floor = 100 * ours["bytes"] / copy / mine if ours and ours["bytes"] and key[2] == "memory" else float("nan")
        others = [(who, k["microseconds"]["median"]) for who, k in by.items()] or [("", float("nan"))]
        rows += [[*key, _number(mine), _percent(floor), who, _number(us), _ratio(us / mine)] for who, us in others]
    return _table(["kernels", "sizes", "operands", "ours, us", "floor", "other", "us", "other / ours"], rows)


def _sweep(results: Mapping[str, Any]) -> str:
    head = ["", "H", "N", "our step", "torch's step", "our backward", "weights' gradients"]
    keys = ("step", "torch_step", "backward", "weights")
    return _table(head, [[r["number"], str(r["h"]), str(r["n"]), *(_number(r[k]) for k in keys)] for r in results["sweep"]])


def _targets(results: Mapping[str, Any]) -> str:
    return _table(["target", "wanted", "found", ""], verdicts(results))
