"""The C++ sources of this folder, compiled for the processor that they run on when they are first needed."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

_FLAGS = ("-O3", "-march=native", "-Wno-psabi", "-shared", "-fPIC")


def compiler() -> str:
    """The command of the C++ compiler."""
    return os.environ.get("CXX", "g++")


def why_unavailable() -> Optional[str]:
    """Why nothing can be compiled here, or None."""
    return None if shutil.which(compiler()) else f"it needs a C++ compiler; there is no {compiler()}"


def load(source: Path, flags: Sequence[str] = ()) -> ctypes.CDLL:
    """The functions of one source file.

    Args:
        source: a C++ file.
        flags: for the compiler, after the source, so libraries may be among them.

    Raises:
        RuntimeError: it does not compile; the message is the compiler's.
    """
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, f"{source.stem}.so")
        run = subprocess.run([compiler(), *_FLAGS, "-o", library, source, *flags], capture_output=True, text=True)
        if run.returncode != 0:
            raise RuntimeError(f"{compiler()} cannot compile {source.name}:\n{run.stderr}")
        return ctypes.CDLL(str(library))
