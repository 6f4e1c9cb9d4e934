"""What this processor can do at most, measured, and what part of that a step reaches.

A step cannot be quicker than its float32 multiplications and additions at the rate of the arithmetic units, nor than reading
its weights from memory or the cache that holds them. From Python it takes besides what making a tensor takes, and one that
trains what torch's autograd takes for any operator.
"""

import ctypes
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, Optional, Union

import torch

from . import native
from .cases import Call
from .selection import Case
from .workloads import Cell, Mode

_SOURCE = Path(__file__).with_suffix(".cpp")
# What a kernel of a level is compiled for. They are x86's; elsewhere there is one level.
_PROCESSORS = {"default": "x86-64", "avx2": "haswell"}

#: Multiplications and additions in a block of :meth:`Limits.block_us`.
OPERATIONS = 40_000_000
# Tensors whose gradients a step is asked for: x, h, and the four parameters.
_LEAVES = 6
# Bytes: sizes are rounded up to a multiple of it. Coarser would matter where a size is close to that of a cache.
_STEP = 16 << 10


def why_unavailable(dtype: torch.dtype) -> Optional[str]:
    """Why there is no limit to compare with, or None."""
    if dtype != torch.float32:
        return "only known for float32"
    return native.why_unavailable()


#: A call of :meth:`Limits.calls`: by the weights that it moves, or the least that any step from Python does.
Kind = Union[int, str]
LEAST = "least"
#: Microseconds of each in each round.
Times = Mapping[Kind, Sequence[float]]


def overhead_us(mode: Mode, cells: int, call_us: float, autograd_us: float) -> float:
    """What a step takes that computes and moves nothing: a call for each cell, and what autograd takes for any operator.

    Of the T steps of a loop that trains autograd goes through all at once, which has not been measured.
    """
    return call_us * cells + (autograd_us if mode is Mode.TRAINING else 0)


def weights_of(cell: Cell) -> int:
    """Without the biases."""
    return 3 * cell.hidden_size * (cell.input_size + cell.hidden_size)


class Limits:
    """Rates of so many threads at a time, each measured when first asked for.

    Args:
        threads: together.
        seconds: for each measurement.
        level: of the instruction set, one of :data:`benchmarks.environment.LEVELS`; where empty, all that the processor has.
        memory_is_kept: by the C library, for the next step. New gradients are memory that exists then, and a step cannot do
            without it; where the system has to make it the limit leaves that out.
    """

    def __init__(self, threads: int, seconds: float = 0.2, level: str = "", memory_is_kept: bool = False) -> None:
        self.threads, self.seconds, self.memory_is_kept = threads, seconds, memory_is_kept
        self._bandwidths: dict[int, float] = {}
        self._training: dict[int, float] = {}
        self._memory_us: dict[tuple[int, bool], float] = {}
        flags = ["-ffp-contract=fast"]
        if level and platform.machine() in ("x86_64", "AMD64"):
            flags.append(f"-march={_PROCESSORS[level]}")
        self._library = native.load(_SOURCE, flags)
        memory, count = ctypes.c_void_p, ctypes.c_size_t
        for name, arguments in (("operations", []), ("read", [memory, count]), ("train", [memory, memory, count])):
            function = getattr(self._library, f"gru_limits_{name}")
            function.restype, function.argtypes = ctypes.c_double, [*arguments, ctypes.c_double]
        self._pass = self._library.gru_limits_pass
        self._pass.restype, self._pass.argtypes = None, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

    @cached_property
    def operations_per_us(self) -> float:
        """Multiplications and additions of all threads together."""
        with ThreadPoolExecutor(self.threads) as pool:
            return sum(pool.map(self._library.gru_limits_operations, [self.seconds] * self.threads)) / 1e6

    def block_us(self, calls: int) -> float:
        """The mean time of :data:`OPERATIONS` on one thread in so many measurements, of about as many each, in microseconds.

        The clock of a processor goes up and down: what is compared with its rate takes turns with this.
        """
        return sum(OPERATIONS * 1e6 / self._library.gru_limits_operations(0.0) for _ in range(calls)) / calls

    def bytes_per_us(self, size: int) -> float:
        """At which `size` bytes are read again and again, there and back, each thread reading its part."""

        def read(count: int) -> float:
            memory = torch.ones(count)
            return self._library.gru_limits_read(memory.data_ptr(), count, self.seconds)

        return self._rate(self._bandwidths, size, read)

    def training_bytes_per_us(self, size: int) -> float:
        """At which `size` bytes are read, read back and copied again and again, each thread moving its part."""

        def train(count: int) -> float:
            memory, copy = torch.ones(count), torch.empty(count)
            return self._library.gru_limits_train(memory.data_ptr(), copy.data_ptr(), count, self.seconds)

        return self._rate(self._training, size, train)

    def _rate(self, known: dict[int, float], size: int, measure: Callable[[int], float]) -> float:
        """Of all threads together, each with its part, by a function of the floats in it; measured once."""
        count = -(-size // self.threads // _STEP) * _STEP // 4
        if count not in known:
            with ThreadPoolExecutor(self.threads) as pool:
                known[count] = sum(pool.map(measure, [count] * self.threads)) / 1e6
        return known[count]

    def calls(self, case: Case) -> dict[Kind, Call]:
        """What takes turns with those that are measured on a case.

        The machine can change from one second to the next, above all the caches that others use too. Empty for several threads.
        """
        if self.threads > 1:
            return {}
        trains = case.mode.trains
        moving = {weights: self.moving(weights, trains) for weights in {0, *map(weights_of, case.workload.cells)}}
        return {LEAST: self._autograd if trains else self._new_tensor, **moving}

    def memory_us(self, weights: int, trains: bool, times: Times) -> float:
        """The time that so many weights take to be read in a step; in training to be read twice and copied once.

        The copy stands for the gradients. One thread does it between what any step from Python does besides, which takes its
        part of the caches, and reads there and back from step to step; where freed memory is kept, gradients are new tensors
        each time. Several threads each move their part in a loop, to the same memory.
        """
        if self.threads > 1:
            rate = self.training_bytes_per_us if trains else self.bytes_per_us
            return 4 * weights / rate(4 * weights)
        found = max(0.0, median(moving - still for moving, still in zip(times[weights], times[0], strict=True)))
        self._memory_us[weights, trains] = found
        return found

    def moving(self, weights: int, trains: bool) -> Call:
        """A step of one thread that computes nothing and moves so many weights."""
        sizes = weights // 2, weights - weights // 2
        memory = [(torch.ones(size), torch.empty(size)) for size in sizes]
        backwards = False

        def read() -> None:
            for weight, _ in memory[:: -1 if backwards else 1]:
                self._pass(weight.data_ptr(), None, len(weight), backwards)

        def infer() -> None:
            nonlocal backwards
            read()
            self._new_tensor()
            backwards = not backwards

        def train() -> list[torch.Tensor]:
            nonlocal backwards
            read()
            self._autograd()
            backwards = not backwards
            gradients = []
            for weight, same in memory[:: -1 if backwards else 1]:
                gradients.append(torch.empty_like(weight) if self.memory_is_kept else same)
                self._pass(weight.data_ptr(), gradients[-1].data_ptr(), len(weight), backwards)
            return gradients

        return train if trains else infer

    @cached_property
    def _new_tensor(self) -> Call:
        x = torch.zeros(1, 4)
        return lambda: torch.empty_like(x)

    @cached_property
    def _autograd(self) -> Call:
        """One operator with as many inputs as the cell has, and their gradients: torch.stack of single numbers."""
        leaves = [torch.zeros(1, requires_grad=True) for _ in range(_LEAVES)]
        grad = torch.ones(_LEAVES, 1)
        return lambda: torch.autograd.grad(torch.stack(leaves), leaves, grad)

    @cached_property
    def call_us(self) -> float:
        """The time of a call of torch that only makes a new tensor, which no step from Python can do without."""
        return self._median_us(self._new_tensor)

    @cached_property
    def autograd_us(self) -> float:
        """The time that autograd takes for one operator with as many inputs as the cell has, called from Python."""
        return self._median_us(self._autograd)

    def _median_us(self, call: Call) -> float:
        """The median over blocks of calls, as the times are that are held against it."""
        call()  # the first one may set something up
        calls, means, end = 20, [], time.perf_counter() + self.seconds
        while (start := time.perf_counter()) < end or not means:
            for _ in range(calls):
                call()
            means.append((time.perf_counter() - start) / calls * 1e6)
        return median(means)

    def measured(self) -> dict[str, Any]:
        """operations_per_us, call_us and autograd_us; the other rates, and the last memory_us, of the bytes asked for."""
        return {
            "operations_per_us": self.operations_per_us,
            "call_us": self.call_us,
            "autograd_us": self.autograd_us,
            "bytes_per_us": {4 * count * self.threads: rate for count, rate in sorted(self._bandwidths.items())},
            "training_bytes_per_us": {4 * count * self.threads: rate for count, rate in sorted(self._training.items())},
            "memory_us": {
                mode: {
                    4 * weights: us
                    for (weights, trains), us in sorted(self._memory_us.items())
                    if trains == (mode == "training")
                }
                for mode in ("inference", "training")
            },
        }

    def of_cell(self, cell: Cell, trains: bool, times: Times) -> float:
        """The least time of a step in microseconds, the mean over the cell's batch sizes.

        In training there are three products of each size instead of one.
        """
        products, weights = 3 if trains else 1, weights_of(cell)
        memory = self.memory_us(weights, trains, times)
        steps = [max(2 * products * weights * n / self.operations_per_us, memory) for n in cell.batches]
        return sum(steps) / len(steps)

    def of_case(self, case: Case, times: Times) -> float:
        """The least time of a step of all cells of a case in microseconds.

        Args:
            case: what was measured.
            times: of :meth:`calls`.
        """
        return sum(self.of_cell(cell, case.mode.trains, times) for cell in case.workload.cells)

    def overhead_of_case(self, case: Case, times: Times) -> float:
        """What comes on top of that, in microseconds: see :func:`overhead_us`."""
        call_us, autograd_us = self.call_us, self.autograd_us
        if times and case.mode is Mode.TRAINING:
            call_us, autograd_us = 0, median(times[LEAST])  # makes the tensors of its operator too
        elif times and not case.mode.trains:
            call_us = median(times[LEAST])
        return overhead_us(case.mode, len(case.workload.cells), call_us, autograd_us)
