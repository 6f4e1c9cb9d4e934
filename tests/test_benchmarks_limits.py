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

    def __init__(self) -> None:
        self.asked: list[int] = []

    def bytes_per_us(self, size: int) -> float:
        self.asked.append(size)
        return 100.0


def test_few_rows_are_limited_by_reading_the_weights_and_many_by_arithmetic() -> None:
    given, weights = Given(), 3 * 20 * (10 + 20)
    assert given.of_cell(Cell((1,), 10, 20), trains=False) == 4 * weights / 100
    assert given.of_cell(Cell((500,), 10, 20), trains=False) == 2 * weights * 500 / 1000
    assert given.asked == [4 * weights] * 2


def test_training_does_everything_three_times_and_batch_sizes_are_averaged() -> None:
    given, weights = Given(), 3 * 20 * (10 + 20)
    assert given.of_cell(Cell((500,), 10, 20), trains=True) == 3 * 2 * weights * 500 / 1000
    assert given.of_cell(Cell((1,), 10, 20), trains=True) == 3 * 4 * weights / 100
    assert given.asked == [2 * 4 * weights] * 2  # the weights and their gradients
    assert given.of_cell(Cell((500, 700), 10, 20), trains=False) == 2 * weights * 600 / 1000
    workload = Workload("model", (Cell((500,), 10, 20), Cell((500,), 10, 20)), 1, (Mode.TRAINING,))
    assert given.of_case(Case(workload, Mode.TRAINING)) == 2 * given.of_cell(workload.cells[0], trains=True)


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2])
def test_rates_are_measured(threads: int) -> None:
    measured = Limits(threads, seconds=0.002)
    # A megaflop and a megabyte per second: any processor that runs this does more.
    assert measured.operations_per_us > 1 and measured.bytes_per_us(1 << 20) > 1
    # And calls a module, and an operator and its gradients, in less than a second, in more than it takes to add two numbers.
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
    assert measured.bytes_per_us(300_000) == measured.bytes_per_us(310_000)
    measured.bytes_per_us(1)
    assert list(measured.measured()["bytes_per_us"]) == [16 << 10, 19 * (16 << 10)]


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
