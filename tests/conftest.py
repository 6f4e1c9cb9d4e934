"""Says what is under test, and refuses to run against anything else than what was asked for."""

import os
from collections import Counter

import pytest
import torch
from stream_build import StreamBuild

import gru_ext._library as library

_FALLBACK = library.reason is not None
_FALLBACK_ASKED_FOR = os.environ.get("GRU_EXT_NO_EXT") == "1"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "compiled: a property of the compiled ops, which torch's own cell does not have")
    if _FALLBACK:
        config.addinivalue_line("filterwarnings", "ignore:gru_ext runs on torch's own GRU cell:RuntimeWarning")


def pytest_report_header() -> list[str]:
    if _FALLBACK:
        under_test = f"torch's own GRU cell ({library.reason}); tests of the compiled ops are skipped"
    else:
        levels = ", ".join(torch.ops.gru_ext._cpu_levels())
        under_test = f"compiled ops, CPU level {torch.ops.gru_ext._cpu_level()} (built in and runnable here: {levels})"
    return [f"gru_ext: {under_test}", f"torch: {torch.__version__}, {torch.get_num_threads()} thread(s)"]


def pytest_collection(session: pytest.Session) -> None:
    if _FALLBACK and not _FALLBACK_ASKED_FOR:
        raise pytest.UsageError(
            f"the compiled ops are missing: {library.reason}. Build them, or test the fallback with GRU_EXT_NO_EXT=1."
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if _FALLBACK:
        for item in items:
            if item.get_closest_marker("compiled"):
                item.add_marker(pytest.mark.skip(reason="needs the compiled ops; GRU_EXT_NO_EXT=1 is set"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Why tests were skipped, a line for each reason: without a GPU there are thousands with the same one."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} skipped: {reason}")


@pytest.fixture(autouse=True)
def seed() -> None:
    """The same random numbers for a test whether it runs alone or with the others."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def stream_build(tmp_path_factory: pytest.TempPathFactory) -> StreamBuild:
    """The stream library, compiled once for all tests of it."""
    return StreamBuild(tmp_path_factory.mktemp("stream"))
