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
from benchmarks.limits import LEAST, Limits  # noqa: E402
from benchmarks.selection import Case  # noqa: E402
from benchmarks.workloads import Cell, Mode, Workload  # noqa: E402

needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="the rates are measured by a small C++ program"
)


class Given(Limits):
    """Rates that a test gives."""

    operations_per_us = 1000.0
    call_us = 3.0
    autograd_us = 50.0

    def __init__(self, threads: int = 1) -> None:
        self.threads, self.asked = threads, []
        self._memory_us = {}

    def bytes_per_us(self, size: int) -> float:
        self.asked.append((size, False))
        return 100.0

    def training_bytes_per_us(self, size: int) -> float:
        self.asked.append((size, True))
        return 40.0


WEIGHTS = 3 * 20 * (10 + 20)
# In two of three rounds moving takes 9 us longer than not moving.
TIMES = {0: [5.0, 5.0, 25.0], WEIGHTS: [14.0, 14.0, 26.0], LEAST: [4.0, 2.0, 9.0]}


def _case(mode: Mode, cells: int = 1) -> Case:
    return Case(Workload("model", (Cell((1,), 10, 20),) * cells, 1, (mode,)), mode)


def test_few_rows_are_limited_by_moving_the_weights_and_many_by_arithmetic() -> None:
    given = Given()
    assert given.of_cell(Cell((1,), 10, 20), False, TIMES) == 9
    assert given.of_cell(Cell((500,), 10, 20), False, TIMES) == 2 * WEIGHTS * 500 / 1000
    assert given.of_cell(Cell((1,), 10, 20), True, TIMES | {WEIGHTS: [55.0, 55.0, 55.0]}) == 50


def test_what_takes_no_longer_than_not_moving_takes_no_time() -> None:
    assert Given().memory_us(WEIGHTS, False, {0: [5.0], WEIGHTS: [4.0]}) == 0


def test_training_computes_everything_three_times_and_batch_sizes_are_averaged() -> None:
    given = Given()
    assert given.of_cell(Cell((500,), 10, 20), True, TIMES) == 3 * 2 * WEIGHTS * 500 / 1000
    assert given.of_cell(Cell((500, 700), 10, 20), False, TIMES) == 2 * WEIGHTS * 600 / 1000
    assert given.of_case(_case(Mode.TRAINING, cells=2), TIMES) == 2 * given.of_cell(Cell((1,), 10, 20), True, TIMES)


def test_steps_take_a_call_for_each_cell_and_autograd_once() -> None:
    """In turn with the peers where that is measured: a call in inference, in training both together."""
    expected = {Mode.INFERENCE: 2 * 4, Mode.LOOP_INFERENCE: 2 * 4, Mode.TRAINING: 4, Mode.LOOP_TRAINING: 2 * 3}
    assert {mode: Given().overhead_of_case(_case(mode, cells=2), TIMES) for mode in Mode} == expected
    expected = {Mode.INFERENCE: 6, Mode.LOOP_INFERENCE: 6, Mode.TRAINING: 56, Mode.LOOP_TRAINING: 6}
    assert {mode: Given(threads=2).overhead_of_case(_case(mode, cells=2), {}) for mode in Mode} == expected


def test_threads_read_the_weights_at_the_rate_of_a_loop_in_training_with_their_gradients() -> None:
    given = Given(threads=2)
    assert given.calls(_case(Mode.TRAINING)) == {}
    assert given.of_cell(Cell((1,), 10, 20), False, {}) == 4 * WEIGHTS / 100
    assert given.of_cell(Cell((1,), 10, 20), True, {}) == 4 * WEIGHTS / 40
    assert given.asked == [(4 * WEIGHTS, False), (4 * WEIGHTS, True)]


@needs_compiler
def test_memory_is_moved_from_end_to_end() -> None:
    measured = Limits(1, seconds=0.001)
    memory, copy = torch.arange(1000.0), torch.zeros(1000)
    for from_end in (0, 1):
        measured._pass(memory.data_ptr(), copy.data_ptr(), 1000, from_end)
        whole = int(copy.count_nonzero()) + 1  # what is less than a step of the loop is left out
        assert 800 < whole <= 1000 and torch.equal(copy[:whole], memory[:whole])
        copy.zero_()


@needs_compiler
@pytest.mark.parametrize("kept", [False, True])
def test_what_takes_turns_with_the_peers_moves_the_weights_of_each_cell(kept: bool) -> None:
    measured = Limits(1, seconds=0.001, memory_is_kept=kept)
    calls = measured.calls(_case(Mode.TRAINING, cells=2))
    assert calls.keys() == {LEAST, 0, WEIGHTS} and len(calls[LEAST]()) == 6  # gradients of an operator
    calls[0]()
    gradients = [calls[WEIGHTS]() for _ in range(2)]  # there and back
    assert [sum(map(len, both)) for both in gradients] == [WEIGHTS, WEIGHTS]
    for copy in (copy for both in gradients for copy in both):
        assert copy[: len(copy) * 3 // 4].eq(1).all()  # what is less than a step of the loop is left out
    inference = measured.calls(_case(Mode.INFERENCE))
    assert inference.keys() == {LEAST, 0, WEIGHTS} and inference[WEIGHTS]() is None
    assert isinstance(inference[LEAST](), torch.Tensor)
    measured.memory_us(WEIGHTS, True, TIMES)
    assert measured.measured()["memory_us"] == {"inference": {}, "training": {4 * WEIGHTS: 9.0}}


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
