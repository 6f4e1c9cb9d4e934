"""Times of steps in alternating blocks, so that whatever slows the machine down hits all of them."""

import time
from collections.abc import Callable, Mapping

import torch

BLOCK_US = 20_000

#: Calls that many times and returns the mean time of a call in microseconds.
Mean = Callable[[int], float]


def mean_us(step: Callable[[], object]) -> Mean:
    """Of a step that is called from Python; the loop around it is counted."""

    def mean(calls: int) -> float:
        begin = time.perf_counter()
        for _ in range(calls):
            step()
        return (time.perf_counter() - begin) / calls * 1e6

    return mean


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


def quartiles(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))


def ratio(reference: list[float], taken: list[float]) -> str:
    """How many times as fast, round by round: the median and the quartiles."""
    low, median, high = quartiles([theirs / own for theirs, own in zip(reference, taken, strict=True)])
    return f"{median:.1f} ({low:.1f} to {high:.1f})"
