"""The cases in which ours is not faster than another, as plain a result as those in which it is."""

from collections.abc import Iterable
from dataclasses import dataclass

from .peers import REFERENCE
from .runner import Measured, Result
from .stored import Run
from .workloads import Mode


@dataclass(frozen=True)
class NotFaster:
    """A case, and who is ahead of ours beyond the spread, the fastest first; nn.GRUCell already where it is not behind."""

    result: Result
    ours: Measured
    others: dict[str, Measured]


def find(run: Run) -> Iterable[NotFaster]:
    """All such cases of a run, mode by mode."""
    for mode in Mode:
        for result, reference, ours in run.measured(mode):
            ahead = {name: peer for name, peer in run.rivals(result).items() if peer.ratio.q1 > ours.ratio.q3}
            if ours.ratio.q1 <= 1:
                ahead[REFERENCE] = reference
            if ahead:
                first = sorted(ahead, key=lambda name: -ahead[name].ratio.median)
                yield NotFaster(result, ours, {name: ahead[name] for name in first})
