"""Results that were written to files, read back."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from .found import Found, read
from .limits import overhead_us
from .peers import REFERENCE, all_peers
from .report import FORMAT
from .runner import Measured, Quartiles, Result, Skipped
from .selection import Case
from .workloads import Cell, Mode, Workload

OURS = "gru_ext.GRUCell"
#: What is known of those that are named in results.
PEERS = all_peers()
#: Lowest first.
_CPU_LEVELS = ("default", "avx2", "avx512", "avx512_vnni_bf16", "amx_bf16")


@dataclass(frozen=True)
class Run(Found):
    """One file: what one run of the command found on one machine.

    `peers` has the version of each by name; `limits` is what :meth:`benchmarks.limits.Limits.measured` gave, where known.
    """

    dtype: str
    peers: dict[str, str]
    limits: Optional[dict[str, Any]]
    results: tuple[Result, ...]

    @property
    def threads(self) -> int:
        return self.machine["threads"]

    @property
    def height_of_level(self) -> int:
        """Of our kernels, on that machine."""
        return _CPU_LEVELS.index(self.machine["gru_ext_level"] or "default")

    @property
    def title(self) -> str:
        """What the run was asked for, in words."""
        parts = [self.dtype, f"{self.threads} thread{'s' * (self.threads > 1)}"]
        if self.level:
            parts.append(f"level {self.level} for both")
        if self.memory:
            parts.append(f"freed memory {self.memory}")
        return ", ".join(parts)

    def measured(self, mode: Mode) -> Iterable[tuple[Result, Measured, Measured]]:
        """The cases of a mode in which both cells were timed, with nn.GRUCell's times and ours."""
        for result in self.results:
            reference, ours = result.peers.get(REFERENCE), result.peers.get(OURS)
            if result.case.mode == mode and isinstance(reference, Measured) and isinstance(ours, Measured):
                yield result, reference, ours

    def rivals(self, result: Result) -> dict[str, Measured]:
        """The others that were timed, but for nn.GRUCell and those that compute in coarser numbers than the run's dtype."""
        return {
            name: peer
            for name, peer in result.peers.items()
            if isinstance(peer, Measured) and name not in (REFERENCE, OURS) and PEERS[name].spacing is None
        }


def load(path: Path) -> Run:
    """Reads what `python -m benchmarks --json` wrote.

    Raises:
        ValueError: the file is of another format.
    """
    content = read(path, "results", FORMAT)
    results = tuple(_result(case, content.get("limits")) for case in content["results"])
    dtype = content["options"]["dtype"]
    return Run(path.stem, content["machine"], dtype, content["peers"], content.get("limits"), results)


def load_all(folder: Path) -> list[Run]:
    """All files of a folder: those of one machine together, the plainest first."""
    runs = [load(path) for path in sorted(folder.glob("*.json"))]
    return sorted(
        runs,
        key=lambda run: (run.machine["cpu"], run.machine["cpus"], run.level, run.dtype != "float32", run.threads, run.memory),
    )


def _result(case: dict[str, Any], limits: Optional[dict[str, Any]]) -> Result:
    mode = Mode(case["mode"])
    cells = tuple(Cell(tuple(cell["batches"]), cell["input_size"], cell["hidden_size"]) for cell in case["cells"])
    workload = Workload(case["workload"], cells, case["steps"], (mode,), case["bias"])
    outcomes = {name: _outcome(found) for name, found in case["peers"].items()}
    overhead = case.get("overhead_us")
    if overhead is None and limits is not None:  # older results have it once for all cases, some without that of a call
        overhead = overhead_us(mode, len(cells), limits.get("call_us", 0), limits["autograd_us"])
    return Result(Case(workload, mode), outcomes, case["limit_us"], overhead, case.get("products_us"))


def _outcome(found: dict[str, Any]) -> "Measured | Skipped":
    if "reason" in found:
        return Skipped(**found)
    return Measured(**{**found, "microseconds": Quartiles(**found["microseconds"]), "ratio": Quartiles(**found["ratio"])})
