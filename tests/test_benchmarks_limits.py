"""What the processor allows: the rule, and that its rates are measured. No test depends on how fast anything is."""

import os
import shutil
import sys
from pathlib import Path
from typing import Optional

import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks import limits, native  # noqa: E402
from benchmarks.limits import Limits  # noqa: E402
from benchmarks.selection import Case  # noqa: E402
from benchmarks.workloads import Cell, Mode, Workload  # noqa: E402

needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="the rates are measured by a small C++ program"
)


class Given(Limits):
    """Rates that a test gives."""

    operations_per_us = 1000.0

    def __init__(self, threads: int = 1) -> None:
        self.threads, self.asked = threads, []
        self._memory_us = {}

    def memory_us(self, weights: int, trains: bool) -> float:
        return super().memory_us(weights, trains) if self.threads > 1 else 4 * weights * (5 if trains else 1) / 100

    def bytes_per_us(self, size: int) -> float:
        self.asked.append((size, False))
        return 100.0

    def training_bytes_per_us(self, size: int) -> float:
        self.asked.append((size, True))
        return 40.0


def test_few_rows_are_limited_by_moving_the_weights_and_many_by_arithmetic() -> None:
    given, weights = Given(), 3 * 20 * (10 + 20)
    assert given.of_cell(Cell((1,), 10, 20), trains=False) == 4 * weights / 100
    assert given.of_cell(Cell((500,), 10, 20), trains=False) == 2 * weights * 500 / 1000
    assert given.of_cell(Cell((1,), 10, 20), trains=True) == 5 * 4 * weights / 100


def test_training_computes_everything_three_times_and_batch_sizes_are_averaged() -> None:
    given, weights = Given(), 3 * 20 * (10 + 20)
    assert given.of_cell(Cell((500,), 10, 20), trains=True) == 3 * 2 * weights * 500 / 1000
    assert given.of_cell(Cell((500, 700), 10, 20), trains=False) == 2 * weights * 600 / 1000
    workload = Workload("model", (Cell((500,), 10, 20), Cell((500,), 10, 20)), 1, (Mode.TRAINING,))
    assert given.of_case(Case(workload, Mode.TRAINING)) == 2 * given.of_cell(workload.cells[0], trains=True)


def test_threads_read_the_weights_at_the_rate_of_a_loop_in_training_with_their_gradients() -> None:
    given, weights = Given(threads=2), 3 * 20 * (10 + 20)
    assert given.of_cell(Cell((1,), 10, 20), trains=False) == 4 * weights / 100
    assert given.of_cell(Cell((1,), 10, 20), trains=True) == 4 * weights / 40
    assert given.asked == [(4 * weights, False), (4 * weights, True)]


@needs_compiler
def test_memory_is_moved_from_end_to_end_and_measured_once() -> None:
    measured = Limits(1, seconds=0.001)
    memory, copy = torch.arange(1000.0), torch.zeros(1000)
    for from_end in (0, 1):
        measured._pass(memory.data_ptr(), copy.data_ptr(), 1000, from_end)
        whole = int(copy.count_nonzero()) + 1  # what is less than a step of the loop is left out
        assert 800 < whole <= 1000 and torch.equal(copy[:whole], memory[:whole])
        copy.zero_()
    # To move four megabytes, from wherever they are, takes more than a microsecond.
    for trains in (False, True):
        assert 1 < measured.memory_us(1 << 20, trains) < 1e6
    assert measured.memory_us(1 << 20, False) is measured.memory_us(1 << 20, False)
    assert list(measured.measured()["memory_us"]["training"]) == [4 << 20]


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2])
def test_rates_are_measured(threads: int) -> None:
    measured = Limits(threads, seconds=0.002)
    # A megaflop and a megabyte per second: any processor that runs this does more.
    assert measured.operations_per_us > 1 and measured.bytes_per_us(1 << 20) > 1 < measured.training_bytes_per_us(1 << 20)
    assert 0 < measured.block_us(calls=2) < 1e7
    # And makes a tensor, or the gradients of an operator, in less than a second, in more than it takes to add two numbers.
    assert 0.01 < measured.call_us < 1e6
    assert 0.01 < measured.autograd_us < 1e6


@needs_compiler
@pytest.mark.parametrize(("machine", "flag"), [("x86_64", "-march=x86-64"), ("aarch64", None)])
def test_a_level_has_limits_of_its_own(machine: str, flag: Optional[str], monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    load = native.load
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(native, "load", lambda source, flags: given.append(flags) or load(source))
    Limits(1, level="default")
    assert [word for word in given[0] if "-march" in word] == ([flag] if flag else [])


@needs_compiler
def test_sizes_are_rounded_up_to_16_kib_and_measured_once() -> None:
    measured = Limits(1, seconds=0.001)
    for kind in ("bytes_per_us", "training_bytes_per_us"):
        rate = getattr(measured, kind)
        assert rate(300_000) == rate(310_000)
        rate(1)
        assert list(measured.measured()[kind]) == [16 << 10, 19 * (16 << 10)]


def test_says_why_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "float32" in limits.why_unavailable(torch.bfloat16)
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "no-such-compiler" in limits.why_unavailable(torch.float32)


@needs_compiler
def test_what_does_not_compile_says_so(tmp_path: Path) -> None:
    source = tmp_path / "wrong.cpp"
    source.write_text("int main() { return nothing; }")
    with pytest.raises(RuntimeError, match=r"cannot compile wrong\.cpp:(.|\n)*nothing"):
        native.load(source)
