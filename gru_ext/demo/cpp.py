"""Builds the C++ example and runs it on the saved TorchScript model."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import torch
from torch import Tensor, nn

from .. import _library

SOURCES = Path(__file__).resolve().parents[2] / "examples" / "cpp_torchscript"
_PROGRAM = "gru_ext_torchscript"


@dataclass(frozen=True)
class CppRun:
    """What the C++ program printed for a batch: logits ``[N, 10]``, how far Python's are off, losses around its step."""

    logits: Tensor
    difference: float
    losses: tuple[float, float]


class CppError(RuntimeError):
    """The program could not be built or run."""


def _tool(*names: str) -> Optional[str]:
    """The first of these programs that is installed; also looks beside the interpreter, where pip puts cmake."""
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    return next((found for name in names if (found := shutil.which(name, path=places))), None)


def why_not() -> Optional[str]:
    """Half a sentence on why the C++ program cannot be built here, or None if it can."""
    if _library.reason is not None:
        return "it needs gru_ext's compiled op library, which is not in use here"
    if not SOURCES.is_dir():
        return "its source, examples/cpp_torchscript, is not part of an installed wheel: run the demo from a clone to see it"
    found = {"g++": _tool("g++", "c++"), "cmake": _tool("cmake"), "make": _tool("make")}
    missing = [name for name, path in found.items() if path is None]
    return f"it needs {' and '.join(missing)}" if missing else None


def _check_call(command: list[str]) -> str:
    """Runs a command and returns what it printed.

    Raises:
        CppError: it failed; the text holds the end of what it printed.
    """
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise CppError(f"`{' '.join(command)}` failed:\n{done.stdout[-3000:]}")
    return done.stdout


def build(folder: Path) -> Path:
    """Configures and builds examples/cpp_torchscript in `folder` and returns the program; quick if it is up to date.

    Raises:
        CppError: a step failed.
    """
    cmake = _tool("cmake")
    assert cmake is not None, "why_not() says whether cmake is there"
    prefixes = f"{_library.cmake_prefix_path()};{torch.utils.cmake_prefix_path}"
    # What an earlier run found may belong to another installation of torch or gru_ext; the compiled files are kept.
    (folder / "CMakeCache.txt").unlink(missing_ok=True)
    _check_call([cmake, "-S", str(SOURCES), "-B", str(folder), f"-DCMAKE_PREFIX_PATH={prefixes}"])
    _check_call([cmake, "--build", str(folder)])
    return folder / _PROGRAM


def run(program: Path, script: Path, model: nn.Module, images: Tensor, labels: Tensor) -> CppRun:
    """Runs the program on the TorchScript file `script` and compares with the eager model.

    Args:
        program: what :func:`build` returned.
        script: the saved model; the program loads it.
        model: the same model in Python.
        images: ``[N, 8, 8]``, handed to the program in a file beside `script`.
        labels: ``[N]``, for the program's training step.

    Raises:
        CppError: the program failed.
    """
    batch = script.with_name("batch.pt")
    torch.save((images, labels), batch)
    lines = _check_call([str(program), str(script), str(batch)]).splitlines()
    rows = lines[lines.index(f"logits {len(images)} 10") + 1 :][: len(images)]
    logits = torch.tensor([[float(number) for number in row.split()] for row in rows])
    with torch.no_grad():
        difference = (logits - model(images)).abs().max().item()
    before, after = (float(line.split()[-1]) for line in lines if line.startswith(("loss before ", "loss after ")))
    return CppRun(logits, difference, (before, after))
