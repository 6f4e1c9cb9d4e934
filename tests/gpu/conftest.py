"""What a CUDA device computes. Without one every test here is skipped; FAIL_WITHOUT_CUDA=1 makes that a failure.

GPU_TESTS_DEVICE=cpu runs the same tests on the CPU, but for those marked cuda_only: so that a test is not run for the first
time where every minute counts.
"""

import os
from pathlib import Path

import pytest
import torch

_WITHOUT_CUDA = "needs a CUDA device"
DEVICE = torch.device(os.environ.get("GPU_TESTS_DEVICE", "cuda"))

# cuBLAS is deterministic only with a workspace of fixed size, and torch refuses deterministic mode without one. Read when the
# first handle is made, so it has to be set before any test.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cuda_only: means nothing on another device")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before the hook that skips what needs the compiled ops: all of these do."""
    without = DEVICE.type == "cuda" and not torch.cuda.is_available()
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.compiled)
        if without and os.environ.get("FAIL_WITHOUT_CUDA") != "1":
            item.add_marker(pytest.mark.skip(reason=_WITHOUT_CUDA))
        if DEVICE.type != "cuda" and item.get_closest_marker("cuda_only"):
            item.add_marker(pytest.mark.skip(reason=f"means nothing on {DEVICE}"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Says why `make test` begins with a screen of skipped tests."""
    skipped = sum(
        any(mark.kwargs.get("reason") == _WITHOUT_CUDA for mark in item.iter_markers("skip")) for item in session.items
    )
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if skipped and reporter:
        reporter.write_line(f"{skipped} tests of what a GPU computes are skipped (s), because torch finds no CUDA device")


@pytest.fixture(autouse=True)
def device() -> torch.device:
    """Where the test runs."""
    if DEVICE.type == "cuda" and not torch.cuda.is_available():
        pytest.fail(_WITHOUT_CUDA)
    return DEVICE
