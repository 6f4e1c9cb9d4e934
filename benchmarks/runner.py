"""Interleaved timing, and what is said about the times."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Optional, TypeVar

import torch

from . import accuracy, bare_products, cases
from .cases import Call
from .limits import Kind, Limits
from .peers import REFERENCE, Peer
from .selection import Case


@dataclass(frozen=True)
class Options:
    """How long to measure.

    `seconds` go to one case, all peers together; it takes more where `min_rounds` need more. `block` is the length in seconds
    that blocks are sized for: long against the clock and the caches of the peer before, short against drifts of the machine.
    """

    dtype: torch.dtype = torch.float32
    seconds: float = 2.0
    block: float = 0.015
    min_rounds: int = 5


@dataclass(frozen=True)
class Quartiles:
    """A median and the quartiles around it."""

    q1: float
    median: float
    q3: float


@dataclass(frozen=True)
class Measured:
    """One peer on one case. `ratio` is nn.GRUCell's time over this peer's: above 1 the peer is faster."""

    microseconds: Quartiles  # per step
    ratio: Quartiles
    rounds: int
    calls_per_block: int
    error: float

    @property
    def slower(self) -> bool:
        """Slower than nn.GRUCell beyond the spread."""
        return self.ratio.q3 < 1


@dataclass(frozen=True)
class Skipped:
    """Why a peer was not timed on a case. `wrong`: it gave wrong numbers."""

    reason: str
    wrong: bool = False


@dataclass(frozen=True)
class Result:
    """All peers on one case.

    Where known, in microseconds: `limit` is the least time of a step that this processor allows, `overhead` what a step from
    Python takes on top of that, whatever it does (:mod:`benchmarks.limits`), and `products` what torch takes for the step's
    matrix products alone (:mod:`benchmarks.bare_products`).
    """

    case: Case
    peers: dict[str, "Measured | Skipped"]
    limit: Optional[float] = None
    overhead: Optional[float] = None
    products: Optional[float] = None


def quartiles(samples: Sequence[float]) -> Quartiles:
    """Median and quartiles, by linear interpolation between the samples; of a single sample, that three times.

    Raises:
        statistics.StatisticsError: there are no samples.
    """
    if len(samples) == 1:  # Python 3.13 has this rule too
        return Quartiles(samples[0], samples[0], samples[0])
    return Quartiles(*statistics.quantiles(samples, n=4, method="inclusive"))


def ratios(reference: Sequence[float], peer: Sequence[float]) -> Quartiles:
    """The quartiles of the ratios reference / peer within each round: what slows a whole round cancels out."""
    return quartiles([r / p for r, p in zip(reference, peer, strict=True)])


def time_block(call: Call, calls: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that a number of calls in a row take."""
    start = clock()
    for _ in repeat(None, calls):
        call()
    return clock() - start


def calls_per_block(call: Call, seconds: float, clock: Callable[[], float] = time.perf_counter) -> int:
    """How many calls fill a block; at least one. Warms the call up on the way."""
    calls = 1
    while True:
        # Of two blocks the shorter: the first of them may still load code, fill caches or have been interrupted.
        taken = min(time_block(call, calls, clock), time_block(call, calls, clock))
        if taken >= seconds / 3:
            return max(1, round(calls * seconds / taken))
        calls *= 4


Name = TypeVar("Name")
# What :mod:`benchmarks.bare_products` has in a round, beside the peers by name and the limits by kind.
_PRODUCTS = "products"


def interleave(
    calls: Mapping[Name, Call], sizes: Mapping[Name, int], options: Options, clock: Callable[[], float] = time.perf_counter
) -> dict[Name, list[float]]:
    """Seconds per call of each peer in each round: A B C, A B C, ... until the time is up.

    Args:
        calls: the peers' calls, in the order of a round.
        sizes: calls per block.
        options: when to stop.
        clock: seconds.
    """
    times: dict[Name, list[float]] = {name: [] for name in calls}
    start = clock()
    rounds = 0
    while rounds < options.min_rounds or clock() - start < options.seconds:
        for name, call in calls.items():
            times[name].append(time_block(call, sizes[name], clock) / sizes[name])
        rounds += 1
    return times


def measure(case: Case, peers: Sequence[Peer], options: Options, limits: Optional[Limits] = None) -> Result:
    """Checks the numbers of every peer on a case and times those that are right.

    Args:
        case: what to run.
        peers: available ones, the reference among them.
        options: dtype and time.
        limits: of this processor, where they are known.
    """
    problem = cases.build(case, options.dtype)
    expected = accuracy.exact(problem)
    results: dict[str, Measured | Skipped] = {}
    errors: dict[str, float] = {}
    calls: dict[str, Call] = {}
    for peer in peers:
        peer.start_case()
    reference_error = _error(accuracy.reference_call(problem), problem, expected)
    for peer in peers:
        reason: Optional[str] = peer.why_not(problem)
        if reason is not None:
            results[peer.name] = Skipped(reason)
            continue
        call = peer.build(problem)
        errors[peer.name] = _error(call, problem, expected, peer)
        wrong = accuracy.why_wrong(errors[peer.name], reference_error, peer.spacing or torch.finfo(options.dtype).eps)
        if wrong:
            results[peer.name] = Skipped(wrong, wrong=True)
        else:
            calls[peer.name] = call
    # A collection of garbage would hit one peer's block for what another left behind.
    gc.collect()
    gc.disable()
    try:
        with torch.inference_mode(not case.mode.trains):
            of_limits = limits.calls(case) if limits else {}
            products = bare_products.call(problem)
            of_products: dict[Kind, Call] = {_PRODUCTS: products} if products else {}
            all_calls: dict[Kind, Call] = {**calls, **of_limits, **of_products}
            sizes = {name: calls_per_block(call, options.block) for name, call in all_calls.items()}
            times = interleave(all_calls, sizes, options)
    finally:
        gc.enable()
    for name in calls:
        seconds = times[name]
        per_step = [1e6 * s / problem.steps_per_call for s in seconds]
        ratio = ratios(times[REFERENCE], seconds)
        results[name] = Measured(quartiles(per_step), ratio, len(seconds), sizes[name], errors[name])
    outcomes = {peer.name: results[peer.name] for peer in peers}
    products_us = 1e6 * statistics.median(times[_PRODUCTS]) / problem.steps_per_call if of_products else None
    if limits is None:
        return Result(case, outcomes, products=products_us)
    in_turn = {kind: [1e6 * s for s in times[kind]] for kind in of_limits}
    return Result(case, outcomes, limits.of_case(case, in_turn), limits.overhead_of_case(case, in_turn), products_us)


def _error(call: Call, problem: cases.Problem, expected: list[torch.Tensor], peer: Optional[Peer] = None) -> float:
    result = accuracy.run_call(problem, call)
    if peer is None:
        return accuracy.error(result, expected, lambda tensor: tensor)
    return accuracy.error(peer.arrange(problem, result), expected, peer.to_torch)
