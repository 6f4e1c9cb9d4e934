"""Times of steps in alternating blocks, so that whatever slows the machine down hits all of them."""

from collections.abc import Callable, Mapping

from ..cases import Call
from ..report import spread
from ..runner import ratios, time_block

BLOCK_US = 20_000

#: Calls that many times and returns the mean time of a call in microseconds.
Mean = Callable[[int], float]


def mean_us(step: Call) -> Mean:
    """Of a step that is called from Python; the loop around it is counted."""
    return lambda calls: time_block(step, calls) / calls * 1e6


def interleaved(means: Mapping[str, Mean], rounds: int) -> dict[str, list[float]]:
    """For each the mean time of a step in each round, in microseconds."""
    calls = {}
    for name, mean in means.items():
        mean(3)  # the first ones compile or bind
        calls[name] = max(3, int(BLOCK_US / mean(5)))
    times: dict[str, list[float]] = {name: [] for name in means}
    for _ in range(rounds):
        for name, mean in means.items():
            mean(2)  # brings the weights back into the caches
            times[name].append(mean(calls[name]))
    return times


def ratio(reference: list[float], taken: list[float]) -> str:
    """How many times as fast, round by round: the median and the quartiles."""
    return spread(ratios(reference, taken), "{:.1f}".format)
