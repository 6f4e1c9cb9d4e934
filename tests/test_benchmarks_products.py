"""The products' share of the arithmetic, from times that are given; and that the command runs. No test depends on speed."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

from benchmarks import products  # noqa: E402
from benchmarks.limits import OPERATIONS, Limits  # noqa: E402
from benchmarks.runner import quartiles  # noqa: E402

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(
        shutil.which(os.environ.get("CXX", "g++")) is None, reason="the rates are measured by a small C++ program"
    ),
]


def test_shares_are_of_what_a_larger_input_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    """10 rows, 64 inputs against 16, 8 units: 480 operations for each input in the forward, 960 in the backward."""
    times = {
        "operations": [OPERATIONS * 1e-3, OPERATIONS * 2e-3],  # a thousand in a microsecond; in the second round half as many
        ("forward", 16): [10.0, 20.0],
        ("forward", 64): [10 + 0.48 * 48 / 0.5, 20 + 0.96 * 48 / 0.75],
        ("backward", 16): [5.0, 5.0],
        ("backward", 64): [5 + 0.96 * 48, 5 + 1.92 * 48],
    }

    def given(means: Mapping[object, object], rounds: int) -> Mapping[object, list[float]]:
        assert set(means) == set(times) and rounds == 2
        return times

    monkeypatch.setattr(products, "interleaved", given)
    found = products.shares(10, 64, 8, rounds=2, limits=Limits(1, seconds=0.001))
    whole = [0.96 * 72 / times["backward", 64][0], 1.92 * 72 / times["backward", 64][1]]
    for actual, of_rounds in (
        (found["forward"].products, [0.5, 0.75]),
        (found["backward"].products, [1, 1]),
        (found["backward"].whole, whole),
    ):
        assert astuple(actual) == pytest.approx(astuple(quartiles(of_rounds)))


def test_reading_is_held_against_what_a_step_takes_longer_than_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"reading": [11.0], "no reading": [1.0], "step": [22.0], "least step": [2.0]}
    monkeypatch.setattr(products, "interleaved", lambda means, rounds: {name: times[name] for name in means})
    assert products.share_of_reading(8, rounds=1, limits=Limits(1, seconds=0.001)).median == 0.5


def test_prints_both_tables_and_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "of-this-machine.json"
    command = [sys.executable, "-m", "benchmarks.products", "--sizes", "8x32x16", "--rounds", "1", "--json", path]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(r"^\| 8x32x16 (\| -?\d+% \(.*\) ){4}\|$", printed, re.MULTILINE), printed
    for hidden in products.SINGLE_ROWS:
        assert re.search(rf"^\| 1x{hidden}x{hidden} \| \d+% ", printed, re.MULTILINE), printed
    found = products.load(path)
    assert "\n\n".join(products.tables(found)) == printed.rstrip()
    assert (found.name, found.machine["threads"], found.level) == ("of-this-machine", 1, "")


@pytest.mark.parametrize("size", ["64x512", "64x512x512,3200x200x200", "0x8x8", "axbxc"])
def test_other_sizes_are_refused(size: str) -> None:
    command = [sys.executable, "-m", "benchmarks.products", "--sizes", "16x64x16", size]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2 and result.stdout == ""
    assert f"argument --sizes: {size!r} is not of the form 64x512x512" in result.stderr


def test_other_formats_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"format": 0}')
    with pytest.raises(ValueError, match=f"expected shares of format {products.FORMAT}, got 0"):
        products.load(path)
