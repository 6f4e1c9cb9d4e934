"""Programs of examples/ and of other projects, built with CMake as a README says."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from commands import ROOT

# pip puts cmake and ninja beside the interpreter.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
CMAKE_ENV = {"PATH": PATH, "CMAKE_GENERATOR": "Ninja", "CMAKE_BUILD_PARALLEL_LEVEL": "2"}


def needs_cmake_and(*compilers: str) -> pytest.MarkDecorator:
    missing = [tool for tool in (*compilers, "cmake", "ninja") if shutil.which(tool, path=PATH) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


def copy_of(example: str, folder: Path, *made: str) -> tuple[Path, str]:
    """A copy of examples/NAME without what was made there, and the commands that its README gives."""
    source = ROOT / "examples" / example
    copy = shutil.copytree(source, folder / example, ignore=shutil.ignore_patterns("build", *made))
    return copy, re.search(r"^## Run it$.*?^```sh\n(.*?)^```", (source / "README.md").read_text(), re.MULTILINE | re.DOTALL)[1]
