"""The C example is built as its README says, and gives torch's numbers."""

import re
import subprocess
from pathlib import Path

import pytest
import torch
from commands import run

import gru_ext
from examples import CMAKE_ENV, copy_of, needs_cmake_and

pytestmark = [pytest.mark.compiled, needs_cmake_and("gcc")]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder where the README's commands were run, and what they printed."""
    folder, commands = copy_of("c_stream", tmp_path_factory.mktemp("c"), "*.gru", "inputs.txt")
    return folder, run("sh", "-e", "-c", commands, cwd=folder, **CMAKE_ENV)


def numbers(lines: list[str]) -> torch.Tensor:
    return torch.tensor([[float(number) for number in line.split()] for line in lines])


def test_gives_the_numbers_of_torch(built: tuple[Path, str]) -> None:
    folder, output = built
    lines = output.splitlines()
    first = next(i for i, line in enumerate(lines) if re.fullmatch(r"3 inputs, 4 outputs, 2 layers, level \w+", line)) + 1
    x = numbers((folder / "inputs.txt").read_text().splitlines())
    below, above = gru_ext.load_stream(folder / "model.gru")
    h, y, states = torch.zeros(4), torch.zeros(4), []
    with torch.no_grad():
        for row in x:
            h = below(row, h)
            y = above(h, y)
            states.append(y)
    # Nine digits keep every float32; sums of four products and the gates round a few times each.
    torch.testing.assert_close(numbers(lines[first:]), torch.stack(states), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "inputs", "complaint"),
    [
        ("missing.gru", "", "missing.gru: "),
        ("inputs.txt", "", "inputs.txt: "),
        ("model.gru", "1 2 3 4", "expected 3 numbers for a step, got 1"),
        ("model.gru", "1 2 3\nx", "expected 3 numbers for a step, got 0"),
    ],
)
def test_says_what_is_wrong(built: tuple[Path, str], model: str, inputs: str, complaint: str) -> None:
    done = subprocess.run([built[0] / "build" / "gru_steps", model], cwd=built[0], input=inputs, capture_output=True, text=True)
    assert done.returncode == 1
    assert complaint in done.stderr.splitlines()[-1]
