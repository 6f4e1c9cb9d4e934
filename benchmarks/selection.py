"""Which workloads are measured, and in which modes."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Optional

from .workloads import Mode, Workload


@dataclass(frozen=True)
class Case:
    """One workload in one mode: one group of rows of the table."""

    workload: Workload
    mode: Mode

    @property
    def name(self) -> str:
        return f"{self.workload.name} {self.mode.value}"

    @property
    def steps(self) -> int:
        """T of one call."""
        return self.workload.steps if self.mode.loops else 1


def select(workloads: Iterable[Workload], modes: Optional[Sequence[Mode]] = None, only: str = "") -> list[Case]:
    """The cases of some workloads.

    Args:
        workloads: in the order of the table.
        modes: keep these modes of each workload; where None, its usual ones.
        only: keep the cases in whose name this regular expression is found.
    """
    pattern = re.compile(only)
    cases = [
        Case(workload, mode)
        for workload in workloads
        for mode in (workload.usual_modes if modes is None else workload.modes)
        if modes is None or mode in modes
    ]
    return [case for case in cases if pattern.search(case.name)]
