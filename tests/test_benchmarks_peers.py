"""benchmarks/peers: every peer that can run here computes what nn.GRUCell computes, and one that does not is not timed."""

import subprocess
import sys
from pathlib import Path
from typing import Optional

import pytest
import torch
from torch import nn

# For a bare `pytest`, as in test_benchmarks.py.
ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

from benchmarks import __main__ as command  # noqa: E402
from benchmarks import accuracy, cases, native, report, runner  # noqa: E402
from benchmarks.peers import REFERENCE, Peer, all_peers  # noqa: E402
from benchmarks.runner import Options, Skipped  # noqa: E402
from benchmarks.selection import Case  # noqa: E402
from benchmarks.workloads import Cell, Mode, Workload, cell  # noqa: E402

PEERS = all_peers()
# torch.compile takes half a minute, so it is compared in the slow suite.
EVERY_PEER = [
    pytest.param(name, mode, marks=pytest.mark.slow if name.startswith("torch.compile") else (), id=f"{name}-{mode.value}")
    for name, peer in PEERS.items()
    for mode in Mode
    if peer.trains or not mode.trains
]
SHORT = Options(seconds=0.0, block=1e-5, min_rounds=2)

TINY = {
    "one cell": Workload("one cell", (cell(2, 3, 4),), 3, tuple(Mode)),
    "two cells": Workload("two cells", (cell(2, 3, 4), cell(1, 5, 2)), 3, tuple(Mode)),
    "no bias": Workload("no bias", (cell(2, 3, 4),), 3, tuple(Mode), bias=False),
    "two batch sizes": Workload("two batch sizes", (Cell((2, 5), 3, 4),), 3, tuple(Mode)),
    "one row": Workload("one row", (cell(1, 3, 4),), 3, tuple(Mode)),  # all that some peers can do
}


@pytest.mark.parametrize("workload", TINY)
@pytest.mark.parametrize(("name", "mode"), EVERY_PEER)
def test_peer_gives_the_numbers_of_the_stock_cell(name: str, workload: str, mode: Mode) -> None:
    peer, problem = PEERS[name], cases.build(Case(TINY[workload], mode), torch.float32)
    reason = peer.why_unavailable()
    reason = reason or peer.why_not(problem)
    if reason:
        pytest.skip(f"{name}: {reason}")
    # float32 against float32: a pre-activation sums at most 9 rounded products, the gates and the blend round some 10 times,
    # the backward pass as often again, over 3 steps. Were all 2 * 3 * 20 roundings of half an epsilon of one sign, that is 60
    # epsilons for either side; a wrong formula is off by more than 10,000.
    tolerance = 120 * torch.finfo(torch.float32).eps
    if peer.spacing is not None:
        # 8 bits: as the benchmarks themselves judge it. They tell it from a wrong formula: see the peer with its gates swapped.
        tolerance = 8 * peer.spacing
    peer.start_case()
    found = peer.arrange(problem, accuracy.run_call(problem, peer.build(problem)))
    stock = list(accuracy.flatten(accuracy.run_call(problem, accuracy.reference_call(problem))))
    assert accuracy.error(found, [tensor.double() for tensor in stock], peer.to_torch) <= tolerance


def test_loop_carries_the_state() -> None:
    """T steps of the loop are T calls of the cell, each on the state of the one before; in training all states are seen."""
    problem = cases.build(Case(TINY["one cell"], Mode.LOOP_TRAINING), torch.float32)
    (trial,), (module,) = problem.trials, problem.cells
    states, gradients = accuracy.run_call(problem, accuracy.reference_call(problem))
    h, loss = trial.states[0], 0.0
    for x, state in zip(trial.inputs[0], states, strict=True):
        h = module(x, h)
        loss = loss + (h * trial.grads[0]).sum()
        assert torch.equal(state, h)
    leaves = [*trial.inputs[0], *trial.states, *module.parameters()]
    for found, expected in zip(gradients, torch.autograd.grad(loss, leaves), strict=True):
        # The same operations in the same order, but for the product with 1 that a sum's backward adds.
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


class _GatesSwapped(Peer):
    """A cell with r and z exchanged, and a call that says when it was timed."""

    name = "swapped"

    def step(self, module: nn.GRUCell) -> cases.Step:
        wrong = nn.GRUCell(module.input_size, module.hidden_size)
        with torch.no_grad():
            for own, right in zip(wrong.parameters(), module.parameters(), strict=True):
                r, z, n = right.chunk(3)
                own.copy_(torch.cat([z, r, n]))
        self.calls = 0

        def step(x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return wrong(x, h)

        return step


@pytest.mark.parametrize("spacing", [None, PEERS["torch.ao-int8"].spacing])
def test_peer_with_wrong_numbers_is_not_timed(spacing: Optional[float]) -> None:
    wrong = _GatesSwapped()
    wrong.spacing = spacing
    result = runner.measure(Case(TINY["one cell"], Mode.INFERENCE), [PEERS[REFERENCE], wrong], SHORT)
    outcome = result.peers["swapped"]
    assert isinstance(outcome, Skipped) and outcome.wrong and "wrong numbers" in outcome.reason
    assert wrong.calls == 1
    assert "not timed" in report.table([result]) and "it gives wrong numbers in 1: one cell inference." in report.summary(
        [result]
    )


def test_error_of_unusable_results_is_infinite() -> None:
    expected = [torch.ones(2, 2, dtype=torch.float64)]
    assert accuracy.error(torch.ones(2, 2), expected, lambda t: t) == 0
    assert accuracy.error(torch.ones(2, 1), expected, lambda t: t) == float("inf")
    assert accuracy.error(torch.full((2, 2), float("nan")), expected, lambda t: t) == float("inf")
    assert accuracy.error(torch.full((2, 2), 1.5), expected, lambda t: t) == 0.5


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("onnxruntime", "onnx and onnxruntime"),
        ("onnxruntime-binding", "onnx and onnxruntime"),
        ("jax", "jax"),
        ("litert", "ai_edge_litert"),
        ("openvino", "openvino"),
    ],
)
def test_missing_package_is_skipped_with_its_reason(monkeypatch: pytest.MonkeyPatch, name: str, missing: str) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    runnable, skipped = command._chosen_peers(command._parser(PEERS), PEERS, name)
    assert [p.name for p in runnable] == [REFERENCE] and skipped == {name: f"not installed: {missing}"}


@pytest.mark.parametrize(
    ("complaint", "reason"),
    [
        ("/there/one_dnn.cpp:4:10: fatal error: dnnl.hpp: No such file", "dnnl.hpp: No such file"),
        ("/usr/bin/ld: cannot find -ldnnl\ncollect2: error: ld returned 1 exit status", "cannot find -ldnnl"),
    ],
)
def test_library_that_cannot_be_linked_is_skipped_with_the_reason_alone(
    complaint: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.peers import one_dnn

    def refuse(source: Path, flags: tuple[str, ...]) -> None:
        raise RuntimeError(f"g++ cannot compile it:\n{complaint}\n")

    monkeypatch.setattr(native, "why_unavailable", lambda: None)
    monkeypatch.setattr(native, "load", refuse)
    one_dnn._loaded.cache_clear()
    try:
        assert PEERS["onednn"].why_unavailable() == f"cannot be linked: {reason}"
    finally:
        one_dnn._loaded.cache_clear()


_COUNTED = """
import sys, time, torch
from benchmarks import cases
from benchmarks.peers import all_peers
from benchmarks.selection import Case
from benchmarks.workloads import Mode, Workload, cell

torch.set_num_threads(1)
workload = Workload("large", (cell(256, 256, 256),), 1, (Mode.INFERENCE,))
problem = cases.build(Case(workload, Mode.INFERENCE), torch.float32)
for name, peer in all_peers().items():
    if peer.why_unavailable() or peer.why_not(problem) or name.startswith("torch.compile"):
        continue
    with torch.inference_mode():
        call = peer.build(problem)
        call()
        wall, busy = time.perf_counter(), time.process_time()
        while time.perf_counter() < wall + 0.1:
            call()
        print(name, (time.process_time() - busy) / (time.perf_counter() - wall))
"""


def test_every_peer_keeps_to_one_thread() -> None:
    """One thread gets one second of processor time a second at the most, less on a busy machine; two of them get more."""
    run = subprocess.run([sys.executable, "-c", _COUNTED], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    threads = dict(line.rsplit(" ", 1) for line in run.stdout.splitlines())
    assert REFERENCE in threads and "gru_ext.GRUCell" in threads
    # Between them: what starts and ends around the calls, such as a thread that waits for work.
    assert {name: count for name, count in threads.items() if float(count) > 1.3} == {}


def test_inference_only_peer_is_skipped_in_training() -> None:
    peers = [PEERS[REFERENCE], PEERS["jit.freeze"]]
    result = runner.measure(Case(TINY["one cell"], Mode.TRAINING), peers, SHORT)
    assert result.peers["jit.freeze"] == Skipped("inference only")
