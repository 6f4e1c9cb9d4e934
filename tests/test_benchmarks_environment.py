"""benchmarks/environment.py: the options that need a program to start anew, and what its header then says."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# For a bare `pytest`, as in test_benchmarks.py.
sys.path.append(str(ROOT))

from benchmarks import environment  # noqa: E402


def _wanted(*arguments: str) -> dict[str, str]:
    parser = argparse.ArgumentParser()
    environment.add_arguments(parser.add_argument_group())
    return environment.wanted(parser.parse_args(arguments))


def test_options_stand_for_variables_and_are_found_again_by_them() -> None:
    assert _wanted() == {}
    for level in environment.LEVELS:
        for memory in environment.MEMORY:
            variables = _wanted("--level", level, "--memory", memory)
            assert set(variables) <= set(environment.TELLING), "the results would not tell how they came about"
            assert (environment.level_of(variables), environment.memory_of(variables)) == (level, memory)
    assert environment.level_of({"GRU_EXT_ISA": "avx2"}) == environment.memory_of({}) == ""


def test_restarts_only_where_a_variable_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda program, arguments, variables: started.append((arguments, variables)))
    environment.restart_with({}, ["--list"])
    monkeypatch.setenv("GRU_EXT_ISA", "avx2")
    environment.restart_with({"GRU_EXT_ISA": "avx2"}, ["--list"])
    assert started == []
    environment.restart_with({"GRU_EXT_ISA": "default"}, ["--quick"])
    ((arguments, variables),) = started
    assert arguments == [sys.executable, "-m", "benchmarks", "--quick"] and variables["GRU_EXT_ISA"] == "default"


def test_level_and_memory_reach_the_measurement_and_its_header() -> None:
    options = [
        "--level",
        "default",
        "--memory",
        "returned",
        "--quick",
        "--only",
        "^grid 1x3x4 inference$",
        "--peers",
        "nn.GRUCell",
    ]
    inherited = {name: value for name, value in os.environ.items() if name not in environment.TELLING}
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", *options], cwd=ROOT, env=inherited, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "level default for both cells" in run.stdout and "what a step frees is returned" in run.stdout
    assert "(level DEFAULT)" in run.stdout and "environment: GRU_EXT_ISA=default" in run.stdout
