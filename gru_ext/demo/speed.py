"""Measures both cells at many batch sizes, in turns, so that whatever else the machine does hits both alike."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn

from ..cell import GRUCell
from .data import INPUTS

BATCH_SIZES = tuple(2**k for k in range(11))
_SECONDS_A_POINT = 0.12  # for both cells at one size: all of them take a few seconds
_SECONDS_A_BLOCK = 2e-4  # long against the clock's resolution, short enough for many rounds
_FEWEST_ROUNDS = 9


@dataclass(frozen=True)
class Speed:
    """Median processor seconds per call of both cells at one size; `mode` is "forward" or "forward + backward"."""

    mode: str
    hidden_size: int
    batch_size: int
    stock: float
    ours: float

    @property
    def ratio(self) -> float:
        """How many times as fast as torch.nn.GRUCell ours is."""
        return self.stock / self.ours


def _forward(cell: nn.GRUCell, batch_size: int) -> Callable[[], object]:
    x = torch.randn(batch_size, cell.input_size)
    h = torch.randn(batch_size, cell.hidden_size)

    def call() -> object:
        with torch.no_grad():
            return cell(x, h)

    return call


def _forward_backward(cell: nn.GRUCell, batch_size: int) -> Callable[[], object]:
    x = torch.randn(batch_size, cell.input_size)
    h = torch.randn(batch_size, cell.hidden_size, requires_grad=True)
    gradient = torch.randn(batch_size, cell.hidden_size)
    # As inside a training loop: the input is data, the state came from the step before.
    wanted = [h, *cell.parameters()]
    return lambda: torch.autograd.grad(cell(x, h), wanted, gradient)


MODES = {"forward": _forward, "forward + backward": _forward_backward}


def _seconds(call: Callable[[], object], count: int) -> float:
    """This thread's processor time per call; unlike the wall clock it stands still while other programs run.

    With torch set to one thread this thread does all the work: autograd too runs CPU operators in the thread that calls it.
    """
    begin = time.thread_time()
    for _ in range(count):
        call()
    return (time.thread_time() - begin) / count


def _medians_in_turns(calls: Sequence[Callable[[], object]]) -> list[float]:
    """The median seconds of each call, measured in alternating blocks of equally many calls. The first calls do not count."""
    for call in calls:
        call()
    slowest = max(_seconds(call, 3) for call in calls)
    count = max(1, round(_SECONDS_A_BLOCK / slowest))
    rounds = max(_FEWEST_ROUNDS, round(_SECONDS_A_POINT / (len(calls) * count * slowest)))
    samples: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds):
        order = range(len(calls)) if turn % 2 == 0 else reversed(range(len(calls)))
        for index in order:
            samples[index].append(_seconds(calls[index], count))
    return [median(sample) for sample in samples]


def measure(hidden_size: int, batch_sizes: Sequence[int] = BATCH_SIZES) -> list[Speed]:
    """Both cells with 8 inputs and `hidden_size` units, float32, in both modes at each batch size.

    Torch must be set to one thread: only the calling thread's time is counted.
    """
    stock, ours = nn.GRUCell(INPUTS, hidden_size), GRUCell(INPUTS, hidden_size)
    ours.load_state_dict(stock.state_dict())
    return [
        Speed(mode, hidden_size, size, *_medians_in_turns([make(stock, size), make(ours, size)]))
        for mode, make in MODES.items()
        for size in batch_sizes
    ]
