"""What a second thread helps, from times that are given; and that the command runs. No test depends on speed."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

from benchmarks import threads  # noqa: E402
from benchmarks.grid import GRID  # noqa: E402
from benchmarks.limits import why_unavailable  # noqa: E402
from benchmarks.selection import select  # noqa: E402
from benchmarks.stream.blocks import Mean  # noqa: E402
from benchmarks.workloads import Mode  # noqa: E402


def test_each_block_has_its_threads_and_the_ratio_is_of_its_round(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []

    def given(means: Mapping[str, Mean], rounds: int) -> dict[str, list[float]]:
        assert rounds == 2
        for mean in means.values():
            assert mean(1) > 0
            used.append(torch.get_num_threads())
        return {"one": [12.0, 30.0], "more": [6.0, 20.0]}

    monkeypatch.setattr(threads, "interleaved", given)
    before = torch.get_num_threads()
    try:
        (case,) = select(GRID, (Mode.TRAINING,), "grid 8x128x128")
        assert threads.measure(case, rounds=2) == ([12, 30], [6, 20])
    finally:
        torch.set_num_threads(before)
    assert used == [1, threads.THREADS]


def test_meant_are_sizes_that_a_second_thread_should_help() -> None:
    names = [case.workload.name for case in select(GRID, (Mode.INFERENCE,)) if threads.is_meant(case)]
    assert {"grid 1x512x512", "grid 1x1024x1024", "grid 64x512x512", "grid 6624x32x32"} <= set(names)
    assert not {"grid 1x256x256", "grid 8x256x256", "grid 50x200x200"} & set(names)


def test_prints_a_table_and_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "of-this-machine.json"
    options = ["--only", "1x512x512 inference", "--rounds", "1", "--memory", "kept", "--json", path]
    command = [sys.executable, "-m", "benchmarks.threads", *options]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(
        r"^\| grid 1x512x512 inference \| \S+ \| \S+ \| \d+\.\d\d \(.*\) \| (\d+\.\d\d)? \|$", printed, re.MULTILINE
    ), printed
    found = threads.load(path)
    assert (found.name, found.memory, found.machine["threads"]) == ("of-this-machine", "kept", threads.THREADS)
    (ratio,) = found.cases.values()
    assert f"{ratio.median:.2f} (" in printed
    assert [f"| {most:.2f} |" in printed for most in found.most.values()] == [True] * (why_unavailable(torch.float32) is None)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--only", "1x3x4"], "no case is left"),
        (["--only", "("], "'(' is not a regular expression"),
        (["--json", "no-such-folder/out.json"], "there is no folder"),
    ],
)
def test_bad_options_are_errors_before_anything_is_measured(options: list[str], message: str) -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks.threads", *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and message in done.stderr and not done.stdout


def test_other_formats_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"format": 0}')
    with pytest.raises(ValueError, match=f"expected speedups of format {threads.FORMAT}, got 0"):
        threads.load(path)
