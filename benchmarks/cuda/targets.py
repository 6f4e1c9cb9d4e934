"""What the project wants to reach, and whether it does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .peers import COMPILED, REFERENCE

Row = Mapping[str, Any]  # of report.py's JSON


@dataclass(frozen=True)
class Target:
    """A least ratio of a peer's time to ours, for all shapes that it is about."""

    about: str
    peer: str
    clock: str  # "wall" or "graph"
    least: float
    applies: Callable[[Row], bool]


def _small_inference(r: Row) -> bool:
    return r["mode"] == "inference" and r["n"] <= 8 and r["h"] <= 1024 and r["i"] <= 1024


def _large_inference(number: str) -> Callable[[Row], bool]:
    return lambda r: r["mode"] == "inference" and r["n"] >= 1024 and r["number"] == number


def _small_training(r: Row) -> bool:
    return r["mode"] == "training" and r["n"] <= 64


TARGETS: tuple[Target, ...] = (
    Target("inference, N <= 8, H <= 1024", REFERENCE, "wall", 3.0, _small_inference),
    Target("inference, N <= 8, H <= 1024", COMPILED, "wall", 1.3, _small_inference),
    Target("inference, N <= 8, H <= 1024, in a CUDA graph", REFERENCE, "graph", 2.2, _small_inference),
    Target("inference, N >= 1024, bf16", REFERENCE, "wall", 1.12, _large_inference("bf16")),
    Target("inference, N >= 1024, bf16", COMPILED, "wall", 0.97, _large_inference("bf16")),
    Target("inference, N >= 1024, f32", REFERENCE, "wall", 1.02, _large_inference("f32")),
    Target("inference, N >= 1024, f32", COMPILED, "wall", 0.98, _large_inference("f32")),
    Target("forward + backward, N <= 64", REFERENCE, "wall", 1.7, _small_training),
    Target("forward + backward, N <= 64", COMPILED, "wall", 1.3, _small_training),
)

_KERNEL = "gates backward, biases"
_KERNEL_SIZES = "bf16 N=1024 I=H=2048"
_KERNEL_MOST_US, _KERNEL_LEAST = 16.0, 2.5


def ratio_to(row: Row, peer: str, clock: str) -> float:
    """The peer's time over ours on a shape: the median of the ratios within rounds. NaN where one was not measured."""
    ours, other = (row["peers"].get(name, {}).get(clock) for name in ("gru_ext.GRUCell", peer))
    if not ours or not other:
        return float("nan")
    # Both ratios are to the reference, of the same rounds.
    return ours["ratio"]["median"] / other["ratio"]["median"]


def verdicts(results: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """For each target: what it is about, what is wanted, what was found, and "met", "MISSED" or "not measured"."""
    return [_verdict(target, results["shapes"]) for target in TARGETS] + _kernel_verdicts(results["kernels"])


def _verdict(target: Target, rows: Sequence[Row]) -> tuple[str, str, str, str]:
    wanted = f"{target.peer} / ours >= {target.least:g}"
    found = {}
    for row in filter(target.applies, rows):
        ratio = ratio_to(row, target.peer, target.clock)
        if ratio == ratio:
            found[f"{row['number']} N={row['n']} H={row['h']}"] = ratio
    if not found:
        return target.about, wanted, "", "not measured"
    reached = [name for name, ratio in found.items() if ratio >= target.least]
    worst = min(found, key=lambda name: found[name])
    text = f"in {len(reached)} of {len(found)}; least {found[worst]:.2f} ({worst})"
    return target.about, wanted, text, "met" if len(reached) == len(found) else "MISSED"


def _kernel_verdicts(kernels: Sequence[Row]) -> list[tuple[str, str, str, str]]:
    about = f"{_KERNEL}, {_KERNEL_SIZES}"
    taken = {
        k["who"]: k["microseconds"]["median"]
        for k in kernels
        if (k["what"], k["sizes"], k["operands"]) == (_KERNEL, _KERNEL_SIZES, "memory")
    }
    if "ours" not in taken:
        return [(about, f"<= {_KERNEL_MOST_US:g} us", "", "not measured")]
    ours = taken["ours"]
    rows = [(about, f"<= {_KERNEL_MOST_US:g} us", f"{ours:.1f} us", "met" if ours <= _KERNEL_MOST_US else "MISSED")]
    if "torch" in taken:
        ratio = taken["torch"] / ours
        met = "met" if ratio >= _KERNEL_LEAST else "MISSED"
        rows.append((about, f"torch's kernels / ours >= {_KERNEL_LEAST:g}", f"{ratio:.2f}", met))
    return rows
