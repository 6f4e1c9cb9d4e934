"""benchmarks/: statistics, workloads, and what the command reads and writes. No test depends on how fast anything is."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
# `python -m pytest` finds the folder `benchmarks` by itself, a bare `pytest` does not. At the end of the path it cannot put the
# sources of gru_ext before an installed one.
sys.path.append(str(ROOT))

from benchmarks import __main__ as command  # noqa: E402
from benchmarks import bare_products, cases, machine, report, runner  # noqa: E402
from benchmarks.grid import GRID  # noqa: E402
from benchmarks.peers import REFERENCE, all_peers  # noqa: E402
from benchmarks.runner import Measured, Options, Quartiles, Result, Skipped  # noqa: E402
from benchmarks.selection import Case, select  # noqa: E402
from benchmarks.workloads import WORKLOADS, Cell, Mode, Workload, cell  # noqa: E402

ALL = GRID + WORKLOADS


class Clock:
    """Time that passes only where a test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, seconds: Callable[[], float]) -> Callable[[], None]:
        def call() -> None:
            self.log.append(name)
            self.now += seconds()

        return call


# Statistics


def test_quartiles_interpolate() -> None:
    assert runner.quartiles([5, 1, 3, 2, 4]) == Quartiles(2, 3, 4)
    assert runner.quartiles([1, 2]) == Quartiles(1.25, 1.5, 1.75)


def test_ratios_are_taken_within_rounds() -> None:
    """A machine that gets 8 times slower from round to round spreads the times, not the ratios."""
    reference = [2.0, 4.0, 8.0, 16.0]
    assert runner.ratios(reference, [1.0, 2.0, 4.0, 8.0]) == Quartiles(2, 2, 2)
    assert runner.ratios(reference, [2.0, 2.0, 2.0, 2.0]) == Quartiles(1.75, 3, 5)


@pytest.mark.parametrize(("ratio", "slower"), [((0.8, 0.9, 0.99), True), ((0.8, 0.9, 1.0), False), ((1.1, 1.2, 1.3), False)])
def test_slower_means_beyond_the_spread(ratio: tuple[float, float, float], slower: bool) -> None:
    assert Measured(Quartiles(1, 1, 1), Quartiles(*ratio), 5, 1, 0.0).slower is slower


@pytest.mark.parametrize(("one_call", "expected"), [(0.001, 15), (0.004, 4), (1.0, 1)])
def test_blocks_are_sized_in_calls(one_call: float, expected: int) -> None:
    clock = Clock()
    assert runner.calls_per_block(clock.work("call", lambda: one_call), 0.015, clock) == expected


def test_block_size_ignores_a_slow_first_call() -> None:
    clock = Clock()
    call = clock.work("call", lambda: 5.0 if len(clock.log) == 1 else 0.001)
    assert runner.calls_per_block(call, 0.015, clock) == 15


def test_rounds_are_interleaved_and_end_in_time() -> None:
    clock = Clock()
    calls = {"a": clock.work("a", lambda: 0.1), "b": clock.work("b", lambda: 0.2)}
    times = runner.interleave(calls, {"a": 2, "b": 1}, Options(seconds=1.0, min_rounds=1), clock)
    assert clock.log == ["a", "a", "b"] * 3, "a round takes 0.4 s: the third one passes 1 s"
    assert times["a"] == pytest.approx([0.1] * 3) and times["b"] == pytest.approx([0.2] * 3)


def test_no_less_than_the_least_number_of_rounds() -> None:
    clock = Clock()
    times = runner.interleave({"a": clock.work("a", lambda: 9.0)}, {"a": 1}, Options(seconds=1.0, min_rounds=4), clock)
    assert len(times["a"]) == 4


# Workloads


def test_case_names_are_unique() -> None:
    names = [case.name for case in select(ALL, list(Mode))]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "name", ["W1", "W2", "W3", "W4", "W5", "W6", "W8", "W9", "W12", "W13", "W14", "W17", "W18", "W19", "W21"]
)
def test_workload_is_there_and_in_its_default_mode(name: str) -> None:
    found = select(WORKLOADS, only=rf"^{name}\b")
    assert found and all(case.mode.loops for case in found)


@pytest.mark.parametrize("case", select(ALL), ids=lambda case: case.name)
def test_workload_builds(case: Case) -> None:
    problem = cases.build(case, torch.float32)
    for at, trial in enumerate(problem.trials):
        for module, sizes, inputs, state, grad in zip(
            problem.cells, case.workload.cells, trial.inputs, trial.states, trial.grads, strict=True
        ):
            n, i, h = sizes.batches[at], sizes.input_size, sizes.hidden_size
            assert (module.input_size, module.hidden_size, module.bias) == (i, h, case.workload.bias)
            assert len(inputs) == (case.steps if case.mode.trains else 1)
            assert {x.shape for x in inputs} == {(n, i)} and state.shape == grad.shape == (n, h)
            assert all(x.requires_grad == case.mode.trains for x in (*inputs, state)) and not grad.requires_grad


def test_selection() -> None:
    assert {case.mode for case in select(ALL, [Mode.TRAINING])} == {Mode.TRAINING}
    assert [case.name for case in select(ALL, only="^grid 1x3x4")] == ["grid 1x3x4 inference", "grid 1x3x4 training"]


# The products alone


@pytest.mark.parametrize(("mode", "times"), [(Mode.INFERENCE, 1), (Mode.TRAINING, 3)])
def test_products_alone_are_those_of_a_step(mode: Mode, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    multiplied = []

    def record(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        multiplied.append(a.shape[0] * a.shape[1] * b.shape[1])
        return mm(a, b, out=out)

    mm = torch.mm
    monkeypatch.setattr(torch, "mm", record)
    problem = cases.build(Case(Workload("model", (Cell((40, 50), 10, 20),), 1, (mode,)), mode), torch.float32)
    call = bare_products.call(problem)
    assert call is not None and multiplied == []
    call()
    assert sum(multiplied) == times * (40 + 50) * 3 * 20 * (10 + 20)


def test_products_alone_are_left_out_where_they_are_not_what_takes_time() -> None:
    for rows, mode in ((31, Mode.INFERENCE), (40, Mode.LOOP_TRAINING)):
        workload = Workload("model", (cell(rows, 10, 20),), 2, (mode,))
        assert bare_products.call(cases.build(Case(workload, mode), torch.float32)) is None


@pytest.mark.parametrize(("rows", "known"), [(31, False), (32, True)])
def test_products_alone_take_turns_with_the_peers(rows: int, known: bool) -> None:
    case = Case(Workload("model", (cell(rows, 3, 4),), 1, (Mode.TRAINING,)), Mode.TRAINING)
    options = Options(seconds=0.0, block=1e-4, min_rounds=3)
    result = runner.measure(case, [all_peers()[REFERENCE]], options)
    assert (result.products is not None) == known and (not known or result.products > 0)


def test_products_alone_are_those_of_one_step_like_the_peers_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call takes all batch sizes in turn; here a second, whatever it does."""
    monkeypatch.setattr(runner, "interleave", lambda calls, *_: dict.fromkeys(calls, [1.0]))
    workload = Workload("model", (Cell((40, 50), 3, 4),), 1, (Mode.TRAINING,))
    options = Options(seconds=0.0, block=1e-4)
    result = runner.measure(Case(workload, Mode.TRAINING), [all_peers()[REFERENCE]], options)
    assert result.products == result.peers[REFERENCE].microseconds.median == 1e6 / 2


def test_workloads_with_uneven_batches_are_refused() -> None:
    with pytest.raises(ValueError, match="same number of batch sizes"):
        Workload("uneven", (cell(1, 2, 3), Cell((1, 2), 2, 3)), 1, (Mode.INFERENCE,))


# The command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--peers", "nobody"], "no peer is called nobody"),
        (["--only", "no such case"], "no case is left"),
        (["--only", "("], "not a regular expression"),
        (["--seconds", "0"], "not above zero"),
        (["--json", "no-such-folder/out.json"], "there is no folder"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        command.main(arguments)
    assert exit.value.code == 2 and message in capsys.readouterr().err


def _result(ratio: tuple[float, float, float]) -> Result:
    reference = Measured(Quartiles(119, 120, 121), Quartiles(1, 1, 1), 5, 100, 0.0)
    peer = Measured(Quartiles(9.87, 9.876, 10), Quartiles(*ratio), 5, 100, 0.0)
    workload = Workload("model", (Cell((20, 7), 3, 4), Cell((20, 7), 5, 4)), 1, (Mode.INFERENCE,))
    return Result(Case(workload, Mode.INFERENCE), {REFERENCE: reference, "peer": peer, "other": Skipped("inference only")}, 3.0)


def test_table() -> None:
    rows = [
        [text.strip() for text in line.strip("|").split("|")] for line in report.table([_result((1.5, 2.0, 2.5))]).splitlines()
    ]
    assert rows[0] == ["case", "N", "I", "H", "peer", "us per step", "nn.GRUCell / peer", "share of limit"]
    assert rows[2:] == [
        ["model inference", "7..20", "3+5", "4", REFERENCE, "120 (119 to 121)", "1", "2%"],
        ["model inference", "7..20", "3+5", "4", "peer", "9.88 (9.87 to 10)", "2.00 (1.50 to 2.50)", "30%"],
    ]


def test_summary_lists_the_slower_cases() -> None:
    text = report.summary([_result((0.5, 0.6, 0.7))]).splitlines()[0]
    assert text == "peer is slower than nn.GRUCell beyond the spread in 1 of 1 cases: model inference (0.6)."
    text = report.summary([_result((0.5, 0.6, 1.7))]).splitlines()[0]
    assert text == "peer is slower than nn.GRUCell beyond the spread in 0 of 1 cases."


@pytest.mark.parametrize(("load", "busy"), [(0.2, False), (1.4, False), (1.7, True)])
def test_header_says_when_the_machine_is_busy(load: float, busy: bool) -> None:
    about = {**machine.describe(), "load_average": load, "cpus": 2, "threads": 1}
    assert ("BUSY" in report.header(about, Options(), [], {})) is busy


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict]:
    """What a quick run of one case prints and writes."""
    target = tmp_path_factory.mktemp("benchmarks") / "out.json"
    arguments = ["--quick", "--only", "^grid 1x3x4 inference$", "--peers", "nn.GRUCell,gru_ext.GRUCell", "--json", str(target)]
    run = subprocess.run([sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout, json.loads(target.read_text())


def test_json_of_a_quick_run(quick_run: tuple[str, dict]) -> None:
    _, written = quick_run
    assert written.keys() == {"format", "machine", "options", "reference", "peers", "skipped", "limits", "results"}
    assert written["format"] == report.FORMAT and written["reference"] == REFERENCE and written["skipped"] == {}
    assert written["machine"]["cpu"] and written["machine"]["torch"] == torch.__version__ and written["machine"]["threads"] == 1
    assert (written["machine"]["gru_ext_level"] is None) != (written["machine"]["gru_ext_fallback"] is None)
    assert written["options"]["dtype"] == "float32"
    (result,) = written["results"]
    sizes = {"batches": [1], "input_size": 3, "hidden_size": 4}
    assert {key: result[key] for key in ("name", "workload", "mode", "steps", "bias", "cells")} == {
        "name": "grid 1x3x4 inference",
        "workload": "grid 1x3x4",
        "mode": "inference",
        "steps": 1,
        "bias": True,
        "cells": [sizes],
    }
    assert list(result["peers"]) == ["nn.GRUCell", "gru_ext.GRUCell"] == list(written["peers"])
    for peer in result["peers"].values():
        assert peer.keys() == {"microseconds", "ratio", "rounds", "calls_per_block", "error"}
        for value in (peer["microseconds"], peer["ratio"]):
            assert 0 < value["q1"] <= value["median"] <= value["q3"]
        assert peer["rounds"] >= 3 and peer["calls_per_block"] >= 1 and 0 <= peer["error"] < 1
    known = written["limits"] is not None
    assert [known and result[name] > 0 for name in ("limit_us", "overhead_us")] == [known, known]
    assert result["peers"][REFERENCE]["ratio"] == {"q1": 1, "median": 1, "q3": 1}


def test_output_of_a_quick_run(quick_run: tuple[str, dict]) -> None:
    printed, written = quick_run
    assert written["machine"]["cpu"] in printed and f"torch {torch.__version__}" in printed
    assert f"level {written['machine']['gru_ext_level']}" in printed or "NOT compiled" in printed
    table = [line for line in printed.splitlines() if line.startswith("|")]
    assert len(table) == 4 and len({line.count("|") for line in table}) == 1
    assert "gru_ext.GRUCell is slower than nn.GRUCell beyond the spread in" in printed.splitlines()[-1]
