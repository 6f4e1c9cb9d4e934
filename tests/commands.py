"""Programs that tests compile and run, and mistakes planted in copies of the sources to see that tests find them."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

ROOT = Path(__file__).parents[1]
CXX = os.environ.get("CXX", "g++")

A = TypeVar("A")
B = TypeVar("B")


def needs(tool: str, what: str = "") -> pytest.MarkDecorator:
    """Skips where the tool is missing; `what` says what it is for, if the name does not."""
    return pytest.mark.skipif(
        shutil.which(tool) is None, reason=f"needs {what}; there is no {tool}" if what else f"needs {tool}"
    )


needs_compiler = needs(CXX, "a C++ compiler")


def run(*command: str | Path, status: int = 0, timeout: int = 1800, cwd: Path | None = None, **env: str) -> str:
    """What the command prints, standard error included; fails the test unless it ends with the status."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
    )
    assert done.returncode == status, f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-8000:]}"
    return done.stdout


def two_at_a_time(compile_one: Callable[[A], B], sources: Iterable[A]) -> list[B]:
    """What it gives for each, in order. More compilers at once would want more memory than small machines have."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(compile_one, sources))


def place_of(root: Path, name: str, text: str) -> Path:
    """The one file of that name that has the text, once."""
    files = [path for path in root.rglob(name) if text in path.read_text()]
    assert len(files) == 1, f"{len(files)} files {name} under {root} have: {text}"
    count = files[0].read_text().count(text)
    assert count == 1, f"{name} has {count} times: {text}"
    return files[0]


def plant(root: Path, name: str, text: str, changed: str) -> None:
    """Makes the mistake in a copy of the sources; no text, no mistake."""
    if not text:
        return
    file = place_of(root, name, text)
    file.write_text(file.read_text().replace(text, changed))


# A failed check, or a stop at the border of a buffer.
FOUND = "FAILED|stopped while checking|before the beginning"
