"""One shape on all peers: numbers checked first, then wall times, interleaved, then times inside a CUDA graph."""

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Optional

import torch

from .. import accuracy, cases
from ..cases import Call, Problem
from ..peers.peer import Peer
from ..runner import Options, Quartiles, calls_per_block, interleave, quartiles, ratios
from .peers import COMPILED, OURS, REFERENCE
from .shapes import Shape
from .timing import captured, clock_of

_GRAPHED = (REFERENCE, OURS)
# Steps in one graph: enough that starting it is no part of a step's time; few where a step takes long by itself.
_STEPS, _FEW_STEPS, _LONG_US = 20, 4, 200.0
# A compiled cell records its graphs on the second and third call.
_WARM_UP = 4


@dataclass(frozen=True)
class Timed:
    """Microseconds per step, and the reference's time over it in the same round."""

    microseconds: Quartiles
    ratio: Quartiles
    rounds: int


@dataclass(frozen=True)
class Outcome:
    """One peer on one shape. `skipped` says why there are no times; `wrong`: because of its numbers."""

    wall: Optional[Timed] = None
    graph: Optional[Timed] = None
    error: Optional[float] = None
    skipped: str = ""
    wrong: bool = False


def measure(shape: Shape, peers: Mapping[str, Peer], device: torch.device, options: Options) -> dict[str, Outcome]:
    """The outcomes by name of the peer, the reference's first.

    Args:
        shape: what to run.
        peers: the reference among them.
        device: where.
        options: how long; its dtype is not looked at.
    """
    problem = cases.build(shape.case, shape.dtype, device)
    expected = accuracy.exact(problem)
    reference_error = _error(problem, accuracy.reference_call(problem), expected)
    outcomes: dict[str, Outcome] = {}
    calls: dict[str, Call] = {}
    for name, peer in peers.items():
        if name == COMPILED and not shape.compiled:
            continue
        outcomes[name], call = _prepare(peer, problem, expected, reference_error)
        if call is not None:
            calls[name] = call
    clock = clock_of(device)
    # A collection of garbage would hit one peer's block for what another left behind.
    gc.collect()
    gc.disable()
    try:
        with torch.inference_mode(not shape.mode.trains):
            wall = _interleaved(calls, options, clock)
            graph = _in_graphs(calls, wall, options, clock) if device.type == "cuda" else {}
    finally:
        gc.enable()
    return {
        name: Outcome(wall.get(name), graph.get(name), outcome.error, outcome.skipped, outcome.wrong)
        for name, outcome in outcomes.items()
    }


def _error(problem: Problem, call: Call, expected: list[torch.Tensor]) -> float:
    return accuracy.error(accuracy.run_call(problem, call), expected, lambda tensor: tensor)


def _prepare(
    peer: Peer, problem: Problem, expected: list[torch.Tensor], reference_error: float
) -> tuple[Outcome, Optional[Call]]:
    try:
        peer.start_case()
        call = peer.build(problem)
        for _ in range(_WARM_UP):
            error = _error(problem, call, expected)
    except Exception as failure:  # noqa: BLE001 - whatever a peer cannot do here, the others are measured
        return Outcome(skipped=f"{type(failure).__name__}: {str(failure).splitlines()[0] if str(failure) else ''}"), None
    wrong = accuracy.why_wrong(error, reference_error, torch.finfo(problem.dtype).eps)
    return Outcome(error=error, skipped=wrong, wrong=bool(wrong)), None if wrong else call


def _interleaved(calls: Mapping[str, Call], options: Options, clock: Callable[[], float], steps: int = 1) -> dict[str, Timed]:
    sizes = {name: calls_per_block(call, options.block, clock) for name, call in calls.items()}
    times = interleave(calls, sizes, options, clock)
    return {
        name: Timed(quartiles([1e6 * s / steps for s in seconds]), ratios(times.get(REFERENCE, seconds), seconds), len(seconds))
        for name, seconds in times.items()
    }


def _in_graphs(
    calls: Mapping[str, Call], wall: Mapping[str, Timed], options: Options, clock: Callable[[], float]
) -> dict[str, Timed]:
    long = any(wall[name].microseconds.median > _LONG_US for name in _GRAPHED if name in wall)
    steps = _FEW_STEPS if long else _STEPS
    replays = {name: captured([calls[name]] * steps) for name in _GRAPHED if name in calls}
    return _interleaved(replays, options, clock, steps) if replays else {}
