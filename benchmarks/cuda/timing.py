"""Clocks for work that is queued: the host's, waiting for the device, and the device's own, around CUDA graphs."""

import time
from collections.abc import Callable, Sequence

import torch

from ..cases import Call
from ..runner import Quartiles, quartiles


def clock_of(device: torch.device) -> Callable[[], float]:
    """Seconds on the host once the device has done all that was queued: around a block of calls, their wall time."""
    if device.type != "cuda":
        return time.perf_counter

    def clock() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return clock


def captured(calls: Sequence[Call]) -> Call:
    """All calls in a row as one CUDA graph; calling the result replays it. In the grad mode of the caller."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            for call in calls:
                call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for call in calls:
            call()
    return graph.replay


def device_microseconds(queue: Call, per: int = 1, samples: int = 20, warm_up: int = 3) -> Quartiles:
    """What the device takes for what one call queues, divided by `per`. Samples are queued one after another, so that none
    waits for the host."""
    for _ in range(warm_up):
        queue()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(samples + 1)]
    torch.cuda.synchronize()
    marks[0].record()
    for mark in marks[1:]:
        queue()
        mark.record()
    torch.cuda.synchronize()
    return quartiles([1e3 * a.elapsed_time(b) / per for a, b in zip(marks, marks[1:], strict=False)])
