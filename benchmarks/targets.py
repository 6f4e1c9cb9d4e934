"""What is aimed at, as data, and whether stored results reach it.

A target that the machine forbids is told apart from one that is merely missed: where even a step at the limit, the longer of
its arithmetic and its moving of the weights, would not be quick enough, no kernel can reach it on that machine. The time that
any call takes that makes a tensor is added to that, and in training what torch's autograd takes for any operator.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Optional, TypeVar

from .products import Products
from .runner import Measured, Result
from .stored import PEERS, Run
from .threads import THREADS, Speedups
from .workloads import Mode

#: Where the ratios below come from: 85 to 95 % of that machine's limits against the times that nn.GRUCell took on it.
MACHINE = "two cores of an AMD Zen 4 with AVX-512 (118 GFLOP/s a core, 103 to 117 GB/s from its second cache), torch 2.13"

#: (N, I, H): nn.GRUCell's time over ours, at the least, in inference and in training; float32, one thread.
RATIOS = {
    (1, 3, 4): (5, 3),
    (1, 64, 64): (4.5, 2.7),
    (1, 128, 128): (4, 2.7),
    (1, 272, 160): (3.3, 2.7),
    (1, 256, 256): (3, 2),
    (1, 512, 512): (2, 2),
    (1, 1024, 1024): (2.3, 1.7),
    (8, 128, 128): (2.5, 2.7),
    (8, 256, 256): (2.2, 2.2),
    (32, 138, 64): (2, 2.5),
    (32, 256, 256): (1.55, 1.8),
    (50, 200, 200): (1.6, 1.9),
    (64, 512, 512): (1.5, 1.6),
    (256, 512, 512): (1.35, 1.35),
    (1000, 200, 200): (1.5, 1.6),
    (1024, 128, 128): (1.55, 1.65),
    (3200, 200, 200): (1.5, 1.55),
    (4096, 64, 64): (1.9, 2),
    (6624, 32, 32): (2, 2),
    (200, 472, 100): (1.5, 1.6),
}

MET, MISSED, OUT_OF_REACH = "met", "MISSED", "out of reach here"
#: Missed, but no step by torch's own matrix products could meet it either.
BEYOND_PRODUCTS = "MISSED, beyond torch's products"

Size = tuple[int, int, int]


@dataclass(frozen=True)
class Verdict:
    """One target in one case.

    Where known: `most` is what a step at the machine's limit would reach, and `by_products` one that takes no longer than torch
    takes for its matrix products.
    """

    case: str
    wanted: float
    reached: float
    most: Optional[float] = None
    by_products: Optional[float] = None

    @property
    def word(self) -> str:
        if self.reached >= self.wanted:
            return MET
        if self.most is not None and self.most < self.wanted:
            return OUT_OF_REACH
        return BEYOND_PRODUCTS if self.by_products is not None and self.by_products < self.wanted else MISSED


From = TypeVar("From")


@dataclass(frozen=True)
class Rule(Generic[From]):
    """A target for many cases: `verdicts` finds them in what was measured on one machine."""

    about: str
    verdicts: Callable[[From], Iterable[Verdict]]


def size_of(result: Result) -> Optional[Size]:
    """N, I, H of a case with one cell of one batch size."""
    cells = result.case.workload.cells
    if len(cells) > 1 or len(cells[0].batches) > 1:
        return None
    return cells[0].batches[0], cells[0].input_size, cells[0].hidden_size


def ratios(run: Run, mode: Mode) -> list[Verdict]:
    """The table of ratios against one run: single steps, forward alone or with the backward pass."""
    column = int(mode.trains)
    found = []
    for result, reference, ours in run.measured(mode):
        targets = RATIOS.get(size_of(result))
        if targets is not None and result.case.workload.name.startswith("grid"):
            most, by_products = (_ratio_of(least, result, reference) for least in (result.limit, result.products))
            found.append(Verdict(result.case.workload.name, targets[column], ours.ratio.median, most, by_products))
    return found


def _ratio_of(least: Optional[float], result: Result, other: Measured) -> Optional[float]:
    """How many times as fast as another a step would be that takes so many microseconds besides what any takes."""
    if least is None or result.overhead is None:
        return None
    return other.microseconds.median / (least + result.overhead)


def _most(result: Result, other: Measured) -> Optional[float]:
    """How many times as fast as another a step at the limit would be."""
    return _ratio_of(result.limit, result, other)


def _name(run: Run, result: Result) -> str:
    return f"{result.case.name}{run.memory_suffix}"


def plain(runs: Iterable[Run]) -> list[Run]:
    """float32, one thread, no level: what most targets are about."""
    return [run for run in runs if run.dtype == "float32" and run.threads == 1 and not run.level]


def _single_steps(runs: Sequence[Run], modes: Sequence[Mode]) -> Iterable[tuple[Run, Result, Measured, Size]]:
    for run in plain(runs):
        for mode in modes:
            for result, _, ours in run.measured(mode):
                size = size_of(result)
                if size is not None:
                    yield run, result, ours, size


def _against(
    modes: Sequence[Mode], least: float, chosen: Callable[[str], bool], applies: Callable[[Size], bool] = lambda size: True
) -> Callable[[Sequence[Run]], list[Verdict]]:
    """The time of the best of some peers over ours."""

    def verdicts(runs: Sequence[Run]) -> list[Verdict]:
        found = []
        for run, result, ours, size in _single_steps(runs, modes):
            rivals = {name: peer for name, peer in run.rivals(result).items() if chosen(name)}
            if rivals and applies(size):
                best = max(rivals, key=lambda name: rivals[name].ratio.median)
                ratio, most = ours.ratio.median / rivals[best].ratio.median, _most(result, rivals[best])
                found.append(Verdict(f"{_name(run, result)} ({best})", least, ratio, most))
        return found

    return verdicts


def _at_level(level: str) -> Callable[[Sequence[Run]], list[Verdict]]:
    def verdicts(runs: Sequence[Run]) -> list[Verdict]:
        cases = ((run, case) for run in runs if run.level == level for mode in Mode for case in run.measured(mode))
        # The upper quartile: slower beyond the spread is what must not be.
        return [
            Verdict(_name(run, result), 1, ours.ratio.q3, _most(result, reference)) for run, (result, reference, ours) in cases
        ]

    return verdicts


_STEPS = (Mode.INFERENCE, Mode.TRAINING)


def _packs(name: str) -> bool:
    return PEERS[name].packs


def _of_pass(name: str, least: float) -> Callable[[Products], list[Verdict]]:
    """Products take no longer than the pass that they are in, so they have its share at the least.

    What a larger input adds, from which their share is found, may have less: it can leave the cache that the rest fits into.
    """
    return lambda found: [
        Verdict(size, least, max(passes[name].products.median, passes[name].whole.median))
        for size, passes in found.passes.items()
    ]


def _of_reading(least: float) -> Callable[[Products], list[Verdict]]:
    return lambda found: [Verdict(size, least, share.median) for size, share in found.reading.items()]


#: Of one run of the products.
SHARE_RULES: tuple[Rule[Products], ...] = (
    Rule("products of the forward pass, N >= 64, H >= 128: share of the arithmetic", _of_pass("forward", 0.85)),
    Rule("products of the backward pass, N >= 64, H >= 128: share of the arithmetic", _of_pass("backward", 0.8)),
    Rule("one row, H >= 256: share of the rate at which its weights can be read", _of_reading(0.85)),
)


def _second_thread(least: float, one_row: bool) -> Callable[[Speedups], list[Verdict]]:
    def verdicts(found: Speedups) -> list[Verdict]:
        return [
            Verdict(f"{name}{found.memory_suffix}", least, ratio.median, found.most.get(name))
            for name, ratio in found.cases.items()
            if name.startswith("grid 1x") == one_row
        ]

    return verdicts


#: Of one run with a second thread and without it.
THREAD_RULES: tuple[Rule[Speedups], ...] = (
    Rule(f"{THREADS} threads against one, N * H >= 64 * 256", _second_thread(1.8, one_row=False)),
    Rule(f"{THREADS} threads against one, N = 1, H >= 512", _second_thread(1.6, one_row=True)),
)

#: Of all runs of the cells.
RULES: tuple[Rule[Sequence[Run]], ...] = (
    Rule("ahead of the best that leaves weights as they are", _against(_STEPS, 1, lambda name: not _packs(name))),
    Rule("level with the best that packs weights beforehand", _against(_STEPS[:1], 0.95, _packs)),
    Rule(
        "training ahead of JAX, N * H >= 2000",
        _against(_STEPS[1:], 1, lambda name: name == "jax", lambda size: size[0] * size[2] >= 2000),
    ),
    Rule("level avx2 for both: not slower beyond the spread", _at_level("avx2")),
    Rule("level default for both: not slower beyond the spread", _at_level("default")),
)
